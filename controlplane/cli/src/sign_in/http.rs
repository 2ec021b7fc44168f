//! The HTTP client that the OpenID Connect library is given.

use std::pin::Pin;
use std::time::Duration;

use openidconnect::url::form_urlencoded;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse, http};
use reqwest::header::CONTENT_TYPE;
use reqwest::{StatusCode, Url};

use crate::failure::Failure;
use crate::transport::{self, ReadError};

/// Longest call to an identity provider.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer of one, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// A document of the provider names such an address.
    #[error("an address that is neither https nor http on this machine")]
    Address,
    /// No connection, or one that broke.
    #[error("{0}")]
    Broken(String),
    /// Longer than an answer may be.
    #[error("an answer of more than 1 MiB")]
    TooLarge,
}

/// A client for one identity provider.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    /// The provider is on this machine and may be spoken to in clear text.
    clear: bool,
}

impl Http {
    /// A client for the provider at `issuer`; see [`transport::client`] about `ca`.
    pub(crate) fn new(issuer: &Url, ca: Option<&str>) -> Result<Self, Failure> {
        let client = transport::client(transport::is_loopback(issuer), ca, Some(CALL_TIMEOUT))?;
        Ok(Self { client, clear: issuer.scheme() == "http" })
    }

    /// Posts a form and tells the status of the answer, whose body nobody reads.
    pub(crate) async fn post_form(
        &self,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<StatusCode, HttpError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let request = http::Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.finish().into_bytes())
            .map_err(|_| HttpError::Address)?;
        self.send(request).await.map(|answer| answer.status())
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request).map_err(|_| HttpError::Address)?;
        let url = request.url();
        let clear = self.clear && url.scheme() == "http" && transport::is_loopback(url);
        if url.scheme() != "https" && !clear {
            return Err(HttpError::Address);
        }
        let broken = |error: reqwest::Error| HttpError::Broken(transport::root_cause(&error));
        let answer = self.client.execute(request).await.map_err(broken)?;
        let mut head = http::Response::builder().status(answer.status());
        if let Some(headers) = head.headers_mut() {
            headers.clone_from(answer.headers());
        }
        let body = match transport::read(answer, ANSWER_BYTES_MAX).await {
            Ok(body) => body,
            Err(ReadError::Broken(error)) => return Err(broken(error)),
            Err(ReadError::TooLarge) => return Err(HttpError::TooLarge),
        };
        head.body(body).map_err(|_| HttpError::Broken("an answer without sense".to_owned()))
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
