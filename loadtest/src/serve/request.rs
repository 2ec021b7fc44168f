//! What a request asks for, and how one that cannot be served is refused.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Served;
use super::schedule::{Changes, Schedule, ScheduleError};
use super::text::Pieces;

/// Header with a request's own timing; gateways may drop it, so the body field says the same.
const HEADER: &str = "x-simulate";
/// Body field with a request's own timing and text.
const FIELD: &str = "simulate";

/// A request that is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("Invalid API Key")]
    Key,
    #[error("no such path")]
    NotFound,
    #[error("the body is not what this path takes: {0}")]
    Body(#[from] serde_json::Error),
    #[error("simulate: {0}")]
    Schedule(#[from] ScheduleError),
    #[error("the header x-simulate is not text")]
    Header,
    #[error("{0}")]
    Field(&'static str),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, kind) = match self {
            Self::Key => (StatusCode::UNAUTHORIZED, "authentication_error"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found_error"),
            Self::Body(_) | Self::Schedule(_) | Self::Header | Self::Field(_) => {
                (StatusCode::BAD_REQUEST, "invalid_request_error")
            }
        };
        let error = serde_json::json!({
            "error": {"message": self.to_string(), "type": kind, "code": status.as_u16()}
        });
        (status, Json(error)).into_response()
    }
}

/// Reads a body and the schedule of its answer: the flags', changed by the header, then by the
/// body.
pub(crate) fn read<T: DeserializeOwned>(
    served: &Served,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(T, Schedule), Refusal> {
    let mut body: Value = serde_json::from_slice(body)?;
    let mut schedule = served.defaults.clone();
    if let Some(header) = headers.get(HEADER) {
        let header = header.to_str().map_err(|_| Refusal::Header)?;
        schedule = schedule.with(Changes::parse(header)?)?;
    }
    if let Some(changes) = body.as_object_mut().and_then(|fields| fields.remove(FIELD)) {
        schedule = schedule.with(serde_json::from_value(changes)?)?;
    }
    Ok((serde_json::from_value(body)?, schedule))
}

/// How many tokens the texts in a value have, at any depth: a prompt, or messages with their parts.
pub(crate) fn token_count(value: &Value) -> u64 {
    match value {
        Value::String(text) => Pieces::once(text).count() as u64,
        Value::Array(items) => items.iter().map(token_count).sum(),
        Value::Object(fields) => {
            ["content", "text"].iter().filter_map(|name| fields.get(*name)).map(token_count).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
