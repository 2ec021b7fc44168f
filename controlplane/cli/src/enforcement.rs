//! Waits until the data planes enforce a version.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::failure::Failure;

/// Between two looks at the nodes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a row of `GET /api/v1/nodes` says about enforcement.
#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    #[serde(default)]
    name: String,
    connected: bool,
    #[serde(default)]
    cores: Vec<Core>,
    #[serde(default)]
    refused: Option<String>,
    #[serde(default)]
    live_sequence: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Core {
    version: u64,
}

/// Waits until every core of every node, or of that one, enforces the version or a later one.
///
/// # Errors
/// The time is over: the nodes that don't enforce it, or are not connected, are named.
pub(crate) async fn wait(
    client: &Client,
    version: u64,
    timeout: Duration,
    only: Option<&str>,
) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let rows = client.get("/api/v1/nodes").await?;
        let nodes: Vec<Node> = serde_json::from_value(rows)
            .map_err(|error| Failure::failed(format!("the nodes can't be understood: {error}")))?;
        let lines = missing(&nodes, version, only);
        if lines.is_empty() {
            return Ok(());
        }
        if began.elapsed() >= timeout {
            return Err(Failure::failed(format!("version {version} is not enforced everywhere"))
                .hint(
                    "it is published: nodes take it as soon as they can; one that is gone for good \
                     is removed by `penstock nodes delete ID`",
                )
                .details(lines));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until every core of every node has acted on what ended at once, up to a sequence.
///
/// # Errors
/// The time is over: the nodes that have not are named. Such a node ends what was granted by
/// itself once it has heard nothing for ten seconds.
pub(crate) async fn acted_on(
    client: &Client,
    sequence: u64,
    timeout: Duration,
) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let rows = client.get("/api/v1/nodes").await?;
        let nodes: Vec<Node> = serde_json::from_value(rows)
            .map_err(|error| Failure::failed(format!("the nodes can't be understood: {error}")))?;
        let lines: Vec<String> = nodes
            .iter()
            .filter(|node| node.live_sequence.is_none_or(|acted_on| acted_on < sequence))
            .map(|node| format!("node {} has not acted on it", title(node)))
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        if began.elapsed() >= timeout {
            return Err(Failure::failed("it is revoked, and not every node has acted on it")
                .hint(
                    "a node that hears nothing ends what was granted by itself, ten seconds later \
                     unless its settings say otherwise",
                )
                .details(lines));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What is still missing, a line a node.
fn missing(nodes: &[Node], version: u64, only: Option<&str>) -> Vec<String> {
    let mut meant = nodes.iter().filter(|node| only.is_none_or(|id| node.id == id)).peekable();
    if meant.peek().is_none() {
        return vec!["no node has joined".to_owned()];
    }
    meant.filter_map(|node| behind(node, version)).collect()
}

/// Why a node does not enforce the version on all cores; nothing where it does.
fn behind(node: &Node, version: u64) -> Option<String> {
    if !node.connected {
        return Some(format!("node {} is not connected", title(node)));
    }
    let lagging: Vec<String> = (node.cores.iter().enumerate())
        .filter(|(_, core)| core.version < version)
        .map(|(index, core)| format!("core {index} version {}", core.version))
        .collect();
    if !node.cores.is_empty() && lagging.is_empty() {
        return None;
    }
    let cores = if lagging.is_empty() { "no version yet".to_owned() } else { lagging.join(", ") };
    let refused = match &node.refused {
        Some(why) => format!(" (it refused a snapshot: {why})"),
        None => String::new(),
    };
    Some(format!("node {} enforces {cores}{refused}", title(node)))
}

fn title(node: &Node) -> String {
    if node.name.is_empty() || node.name == node.id {
        node.id.clone()
    } else {
        format!("{} ({})", node.id, node.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn missing(nodes: serde_json::Value) -> Vec<String> {
        super::missing(&serde_json::from_value::<Vec<Node>>(nodes).unwrap(), 7, None)
    }

    #[test]
    fn a_node_that_is_away_is_named_beside_one_that_enforces_unless_another_one_is_meant() {
        let rows = json!([
            {"id": "a", "connected": true, "cores": [{"version": 7}]},
            {"id": "b", "name": "west", "connected": false, "cores": [{"version": 7}]},
        ]);
        assert_eq!(missing(rows.clone()), ["node b (west) is not connected"]);
        let nodes: Vec<Node> = serde_json::from_value(rows).unwrap();
        assert_eq!(super::missing(&nodes, 7, Some("a")), [""; 0]);
        assert_eq!(super::missing(&nodes, 7, Some("c")), ["no node has joined"]);
    }

    #[test]
    fn one_core_behind_is_enough_to_wait_for() {
        let at = |version: u64| json!({"epoch": 1, "version": version, "revision": 0});
        assert!(
            missing(json!([{"id": "a", "connected": true, "cores": [at(7), at(8)]}])).is_empty()
        );
        let lines = missing(json!([
            {"id": "a", "connected": true, "cores": [at(7), at(7)]},
            {"id": "b", "name": "west", "connected": true, "cores": [at(7), at(6)]},
        ]));
        assert_eq!(lines, ["node b (west) enforces core 1 version 6"]);
    }

    #[test]
    fn a_node_without_cores_and_a_control_plane_without_nodes_enforce_nothing() {
        assert_eq!(missing(json!([])), ["no node has joined"]);
        assert_eq!(missing(json!([{"id": "a", "connected": false}])), ["node a is not connected"]);
        let lines = missing(json!([{"id": "a", "connected": true, "cores": []}]));
        assert_eq!(lines, ["node a enforces no version yet"]);
    }
}
