//! Rows about keys and signatures.

use penstock_identity::{Issuers, KeyFault, KeyProblem, TokenCache, TokenError};
use serde_json::{Map, Value, json};

use crate::support::{
    Company, NOW_MS, Signer, URL, b64, claims, compile, document, refusal, trusted, unb64, with,
};
use crate::vectors;

/// The order of P-256's group, big-endian.
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
/// The order of Ed25519's group, little-endian.
const ED25519_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// left - right of big-endian numbers of one length; the borrow beyond the first byte is dropped.
fn subtract(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut borrow = 0_i32;
    let mut bytes: Vec<u8> = Vec::new();
    for (left, right) in left.iter().zip(right).rev() {
        let value = i32::from(*left) - i32::from(*right) - borrow;
        borrow = i32::from(value < 0);
        bytes.push(value.rem_euclid(256) as u8);
    }
    bytes.reverse();
    bytes
}

fn with_signature(token: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", b64(change(unb64(signature))))
}

fn faults(keys: Vec<Map<String, Value>>) -> Vec<(Option<String>, KeyFault)> {
    let (_, problems) = Issuers::compile(&[trusted(document("company", URL), keys)]);
    assert!(problems.iter().all(|problem| problem.issuer == "company"));
    problems.into_iter().map(|problem| (problem.kid, problem.fault)).collect()
}

fn fault_of(jwk: Value) -> Option<KeyFault> {
    let mut faults = faults(vec![jwk.as_object().unwrap().clone()]);
    assert!(faults.len() <= 1);
    faults.pop().map(|(_, fault)| fault)
}

#[test]
fn row_15_es256_signatures_that_no_key_makes_are_refused() {
    let company = Company::with(Signer::es256(), |_| {});
    let token = company.token();
    let check = |signature: Vec<u8>| {
        let token = with_signature(&token, |_| signature);
        company.issuers.verify(token.as_bytes(), NOW_MS)
    };
    let (_, good) = token.rsplit_once('.').unwrap();
    let good = unb64(good);
    let (r, s) = good.split_at(32);
    let (zero, order) = ([0; 32], hex(P256_ORDER));
    assert!(check(good.clone()).is_ok());
    for (r, s) in [
        (zero.as_slice(), zero.as_slice()),
        (&zero, s),
        (r, &zero),
        (&order, s),
        (r, &order),
        (&[0xff; 32], s),
        (r, &[0xff; 32]),
        (&order, &order),
        (s, r),
    ] {
        assert_eq!(refusal(check([r, s].concat())), TokenError::Signature);
    }
    for other_length in [good[..63].to_vec(), [good.as_slice(), &[0]].concat(), vec![0; 96]] {
        assert_eq!(refusal(check(other_length)), TokenError::Signature);
    }
    let positive = |number: &[u8]| {
        let sign = usize::from(number[0] & 0x80 != 0);
        [&[2, (32 + sign) as u8], vec![0; sign].as_slice(), number].concat()
    };
    let inside = [positive(r), positive(s)].concat();
    let der = [&[0x30, inside.len() as u8], inside.as_slice()].concat();
    assert_eq!(refusal(check(der)), TokenError::Signature);
}

#[test]
fn row_15_a_p384_key_is_no_es256_key() {
    let signer = Signer::es384();
    for alg in ["ES256", "ES384"] {
        let mut jwk = signer.jwk(Some("k1"));
        jwk.insert("alg".to_owned(), json!(alg));
        let (issuers, problems) = Issuers::compile(&[trusted(document("company", URL), vec![jwk])]);
        assert_eq!(problems.len(), 1);
        let header = json!({"alg": "ES256", "kid": "k1"}).to_string();
        let token = signer.token(&header, &claims().to_string());
        let error = refusal(issuers.verify(token.as_bytes(), NOW_MS));
        assert!(matches!(error, TokenError::UnknownKey { .. }));
    }
}

#[test]
fn row_16_the_signature_is_no_part_of_the_identity() {
    let company = Company::with(Signer::es256(), |_| {});
    let token = company.token();
    let twin = with_signature(&token, |signature| {
        let (r, s) = signature.split_at(32);
        [r, &subtract(&hex(P256_ORDER), s)].concat()
    });
    assert_ne!(token, twin);
    let verify = |token: &str| company.issuers.verify(token.as_bytes(), NOW_MS).unwrap();
    assert_eq!(verify(&token).identity, verify(&twin).identity);
    let key = |token: &str| TokenCache::<()>::key(token.as_bytes());
    assert!(key(&token) != key(&twin), "the cache takes them for two tokens");
}

#[test]
fn row_17_an_ed25519_signature_with_a_second_text_is_refused() {
    let company = Company::new();
    let twin = with_signature(&company.token(), |mut signature| {
        let mut carry = 0_u16;
        for (byte, order) in signature[32..].iter_mut().zip(hex(ED25519_ORDER)) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = (sum % 256) as u8;
            carry = sum / 256;
        }
        signature
    });
    let error = refusal(company.issuers.verify(twin.as_bytes(), NOW_MS));
    assert_eq!(error, TokenError::Signature);
}

#[test]
fn row_17_a_small_order_key_is_refused() {
    let zero = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": b64([0; 32])});
    assert_eq!(fault_of(zero), Some(KeyFault::Point));
}

#[test]
fn row_17_names_of_algorithms_are_those_of_the_key() {
    let signer = Signer::ed25519();
    let check = |key_alg: &str, header_alg: &str| {
        let mut jwk = signer.jwk(Some("k1"));
        jwk.insert("alg".to_owned(), json!(key_alg));
        let issuers = compile(&[trusted(document("company", URL), vec![jwk])]);
        let header = json!({"alg": header_alg, "kid": "k1"}).to_string();
        issuers.verify(signer.token(&header, &claims().to_string()).as_bytes(), NOW_MS)
    };
    assert!(check("EdDSA", "EdDSA").is_ok());
    assert!(check("Ed25519", "Ed25519").is_ok());
    assert_eq!(refusal(check("EdDSA", "Ed25519")), TokenError::AlgorithmMismatch);
    assert_eq!(refusal(check("Ed25519", "EdDSA")), TokenError::AlgorithmMismatch);
    assert_eq!(refusal(check("EdDSA", "ES256")), TokenError::AlgorithmMismatch);
    assert_eq!(refusal(check("EdDSA", "Ed448")), TokenError::Algorithm);
}

#[test]
fn row_18_rsa_keys_out_of_bounds_are_refused_and_the_others_go_on() {
    let good = Signer::rs256();
    let modulus = |bytes: usize| {
        let mut modulus = vec![0xff; bytes];
        modulus[1] = 0;
        modulus
    };
    let rsa = |kid: &str, n: Vec<u8>, e: &[u8]| {
        let jwk = json!({"kty": "RSA", "kid": kid, "alg": "RS256", "n": b64(n), "e": b64(e)});
        jwk.as_object().unwrap().clone()
    };
    let f4 = &[1, 0, 1];
    let mut short = modulus(256);
    short[0] = 0x7f;
    let mut even = modulus(256);
    even[255] = 0xfe;
    let keys = vec![
        rsa("1024", modulus(128), f4),
        rsa("2047", short, f4),
        rsa("8200", modulus(1025), f4),
        rsa("16384", modulus(2048), f4),
        rsa("even", even, f4),
        rsa("e1", modulus(256), &[1]),
        rsa("e3", modulus(256), &[3]),
        rsa("e65536", modulus(256), &[1, 0, 0]),
        rsa("e34", modulus(256), &[2, 0, 0, 0, 1]),
        rsa("e128", modulus(256), &[0xff; 16]),
        rsa("e73", modulus(256), &[1, 0, 0, 0, 0, 0, 0, 1, 0, 1]),
        good.jwk(Some("good")),
    ];
    let (issuers, problems) = Issuers::compile(&[trusted(document("company", URL), keys)]);
    let found: Vec<(&str, KeyFault)> = problems
        .iter()
        .map(|KeyProblem { kid, fault, .. }| (kid.as_deref().unwrap(), *fault))
        .collect();
    assert_eq!(
        found,
        [
            ("1024", KeyFault::Modulus),
            ("2047", KeyFault::Modulus),
            ("8200", KeyFault::Modulus),
            ("16384", KeyFault::Modulus),
            ("even", KeyFault::Modulus),
            ("e1", KeyFault::Exponent),
            ("e3", KeyFault::Exponent),
            ("e65536", KeyFault::Exponent),
            ("e34", KeyFault::Exponent),
            ("e128", KeyFault::Exponent),
            ("e73", KeyFault::Exponent),
        ]
    );
    let header = json!({"alg": "RS256", "kid": "good"}).to_string();
    let token = good.token(&header, &claims().to_string());
    assert!(issuers.verify(token.as_bytes(), NOW_MS).is_ok());
    assert_eq!(faults(vec![rsa("8192", modulus(1024), f4)]), []);
}

#[test]
fn row_19_a_key_of_one_rsa_algorithm_does_not_verify_the_other() {
    for (signer, other) in [(Signer::ps256(), "RS256"), (Signer::rs256(), "PS256")] {
        let own = signer.algorithm();
        let mut jwk = signer.jwk(Some("k1"));
        jwk.insert("alg".to_owned(), json!(other));
        let issuers = compile(&[trusted(document("company", URL), vec![jwk])]);
        let check = |alg: &str| {
            let header = json!({"alg": alg, "kid": "k1"}).to_string();
            issuers.verify(signer.token(&header, &claims().to_string()).as_bytes(), NOW_MS)
        };
        assert_eq!(refusal(check(own)), TokenError::AlgorithmMismatch);
        assert_eq!(refusal(check(other)), TokenError::Signature);
    }
}

#[test]
fn row_19_other_salts_and_garbage_behind_the_digest_are_refused() {
    let issuers = vectors::issuers();
    for good in [vectors::ps256_salt_32(), vectors::rs256_plain()] {
        assert_eq!(issuers.verify(good.as_bytes(), NOW_MS).unwrap().identity.subject, "ada");
    }
    for bad in [
        vectors::ps256_salt_0(),
        vectors::ps256_salt_20(),
        vectors::ps256_salt_longest(),
        vectors::rs256_garbage(),
    ] {
        assert_eq!(refusal(issuers.verify(bad.as_bytes(), NOW_MS)), TokenError::Signature);
    }
}

#[test]
fn row_20_keys_that_are_not_for_signatures_are_refused() {
    let jwk = |name: &str, value: Value| {
        fault_of(with(Value::Object(Signer::ed25519().jwk(Some("k1"))), name, value))
    };
    assert_eq!(jwk("use", json!("sig")), None);
    assert_eq!(jwk("key_ops", json!(["verify"])), None);
    for value in [json!("enc"), json!(""), json!(["sig"]), Value::Null] {
        assert_eq!(jwk("use", value), Some(KeyFault::Use));
    }
    for value in [json!(["encrypt"]), json!([]), json!(["sign"]), json!("verify"), Value::Null] {
        assert_eq!(jwk("key_ops", value), Some(KeyFault::Use));
    }
    assert_eq!(jwk("key_ops", json!(["verify", "encrypt"])), Some(KeyFault::Use));
    for value in [json!(""), json!(1), Value::Null, json!("k".repeat(257))] {
        assert_eq!(jwk("kid", value), Some(KeyFault::KeyId));
    }
}

#[test]
fn row_20_secrets_in_a_public_set_are_refused() {
    let secret = json!({"kty": "oct", "kid": "k1", "alg": "HS256", "k": b64([7; 32])});
    assert_eq!(fault_of(secret), Some(KeyFault::Secret));
    for signer in [Signer::ed25519(), Signer::es256(), Signer::rs256()] {
        for name in ["d", "p", "k"] {
            let jwk = with(Value::Object(signer.jwk(Some("k1"))), name, json!("AQAB"));
            assert_eq!(fault_of(jwk), Some(KeyFault::Private), "{name}");
        }
    }
    let problem =
        KeyProblem { issuer: "company".into(), kid: Some("k1".into()), fault: KeyFault::Secret };
    assert_eq!(problem.to_string(), "key k1 of issuer company: a shared secret");
}

#[test]
fn row_20_keys_of_other_types_are_refused() {
    let ed25519 = Value::Object(Signer::ed25519().jwk(Some("k1")));
    let es256 = Value::Object(Signer::es256().jwk(Some("k1")));
    for jwk in [
        with(ed25519.clone(), "crv", json!("Ed448")),
        with(ed25519.clone(), "crv", json!("X25519")),
        with(ed25519.clone(), "kty", json!("AKP")),
        with(ed25519.clone(), "kty", json!("okp")),
        with(ed25519.clone(), "kty", Value::Null),
        with(es256.clone(), "crv", json!("secp256k1")),
        with(es256, "crv", json!("P-521")),
    ] {
        assert_eq!(fault_of(jwk.clone()), Some(KeyFault::Type), "{jwk}");
    }
    assert_eq!(fault_of(json!({})), Some(KeyFault::Type));
}

#[test]
fn row_26_tokens_of_a_removed_key_are_refused_at_once() {
    let (yesterday, today) = (Signer::ed25519(), Signer::ed25519());
    let issuers = |keys| compile(&[trusted(document("company", URL), keys)]);
    let before = issuers(vec![yesterday.jwk(Some("y")), today.jwk(Some("t"))]);
    let header = json!({"alg": "EdDSA", "kid": "y"}).to_string();
    let token = yesterday.token(&header, &claims().to_string());
    let verified = before.verify(token.as_bytes(), NOW_MS).unwrap();
    assert!(before.has_key("company", &verified.key_thumbprint));
    assert!(!before.has_key("other", &verified.key_thumbprint));

    let after = issuers(vec![today.jwk(Some("t"))]);
    let error = refusal(after.verify(token.as_bytes(), NOW_MS));
    assert_eq!(error, TokenError::UnknownKey { issuer: "company".into(), kid: "y".into() });
    assert!(!after.has_key("company", &verified.key_thumbprint));
    assert_ne!(before.digest(), after.digest());
}

#[test]
fn row_27_new_material_under_an_old_kid_wins() {
    let (old, new) = (Signer::es256(), Signer::es256());
    let issuers = |signer: &Signer| {
        compile(&[trusted(document("company", URL), vec![signer.jwk(Some("k1"))])])
    };
    let (before, after) = (issuers(&old), issuers(&new));
    let header = json!({"alg": "ES256", "kid": "k1"}).to_string();
    let token = old.token(&header, &claims().to_string());
    let verified = before.verify(token.as_bytes(), NOW_MS).unwrap();
    assert_eq!(refusal(after.verify(token.as_bytes(), NOW_MS)), TokenError::Signature);
    assert!(!after.has_key("company", &verified.key_thumbprint));
    let token = new.token(&header, &claims().to_string());
    let verified = after.verify(token.as_bytes(), NOW_MS).unwrap();
    assert!(after.has_key("company", &verified.key_thumbprint));
}

#[test]
fn row_28_one_kid_for_two_algorithms_is_chosen_by_algorithm() {
    let (ed25519, es256) = (Signer::ed25519(), Signer::es256());
    let keys = vec![ed25519.jwk(Some("k1")), es256.jwk(Some("k1"))];
    let issuers = compile(&[trusted(document("company", URL), keys)]);
    for signer in [ed25519, es256] {
        let header = json!({"alg": signer.algorithm(), "kid": "k1"}).to_string();
        let token = signer.token(&header, &claims().to_string());
        assert!(issuers.verify(token.as_bytes(), NOW_MS).is_ok());
    }
}

#[test]
fn row_28_one_kid_twice_for_one_algorithm_leaves_the_whole_set_out() {
    let (first, second, third) = (Signer::es256(), Signer::es256(), Signer::es256());
    let keys = vec![third.jwk(Some("other")), first.jwk(Some("k1")), second.jwk(Some("k1"))];
    let elsewhere = Signer::ed25519();
    let (issuers, problems) = Issuers::compile(&[
        trusted(document("company", URL), keys),
        trusted(document("ci", "https://ci.example"), vec![elsewhere.jwk(Some("k1"))]),
    ]);
    let expected = KeyProblem {
        issuer: "company".into(),
        kid: Some("k1".into()),
        fault: KeyFault::DuplicateKey,
    };
    assert_eq!(problems, [expected]);
    for (signer, kid) in [(&first, "k1"), (&second, "k1"), (&third, "other")] {
        let header = json!({"alg": "ES256", "kid": kid}).to_string();
        let token = signer.token(&header, &claims().to_string());
        assert!(issuers.verify(token.as_bytes(), NOW_MS).is_err());
    }
    let header = json!({"alg": "EdDSA", "kid": "k1"}).to_string();
    let claims = with(claims(), "iss", json!("https://ci.example")).to_string();
    let token = elsewhere.token(&header, &claims);
    assert!(issuers.verify(token.as_bytes(), NOW_MS).is_ok(), "other issuers go on");
}

#[test]
fn row_30_a_set_of_more_than_64_keys_is_left_out() {
    let signer = Signer::ed25519();
    let keys =
        |count: usize| (0..count).map(|n| signer.jwk(Some(&n.to_string()))).collect::<Vec<_>>();
    assert_eq!(faults(keys(64)), []);
    assert_eq!(faults(keys(65)), [(None, KeyFault::TooManyKeys)]);
}

#[test]
fn row_35_a_key_speaks_only_for_its_own_issuer() {
    let (a, b) = (Signer::ed25519(), Signer::ed25519());
    let issuers = compile(&[
        trusted(document("a", "https://a.example"), vec![a.jwk(Some("k1"))]),
        trusted(document("b", "https://b.example"), vec![b.jwk(Some("k1")), b.jwk(Some("kb"))]),
    ]);
    let check = |signer: &Signer, kid: &str, url: &str| {
        let header = json!({"alg": "EdDSA", "kid": kid}).to_string();
        let claims = with(claims(), "iss", json!(url)).to_string();
        issuers.verify(signer.token(&header, &claims).as_bytes(), NOW_MS)
    };
    assert_eq!(check(&a, "k1", "https://a.example").unwrap().identity.issuer, "a");
    assert_eq!(check(&b, "kb", "https://b.example").unwrap().identity.issuer, "b");
    assert_eq!(refusal(check(&a, "k1", "https://b.example")), TokenError::Signature);
    let error = refusal(check(&b, "kb", "https://a.example"));
    assert_eq!(error, TokenError::UnknownKey { issuer: "a".into(), kid: "kb".into() });
}

#[test]
fn two_documents_of_one_url_are_both_left_out() {
    let signer = Signer::ed25519();
    let one = |name: &str| trusted(document(name, URL), vec![signer.jwk(Some("k1"))]);
    let (issuers, problems) = Issuers::compile(&[one("a"), one("b")]);
    let faults: Vec<_> = problems.iter().map(|p| (p.issuer.as_str(), p.fault)).collect();
    assert_eq!(faults, [("a", KeyFault::DuplicateIssuer), ("b", KeyFault::DuplicateIssuer)]);
    let header = json!({"alg": "EdDSA", "kid": "k1"}).to_string();
    let token = signer.token(&header, &claims().to_string());
    let error = refusal(issuers.verify(token.as_bytes(), NOW_MS));
    assert_eq!(error, TokenError::UnknownIssuer);
}
