//! Acts: every change of state by somebody, as a hash chain that shows what was edited or removed.

use serde_json::Value;

use crate::event::Actor;
use crate::hex::sha256_hex;
use crate::state::ActHead;

/// One row of the chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Act {
    /// Counted from 1 without a gap.
    pub sequence: u64,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub actor: Actor,
    /// What: `documents.apply`.
    pub action: String,
    /// On what: `version/4`.
    pub object: String,
    /// What was there before, JSON text; never a secret.
    pub before: String,
    /// What is there now, JSON text; never a secret.
    pub after: String,
    /// Hash of the row before, hex; empty for the first.
    pub previous: String,
    /// SHA-256 over all of the above, hex.
    pub hash: String,
}

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// A row is missing or out of turn.
    #[error("act {0} is missing or out of turn")]
    Sequence(u64),
    /// A row does not follow from the one before.
    #[error("act {0} does not follow from the one before")]
    Previous(u64),
    /// A row was edited.
    #[error("act {0} was edited")]
    Hash(u64),
}

impl Act {
    /// The next row of the chain that ends in `head`.
    pub(crate) fn chained(
        head: &ActHead,
        at_ms: u64,
        actor: Actor,
        action: &str,
        object: String,
        before: &Value,
        after: &Value,
    ) -> Self {
        let mut act = Self {
            sequence: head.sequence.saturating_add(1),
            at_ms,
            actor,
            action: action.to_owned(),
            object,
            before: text(before),
            after: text(after),
            previous: head.hash.clone(),
            hash: String::new(),
        };
        act.hash = sha256_hex(&act.canonical());
        act
    }

    /// The end of the chain after this row.
    pub fn head(&self) -> ActHead {
        ActHead { sequence: self.sequence, hash: self.hash.clone() }
    }

    /// The bytes that are hashed: a label, two 64-bit big-endian numbers, then each text behind its
    /// 64-bit big-endian length, so that no two rows have the same bytes.
    fn canonical(&self) -> Vec<u8> {
        let mut bytes = b"penstock-act-1\0".to_vec();
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.at_ms.to_be_bytes());
        let texts = [
            &self.actor.issuer,
            &self.actor.subject,
            &self.action,
            &self.object,
            &self.before,
            &self.after,
            &self.previous,
        ];
        for text in texts {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }
}

fn text(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Verifies that rows continue the chain that ended in `head`, and returns its new end.
///
/// # Errors
/// The first row that is missing, out of turn or edited.
pub fn verify<'a>(
    head: &ActHead,
    acts: impl IntoIterator<Item = &'a Act>,
) -> Result<ActHead, ChainError> {
    let mut head = head.clone();
    for act in acts {
        let expected = head.sequence.saturating_add(1);
        if act.sequence != expected {
            return Err(ChainError::Sequence(expected));
        }
        if act.previous != head.hash {
            return Err(ChainError::Previous(act.sequence));
        }
        if act.hash != sha256_hex(&act.canonical()) {
            return Err(ChainError::Hash(act.sequence));
        }
        head = act.head();
    }
    Ok(head)
}
