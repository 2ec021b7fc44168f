//! What callers meet: certificates by name, client certificates, tickets.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use crate::certificate::{Authorities, Certificate};
use crate::{ALPN, SetupError, VERSIONS, provider};

/// Whether clients show certificates. One that is shown must be from these authorities.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// None is asked for.
    None,
    /// A client may have none.
    Optional(Authorities),
    /// A client without one is refused.
    Required(Authorities),
}

/// Keys that sessions are resumed with. One for all cores and configurations of a process, so that
/// a session outlives a reload. They are made anew every six hours, the ones before are good for
/// six more. Each ticket that is written or read takes a read lock; a change of keys, every six
/// hours, the write lock.
#[derive(Clone)]
pub struct Tickets(Arc<dyn ProducesTickets>);

impl Tickets {
    /// New keys.
    ///
    /// # Errors
    /// The machine gives no random bytes.
    pub fn new() -> Result<Self, SetupError> {
        let tickets = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(SetupError::Library)?;
        Ok(Self(tickets))
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

/// A server's whole configuration; cloning it shares it.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    expires: Duration,
    asks_for_certificates: bool,
}

impl ServerTls {
    /// Of certificates (the first one is shown where no name fits), and of who is asked for one.
    ///
    /// Sessions are resumed only where no client certificate is asked for: a ticket of the past
    /// never stands in for a certificate that is required, or no longer trusted, today.
    ///
    /// # Errors
    /// There is no certificate, or the library refuses.
    pub fn new(
        certificates: &[Certificate],
        clients: &ClientCertificates,
        tickets: &Tickets,
    ) -> Result<Self, SetupError> {
        let expires = certificates.iter().map(Certificate::expires).min();
        let expires = expires.ok_or(SetupError::NoCertificate)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(SetupError::Library)?;
        let (builder, resumes) = match clients {
            ClientCertificates::None => (builder.with_no_client_auth(), true),
            ClientCertificates::Optional(authorities) => {
                (builder.with_client_cert_verifier(verifier(authorities, true)?), false)
            }
            ClientCertificates::Required(authorities) => {
                (builder.with_client_cert_verifier(verifier(authorities, false)?), false)
            }
        };
        let resolver = ByName::new(certificates).ok_or(SetupError::NoCertificate)?;
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        if resumes {
            config.ticketer = Arc::clone(&tickets.0);
        } else {
            config.send_tls13_tickets = 0;
        }
        Ok(Self { config: Arc::new(config), expires, asks_for_certificates: !resumes })
    }

    /// When the first of all certificates expires, since the Unix epoch.
    pub fn expires(&self) -> Duration {
        self.expires
    }

    pub(crate) fn asks_for_certificates(&self) -> bool {
        self.asks_for_certificates
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

fn verifier(
    authorities: &Authorities,
    optional: bool,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, SetupError> {
    let roots = Arc::clone(&authorities.0);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let builder = if optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| SetupError::Library(rustls::Error::General(error.to_string())))
}

/// Certificates by the name that a client asks for (RFC 6066 section 3).
#[derive(Debug)]
struct ByName {
    default: Arc<CertifiedKey>,
    names: HashMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    /// Of two certificates for one name, the first one.
    fn new(certificates: &[Certificate]) -> Option<Self> {
        let default = Arc::clone(&certificates.first()?.key);
        let mut names = HashMap::new();
        for certificate in certificates {
            for name in &certificate.names {
                names.entry(name.clone()).or_insert_with(|| Arc::clone(&certificate.key));
            }
        }
        Some(Self { default, names })
    }

    /// The certificate with the name itself, else the one for all names beside it.
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.names.get(&name).or_else(|| {
            let (_, domain) = name.split_once('.')?;
            self.names.get(&format!("*.{domain}"))
        })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = hello.server_name().and_then(|name| self.find(name));
        Some(Arc::clone(found.unwrap_or(&self.default)))
    }
}
