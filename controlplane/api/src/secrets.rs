//! Secrets: set, listed by name, deleted; never read.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use penstock_app::vault::check_value;
use penstock_app::{Action, Event};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::{Zeroize as _, Zeroizing};

use crate::backend::Api;
use crate::body;
use crate::caller::Caller;
use crate::problem::Problem;

/// A secret's new value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretValue {
    /// At most 16 KiB, without control characters.
    value: String,
}

/// A secret without its value.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretView {
    /// Its name.
    name: String,
    /// When it was set, milliseconds since the Unix epoch.
    updated_ms: u64,
    /// Names of the connections that need it.
    used_by: Vec<String>,
}

/// Sets a secret. Its value is encrypted before it is kept, and never shown again.
#[utoipa::path(put, path = "/api/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path)), request_body = SecretValue,
    responses((status = 204), (status = 422, body = Problem)))]
pub(crate) async fn set(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let bytes = body::bytes(request, &()).await?;
    let parsed: Result<SecretValue, Problem> = body::parse(&bytes);
    // The last one to hold the body leaves no trace of it.
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
    let value = Zeroizing::new(parsed?.value);
    if let Err(error) = check_value(value.as_bytes()) {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(status, "invalid_secret", error.to_string()));
    }
    api.set_secret(by, name, value).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists secrets without their values.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets",
    responses((status = 200, body = Vec<SecretView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<Vec<SecretView>>, Problem> {
    let state = api.state();
    caller.may(&state, Action::ReadSecretNames)?;
    let secrets = state.named_secrets().map(|(name, stored)| SecretView {
        name: name.to_owned(),
        updated_ms: stored.updated_ms,
        used_by: state.connections_with_secret(name).map(str::to_owned).collect(),
    });
    Ok(Json(secrets.collect()))
}

/// Deletes a secret; connections that need it answer 503 from then on.
#[utoipa::path(delete, path = "/api/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn delete(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    api.submit(Event::DeleteSecret { by, name }).await?;
    Ok(StatusCode::NO_CONTENT)
}
