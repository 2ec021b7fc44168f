//! Calls to the control plane's API, and what its answers mean for the exit code.

use std::time::Duration;

use axum::body::Bytes;
use penstock_config::diagnostics::Diagnostic;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::access::Credential;
use crate::failure::{Exit, Failure};
use crate::transport::{self, ReadError};

/// Longest call; publishing may wait for an identity provider.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// The API of one control plane.
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    credential: Credential,
}

/// RFC 9457, with the control plane's own members.
#[derive(Default, Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    problems: Vec<Diagnostic>,
}

impl Client {
    /// A client for the API at a URL; see [`transport::client`] about `ca`.
    ///
    /// # Errors
    /// The URL is none, or would send the token in clear text over a network.
    pub(crate) fn new(
        url: &str,
        ca: Option<&str>,
        credential: Credential,
    ) -> Result<Self, Failure> {
        let url = transport::address(url, "the control plane's URL")?;
        let http = transport::client(transport::is_loopback(&url), ca, Some(CALL_TIMEOUT))?;
        Ok(Self { http, url, credential })
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None).await
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::DELETE, path, None).await
    }

    /// `POST` of a JSON value, or of nothing.
    pub(crate) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let body = body.map(|value| Bytes::from(value.to_string()));
        self.call(Method::POST, path, body).await
    }

    /// `PUT` of JSON that is wiped from memory after it was sent.
    pub(crate) async fn put_secret(
        &self,
        path: &str,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Value, Failure> {
        self.call(Method::PUT, path, Some(Bytes::from_owner(body))).await
    }

    /// One call. `path` begins with `/api/v1/` and is percent-encoded already.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.url.as_str().trim_end_matches('/'));
        let token = self.credential.token().await?;
        let header = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut header = HeaderValue::from_str(&header)
            .map_err(|_| Failure::usage("the token holds characters that no token may hold"))?;
        header.set_sensitive(true);
        let mut request = self.http.request(method, url).header(AUTHORIZATION, header);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let content = self.read(answer).await?;
        if status.is_success() {
            return if content.is_empty() { Ok(Value::Null) } else { self.understood(&content) };
        }
        Err(refusal(status, &content))
    }

    async fn read(&self, answer: reqwest::Response) -> Result<Vec<u8>, Failure> {
        transport::read(answer, ANSWER_BYTES_MAX).await.map_err(|error| match error {
            ReadError::Broken(error) => self.unreachable(&error),
            ReadError::TooLarge => Failure::failed("the control plane's answer is too large"),
        })
    }

    fn understood(&self, content: &[u8]) -> Result<Value, Failure> {
        serde_json::from_slice(content).map_err(|_| {
            Failure::failed("the answer is not JSON")
                .hint(format!("is {} a Penstock control plane?", self.url))
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let cause = transport::root_cause(error);
        let failure =
            Failure::failed(format!("the control plane at {} does not answer: {cause}", self.url));
        match self.credential {
            Credential::Minted(_) => failure.hint("is `penstock dev` running on this state?"),
            Credential::Given(_) => failure.hint("check PENSTOCK_URL"),
            Credential::Profile(_, _) => failure,
        }
    }
}

/// What a refusal means for the person who asked.
fn refusal(status: StatusCode, content: &[u8]) -> Failure {
    let problem: Problem = serde_json::from_slice(content).unwrap_or_default();
    let message = problem.detail.or(problem.title).unwrap_or_else(|| {
        status.canonical_reason().unwrap_or("the control plane refused").to_lowercase()
    });
    let exit = match status {
        StatusCode::BAD_REQUEST => Exit::Usage,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Denied,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::CONFLICT => Exit::Conflict,
        _ => Exit::Failed,
    };
    let details = problem.problems.iter().map(ToString::to_string).collect();
    Failure::new(exit, message).details(details)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> Option<Failure> {
        Client::new(url, None, Credential::Given(Zeroizing::new("token".to_owned()))).err()
    }

    #[test]
    fn a_token_is_never_sent_in_clear_text_over_a_network() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        for url in ["http://penstock.example.com", "http://10.0.0.1:80", "ftp://localhost", "x"] {
            assert_eq!(refused(url).map(|failure| failure.exit), Some(Exit::Usage), "{url}");
        }
        for url in ["http://127.0.0.1:8080", "http://[::1]:80/", "http://localhost:1"] {
            assert!(refused(url).is_none(), "{url}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_without_showing_it() {
        let failure = refused("https://admin:hunter2@penstock.example.com").unwrap();
        assert!(!failure.message.contains("hunter2"));
    }

    #[test]
    fn every_refusal_has_its_exit_code() {
        let cases = [
            (400, Exit::Usage),
            (401, Exit::Denied),
            (403, Exit::Denied),
            (404, Exit::NotFound),
            (409, Exit::Conflict),
            (422, Exit::Failed),
            (503, Exit::Failed),
        ];
        for (status, exit) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(refusal(status, b"not json").exit, exit, "{status}");
        }
    }
}
