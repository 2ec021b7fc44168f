//! The snapshot: the whole policy at one position, immutable, signed.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::documents::{Connection, Issuer, Mask, Rule};
use crate::node::{Position, SnapshotKey};

/// The format that this version writes and reads.
pub const FORMAT: u32 = 1;

/// Largest signed snapshot, in bytes: 64 MiB.
pub const SIGNED_BYTES_MAX: usize = 64 << 20;

/// Stands before the payload under the signature, so that no signature made for another purpose
/// with the same key could pass for a snapshot's.
const DOMAIN: &[u8] = b"penstock snapshot 1\n";

/// Digits of a key id.
const KEY_ID_DIGITS: usize = 16;

/// An issuer with the keys that its tokens may be signed with.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuer {
    /// The document.
    pub document: Issuer,
    /// Public keys as JWK members (RFC 7517), checked by the control plane and again by the node.
    pub keys: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// What a data plane enforces.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Format of this document: 1.
    pub format: u32,
    /// Cluster that it is for.
    pub cluster: String,
    /// Where it stands in the order.
    pub position: Position,
    /// SHA-256 of the previous signed payload, hex; empty for the first.
    pub previous: String,
    /// When it was signed, milliseconds since the Unix epoch.
    pub issued_ms: u64,
    /// After this it is not to be loaded, milliseconds since the Unix epoch.
    pub expires_ms: u64,
    /// Keys that this and later snapshots may be signed with; a node that accepted this snapshot
    /// holds these and no others. Empty: nothing is said about them.
    #[serde(default)]
    pub snapshot_keys: Vec<SnapshotKey>,
    /// Generation of the secrets that its connections need.
    pub credentials_generation: u64,
    /// Issuers and their keys.
    pub issuers: Vec<TrustedIssuer>,
    /// Connections.
    pub connections: Vec<Connection>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// Masks; none in a snapshot of before there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<Mask>,
    /// By name of a connection: exchanges on it that began under an earlier position than this have
    /// other masks than it has now, and are to end. At most one for each connection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mask_cuts: BTreeMap<String, Position>,
}

/// A snapshot that its signature does not hold for, or that is not one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SnapshotError {
    /// Not a signed snapshot at all.
    #[error("not a signed snapshot")]
    Malformed,
    /// Signed with a key that is not trusted.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// Larger than 64 MiB.
    #[error("larger than 64 MiB")]
    TooLarge,
    /// Well signed, of a format that this version does not read.
    #[error("a snapshot of another format")]
    Format,
}

/// What is stored and sent: the payload as base64, and who signed it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    key: String,
    payload: String,
    signature: String,
}

/// The one member that every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The private key that snapshots are signed with: Ed25519, in a file of its own.
pub struct SnapshotSigner {
    id: String,
    pair: Ed25519KeyPair,
}

impl SnapshotSigner {
    /// Makes a new key; returns it with its PKCS#8 document for the key file.
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn generate() -> Result<(Self, Zeroizing<Vec<u8>>), String> {
        let pair = Ed25519KeyPair::generate().map_err(|_| "no key could be made".to_owned())?;
        let document =
            pair.to_pkcs8().map_err(|_| "the new key could not be written".to_owned())?;
        let document = Zeroizing::new(document.as_ref().to_vec());
        Ok((Self::of(pair), document))
    }

    /// Reads a key from its PKCS#8 document. The key id is derived from the public key: the first
    /// 16 hex digits of its SHA-256.
    ///
    /// # Errors
    /// Not an Ed25519 PKCS#8 document.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, String> {
        Ed25519KeyPair::from_pkcs8(document)
            .map(Self::of)
            .map_err(|_| "not an ed25519 key in PKCS#8".to_owned())
    }

    fn of(pair: Ed25519KeyPair) -> Self {
        let mut id = sha256_hex(pair.public_key().as_ref());
        id.truncate(KEY_ID_DIGITS);
        Self { id, pair }
    }

    /// The public half, as nodes hold it.
    pub fn public(&self) -> SnapshotKey {
        SnapshotKey { id: self.id.clone(), public: STANDARD.encode(self.pair.public_key()) }
    }

    /// Signs: `{"key": id, "payload": base64, "signature": base64}` as bytes. More than
    /// [`SIGNED_BYTES_MAX`] of them no node takes.
    pub fn sign(&self, snapshot: &Snapshot) -> Vec<u8> {
        let payload = json(snapshot);
        let signature = self.pair.sign(&under_signature(&payload));
        json(&Signed {
            key: self.id.clone(),
            payload: STANDARD.encode(&payload),
            signature: STANDARD.encode(signature),
        })
    }
}

/// Verifies signed bytes against the trusted keys (two may be valid while one replaces the other).
/// The second value is the SHA-256 of the payload, hex: the next snapshot's `previous`.
///
/// # Errors
/// See [`SnapshotError`]. Order, expiry and cluster are the caller's to check: they need state and
/// a clock.
pub fn verify(keys: &[SnapshotKey], signed: &[u8]) -> Result<(Snapshot, String), SnapshotError> {
    if signed.len() > SIGNED_BYTES_MAX {
        return Err(SnapshotError::TooLarge);
    }
    let signed: Signed = serde_json::from_slice(signed).map_err(|_| SnapshotError::Malformed)?;
    let key = keys.iter().find(|key| key.id == signed.key).ok_or(SnapshotError::UnknownKey)?;
    let payload = STANDARD.decode(&signed.payload).map_err(|_| SnapshotError::Malformed)?;
    let signature = STANDARD.decode(&signed.signature).map_err(|_| SnapshotError::Malformed)?;
    let public = STANDARD.decode(&key.public).map_err(|_| SnapshotError::UnknownKey)?;
    UnparsedPublicKey::new(&ED25519, &public)
        .verify(&under_signature(&payload), &signature)
        .map_err(|_| SnapshotError::Signature)?;
    let Format { format } =
        serde_json::from_slice(&payload).map_err(|_| SnapshotError::Malformed)?;
    if format != FORMAT {
        return Err(SnapshotError::Format);
    }
    let snapshot = serde_json::from_slice(&payload).map_err(|_| SnapshotError::Malformed)?;
    Ok((snapshot, sha256_hex(&payload)))
}

fn under_signature(payload: &[u8]) -> Vec<u8> {
    [DOMAIN, payload].concat()
}

/// Our own types as JSON.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("these types have text keys only, so they are always JSON")
}

fn sha256_hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
