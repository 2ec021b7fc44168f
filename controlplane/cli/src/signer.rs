//! The development issuer's signing key: tokens out of it, and its public half as a key set.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::duration::DURATION_MS_MAX;
use crate::failure::Failure;

/// Claims that have a flag of their own or that the signer sets.
pub(crate) const RESERVED_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "iat", "exp", "jti", "groups"];

/// What a token says.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenRequest {
    /// `sub`.
    pub(crate) user: String,
    /// `groups`; the claim is absent when empty.
    pub(crate) groups: Vec<String>,
    /// Further claims, none of [`RESERVED_CLAIMS`].
    pub(crate) claims: Map<String, Value>,
    /// `aud`.
    pub(crate) audience: String,
    /// From now to `exp`.
    pub(crate) lifetime: Duration,
}

/// Signs tokens as the development issuer. Without `Debug`: it holds the private key.
pub(crate) struct Signer {
    key: EncodingKey,
    public: Vec<u8>,
    issuer: String,
}

impl Signer {
    /// Makes a new Ed25519 key, PKCS#8 (RFC 8410).
    pub(crate) fn generate() -> Result<Zeroizing<Vec<u8>>, Failure> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| Failure::machine("a signing key can't be made on this machine"))?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// A signer with a PKCS#8 key, for the issuer with that URL.
    pub(crate) fn new(pkcs8: &[u8], issuer: &str) -> Result<Self, Failure> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8)
            .map_err(|_| Failure::machine("the signing key is not an Ed25519 key in PKCS#8"))?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self { key: EncodingKey::from_ed_der(pkcs8), public, issuer: issuer.to_owned() })
    }

    /// The issuer's URL: `iss` of every token.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `kid`: the key's thumbprint (RFC 7638).
    pub(crate) fn key_id(&self) -> String {
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.public_text());
        URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
    }

    /// The public key as a key set (RFC 7517, RFC 8037).
    pub(crate) fn key_set(&self) -> Value {
        json!({"keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": "EdDSA",
            "use": "sig",
            "kid": self.key_id(),
            "x": self.public_text(),
        }]})
    }

    /// Signs a token (RFC 7519, `typ` JWT) issued at `now_ms`.
    pub(crate) fn sign(
        &self,
        request: &TokenRequest,
        now_ms: u64,
    ) -> Result<Zeroizing<String>, Failure> {
        let mut claims = request.claims.clone();
        claims.insert("iss".to_owned(), self.issuer.clone().into());
        claims.insert("sub".to_owned(), request.user.clone().into());
        claims.insert("aud".to_owned(), request.audience.clone().into());
        claims.insert("iat".to_owned(), (now_ms / 1000).into());
        claims.insert("exp".to_owned(), expiry_seconds(now_ms, request.lifetime).into());
        claims.insert("jti".to_owned(), random_id()?.into());
        if !request.groups.is_empty() {
            claims.insert("groups".to_owned(), request.groups.clone().into());
        }
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.key_id());
        jsonwebtoken::encode(&header, &claims, &self.key)
            .map(Zeroizing::new)
            .map_err(|_| Failure::failed("the token can't be signed"))
    }

    fn public_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.public)
    }
}

/// A NumericDate (RFC 7519 section 2) in whole seconds, which is all that strict readers take,
/// rounded down, so that a token never lives longer than was asked.
fn expiry_seconds(now_ms: u64, lifetime: Duration) -> u64 {
    let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(DURATION_MS_MAX);
    now_ms.saturating_add(lifetime_ms).min(DURATION_MS_MAX) / 1000
}

fn random_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Failure::machine("this machine has no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    fn request(lifetime: Duration) -> TokenRequest {
        TokenRequest {
            user: "ada".to_owned(),
            groups: vec!["engineers".to_owned(), "on-call".to_owned()],
            claims: serde_json::from_value(json!({"repository_id": 4711})).unwrap(),
            audience: "penstock".to_owned(),
            lifetime,
        }
    }

    #[test]
    fn a_token_verifies_against_the_published_key_set_and_says_what_was_asked() {
        let signer = Signer::new(&Signer::generate().unwrap(), "http://127.0.0.1:1").unwrap();
        let now_ms = crate::timestamp::now_ms();
        let token = signer.sign(&request(Duration::from_secs(600)), now_ms).unwrap();
        let set: JwkSet = serde_json::from_value(signer.key_set()).unwrap();
        let header = jsonwebtoken::decode_header(token.as_str()).unwrap();
        assert_eq!(header.typ.as_deref(), Some("JWT"));
        let jwk = set.find(header.kid.as_deref().unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["penstock"]);
        validation.set_issuer(&["http://127.0.0.1:1"]);
        let key = DecodingKey::from_jwk(jwk).unwrap();
        let claims = jsonwebtoken::decode::<Value>(token.as_str(), &key, &validation).unwrap();
        let claims = claims.claims;
        assert_eq!(claims["sub"], "ada");
        assert_eq!(claims["groups"], json!(["engineers", "on-call"]));
        assert_eq!(claims["repository_id"], 4711);
        assert_eq!(claims["iat"], now_ms / 1000);
        assert_eq!(claims["exp"], now_ms / 1000 + 600);
    }

    #[test]
    fn two_tokens_never_share_an_id() {
        let signer = Signer::new(&Signer::generate().unwrap(), "http://127.0.0.1:1").unwrap();
        let sign = || signer.sign(&request(Duration::from_secs(1)), 1_000).unwrap();
        assert_ne!(*sign(), *sign());
    }

    #[test]
    fn a_token_never_lives_longer_than_was_asked_and_its_times_are_whole_seconds() {
        assert_eq!(expiry_seconds(1_999, Duration::from_millis(1_000)), 2);
        assert_eq!(expiry_seconds(1_999, Duration::from_millis(1)), 2);
        assert_eq!(expiry_seconds(1_000, Duration::from_millis(999)), 1);
        let latest = expiry_seconds(1_000, Duration::from_millis(DURATION_MS_MAX));
        assert_eq!(latest, DURATION_MS_MAX / 1000);
    }
}
