//! How connections to model servers are secured: configurations made on the sync thread, one for
//! each authority, name and certificate that a policy asks for, and the same one again for as long
//! as policies ask for the same, so that kept connections and sessions outlive a policy.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use penstock_config::documents::{Connection, Endpoint};
use penstock_tls::{Authorities, ClientTls};
use rustls::sign::CertifiedKey;

use crate::enforced::ClientCertificate;

/// How connections to one endpoint are secured.
#[derive(Clone, Debug)]
pub(crate) enum Security {
    /// Not at all.
    Clear,
    /// By TLS.
    Tls(ClientTls),
    /// By TLS with a certificate of ours that this node does not have: requests are refused.
    NoCertificate,
    /// By TLS that can't be set up here: requests are refused.
    Impossible,
}

impl Security {
    /// The id of the configuration, where there is one.
    pub(crate) fn id(&self) -> Option<u64> {
        match self {
            Self::Tls(tls) => Some(tls.id()),
            Self::Clear | Self::NoCertificate | Self::Impossible => None,
        }
    }

    /// Whether a connection can be opened at all.
    pub(crate) fn can_connect(&self) -> bool {
        match self {
            Self::Clear | Self::Tls(_) => true,
            Self::NoCertificate | Self::Impossible => false,
        }
    }

    /// Whether our own certificate is here, where one is to be shown.
    pub(crate) fn has_its_certificate(&self) -> bool {
        match self {
            Self::Clear | Self::Tls(_) | Self::Impossible => true,
            Self::NoCertificate => false,
        }
    }

    /// Whether it is clear text.
    pub(crate) fn is_clear(&self) -> bool {
        match self {
            Self::Clear => true,
            Self::Tls(_) | Self::NoCertificate | Self::Impossible => false,
        }
    }
}

pub(crate) type Digest = [u8; 32];

/// The configurations of the policy in force and of the one before.
#[derive(Debug)]
pub(crate) struct UpstreamTlsConfigs {
    /// Those of `upstream_ca_file`; else the system's, once somebody needs them.
    own: Option<Authorities>,
    made: HashMap<Digest, ClientTls>,
    before: HashMap<Digest, ClientTls>,
}

impl UpstreamTlsConfigs {
    /// None yet. Authorities of connections that name none are in the file, or the system's.
    ///
    /// # Errors
    /// The file can't be used: a line for the operator.
    pub(crate) fn new(authorities_file: Option<&Path>) -> Result<Self, String> {
        let own = authorities_file.map(authorities).transpose()?;
        Ok(Self { own, made: HashMap::new(), before: HashMap::new() })
    }

    /// A policy is compiled: what it does not ask for is forgotten with the next one.
    pub(crate) fn begin(&mut self) {
        self.before = std::mem::take(&mut self.made);
    }

    /// What the policy compiled last does not ask for is forgotten now.
    pub(crate) fn forget_before(&mut self) {
        self.before.clear();
    }

    /// How connections to an endpoint are secured.
    ///
    /// # Errors
    /// TLS that can't be set up: a line for the operator.
    pub(crate) fn of(
        &mut self,
        connection: &Connection,
        endpoint: &Endpoint,
        certificate: &ClientCertificate,
    ) -> Result<Security, String> {
        let Some(tls) = &connection.tls else { return Ok(Security::Clear) };
        let (key, key_digest) = match certificate {
            ClientCertificate::None => (None, None),
            ClientCertificate::Held(key, digest) => (Some(key), Some(digest.as_slice())),
            ClientCertificate::Missing => return Ok(Security::NoCertificate),
        };
        let name = tls.server_name.as_deref().unwrap_or(&endpoint.host);
        self.config(tls.ca.as_deref(), name, (key, key_digest)).map(Security::Tls)
    }

    /// How connections to a host that no document says more of are secured by TLS.
    ///
    /// # Errors
    /// TLS that can't be set up: a line for the operator.
    pub(crate) fn of_host(&mut self, host: &str) -> Result<Security, String> {
        self.config(None, host, (None, None)).map(Security::Tls)
    }

    fn config(
        &mut self,
        ca: Option<&str>,
        name: &str,
        (key, key_digest): (Option<&Arc<CertifiedKey>>, Option<&[u8]>),
    ) -> Result<ClientTls, String> {
        let digest = digest(&[ca.map(str::as_bytes), Some(name.as_bytes()), key_digest]);
        let known = self.made.get(&digest).or_else(|| self.before.get(&digest));
        let config = match known {
            Some(config) => config.clone(),
            None => {
                let authorities = self.authorities(ca)?;
                ClientTls::new(&authorities, name, key).map_err(|error| error.to_string())?
            }
        };
        self.made.insert(digest, config.clone());
        Ok(config)
    }

    fn authorities(&mut self, pinned: Option<&str>) -> Result<Authorities, String> {
        if let Some(pem) = pinned {
            return Authorities::from_pem(pem.as_bytes())
                .map_err(|error| format!("its `ca` can't be used: {error}"));
        }
        if let Some(own) = &self.own {
            return Ok(own.clone());
        }
        let system = Authorities::of_the_system().map_err(|_| {
            "it names no `ca`, and this system trusts no authority: install its certificates, or \
             set `upstream_ca_file`"
                .to_owned()
        })?;
        Ok(self.own.insert(system).clone())
    }
}

/// Reads a file of authorities.
///
/// # Errors
/// A line for the operator.
pub(crate) fn authorities(path: &Path) -> Result<Authorities, String> {
    let shown = path.display();
    let pem = std::fs::read(path)
        .map_err(|error| format!("the authorities {shown} can't be read: {error}"))?;
    Authorities::from_pem(&pem)
        .map_err(|error| format!("the authorities {shown} can't be used: {error}"))
}

/// Of parts, with their lengths, so that no two lists have the same.
pub(crate) fn digest(parts: &[Option<&[u8]>]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        let length = part.map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(u64::MAX));
        context.update(&length.to_be_bytes());
        context.update(part.unwrap_or_default());
    }
    let mut digest = Digest::default();
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
