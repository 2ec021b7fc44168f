//! Grants: listed, shown, revoked, given back.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use penstock_app::event::GrantEnd;
use penstock_app::grants::Grant;
use penstock_app::{Action, Answer, Event, State as AppState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::approvals::EndedView;
use crate::backend::{Api, Failure};
use crate::body::{Arguments, BodyIfAny};
use crate::caller::Caller;
use crate::listing::ByState;
use crate::problem::Problem;
use crate::revocations::{LiveView, live};
use crate::sight::Sight;

/// One grant.
#[derive(Serialize, ToSchema)]
pub(crate) struct GrantView {
    /// Its id.
    id: String,
    /// `approved` before its first use, `active`, `spent`, `expired` or `revoked`. A spent one may
    /// still run, and be revoked.
    state: &'static str,
    /// Whose it is: what rules call `user`.
    user: String,
    /// Name of the issuer document.
    issuer: String,
    /// The token's subject.
    subject: String,
    /// Name of the connection.
    connection: String,
    /// What it is good for.
    operations: Vec<String>,
    /// On which models: names, and globs where it was asked for ahead of time.
    models: Vec<String>,
    /// Whether it is good for requests that name no model.
    or_unnamed: bool,
    /// The one request that it is good for, by digest; any that fits where it is absent.
    digest: Option<String>,
    /// Names of the rules that it satisfies.
    rules: Vec<String>,
    /// Uses that are taken.
    uses: u64,
    /// Uses in all.
    uses_max: u64,
    /// Time from its first use, in minutes.
    minutes: u64,
    /// When it was given, milliseconds since the Unix epoch.
    granted_ms: u64,
    /// From then on it can't be used for the first time, milliseconds since the Unix epoch.
    use_by_ms: u64,
    /// When it was first used, milliseconds since the Unix epoch.
    first_used_ms: Option<u64>,
    /// When it ends, milliseconds since the Unix epoch; none before its first use.
    ends_ms: Option<u64>,
    /// The approval that gave it.
    approval: String,
    /// Whether somebody went ahead at once.
    break_glass: bool,
    /// The grant that it extends.
    extends: Option<String>,
    /// How it ended.
    ended: Option<EndedView>,
}

/// A grant that was ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct GrantEndedView {
    /// The grant as it is now.
    #[serde(flatten)]
    grant: GrantView,
    /// What nodes must have acted on.
    #[serde(flatten)]
    live: LiveView,
}

/// Why.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revoke {
    /// In words, at most 1,024 bytes.
    #[serde(default)]
    reason: Option<String>,
}

impl GrantView {
    fn new(state: &AppState, grant: &Grant) -> Self {
        let grant = grant.clone();
        Self {
            state: state.shown_grant_state(&grant).name(),
            id: grant.id,
            user: grant.user,
            issuer: grant.owner.issuer,
            subject: grant.owner.subject,
            connection: grant.connection,
            operations: grant.operations,
            models: grant.models.names,
            or_unnamed: grant.models.or_unnamed,
            digest: grant.digest,
            rules: grant.rules,
            uses: grant.uses,
            uses_max: grant.uses_max,
            minutes: grant.minutes,
            granted_ms: grant.granted_ms,
            use_by_ms: grant.use_by_ms,
            first_used_ms: grant.first_used_ms,
            ends_ms: grant.ends_ms,
            approval: grant.approval,
            break_glass: grant.is_break_glass,
            extends: grant.extends,
            ended: grant.ended.as_ref().map(EndedView::from),
        }
    }
}

/// Lists grants, newest first: those of the caller, those of approvals that the caller may answer,
/// and with the role admin, operator, auditor or approver all of them.
#[utoipa::path(get, path = "/api/v1/grants", tag = "grants", params(ByState),
    responses((status = 200, body = Vec<GrantView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(by): Caller,
    Arguments(page): Arguments<ByState>,
) -> Result<Json<Vec<GrantView>>, Problem> {
    let state = api.state();
    let (wanted, grants) = (page.state()?, &state.durable.grants);
    let key = |one: &Grant| (one.granted_ms, one.id.clone());
    let after = match page.after() {
        Some(id) => Some(grants.get(id).map(|one| key(one)).ok_or_else(unknown)?),
        None => None,
    };
    let mut rows: Vec<&Arc<Grant>> = grants
        .values()
        .filter(|one| wanted.is_none_or(|wanted| state.shown_grant_state(one) == wanted))
        .filter(|one| after.as_ref().is_none_or(|after| key(one) < *after))
        .collect();
    rows.sort_unstable_by(|a, b| (b.granted_ms, &b.id).cmp(&(a.granted_ms, &a.id)));
    let sight = Sight::new(&state, &by, Action::ReadApprovals);
    let visible = rows.into_iter().filter(|one| sight.sees_grant(one));
    Ok(Json(visible.take(page.rows()).map(|one| GrantView::new(&state, one)).collect()))
}

/// Shows one grant.
#[utoipa::path(get, path = "/api/v1/grants/{id}", tag = "grants",
    params(("id" = String, Path)),
    responses((status = 200, body = GrantView), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(id): Path<String>,
) -> Result<Json<GrantView>, Problem> {
    let state = api.state();
    let sight = Sight::new(&state, &by, Action::ReadApprovals);
    let grant = state.durable.grants.get(&id).filter(|one| sight.sees_grant(one));
    Ok(Json(GrantView::new(&state, grant.ok_or_else(unknown)?)))
}

/// Revokes a grant: no request begins under it any more, and what runs under it is cut.
#[utoipa::path(post, path = "/api/v1/grants/{id}/revoke", tag = "grants",
    params(("id" = String, Path)), request_body = Revoke,
    responses((status = 200, body = GrantEndedView), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`approval_ended`: it is over", body = Problem)))]
pub(crate) async fn revoke(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(grant): Path<String>,
    BodyIfAny(Revoke { reason }): BodyIfAny<Revoke>,
) -> Result<Json<GrantEndedView>, Problem> {
    end(&api, Event::EndGrant { by, grant, how: GrantEnd::Revoke, reason }).await
}

/// Gives the caller's own grant back.
#[utoipa::path(post, path = "/api/v1/grants/{id}/return", tag = "grants",
    params(("id" = String, Path)),
    responses((status = 200, body = GrantEndedView), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`approval_ended`: it is over", body = Problem)))]
pub(crate) async fn give_back(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(grant): Path<String>,
) -> Result<Json<GrantEndedView>, Problem> {
    end(&api, Event::EndGrant { by, grant, how: GrantEnd::GiveBack, reason: None }).await
}

async fn end(api: &Api, event: Event) -> Result<Json<GrantEndedView>, Problem> {
    let answer = api.submit(event).await?;
    let Answer::Grant(id) = answer else { return Err(Failure::Unavailable.into()) };
    let state = api.state();
    // It is kept as long as its approval: it can't be gone already.
    let grant = state.durable.grants.get(&id).ok_or(Failure::Unavailable)?;
    let grant = GrantView::new(&state, grant);
    Ok(Json(GrantEndedView { grant, live: live(&state) }))
}

fn unknown() -> Problem {
    Problem::not_found("grant")
}
