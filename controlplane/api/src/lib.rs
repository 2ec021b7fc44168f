//! The REST interface. In: calls with a token, JSON within limits. Out: events for the core,
//! answers, problems (RFC 9457), the OpenAPI document. Never: SQL, a secret's value, or a word of a
//! token.

mod access_requests;
mod acts;
mod approvals;
pub mod backend;
mod body;
mod caller;
pub mod correspondence;
mod documents;
mod explain;
mod grants;
mod listing;
mod login;
mod nodes;
mod notifications;
mod openapi;
mod page;
mod problem;
mod revocations;
mod secrets;
mod sessions;
mod sight;
pub mod sign_in;
#[cfg(test)]
mod tests;
mod versions;
mod webhooks;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, delete, get, post, put};

pub use backend::{Api, Backend, Failure};
pub use openapi::document as openapi_document;
pub use problem::Problem;

/// Largest body of a call that carries documents or a request's body, in bytes.
pub const LARGE_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest body of any other call, in bytes: a secret's 16 KiB as escaped JSON.
pub const SMALL_BODY_BYTES_MAX: usize = 128 * 1024;

/// All routes.
pub fn router(api: Api) -> Router {
    let large = Router::new()
        .route("/api/v1/documents/apply", post(documents::apply))
        .route("/api/v1/explain", post(explain::explain))
        .layer(DefaultBodyLimit::max(LARGE_BODY_BYTES_MAX));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/openapi.json", get(openapi::serve))
        .route("/approvals/{id}", page())
        .route("/sign-in", get(sign_in::begin))
        .route("/sign-in/callback", get(sign_in::callback))
        .route("/api/v1/documents", get(documents::list))
        .route("/api/v1/documents/{kind}/{name}", get(documents::show).delete(documents::delete))
        .route("/api/v1/versions", get(versions::list))
        .route("/api/v1/versions/{version}", get(versions::show))
        .route("/api/v1/versions/{version}/rollback", post(versions::roll_back))
        .route("/api/v1/secrets", get(secrets::list))
        .route("/api/v1/secrets/{name}", put(secrets::set).delete(secrets::delete))
        .route("/api/v1/nodes", get(nodes::list))
        .route("/api/v1/nodes/{id}", delete(nodes::remove))
        .route("/api/v1/nodes/join-files", post(nodes::join_file))
        .route("/api/v1/acts", get(acts::list))
        .route("/api/v1/login", get(login::list))
        .merge(just_in_time())
        .merge(correspondence())
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES_MAX))
        .merge(large)
        .fallback(|| async { Problem::not_found("address") })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .with_state(api)
}

/// Approvals, grants, and what ends.
fn just_in_time() -> Router<Api> {
    Router::new()
        .route("/api/v1/approvals", get(approvals::list))
        .route("/api/v1/approvals/{id}", get(approvals::show))
        .route("/api/v1/approvals/{id}/approve", post(approvals::approve))
        .route("/api/v1/approvals/{id}/deny", post(approvals::deny))
        .route("/api/v1/approvals/{id}/withdraw", post(approvals::withdraw))
        .route("/api/v1/approvals/{id}/justify", post(approvals::justify))
        .route("/api/v1/approvals/{id}/close", post(approvals::close))
        .route("/api/v1/access-requests", post(access_requests::request))
        .route("/api/v1/grants", get(grants::list))
        .route("/api/v1/grants/{id}", get(grants::show))
        .route("/api/v1/grants/{id}/revoke", post(grants::revoke))
        .route("/api/v1/grants/{id}/return", post(grants::give_back))
        .route("/api/v1/sessions", get(sessions::list))
        .route("/api/v1/sessions/{id}", get(sessions::show))
        .route("/api/v1/sessions/{id}/kill", post(sessions::kill))
        .route("/api/v1/revocations", post(revocations::revoke))
}

/// Messages that went out, and answers to them.
fn correspondence() -> Router<Api> {
    let answer = post(webhooks::answer).layer(DefaultBodyLimit::max(webhooks::BODY_BYTES_MAX));
    Router::new()
        .route("/api/v1/notifications", get(notifications::list))
        .route("/api/v1/notifications/{id}/retry", post(notifications::retry))
        .route("/api/v1/webhooks/{name}/answers", answer)
}

/// The page that people answer on.
fn page() -> MethodRouter<Api> {
    let answer = post(page::answer).layer(DefaultBodyLimit::max(page::FORM_BYTES_MAX));
    answer.merge(get(page::show))
}

/// Says whether the one writer lives: without it nothing can be changed.
async fn healthz(State(api): State<Api>) -> (StatusCode, &'static str) {
    if api.is_working() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the writer has ended\n")
    }
}
