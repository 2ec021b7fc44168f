//! The certificate authority for nodes: its key stays in a file of its own.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use penstock_app::sha256_hex;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use crate::files::{make_folder, read_key, remove_left_over, write_private};
use crate::random;

/// Certificates are valid in these years: a node is trusted because the state lists its
/// certificate, and no longer than that.
const YEARS: (i32, i32) = (2020, 2099);

/// The authority with its key.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

/// A certificate for a node.
pub(crate) struct NodeCertificate {
    pub(crate) pem: String,
    pub(crate) sha256: String,
}

impl Authority {
    /// Opens the authority in a folder, or makes it.
    ///
    /// # Errors
    /// One sentence: a file can't be read or made, or is none of this authority's.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        make_folder(folder)?;
        let (key_file, certificate_file) = (folder.join("key.pem"), folder.join("certificate.pem"));
        let damaged = || format!("the certificate authority in {} is damaged", folder.display());
        // The key is written last: without it nothing has been issued yet.
        let Some(key) = read_key(&key_file)? else {
            let (key, pem) = make(folder)?;
            remove_left_over(&certificate_file)?;
            write_private(&certificate_file, pem.as_bytes())?;
            write_private(&key_file, key.as_bytes())?;
            return Self::open(folder);
        };
        let key = std::str::from_utf8(&key).map_err(|_| damaged())?;
        let key = KeyPair::from_pem(key).map_err(|_| damaged())?;
        let certificate_pem = std::fs::read_to_string(&certificate_file)
            .map_err(|error| format!("{} can't be read: {error}", certificate_file.display()))?;
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| damaged())?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| damaged())?;
        Ok(Self { issuer, certificate, certificate_pem })
    }

    /// The authority's certificate, PEM.
    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// SHA-256 of the DER of the authority's certificate, hex.
    pub(crate) fn certificate_sha256(&self) -> String {
        sha256_hex(&self.certificate)
    }

    /// Signs a node's request under the name that the control plane gives it; nothing else of the
    /// request but its public key counts.
    ///
    /// # Errors
    /// Not a request, or its signature does not hold.
    pub(crate) fn sign_node(&self, csr_pem: &str, node: &str) -> Result<NodeCertificate, String> {
        let malformed = |_| "the certificate signing request does not hold".to_owned();
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(malformed)?;
        request.params = leaf(node, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth)?;
        let certificate = request.signed_by(&self.issuer).map_err(malformed)?;
        Ok(NodeCertificate { pem: certificate.pem(), sha256: sha256_hex(certificate.der()) })
    }

    /// TLS of the node address: a certificate for these hosts, whose key is made now and lives in
    /// memory alone; clients may show a certificate of this authority.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) fn server_config(&self, hosts: Vec<String>) -> Result<ServerConfig, String> {
        let failed = |error: &dyn std::fmt::Display| format!("no certificate for nodes: {error}");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| failed(&e))?;
        let params = leaf("penstock control plane", hosts, ExtendedKeyUsagePurpose::ServerAuth)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|e| failed(&e))?;
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|e| failed(&e))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .allow_unauthenticated()
                .build()
                .map_err(|e| failed(&e))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| failed(&e))?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(|e| failed(&e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Hosts that nodes may reach the node address by.
pub(crate) fn hosts(listen: IpAddr, url_host: Option<String>) -> Vec<String> {
    let mut hosts = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    if !listen.is_unspecified() {
        hosts.push(listen.to_string());
    }
    hosts.extend(url_host);
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// A new key and its certificate, both PEM.
fn make(folder: &Path) -> Result<(Zeroizing<String>, String), String> {
    let failed = |error| format!("no certificate authority in {}: {error}", folder.display());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut params = params("penstock node authority", Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((Zeroizing::new(key.serialize_pem()), certificate.pem()))
}

fn leaf(
    name: &str,
    hosts: Vec<String>,
    purpose: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams, String> {
    let mut params = params(name, hosts)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(name: &str, hosts: Vec<String>) -> Result<CertificateParams, String> {
    let mut params =
        CertificateParams::new(hosts).map_err(|error| format!("not a host: {error}"))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(YEARS.0, 1, 1);
    params.not_after = date_time_ymd(YEARS.1, 12, 31);
    params.serial_number = Some(SerialNumber::from_slice(&*random::bytes::<16>()?));
    Ok(params)
}
