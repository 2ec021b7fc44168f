//! A certificate authority of a test's own: a scripted control plane's, or one for TLS.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, IsCa,
    Issuer, KeyPair,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The year until which what is to hold holds.
pub const GOOD_UNTIL: i32 = 2_090;

/// An authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Makes one.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// SHA-256 of its certificate, hex.
    pub(crate) fn sha256(&self) -> String {
        let digest = digest(&SHA256, self.certificate.der());
        digest.as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Certifies a node's key.
    pub(crate) fn sign_node(&self, csr_pem: &str) -> String {
        let request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        request.signed_by(&self.issuer).unwrap().pem()
    }

    /// A certificate for 127.0.0.1 that ends at the beginning of that year, and its key.
    #[must_use]
    pub fn issue(&self, until_year: i32) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// TLS for 127.0.0.1, with a certificate that ends at the beginning of that year.
    #[must_use]
    pub fn server_config(&self, until_year: i32) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(until_year);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.unwrap())
    }
}
