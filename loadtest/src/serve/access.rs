//! The server's own key: a gateway that injects it is answered, anybody else is refused.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ServeError;
use super::request::Refusal;

/// The key that callers must send as `Authorization: Bearer KEY`, or as `x-api-key: KEY`.
pub(crate) struct Key(String);

impl Key {
    /// Reads a key from a file, without the white space around it.
    pub(crate) fn read(path: PathBuf) -> Result<Self, ServeError> {
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => Err(ServeError::EmptyKey { path }),
            Ok(text) => Ok(Self(text.trim().to_owned())),
            Err(source) => Err(ServeError::KeyFile { path, source }),
        }
    }

    #[cfg(test)]
    pub(crate) fn new(value: &str) -> Self {
        Self(value.to_owned())
    }

    fn opens(&self, headers: &HeaderMap) -> bool {
        let value = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes);
        let given = match value(AUTHORIZATION) {
            Some(header) => header.strip_prefix(b"Bearer "),
            None => value(HeaderName::from_static("x-api-key")),
        };
        given == Some(self.0.as_bytes())
    }
}

/// Lets a request pass that carries the key, or any request where no key is set.
pub(crate) async fn require_key(
    State(key): State<Arc<Option<Key>>>,
    request: Request,
    next: Next,
) -> Response {
    match key.as_ref() {
        Some(key) if !key.opens(request.headers()) => Refusal::Key.into_response(),
        Some(_) | None => next.run(request).await,
    }
}
