//! An identity provider of the tests' own: keys made at run time, headers and claims as texts, so
//! that they can be as wrong as a test needs.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use penstock_config::documents::Issuer;
use penstock_config::snapshot::TrustedIssuer;
use penstock_identity::{Issuers, TokenError, Verified};
use serde_json::{Map, Value, json};

/// The time of every test, in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;
/// The same in milliseconds.
pub(crate) const NOW_MS: u64 = NOW * 1000;
/// The issuer's URL.
pub(crate) const URL: &str = "https://id.example.com";

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A private key of one algorithm.
pub(crate) enum Signer {
    Ed25519(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Es384(EcdsaKeyPair),
    Ps256(RsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Signer {
    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn es256() -> Self {
        Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn es384() -> Self {
        Self::Es384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn rs256() -> Self {
        Self::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(crate) fn ps256() -> Self {
        Self::Ps256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::Es256(_) => "ES256",
            Self::Es384(_) => "ES384",
            Self::Ps256(_) => "PS256",
            Self::Rs256(_) => "RS256",
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Es256(key) | Self::Es384(key) => {
                key.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Self::Ps256(key) => rsa_signature(key, &RSA_PSS_SHA256, message),
            Self::Rs256(key) => rsa_signature(key, &RSA_PKCS1_SHA256, message),
        }
    }

    /// The public key with `alg`, and `kid` if one is given.
    pub(crate) fn jwk(&self, kid: Option<&str>) -> Map<String, Value> {
        let point = |key: &EcdsaKeyPair, curve: &str, bytes: usize| {
            let (x, y) = key.public_key().as_ref()[1..].split_at(bytes);
            json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)})
        };
        let mut jwk = match self {
            Self::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key())})
            }
            Self::Es256(key) => point(key, "P-256", 32),
            Self::Es384(key) => point(key, "P-384", 48),
            Self::Ps256(key) | Self::Rs256(key) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({"kty": "RSA", "n": b64(public.n), "e": b64(public.e)})
            }
        };
        jwk["alg"] = json!(self.algorithm());
        if let Some(kid) = kid {
            jwk["kid"] = json!(kid);
        }
        jwk.as_object().unwrap().clone()
    }

    /// A token of a header and claims as they are.
    pub(crate) fn token(&self, header: &str, claims: &str) -> String {
        self.token_of_bytes(header.as_bytes(), claims.as_bytes())
    }

    pub(crate) fn token_of_bytes(&self, header: &[u8], claims: &[u8]) -> String {
        self.token_of_parts(&b64(header), &b64(claims))
    }

    /// A token whose first two parts are already encoded, rightly or not.
    pub(crate) fn token_of_parts(&self, header: &str, claims: &str) -> String {
        let signed = format!("{header}.{claims}");
        format!("{signed}.{}", b64(self.sign(signed.as_bytes())))
    }
}

fn rsa_signature(
    key: &RsaKeyPair,
    encoding: &'static dyn aws_lc_rs::signature::RsaEncoding,
    message: &[u8],
) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

/// The document as a control plane would fill it in.
pub(crate) fn document(name: &str, url: &str) -> Issuer {
    Issuer {
        name: name.to_owned(),
        issuer: url.to_owned(),
        jwks_uri: None,
        audiences: vec!["penstock".to_owned()],
        user_claim: "sub".to_owned(),
        groups_claim: "groups".to_owned(),
        leeway_ms: 30_000,
        lifetime_ms_max: 86_400_000,
        token_types: vec!["JWT".to_owned(), "at+jwt".to_owned(), String::new()],
        client_id: None,
    }
}

pub(crate) fn trusted(document: Issuer, keys: Vec<Map<String, Value>>) -> TrustedIssuer {
    TrustedIssuer { document, keys }
}

/// Issuers that must compile without a problem.
pub(crate) fn compile(trusted: &[TrustedIssuer]) -> Issuers {
    let (issuers, problems) = Issuers::compile(trusted);
    assert_eq!(problems, []);
    issuers
}

/// One issuer, `company`, with one Ed25519 key, `k1`.
pub(crate) struct Company {
    pub(crate) signer: Signer,
    pub(crate) issuers: Issuers,
}

impl Company {
    pub(crate) fn new() -> Self {
        Self::with(Signer::ed25519(), |_| {})
    }

    pub(crate) fn with(signer: Signer, change: impl FnOnce(&mut Issuer)) -> Self {
        let mut document = document("company", URL);
        change(&mut document);
        let issuers = compile(&[trusted(document, vec![signer.jwk(Some("k1"))])]);
        Self { signer, issuers }
    }

    /// The header that its key wants.
    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.signer.algorithm(), "kid": "k1", "typ": "JWT"})
    }

    /// Signs and verifies.
    pub(crate) fn check(&self, header: &str, claims: &str) -> Result<Verified, TokenError> {
        self.issuers.verify(self.signer.token(header, claims).as_bytes(), NOW_MS)
    }

    /// A good token but for its header.
    pub(crate) fn check_header(&self, header: &str) -> Result<Verified, TokenError> {
        self.check(header, &claims().to_string())
    }

    /// A good token but for its claims.
    pub(crate) fn check_claims(&self, claims: &str) -> Result<Verified, TokenError> {
        self.check(&self.header().to_string(), claims)
    }

    /// A good token but for one claim.
    pub(crate) fn check_claim(&self, name: &str, value: Value) -> Result<Verified, TokenError> {
        self.check_claims(&with(claims(), name, value).to_string())
    }

    /// A good token but for one claim that it lacks.
    pub(crate) fn check_without(&self, name: &str) -> Result<Verified, TokenError> {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        self.check_claims(&claims.to_string())
    }

    /// A good token.
    pub(crate) fn token(&self) -> String {
        self.signer.token(&self.header().to_string(), &claims().to_string())
    }
}

/// Claims that are accepted.
pub(crate) fn claims() -> Value {
    json!({"iss": URL, "sub": "ada", "aud": "penstock", "iat": NOW, "exp": NOW + 600})
}

pub(crate) fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

/// The reason of a refusal.
#[track_caller]
pub(crate) fn refusal(result: Result<Verified, TokenError>) -> TokenError {
    match result {
        Ok(verified) => panic!("accepted: {:?}", verified.identity),
        Err(error) => error,
    }
}
