//! Approvals: listed, shown, answered, withdrawn, justified.

mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use penstock_app::approvals::{Approval, Channel, Vote};
use penstock_app::{Action, Answer, Event, Requester, State as AppState};
use penstock_config::identity::Identity;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::backend::{Api, Failure};
use crate::body::{Arguments, Body, BodyIfAny};
use crate::caller::Caller;
use crate::listing::ByState;
use crate::problem::Problem;
use crate::sight::Sight;

pub(crate) use self::view::{ApprovalView, EndedView};

/// How wide a yes is. Without any of it: exactly the request that is held, once, or the access that
/// was asked for.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approve {
    /// Minutes from the first use, at most what the rules give.
    #[serde(default)]
    minutes: Option<u64>,
    /// Uses in all, the held request included, at most what the rules give.
    #[serde(default)]
    uses: Option<u64>,
    /// Fewer operations than were asked for.
    #[serde(default)]
    operations: Option<Vec<String>>,
}

/// Why not.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deny {
    /// What the requester reads, at most 1,024 bytes.
    reason: String,
}

/// Why somebody went ahead at once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Justify {
    /// In their words, at most 4,096 bytes.
    text: String,
}

/// Lists approvals, newest first: those of the caller, those that the caller may answer, and with
/// the role admin, operator, auditor or approver all of them.
#[utoipa::path(get, path = "/api/v1/approvals", tag = "approvals", params(ByState),
    responses((status = 200, body = Vec<ApprovalView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(by): Caller,
    Arguments(page): Arguments<ByState>,
) -> Result<Json<Vec<ApprovalView>>, Problem> {
    let state = api.state();
    let (wanted, approvals) = (page.state()?, &state.durable.approvals);
    let key = |one: &Approval| (one.asked_ms, one.id.clone());
    let after = match page.after() {
        Some(id) => Some(approvals.get(id).map(|one| key(one)).ok_or_else(unknown)?),
        None => None,
    };
    let mut rows: Vec<&Arc<Approval>> = approvals
        .values()
        .filter(|one| wanted.is_none_or(|wanted| state.shown_state(one) == wanted))
        .filter(|one| after.as_ref().is_none_or(|after| key(one) < *after))
        .collect();
    rows.sort_unstable_by(|a, b| (b.asked_ms, &b.id).cmp(&(a.asked_ms, &a.id)));
    let sight = Sight::new(&state, &by, Action::ReadApprovals);
    let visible = rows.into_iter().filter(|one| sight.sees_approval(one)).take(page.rows());
    Ok(Json(visible.map(|one| ApprovalView::new(&state, one, &sight)).collect()))
}

/// Shows one approval.
#[utoipa::path(get, path = "/api/v1/approvals/{id}", tag = "approvals",
    params(("id" = String, Path)),
    responses((status = 200, body = ApprovalView), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(id): Path<String>,
) -> Result<Json<ApprovalView>, Problem> {
    let state = api.state();
    let sight = Sight::new(&state, &by, Action::ReadApprovals);
    let found = state.durable.approvals.get(&id).filter(|one| sight.sees_approval(one));
    Ok(Json(ApprovalView::new(&state, found.ok_or_else(unknown)?, &sight)))
}

/// Answers yes. Where a quorum is not reached the approval stays pending.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/approve", tag = "approvals",
    params(("id" = String, Path)), request_body = Approve,
    responses((status = 200, body = ApprovalView),
        (status = 403, description = "`not_a_reviewer`, or `own_request`", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`approval_ended`, or `already_answered`", body = Problem),
        (status = 422, description = "`too_wide`: more than the rules give", body = Problem)))]
pub(crate) async fn approve(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(approval): Path<String>,
    BodyIfAny(how): BodyIfAny<Approve>,
) -> Result<Json<ApprovalView>, Problem> {
    let Approve { minutes, uses, operations } = how;
    let vote = Vote::Approve { minutes, uses, operations };
    let event = Event::Vote { by: by.clone(), approval, vote, channel: Channel::Api };
    answered(&api, &by, event).await
}

/// Answers no. That ends it, whatever others said.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/deny", tag = "approvals",
    params(("id" = String, Path)), request_body = Deny,
    responses((status = 200, body = ApprovalView),
        (status = 403, description = "`not_a_reviewer`, or `own_request`", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`approval_ended`, or `already_answered`", body = Problem)))]
pub(crate) async fn deny(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(approval): Path<String>,
    Body(Deny { reason }): Body<Deny>,
) -> Result<Json<ApprovalView>, Problem> {
    let vote = Vote::Deny { reason };
    let event = Event::Vote { by: by.clone(), approval, vote, channel: Channel::Api };
    answered(&api, &by, event).await
}

/// Withdraws what the caller asked for.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/withdraw", tag = "approvals",
    params(("id" = String, Path)),
    responses((status = 200, body = ApprovalView), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`approval_ended`", body = Problem)))]
pub(crate) async fn withdraw(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(approval): Path<String>,
) -> Result<Json<ApprovalView>, Problem> {
    let event = Event::Withdraw { by: by.clone(), approval };
    answered(&api, &by, event).await
}

/// Justifies that the caller went ahead at once.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/justify", tag = "approvals",
    params(("id" = String, Path)), request_body = Justify,
    responses((status = 200, body = ApprovalView), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`no_review`, or `approval_ended`", body = Problem)))]
pub(crate) async fn justify(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(approval): Path<String>,
    Body(Justify { text }): Body<Justify>,
) -> Result<Json<ApprovalView>, Problem> {
    let event = Event::Justify { by: by.clone(), approval, text };
    answered(&api, &by, event).await
}

/// Closes the review of somebody else who went ahead at once.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/close", tag = "approvals",
    params(("id" = String, Path)),
    responses((status = 200, body = ApprovalView),
        (status = 403, description = "`not_a_reviewer`, or `own_request`", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`no_review`, `not_justified` or `approval_ended`",
            body = Problem)))]
pub(crate) async fn close(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(approval): Path<String>,
) -> Result<Json<ApprovalView>, Problem> {
    let event = Event::CloseReview { by: by.clone(), approval };
    answered(&api, &by, event).await
}

/// Hands over an event about one approval, and shows what became of it.
pub(crate) async fn answered(
    api: &Api,
    by: &Requester,
    event: Event,
) -> Result<Json<ApprovalView>, Problem> {
    let answer = api.submit(event).await?;
    if let Answer::ApprovalEnded(state) = answer {
        return Err(Problem::approval_ended(state));
    }
    let Answer::Approval(id) = answer else { return Err(Failure::Unavailable.into()) };
    let state = api.state();
    // It is kept for a month: it can't be gone already.
    let approval = state.durable.approvals.get(&id).ok_or(Failure::Unavailable)?;
    let sight = Sight::new(&state, by, Action::ReadApprovals);
    Ok(Json(ApprovalView::new(&state, approval, &sight)))
}

/// An approval that somebody may see.
pub(crate) fn sees<'a>(state: &'a AppState, identity: &Identity, id: &str) -> Option<&'a Approval> {
    let found = state.durable.approvals.get(id);
    found.map(|one| &**one).filter(|one| state.may_see_approval(identity, one))
}

fn unknown() -> Problem {
    Problem::not_found("approval")
}
