//! What would be decided, and why.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use penstock_app::explain::{Explanation, Question, explain as explain_in_core};
use penstock_config::catalogue::Risk;
use penstock_config::identity::Intent;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::backend::Api;
use crate::body::Body;
use crate::caller::Caller;
use crate::problem::Problem;

/// Who would ask for what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainRequest {
    /// What `users` in rules match.
    user: String,
    /// Name of the issuer document; without it the only one, or that of the first run; else 400.
    #[serde(default)]
    issuer: Option<String>,
    /// Groups.
    #[serde(default)]
    groups: Option<Vec<String>>,
    /// Claims, for rules that name some.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    claims: Option<Map<String, Value>>,
    /// Method.
    method: String,
    /// Target as a caller would send it: `/llama/v1/models`.
    path: String,
    /// The body's text.
    #[serde(default)]
    body: Option<String>,
    /// What the token was asked for: `{"accesses": [{"connections", "operations", "models"}]}`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    intent: Option<Intent>,
    /// When it would be asked, milliseconds since the Unix epoch, since rules have hours; now where
    /// it is absent.
    #[serde(default)]
    at_ms: Option<u64>,
}

/// What would be decided, and why.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExplainAnswer {
    /// `allow`, `approve` or `deny`.
    decision: &'static str,
    /// Status that the gateway would answer; 200 where the request would pass.
    status: u16,
    /// Code of the gateway's error; none where the request would pass.
    code: Option<&'static str>,
    /// The rule that decides; none where no rule matches.
    rule: Option<String>,
    /// The rules whose reviewers must agree first; empty where nobody is asked.
    approve: Vec<String>,
    /// What the request does.
    operations: Vec<String>,
    /// How much harm it can do: `none`, `low`, `medium`, `high` or `critical`.
    #[schema(value_type = Option<String>)]
    risk: Option<Risk>,
    /// The model that it names.
    model: Option<String>,
    /// The connection that it is for.
    connection: Option<String>,
    /// In a sentence.
    message: String,
    /// How that came about.
    steps: Vec<String>,
}

/// Explains what would be decided about a request.
#[utoipa::path(post, path = "/api/v1/explain", tag = "explain", request_body = ExplainRequest,
    responses((status = 200, body = ExplainAnswer), (status = 403, body = Problem)))]
pub(crate) async fn explain(
    State(api): State<Api>,
    Caller(by): Caller,
    Body(request): Body<ExplainRequest>,
) -> Result<Json<ExplainAnswer>, Problem> {
    let ExplainRequest { user, issuer, groups, claims, method, path, body, intent, at_ms } =
        request;
    let at_ms = at_ms.unwrap_or_else(now_ms);
    let question = Question { user, issuer, groups, claims, method, path, body, intent, at_ms };
    let explained = explain_in_core(&api.state(), &by, &question)?;
    Ok(Json(ExplainAnswer {
        decision: decision(&explained),
        status: explained.status,
        code: explained.code,
        rule: explained.rule,
        approve: explained.approve,
        operations: explained.operations,
        risk: explained.risk,
        model: explained.model,
        connection: explained.connection,
        message: explained.message,
        steps: explained.steps,
    }))
}

fn decision(explained: &Explanation) -> &'static str {
    match (explained.allowed, explained.approve.is_empty()) {
        (true, _) => "allow",
        (false, false) => "approve",
        (false, true) => "deny",
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
