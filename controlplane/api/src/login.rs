//! Where people sign in: what `penstock login` needs to know before anybody has a token.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::backend::Api;

/// An issuer that people sign in with.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignInView {
    /// Name of the issuer document.
    name: String,
    /// The issuer's URL: discovery is below it.
    issuer: String,
    /// The public client (RFC 8252) that the sign-in is made with. It is no secret.
    client_id: String,
}

/// Lists the issuers in force that people can sign in with: those whose document has a `client_id`.
/// Needs no token; who has none yet must know where to get one.
#[utoipa::path(get, path = "/api/v1/login", tag = "login", security(()),
    responses((status = 200, body = Vec<SignInView>)))]
pub(crate) async fn list(State(api): State<Api>) -> Json<Vec<SignInView>> {
    let state = api.state();
    let views = state.issuers().filter_map(|issuer| {
        Some(SignInView {
            name: issuer.name.clone(),
            issuer: issuer.issuer.clone(),
            client_id: issuer.client_id.clone()?,
        })
    });
    Json(views.collect())
}
