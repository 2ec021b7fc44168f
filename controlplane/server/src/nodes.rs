//! The node protocol (see `penstock_config::node`). Every call but `join` needs the certificate
//! that the state lists for a node.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use penstock_api::{Failure, Problem};
use penstock_app::event::Joined;
use penstock_app::vault::MasterKey;
use penstock_app::{Event, Refusal, hex, sha256_hex};
use penstock_config::node::{JoinAnswer, JoinRequest, NodeStatus, Position, UnknownKey};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::authority::Authority;
use crate::listener::Peer;
use crate::live::Heard;
use crate::log::{self, Level, now_ms};
use crate::worker::Handle;
use crate::{holds, leases, live, random};

/// Longest wait for a newer snapshot.
const WAIT_MS_MAX: u64 = 30_000;
/// Largest request to join, which a stranger may send.
const JOIN_BYTES_MAX: usize = 16 * 1024;
/// Largest body: a status with many upstreams.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What the protocol works with. Copies share it.
#[derive(Clone)]
pub(crate) struct Nodes {
    pub(crate) handle: Handle,
    pub(crate) authority: Arc<Authority>,
    pub(crate) master: Arc<MasterKey>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) heard: Heard,
}

/// What a node has, and how long it waits for more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    epoch: u64,
    version: u64,
    revision: u64,
    #[serde(default)]
    holds: String,
    #[serde(default)]
    wait_ms: u64,
}

/// A node with the certificate that the state lists.
pub(crate) struct NodeId(pub(crate) String);

pub(crate) fn router(nodes: Nodes) -> Router {
    Router::new()
        .route("/node/v1/join", post(join).layer(DefaultBodyLimit::max(JOIN_BYTES_MAX)))
        .route("/node/v1/snapshot", get(snapshot))
        .route(
            "/node/v1/leases",
            post(leases::leases).layer(DefaultBodyLimit::max(leases::LEASES_BYTES_MAX)),
        )
        .route("/node/v1/status", post(status))
        .route("/node/v1/unknown-key", post(unknown_key))
        .route("/node/v1/live", get(live::live))
        .route("/node/v1/holds", post(holds::hold))
        .route("/node/v1/ends", post(holds::ends))
        .route(
            "/node/v1/sessions",
            post(holds::sessions).layer(DefaultBodyLimit::max(holds::SESSIONS_BYTES_MAX)),
        )
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(nodes)
}

impl FromRequestParts<Nodes> for NodeId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, nodes: &Nodes) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().cloned().unwrap_or_default();
        let certificate = peer.certificate.ok_or_else(|| {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "no_certificate",
                "a node's certificate is needed",
            )
        })?;
        let state = nodes.handle.state();
        let has_it = |node: &Arc<str>| {
            let row = state.durable.nodes.get(&**node);
            row.is_some_and(|row| row.certificate_sha256 == *certificate)
        };
        if let Some(node) = peer.node.filter(has_it) {
            return Ok(Self(node.as_ref().to_owned()));
        }
        let node = state.node_with_certificate(&certificate).ok_or_else(unknown_node)?;
        Ok(Self(node.to_owned()))
    }
}

/// Never joined, or was removed.
pub(crate) fn unknown_node() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "unknown_node", "no node has this certificate")
}

/// A node joins: its token is spent, its public key is certified.
async fn join(
    State(nodes): State<Nodes>,
    request: Result<Json<JoinRequest>, JsonRejection>,
) -> Result<Json<JoinAnswer>, Problem> {
    let JoinRequest { token, csr_pem, name } = body(request)?;
    let token_sha256 = sha256_hex(token.as_bytes());
    // Asked before anything is signed, so that a stranger costs one hash; asked again by the core.
    if !nodes.handle.state().join_token_holds(&token_sha256, now_ms()) {
        return Err(Refusal::JoinToken.into());
    }
    let id = random::bytes::<8>().map_err(|error| internal("random", &error))?;
    let node = format!("node-{}", hex(&*id));
    let certificate = nodes.authority.sign_node(&csr_pem, &node).map_err(Problem::bad_request)?;
    let joined =
        Joined { token_sha256, node: node.clone(), name, certificate_sha256: certificate.sha256 };
    nodes.handle.submit(Event::NodeJoined(joined)).await?;
    log::line(Level::Info, "node_joined", &node);
    Ok(Json(JoinAnswer { node, certificate_pem: certificate.pem }))
}

/// The newest snapshot if the node has an older one, at once or as soon as there is one.
async fn snapshot(
    State(mut nodes): State<Nodes>,
    NodeId(node): NodeId,
    Query(held): Query<Held>,
) -> Result<Response, Problem> {
    let Held { epoch, version, revision, holds, wait_ms } = held;
    let held = Position { epoch, version, revision };
    let until = Instant::now() + Duration::from_millis(wait_ms.min(WAIT_MS_MAX));
    let mut states = nodes.handle.watch();
    loop {
        let state = states.borrow_and_update().clone();
        if !state.durable.nodes.contains_key(&node) {
            return Err(unknown_node());
        }
        if let Some(newest) = &state.durable.snapshot {
            if newest.position > held {
                let kind = [(header::CONTENT_TYPE, "application/json")];
                return Ok((kind, newest.bytes.to_vec()).into_response());
            }
            if newest.position < held {
                let detail = "the node has a newer snapshot than this control plane";
                return Err(Problem::new(StatusCode::CONFLICT, "node_ahead", detail));
            }
            if newest.position == held && !holds.is_empty() && holds != newest.sha256 {
                let detail = "the node has another snapshot of this position: one of the two was \
                    restored from a backup";
                return Err(Problem::new(StatusCode::CONFLICT, "node_diverged", detail));
            }
        }
        tokio::select! {
            changed = states.changed() => if changed.is_err() { break },
            () = tokio::time::sleep_until(until) => break,
            _ = nodes.stop.wait_for(|stop| *stop) => break,
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// How a node is.
async fn status(
    State(nodes): State<Nodes>,
    NodeId(node): NodeId,
    request: Result<Json<NodeStatus>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let status = body(request)?;
    nodes.handle.submit(Event::NodeStatus { node, status }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A node met a key id that no key has.
async fn unknown_key(
    State(nodes): State<Nodes>,
    _node: NodeId,
    request: Result<Json<UnknownKey>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let UnknownKey { issuer, kid } = body(request)?;
    nodes.handle.submit(Event::UnknownKey { issuer, kid }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is wrong with a body is said without a word of it.
pub(crate) fn body<T>(request: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    request.map(|Json(value)| value).map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large")
        } else {
            Problem::bad_request("the body is not the JSON that is expected")
        }
    })
}

pub(crate) fn internal(event: &'static str, text: &str) -> Problem {
    log::line(Level::Error, event, text);
    Failure::Unavailable.into()
}
