//! Events that go into one transaction: each is applied to what the ones before it made of the
//! state, and none of it is true before all of it is on the disk.

use penstock_api::Failure;
use penstock_app::state::{KeySource, SignedSnapshot, State};
use penstock_app::{Answer, Change, Effect, Event, Refusal};
use penstock_config::node::SnapshotKey;
use penstock_config::snapshot::{Snapshot, SnapshotError, SnapshotSigner, verify};
use penstock_store::Extra;

use crate::log::{self, Level};
use crate::notify;

/// The key that snapshots are signed with.
pub(super) struct Signing {
    signer: SnapshotSigner,
    public: SnapshotKey,
}

impl Signing {
    pub(super) fn new(signer: SnapshotSigner) -> Self {
        let public = signer.public();
        Self { signer, public }
    }

    /// A snapshot as nodes will verify it.
    fn sign(&self, snapshot: &Snapshot) -> Result<SignedSnapshot, Failure> {
        let bytes = self.signer.sign(snapshot);
        let verified = verify(std::slice::from_ref(&self.public), &bytes);
        let (_, sha256) = verified.map_err(|error| match error {
            SnapshotError::TooLarge => Failure::Refused(Refusal::SnapshotTooLarge),
            SnapshotError::Malformed
            | SnapshotError::UnknownKey
            | SnapshotError::Signature
            | SnapshotError::Format => {
                log::line(Level::Error, "sign", &error.to_string());
                Failure::Unavailable
            }
        })?;
        Ok(SignedSnapshot {
            position: snapshot.position,
            issued_ms: snapshot.issued_ms,
            expires_ms: snapshot.expires_ms,
            sha256,
            signer: self.public.id.clone(),
            bytes: bytes.into(),
        })
    }
}

/// What becomes of the state once a transaction is on the disk, and what follows then.
pub(super) struct Group {
    /// The state after the last event that was not refused.
    pub(super) state: State,
    /// Rows of all of them, in their order.
    pub(super) changes: Vec<Change>,
    /// Messages to deliver, and what is used up with the rows.
    pub(super) extras: Vec<Extra>,
    /// Keys to fetch.
    pub(super) fetches: Vec<(String, KeySource)>,
    /// Whether there is a snapshot among the rows.
    pub(super) is_published: bool,
    /// Whether those who wait for a newer snapshot or for keys, or who wait as a node that is no
    /// more, have a reason to look.
    pub(super) is_worth_waking: bool,
}

impl Group {
    /// No event yet.
    pub(super) fn new(state: &State) -> Self {
        Self {
            state: state.clone(),
            changes: Vec::new(),
            extras: Vec::new(),
            fetches: Vec::new(),
            is_published: false,
            is_worth_waking: false,
        }
    }

    /// Applies one more event. What is refused leaves no trace in the group.
    ///
    /// The answer is to be given only once the whole group is on the disk: also a refusal, and an
    /// answer that changes nothing, may rest on an event before it.
    pub(super) fn admit(
        &mut self,
        signing: &Signing,
        event: Event,
        now_ms: u64,
    ) -> Result<Answer, Failure> {
        let outcome = self.state.apply(event, now_ms)?;
        let mut next = outcome.state;
        let (mut changes, mut fetches, mut snapshot) = (Vec::new(), Vec::new(), None);
        let mut told = Vec::new();
        for effect in outcome.effects {
            match effect {
                Effect::Persist(rows) => changes.extend(rows),
                Effect::Publish(unsigned) => snapshot = Some(unsigned),
                Effect::FetchKeys { issuer, source } => fetches.push((issuer, source)),
                Effect::Notify(notification) => told.extend(notify::rows(&next, &notification)),
            }
        }
        if let Some(snapshot) = &snapshot {
            changes.push(next.signed(signing.sign(snapshot)?));
        }
        self.is_published |= snapshot.is_some();
        self.is_worth_waking |= snapshot.is_some()
            || next.fetches != self.state.fetches
            || next.durable.nodes.len() < self.state.durable.nodes.len();
        self.state = next;
        self.changes.append(&mut changes);
        self.extras.extend(told.into_iter().map(Extra::Outgoing));
        self.fetches.append(&mut fetches);
        Ok(outcome.answer)
    }
}

#[cfg(test)]
mod tests {
    use penstock_config::node::Position;
    use penstock_config::snapshot::SIGNED_BYTES_MAX;

    use super::*;

    #[test]
    fn a_snapshot_that_no_node_would_take_is_refused_as_too_large() {
        let (signer, _) = SnapshotSigner::generate().unwrap();
        let snapshot = Snapshot {
            format: 1,
            cluster: "c".repeat(SIGNED_BYTES_MAX / 4 * 3),
            position: Position { epoch: 1, version: 1, revision: 0 },
            previous: String::new(),
            issued_ms: 1,
            expires_ms: 2,
            snapshot_keys: Vec::new(),
            credentials_generation: 0,
            issuers: Vec::new(),
            connections: Vec::new(),
            rules: Vec::new(),
            masks: Vec::new(),
            mask_cuts: std::collections::BTreeMap::new(),
        };
        let refused = Signing::new(signer).sign(&snapshot);
        assert_eq!(refused, Err(Failure::Refused(Refusal::SnapshotTooLarge)));
    }
}
