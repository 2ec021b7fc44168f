//! Properties over bytes that nobody chose.

use penstock_identity::TokenError;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Company, NOW_MS, Signer, claims, with};

/// A piece of JSON as an attacker might put it together.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("[[[[{}]]]]".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| json!(text).to_string()),
        Just(r#"[{"type":"penstock_access","models":["a"]}]"#.to_owned()),
        prop::collection::vec(any::<String>(), 0..4).prop_map(|texts| json!(texts).to_string()),
    ]
}

fn member(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    (prop::sample::select(names), piece()).prop_map(|(name, value)| format!("\"{name}\":{value}"))
}

const CLAIMS: &[&str] =
    &["iss", "sub", "aud", "exp", "nbf", "iat", "groups", "cnf", "authorization_details", "email"];
const HEADER: &[&str] = &["alg", "kid", "typ", "crit", "zip", "cty", "jwk"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_panic_and_none_are_accepted(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let company = Company::new();
        prop_assert!(company.issuers.verify(&bytes, NOW_MS).is_err());
    }

    #[test]
    fn no_three_parts_panic(parts in prop::array::uniform3("[A-Za-z0-9_-]{0,90}")) {
        let text = parts.join(".");
        let company = Company::new();
        prop_assert!(company.issuers.verify(text.as_bytes(), NOW_MS).is_err());
    }

    #[test]
    fn no_signed_json_panics(
        header in prop::collection::vec(member(HEADER), 0..4),
        members in prop::collection::vec(member(CLAIMS), 0..6),
        now_ms in any::<u64>(),
    ) {
        let company = Company::new();
        let good_header = company.header().to_string();
        let good_claims = claims().to_string();
        let header = [good_header.trim_matches(['{', '}']).to_owned(), header.join(",")];
        let members = [good_claims.trim_matches(['{', '}']).to_owned(), members.join(",")];
        for header in [header.join(","), header[1].clone(), header[0].clone()] {
            for members in [members.join(","), members[1].clone()] {
                let (header, members) = (format!("{{{header}}}"), format!("{{{members}}}"));
                let token = company.signer.token(&header, &members);
                if let Ok(verified) = company.issuers.verify(token.as_bytes(), now_ms) {
                    prop_assert!(verified.not_before_ms <= now_ms && now_ms < verified.expires_ms);
                }
            }
        }
    }
}

/// Changes that a network, a proxy or an attacker could make to a token's text.
fn changes(token: &str, at: usize, byte: u8) -> Vec<Vec<u8>> {
    let bytes = token.as_bytes();
    let at = at % bytes.len();
    let mut replaced = bytes.to_vec();
    replaced[at] = byte;
    let mut inserted = bytes.to_vec();
    inserted.insert(at, byte);
    let mut removed = bytes.to_vec();
    removed.remove(at);
    let mut swapped = bytes.to_vec();
    swapped.swap(at, usize::from(byte) % bytes.len());
    vec![replaced, inserted, removed, swapped, bytes[..at].to_vec(), bytes[at..].to_vec()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_changed_token_never_verifies(
        at in any::<usize>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(&b"ABCaz019-_=.+/ "[..])],
    ) {
        for signer in [Signer::ed25519(), Signer::es256()] {
            let company = Company::with(signer, |_| {});
            let token = company.token();
            for changed in changes(&token, at, byte) {
                if changed != token.as_bytes() {
                    prop_assert!(company.issuers.verify(&changed, NOW_MS).is_err());
                }
            }
        }
    }

    #[test]
    fn parts_of_two_tokens_never_make_a_third(first in 0_usize..8) {
        let company = Company::new();
        let eve = with(claims(), "sub", json!("eve")).to_string();
        let tokens = [company.token(), company.signer.token(&company.header().to_string(), &eve)];
        let parts: Vec<Vec<&str>> = tokens.iter().map(|token| token.split('.').collect()).collect();
        let pick = |place: usize| parts[first >> place & 1][place];
        let mixed = [pick(0), pick(1), pick(2)].join(".");
        let result = company.issuers.verify(mixed.as_bytes(), NOW_MS);
        if tokens.contains(&mixed) {
            prop_assert!(result.is_ok());
        } else {
            prop_assert_eq!(result.err(), Some(TokenError::Signature));
        }
    }
}
