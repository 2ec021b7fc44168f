//! What a row means: the durable state that a store gives back after it took in some changes.

use std::sync::Arc;

use crate::event::Change;
use crate::state::{DocumentKey, Durable};

impl Durable {
    /// Takes in one change, as a store does. Changes of one event belong together: half of them is
    /// a state that there never was.
    pub fn take(&mut self, change: &Change) {
        match change.clone() {
            Change::Position { position, credentials_generation } => {
                self.position = position;
                self.credentials_generation = credentials_generation;
            }
            Change::Version { documents, .. } => {
                let keyed = documents.into_iter();
                let keyed = keyed.map(|stored| (DocumentKey::of(&stored.document), stored));
                self.documents = Arc::new(keyed.collect());
            }
            Change::SecretSet(name, stored) => {
                Arc::make_mut(&mut self.secrets).insert(name, stored);
            }
            Change::SecretDeleted(name) => {
                Arc::make_mut(&mut self.secrets).remove(&name);
            }
            Change::KeysSet(issuer, keys) => {
                Arc::make_mut(&mut self.keys).insert(issuer, keys);
            }
            Change::KeysDeleted(issuer) => {
                Arc::make_mut(&mut self.keys).remove(&issuer);
            }
            Change::JoinTokenSet(hash, token) => {
                Arc::make_mut(&mut self.join_tokens).insert(hash, token);
            }
            Change::JoinTokenDeleted(hash) => {
                Arc::make_mut(&mut self.join_tokens).remove(&hash);
            }
            Change::NodeSet(id, node) => {
                Arc::make_mut(&mut self.nodes).insert(id, node);
            }
            Change::NodeDeleted(id) => {
                Arc::make_mut(&mut self.nodes).remove(&id);
            }
            Change::MaskMarkSet(connection, mark) => {
                Arc::make_mut(&mut self.mask_marks).insert(connection, mark);
            }
            Change::MaskMarkDeleted(connection) => {
                Arc::make_mut(&mut self.mask_marks).remove(&connection);
            }
            other => self.take_access(other),
        }
    }

    /// Approvals, grants and what ends them.
    fn take_access(&mut self, change: Change) {
        match change {
            Change::ApprovalSet(approval) => {
                self.approvals.insert(approval.id.clone(), approval);
            }
            Change::ApprovalDeleted(id) => {
                self.approvals.remove(&id);
            }
            Change::GrantSet(grant) => {
                self.grants.insert(grant.id.clone(), grant);
            }
            Change::GrantDeleted(id) => {
                self.grants.remove(&id);
            }
            Change::UseSet(one) => {
                self.uses.insert(one.session.clone(), one);
            }
            Change::UseDeleted(session) => {
                self.uses.remove(&session);
            }
            Change::Revoked(key, one) => {
                self.revocations.insert(key, one);
            }
            Change::RevocationDeleted(key) => {
                self.revocations.remove(&key);
            }
            Change::Signed(signed) => self.snapshot = Some(signed),
            Change::Act(act) => self.act_head = act.head(),
            Change::Position { .. }
            | Change::Version { .. }
            | Change::SecretSet(..)
            | Change::SecretDeleted(_)
            | Change::KeysSet(..)
            | Change::KeysDeleted(_)
            | Change::JoinTokenSet(..)
            | Change::JoinTokenDeleted(_)
            | Change::NodeSet(..)
            | Change::NodeDeleted(_)
            | Change::MaskMarkSet(..)
            | Change::MaskMarkDeleted(_) => {}
        }
    }
}
