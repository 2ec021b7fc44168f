//! Messages of webhooks over HTTP: signed, within a time, without redirects, and only to addresses
//! that may be reached, looked at after a name was resolved.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use super::signature::Keys;
use crate::log;
use crate::reach::{self, Reach, Resolver};

/// For a whole call.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Why the other side did not take a message. Says nothing that the other side sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    #[error("not an address to post to: https, or http on loopback in development")]
    Address,
    #[error(
        "an address that may not be posted to: on a private network of yours, the setting \
         `webhook_private_addresses: allow` lets it"
    )]
    OutOfReach,
    #[error("no answer in time")]
    Timeout,
    #[error("no connection, or one that broke")]
    Connection,
    #[error("status {0}")]
    Status(StatusCode),
    #[error("status 410: it wants no more messages")]
    Gone,
}

/// The client. Copies share it.
#[derive(Clone)]
pub(crate) struct Poster {
    client: Client,
    development: bool,
    reach: Reach,
}

impl Poster {
    /// In development, messages may go over http to this machine; to private networks only where
    /// the settings say so.
    ///
    /// # Errors
    /// The machine's trusted roots can't be read.
    pub(crate) fn new(development: bool, private: bool) -> Result<Self, String> {
        Self::within(development, private, TIMEOUT)
    }

    fn within(development: bool, private: bool, timeout: Duration) -> Result<Self, String> {
        let reach = Reach::of(development, private);
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Resolver(reach))
            .connect_timeout(timeout)
            .timeout(timeout)
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| format!("no HTTP client: {}", log::chain(&error)))?;
        Ok(Self { client, development, reach })
    }

    /// Posts a message once. What the other side answers besides its status is not read.
    pub(crate) async fn post(
        &self,
        url: &str,
        keys: &Keys,
        id: &str,
        now_ms: u64,
        body: &str,
    ) -> Result<(), PostError> {
        let url = reach::url(url, self.development).ok_or(PostError::Address)?;
        if !self.reach.allows_literal(&url) {
            return Err(PostError::OutOfReach);
        }
        let now_s = now_ms / 1_000;
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "penstock")
            .header("webhook-id", id)
            .header("webhook-timestamp", now_s)
            .header("webhook-signature", keys.sign(id, now_s, body.as_bytes()))
            .body(body.to_owned());
        let status = request.send().await.map_err(|error| broken(&error))?.status();
        match status {
            StatusCode::GONE => Err(PostError::Gone),
            status if status.is_success() => Ok(()),
            status => Err(PostError::Status(status)),
        }
    }
}

fn broken(error: &reqwest::Error) -> PostError {
    if error.is_timeout() {
        PostError::Timeout
    } else if reach::is_out_of_reach(error) {
        PostError::OutOfReach
    } else {
        PostError::Connection
    }
}
