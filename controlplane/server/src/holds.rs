//! What nodes say about requests that need approval, and about what is open on them (see
//! `penstock_config::hold`).

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use penstock_api::{Failure, Problem};
use penstock_app::{Answer, Event, Refusal};
use penstock_config::hold::{ENDS_MAX, Ends, HoldAnswer, HoldRequest, OpenSessions, SESSIONS_MAX};

use crate::nodes::{NodeId, Nodes, body, internal};
use crate::random;

/// Largest report of open sessions: [`SESSIONS_MAX`] of usual size.
pub(crate) const SESSIONS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One request that needs approval: what is true of it now.
pub(crate) async fn hold(
    State(nodes): State<Nodes>,
    NodeId(node): NodeId,
    request: Result<Json<HoldRequest>, JsonRejection>,
) -> Result<Json<HoldAnswer>, Problem> {
    let request = Box::new(body(request)?);
    // The core has no randomness of its own: the ids of a new approval and its grant are these.
    let fresh = random::fresh().map_err(|error| internal("random", &error))?;
    let answer = nodes.handle.submit(Event::Hold { node, request, fresh }).await?;
    let Answer::Hold(answer) = answer else { return Err(Failure::Unavailable.into()) };
    Ok(Json(answer))
}

/// Held or granted exchanges are over.
pub(crate) async fn ends(
    State(nodes): State<Nodes>,
    NodeId(node): NodeId,
    request: Result<Json<Ends>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Ends { ends } = body(request)?;
    if ends.len() > ENDS_MAX {
        return Err(Refusal::Bounds.into());
    }
    nodes.handle.submit(Event::Ends { node, ends }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is open on a node now.
pub(crate) async fn sessions(
    State(nodes): State<Nodes>,
    NodeId(node): NodeId,
    request: Result<Json<OpenSessions>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let sessions = body(request)?;
    if sessions.sessions.len() > SESSIONS_MAX {
        return Err(Refusal::Bounds.into());
    }
    nodes.handle.submit(Event::OpenSessions { node, sessions }).await?;
    Ok(StatusCode::NO_CONTENT)
}
