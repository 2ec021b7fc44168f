//! Snapshots: what is published, and when it is issued again.

use penstock_config::snapshot::{Snapshot, TrustedIssuer};

use crate::draft::Draft;
use crate::event::{Answer, Change, Outcome};
use crate::keys;
use crate::state::{SignedSnapshot, State};

/// Format of the snapshots that this version issues.
const FORMAT: u32 = 1;

impl State {
    /// The snapshot of this state, to be signed.
    pub(crate) fn snapshot(&self, now_ms: u64) -> Snapshot {
        let issuers = self.issuers().map(|issuer| TrustedIssuer {
            document: issuer.clone(),
            keys: self.keys_of(issuer).to_vec(),
        });
        let last = self.durable.snapshot.as_ref();
        Snapshot {
            format: FORMAT,
            cluster: self.durable.cluster.clone(),
            position: self.durable.position,
            previous: last.map(|last| last.sha256.clone()).unwrap_or_default(),
            issued_ms: now_ms,
            expires_ms: now_ms.saturating_add(self.tuning.snapshot_lifetime_ms),
            credentials_generation: self.durable.credentials_generation,
            issuers: issuers.collect(),
            connections: self.connections().cloned().collect(),
            rules: self.rules().cloned().collect(),
        }
    }

    /// Takes in a snapshot that was signed; the change goes into the event's transaction.
    pub fn signed(&mut self, signed: SignedSnapshot) -> Change {
        self.durable.snapshot = Some(signed.clone());
        Change::Signed(signed)
    }
}

/// After a start: what was signed with another key, or not at all, is signed again.
pub(crate) fn started(state: &State, signer: &str, now_ms: u64) -> Outcome {
    let mut draft = Draft::new(state, now_ms);
    let last = state.durable.snapshot.as_ref();
    if state.durable.position.version > 0 && last.is_none_or(|last| last.signer != signer) {
        draft.publish_revision();
    }
    draft.finish(Answer::Done)
}

/// Time passed: keys are fetched again, and a snapshot at half of its life is issued again.
pub(crate) fn tick(state: &State, now_ms: u64) -> Outcome {
    let mut draft = Draft::new(state, now_ms);
    keys::start_due(&mut draft, now_ms);
    let last = state.durable.snapshot.as_ref();
    let renewal =
        last.map(|l| l.issued_ms.saturating_add(l.expires_ms.saturating_sub(l.issued_ms) / 2));
    if renewal.is_some_and(|renewal| renewal <= now_ms) {
        draft.publish_revision();
    }
    draft.finish(Answer::Done)
}
