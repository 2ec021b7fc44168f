//! What an issuer document makes of the claims: user, groups, intent.

use penstock_config::identity::{Access, Intent};
use penstock_identity::{Issuers, TokenError};
use serde_json::{Value, json};

use crate::support::{Company, NOW_MS, Signer, claims, refusal, with};

fn with_user_claim(name: &str) -> Company {
    Company::with(Signer::ed25519(), |issuer| issuer.user_claim = name.to_owned())
}

#[test]
fn the_user_is_what_the_user_claim_names() {
    let company = with_user_claim("preferred_username");
    let identity = company.check_claim("preferred_username", json!("ada.l")).unwrap().identity;
    assert_eq!((identity.subject.as_str(), identity.user.as_str()), ("ada", "ada.l"));
    assert_eq!(refusal(company.check_without("preferred_username")), TokenError::User);
    for value in [json!(""), json!(1), json!(["ada"]), Value::Null, json!("a\nb")] {
        let error = refusal(company.check_claim("preferred_username", value));
        assert_eq!(error, TokenError::User);
    }
}

#[test]
fn the_user_claim_is_a_path_or_a_name_with_dots() {
    let company = with_user_claim("profile.login");
    let user = |name: &str, value: Value| company.check_claim(name, value).map(|v| v.identity.user);
    assert_eq!(user("profile", json!({"login": "ada.l"})).unwrap(), "ada.l");
    assert_eq!(user("profile.login", json!("ada.d")).unwrap(), "ada.d");
    assert_eq!(user("profile", json!("ada")).unwrap_err(), TokenError::User);
    assert_eq!(user("profile", json!({})).unwrap_err(), TokenError::User);
    let named = with_user_claim("https://example.com/user");
    let identity = named.check_claim("https://example.com/user", json!("a")).unwrap().identity;
    assert_eq!(identity.user, "a");
}

#[test]
fn an_email_counts_only_when_it_is_verified() {
    let company = with_user_claim("email");
    let check = |verified: Option<Value>| {
        let claims = with(claims(), "email", json!("ada@example.com"));
        let claims = match verified {
            Some(value) => with(claims, "email_verified", value),
            None => claims,
        };
        company.check_claims(&claims.to_string())
    };
    let identity = check(Some(json!(true))).unwrap().identity;
    assert_eq!(identity.user, "ada@example.com");
    assert_eq!(identity.claims.get("email"), Some(&json!("ada@example.com")));
    for verified in [None, Some(json!(false)), Some(json!("true")), Some(json!(1))] {
        assert_eq!(refusal(check(verified)), TokenError::EmailUnverified);
    }
}

#[test]
fn an_unverified_email_is_not_among_the_claims() {
    let company = Company::new();
    let identity = company.check_claim("email", json!("root@example.com")).unwrap().identity;
    assert_eq!(identity.claims.get("email"), None);
    assert_eq!(identity.claims.get("sub"), Some(&json!("ada")));
}

#[test]
fn groups_are_found_by_path() {
    let company = Company::with(Signer::ed25519(), |issuer| {
        issuer.groups_claim = "realm_access.roles".to_owned();
    });
    let groups =
        |value: Value| company.check_claim("realm_access", value).map(|v| v.identity.groups);
    assert_eq!(groups(json!({"roles": ["a", "b"]})).unwrap(), ["a", "b"]);
    assert!(groups(json!({})).unwrap().is_empty());
    assert!(company.check_claims(&claims().to_string()).unwrap().identity.groups.is_empty());
    for value in [json!(["a"]), json!("a"), Value::Null, json!({"roles": 1})] {
        assert_eq!(groups(value).unwrap_err(), TokenError::Groups);
    }
}

fn intent(details: Value) -> Result<Option<Intent>, TokenError> {
    let company = Company::new();
    company.check_claim("authorization_details", details).map(|verified| verified.identity.intent)
}

#[test]
fn an_intent_is_read_from_the_authorization_details() {
    let details = json!([
        {"type": "penstock_access", "connections": ["llama"], "operations": ["infer.*", "list"],
         "models": ["*"], "reason": "nightly evaluation", "ticket": "ML-7"},
        {"type": "penstock_access"},
        {"type": "penstock_access", "models": []},
    ]);
    let text = |text: &str| Some(vec![text.to_owned()]);
    let expected = Intent {
        accesses: vec![
            Access {
                connections: text("llama"),
                operations: Some(vec!["infer.*".to_owned(), "list".to_owned()]),
                models: text("*"),
                reason: Some("nightly evaluation".to_owned()),
                ticket: Some("ML-7".to_owned()),
            },
            Access::default(),
            Access { models: Some(Vec::new()), ..Access::default() },
        ],
    };
    assert_eq!(intent(details), Ok(Some(expected)));
}

#[test]
fn authorization_details_of_other_types_are_for_somebody_else() {
    let other = json!([{"type": "payment_initiation", "connections": 1}, {"type": "x"}]);
    assert_eq!(intent(other), Ok(None));
    assert_eq!(intent(json!([])), Ok(None));
    let mixed = json!([{"type": "x"}, {"type": "penstock_access", "models": ["a"]}]);
    assert_eq!(intent(mixed).unwrap().unwrap().accesses.len(), 1);
}

#[test]
fn malformed_authorization_details_are_refused() {
    for details in [
        json!("[]"),
        json!({"type": "penstock_access"}),
        Value::Null,
        json!([1]),
        json!([{}]),
        json!([{"type": 1}]),
        json!([["penstock_access"]]),
        json!([{"type": "penstock_access", "connections": "llama"}]),
        json!([{"type": "penstock_access", "operations": [1]}]),
        json!([{"type": "penstock_access", "models": null}]),
        json!([{"type": "penstock_access", "reason": ["a"]}]),
        json!([{"type": "penstock_access", "model": ["a"]}]),
        json!([{"type": "penstock_access", "until": 1}]),
        json!([{"type": "x"}, {"type": "penstock_access", "models": "a"}]),
    ] {
        assert_eq!(intent(details.clone()), Err(TokenError::AuthorizationDetails), "{details}");
    }
}

#[test]
fn no_error_says_anything_of_the_token() {
    let company = Company::new();
    let marked = |name: &str| company.check_claim(name, json!({"s3cr3t-marker": "s3cr3t-marker"}));
    for name in ["iss", "sub", "aud", "exp", "groups", "authorization_details", "cnf"] {
        let error = refusal(marked(name));
        assert!(!format!("{error} {error:?} {}", error.label()).contains("marker"), "{name}");
    }
    let header = with(company.header(), "kid", json!("s3cr3t-marker")).to_string();
    let error = refusal(company.check_header(&header));
    assert_eq!(error.label(), "unknown_key");
    assert!(!error.to_string().contains("marker"));
}

#[test]
fn row_34_a_clock_that_jumps_changes_only_what_time_decides() {
    let company = Company::new();
    let token = company.token();
    let at = |now_ms: u64| company.issuers.verify(token.as_bytes(), now_ms);
    let hour_ms = 3_600_000;
    assert_eq!(refusal(at(NOW_MS + hour_ms)), TokenError::Expired);
    assert_eq!(refusal(at(NOW_MS - hour_ms)), TokenError::NotYetValid);
    assert!(at(NOW_MS).is_ok());
}

#[test]
fn compiled_issuers_are_shared_by_all_cores() {
    fn shared<T: Send + Sync>() {}
    shared::<Issuers>();
}
