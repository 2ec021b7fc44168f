//! Waits until the data planes enforce a version, or what was revoked.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::failure::{Exit, Failure};

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
    #[serde(default)]
    live_run: Option<String>,
}

/// What nodes must have acted on, as the answer to a revocation says it.
#[derive(Debug, Deserialize)]
pub(crate) struct Revoked {
    live_sequence: u64,
    /// The life of the control plane's process that counts the sequence.
    #[serde(default)]
    live_run: Option<String>,
}

impl Revoked {
    /// Whether a node has acted on it. One that has a sequence of another run has all that was in
    /// force when that run began, and what was answered in an earlier one was on disk by then.
    fn is_acted_on(&self, node: &Node) -> bool {
        let Some(sequence) = node.live_sequence else { return false };
        let another_run = match (&self.live_run, &node.live_run) {
            (Some(answered), Some(counted)) => answered != counted,
            (None, _) | (_, None) => false,
        };
        another_run || sequence >= self.live_sequence
    }
}

#[derive(Debug, Deserialize)]
struct Core {
    #[serde(flatten)]
    at: Issue,
}

/// Documents as they were issued; compared in field order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Issue {
    /// Their version.
    pub(crate) version: u64,
    /// Raised when the same documents are issued again.
    #[serde(default)]
    pub(crate) revision: u64,
}

/// Waits until every core of every node, or of that one, enforces the documents as they were issued
/// then, or later ones.
///
/// # Errors
/// The time is over: the nodes that don't enforce it, or are not connected, are named.
pub(crate) async fn wait(
    client: &Client,
    issue: Issue,
    timeout: Duration,
    only: Option<&str>,
) -> Result<(), Failure> {
    let lines = left_after(client, timeout, |nodes| missing(nodes, issue, only)).await?;
    if lines.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("version {} is not enforced everywhere", issue.version))
        .hint(
            "it is published: nodes take it as soon as they can; one that is gone for good is \
             removed by `penstock nodes delete ID`",
        )
        .details(lines))
}

/// Waits until every core of every node has acted on what ended at once.
///
/// # Errors
/// The time is over: the nodes that have not are named. Such a node ends what was granted by
/// itself once it has heard nothing for ten seconds.
pub(crate) async fn acted_on(
    client: &Client,
    revoked: &Revoked,
    timeout: Duration,
) -> Result<(), Failure> {
    let lines = left_after(client, timeout, |nodes| not_acted_on(nodes, revoked)).await?;
    if lines.is_empty() {
        return Ok(());
    }
    Err(Failure::failed("it is revoked, and not every node has acted on it")
        .hint(
            "a node that hears nothing ends what was granted by itself, ten seconds later unless \
             its settings say otherwise",
        )
        .details(lines))
}

/// Looks at the nodes until nothing is missing, or the time is over: then what still is. A control
/// plane that is away may be starting anew, and is asked again.
async fn left_after(
    client: &Client,
    timeout: Duration,
    missing: impl Fn(&[Node]) -> Vec<String>,
) -> Result<Vec<String>, Failure> {
    let began = Instant::now();
    loop {
        let looked = client.get("/api/v1/nodes").await;
        let is_over = began.elapsed() >= timeout;
        match looked {
            Ok(rows) => {
                let nodes: Vec<Node> = serde_json::from_value(rows).map_err(|error| {
                    Failure::failed(format!("the nodes can't be understood: {error}"))
                })?;
                let lines = missing(&nodes);
                if lines.is_empty() || is_over {
                    return Ok(lines);
                }
            }
            Err(failure) if is_over || failure.exit != Exit::Failed => return Err(failure),
            Err(_) => {}
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The nodes that have not acted on what was revoked, a line each.
fn not_acted_on(nodes: &[Node], revoked: &Revoked) -> Vec<String> {
    let behind = nodes.iter().filter(|node| !revoked.is_acted_on(node));
    behind.map(|node| format!("node {} has not acted on it", title(node))).collect()
}

/// What is still missing, a line a node.
fn missing(nodes: &[Node], issue: Issue, only: Option<&str>) -> Vec<String> {
    let mut meant = nodes.iter().filter(|node| only.is_none_or(|id| node.id == id)).peekable();
    if meant.peek().is_none() {
        return vec!["no node has joined".to_owned()];
    }
    meant.filter_map(|node| behind(node, issue)).collect()
}

/// Why a node does not enforce the documents on all cores; nothing where it does.
fn behind(node: &Node, issue: Issue) -> Option<String> {
    if !node.connected {
        return Some(format!("node {} is not connected", title(node)));
    }
    let lagging: Vec<String> = (node.cores.iter().enumerate())
        .filter(|(_, core)| core.at < issue)
        .map(|(index, core)| match core.at {
            Issue { version, revision } if version == issue.version => {
                format!("core {index} version {version}, issue {revision}")
            }
            Issue { version, .. } => format!("core {index} version {version}"),
        })
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

    const SEVEN: Issue = Issue { version: 7, revision: 0 };

    fn missing(nodes: serde_json::Value) -> Vec<String> {
        super::missing(&serde_json::from_value::<Vec<Node>>(nodes).unwrap(), SEVEN, None)
    }

    #[test]
    fn a_node_that_is_away_is_named_beside_one_that_enforces_unless_another_one_is_meant() {
        let rows = json!([
            {"id": "a", "connected": true, "cores": [{"version": 7}]},
            {"id": "b", "name": "west", "connected": false, "cores": [{"version": 7}]},
        ]);
        assert_eq!(missing(rows.clone()), ["node b (west) is not connected"]);
        let nodes: Vec<Node> = serde_json::from_value(rows).unwrap();
        assert_eq!(super::missing(&nodes, SEVEN, Some("a")), [""; 0]);
        assert_eq!(super::missing(&nodes, SEVEN, Some("c")), ["no node has joined"]);
    }

    #[test]
    fn another_run_of_the_control_plane_knows_of_the_revocation_once_a_node_has_a_sequence_of_it() {
        let left = |revoked: serde_json::Value, node: serde_json::Value| {
            let nodes: Vec<Node> = serde_json::from_value(json!([node])).unwrap();
            not_acted_on(&nodes, &serde_json::from_value(revoked).unwrap()).len()
        };
        let node = |sequence: Option<u64>, run: Option<&str>| {
            json!({"id": "a", "connected": true,
            "live_sequence": sequence, "live_run": run})
        };
        let revoked = json!({"live_sequence": 7, "live_run": "first"});
        assert_eq!(left(revoked.clone(), node(Some(6), Some("first"))), 1);
        assert_eq!(left(revoked.clone(), node(Some(7), Some("first"))), 0);
        assert_eq!(left(revoked.clone(), node(Some(0), Some("second"))), 0);
        // What a node heard last from the first run says nothing about the second.
        assert_eq!(left(revoked.clone(), node(None, None)), 1);
        assert_eq!(left(revoked.clone(), node(None, Some("second"))), 1);
        // Without the name of a run the sequence alone counts.
        assert_eq!(left(revoked, node(Some(6), None)), 1);
        assert_eq!(left(json!({"live_sequence": 7}), node(Some(6), Some("second"))), 1);
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
    fn documents_that_were_issued_again_are_waited_for() {
        let at = |revision: u64| {
            json!([{"id": "a", "connected": true,
                "cores": [{"epoch": 1, "version": 7, "revision": revision}]}])
        };
        let missing = |nodes: serde_json::Value| {
            let nodes: Vec<Node> = serde_json::from_value(nodes).unwrap();
            super::missing(&nodes, Issue { revision: 2, ..SEVEN }, None)
        };
        assert_eq!(missing(at(1)), ["node a enforces core 0 version 7, issue 1"]);
        assert!(missing(at(2)).is_empty());
    }

    #[test]
    fn a_node_without_cores_and_a_control_plane_without_nodes_enforce_nothing() {
        assert_eq!(missing(json!([])), ["no node has joined"]);
        assert_eq!(missing(json!([{"id": "a", "connected": false}])), ["node a is not connected"]);
        let lines = missing(json!([{"id": "a", "connected": true, "cores": []}]));
        assert_eq!(lines, ["node a enforces no version yet"]);
    }
}
