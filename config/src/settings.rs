//! Settings of the two daemons: what a process needs to start. Everything else is a document.
//! YAML like the documents, with the same strictness and the same diagnostics.

mod controlplane;
mod dataplane;
mod people;
#[cfg(test)]
mod tests;
mod tls;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::diagnostics::Diagnostic;
use crate::documents::Source;

/// `penstock-dataplane --config FILE`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DataplaneSettings {
    /// `listen`: where callers connect; required.
    pub listen: SocketAddr,
    /// `operations_listen`: health, readiness, metrics; `127.0.0.1:9440` by default.
    pub operations_listen: SocketAddr,
    /// `state_dir`: node key and certificate, last good snapshot, highest position; required.
    pub state_dir: PathBuf,
    /// `join_file`: read when the state has no node certificate yet.
    pub join_file: Option<PathBuf>,
    /// `access_log`: a file's path, or `-` for standard output; `-` by default.
    pub access_log: PathBuf,
    /// `cores`: how many reactors; 0 (default) for one a core.
    pub cores: u16,
    /// `hosts`: the only `Host` values accepted, `host` or `host:port`, in lower case; empty
    /// (default) for any valid one.
    pub hosts: Vec<String>,
    /// `snapshot_staleness_ms_max`: without a confirmation for this long all is refused;
    /// 86,400,000 by default.
    pub snapshot_staleness_ms_max: u64,
    /// `revocation_silence_ms_max`: without a word of the control plane about what was revoked for
    /// this long, exchanges under a grant are cut and no request is held; 1,000 to 600,000, 10,000
    /// by default.
    pub revocation_silence_ms_max: u64,
    /// `tls`: what callers meet; without it they connect in clear text.
    pub tls: Option<DataplaneTls>,
    /// `upstream_ca_file`: PEM, the authorities of model servers whose connection names none; the
    /// system's without it.
    pub upstream_ca_file: Option<PathBuf>,
    /// `limits`.
    pub limits: DataplaneLimits,
}

/// `tls` of the data plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DataplaneTls {
    /// `certificates`: 1 to 64, chosen by the name that a client asks for (SNI); the first one
    /// where it asks for none or for another.
    pub certificates: Vec<CertificateFiles>,
    /// `client_certificates` and `client_ca_file`.
    pub client_certificates: ClientCertificates,
}

/// One certificate of the data plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// `chain_file`: PEM, the server's certificate first.
    pub chain_file: PathBuf,
    /// `key_file`: PEM, its private key.
    pub key_file: PathBuf,
}

/// Whether clients show certificates, and the PEM file of the authorities that issue them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientCertificates {
    /// `none` (default): nobody is asked.
    None,
    /// `optional`: one that is shown must hold.
    Optional {
        /// `client_ca_file`.
        ca_file: PathBuf,
    },
    /// `required`: who shows none that holds does not get past the handshake.
    Required {
        /// `client_ca_file`.
        ca_file: PathBuf,
    },
}

/// `limits` of the data plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DataplaneLimits {
    /// `head_bytes_max`: 16,384 by default, and at most: a head fits one buffer.
    pub head_bytes_max: usize,
    /// `header_count_max`: 100 by default.
    pub header_count_max: usize,
    /// `target_bytes_max`: 8,192 by default.
    pub target_bytes_max: usize,
    /// `tls_handshake_ms_max`: a whole TLS handshake, with a client or with an upstream; 10,000
    /// by default.
    pub tls_handshake_ms_max: u64,
    /// `head_ms_max`: from the first byte to the end of the head; 10,000 by default.
    pub head_ms_max: u64,
    /// `keep_alive_ms_max`: idle between two requests; 75,000 by default.
    pub keep_alive_ms_max: u64,
    /// `body_gap_ms_max`: between two reads of a request body; 30,000 by default.
    pub body_gap_ms_max: u64,
    /// `send_stall_ms_max`: without progress towards a slow reader; 60,000 by default.
    pub send_stall_ms_max: u64,
    /// `connect_ms_max`: towards an upstream; 2,000 by default.
    pub connect_ms_max: u64,
    /// `first_byte_ms_max`: of an upstream's answer; 120,000 by default.
    pub first_byte_ms_max: u64,
    /// `stream_gap_ms_max`: between two reads of an upstream's body; 300,000 by default.
    pub stream_gap_ms_max: u64,
    /// `stream_comment_ms`: after so long without a byte of the upstream, a caller that reads
    /// server-sent events gets a comment; 0 for never; 15,000 by default.
    pub stream_comment_ms: u64,
    /// `connections_per_core_max`: 16,384 by default.
    pub connections_per_core_max: usize,
    /// `connections_per_address_max`: open connections of one address (IPv6: of one /64), a core;
    /// 4,096 by default, since a proxy in front is one address.
    pub connections_per_address_max: usize,
    /// `requests_per_connection_max`: 10,000 by default.
    pub requests_per_connection_max: u64,
    /// `buffer_bytes_per_core_max`: 268,435,456 by default.
    pub buffer_bytes_per_core_max: usize,
    /// `upstream_idle_per_endpoint_max`: kept connections a core and endpoint; 64 by default.
    pub upstream_idle_per_endpoint_max: usize,
    /// `upstream_requests_per_endpoint_max`: requests that run on one endpoint, a core; 1,024 by
    /// default.
    pub upstream_requests_per_endpoint_max: u32,
    /// `upstream_queue_max`: requests that wait for an endpoint of one connection, a core; 1,024
    /// by default; 0 lets none wait.
    pub upstream_queue_max: usize,
    /// `upstream_queue_ms_max`: how long one waits; 5,000 by default.
    pub upstream_queue_ms_max: u64,
    /// `upstream_probe_ms`: an endpoint that is left alone, or was not heard from for so long, is
    /// probed; 0 for never; 10,000 by default.
    pub upstream_probe_ms: u64,
    /// `holds_per_core_max`: requests that wait for people, a core; 10,000 by default; 0 lets none
    /// wait.
    pub holds_per_core_max: usize,
    /// `drain_ms_max`: after SIGTERM, until streams are cut; 600,000 by default.
    pub drain_ms_max: u64,
}

/// `penstock-controlplane --config FILE`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ControlplaneSettings {
    /// `listen`: the API; required. Beyond loopback it needs `tls`.
    pub listen: SocketAddr,
    /// `nodes_listen`: mutual TLS for data planes; required.
    pub nodes_listen: SocketAddr,
    /// `nodes_url`: how nodes reach it; `https://<nodes_listen>` by default, which must then be an
    /// address that nodes can reach, not an unspecified one.
    pub nodes_url: Option<String>,
    /// `state_dir`: store, certificate authority; required.
    pub state_dir: PathBuf,
    /// `snapshot_key_file`: `<state_dir>/snapshot.key` by default, made when missing.
    pub snapshot_key_file: PathBuf,
    /// `snapshot_key_next_file`: a second key, trusted by nodes, while one replaces the other.
    pub snapshot_key_next_file: Option<PathBuf>,
    /// `encryption_key_file`: 32 bytes, base64; or the environment's `PENSTOCK_ENCRYPTION_KEY`.
    /// `<state_dir>/encryption.key` by default, made when missing.
    pub encryption_key_file: PathBuf,
    /// `first_run_file`: documents put in force when the store is empty: an issuer and a role.
    pub first_run_file: Option<PathBuf>,
    /// `tls`: certificate and key for the API.
    pub tls: Option<TlsFiles>,
    /// `snapshot_lifetime_ms`: `expires` - `issued`; 604,800,000 (7 days) by default; renewed at
    /// half.
    pub snapshot_lifetime_ms: u64,
    /// `jwks_refresh_ms`: 300,000 by default.
    pub jwks_refresh_ms: u64,
    /// `issuer_private_addresses`: `allow` lets issuers' keys come from private networks and this
    /// machine, over https; `refuse` by default. Link-local addresses and those of metadata
    /// services are refused in any case.
    pub issuer_private_addresses: bool,
    /// `webhook_private_addresses`: the same for the addresses that webhooks are posted to.
    pub webhook_private_addresses: bool,
    /// `approval_url`: the address under which people reach the API, `https://…`, as messages
    /// about approvals have it: `<approval_url>/approvals/<id>`. The API's own by default.
    pub approval_url: Option<String>,
    /// `smtp`: the mail server; documents of kind `mail` need it.
    pub smtp: Option<SmtpSettings>,
    /// `sign_in`: how people sign in on the page where they answer; with a token of theirs alone
    /// without it.
    pub sign_in: Option<SignInSettings>,
}

/// `sign_in` of the control plane: a public client of an issuer in force (authorization code with
/// PKCE), whose redirect address is `<approval_url>/sign-in/callback`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignInSettings {
    /// `issuer`: name of the issuer document.
    pub issuer: String,
    /// `client_id`: the client, which is also the audience of its ID tokens. Nothing else may have
    /// it: its ID tokens are good on the page.
    pub client_id: String,
    /// `scopes`: what it asks for; `[openid]` by default. Providers that tell groups only when they
    /// are asked want one more.
    pub scopes: Vec<String>,
}

/// `smtp` of the control plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SmtpSettings {
    /// `url`: `smtps://` or `smtp://`.
    pub tls: SmtpTls,
    /// `url`: the server's name, or its address without brackets.
    pub host: String,
    /// `url`: the port; 465 for `smtps://` and 587 for `smtp://` by default.
    pub port: u16,
    /// `from`: the sender's address.
    pub from: String,
    /// `username`: goes together with `password_file`.
    pub username: Option<String>,
    /// `password_file`: a file that its owner alone may read; the password is its first line.
    pub password_file: Option<PathBuf>,
    /// `ca_file`: PEM, the authorities that may vouch for the server; the system's without it.
    pub ca_file: Option<PathBuf>,
}

/// How a mail server is reached. There is no way to leave TLS out, but for `smtp://` to this
/// machine in a development state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SmtpTls {
    /// `smtps://`: TLS before the first word.
    FromTheStart,
    /// `smtp://`: begins in clear text, and goes no further without TLS (STARTTLS).
    StartTls,
}

/// Certificate chain and private key, PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// `certificate_file`.
    pub certificate_file: PathBuf,
    /// `key_file`.
    pub key_file: PathBuf,
}

impl DataplaneSettings {
    /// Reads settings.
    ///
    /// # Errors
    /// Every problem, with its place and a hint.
    pub fn parse(source: &Source) -> Result<Self, Vec<Diagnostic>> {
        values::parse(source, dataplane::read)
    }
}

impl ControlplaneSettings {
    /// Reads settings.
    ///
    /// # Errors
    /// Every problem, with its place and a hint.
    pub fn parse(source: &Source) -> Result<Self, Vec<Diagnostic>> {
        values::parse(source, controlplane::read)
    }
}
