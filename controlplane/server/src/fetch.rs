//! Issuers' keys over HTTP: within bounds, without redirects, only from where the document says.

#[cfg(test)]
mod tests;

use std::time::Duration;

use penstock_app::jwks::{self, JwksError};
use penstock_app::state::{KeySet, KeySource};
use penstock_config::documents::Issuer;
use penstock_config::snapshot::TrustedIssuer;
use penstock_identity::{Issuers, KeyFault};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use crate::log::{self, Level};
use crate::reach::{self, Reach, Resolver};

/// For discovery and keys together.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there are no new keys. Says nothing that the other side sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("not an address that keys may come from: https, or http on loopback in development")]
    Address,
    #[error(
        "an address that keys may not come from: on a private network of yours, the setting \
         `issuer_private_addresses: allow` lets them"
    )]
    OutOfReach,
    #[error("no whole answer within 5 s")]
    Timeout,
    #[error("no connection, or one that broke")]
    Connection,
    #[error("status {0}")]
    Status(StatusCode),
    #[error("an encoded answer, which was not asked for")]
    Encoded,
    #[error(transparent)]
    Content(#[from] JwksError),
    #[error("two keys with the same id for the same algorithm")]
    Duplicate,
    #[error("a key set without a usable key")]
    Unusable,
}

/// The client. Copies share its connections.
#[derive(Clone)]
pub(crate) struct Fetcher {
    client: Client,
    timeout: Duration,
    /// Keys may come over http from this machine.
    development: bool,
    reach: Reach,
}

impl Fetcher {
    /// In development, keys may come over http from this machine; from private networks only where
    /// the settings say so.
    ///
    /// # Errors
    /// The machine's trusted roots can't be read.
    pub(crate) fn new(development: bool, private: bool) -> Result<Self, String> {
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
        Ok(Self { client, timeout: TIMEOUT, development, reach })
    }

    /// Fetches an issuer's keys, and leaves out those that no token may be signed with.
    pub(crate) async fn fetch(&self, issuer: &Issuer) -> Result<KeySet, FetchError> {
        let source = KeySource::of(issuer);
        let bytes = tokio::time::timeout(self.timeout, self.key_set(&source))
            .await
            .map_err(|_| FetchError::Timeout)??;
        usable(issuer, jwks::parse(&bytes)?)
    }

    async fn key_set(&self, source: &KeySource) -> Result<Vec<u8>, FetchError> {
        let issuer = address(&source.issuer, self.development)?;
        // Keys of an issuer on another machine are never looked for on this one in clear text.
        let clear = issuer.scheme() == "http";
        let keys = match &source.jwks_uri {
            Some(uri) => address(uri, self.development)?,
            None => {
                let base = source.issuer.trim_end_matches('/');
                let url = address(&format!("{base}/.well-known/openid-configuration"), clear)?;
                let document = self.get(url).await?;
                address(&jwks::discovered(&document, &source.issuer)?, clear)?
            }
        };
        self.get(keys).await
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>, FetchError> {
        // An address in place of a name is not looked up.
        if !self.reach.allows_literal(&url) {
            return Err(FetchError::OutOfReach);
        }
        let request = self.client.get(url).header(ACCEPT, "application/json");
        let mut answer =
            request.header(ACCEPT_ENCODING, "identity").send().await.map_err(|e| broken(&e))?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let encoding = answer.headers().get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(FetchError::Encoded);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| broken(&e))? {
            if bytes.len().saturating_add(chunk.len()) > jwks::BYTES_MAX {
                return Err(JwksError::TooLarge.into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

fn broken(error: &reqwest::Error) -> FetchError {
    if error.is_timeout() {
        FetchError::Timeout
    } else if reach::is_out_of_reach(error) {
        FetchError::OutOfReach
    } else {
        FetchError::Connection
    }
}

/// An address that keys may come from: https, or http on loopback where that is allowed.
fn address(text: &str, loopback_http: bool) -> Result<Url, FetchError> {
    reach::url(text, loopback_http).ok_or(FetchError::Address)
}

/// The keys that pass every check, one by one and together.
fn usable(issuer: &Issuer, keys: KeySet) -> Result<KeySet, FetchError> {
    let problems = |keys: KeySet| {
        let trusted = TrustedIssuer { document: issuer.clone(), keys };
        Issuers::compile(&[trusted]).1
    };
    let mut kept = KeySet::new();
    for key in keys {
        let problems = problems(vec![key.clone()]);
        if problems.is_empty() {
            kept.push(key);
        }
        for problem in problems {
            let alert = matches!(problem.fault, KeyFault::Secret | KeyFault::Private);
            let level = if alert { Level::Error } else { Level::Warning };
            log::line(level, "key_refused", &format!("issuer {}: {}", issuer.name, problem.fault));
        }
    }
    if kept.is_empty() {
        return Err(FetchError::Unusable);
    }
    if problems(kept.clone()).is_empty() { Ok(kept) } else { Err(FetchError::Duplicate) }
}
