//! Revocations: an identity, or one token. What was revoked is refused and cut on every node; what
//! nodes must have acted on is in each answer.

use axum::Json;
use axum::extract::State;
use penstock_app::event::TokenRef;
use penstock_app::{Event, State as AppState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::backend::Api;
use crate::body::Body;
use crate::caller::Caller;
use crate::problem::Problem;

/// What is revoked: exactly one of `issuer` with `subject`, `token_sha256`, `issuer` with
/// `token_id`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevocationBody {
    /// Name of the issuer document.
    #[serde(default)]
    issuer: Option<String>,
    /// The token's subject: its tokens of until now, its grants, what it asks for.
    #[serde(default)]
    subject: Option<String>,
    /// SHA-256 of one token, hex.
    #[serde(default)]
    token_sha256: Option<String>,
    /// `jti` of one token.
    #[serde(default)]
    token_id: Option<String>,
    /// Why, at most 1,024 bytes.
    #[serde(default)]
    reason: Option<String>,
}

/// What a node must have acted on until a revocation is enforced there: its `live_sequence` in the
/// list of nodes is this one or a higher one, of the same run. A node of a later `live_run` got all
/// that is revoked when it began.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiveView {
    /// The newest sequence.
    live_sequence: u64,
    /// The life of the control plane's process that counts it.
    live_run: String,
}

/// What nodes must have acted on for all that happened in this state.
pub(crate) fn live(state: &AppState) -> LiveView {
    let live_run = state.live_run().to_owned();
    LiveView { live_sequence: state.live_sequence(), live_run }
}

/// Revokes an identity or a token.
#[utoipa::path(post, path = "/api/v1/revocations", tag = "revocations",
    request_body = RevocationBody,
    responses((status = 200, body = LiveView), (status = 400, body = Problem),
        (status = 403, body = Problem)))]
pub(crate) async fn revoke(
    State(api): State<Api>,
    Caller(by): Caller,
    Body(body): Body<RevocationBody>,
) -> Result<Json<LiveView>, Problem> {
    let RevocationBody { issuer, subject, token_sha256, token_id, reason } = body;
    let event = match (issuer, subject, token_sha256, token_id) {
        (Some(issuer), Some(subject), None, None) => {
            Event::RevokeIdentity { by, issuer, subject, reason }
        }
        (None, None, Some(sha256), None) => {
            // As nodes write it: they compare text.
            let token = TokenRef::Sha256(sha256.to_ascii_lowercase());
            Event::RevokeToken { by, token, reason }
        }
        (Some(issuer), None, None, Some(id)) => {
            Event::RevokeToken { by, token: TokenRef::Id { issuer, id }, reason }
        }
        _ => {
            let detail = "name one of `issuer` with `subject`, `token_sha256`, `issuer` with \
                `token_id`";
            return Err(Problem::bad_request(detail));
        }
    };
    ended(&api, event).await
}

/// Hands over an event that ends something on nodes.
pub(crate) async fn ended(api: &Api, event: Event) -> Result<Json<LiveView>, Problem> {
    api.submit(event).await?;
    Ok(Json(live(&api.state())))
}
