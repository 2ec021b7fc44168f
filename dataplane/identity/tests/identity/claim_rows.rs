//! Rows about the claims.

use penstock_identity::TokenError;
use serde_json::{Value, json};

use crate::support::{Company, NOW, NOW_MS, Signer, URL, claims, refusal, with};

#[test]
fn row_08_claims_that_are_not_one_object_are_refused() {
    let company = Company::new();
    let good = claims().to_string();
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(3000), "]".repeat(3000));
    for text in [
        "",
        "[]",
        "\"x\"",
        "1",
        "null",
        "{",
        "{}{}",
        &format!("{good}{good}"),
        &format!("{good} x"),
        &format!("\u{feff}{good}"),
        &good.replace("ada", "\\ud800"),
        &good.replace("ada", "\\udc00\\ud800"),
        &good.replace("ada", "a\nb"),
        &good.replace("ada\"", "ada\","),
        &good.replace('"', "'"),
        &deep,
        &format!(r#"{{"a":{}"#, "{\"a\":".repeat(1000)),
    ] {
        let error = refusal(company.check_claims(text));
        assert!(matches!(error, TokenError::Claims | TokenError::DuplicateMember), "{text}");
        let header = text.replace(&good, &company.header().to_string());
        assert!(company.check_header(&header).is_err(), "{header}");
    }
    let header = company.header().to_string();
    for bytes in [b"{\"sub\":\"\xff\"}".as_slice(), b"{\"sub\":\"\xc0\xaf\"}", b"\xff\xfe{\0}\0"] {
        let token = company.signer.token_of_bytes(header.as_bytes(), bytes);
        let error = refusal(company.issuers.verify(token.as_bytes(), NOW_MS));
        assert_eq!(error, TokenError::Claims, "{bytes:?}");
    }
}

#[test]
fn row_08_depth_is_bounded_at_32() {
    let company = Company::new();
    let nested = |depth: usize| {
        let value = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        company.check_claims(
            &claims().to_string().replace("\"ada\"", &format!("\"ada\",\"x\":{value}")),
        )
    };
    assert!(nested(31).is_ok());
    assert_eq!(refusal(nested(32)), TokenError::Claims);
}

#[test]
fn row_09_exp_is_required_and_an_unsigned_integer() {
    let company = Company::new();
    assert_eq!(refusal(company.check_without("exp")), TokenError::Time);
    let good = claims().to_string();
    let exp = (NOW + 600).to_string();
    for (text, expected) in [
        ("\"1800000600\"", TokenError::Time),
        ("\"never\"", TokenError::Time),
        ("1e3", TokenError::Time),
        ("1.8000006e9", TokenError::Time),
        ("1800000600.0", TokenError::Time),
        ("-1", TokenError::Time),
        ("-0", TokenError::Time),
        ("null", TokenError::Time),
        ("true", TokenError::Time),
        ("[1800000600]", TokenError::Time),
        ("{}", TokenError::Time),
        ("18446744073709551616", TokenError::Time),
        ("0", TokenError::Expired),
        ("9007199254740993", TokenError::Lifetime),
        ("9223372036854775808", TokenError::Lifetime),
        ("18446744073709551615", TokenError::Lifetime),
        ("1e400", TokenError::Claims),
        ("NaN", TokenError::Claims),
        ("Infinity", TokenError::Claims),
        ("01800000600", TokenError::Claims),
        ("+1800000600", TokenError::Claims),
        ("0x6b49d200", TokenError::Claims),
    ] {
        assert_eq!(refusal(company.check_claims(&good.replace(&exp, text))), expected, "{text}");
    }
}

#[test]
fn row_09_nbf_and_iat_of_another_type_are_not_absent() {
    let company = Company::new();
    for name in ["nbf", "iat"] {
        for value in [json!("9999"), json!(1.5), json!(-1), Value::Null, json!([1]), json!(true)] {
            let error = refusal(company.check_claim(name, value.clone()));
            assert_eq!(error, TokenError::Time, "{name} {value}");
        }
    }
}

#[test]
fn row_09_no_time_overflows() {
    let unlimited = Company::with(Signer::ed25519(), |issuer| issuer.lifetime_ms_max = u64::MAX);
    let verified = unlimited.check_claim("exp", json!(u64::MAX)).unwrap();
    assert_eq!(verified.expires_ms, u64::MAX);
    let error = refusal(unlimited.check_claim("nbf", json!(u64::MAX)));
    assert_eq!(error, TokenError::NotYetValid);
    let error = refusal(unlimited.check_claim("iat", json!(u64::MAX)));
    assert_eq!(error, TokenError::NotYetValid);
    let token = unlimited.token();
    let result = unlimited.issuers.verify(token.as_bytes(), u64::MAX);
    assert_eq!(refusal(result), TokenError::Expired);
    assert_eq!(refusal(unlimited.issuers.verify(token.as_bytes(), 0)), TokenError::NotYetValid);
}

#[test]
fn row_10_times_count_within_the_leeway_and_not_a_millisecond_beyond() {
    let company = Company::new();
    let at = |claims: Value, now_ms: u64| {
        let token = company.signer.token(&company.header().to_string(), &claims.to_string());
        company.issuers.verify(token.as_bytes(), now_ms)
    };
    let exp_ms = (NOW + 600) * 1000;
    assert!(at(claims(), exp_ms + 29_999).is_ok());
    assert_eq!(refusal(at(claims(), exp_ms + 30_000)), TokenError::Expired);
    assert_eq!(refusal(at(claims(), exp_ms + 31_000)), TokenError::Expired);
    for name in ["nbf", "iat"] {
        let ahead = |seconds: u64| at(with(claims(), name, json!(NOW + seconds)), NOW_MS);
        assert!(ahead(29).is_ok(), "{name}");
        assert!(ahead(30).is_ok(), "{name}");
        assert_eq!(refusal(ahead(31)), TokenError::NotYetValid, "{name}");
    }
    let ahead = with(claims(), "nbf", json!(NOW + 30));
    assert_eq!(refusal(at(ahead, NOW_MS - 1)), TokenError::NotYetValid);
    let either =
        |nbf: u64, iat: u64| at(with(with(claims(), "nbf", json!(nbf)), "iat", json!(iat)), NOW_MS);
    assert!(either(NOW - 9, NOW - 5).is_ok());
    assert_eq!(refusal(either(NOW - 9, NOW + 31)), TokenError::NotYetValid);
    assert_eq!(refusal(either(NOW + 31, NOW - 9)), TokenError::NotYetValid);
}

#[test]
fn row_10_a_leeway_beyond_60_seconds_is_cut_to_60() {
    let company = Company::with(Signer::ed25519(), |issuer| issuer.leeway_ms = 3_600_000);
    let verified = company.issuers.verify(company.token().as_bytes(), NOW_MS).unwrap();
    assert_eq!(verified.expires_ms, (NOW + 660) * 1000);
    assert_eq!(verified.not_before_ms, (NOW - 60) * 1000);
    let none = Company::with(Signer::ed25519(), |issuer| issuer.leeway_ms = 0);
    assert_eq!(refusal(none.check_claim("exp", json!(NOW))), TokenError::Expired);
}

#[test]
fn row_11_a_lifetime_above_the_issuers_is_refused() {
    let company = Company::new();
    let day = 86_400;
    let ten_years = 10 * 365 * day;
    assert!(company.check_claim("exp", json!(NOW + day)).is_ok());
    for exp in [NOW + day + 1, NOW + ten_years] {
        assert_eq!(refusal(company.check_claim("exp", json!(exp))), TokenError::Lifetime);
    }
    // Row 10's other half: an old `iat` counts towards the lifetime.
    let error = refusal(company.check_claim("iat", json!(NOW - ten_years)));
    assert_eq!(error, TokenError::Lifetime);
    let without_iat = |exp: u64| {
        let mut claims = with(claims(), "exp", json!(exp));
        claims.as_object_mut().unwrap().remove("iat");
        company.check_claims(&claims.to_string())
    };
    assert!(without_iat(NOW + day).is_ok());
    assert_eq!(refusal(without_iat(NOW + day + 1)), TokenError::Lifetime);
}

#[test]
fn row_12_the_audience_is_ours_exactly() {
    let company = Company::new();
    assert_eq!(refusal(company.check_without("aud")), TokenError::Audience);
    for aud in [
        json!("other"),
        json!("penstock "),
        json!(" penstock"),
        json!("penstoc"),
        json!("penstock-api"),
        json!("Penstock"),
        json!("penstock,other"),
        json!(""),
        json!([]),
        json!(["other"]),
        json!([["penstock"]]),
        json!(["penstock", 1]),
        json!([1, "penstock"]),
        json!(["penstock", null]),
        json!({"penstock": "penstock"}),
        json!(1),
        json!(true),
        Value::Null,
    ] {
        let error = refusal(company.check_claim("aud", aud.clone()));
        assert_eq!(error, TokenError::Audience, "{aud}");
    }
    assert!(company.check_claim("aud", json!(["stranger", "penstock"])).is_ok());
    let nobody = Company::with(Signer::ed25519(), |issuer| issuer.audiences.clear());
    assert_eq!(refusal(nobody.check_claim("aud", json!(""))), TokenError::Audience);
}

#[test]
fn row_12_another_list_of_audiences_replaces_the_documents() {
    let company = Company::new();
    let token = company.token();
    let result = company.issuers.verify_for(token.as_bytes(), &["penstock-api"], NOW_MS);
    assert_eq!(refusal(result), TokenError::Audience);
    let claims = with(claims(), "aud", json!("penstock-api")).to_string();
    let token = company.signer.token(&company.header().to_string(), &claims);
    assert_eq!(refusal(company.issuers.verify(token.as_bytes(), NOW_MS)), TokenError::Audience);
    let verified = company.issuers.verify_for(token.as_bytes(), &["penstock-api"], NOW_MS);
    assert_eq!(verified.unwrap().identity.subject, "ada");
    assert_eq!(
        refusal(company.issuers.verify_for(token.as_bytes(), &[], NOW_MS)),
        TokenError::Audience
    );
}

#[test]
fn row_13_the_issuer_is_equal_byte_for_byte() {
    let company = Company::new();
    assert_eq!(refusal(company.check_without("iss")), TokenError::UnknownIssuer);
    for iss in [
        json!("https://id.example.com/"),
        json!("https://ID.example.com"),
        json!("HTTPS://id.example.com"),
        json!("http://id.example.com"),
        json!("https://id.example.com:443"),
        json!("https://id.example.com@evil.example"),
        json!("https://evil@id.example.com"),
        json!("https://id.example.com/other-tenant"),
        json!("https://id.example.com "),
        json!("company"),
        json!(""),
        json!([URL]),
        json!({"url": URL}),
        json!(1),
        Value::Null,
    ] {
        let error = refusal(company.check_claim("iss", iss.clone()));
        assert_eq!(error, TokenError::UnknownIssuer, "{iss}");
    }
}

#[test]
fn row_14_types_for_other_purposes_are_refused() {
    let all = Company::with(Signer::ed25519(), |issuer| {
        let others = ["dpop+jwt", "logout+jwt", "secevent+jwt"].map(str::to_owned);
        issuer.token_types.extend(others);
    });
    let check = |company: &Company, typ: Value| {
        company.check_header(&with(company.header(), "typ", typ).to_string())
    };
    for typ in ["dpop+jwt", "logout+jwt", "secevent+jwt", "DPoP+JWT", "application/logout+jwt"] {
        assert_eq!(refusal(check(&all, json!(typ))), TokenError::TokenType, "{typ}");
    }
    for typ in [json!("JOSE"), json!(""), json!("application/"), json!(1), Value::Null, json!([])] {
        assert_eq!(refusal(check(&all, typ.clone())), TokenError::TokenType, "{typ}");
    }
}

#[test]
fn row_14_types_are_compared_without_case_and_prefix() {
    let company = Company::new();
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"] {
        let header = with(company.header(), "typ", json!(typ)).to_string();
        assert!(company.check_header(&header).is_ok(), "{typ}");
    }
    assert!(company.check_header(r#"{"alg":"EdDSA","kid":"k1"}"#).is_ok(), "absent");
    let strict = Company::with(Signer::ed25519(), |issuer| {
        issuer.token_types = vec!["application/at+jwt".to_owned()];
    });
    let header = with(strict.header(), "typ", json!("at+jwt")).to_string();
    assert!(strict.check_header(&header).is_ok());
    let id_token = strict.check_header(&strict.header().to_string());
    assert_eq!(refusal(id_token), TokenError::TokenType, "an id token is no access token");
    let absent = strict.check_header(r#"{"alg":"EdDSA","kid":"k1"}"#);
    assert_eq!(refusal(absent), TokenError::TokenType);
}

#[test]
fn row_14_an_id_token_for_a_client_is_no_access_token() {
    let company = Company::new();
    let claims = with(claims(), "aud", json!("web-client-4711"));
    let claims = with(with(claims, "nonce", json!("n")), "at_hash", json!("h")).to_string();
    assert_eq!(refusal(company.check_claims(&claims)), TokenError::Audience);
}

#[test]
fn row_22_groups_above_the_limit_are_refused_and_not_cut() {
    let company = Company::new();
    let groups = |count: usize| json!((0..count).map(|n| n.to_string()).collect::<Vec<_>>());
    let verified = company.check_claim("groups", groups(256)).unwrap();
    assert_eq!(verified.identity.groups.len(), 256);
    let error = refusal(company.check_claim("groups", groups(257)));
    assert_eq!(error, TokenError::GroupsOverage);
    let error = refusal(company.check_claim("groups", groups(10_000)));
    assert_eq!(error, TokenError::TooLarge);
}

#[test]
fn row_22_groups_that_are_kept_elsewhere_are_refused() {
    let company = Company::new();
    let sources = json!({"src1": {"endpoint": "https://graph.example/groups"}});
    let elsewhere = |names: Value| {
        let claims = with(claims(), "_claim_names", names);
        company.check_claims(&with(claims, "_claim_sources", sources.clone()).to_string())
    };
    assert_eq!(refusal(elsewhere(json!({"groups": "src1"}))), TokenError::GroupsOverage);
    assert_eq!(refusal(elsewhere(json!(["groups"]))), TokenError::Groups);
    assert_eq!(refusal(elsewhere(json!("groups"))), TokenError::Groups);
    assert!(elsewhere(json!({"address": "src1"})).is_ok());
    let error = refusal(company.check_claim("hasgroups", json!(true)));
    assert_eq!(error, TokenError::GroupsOverage);
    let nested = Company::with(Signer::ed25519(), |issuer| {
        issuer.groups_claim = "realm_access.roles".to_owned();
    });
    for name in ["realm_access", "realm_access.roles"] {
        let error = refusal(nested.check_claim("_claim_names", json!({name: "src1"})));
        assert_eq!(error, TokenError::GroupsOverage);
    }
}

#[test]
fn row_23_a_subject_is_a_bounded_text_without_control_characters() {
    let company = Company::new();
    assert_eq!(refusal(company.check_without("sub")), TokenError::Subject);
    for sub in [
        json!(""),
        json!("a".repeat(256)),
        json!("a".repeat(4096)),
        json!(4711),
        json!(["ada"]),
        Value::Null,
        json!("ada\0"),
        json!("admin\u{0}"),
        json!("ada\r\nx-user: eve"),
        json!("ada\u{7f}"),
        json!("ada\u{85}"),
        json!("\t"),
    ] {
        let error = refusal(company.check_claim("sub", sub.clone()));
        assert_eq!(error, TokenError::Subject, "{sub:?}");
    }
    assert!(company.check_claim("sub", json!("a".repeat(255))).is_ok());
}

#[test]
fn row_23_subjects_are_compared_by_bytes() {
    let company = Company::new();
    let subject = |sub: &str| company.check_claim("sub", json!(sub)).unwrap().identity.subject;
    let twins = ["Zoë", "Zoe\u{308}", "zoë", "admin", "аdmin", "admin\u{202e}", "admin "];
    for (index, twin) in twins.iter().enumerate() {
        assert_eq!(subject(twin), *twin);
        assert!(twins.iter().skip(index + 1).all(|other| subject(other) != *twin));
    }
}

#[test]
fn row_24_groups_are_texts() {
    let company = Company::new();
    let groups = |value: Value| company.check_claim("groups", value);
    assert_eq!(groups(json!("engineers")).unwrap().identity.groups, ["engineers"]);
    assert_eq!(groups(json!("a,b c")).unwrap().identity.groups, ["a,b c"], "one group");
    assert_eq!(groups(json!(["a", "b"])).unwrap().identity.groups, ["a", "b"]);
    assert!(groups(json!([])).unwrap().identity.groups.is_empty());
    for value in [
        json!([["a"]]),
        json!(["a", 1]),
        json!(["a", null]),
        json!([{"name": "a"}]),
        json!(1),
        json!(true),
        json!({"a": true}),
        Value::Null,
    ] {
        assert_eq!(refusal(groups(value.clone())), TokenError::Groups, "{value}");
    }
}

#[test]
fn row_36_a_token_that_is_bound_to_a_key_is_refused() {
    let company = Company::new();
    for cnf in [json!({"jkt": "0ZcOCORZNYy"}), json!({"x5t#S256": "bwcK"}), json!({}), Value::Null]
    {
        let error = refusal(company.check_claim("cnf", cnf));
        assert_eq!(error, TokenError::SenderConstrained);
    }
}

#[test]
fn row_37_actors_are_kept_and_do_not_decide() {
    let company = Company::new();
    let act = json!({"sub": "admin", "act": {"sub": "root", "groups": ["admins"]}});
    let identity = company.check_claim("act", act.clone()).unwrap().identity;
    assert_eq!((identity.subject.as_str(), identity.user.as_str()), ("ada", "ada"));
    assert!(identity.groups.is_empty());
    assert_eq!(identity.claims.get("act"), Some(&act));
    let identity = company.check_claim("may_act", json!({"sub": "eve"})).unwrap().identity;
    assert_eq!(identity.subject, "ada");
}
