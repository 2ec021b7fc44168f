//! How we meet a server: who vouches for it, by which name, and what we show it. There is no way to
//! leave any of that out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::ClientConfig;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::certificate::Authorities;
use crate::{ALPN, SetupError, VERSIONS, provider};

/// Sessions that are kept for resumption, of one server.
const SESSIONS_MAX: usize = 32;

/// A client's whole configuration towards one server; cloning it shares it, and its sessions.
///
/// The sessions stand behind a mutex that all cores share. It is taken when a handshake begins and
/// when a ticket comes, never by data.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
    id: u64,
}

impl ClientTls {
    /// For a server that `authorities` vouch for by `server_name`: a DNS name or an address. It is
    /// shown `certificate` when it asks for one.
    ///
    /// # Errors
    /// The name is neither, or the library refuses.
    pub fn new(
        authorities: &Authorities,
        server_name: &str,
        certificate: Option<&Arc<CertifiedKey>>,
    ) -> Result<Self, SetupError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let bare = server_name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let server_name = ServerName::try_from(bare.unwrap_or(server_name).to_owned())
            .map_err(|_| SetupError::ServerName)?;
        let roots = Arc::clone(&authorities.0);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
        let verifier = verifier
            .map_err(|error| SetupError::Library(rustls::Error::General(error.to_string())))?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(SetupError::Library)?
            .with_webpki_verifier(verifier);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let single = SingleCertAndKey::from(Arc::clone(certificate));
                builder.with_client_cert_resolver(Arc::new(single))
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        config.enable_early_data = false;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Self { config: Arc::new(config), server_name, id })
    }

    /// Tells this configuration from every other one of the process: a connection that was opened
    /// under one must not be used under another.
    pub fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    pub(crate) fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }
}
