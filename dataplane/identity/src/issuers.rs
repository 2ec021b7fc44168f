//! Trusted issuers with their keys, compiled once for many tokens.

use std::collections::{BTreeMap, BTreeSet};

use penstock_config::documents::Issuer;
use penstock_config::identity::Identity;
use penstock_config::snapshot::TrustedIssuer;
use serde_json::Value;

use crate::KEYS_MAX;
use crate::claims;
use crate::error::TokenError;
use crate::key::{self, Key, KeyFault, KeyProblem};
use crate::token::{Header, Token};

/// Types of tokens that are for another purpose, so never identify anybody, whatever a document
/// says (RFC 8725 section 3.11): DPoP proofs, logout tokens, security events, client assertions.
const OTHER_PURPOSES: [&str; 4] =
    ["dpop+jwt", "logout+jwt", "secevent+jwt", "client-authentication+jwt"];

/// Issuers and keys that tokens are verified against. Immutable.
pub struct Issuers {
    /// By URL.
    issuers: BTreeMap<String, Trusted>,
    digest: [u8; 32],
}

struct Trusted {
    document: Issuer,
    keys: Vec<Key>,
}

/// A token that holds.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who it speaks for.
    pub identity: Identity,
    /// RFC 7638 thumbprint (SHA-256) of the key that signed it: see [`Issuers::has_key`].
    pub key_thumbprint: [u8; 32],
    /// First moment when it counts, leeway included, in milliseconds since the Unix epoch.
    pub not_before_ms: u64,
    /// First moment when it no longer does, leeway included, in milliseconds since the Unix epoch.
    pub expires_ms: u64,
}

impl Issuers {
    /// Compiles. Keys that are refused are left out and reported; a set with two keys of one `kid`
    /// and algorithm, or with more than [`KEYS_MAX`] keys, is left out whole; so is every document
    /// whose URL another one has.
    pub fn compile(trusted: &[TrustedIssuer]) -> (Self, Vec<KeyProblem>) {
        let mut problems = Vec::new();
        let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
        for issuer in trusted {
            if !seen.insert(&issuer.document.issuer) {
                shared.insert(&issuer.document.issuer);
            }
        }
        let mut issuers = BTreeMap::new();
        for TrustedIssuer { document, keys } in trusted {
            let mut report = |kid: Option<String>, fault: KeyFault| {
                problems.push(KeyProblem { issuer: document.name.clone(), kid, fault });
            };
            if shared.contains(&document.issuer) {
                report(None, KeyFault::DuplicateIssuer);
                continue;
            }
            let keys = compile_keys(keys, &mut report);
            let compiled = Trusted { document: document.clone(), keys };
            issuers.insert(document.issuer.clone(), compiled);
        }
        (Self { issuers, digest: digest(trusted) }, problems)
    }

    /// Verifies a token whose audience must contain one of the issuer document's `audiences`.
    /// `now_ms` is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// See [`TokenError`]. All are answered alike, so that a caller cannot probe.
    pub fn verify(&self, token: &[u8], now_ms: u64) -> Result<Verified, TokenError> {
        let token = Token::parse(token)?;
        let (issuer, key) = self.check_signature(&token)?;
        identify(token, issuer, key, &issuer.document.audiences, now_ms)
    }

    /// The same for another list of audiences.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify_for(
        &self,
        token: &[u8],
        audiences: &[&str],
        now_ms: u64,
    ) -> Result<Verified, TokenError> {
        let token = Token::parse(token)?;
        let (issuer, key) = self.check_signature(&token)?;
        identify(token, issuer, key, audiences, now_ms)
    }

    /// Whether a key of this thumbprint is in force for the issuer document of this name: a cached
    /// token whose key is gone does not count.
    pub fn has_key(&self, issuer: &str, thumbprint: &[u8; 32]) -> bool {
        self.issuers
            .values()
            .filter(|trusted| trusted.document.name == issuer)
            .any(|trusted| trusted.keys.iter().any(|key| key.thumbprint == *thumbprint))
    }

    /// SHA-256 of documents and keys: while it stays the same, every cached verification would come
    /// out the same again (but for the time), so a cache needs no clearing.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    fn check_signature(&self, token: &Token<'_>) -> Result<(&Trusted, &Key), TokenError> {
        let issuer = token
            .claims
            .get("iss")
            .and_then(Value::as_str)
            .and_then(|url| self.issuers.get(url))
            .ok_or(TokenError::UnknownIssuer)?;
        issuer.check_type(&token.header)?;
        let key = issuer.key(&token.header)?;
        if key.verify(token.signed, &token.signature) {
            Ok((issuer, key))
        } else {
            Err(TokenError::Signature)
        }
    }
}

fn identify<A: AsRef<str>>(
    token: Token<'_>,
    issuer: &Trusted,
    key: &Key,
    audiences: &[A],
    now_ms: u64,
) -> Result<Verified, TokenError> {
    let (identity, validity) = claims::check(token.claims, &issuer.document, audiences, now_ms)?;
    Ok(Verified {
        identity,
        key_thumbprint: key.thumbprint,
        not_before_ms: validity.not_before_ms,
        expires_ms: validity.expires_ms,
    })
}

impl Trusted {
    /// The key of the header's `kid` and algorithm; without `kid` the only key for the algorithm.
    fn key(&self, header: &Header) -> Result<&Key, TokenError> {
        let fits = |key: &&Key| key.algorithm == header.algorithm;
        let Some(id) = &header.key_id else {
            let mut fitting = self.keys.iter().filter(fits);
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => Ok(only),
                (None, _) | (Some(_), Some(_)) => Err(TokenError::KeyIdMissing),
            };
        };
        let named = || self.keys.iter().filter(|key| key.id.as_ref() == Some(id));
        match (named().find(fits), named().next()) {
            (Some(key), _) => Ok(key),
            (None, Some(_)) => Err(TokenError::AlgorithmMismatch),
            (None, None) => {
                Err(TokenError::UnknownKey { issuer: self.document.name.clone(), kid: id.clone() })
            }
        }
    }

    /// `typ` against the document's `token_types`, where an empty text stands for an absent `typ`.
    fn check_type(&self, header: &Header) -> Result<(), TokenError> {
        let given = plain_type(header.token_type.as_deref().unwrap_or_default());
        let is_given = |accepted: &str| plain_type(accepted).eq_ignore_ascii_case(given);
        let accepted = self.document.token_types.iter().any(|accepted| is_given(accepted));
        let other_purpose = OTHER_PURPOSES.iter().any(|purpose| is_given(purpose));
        if accepted && !other_purpose { Ok(()) } else { Err(TokenError::TokenType) }
    }
}

/// RFC 7515 section 4.1.9: `application/` may be left out.
fn plain_type(name: &str) -> &str {
    const PREFIX: &str = "application/";
    match name.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.is_empty() => rest,
        Some(_) | None => name,
    }
}

fn compile_keys(
    jwks: &[serde_json::Map<String, Value>],
    report: &mut impl FnMut(Option<String>, KeyFault),
) -> Vec<Key> {
    if jwks.len() > KEYS_MAX {
        report(None, KeyFault::TooManyKeys);
        return Vec::new();
    }
    let mut keys: Vec<Key> = Vec::new();
    for jwk in jwks {
        match Key::parse(jwk) {
            Ok(key) => keys.push(key),
            Err(fault) => report(key::key_id(jwk).unwrap_or_default(), fault),
        }
    }
    let twice = keys.iter().enumerate().find(|(index, key)| {
        let same = |other: &Key| other.id == key.id && other.algorithm == key.algorithm;
        key.id.is_some() && keys.iter().take(*index).any(same)
    });
    if let Some((_, key)) = twice {
        report(key.id.clone(), KeyFault::DuplicateKey);
        return Vec::new();
    }
    keys
}

fn digest(trusted: &[TrustedIssuer]) -> [u8; 32] {
    // Maps with text keys and plain values: writing them to memory cannot fail.
    key::sha256(&serde_json::to_vec(trusted).unwrap_or_default())
}
