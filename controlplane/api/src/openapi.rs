//! The OpenAPI document, from the code.

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::{
    access_requests, acts, approvals, documents, explain, grants, login, nodes, notifications,
    problem, revocations, secrets, sessions, versions, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Penstock control plane",
        description = "Every call carries a token of a trusted issuer with audience penstock-api; \
            roles decide. Errors are application/problem+json (RFC 9457).",
        version = "v1",
        license(name = "Apache-2.0")
    ),
    paths(
        documents::apply,
        documents::list,
        documents::show,
        documents::delete,
        versions::list,
        versions::show,
        versions::roll_back,
        secrets::set,
        secrets::list,
        secrets::delete,
        explain::explain,
        nodes::list,
        nodes::remove,
        nodes::join_file,
        acts::list,
        login::list,
        approvals::list,
        approvals::show,
        approvals::approve,
        approvals::deny,
        approvals::withdraw,
        approvals::justify,
        approvals::close,
        access_requests::request,
        grants::list,
        grants::show,
        grants::revoke,
        grants::give_back,
        sessions::list,
        sessions::show,
        sessions::kill,
        revocations::revoke,
        notifications::list,
        notifications::retry,
        webhooks::answer
    ),
    components(schemas(problem::Problem)),
    modifiers(&Bearer)
)]
struct Document;

/// Every call carries a token.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
        document.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
    }
}

/// The OpenAPI document as JSON text.
pub fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Needs no token: it says nothing about this installation.
pub(crate) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document())
}
