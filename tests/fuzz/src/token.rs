//! Bearer tokens. An input is a token's text; or header and claims on two lines, which are signed;
//! or a list of keys (JWK), which are trusted.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use penstock_config::documents::Issuer;
use penstock_config::snapshot::TrustedIssuer;
use penstock_identity::{GROUPS_MAX, Issuers, KEYS_MAX, TOKEN_BYTES_MAX, Verified};
use serde_json::{Map, Value, json};

use crate::chance::{Chance, made_long};
use crate::signer;

/// The time of every check: 2027.
const NOW_MS: u64 = 1_800_000_000_000;

/// One issuer with one key.
static ISSUERS: LazyLock<Issuers> = LazyLock::new(|| {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": signer::public_base64url(),
        "alg": "EdDSA", "kid": "k1"});
    let (issuers, problems) = Issuers::compile(&[trusted(&[key])]);
    assert_eq!(problems, []);
    issuers
});

fn trusted(keys: &[Value]) -> TrustedIssuer {
    let document = Issuer {
        name: "company".to_owned(),
        issuer: "https://id.example.com".to_owned(),
        jwks_uri: None,
        audiences: vec!["penstock".to_owned()],
        user_claim: "sub".to_owned(),
        groups_claim: "groups".to_owned(),
        leeway_ms: 30_000,
        lifetime_ms_max: 86_400_000,
        token_types: vec!["JWT".to_owned(), "at+jwt".to_owned(), String::new()],
        client_id: None,
    };
    TrustedIssuer { document, keys: keys.iter().filter_map(Value::as_object).cloned().collect() }
}

pub(crate) fn check(bytes: &[u8]) -> bool {
    let mut is_understood = false;
    if bytes.starts_with(b"[") {
        is_understood |= keys(bytes);
    }
    is_understood |= verify(bytes);
    if let Some((header, claims)) = two_lines(bytes) {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = encode(&signer::sign(signed.as_bytes()));
        let mut token = format!("{signed}.{signature}").into_bytes();
        is_understood |= verify(&token);
        Chance::of(bytes).flip_bit(&mut token);
        assert!(!verify(&token), "a bit flipped, and the token holds");
    }
    if let Some(long) = made_long(bytes) {
        assert!(ISSUERS.verify(&long, NOW_MS).is_err());
    }
    is_understood
}

fn two_lines(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let line_feed = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..line_feed], &bytes[line_feed + 1..]))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token that holds is, byte for byte, one that the key's owner made, and says what another
/// reader finds in it.
fn verify(token: &[u8]) -> bool {
    let Ok(verified) = ISSUERS.verify(token, NOW_MS) else { return false };
    assert!(token.len() <= TOKEN_BYTES_MAX);
    let text = std::str::from_utf8(token).expect("base64url is ASCII");
    let (signed, signature) = text.rsplit_once('.').expect("three parts");
    assert_eq!(signature, encode(&signer::sign(signed.as_bytes())), "a forged token");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let (header, claims) = (object(header), object(claims));
    assert_eq!(header.get("alg"), Some(&json!("EdDSA")));
    assert!(header.get("kid").is_none_or(|kid| kid == "k1"));
    assert!(["crit", "b64", "zip", "cty"].iter().all(|name| !header.contains_key(*name)));
    check_claims(&verified, claims);
    true
}

fn object(part: &str) -> Map<String, Value> {
    let text = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&text).expect("one JSON object")
}

fn check_claims(verified: &Verified, mut claims: Map<String, Value>) {
    let identity = &verified.identity;
    assert_eq!(identity.issuer, "company");
    assert_eq!(claims.get("iss"), Some(&json!("https://id.example.com")));
    assert_eq!(claims.get("sub"), Some(&json!(identity.subject)));
    assert_eq!(identity.user, identity.subject);
    let is_ours = match claims.get("aud") {
        Some(Value::Array(names)) => names.iter().any(|name| name == "penstock"),
        other => other == Some(&json!("penstock")),
    };
    assert!(is_ours && !claims.contains_key("cnf"));
    let expires = claims.get("exp").and_then(Value::as_u64).expect("an end");
    assert!(NOW_MS < expires.saturating_mul(1000).saturating_add(30_000));
    assert!(verified.not_before_ms <= NOW_MS && NOW_MS < verified.expires_ms);
    let groups = match claims.get("groups") {
        None => json!([]),
        Some(Value::String(group)) => json!([group]),
        Some(other) => other.clone(),
    };
    assert_eq!(json!(identity.groups), groups);
    assert!(identity.groups.len() <= GROUPS_MAX);
    if claims.get("email_verified") != Some(&Value::Bool(true)) {
        claims.remove("email");
    }
    assert_eq!(identity.claims, claims);
    if claims.contains_key("authorization_details") {
        let accesses = claims["authorization_details"].as_array().expect("a list");
        let ours = accesses.iter().filter(|access| access["type"] == "penstock_access").count();
        assert_eq!(identity.intent.as_ref().map_or(0, |intent| intent.accesses.len()), ours);
    } else {
        assert_eq!(identity.intent, None);
    }
}

/// Keys as a snapshot brings them: used or reported, never a panic; and never a way to be believed
/// without a signature.
fn keys(bytes: &[u8]) -> bool {
    let Ok(keys) = serde_json::from_slice::<Vec<Value>>(bytes) else { return false };
    let trusted = [trusted(&keys)];
    let (issuers, problems) = Issuers::compile(&trusted);
    assert!(!trusted[0].keys.is_empty() || problems.is_empty());
    assert!(trusted[0].keys.len() <= KEYS_MAX || !problems.is_empty());
    let (again, _) = Issuers::compile(&trusted);
    assert_eq!(issuers.digest(), again.digest());
    for algorithm in ["EdDSA", "ES256", "ES384", "RS256", "PS256"] {
        let key_id = keys.first().and_then(|key| key.get("kid")).cloned().unwrap_or(json!("k1"));
        let header = json!({"alg": algorithm, "kid": key_id});
        let claims = json!({"iss": "https://id.example.com", "aud": "penstock", "sub": "ada",
            "exp": NOW_MS / 1000 + 600});
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let forged = format!("{signed}.{}", encode(&[1; 64]));
        assert!(issuers.verify(forged.as_bytes(), NOW_MS).is_err());
    }
    problems.is_empty()
}
