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
}

#[derive(Debug, Deserialize)]
struct Core {
    version: u64,
}

/// Where the nodes stand.
enum Progress {
    /// Every core of every connected node enforces it; the names of nodes that are away.
    Done(Vec<String>),
    /// What is still missing, a line a node.
    Behind(Vec<String>),
}

/// Waits until every core of every connected node enforces the version, or a later one. Returns the
/// names of nodes that are not connected.
///
/// # Errors
/// The time is over: the nodes that don't enforce it are named.
pub(crate) async fn wait(
    client: &Client,
    version: u64,
    timeout: Duration,
) -> Result<Vec<String>, Failure> {
    let began = Instant::now();
    loop {
        let rows = client.get("/api/v1/nodes").await?;
        let nodes: Vec<Node> = serde_json::from_value(rows)
            .map_err(|error| Failure::failed(format!("the nodes can't be understood: {error}")))?;
        match progress(&nodes, version) {
            Progress::Done(away) => return Ok(away),
            Progress::Behind(lines) if began.elapsed() >= timeout => {
                return Err(Failure::failed(format!(
                    "version {version} is not enforced everywhere"
                ))
                .hint("it is published: the nodes take it as soon as they can")
                .details(lines));
            }
            Progress::Behind(_) => sleep(LOOK_EVERY).await,
        }
    }
}

fn progress(nodes: &[Node], version: u64) -> Progress {
    let connected: Vec<&Node> = nodes.iter().filter(|node| node.connected).collect();
    let mut behind: Vec<String> =
        connected.iter().filter_map(|node| behind(node, version)).collect();
    let away = nodes.iter().filter(|node| !node.connected).map(title);
    if connected.is_empty() {
        behind.extend(away.clone().map(|node| format!("node {node} is not connected")));
        if nodes.is_empty() {
            behind.push("no node has joined".to_owned());
        }
    }
    if behind.is_empty() { Progress::Done(away.collect()) } else { Progress::Behind(behind) }
}

/// Why a connected node does not enforce the version on all cores; nothing where it does.
fn behind(node: &Node, version: u64) -> Option<String> {
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
        match progress(&serde_json::from_value::<Vec<Node>>(nodes).unwrap(), 7) {
            Progress::Done(_) => Vec::new(),
            Progress::Behind(lines) => lines,
        }
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
