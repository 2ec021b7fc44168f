//! Which secrets a data plane may have now: those of connections that an allow rule reaches, and
//! those of connections on which a grant is live. A connection that is reached by approval alone
//! has its credential on a node for as long as a grant lives, and no longer.

use std::collections::BTreeMap;

use penstock_config::documents::Connection;
use penstock_config::lease::standing;

use crate::state::{Sealed, State};

/// One secret that a data plane may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Leasable<'s> {
    /// Its name.
    pub secret: &'s str,
    /// Its ciphertext.
    pub sealed: &'s Sealed,
    /// When the last grant that stands for it ends, milliseconds since the Unix epoch; none where
    /// an allow rule does.
    pub ends_ms: Option<u64>,
}

impl State {
    /// Everything that a data plane may have at this time, by name of the secret. A secret without
    /// a value is not in it.
    pub fn leases(&self, now_ms: u64) -> Vec<Leasable<'_>> {
        let connections: Vec<_> = self.connections().collect();
        let standing = standing(connections, self.rules(), self.masks());
        let granted = self.granted_secrets(now_ms);
        let secrets = self.durable.secrets.iter();
        let leasable = secrets.filter_map(|(name, stored)| {
            let secret = name.as_str();
            let ends_ms =
                if standing.contains(secret) { None } else { Some(granted.get(secret).copied()?) };
            Some(Leasable { secret, sealed: &stored.sealed, ends_ms })
        });
        leasable.collect()
    }

    /// Secrets of connections on which a grant may be used or something runs under one, and when
    /// the last of these grants ends. One that waits for its first use counts for as long as it
    /// could run.
    fn granted_secrets(&self, now_ms: u64) -> BTreeMap<&str, u64> {
        let mut connections: BTreeMap<&str, u64> = BTreeMap::new();
        let live = self.index.live_grants().filter_map(|id| self.durable.grants.get(id));
        for grant in live.filter(|grant| !grant.is_over(now_ms)) {
            let ends_ms = connections.entry(&grant.connection).or_default();
            *ends_ms = grant.ends_at_latest_ms().max(*ends_ms);
        }
        let mut secrets = BTreeMap::new();
        for (name, until_ms) in connections {
            // A grant on a connection that is gone is good for nothing.
            let connection = self.connection_named(name);
            for secret in connection.into_iter().flat_map(Connection::secrets) {
                let ends_ms: &mut u64 = secrets.entry(secret).or_default();
                *ends_ms = until_ms.max(*ends_ms);
            }
        }
        secrets
    }
}
