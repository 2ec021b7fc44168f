//! TLS 1.2 and 1.3 over the reactor's streams. In: a connected stream, certificates and
//! authorities. Out: a stream of the same shape that carries plaintext, or one labelled failure.
//! Never: a file, a log, a clock beside the handshake's limit, a key that is exported, a peer that
//! is not verified.
//!
//! The rules that hold everywhere here: an end without `close_notify` is a reset, never an end; an
//! idle connection holds no buffer; what waits for the socket is at most [`AHEAD_RECORDS_MAX`]
//! records; early data and half-RTT data are neither sent nor taken.

mod certificate;
mod client;
mod engine;
mod failure;
mod framing;
mod gather;
mod handshake;
mod secured;
mod server;
mod session;
mod stream;

pub use certificate::{Authorities, AuthoritiesError, Certificate, CertificateError};
pub use client::ClientTls;
pub use failure::{Distrust, Failure};
pub use handshake::{HANDSHAKE_BYTES_MAX, HELLO_BYTES_MAX, accept, connect};
pub use secured::{Secured, SecuredReceiver, SecuredSender};
pub use server::{ClientCertificates, ServerTls, Tickets};
pub use stream::{AHEAD_RECORDS_MAX, TlsReceiver, TlsSender, TlsStream};

/// Why a configuration can't be made of parts that are right by themselves.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Neither a DNS name nor an address.
    #[error("the server name is neither a DNS name nor an address")]
    ServerName,
    /// A server needs a certificate.
    #[error("there is no certificate")]
    NoCertificate,
    /// The library refuses: a fault of ours, or of the machine.
    #[error("TLS can't be set up")]
    Library(#[source] rustls::Error),
}

/// The one provider of cryptography.
fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Versions that are spoken, both ways.
const VERSIONS: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// The only protocol that is agreed on (RFC 7301).
const ALPN: &[u8] = b"http/1.1";
