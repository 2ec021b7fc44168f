//! Public keys of issuers: JWK members (RFC 7517, RFC 7518 section 6, RFC 8037) in, keys that fit
//! one algorithm out.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{KEY_ID_BYTES_MAX, base64url};

/// Algorithms that signatures are accepted in. There is none for a shared secret, and no `none`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Algorithm {
    /// Ed25519 under its first name (RFC 8037).
    EdDsa,
    /// Ed25519 under its own name (RFC 9864), for keys that say so.
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// The algorithm of that name, byte for byte.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "EdDSA" => Some(Self::EdDsa),
            "Ed25519" => Some(Self::Ed25519),
            "ES256" => Some(Self::Es256),
            "PS256" => Some(Self::Ps256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }

    fn implementation(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa | Self::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// Why a key, or a whole set of keys, is left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyFault {
    /// `kty` is `oct`: a shared secret in a public place. Worth an alert.
    #[error("a shared secret")]
    Secret,
    /// It carries private members: it is in everybody's hands. Worth an alert.
    #[error("a private key")]
    Private,
    /// `kty` or `crv` is none that is accepted.
    #[error("a type or curve that is not accepted")]
    Type,
    /// `use` is not `sig`, or `key_ops` has not `verify` or has something else.
    #[error("not for signatures")]
    Use,
    /// `alg` does not fit the key, or is none that is accepted.
    #[error("an algorithm that is not accepted")]
    Algorithm,
    /// `kid` is not a text of 1 to 256 bytes.
    #[error("a malformed key id")]
    KeyId,
    /// A member with key material is missing, not base64url, or not of the right length.
    #[error("malformed key material")]
    Encoding,
    /// An RSA modulus below 2048 or above 8192 bits, or an even one.
    #[error("a modulus that is even or not of 2048 to 8192 bits")]
    Modulus,
    /// An RSA exponent that is even, below 65537, or longer than 33 bits.
    #[error("a public exponent that is even, below 65537 or above 33 bits")]
    Exponent,
    /// No point of the curve, or one of small order.
    #[error("not a point that a key may be")]
    Point,
    /// Two keys of the issuer have the same `kid` and algorithm: all its keys are left out.
    #[error("two keys of one key id and algorithm: all keys of the issuer are left out")]
    DuplicateKey,
    /// More than [`crate::KEYS_MAX`] keys: all are left out.
    #[error("too many keys: all keys of the issuer are left out")]
    TooManyKeys,
    /// Two issuer documents have one URL: nobody could tell whose a token is; all are left out.
    #[error("two issuer documents of one URL: both are left out")]
    DuplicateIssuer,
}

/// A key that was left out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("key {} of issuer {issuer}: {fault}", .kid.as_deref().unwrap_or("without an id"))]
pub struct KeyProblem {
    /// Name of the issuer document.
    pub issuer: String,
    /// The key's `kid`, if it has a usable one and the problem is that of one key.
    pub kid: Option<String>,
    /// Why.
    pub fault: KeyFault,
}

/// A public key with everything that was checked once.
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    pub(crate) algorithm: Algorithm,
    /// RFC 7638, SHA-256.
    pub(crate) thumbprint: [u8; 32],
    decoding: DecodingKey,
}

impl Key {
    /// Checks a JWK. A key without `alg` gets that of its type: `RS256`, `ES256` or `EdDSA`.
    pub(crate) fn parse(jwk: &Map<String, Value>) -> Result<Self, KeyFault> {
        let kind = jwk.get("kty").and_then(Value::as_str).ok_or(KeyFault::Type)?;
        if kind == "oct" {
            return Err(KeyFault::Secret);
        }
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.contains_key(*name))
        {
            return Err(KeyFault::Private);
        }
        check_use(jwk)?;
        let id = key_id(jwk)?;
        let (algorithm, (decoding, thumbprint)) = match kind {
            "RSA" => (algorithm(jwk, &[Algorithm::Rs256, Algorithm::Ps256])?, rsa(jwk)?),
            "EC" => (algorithm(jwk, &[Algorithm::Es256])?, p256(jwk)?),
            "OKP" => (algorithm(jwk, &[Algorithm::EdDsa, Algorithm::Ed25519])?, ed25519(jwk)?),
            _ => return Err(KeyFault::Type),
        };
        Ok(Self { id, algorithm, thumbprint, decoding })
    }

    /// Whether the signature holds.
    pub(crate) fn verify(&self, signed: &[u8], signature: &Vec<u8>) -> bool {
        let algorithm = self.algorithm.implementation();
        (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &self.decoding)
            .is_ok_and(|verifier| verifier.verify(signed, signature).is_ok())
    }
}

/// The key's `kid`: none, or a text of 1 to [`KEY_ID_BYTES_MAX`] bytes.
pub(crate) fn key_id(jwk: &Map<String, Value>) -> Result<Option<String>, KeyFault> {
    match jwk.get("kid") {
        None => Ok(None),
        Some(Value::String(id)) if (1..=KEY_ID_BYTES_MAX).contains(&id.len()) => {
            Ok(Some(id.clone()))
        }
        Some(_) => Err(KeyFault::KeyId),
    }
}

fn check_use(jwk: &Map<String, Value>) -> Result<(), KeyFault> {
    let for_signatures = jwk.get("use").is_none_or(|value| value == "sig");
    let verifies = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => {
            operations.iter().any(|operation| operation == "verify")
                && operations.iter().all(|operation| operation == "verify" || operation == "sign")
        }
        Some(_) => false,
    };
    if for_signatures && verifies { Ok(()) } else { Err(KeyFault::Use) }
}

/// The key's `alg`, if it is one of those that its type allows; the first of them if it has none.
fn algorithm(jwk: &Map<String, Value>, allowed: &[Algorithm]) -> Result<Algorithm, KeyFault> {
    let named = match jwk.get("alg") {
        None => allowed.first().copied(),
        Some(name) => name.as_str().and_then(Algorithm::from_name),
    };
    named.filter(|named| allowed.contains(named)).ok_or(KeyFault::Algorithm)
}

fn material(jwk: &Map<String, Value>, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or(KeyFault::Encoding)?;
    base64url::decode(text.as_bytes()).ok_or(KeyFault::Encoding)
}

fn coordinate(jwk: &Map<String, Value>, name: &str) -> Result<[u8; 32], KeyFault> {
    material(jwk, name)?.as_slice().try_into().map_err(|_| KeyFault::Encoding)
}

/// RFC 7518 section 6.3: modulus and exponent in the fewest bytes.
fn rsa(jwk: &Map<String, Value>) -> Result<(DecodingKey, [u8; 32]), KeyFault> {
    let (modulus, exponent) = (material(jwk, "n")?, material(jwk, "e")?);
    let (Some(modulus_first), Some(modulus_last)) = (modulus.first(), modulus.last()) else {
        return Err(KeyFault::Encoding);
    };
    if *modulus_first == 0 || exponent.first().is_none_or(|first| *first == 0) {
        return Err(KeyFault::Encoding);
    }
    let bits =
        modulus.len().saturating_mul(8).saturating_sub(modulus_first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) || modulus_last % 2 == 0 {
        return Err(KeyFault::Modulus);
    }
    if exponent.len() > 8 {
        return Err(KeyFault::Exponent);
    }
    let value = exponent.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    if value < 65_537 || value % 2 == 0 || value >= 1 << 33 {
        return Err(KeyFault::Exponent);
    }
    let thumbprint = thumbprint(&format!(
        r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
        base64url::encode(&exponent),
        base64url::encode(&modulus),
    ));
    Ok((DecodingKey::from_rsa_raw_components(&modulus, &exponent), thumbprint))
}

/// RFC 7518 section 6.2.
fn p256(jwk: &Map<String, Value>) -> Result<(DecodingKey, [u8; 32]), KeyFault> {
    if jwk.get("crv").and_then(Value::as_str) != Some("P-256") {
        return Err(KeyFault::Type);
    }
    let (x, y) = (coordinate(jwk, "x")?, coordinate(jwk, "y")?);
    let point = [[4].as_slice(), &x, &y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).map_err(|_| KeyFault::Point)?;
    let thumbprint = thumbprint(&format!(
        r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
        base64url::encode(&x),
        base64url::encode(&y),
    ));
    Ok((DecodingKey::from_ec_der(&point), thumbprint))
}

/// RFC 8037 section 2.
fn ed25519(jwk: &Map<String, Value>) -> Result<(DecodingKey, [u8; 32]), KeyFault> {
    if jwk.get("crv").and_then(Value::as_str) != Some("Ed25519") {
        return Err(KeyFault::Type);
    }
    let point = coordinate(jwk, "x")?;
    if !is_sound_ed25519_point(&point) {
        return Err(KeyFault::Point);
    }
    let thumbprint = thumbprint(&format!(
        r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
        base64url::encode(&point),
    ));
    Ok((DecodingKey::from_ed_der(&point), thumbprint))
}

/// The y coordinates (little-endian, sign bit clear) of the points whose order divides 8: under
/// such a key anybody can make signatures that hold.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    with_ends(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    with_ends(0xec, 0xff, 0x7f),
];

const fn with_ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// Of large order, and encoded in the one way that RFC 8032 section 5.1.3 gives: y below p.
fn is_sound_ed25519_point(encoded: &[u8; 32]) -> bool {
    let mut y = *encoded;
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    let prime = with_ends(0xed, 0xff, 0x7f);
    let canonical = y.iter().rev().lt(prime.iter().rev());
    canonical && !SMALL_ORDER.contains(&y)
}

/// RFC 7638: SHA-256 of the members that make the key, in lexical order and without white space.
fn thumbprint(members: &str) -> [u8; 32] {
    sha256(members.as_bytes())
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}

#[cfg(test)]
mod tests;
