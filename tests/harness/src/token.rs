//! An identity provider of a test's own: keys made at run time, tokens with any header and claims.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// What tokens are signed with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SigningAlgorithm {
    /// `EdDSA` with Ed25519: the fastest to make.
    Ed25519,
    /// `ES256`.
    Es256,
    /// `RS256` with 2048 bits: a key takes a noticeable part of a second.
    Rs256,
}

enum PrivateKey {
    Ed25519(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

/// An issuer with one key.
pub struct TestIssuer {
    url: String,
    key_id: String,
    key: PrivateKey,
}

/// A token in the making: good unless told otherwise.
#[must_use]
pub struct TokenBuilder<'a> {
    issuer: &'a TestIssuer,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl TestIssuer {
    /// Makes a key. `url` is the `iss` of its tokens, `key_id` their `kid`.
    #[must_use]
    #[track_caller]
    pub fn new(url: &str, key_id: &str, algorithm: SigningAlgorithm) -> Self {
        let key = match algorithm {
            SigningAlgorithm::Ed25519 => Ed25519KeyPair::generate().map(PrivateKey::Ed25519),
            SigningAlgorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(PrivateKey::Es256)
            }
            SigningAlgorithm::Rs256 => {
                RsaKeyPair::generate(KeySize::Rsa2048).map(PrivateKey::Rs256)
            }
        };
        let key = key.unwrap_or_else(|error| panic!("no key: {error}"));
        Self { url: url.to_owned(), key_id: key_id.to_owned(), key }
    }

    /// The issuer's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its public key as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Map<String, Value> {
        let mut jwk = match &self.key {
            PrivateKey::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key())})
            }
            PrivateKey::Es256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = point.split_at(1).1.split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            PrivateKey::Rs256(key) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({"kty": "RSA", "n": encode(public.n), "e": encode(public.e)})
            }
        };
        jwk["kid"] = json!(self.key_id);
        jwk["alg"] = json!(self.algorithm());
        jwk["use"] = json!("sig");
        jwk.as_object().cloned().unwrap_or_default()
    }

    /// Its key set, as a `jwks_uri` serves it.
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({"keys": [self.jwk()]})
    }

    /// A token for `subject` with audience `penstock`, issued now, for ten minutes.
    pub fn token(&self, subject: &str) -> TokenBuilder<'_> {
        let now = now_s();
        let header = json!({"alg": self.algorithm(), "kid": self.key_id, "typ": "JWT"});
        let claims = json!({
            "iss": self.url, "sub": subject, "aud": "penstock", "iat": now, "exp": now + 600,
        });
        TokenBuilder {
            issuer: self,
            header: header.as_object().cloned().unwrap_or_default(),
            claims: claims.as_object().cloned().unwrap_or_default(),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self.key {
            PrivateKey::Ed25519(_) => "EdDSA",
            PrivateKey::Es256(_) => "ES256",
            PrivateKey::Rs256(_) => "RS256",
        }
    }

    #[track_caller]
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            PrivateKey::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            PrivateKey::Es256(key) => match key.sign(&random, message) {
                Ok(signature) => signature.as_ref().to_vec(),
                Err(error) => panic!("no signature: {error}"),
            },
            PrivateKey::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                match key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature) {
                    Ok(()) => signature,
                    Err(error) => panic!("no signature: {error}"),
                }
            }
        }
    }
}

impl TokenBuilder<'_> {
    /// Sets a claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets the claim `groups`.
    pub fn groups(self, groups: &[&str]) -> Self {
        self.claim("groups", json!(groups))
    }

    /// Sets the claim `aud`.
    pub fn audience(self, audience: &str) -> Self {
        self.claim("aud", audience)
    }

    /// Expires so many seconds after now; before now if negative.
    pub fn expires_in_s(self, seconds: i64) -> Self {
        self.claim("exp", now_s().saturating_add_signed(seconds))
    }

    /// Sets a member of the header.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Signs.
    #[must_use]
    #[track_caller]
    pub fn sign(self) -> String {
        let header = encode(Value::Object(self.header).to_string());
        let claims = encode(Value::Object(self.claims).to_string());
        let signed = format!("{header}.{claims}");
        let signature = self.issuer.sign(signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since the Unix epoch.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
