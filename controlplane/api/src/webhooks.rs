//! Answers of systems: signed messages instead of tokens. The body is verified as it came, before a
//! word of it is read.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use penstock_app::approvals::{Channel, Vote};
use penstock_app::state::DocumentKey;
use penstock_app::{Answer, Event, Requester};
use penstock_config::documents::{Document, ServiceIdentity};
use penstock_config::hold::REASON_BYTES_MAX;
use penstock_config::identity::Identity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::backend::{Api, Failure};
use crate::body;
use crate::correspondence::{OnceAnswer, OnceOnly, PeerAddress, SignedMessage};
use crate::problem::Problem;

/// Largest body, in bytes (Standard Webhooks: below 20 KB).
pub(crate) const BODY_BYTES_MAX: usize = 20_000;
/// Most characters of `on_behalf_of`.
const BEHALF_CHARACTERS_MAX: usize = 256;
/// How long an address is told to wait, in seconds.
const WAIT_S: &str = "60";

/// Yes or no.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum YesOrNo {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

/// What a system answers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookAnswer {
    /// Id of the approval.
    approval: String,
    /// `approve` or `deny`.
    answer: YesOrNo,
    /// Why: needed for a no, whose requester reads it; not kept with a yes.
    #[serde(default)]
    reason: Option<String>,
    /// Minutes that are given, within the rule; with a yes alone.
    #[serde(default)]
    minutes: Option<u64>,
    /// Uses that are given, within the rule; with a yes alone.
    #[serde(default)]
    uses: Option<u64>,
    /// In whose name: recorded, and not counted as a person.
    #[serde(default)]
    on_behalf_of: Option<String>,
}

/// Where the approval stands after an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnsweredView {
    /// Id of the approval.
    id: String,
    /// Its state.
    state: &'static str,
}

/// Why an answer is not taken.
enum Rejected {
    /// Nobody in force signed it, or not now.
    Forged,
    /// The rest.
    Problem(Problem),
}

impl From<Problem> for Rejected {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Failure> for Rejected {
    fn from(failure: Failure) -> Self {
        Self::Problem(failure.into())
    }
}

/// Answers an approval as the service identity of a webhook's document (`answers_as`). No token:
/// headers `webhook-id`, `webhook-timestamp`, `webhook-signature` by Standard Webhooks, with the
/// document's secret, at most 5 minutes old. A message that was answered, or refused by the rules,
/// is 409 `replayed` the second time. After a 503 the same message may be sent again.
#[utoipa::path(post, path = "/api/v1/webhooks/{name}/answers", tag = "webhooks", security(()),
    params(
        ("name" = String, Path, description = "Name of the webhook's document"),
        ("webhook-id" = String, Header),
        ("webhook-timestamp" = String, Header),
        ("webhook-signature" = String, Header),
    ),
    request_body = WebhookAnswer,
    responses((status = 200, body = AnsweredView), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
pub(crate) async fn answer(
    State(api): State<Api>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let address = request.extensions().get::<PeerAddress>().map(|address| address.0);
    match take(&api, name, request).await {
        Ok(view) => Json(view).into_response(),
        Err(Rejected::Forged) => forged(&api, address),
        Err(Rejected::Problem(problem)) => problem.into_response(),
    }
}

/// One that holds is never held up by those that don't.
fn forged(api: &Api, address: Option<IpAddr>) -> Response {
    if api.fails_too_often(address) {
        let detail = "too many answers that do not hold came from this address";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        return ([(header::RETRY_AFTER, WAIT_S)], problem).into_response();
    }
    let detail = "no webhook of this name signed this, or not within 5 minutes of now";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail).into_response()
}

async fn take(api: &Api, webhook: String, request: Request) -> Result<AnsweredView, Rejected> {
    let headers = request.headers().clone();
    let bytes = body::bytes(request, &()).await?;
    let message = SignedMessage {
        id: only(&headers, "webhook-id").ok_or(Rejected::Forged)?,
        timestamp: only(&headers, "webhook-timestamp").ok_or(Rejected::Forged)?,
        signature: only(&headers, "webhook-signature").ok_or(Rejected::Forged)?,
        body: &bytes,
    };
    if !api.is_signed(&webhook, &message) {
        return Err(Rejected::Forged);
    }
    let identity = answers_as(api, &webhook)?;
    let answer: WebhookAnswer = body::parse(&bytes)?;
    let (approval, on_behalf_of) = (answer.approval.clone(), answer.on_behalf_of.clone());
    let vote = vote(answer)?;
    let once = OnceOnly::Message { webhook: webhook.clone(), id: message.id.to_owned() };
    let event = Event::Vote {
        by: Requester::Identity(Box::new(identity)),
        approval,
        vote,
        channel: Channel::Webhook { name: webhook, on_behalf_of },
    };
    match api.submit_once(once, event).await? {
        OnceAnswer::Used(answer) => answered(api, answer),
        OnceAnswer::NotUsable => {
            let detail = "this message was answered already";
            Err(Problem::new(StatusCode::CONFLICT, "replayed", detail).into())
        }
        OnceAnswer::TooMany => {
            let detail = "too many messages of this webhook within its window";
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).into())
        }
    }
}

/// The one value of a header.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// As whom the webhook answers.
fn answers_as(api: &Api, webhook: &str) -> Result<Identity, Problem> {
    let state = api.state();
    let key = DocumentKey { kind: "webhook", name: webhook.to_owned() };
    let document = state.durable.documents.get(&key).map(|stored| &stored.document);
    let Some(Document::Webhook(webhook)) = document else {
        return Err(Problem::not_found("webhook"));
    };
    let Some(ServiceIdentity { issuer, subject, groups }) = webhook.answers_as.clone() else {
        let detail = "this webhook is told of approvals, and does not answer: its document has no \
                      `answers_as`";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    };
    Ok(Identity { issuer, user: subject.clone(), subject, groups, ..Identity::default() })
}

fn vote(answer: WebhookAnswer) -> Result<Vote, Problem> {
    let WebhookAnswer { answer, reason, minutes, uses, on_behalf_of, .. } = answer;
    let plain = |text: &str| !text.chars().any(char::is_control);
    let fits = |text: &str| text.chars().count() <= BEHALF_CHARACTERS_MAX && plain(text);
    if !on_behalf_of.as_deref().is_none_or(fits) {
        return Err(unprocessable("`on_behalf_of` is longer than 256 characters, or not plain"));
    }
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(unprocessable("`reason` is longer than 1024 bytes"));
    }
    match answer {
        YesOrNo::Approve => Ok(Vote::Approve { minutes, uses, operations: None }),
        YesOrNo::Deny if minutes.is_some() || uses.is_some() => {
            Err(unprocessable("a no gives neither `minutes` nor `uses`"))
        }
        YesOrNo::Deny => match reason.filter(|reason| !reason.trim().is_empty()) {
            Some(reason) => Ok(Vote::Deny { reason }),
            None => Err(unprocessable("a no needs a `reason`")),
        },
    }
}

fn answered(api: &Api, answer: Answer) -> Result<AnsweredView, Rejected> {
    let id = match answer {
        Answer::Approval(id) => id,
        Answer::ApprovalEnded(state) => return Err(Problem::approval_ended(state).into()),
        Answer::Done
        | Answer::Applied(_)
        | Answer::Version(_)
        | Answer::Hold(_)
        | Answer::Grant(_)
        | Answer::Exchanged(_) => return Err(Failure::Unavailable.into()),
    };
    let state = api.state();
    let approval = state.durable.approvals.get(&id).ok_or(Failure::Unavailable)?;
    Ok(AnsweredView { state: state.shown_state(approval).name(), id })
}

fn unprocessable(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "out_of_bounds", detail)
}
