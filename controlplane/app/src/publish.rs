//! Snapshots: what is published, and when it is issued again.

use penstock_config::node::SnapshotKey;
use penstock_config::snapshot::{Snapshot, TrustedIssuer, verify};

use crate::approvals;
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
            snapshot_keys: self.snapshot_keys.to_vec(),
            credentials_generation: self.durable.credentials_generation,
            issuers: issuers.chain(self.exchange_issuer()).collect(),
            connections: self.connections().cloned().collect(),
            rules: self.rules().cloned().collect(),
            masks: self.masks().cloned().collect(),
            mask_cuts: self.mask_cuts(),
        }
    }

    /// Takes in a snapshot that was signed; the change goes into the event's transaction.
    pub fn signed(&mut self, signed: SignedSnapshot) -> Change {
        self.durable.snapshot = Some(signed.clone());
        Change::Signed(signed)
    }
}

/// After a start: a snapshot that was signed with another key, or that tells nodes of other keys
/// than these, is issued again.
pub(crate) fn started(state: &State, keys: Vec<SnapshotKey>, now_ms: u64) -> Outcome {
    let mut draft = Draft::new(state, now_ms);
    let last = state.durable.snapshot.as_ref();
    // By the first key alone: the other one is not in use yet, or no longer.
    let told = last.and_then(|last| verify(keys.get(..1)?, &last.bytes).ok());
    let current = told.is_some_and(|(snapshot, _)| snapshot.snapshot_keys == keys);
    draft.state.snapshot_keys = keys.into();
    if state.durable.position.version > 0 && !current {
        draft.publish_revision();
    }
    draft.finish(Answer::Done)
}

/// Whether something is due that lies at most `interval_ms` ahead when it is planned: one that lies
/// further ahead was planned before the clock was set back.
pub(crate) fn is_due(at_ms: u64, interval_ms: u64, now_ms: u64) -> bool {
    at_ms <= now_ms || at_ms > now_ms.saturating_add(interval_ms)
}

/// Time passed: keys are fetched again, a snapshot at half of its life is issued again, and what is
/// over is recorded.
pub(crate) fn tick(state: &State, now_ms: u64) -> Outcome {
    let mut draft = Draft::new(state, now_ms);
    keys::start_due(&mut draft, now_ms);
    approvals::tick(&mut draft);
    let last = state.durable.snapshot.as_ref();
    let renewal = last.is_some_and(|last| {
        let half = last.expires_ms.saturating_sub(last.issued_ms) / 2;
        is_due(last.issued_ms.saturating_add(half), half, now_ms)
    });
    if renewal {
        draft.publish_revision();
    }
    draft.finish(Answer::Done)
}
