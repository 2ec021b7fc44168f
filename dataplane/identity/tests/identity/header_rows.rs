//! Rows about the header and the outer form.

use penstock_identity::{TOKEN_BYTES_MAX, TokenError};
use serde_json::{Value, json};

use crate::support::{
    Company, NOW, NOW_MS, Signer, URL, b64, claims, compile, document, refusal, trusted, with,
};

#[test]
fn a_good_token_is_accepted() {
    let company = Company::new();
    let verified = company.issuers.verify(company.token().as_bytes(), NOW_MS).unwrap();
    assert_eq!(verified.identity.issuer, "company");
    assert_eq!(verified.identity.subject, "ada");
    assert_eq!(verified.identity.user, "ada");
    assert!(verified.identity.groups.is_empty());
    assert_eq!(verified.identity.intent, None);
    assert_eq!(verified.identity.claims.get("aud"), Some(&json!("penstock")));
    assert_eq!(verified.not_before_ms, NOW_MS - 30_000);
    assert_eq!(verified.expires_ms, NOW_MS + 600_000 + 30_000);
}

#[test]
fn each_algorithm_verifies_its_own_tokens() {
    for signer in [Signer::ed25519(), Signer::es256(), Signer::rs256(), Signer::ps256()] {
        let company = Company::with(signer, |_| {});
        assert!(company.issuers.verify(company.token().as_bytes(), NOW_MS).is_ok());
    }
}

#[test]
fn row_01_alg_none_in_every_spelling_is_refused() {
    let company = Company::with(Signer::rs256(), |_| {});
    for alg in ["none", "None", "nOnE", "NONE", "", "RS256 ", " RS256", "rs256", "RS256\0"] {
        let header = with(company.header(), "alg", json!(alg)).to_string();
        assert_eq!(refusal(company.check_header(&header)), TokenError::Algorithm, "{alg:?}");
        let unsigned = format!("{}.{}.", b64(&header), b64(claims().to_string()));
        let result = company.issuers.verify(unsigned.as_bytes(), NOW_MS);
        assert_eq!(refusal(result), TokenError::Algorithm, "{alg:?} without a signature");
    }
    for alg in [Value::Null, json!(["RS256"]), json!(256), json!(true), json!({"RS256": 1})] {
        let header = with(company.header(), "alg", alg).to_string();
        assert_eq!(refusal(company.check_header(&header)), TokenError::Algorithm, "{header}");
    }
    let header = r#"{"kid":"k1","typ":"JWT"}"#;
    assert_eq!(refusal(company.check_header(header)), TokenError::Algorithm);
}

#[test]
fn row_01_an_empty_signature_under_a_real_algorithm_is_refused() {
    let company = Company::new();
    let token = company.token();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let result = company.issuers.verify(format!("{signed}.").as_bytes(), NOW_MS);
    assert_eq!(refusal(result), TokenError::Signature);
}

#[test]
fn row_02_a_public_key_is_no_shared_secret() {
    use aws_lc_rs::hmac;
    for signer in [Signer::rs256(), Signer::es256()] {
        let company = Company::with(signer, |_| {});
        let jwk = Value::Object(company.signer.jwk(Some("k1")));
        let text = jwk.to_string();
        let material = jwk.get("n").or(jwk.get("x")).and_then(Value::as_str).unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{material}\n-----END PUBLIC KEY-----\n");
        for (alg, algorithm) in [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
        ] {
            for secret in [text.as_bytes(), material.as_bytes(), pem.as_bytes(), b""] {
                let header = with(company.header(), "alg", json!(alg)).to_string();
                let signed = format!("{}.{}", b64(header), b64(claims().to_string()));
                let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
                let token = format!("{signed}.{}", b64(tag));
                let result = company.issuers.verify(token.as_bytes(), NOW_MS);
                assert_eq!(refusal(result), TokenError::Algorithm);
                // The same tag under the name of the key's own algorithm.
                let signed = format!("{}.{}", b64(company.header().to_string()), b64("{}"));
                let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
                let result = company.issuers.verify(format!("{signed}.{}", b64(tag)).as_bytes(), 0);
                assert!(result.is_err());
            }
        }
    }
}

#[test]
fn row_03_a_kid_is_only_a_key_of_a_map() {
    let company = Company::new();
    for kid in ["../../dev/null", "' OR 1=1--", "|id", "k1\0", "K1", "k1 ", "k", "k11"] {
        let header = with(company.header(), "kid", json!(kid)).to_string();
        let expected = TokenError::UnknownKey { issuer: "company".into(), kid: kid.into() };
        assert_eq!(refusal(company.check_header(&header)), expected);
        assert!(!expected.to_string().contains(kid) || kid == "k", "{expected}");
    }
}

#[test]
fn row_03_a_kid_of_another_type_or_size_is_refused() {
    let company = Company::new();
    let long = "k".repeat(257);
    let kids = [json!(1), json!(["k1"]), json!({"k1": 1}), Value::Null, json!(true), json!("")];
    for kid in kids.into_iter().chain([json!(long)]) {
        let header = with(company.header(), "kid", kid.clone()).to_string();
        assert_eq!(refusal(company.check_header(&header)), TokenError::KeyId, "{kid}");
    }
    let header = with(company.header(), "kid", json!("k".repeat(256))).to_string();
    assert!(matches!(refusal(company.check_header(&header)), TokenError::UnknownKey { .. }));
    let header = with(company.header(), "kid", json!("k".repeat(10_000))).to_string();
    assert_eq!(refusal(company.check_header(&header)), TokenError::TooLarge);
}

#[test]
fn row_03_without_kid_the_only_key_for_the_algorithm_counts() {
    let (first, second, other) = (Signer::ed25519(), Signer::ed25519(), Signer::es256());
    let header = |signer: &Signer| json!({"alg": signer.algorithm()}).to_string();
    let check = |keys: Vec<_>, signer: &Signer| {
        let issuers = compile(&[trusted(document("company", URL), keys)]);
        let token = signer.token(&header(signer), &claims().to_string());
        issuers.verify(token.as_bytes(), NOW_MS)
    };
    let keys = vec![first.jwk(Some("a")), other.jwk(Some("b"))];
    assert!(check(keys.clone(), &first).is_ok());
    assert!(check(keys, &other).is_ok());
    assert!(check(vec![first.jwk(None)], &first).is_ok());
    let two = vec![first.jwk(Some("a")), second.jwk(Some("b"))];
    assert_eq!(refusal(check(two, &first)), TokenError::KeyIdMissing);
    let two_without_ids = vec![first.jwk(None), second.jwk(None)];
    assert_eq!(refusal(check(two_without_ids, &first)), TokenError::KeyIdMissing);
    assert_eq!(refusal(check(vec![other.jwk(Some("b"))], &first)), TokenError::KeyIdMissing);
}

#[test]
fn row_04_keys_in_the_header_are_never_used() {
    let company = Company::new();
    let attacker = Signer::ed25519();
    for (name, value) in [
        ("jwk", Value::Object(attacker.jwk(Some("k1")))),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("https://attacker.example/chain.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = with(company.header(), name, value).to_string();
        let forged = attacker.token(&header, &claims().to_string());
        let result = company.issuers.verify(forged.as_bytes(), NOW_MS);
        assert_eq!(refusal(result), TokenError::Signature, "{name}");
        assert!(company.check_header(&header).is_ok(), "{name} alone is harmless");
    }
    let header = with(company.header(), "kid", json!("attacker")).to_string();
    let header = header.replace('}', &format!(r#","jwk":{}}}"#, json!(attacker.jwk(None))));
    let result = company.issuers.verify(attacker.token(&header, "{}").as_bytes(), NOW_MS);
    assert!(result.is_err());
}

#[test]
fn row_05_critical_extensions_are_refused() {
    let company = Company::new();
    let crits = [json!(["exp"]), json!([]), json!(["unknown"]), json!("exp"), Value::Null];
    for crit in crits {
        let header = with(company.header(), "crit", crit).to_string();
        assert_eq!(refusal(company.check_header(&header)), TokenError::Extension, "{header}");
    }
    let unencoded = with(company.header(), "b64", json!(false));
    let result = company.check_header(&unencoded.to_string());
    assert_eq!(refusal(result), TokenError::Extension);
    let critical = with(unencoded, "crit", json!(["b64"])).to_string();
    assert_eq!(refusal(company.check_header(&critical)), TokenError::Extension);
}

#[test]
fn row_06_compression_and_nesting_are_refused() {
    let company = Company::new();
    for (name, value) in [("zip", "DEF"), ("zip", ""), ("cty", "JWT"), ("cty", "jwt")] {
        let header = with(company.header(), name, json!(value)).to_string();
        assert_eq!(refusal(company.check_header(&header)), TokenError::Extension, "{header}");
    }
    let inner = company.token();
    let nested = company.signer.token(&company.header().to_string(), &inner);
    let result = company.issuers.verify(nested.as_bytes(), NOW_MS);
    assert_eq!(refusal(result), TokenError::Claims);
}

#[test]
fn row_06_other_serialisations_are_refused() {
    let company = Company::new();
    let token = company.token();
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let json = json!({"protected": header, "payload": payload, "signature": signature});
    let general = json!({
        "payload": payload, "signatures": [{"protected": header, "signature": signature}],
    });
    for other in [
        String::new(),
        ".".to_owned(),
        format!("{header}.{payload}"),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
        json.to_string(),
        general.to_string(),
    ] {
        let error = refusal(company.issuers.verify(other.as_bytes(), NOW_MS));
        assert_eq!(error, TokenError::Shape, "{other}");
    }
    for empty in ["..", &format!(".{payload}.{signature}"), &format!("{header}..{signature}")] {
        let error = refusal(company.issuers.verify(empty.as_bytes(), NOW_MS));
        assert!(matches!(error, TokenError::Header | TokenError::Claims), "{empty}");
    }
}

#[test]
fn row_07_members_that_stand_twice_are_refused() {
    let company = Company::new();
    for header in [
        r#"{"alg":"none","alg":"EdDSA","kid":"k1"}"#,
        r#"{"alg":"EdDSA","alg":"EdDSA","kid":"k1"}"#,
        r#"{"alg":"EdDSA","kid":"k1","kid":"k1"}"#,
        r#"{"alg":"EdDSA","kid":"k1","\u006bid":"k2"}"#,
        r#"{"alg":"EdDSA","kid":"k1","jwk":{"kty":"OKP","kty":"EC"}}"#,
    ] {
        let error = refusal(company.check_header(header));
        assert_eq!(error, TokenError::DuplicateMember, "{header}");
    }
    let good = claims().to_string();
    let inside = good.trim_end_matches('}');
    for twice in [
        r#""sub":"eve""#.to_owned(),
        r#""s\u0075b":"eve""#.to_owned(),
        format!(r#""exp":{}"#, NOW + 1),
        r#""a":{"b":1,"b":1}"#.to_owned(),
        r#""a":[{"b":[{"c":1,"c":2}]}]"#.to_owned(),
    ] {
        let error = refusal(company.check_claims(&format!("{inside},{twice}}}")));
        assert_eq!(error, TokenError::DuplicateMember, "{twice}");
    }
    assert!(
        company
            .check_claims(&format!(r#"{inside},"SUB":"eve","a":[{{"b":1}},{{"b":1}}]}}"#))
            .is_ok()
    );
}

#[test]
fn row_21_base64url_has_one_text_for_each_token() {
    let company = Company::new();
    let token = company.token();
    let parts: Vec<&str> = token.split('.').collect();
    let join = |index: usize, part: String| {
        let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        parts[index] = part;
        parts.join(".")
    };
    for (index, part) in parts.iter().enumerate() {
        let (head, tail) = part.split_at(4);
        for wrong in [
            format!("{part}="),
            format!("{part}=="),
            format!("{head} {tail}"),
            format!("{head}\n{tail}"),
            format!("{head}\r\n{tail}"),
            format!(" {part}"),
            format!("{part} "),
            format!("{part}\n"),
            format!("+{part}"),
            format!("{head}/{tail}"),
            format!("{head}%41{tail}"),
        ] {
            let error = refusal(company.issuers.verify(join(index, wrong).as_bytes(), NOW_MS));
            assert_eq!(error, TokenError::Encoding, "part {index}");
        }
    }
    for quote in ["\"", "Bearer "] {
        let error = refusal(company.issuers.verify(format!("{quote}{token}").as_bytes(), NOW_MS));
        assert_eq!(error, TokenError::Encoding);
    }
}

#[test]
fn row_21_trailing_bits_that_are_not_zero_are_refused() {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let company = Company::new();
    // 64 bytes of signature leave 4 bits in the last character: 15 other texts for one value.
    let token = company.token();
    let (rest, last) = token.split_at(token.len() - 1);
    let index = ALPHABET.iter().position(|c| *c == last.as_bytes()[0]).unwrap();
    assert_eq!(index % 16, 0);
    for twin in ALPHABET.iter().skip(index + 1).take(15) {
        let twin = format!("{rest}{}", char::from(*twin));
        assert_eq!(refusal(company.issuers.verify(twin.as_bytes(), NOW_MS)), TokenError::Encoding);
    }
}

#[test]
fn row_22_a_token_beyond_8_kib_is_refused_before_it_is_decoded() {
    let company = Company::new();
    for size in [TOKEN_BYTES_MAX + 1, 16 * 1024, 1024 * 1024] {
        let junk = vec![b'!'; size];
        assert_eq!(refusal(company.issuers.verify(&junk, NOW_MS)), TokenError::TooLarge);
    }
    let header = with(company.header(), "x", json!("x".repeat(8 * 1024))).to_string();
    assert_eq!(refusal(company.check_header(&header)), TokenError::TooLarge);
    assert_eq!(refusal(company.issuers.verify(&vec![b'!'; TOKEN_BYTES_MAX], 0)), TokenError::Shape);
    // The largest good token: padding in a claim up to the last byte that fits.
    let sized = |bytes: usize| {
        let claims = with(claims(), "pad", json!("x".repeat(bytes))).to_string();
        company.signer.token(&company.header().to_string(), &claims)
    };
    let room = (TOKEN_BYTES_MAX - sized(0).len()) * 3 / 4;
    let largest = sized(room);
    assert!(largest.len() > TOKEN_BYTES_MAX - 4 && largest.len() <= TOKEN_BYTES_MAX);
    assert!(company.issuers.verify(largest.as_bytes(), NOW_MS).is_ok());
}
