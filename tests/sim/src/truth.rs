//! What really happened, whoever knows of it.

use std::collections::BTreeMap;

/// One request that went to the model server.
#[derive(Clone, Debug)]
pub(crate) struct Forward {
    pub(crate) session: String,
    pub(crate) at_ms: u64,
}

/// Everything that went up, by grant, and when grants were revoked.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// By grant.
    pub(crate) forwards: BTreeMap<String, Vec<Forward>>,
    /// When a grant's revocation was on the disk, by grant, in true milliseconds.
    pub(crate) revoked_ms: BTreeMap<String, u64>,
    /// How many requests went up.
    pub(crate) forwarded: u64,
    /// How many exchanges were cut.
    pub(crate) cut: u64,
}

impl Truth {
    pub(crate) fn forward(&mut self, session: &str, grants: &[String], at_ms: u64) {
        self.forwarded += 1;
        for grant in grants {
            let forwards = self.forwards.entry(grant.clone()).or_default();
            forwards.push(Forward { session: session.to_owned(), at_ms });
        }
    }
}
