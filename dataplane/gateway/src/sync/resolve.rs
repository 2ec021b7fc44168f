//! Names of endpoints to addresses, off the reactors.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::core::Node;
use crate::enforced::{Enforced, Resolved};

/// Addresses kept a name.
const ADDRESSES_MAX: usize = 8;

/// Longest look-up.
const LOOK_UP_MAX: Duration = Duration::from_secs(5);

/// Looks every name of the policy up again and publishes the addresses. A name that can't be looked
/// up now keeps the addresses that it had.
pub(crate) async fn resolve(node: &Node, enforced: &Enforced) {
    let before = node.addresses.load_full();
    let mut addresses = HashMap::new();
    for target in enforced.upstreams().iter().flat_map(|upstream| &upstream.endpoints) {
        let endpoint = &target.endpoint;
        if endpoint.host.parse::<IpAddr>().is_ok() {
            continue;
        }
        let look_up = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
        let found = match tokio::time::timeout(LOOK_UP_MAX, look_up).await {
            Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect(),
            Ok(Err(_)) | Err(_) => before.addresses(endpoint),
        };
        addresses.insert((endpoint.host.clone(), endpoint.port), found);
    }
    node.addresses.store(Arc::new(Resolved::new(addresses)));
}
