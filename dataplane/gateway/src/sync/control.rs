//! Calls to the control plane: mutual TLS, pinned to its own certificate authority, bounded in size
//! and time.

use std::time::Duration;

use penstock_config::hold::{Ends, HoldAnswer, Live, OpenSessions};
use penstock_config::lease::{LeaseAnswer, LeaseRequest};
use penstock_config::node::{JoinAnswer, JoinRequest, NodeStatus, Position, UnknownKey};
use reqwest::{Client, Response, StatusCode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a call failed. Never carries a body's bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// Certificates or keys are not what they should be.
    #[error("the node's certificate or key is damaged")]
    Credentials,
    /// No answer.
    #[error("the control plane can't be reached")]
    Unreachable,
    /// An answer that is not one.
    #[error("the control plane gave an answer that is not valid")]
    Answer,
    /// An answer that is larger than any that is read.
    #[error("the control plane gave an answer that is larger than 64 MiB")]
    TooLarge,
    /// It refused.
    #[error("the control plane refused the call with status {0}")]
    Refused(u16),
}

/// How long a snapshot poll waits at the other end.
const WAIT: Duration = Duration::from_secs(20);

/// Largest answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The snapshot that a node holds. The digest tells two snapshots at one position apart: a control
/// plane that came back from a backup must not confirm what it never issued.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// Where it stands.
    pub(crate) position: Position,
    /// SHA-256 of its payload, hex; empty for none.
    pub(crate) digest: String,
}

/// The control plane, as a node reaches it.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    client: Client,
    url: String,
}

impl Control {
    /// A client that trusts that authority alone, with the node's own certificate once it has one.
    ///
    /// # Errors
    /// A certificate or key that can't be read.
    pub(crate) fn new(
        url: &str,
        ca_pem: &str,
        identity: Option<(&str, &str)>,
    ) -> Result<Self, ControlError> {
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|_| ControlError::Credentials)?;
        roots.add(authority).map_err(|_| ControlError::Credentials)?;
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let tls = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate_pem, key_pem)) => {
                let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
                    .map_err(|_| ControlError::Credentials)?;
                let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
                    .map_err(|_| ControlError::Credentials)?;
                builder
                    .with_client_auth_cert(vec![certificate], key)
                    .map_err(|_| ControlError::Credentials)?
            }
        };
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(WAIT.saturating_add(Duration::from_secs(10)))
            .build()
            .map_err(|_| ControlError::Credentials)?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// Joins with a one-time token.
    pub(crate) async fn join(&self, request: &JoinRequest) -> Result<JoinAnswer, ControlError> {
        let response = self.post("join", request).await?;
        json(response).await
    }

    /// Waits for a snapshot newer than the one held; `None`: there is none, and that one was
    /// confirmed.
    pub(crate) async fn snapshot(&self, held: &Held) -> Result<Option<Vec<u8>>, ControlError> {
        let wait_ms = WAIT.as_millis();
        let Held { position: Position { epoch, version, revision }, digest } = held;
        let url = format!(
            "{}/node/v1/snapshot?epoch={epoch}&version={version}&revision={revision}\
             &holds={digest}&wait_ms={wait_ms}",
            self.url
        );
        let response = self.client.get(url).send().await.map_err(|_| ControlError::Unreachable)?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(None),
            StatusCode::OK => body(response).await.map(Some),
            status => Err(ControlError::Refused(status.as_u16())),
        }
    }

    /// The credentials that this node may have now, sealed.
    pub(crate) async fn leases(&self, request: &LeaseRequest) -> Result<LeaseAnswer, ControlError> {
        let response = self.post("leases", request).await?;
        json(response).await
    }

    /// Says what the node enforces.
    pub(crate) async fn status(&self, status: &NodeStatus) -> Result<(), ControlError> {
        self.post("status", status).await.map(drop)
    }

    /// Reports a key that no token should name.
    pub(crate) async fn unknown_key(&self, key: &UnknownKey) -> Result<(), ControlError> {
        self.post("unknown-key", key).await.map(drop)
    }

    /// Asks about one request that needs approval; `question` is a [`HoldRequest`] as JSON.
    ///
    /// [`HoldRequest`]: penstock_config::hold::HoldRequest
    pub(crate) async fn hold(&self, question: &[u8]) -> Result<HoldAnswer, ControlError> {
        let url = format!("{}/node/v1/holds", self.url);
        let call = self.client.post(url).header("content-type", "application/json");
        let response = call.body(question.to_vec()).send().await;
        json(response.map_err(|_| ControlError::Unreachable)?).await
    }

    /// Says what held and granted exchanges are over.
    pub(crate) async fn ends(&self, ends: &Ends) -> Result<(), ControlError> {
        self.post("ends", ends).await.map(drop)
    }

    /// Waits for what is in force beyond what this node has acted on.
    pub(crate) async fn live(
        &self,
        run: &str,
        after: u64,
        wait_ms: u64,
    ) -> Result<Live, ControlError> {
        // A name with other characters is not known again, and all of it is told anew.
        let named = |character: &char| character.is_ascii_alphanumeric() || *character == '-';
        let run: String = run.chars().filter(named).collect();
        let url = format!("{}/node/v1/live?run={run}&after={after}&wait_ms={wait_ms}", self.url);
        let response = self.client.get(url).send().await;
        json(response.map_err(|_| ControlError::Unreachable)?).await
    }

    /// Says what is open.
    pub(crate) async fn sessions(&self, open: &OpenSessions) -> Result<(), ControlError> {
        self.post("sessions", open).await.map(drop)
    }

    async fn post(&self, call: &str, body: &impl Serialize) -> Result<Response, ControlError> {
        let url = format!("{}/node/v1/{call}", self.url);
        let response =
            self.client.post(url).json(body).send().await.map_err(|_| ControlError::Unreachable)?;
        let status = response.status();
        if status.is_success() { Ok(response) } else { Err(ControlError::Refused(status.as_u16())) }
    }
}

/// A whole answer, read within its limit.
async fn body(mut response: Response) -> Result<Vec<u8>, ControlError> {
    // Room for the whole answer at once: a buffer that grows leaves copies of its secrets behind.
    let announced = response.content_length().unwrap_or(0).min(1024 * 1024);
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(piece) = response.chunk().await.map_err(|_| ControlError::Unreachable)? {
        if bytes.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
            return Err(ControlError::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

async fn json<T: DeserializeOwned>(response: Response) -> Result<T, ControlError> {
    if !response.status().is_success() {
        return Err(ControlError::Refused(response.status().as_u16()));
    }
    let bytes = zeroize::Zeroizing::new(body(response).await?);
    serde_json::from_slice(&bytes).map_err(|_| ControlError::Answer)
}
