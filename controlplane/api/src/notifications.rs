//! Messages that went out, wait, or were given up.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use penstock_app::Action;
use penstock_app::outbox::{OutboxState, Outgoing, event_name};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::backend::Api;
use crate::body::Arguments;
use crate::caller::Caller;
use crate::correspondence::Retried;
use crate::problem::Problem;

/// Most rows of one listing, and the number where none is given.
const ROWS_MAX: u32 = 1_000;

/// Which messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// `pending`, `delivered` or `dead`; all when absent.
    #[serde(default)]
    state: Option<String>,
    /// At most so many; 1,000 at most.
    #[serde(default)]
    limit: Option<u32>,
}

/// One message to one recipient, without its text.
#[derive(Serialize, ToSchema)]
pub(crate) struct NotificationView {
    /// Its id: the `webhook-id`.
    id: String,
    /// `pending`, `delivered` or `dead`.
    state: &'static str,
    /// The channel's document: `webhook/bridge`.
    channel: String,
    /// The address of a mail.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    recipient: String,
    /// What it tells of.
    event: &'static str,
    /// The approval that it is about.
    approval: String,
    /// When it happened, milliseconds since the Unix epoch.
    created_ms: u64,
    /// Tries that were begun.
    attempts: u32,
    /// When the next one is due, milliseconds since the Unix epoch; none where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_ms: Option<u64>,
    /// Why the last try failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    problem: String,
}

/// Lists messages, newest first.
#[utoipa::path(get, path = "/api/v1/notifications", tag = "notifications", params(Which),
    responses((status = 200, body = Vec<NotificationView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Arguments(Which { state, limit }): Arguments<Which>,
) -> Result<Json<Vec<NotificationView>>, Problem> {
    caller.may(&api.state(), Action::ReadNotifications)?;
    let state = state.map(|name| named(&name)).transpose()?;
    let rows = api.notifications(state, limit.unwrap_or(ROWS_MAX).min(ROWS_MAX)).await?;
    Ok(Json(rows.into_iter().map(view).collect()))
}

/// Makes a message that was given up due again, with all of its tries.
#[utoipa::path(post, path = "/api/v1/notifications/{id}/retry", tag = "notifications",
    params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn retry(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.may(&api.state(), Action::RetryNotifications)?;
    match api.retry_notification(caller.0, id).await? {
        Retried::Due => Ok(StatusCode::NO_CONTENT),
        Retried::NotDead => {
            let detail = "it was not given up: it is delivered, or will be tried again by itself";
            Err(Problem::new(StatusCode::CONFLICT, "not_dead", detail))
        }
        Retried::Unknown => Err(Problem::not_found("notification")),
    }
}

fn named(name: &str) -> Result<OutboxState, Problem> {
    let problem = || Problem::bad_request("`state` is one of pending, delivered, dead");
    OutboxState::named(name).ok_or_else(problem)
}

fn view(row: Outgoing) -> NotificationView {
    NotificationView {
        channel: row.channel_key(),
        state: row.state.name(),
        event: event_name(row.event),
        next_ms: (row.state == OutboxState::Pending).then_some(row.next_ms),
        id: row.id,
        recipient: row.recipient,
        approval: row.approval,
        created_ms: row.created_ms,
        attempts: row.attempts,
        problem: row.problem,
    }
}
