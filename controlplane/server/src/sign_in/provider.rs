//! The identity provider of a sign-in: where it is asked, and what it answers, within bounds.

use std::time::{Duration, Instant};

use penstock_app::jwks;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::log;
use crate::reach::{self, Reach, Resolver};

/// For one call.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a discovery document is taken as it was.
const ENDPOINTS_LIFETIME: Duration = Duration::from_secs(600);
/// How long a provider that fails is left alone.
const FAILURE_LIFETIME: Duration = Duration::from_secs(5);
/// Largest answer of a token endpoint, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why a provider is of no use. Says nothing that it sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
    #[error("no whole answer of the provider in time, or no connection")]
    Away,
    #[error("the provider answered {0}")]
    Status(StatusCode),
    #[error("the provider's answer is too large, or not what it should be")]
    Answer,
    #[error("the provider's addresses may not be reached")]
    OutOfReach,
    #[error("the provider failed a moment ago")]
    LeftAlone,
}

/// Where a provider is asked.
#[derive(Clone)]
pub(super) struct Endpoints {
    /// Where people go.
    pub(super) authorization: Url,
    /// Where a code becomes a token.
    pub(super) token: Url,
}

/// Answers that were good, or not, and when.
struct Known {
    issuer: String,
    at: Instant,
    endpoints: Option<Endpoints>,
}

pub(super) struct Provider {
    client: Client,
    development: bool,
    reach: Reach,
    /// Held while it is asked: one call at a time, however many people come.
    known: Mutex<Option<Known>>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

impl Provider {
    pub(super) fn new(development: bool, private: bool) -> Result<Self, String> {
        let reach = Reach::of(development, private);
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Resolver(reach))
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| format!("no HTTP client: {}", log::chain(&error)))?;
        Ok(Self { client, development, reach, known: Mutex::new(None) })
    }

    /// Where the issuer is asked, by its discovery document.
    pub(super) async fn endpoints(&self, issuer: &str) -> Result<Endpoints, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some(Known { issuer: of, at, endpoints }) = &*known
            && of == issuer
        {
            match endpoints {
                Some(endpoints) if at.elapsed() < ENDPOINTS_LIFETIME => {
                    return Ok(endpoints.clone());
                }
                None if at.elapsed() < FAILURE_LIFETIME => return Err(ProviderError::LeftAlone),
                Some(_) | None => {}
            }
        }
        let found = self.discover(issuer).await;
        let endpoints = found.as_ref().ok().cloned();
        *known = Some(Known { issuer: issuer.to_owned(), at: Instant::now(), endpoints });
        found
    }

    async fn discover(&self, issuer: &str) -> Result<Endpoints, ProviderError> {
        let base = issuer.trim_end_matches('/');
        let url = self.address(&format!("{base}/.well-known/openid-configuration"))?;
        let bytes = self.answer(self.client.get(url), jwks::BYTES_MAX).await?;
        let document: Discovery =
            serde_json::from_slice(&bytes).map_err(|_| ProviderError::Answer)?;
        // Byte for byte (OpenID Connect Discovery 1.0 section 4.3).
        if document.issuer != issuer {
            return Err(ProviderError::Answer);
        }
        Ok(Endpoints {
            authorization: self.address(&document.authorization_endpoint)?,
            token: self.address(&document.token_endpoint)?,
        })
    }

    /// Turns a code into an ID token, which is still to be verified.
    pub(super) async fn id_token(
        &self,
        url: Url,
        form: &[(&str, &str)],
    ) -> Result<Zeroizing<String>, ProviderError> {
        let bytes = self.answer(self.client.post(url).form(form), ANSWER_BYTES_MAX).await?;
        let answer: TokenAnswer =
            serde_json::from_slice(&bytes).map_err(|_| ProviderError::Answer)?;
        Ok(Zeroizing::new(answer.id_token))
    }

    fn address(&self, text: &str) -> Result<Url, ProviderError> {
        let url = reach::url(text, self.development).ok_or(ProviderError::OutOfReach)?;
        if self.reach.allows_literal(&url) { Ok(url) } else { Err(ProviderError::OutOfReach) }
    }

    async fn answer(
        &self,
        request: RequestBuilder,
        bytes_max: usize,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let request = request.header(ACCEPT, "application/json");
        let sent = request.header(ACCEPT_ENCODING, "identity").send().await;
        let mut answer = sent.map_err(|error| {
            if reach::is_out_of_reach(&error) {
                ProviderError::OutOfReach
            } else {
                ProviderError::Away
            }
        })?;
        if answer.status() != StatusCode::OK {
            return Err(ProviderError::Status(answer.status()));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|_| ProviderError::Away)? {
            if bytes.len().saturating_add(chunk.len()) > bytes_max {
                return Err(ProviderError::Answer);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}
