//! What is open on nodes now: exchanges that are held or run, as each node said within a second.

use axum::Json;
use axum::extract::{Path, State};
use penstock_app::{Action, Event};
use penstock_config::hold::OpenSession;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::backend::Api;
use crate::body::{Arguments, BodyIfAny};
use crate::caller::Caller;
use crate::listing::Paged;
use crate::problem::Problem;
use crate::revocations::{LiveView, ended};
use crate::sight::Sight;

/// One exchange that is open.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionView {
    /// Its id, as the header `penstock-session` says it.
    id: String,
    /// `held` where it waits for an approval, or `open`.
    state: &'static str,
    /// What rules call `user`.
    user: String,
    /// Name of the issuer document.
    issuer: String,
    /// The token's subject.
    subject: String,
    /// Name of the connection.
    connection: String,
    /// What it does.
    operations: Vec<String>,
    /// On which model.
    model: Option<String>,
    /// The rule that decided.
    rule: Option<String>,
    /// Grants that it runs under.
    grants: Vec<String>,
    /// The approval that it waits for.
    approval: Option<String>,
    /// When its head had come, milliseconds since the Unix epoch.
    begun_ms: u64,
    /// The caller's address.
    peer: String,
    /// The node that it is on.
    node: String,
}

/// Why.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kill {
    /// In words, at most 1,024 bytes.
    #[serde(default)]
    reason: Option<String>,
}

impl SessionView {
    fn new(node: &str, open: &OpenSession) -> Self {
        let open = open.clone();
        Self {
            state: if open.approval.is_some() && open.grants.is_empty() { "held" } else { "open" },
            id: open.session,
            user: open.user,
            issuer: open.issuer,
            subject: open.subject,
            connection: open.connection,
            operations: open.operations,
            model: open.model,
            rule: open.rule,
            grants: open.grants,
            approval: open.approval,
            begun_ms: open.begun_ms,
            peer: open.peer,
            node: node.to_owned(),
        }
    }
}

/// Lists open exchanges, newest first: those of the caller, and with the role admin,
/// operator, auditor or approver all of them. A node tells of its newest 5,000.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", params(Paged),
    responses((status = 200, body = Vec<SessionView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(by): Caller,
    Arguments(page): Arguments<Paged>,
) -> Result<Json<Vec<SessionView>>, Problem> {
    let state = api.state();
    let sight = Sight::new(&state, &by, Action::ReadSessions);
    let mut rows: Vec<(&str, &OpenSession)> =
        state.open_sessions().filter(|(_, open)| sight.sees_session(open)).collect();
    rows.sort_unstable_by(|(_, a), (_, b)| (b.begun_ms, &b.session).cmp(&(a.begun_ms, &a.session)));
    let rows = rows.into_iter().take(page.rows());
    Ok(Json(rows.map(|(node, open)| SessionView::new(node, open)).collect()))
}

/// Shows one open exchange.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", tag = "sessions",
    params(("id" = String, Path)),
    responses((status = 200, body = SessionView), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(id): Path<String>,
) -> Result<Json<SessionView>, Problem> {
    let state = api.state();
    let sight = Sight::new(&state, &by, Action::ReadSessions);
    let found = state.open_session(&id).filter(|(_, open)| sight.sees_session(open));
    let (node, open) = found.ok_or_else(|| Problem::not_found("session"))?;
    Ok(Json(SessionView::new(node, open)))
}

/// Kills an exchange: it is cut wherever it is.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/kill", tag = "sessions",
    params(("id" = String, Path)), request_body = Kill,
    responses((status = 200, body = LiveView), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
pub(crate) async fn kill(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(session): Path<String>,
    BodyIfAny(Kill { reason }): BodyIfAny<Kill>,
) -> Result<Json<LiveView>, Problem> {
    ended(&api, Event::KillSession { by, session, reason }).await
}
