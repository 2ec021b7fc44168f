//! The gateway: from accepted streams to recorded exchanges. In: connections of callers, snapshots
//! and credentials from the control plane. Out: decided, injected, relayed and logged exchanges.
//! Never: a request that no rule allows, a credential on disk, a byte that was not understood.

mod accept;
mod access_log;
mod addresses;
mod classify;
mod client;
mod collect;
pub mod command;
mod core;
mod counters;
mod decide;
mod descriptors;
mod endpoint;
mod enforced;
mod failures;
mod forward;
mod guard;
mod identify;
mod inject;
mod input;
mod limits;
mod names;
mod node;
mod operations;
mod output;
mod pieces;
mod pipeline;
mod pool;
mod probe;
mod queue;
mod reach;
mod reason;
mod registry;
mod relay;
mod reply_head;
mod respond;
mod retries;
mod secure;
mod session;
mod shape;
mod sync;
#[cfg(test)]
mod tests;
mod uplink;
mod upstream_tls;
