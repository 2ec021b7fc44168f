//! Names of endpoints to addresses, off the reactors.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::core::Node;
use crate::enforced::{Enforced, Resolved, Upstream};

/// Addresses kept a name.
const ADDRESSES_MAX: usize = 8;

/// Looks the names of the policy up, all at once, and publishes their addresses: `again` those that
/// are known too. A name that can't be looked up now keeps the addresses that it had.
pub(crate) async fn resolve(node: &Node, enforced: &Enforced, again: bool, limit: Duration) {
    let before = node.addresses.load_full();
    let mut addresses = HashMap::new();
    let mut look_ups = Vec::new();
    for target in enforced.upstreams().iter().flat_map(Upstream::targets) {
        let endpoint = &target.endpoint;
        if endpoint.host.parse::<IpAddr>().is_ok() {
            continue;
        }
        let known = before.addresses(endpoint);
        let name = (endpoint.host.clone(), endpoint.port);
        if known.is_empty() || again {
            look_ups.push(look_up(name.clone(), limit));
        }
        addresses.insert(name, known);
    }
    for (name, found) in join_all(look_ups).await {
        if !found.is_empty() {
            addresses.insert(name, found);
        }
    }
    node.addresses.store(Arc::new(Resolved::new(addresses)));
}

async fn look_up(name: (String, u16), limit: Duration) -> ((String, u16), Vec<SocketAddr>) {
    let look_up = tokio::net::lookup_host((name.0.as_str(), name.1));
    let found = match tokio::time::timeout(limit, look_up).await {
        Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    (name, found)
}
