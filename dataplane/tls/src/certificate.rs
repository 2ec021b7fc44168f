//! Certificates with their keys, and authorities, out of PEM. What could not serve is refused when
//! it is loaded, not when somebody calls.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why a certificate with its key can't be used. Where it stands, the caller knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// A PEM section that can't be read.
    #[error("it is not PEM")]
    NotPem,
    /// No certificate in the chain.
    #[error("it holds no certificate")]
    NoCertificate,
    /// A certificate that can't be read.
    #[error("a certificate in it can't be read")]
    Malformed,
    /// A certificate whose time is over.
    #[error("a certificate in it has expired")]
    Expired,
    /// A certificate whose time has not begun.
    #[error("a certificate in it is not valid yet")]
    NotYetValid,
    /// No private key.
    #[error("it holds no private key in clear PEM")]
    NoKey,
    /// A key of a kind or size that is not supported.
    #[error("its private key is of a kind that is not supported")]
    Key,
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

/// Why authorities can't be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuthoritiesError {
    /// A PEM section that can't be read.
    #[error("it is not PEM")]
    NotPem,
    /// A certificate that can't be read.
    #[error("a certificate in it can't be read")]
    Malformed,
    /// No certificate at all: nobody would be trusted.
    #[error("it holds no certificate")]
    NoCertificate,
}

/// A chain with its private key: what proves who we are.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    /// DNS names of the first certificate, lower case.
    pub(crate) names: Vec<String>,
    expires: Duration,
}

impl Certificate {
    /// Reads a chain (the certificate itself first) and its key, both PEM; both may stand in one
    /// text. The key's copies are zeroised but for the one in the library that signs. `now`: since
    /// the Unix epoch.
    ///
    /// # Errors
    /// What can't serve now.
    pub fn from_pem(chain: &[u8], key: &[u8], now: Duration) -> Result<Self, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::NotPem)?;
        let mut expires = Duration::MAX;
        let mut names = Vec::new();
        for (index, der) in chain.iter().enumerate() {
            let (_, parsed) =
                X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
            if index == 0 {
                names = dns_names(&parsed);
            }
            let (begins, ends) = validity(&parsed);
            if now < begins {
                return Err(CertificateError::NotYetValid);
            }
            if now > ends {
                return Err(CertificateError::Expired);
            }
            expires = expires.min(ends);
        }
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        let key = load(key)?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            Ok(()) => Ok(Self { key: Arc::new(key), names, expires }),
            Err(rustls::Error::InconsistentKeys(_)) => Err(CertificateError::Mismatch),
            Err(_) => Err(CertificateError::Malformed),
        }
    }

    /// When the chain stops to hold, since the Unix epoch: the earliest end of its certificates.
    pub fn expires(&self) -> Duration {
        self.expires
    }
}

/// The library copies the key; this copy is zeroised.
fn load(
    mut key: PrivateKeyDer<'static>,
) -> Result<Arc<dyn rustls::sign::SigningKey>, CertificateError> {
    let loaded = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key);
    zeroize::Zeroize::zeroize(&mut key);
    loaded.map_err(|_| CertificateError::Key)
}

fn validity(certificate: &X509Certificate<'_>) -> (Duration, Duration) {
    let seconds = |time: i64| Duration::from_secs(u64::try_from(time).unwrap_or(0));
    let validity = certificate.validity();
    (seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()))
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// Who may vouch for a peer. Never empty.
#[derive(Clone, Debug)]
pub struct Authorities(pub(crate) Arc<RootCertStore>);

impl Authorities {
    /// These alone, PEM.
    ///
    /// # Errors
    /// Not PEM, not certificates, or none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let mut roots = RootCertStore::empty();
        for der in CertificateDer::pem_slice_iter(pem) {
            let der = der.map_err(|_| AuthoritiesError::NotPem)?;
            roots.add(der).map_err(|_| AuthoritiesError::Malformed)?;
        }
        Self::of(roots)
    }

    /// Those that the system trusts; reads files.
    ///
    /// # Errors
    /// It has none.
    pub fn of_the_system() -> Result<Self, AuthoritiesError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::of(roots)
    }

    fn of(roots: RootCertStore) -> Result<Self, AuthoritiesError> {
        if roots.is_empty() {
            return Err(AuthoritiesError::NoCertificate);
        }
        Ok(Self(Arc::new(roots)))
    }
}
