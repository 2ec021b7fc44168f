//! Credentials of model servers on their way to a data plane: which ones it may have, and how they
//! are sealed for it. In: documents, keys, values. Out: sealed answers, and their values again.
//! Never: a value in clear text in an answer, or kept.
//!
//! | call | question | answer |
//! |---|---|---|
//! | `POST /node/v1/leases` | [`LeaseRequest`] | 200 [`LeaseAnswer`] |
//!
//! A node makes an X25519 key pair at each start and names its public key in every call. The answer
//! is one HPKE context (RFC 9180, base mode: X25519 with HKDF-SHA256, HKDF-SHA256,
//! ChaCha20-Poly1305) in which each value is one message, in order. `info` binds the node, the
//! generation of the secrets, the number of leases and the time; the additional data of each
//! message binds what the lease says in clear. So nothing of an answer can be left out, swapped,
//! lengthened or handed to another node without being noticed. Who may ask is a matter of the
//! node's certificate, as for every call.
//!
//! What is not in the answer any more, the node forgets: the answer is the whole of what it may
//! have. A value that it has already is not sent again; its message is empty.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkeOpener, HpkePrivateKey, HpkePublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::documents::{Connection, Effect, Mask, Rule};
use crate::glob;

/// Length of both keys, in bytes (RFC 7748).
pub const KEY_BYTES: usize = 32;

/// Most secrets that a node says it has: as many as a control plane keeps.
pub const HELD_MAX: usize = 10_000;

/// Name of the secret that values are hashed with where a mask says so: 32 random bytes in base64,
/// made by the control plane. No name of a document's or person's begins like this.
pub const MASK_KEY: &str = ".mask-key";

/// Length of the mask key, in bytes.
pub const MASK_KEY_BYTES: usize = 32;

/// Body of `POST /node/v1/leases`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// The node's X25519 public key of this start, base64 (standard alphabet, padded).
    pub public_key: String,
    /// What the node has already; at most [`HELD_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub have: Vec<HeldSecret>,
}

/// A value that a node has.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HeldSecret {
    /// Name of the secret.
    pub secret: String,
    /// Which of its values: the generation of the secrets with which it was set.
    pub generation: u64,
}

/// Answer of `POST /node/v1/leases`: everything that the node may have now.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseAnswer {
    /// Generation of the secrets.
    pub generation: u64,
    /// The control plane's clock, milliseconds since the Unix epoch.
    pub server_ms: u64,
    /// The encapsulated key (`enc`), base64.
    pub encapsulated: String,
    /// By name of the secret, each name once.
    pub leases: Vec<Lease>,
}

/// One secret that a node may have.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Which value, and until when.
    pub terms: Terms,
    /// The value, sealed, base64; sealed is an empty text where the node has the value.
    pub sealed: String,
}

/// What a lease says in clear.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Name of the secret.
    pub secret: String,
    /// Which of its values: the generation of the secrets with which it was set.
    pub generation: u64,
    /// When the lease ends; none where an allow rule stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
}

/// The end of a lease that stands for a grant. The earlier of the two counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// Milliseconds since the Unix epoch.
    pub ends_ms: u64,
    /// Time that is left, in milliseconds.
    pub left_ms: u64,
}

/// Why a lease was not sealed or not opened; never with a word of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LeaseError {
    /// Not an X25519 public key in base64, or one that no secret can be agreed with.
    #[error("the public key is not one")]
    PublicKey,
    /// No key pair could be made: the machine's cryptography does not work.
    #[error("no key pair could be made")]
    KeyPair,
    /// Sealed for another key or node, damaged, cut, or in another order.
    #[error("the leases do not open with this node's key")]
    Open,
    /// The cipher refused.
    #[error("sealing failed")]
    Seal,
    /// Not 32 bytes in base64.
    #[error("the mask key is not one")]
    MaskKey,
}

/// Whether a connection is under a mask whose values are hashed, so that nodes need [`MASK_KEY`].
pub fn needs_mask_key<'d>(
    connections: impl IntoIterator<Item = &'d Connection>,
    masks: impl IntoIterator<Item = &'d Mask>,
) -> bool {
    let keyed: HashSet<&str> =
        masks.into_iter().filter(|mask| mask.needs_key()).map(|mask| mask.name.as_str()).collect();
    let mut used = connections.into_iter().filter_map(|one| one.mask.as_deref());
    !keyed.is_empty() && used.any(|mask| keyed.contains(mask))
}

/// The mask key's bytes.
///
/// # Errors
/// [`LeaseError::MaskKey`].
pub fn mask_key(value: &[u8]) -> Result<Zeroizing<[u8; MASK_KEY_BYTES]>, LeaseError> {
    let decoded = Zeroizing::new(STANDARD.decode(value).map_err(|_| LeaseError::MaskKey)?);
    let mut key = Zeroizing::new([0; MASK_KEY_BYTES]);
    if decoded.len() != MASK_KEY_BYTES {
        return Err(LeaseError::MaskKey);
    }
    key.copy_from_slice(&decoded);
    Ok(key)
}

/// Secrets of connections that some allow rule reaches, whoever its subjects are and whatever its
/// hours: what a node may have as long as these documents are in force. A connection that only
/// approve rules reach is not among them. [`MASK_KEY`] is, wherever a connection needs it.
pub fn standing<'d, C>(
    connections: C,
    rules: impl IntoIterator<Item = &'d Rule>,
    masks: impl IntoIterator<Item = &'d Mask>,
) -> BTreeSet<&'d str>
where
    C: IntoIterator<Item = &'d Connection> + Clone,
{
    let mask_key = needs_mask_key(connections.clone(), masks).then_some(MASK_KEY);
    let mut names = HashSet::new();
    let mut globs = HashSet::new();
    for rule in rules {
        match rule.effect {
            Effect::Allow => {}
            Effect::Deny | Effect::Approve => continue,
        }
        for pattern in &rule.connections {
            let set = if glob::is_exact(pattern) { &mut names } else { &mut globs };
            set.insert(pattern.as_str());
        }
    }
    let reached = |connection: &&Connection| {
        let name = connection.name.as_str();
        names.contains(name) || globs.iter().any(|pattern| glob::matches(pattern, name))
    };
    let secrets = connections.into_iter().filter(reached).flat_map(Connection::secrets);
    secrets.chain(mask_key).collect()
}

/// A node's key pair of one start: the public key in base64, and the private key, to be kept where
/// nobody reads it.
///
/// # Errors
/// [`LeaseError::KeyPair`].
pub fn key_pair() -> Result<(String, Zeroizing<Vec<u8>>), LeaseError> {
    let (public, private) = SUITE.generate_key_pair().map_err(|_| LeaseError::KeyPair)?;
    Ok((STANDARD.encode(public.0), Zeroizing::new(private.secret_bytes().to_vec())))
}

/// What an answer is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// Id of the node.
    pub node: &'a str,
    /// Generation of the secrets.
    pub generation: u64,
    /// The control plane's clock, milliseconds since the Unix epoch.
    pub server_ms: u64,
}

impl Binding<'_> {
    /// `info` of the context. Ids have no control characters.
    fn info(self, leases: usize) -> Vec<u8> {
        let Self { node, generation, server_ms } = self;
        format!("penstock-leases-1\0{node}\0{generation}\0{server_ms}\0{leases}").into_bytes()
    }
}

impl Terms {
    /// Additional data of the lease's message. Names of secrets have no control characters.
    fn label(&self) -> Vec<u8> {
        let Self { secret, generation, until } = self;
        match until {
            None => format!("{secret}\0{generation}"),
            Some(Until { ends_ms, left_ms }) => {
                format!("{secret}\0{generation}\0{ends_ms}\0{left_ms}")
            }
        }
        .into_bytes()
    }
}

/// Seals values for the key that a node named; no value: the node has it.
///
/// # Errors
/// [`LeaseError::PublicKey`], [`LeaseError::Seal`].
pub fn seal(
    public_key: &str,
    binding: Binding<'_>,
    leases: Vec<(Terms, Option<Zeroizing<String>>)>,
) -> Result<LeaseAnswer, LeaseError> {
    let public = STANDARD.decode(public_key).map_err(|_| LeaseError::PublicKey)?;
    if public.len() != KEY_BYTES {
        return Err(LeaseError::PublicKey);
    }
    let info = binding.info(leases.len());
    let (encapsulated, mut sealer) =
        SUITE.setup_sealer(&info, &HpkePublicKey(public)).map_err(|_| LeaseError::PublicKey)?;
    let mut sealed = Vec::with_capacity(leases.len());
    for (terms, value) in leases {
        let value = value.as_ref().map(|value| value.as_bytes()).unwrap_or_default();
        let message = sealer.seal(&terms.label(), value).map_err(|_| LeaseError::Seal)?;
        sealed.push(Lease { terms, sealed: STANDARD.encode(message) });
    }
    Ok(LeaseAnswer {
        generation: binding.generation,
        server_ms: binding.server_ms,
        encapsulated: STANDARD.encode(encapsulated.0),
        leases: sealed,
    })
}

impl LeaseAnswer {
    /// Begins to open an answer with a node's private key. What it yields is not to be acted on
    /// before the last lease was opened.
    ///
    /// # Errors
    /// [`LeaseError::Open`].
    pub fn open(&self, private_key: &[u8], node: &str) -> Result<Opening<'_>, LeaseError> {
        let encapsulated = STANDARD.decode(&self.encapsulated).map_err(|_| LeaseError::Open)?;
        let binding = Binding { node, generation: self.generation, server_ms: self.server_ms };
        let private_key = HpkePrivateKey::from(private_key.to_vec());
        let opener = SUITE
            .setup_opener(
                &EncapsulatedSecret(encapsulated),
                &binding.info(self.leases.len()),
                &private_key,
            )
            .map_err(|_| LeaseError::Open)?;
        Ok(Opening { opener, leases: self.leases.iter() })
    }
}

/// Yields each lease with its value, in order; no value: the node has it already.
pub struct Opening<'a> {
    opener: Box<dyn HpkeOpener>,
    leases: std::slice::Iter<'a, Lease>,
}

impl fmt::Debug for Opening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening")
    }
}

impl<'a> Iterator for Opening<'a> {
    type Item = Result<(&'a Terms, Option<Zeroizing<Vec<u8>>>), LeaseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let lease = self.leases.next()?;
        let opened = STANDARD.decode(&lease.sealed).ok().and_then(|message| {
            self.opener.open(&lease.terms.label(), &message).map(Zeroizing::new).ok()
        });
        let value = |value: Zeroizing<Vec<u8>>| Some(value).filter(|value| !value.is_empty());
        Some(opened.map(|opened| (&lease.terms, value(opened))).ok_or(LeaseError::Open))
    }
}

#[cfg(test)]
mod tests;
