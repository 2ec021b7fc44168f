//! Nodes, and the files with which they join.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use penstock_app::state::Node;
use penstock_app::{Action, Event, State as AppState};
use penstock_config::node::{JoinFile, Position, UpstreamStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::backend::{Api, Backend};
use crate::caller::Caller;
use crate::problem::Problem;

/// Where a snapshot stands in the order of snapshots.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub(crate) struct PositionView {
    /// Raised when a control plane starts over from a backup.
    epoch: u64,
    /// Version of the documents.
    version: u64,
    /// Raised when the same documents are issued again.
    revision: u64,
}

/// One endpoint of one connection, seen from one node.
#[derive(Serialize, ToSchema)]
pub(crate) struct UpstreamView {
    /// Name of the connection.
    connection: String,
    /// `host:port`.
    endpoint: String,
    /// `unknown`, `up` or `down`.
    state: String,
}

/// One data plane.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodeView {
    /// Its id.
    id: String,
    /// The name that it asked for.
    name: String,
    /// Whether it has a connection open.
    connected: bool,
    /// When it last said how it is, or joined, milliseconds since the Unix epoch.
    last_seen_ms: u64,
    /// What each core enforces, by core index.
    cores: Vec<PositionView>,
    /// What all of its cores enforce; none before its first report.
    position: Option<PositionView>,
    /// When the last of its cores took that position, milliseconds since the Unix epoch.
    enforced_at_ms: Option<u64>,
    /// Endpoints and how they do.
    upstreams: Vec<UpstreamView>,
    /// Version of its program.
    program: Option<String>,
    /// Address that callers reach.
    listen: Option<String>,
    /// A snapshot that it refused, and why.
    refused: Option<String>,
    /// What all of its cores have acted on of what ends at once: they enforce a revocation that was
    /// answered with this `live_sequence` or a lower one. None before they have all that was in
    /// force when this run of the control plane began.
    live_sequence: Option<u64>,
    /// The run that counts it: whoever has this one's sequence enforces all of an earlier run.
    live_run: Option<String>,
    /// When it last asked for what ended, milliseconds since the Unix epoch: every 2 s where all is
    /// well.
    live_seen_ms: Option<u64>,
}

/// A key that snapshots may be signed with.
#[derive(Serialize, ToSchema)]
pub(crate) struct SnapshotKeyView {
    /// Key id.
    id: String,
    /// Ed25519 public key, base64.
    public: String,
}

/// The file with which a node joins. Its token works once, for an hour.
#[derive(Serialize, ToSchema)]
pub(crate) struct JoinFileView {
    /// `https://host:port` of the control plane's node address.
    url: String,
    /// SHA-256 of the DER of the certificate authority's certificate, hex.
    ca_sha256: String,
    /// The certificate authority's certificate, PEM.
    ca_pem: String,
    /// Keys that snapshots may be signed with.
    snapshot_keys: Vec<SnapshotKeyView>,
    /// One-time token.
    token: String,
    /// Cluster that the node joins.
    cluster: String,
}

impl From<Position> for PositionView {
    fn from(position: Position) -> Self {
        let Position { epoch, version, revision } = position;
        Self { epoch, version, revision }
    }
}

impl From<&UpstreamStatus> for UpstreamView {
    fn from(upstream: &UpstreamStatus) -> Self {
        let UpstreamStatus { connection, endpoint, state } = upstream.clone();
        Self { connection, endpoint, state }
    }
}

/// Lists nodes: what each core enforces, and how upstreams do.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes",
    responses((status = 200, body = Vec<NodeView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<Vec<NodeView>>, Problem> {
    let state = api.state();
    caller.may(&state, Action::ReadNodes)?;
    let nodes = state.durable.nodes.iter().map(|(id, node)| view(&*api, &state, id, node));
    Ok(Json(nodes.collect()))
}

fn view(api: &dyn Backend, state: &AppState, id: &str, node: &Node) -> NodeView {
    let (seen, heard) = (state.statuses.get(id), api.heard(id));
    let live_sequence = heard.and_then(|heard| heard.sequence);
    let status = seen.map(|seen| &seen.status);
    let cores = status.map(|status| status.cores.as_slice()).unwrap_or_default();
    NodeView {
        id: id.to_owned(),
        name: node.name.clone(),
        connected: api.is_connected(id),
        last_seen_ms: seen.map_or(node.joined_ms, |seen| seen.at_ms),
        cores: cores.iter().map(|position| (*position).into()).collect(),
        position: cores.iter().min().map(|position| (*position).into()),
        enforced_at_ms: status.map(|status| status.enforced_at_ms).filter(|at_ms| *at_ms > 0),
        upstreams: status
            .map(|status| status.upstreams.iter().map(UpstreamView::from).collect())
            .unwrap_or_default(),
        program: status.map(|status| status.program.clone()),
        listen: status.map(|status| status.listen.clone()),
        refused: status.and_then(|status| status.refused.clone()),
        live_sequence,
        live_run: live_sequence.map(|_| state.live_run().to_owned()),
        live_seen_ms: heard.map(|heard| heard.seen_ms),
    }
}

/// Removes a node: its certificate is a stranger's from then on, and it gets no more snapshots or
/// secrets. What it has, it enforces until its snapshot expires: end its process as well.
#[utoipa::path(delete, path = "/api/v1/nodes/{id}", tag = "nodes",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(node): Path<String>,
) -> Result<StatusCode, Problem> {
    api.submit(Event::RemoveNode { by, node }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Issues a join file. Whoever holds it can make a node, and a node gets the secrets of the
/// connections in force: keep it like a secret.
#[utoipa::path(post, path = "/api/v1/nodes/join-files", tag = "nodes",
    responses((status = 200, body = JoinFileView)))]
pub(crate) async fn join_file(
    State(api): State<Api>,
    Caller(by): Caller,
) -> Result<([(HeaderName, &'static str); 1], Json<JoinFile>), Problem> {
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(api.join_file(by).await?)))
}
