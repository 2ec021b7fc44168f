//! What nodes act on at once, as a long poll: `GET /node/v1/live` (see `penstock_config::hold`).
//! Nobody writes anything for it: a poll costs a look at the state in force, one transaction wakes
//! each waiting node at most once, and where there are many nodes, each of them hears of several
//! transactions at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use penstock_api::Problem;
use penstock_api::backend::NodeHeard;
use penstock_app::state::NODES_MAX;
use penstock_config::hold::{LIVE_WAIT_MS_MAX, Live};
use serde::Deserialize;
use tokio::time::Instant;

use crate::log::now_ms;
use crate::nodes::{NodeId, Nodes, unknown_node};

/// How long news is gathered before a node hears of it, for each node that there is: so all nodes
/// together are answered at most 20,000 times a second, whatever happens.
const GATHERING_A_NODE: Duration = Duration::from_micros(50);
/// The longest that this may take of the second within which a revocation holds everywhere.
const GATHERING_MAX: Duration = Duration::from_millis(250);

/// How far each node has acted on what is live, by node id; in memory only. Copies share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<BTreeMap<String, NodeHeard>>>);

impl Heard {
    /// What is known of a node; none before its first poll.
    pub(crate) fn of(&self, node: &str) -> Option<NodeHeard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(node).copied()
    }

    fn note(&self, node: &str, heard: NodeHeard, is_node: impl Fn(&str) -> bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(node) {
            *known = heard;
            return;
        }
        if all.len() >= NODES_MAX {
            // Nodes that were removed since.
            all.retain(|node, _| is_node(node));
        }
        all.insert(node.to_owned(), heard);
    }
}

/// How far a node is, and how long it waits for more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Behind {
    /// The run that it knows; empty where it knows none.
    #[serde(default)]
    run: String,
    /// The last sequence that every core of it has acted on.
    #[serde(default)]
    after: u64,
    #[serde(default)]
    wait_ms: u64,
}

/// What came since, at once or as soon as there is something; nothing is the heartbeat.
pub(crate) async fn live(
    State(mut nodes): State<Nodes>,
    NodeId(node): NodeId,
    query: Result<Query<Behind>, QueryRejection>,
) -> Result<Json<Live>, Problem> {
    let Query(Behind { run, after, wait_ms }) = query
        .map_err(|_| Problem::bad_request("the arguments are not the ones that are expected"))?;
    let until = Instant::now() + Duration::from_millis(wait_ms.min(LIVE_WAIT_MS_MAX));
    let (mut sequences, mut states) = (nodes.handle.watch_live(), nodes.handle.watch());
    loop {
        // Marked as seen before the state is read: what comes in between wakes.
        sequences.mark_unchanged();
        states.mark_unchanged();
        let state = nodes.handle.state();
        if !state.durable.nodes.contains_key(&node) {
            return Err(unknown_node());
        }
        let live = state.live(&run, after, now_ms());
        let sequence = (!live.full).then_some(after);
        let heard = NodeHeard { sequence, seen_ms: live.server_ms };
        nodes.heard.note(&node, heard, |node| state.durable.nodes.contains_key(node));
        let is_over = Instant::now() >= until || *nodes.stop.borrow();
        if live.full || live.sequence != after || is_over {
            return Ok(Json(live));
        }
        let is_news = tokio::select! {
            changed = sequences.changed() => changed.is_ok(),
            // A snapshot, or a node was removed: perhaps this one.
            _ = states.changed() => false,
            () = tokio::time::sleep_until(until) => false,
            _ = nodes.stop.wait_for(|stop| *stop) => false,
        };
        if !nodes.handle.is_working() {
            return Ok(Json(live));
        }
        if is_news {
            tokio::time::sleep(gathering(state.durable.nodes.len())).await;
        }
    }
}

/// How long news is gathered where there are so many nodes.
fn gathering(nodes: usize) -> Duration {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    let gathering = GATHERING_A_NODE.saturating_mul(nodes).min(GATHERING_MAX);
    // Not worth a timer, whose turns are of a millisecond.
    if gathering < Duration::from_millis(1) { Duration::ZERO } else { gathering }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_nodes_hear_at_once_and_many_within_a_quarter_of_a_second() {
        assert_eq!(gathering(1), Duration::ZERO);
        assert_eq!(gathering(1_000), Duration::from_millis(50));
        assert_eq!(gathering(NODES_MAX), Duration::from_millis(250));
    }

    #[test]
    fn what_is_known_of_removed_nodes_is_forgotten_where_room_is_needed() {
        let heard = Heard::default();
        let known = NodeHeard { sequence: Some(1), seen_ms: 2 };
        for number in 0..NODES_MAX {
            heard.note(&format!("node-{number}"), known, |_| true);
        }
        heard.note("new", NodeHeard { sequence: None, seen_ms: 4 }, |node| node == "node-7");
        assert_eq!(heard.0.lock().unwrap().len(), 2);
        assert_eq!(heard.of("node-7"), Some(known));
        assert_eq!(heard.of("new").map(|heard| heard.seen_ms), Some(4));
    }
}
