//! The REST interface. In: calls with a token, JSON within limits. Out: events for the core,
//! answers, problems (RFC 9457), the OpenAPI document. Never: SQL, a secret's value, or a word of a
//! token.

mod acts;
pub mod backend;
mod body;
mod caller;
mod documents;
mod explain;
mod nodes;
mod openapi;
mod problem;
mod secrets;
#[cfg(test)]
mod tests;
mod versions;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};

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
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES_MAX))
        .merge(large)
        .fallback(|| async { Problem::not_found("address") })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .with_state(api)
}

/// Says whether the one writer lives: without it nothing can be changed.
async fn healthz(State(api): State<Api>) -> (StatusCode, &'static str) {
    if api.is_working() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the writer has ended\n")
    }
}
