//! Certificates in PEM (RFC 7468): the authorities that a connection pins, and what a secret holds
//! to show a model server. Both planes read them here, with the parser that connections are then
//! made with, so that what was accepted when it was written is accepted where it is used.

mod pem;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use pem::{Block, blocks};

/// Largest text of authorities, in bytes.
pub const AUTHORITIES_BYTES_MAX: usize = 64 << 10;

/// Most authorities of one text.
pub const AUTHORITIES_MAX: usize = 64;

const CERTIFICATE: &str = "CERTIFICATE";

/// What is wrong with a text of certificates, never with a word of it.
///
/// The data plane reads its own files with another reader, in `penstock-tls`: that one also judges
/// times and server names, which depend on the machine and the moment, and a document must not.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PemError {
    /// Not base64 (RFC 4648 section 4) of a text.
    #[error("not one line of base64")]
    Base64,
    /// A block that does not end, or whose content is not base64.
    #[error("not PEM: a block is damaged")]
    Pem,
    /// A block with another label.
    #[error("a block that is neither a certificate nor an unencrypted private key")]
    Label,
    /// No certificate.
    #[error("no certificate")]
    NoCertificate,
    /// More than [`AUTHORITIES_MAX`].
    #[error("more than 64 certificates")]
    TooMany,
    /// A private key among authorities.
    #[error("a private key where only certificates belong")]
    PrivateKey,
    /// No private key, or several.
    #[error("not exactly one private key")]
    KeyCount,
    /// Not an X.509 certificate; counted from 1.
    #[error("certificate {0} is not a valid one")]
    Certificate(usize),
    /// Not a private key that TLS connections are made with.
    #[error("the private key is none of RSA (2048 bits and more), ECDSA or Ed25519")]
    Key,
    /// The private key is another certificate's.
    #[error("the private key does not belong to the first certificate")]
    OtherKey,
}

/// Reads authorities: one or more certificates; text around the blocks is left out.
///
/// # Errors
/// See [`PemError`].
pub fn authorities(pem: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let blocks = blocks(pem)?;
    if blocks.iter().any(|block| is_private_key(block.label)) {
        return Err(PemError::PrivateKey);
    }
    let certificates = certificates(&blocks)?;
    if certificates.len() > AUTHORITIES_MAX {
        return Err(PemError::TooMany);
    }
    for (index, certificate) in certificates.iter().enumerate() {
        let added = RootCertStore::empty().add(certificate.clone());
        added.map_err(|_| PemError::Certificate(index.saturating_add(1)))?;
    }
    Ok(certificates)
}

/// Certificates as PEM, nothing around them.
pub fn to_pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|certificate| pem::block(CERTIFICATE, certificate)).collect()
}

/// When a certificate ends, milliseconds since the Unix epoch; none where it can't be read.
pub fn not_after_ms(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = parsed.validity().not_after.timestamp();
    Some(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
}

/// Reads what a secret holds to show a model server: one line of base64, of a PEM with the chain,
/// the own certificate first, and its private key. Nothing of the key stays in memory but in the
/// value that signs with it.
///
/// # Errors
/// See [`PemError`].
pub fn client_certificate(secret: &str) -> Result<CertifiedKey, PemError> {
    let pem = pem::decode(secret).ok_or(PemError::Base64)?;
    let pem = std::str::from_utf8(&pem).map_err(|_| PemError::Pem)?;
    let (keys, rest): (Vec<_>, Vec<_>) =
        blocks(pem)?.into_iter().partition(|block| is_private_key(block.label));
    let chain = certificates(&rest)?;
    for (index, certificate) in chain.iter().enumerate() {
        ParsedCertificate::try_from(certificate)
            .map_err(|_| PemError::Certificate(index.saturating_add(1)))?;
    }
    let [key] = keys.as_slice() else { return Err(PemError::KeyCount) };
    let key = any_supported_type(&private_key(key)).map_err(|_| PemError::Key)?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| PemError::OtherKey)?;
    Ok(certified)
}

fn certificates(blocks: &[Block<'_>]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    if blocks.iter().any(|block| block.label != CERTIFICATE) {
        return Err(PemError::Label);
    }
    if blocks.is_empty() {
        return Err(PemError::NoCertificate);
    }
    Ok(blocks.iter().map(|block| CertificateDer::from(block.der.to_vec())).collect())
}

/// Labels of keys that need no password (RFC 7468 section 10, RFC 5915 section 4, and PKCS #1).
fn is_private_key(label: &str) -> bool {
    matches!(label, "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY")
}

fn private_key<'b>(block: &'b Block<'_>) -> PrivateKeyDer<'b> {
    let der = block.der.as_slice();
    match block.label {
        "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(der).into(),
        "EC PRIVATE KEY" => PrivateSec1KeyDer::from(der).into(),
        _ => PrivatePkcs8KeyDer::from(der).into(),
    }
}
