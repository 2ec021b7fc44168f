//! `POST /token` (RFC 8693) under attack: audiences, algorithms, forms, sizes, rates; and what
//! nodes are told of it.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::TestControlplane;
use common::issuer::TestKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use penstock_config::snapshot::TrustedIssuer;
use penstock_identity::Issuers;
use penstock_server::Options;
use reqwest::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Map, Value, json};

const GRANT: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
const KIND: (&str, &str) = ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt");

/// The workload, and the role that governs: with a workload every subject names its issuer.
const WORKLOADS: &str = "
kind: workload
name: nightly
subjects: [{issuer: dev, claims: {repository_id: \"4711\"}}]
groups: [ci]
connections: [llama]
operations: [infer.*, list]
models: [\"smol-*\"]
minutes_max: 15
---
{kind: role, name: administrators, role: admin, subjects: [{issuer: dev, users: [ada]}]}
---
kind: connection
name: llama
protocol: llamacpp
version: b11434
endpoints: [http://127.0.0.1:8080]
---
kind: rule
name: ci-infers
effect: allow
subjects: [{issuer: penstock, groups: [ci]}]
operations: [infer.*, list]
";

/// A control plane with workloads in force.
async fn stage(more: &str) -> TestControlplane {
    let controlplane = TestControlplane::start().await;
    let (status, answer) = controlplane.apply(&format!("{WORKLOADS}{more}")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    controlplane
}

fn now_s() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

/// Claims of the job, but for some.
fn claims(controlplane: &TestControlplane, changed: &Value) -> Value {
    let mut claims = json!({
        "iss": controlplane.issuer.url, "sub": "repo:acme/app:ref:refs/heads/main",
        "aud": "penstock-exchange", "iat": now_s(), "exp": now_s() + 300, "jti": "job-1",
        "repository_id": "4711", "event_name": "schedule",
    });
    for (name, value) in changed.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn signed(key: &TestKey, header: impl FnOnce(&mut Header), claims: &Value) -> String {
    let mut given = Header::new(Algorithm::EdDSA);
    given.kid = Some(key.id.clone());
    header(&mut given);
    jsonwebtoken::encode(&given, claims, &EncodingKey::from_ed_der(&key.document)).unwrap()
}

/// The job's token, but for some claims.
fn job(controlplane: &TestControlplane, changed: &Value) -> String {
    signed(&controlplane.key, |_| {}, &claims(controlplane, changed))
}

fn form(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| {
        let bytes = value.bytes().map(|byte| format!("%{byte:02x}"));
        format!("{name}={}", bytes.collect::<String>())
    });
    pairs.collect::<Vec<_>>().join("&")
}

async fn send(controlplane: &TestControlplane, body: impl Into<reqwest::Body>) -> Response {
    let call = Client::builder().no_proxy().build().unwrap().post(token_url(controlplane));
    let call = call.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    call.body(body).send().await.unwrap()
}

fn token_url(controlplane: &TestControlplane) -> String {
    format!("{}/token", controlplane.api)
}

async fn ask(controlplane: &TestControlplane, parameters: &[(&str, &str)]) -> (StatusCode, Value) {
    let answer = send(controlplane, form(parameters)).await;
    assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
    (answer.status(), answer.json().await.unwrap())
}

async fn exchange(controlplane: &TestControlplane, token: &str) -> (StatusCode, Value) {
    ask(controlplane, &[GRANT, KIND, ("subject_token", token)]).await
}

async fn refused(controlplane: &TestControlplane, parameters: &[(&str, &str)]) -> String {
    let (status, answer) = ask(controlplane, parameters).await;
    assert!(status.is_client_error(), "{answer}");
    assert!(answer.get("access_token").is_none());
    answer["error"].as_str().unwrap().to_owned()
}

/// Header and claims of a token, unverified.
fn parts(token: &str) -> (Value, Map<String, Value>) {
    let part = |index| URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
    (serde_json::from_slice(&part(0)).unwrap(), serde_json::from_slice(&part(1)).unwrap())
}

#[tokio::test]
async fn nodes_trust_an_exchanged_token_by_the_snapshot_and_it_says_what_was_granted() {
    let controlplane = stage("").await;
    let node = controlplane.join().await;
    let own = job(&controlplane, &json!({}));
    let (status, answer) = exchange(&controlplane, &own).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    let token = answer["access_token"].as_str().unwrap();
    let (header, claims) = parts(token);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
    assert_eq!(claims["iss"], controlplane.api.as_str());
    assert_eq!(claims["client_id"], "nightly");
    assert_eq!(claims["aud"], "penstock");
    assert_eq!(claims["workload"], json!({"repository_id": "4711"}));
    assert!(!claims.contains_key("act"));
    let (iat, exp) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert!(exp <= parts(&own).1["exp"].as_u64().unwrap());
    assert_eq!(answer["expires_in"], exp - iat);

    let (snapshot, _) = node.snapshot().await;
    let (issuers, problems) = Issuers::compile(&snapshot.issuers);
    assert_eq!(problems, []);
    let identity = issuers.verify(token.as_bytes(), now_s() * 1_000).unwrap().identity;
    assert_eq!(identity.issuer, "penstock");
    assert_eq!(identity.subject, "dev:repo:acme/app:ref:refs/heads/main");
    assert_eq!(identity.user, identity.subject);
    assert_eq!(identity.groups, ["ci"]);
    let access = identity.intent.unwrap().accesses.remove(0);
    assert_eq!(access.connections, Some(vec!["llama".to_owned()]));
    assert_eq!(access.operations, Some(vec!["infer.*".to_owned(), "list".to_owned()]));
    assert_eq!(access.models, Some(vec!["smol-*".to_owned()]));
}

#[tokio::test]
async fn an_exchange_is_an_act_with_both_ids_and_without_a_token() {
    let controlplane = stage("").await;
    let own = job(&controlplane, &json!({}));
    let (_, answer) = exchange(&controlplane, &own).await;
    // A job that is tried again may use its token again, and gets another one.
    let (status, again) = exchange(&controlplane, &own).await;
    assert_eq!(status, StatusCode::OK);
    let ids: Vec<Value> = [&answer, &again]
        .map(|answer| parts(answer["access_token"].as_str().unwrap()).1["jti"].clone())
        .into();
    assert_ne!(ids[0], ids[1]);
    let (_, acts) = controlplane.call(Method::GET, "/api/v1/acts", &Value::Null).await;
    let acts = acts.as_array().unwrap();
    let exchanges: Vec<&Value> =
        acts.iter().filter(|act| act["action"] == "token.exchange").collect();
    assert_eq!(exchanges.len(), 2);
    for (act, id) in exchanges.iter().zip(&ids) {
        assert_eq!(act["object"], "workload/nightly");
        assert_eq!(act["actor"]["subject"], "repo:acme/app:ref:refs/heads/main");
        assert_eq!((&act["before"]["jti"], &act["after"]["jti"]), (&json!("job-1"), id));
        assert_eq!(act["intact"], true);
        let text = act.to_string();
        assert!(!text.contains("eyJ") && !text.contains(own.rsplit_once('.').unwrap().1));
    }
}

#[tokio::test]
async fn a_token_for_somebody_else_or_signed_otherwise_is_refused() {
    let controlplane = stage("").await;
    let own = job(&controlplane, &json!({}));
    let (head, signature) = own.rsplit_once('.').unwrap();
    let (_, middle) = head.rsplit_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
    let hmac = {
        // The public key as a shared secret (RFC 8725 section 2.1).
        let secret = controlplane.key.jwk()["x"].as_str().unwrap().to_owned();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(controlplane.key.id.clone());
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&header, &claims(&controlplane, &json!({})), &key).unwrap()
    };
    let stranger = TestKey::new("first");
    let typed = |kind: &str| {
        let claims = claims(&controlplane, &json!({}));
        signed(&controlplane.key, |header| header.typ = Some(kind.to_owned()), &claims)
    };
    let changed = |changed: Value| job(&controlplane, &changed);
    let rows = [
        ("no signature", format!("{head}.")),
        ("alg none", format!("{none}.{middle}.")),
        ("alg none with a signature", format!("{none}.{middle}.{signature}")),
        ("HMAC with the public key", hmac),
        ("another key of that id", signed(&stranger, |_| {}, &claims(&controlplane, &json!({})))),
        ("a logout token", typed("logout+jwt")),
        ("a DPoP proof", typed("dpop+jwt")),
        ("for the gateway", changed(json!({"aud": "penstock"}))),
        ("for the API", changed(json!({"aud": "penstock-api"}))),
        ("for another service", changed(json!({"aud": "sigstore"}))),
        ("for nobody", changed(json!({"aud": null}))),
        ("an audience that begins alike", changed(json!({"aud": "penstock-exchange-2"}))),
        ("an expired one", changed(json!({"iat": now_s() - 900, "exp": now_s() - 600}))),
        ("one that never ends", changed(json!({"exp": null}))),
        ("one of tomorrow", changed(json!({"nbf": now_s() + 86_400}))),
        ("one that is bound to a key", changed(json!({"cnf": {"jkt": "x"}}))),
        ("another issuer", changed(json!({"iss": "https://token.actions.githubusercontent.com"}))),
        ("no JWT", "eyJhbGciOiJub25lIn0".to_owned()),
        ("a JWE", "a.b.c.d.e".to_owned()),
    ];
    for (what, token) in rows {
        let (status, answer) = exchange(&controlplane, &token).await;
        assert_eq!(
            (status, &answer["error"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_grant")),
            "{what}"
        );
        assert!(!answer.to_string().contains(&token), "an answer repeats no token");
    }
    let rows = [
        ("the gateway besides", json!({"aud": ["penstock-exchange", "penstock"]})),
        ("the API besides", json!({"aud": ["penstock-exchange", "penstock-api"]})),
        ("a fork", json!({"repository_id": "4712"})),
        ("an id that is no text, of another number", json!({"repository_id": 4712})),
        ("no id", json!({"repository_id": null})),
        ("a pull request", json!({"event_name": "pull_request"})),
        ("a pull request, in the target's name", json!({"event_name": "pull_request_target"})),
        ("an event of a strange form", json!({"event_name": ["schedule"]})),
        ("a merge request", json!({"pipeline_source": "merge_request_event"})),
    ];
    for (what, change) in rows {
        let (_, answer) = exchange(&controlplane, &changed(change)).await;
        assert_eq!(answer["error"], "unauthorized_client", "{what}");
    }
    assert_eq!(exchange(&controlplane, &own).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_exchanged_token_is_exchanged_no_further_and_governs_nothing() {
    let controlplane = stage("").await;
    let (_, answer) = exchange(&controlplane, &job(&controlplane, &json!({}))).await;
    let token = answer["access_token"].as_str().unwrap();
    let (_, answer) = exchange(&controlplane, token).await;
    assert_eq!(answer["error"], "invalid_grant");
    let (status, _) =
        controlplane.call_with(token, Method::GET, "/api/v1/nodes", &Value::Null).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_new_token_never_outlives_the_workloads_own_nor_its_document() {
    let controlplane = stage("").await;
    for (own_s, expected_s) in [(60, 60), (300, 300), (3_600, 900)] {
        let exp = now_s() + own_s;
        let token = job(&controlplane, &json!({"exp": exp}));
        let (_, answer) = exchange(&controlplane, &token).await;
        let claims = parts(answer["access_token"].as_str().unwrap()).1;
        assert!(claims["exp"].as_u64().unwrap() <= exp);
        let lives_s = answer["expires_in"].as_u64().unwrap();
        assert!(lives_s <= expected_s && lives_s + 30 >= expected_s, "{answer}");
    }
    // Within its issuer's leeway it holds, but nothing is left to give.
    let ended = job(&controlplane, &json!({"iat": now_s() - 60, "exp": now_s() - 2}));
    let (_, answer) = exchange(&controlplane, &ended).await;
    assert_eq!(answer["error"], "invalid_grant");
}

/// A form's parameters, and the error that answers them.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str);

fn details(text: &str) -> (&str, &str) {
    ("authorization_details", text)
}

fn kind(text: &str) -> (&str, &str) {
    ("subject_token_type", text)
}

#[tokio::test]
async fn parameters_are_read_strictly() {
    let controlplane = stage("").await;
    let own = job(&controlplane, &json!({}));
    let token = ("subject_token", own.as_str());
    let refresh = "urn:ietf:params:oauth:token-type:refresh_token";
    let rows: [Row<'_>; 18] = [
        (&[], "invalid_request"),
        (&[KIND, token], "invalid_request"),
        (&[("grant_type", "client_credentials"), KIND, token], "unsupported_grant_type"),
        (&[GRANT, token], "invalid_request"),
        (&[GRANT, KIND], "invalid_request"),
        (&[GRANT, KIND, ("subject_token", "")], "invalid_request"),
        (&[GRANT, KIND, token, token], "invalid_request"),
        (&[GRANT, GRANT, KIND, token], "invalid_request"),
        (&[GRANT, kind("urn:ietf:params:oauth:token-type:saml2"), token], "invalid_request"),
        (&[GRANT, kind(refresh), token], "invalid_request"),
        (&[GRANT, KIND, token, ("requested_token_type", refresh)], "invalid_request"),
        (&[GRANT, KIND, token, ("audience", "penstock-api")], "invalid_target"),
        (&[GRANT, KIND, token, ("audience", "PENSTOCK")], "invalid_target"),
        (&[GRANT, KIND, token, ("resource", "https://models.example.com")], "invalid_target"),
        (&[GRANT, KIND, token, ("scope", "openid")], "invalid_scope"),
        (&[GRANT, KIND, token, ("actor_token", &own)], "invalid_request"),
        (&[GRANT, KIND, token, ("client_secret", "x")], "invalid_client"),
        (&[GRANT, KIND, token, ("client_id", "evaluation")], "unauthorized_client"),
    ];
    for (parameters, expected) in rows {
        assert_eq!(refused(&controlplane, parameters).await, expected, "{parameters:?}");
    }
}

#[tokio::test]
async fn details_that_are_not_understood_or_leave_nothing_are_refused() {
    let controlplane = stage("").await;
    let own = job(&controlplane, &json!({}));
    let rows = [
        "x",
        "[]",
        r#"[{"type":"x"}]"#,
        r#"[{"type":"penstock_access","actions":["x"]}]"#,
        r#"[{"type":"penstock_access","operations":["exec"]}]"#,
        r#"[{"type":"penstock_access","models":["big"]}]"#,
        r#"[{"type":"penstock_access","connections":["vllm"]}]"#,
        r#"[{"type":"penstock_access"},{"type":"penstock_access","connections":["vllm"]}]"#,
    ];
    for text in rows {
        let asked = [GRANT, KIND, ("subject_token", own.as_str()), details(text)];
        let code = refused(&controlplane, &asked).await;
        assert_eq!(code, "invalid_authorization_details", "{text}");
    }
}

#[tokio::test]
async fn what_is_asked_for_narrows_and_the_answer_says_what_was_granted() {
    let controlplane = stage("").await;
    let own = job(&controlplane, &json!({}));
    let token = ("subject_token", own.as_str());
    let narrow = details(
        r#"[{"type":"penstock_access","connections":["*"],"operations":["infer.chat","exec"]}]"#,
    );
    let jwt = ("requested_token_type", "urn:ietf:params:oauth:token-type:jwt");
    // What is not known is ignored (RFC 6749 section 3.2).
    let asked = [GRANT, KIND, token, jwt, narrow, ("audience", "penstock"), ("x", "y")];
    let (status, answer) = ask(&controlplane, &asked).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["issued_token_type"], "urn:ietf:params:oauth:token-type:jwt");
    let expected = json!([{
        "type": "penstock_access", "connections": ["llama"], "operations": ["infer.chat"],
        "models": ["smol-*"],
    }]);
    assert_eq!(answer["authorization_details"], expected);
    let claims = parts(answer["access_token"].as_str().unwrap()).1;
    assert_eq!(claims["authorization_details"], expected);
}

#[tokio::test]
async fn what_is_no_form_or_too_large_is_refused() {
    let controlplane = stage("").await;
    let own = job(&controlplane, &json!({}));
    let good = form(&[GRANT, KIND, ("subject_token", &own)]);
    let large = send(&controlplane, format!("{good}&x={}", "y".repeat(32 * 1024))).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    for body in ["{}", "a=%zz", "a=%ff", "subject_token=a b"] {
        assert_eq!(send(&controlplane, body).await.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    let client = Client::builder().no_proxy().build().unwrap();
    let url = token_url(&controlplane);
    let form_type = "application/x-www-form-urlencoded";
    let rows = [
        (client.post(&url).body(good.clone()), StatusCode::BAD_REQUEST),
        (
            client.post(&url).header(CONTENT_TYPE, "application/json").body(good.clone()),
            StatusCode::BAD_REQUEST,
        ),
        (
            client.post(format!("{url}?{good}")).header(CONTENT_TYPE, form_type).body(""),
            StatusCode::BAD_REQUEST,
        ),
        (
            client
                .post(&url)
                .header(CONTENT_TYPE, form_type)
                .header(AUTHORIZATION, format!("Bearer {own}"))
                .body(good.clone()),
            StatusCode::UNAUTHORIZED,
        ),
        (client.get(&url), StatusCode::METHOD_NOT_ALLOWED),
        (
            client
                .post(&url)
                .header(CONTENT_TYPE, "Application/X-WWW-Form-Urlencoded; charset=utf-8")
                .body(good),
            StatusCode::OK,
        ),
    ];
    for (call, expected) in rows {
        let shown = format!("{call:?}");
        assert_eq!(call.send().await.unwrap().status(), expected, "{shown}");
    }
}

#[tokio::test]
async fn an_address_that_keeps_failing_waits_and_locks_nobody_out() {
    let controlplane = stage("").await;
    let own = job(&controlplane, &json!({}));
    for _ in 0..60 {
        let (status, _) = exchange(&controlplane, "a.b.c").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
    let answer = send(&controlplane, form(&[GRANT, KIND, ("subject_token", "a.b.c")])).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = answer.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait));
    let (status, answer) = exchange(&controlplane, &own).await;
    assert_eq!(status, StatusCode::OK, "who holds a good token is not locked out: {answer}");
}

#[tokio::test]
async fn of_several_documents_that_fit_one_must_be_named_and_none_adds_up() {
    let second = "---
kind: workload
name: release
subjects: [{issuer: dev, claims: {event_name: schedule}}]
connections: [llama]
operations: [lifecycle]
";
    let controlplane = stage(second).await;
    let own = job(&controlplane, &json!({}));
    let token = ("subject_token", own.as_str());
    assert_eq!(refused(&controlplane, &[GRANT, KIND, token]).await, "invalid_request");
    for (name, operations) in
        [("nightly", json!(["infer.*", "list"])), ("release", json!(["lifecycle"]))]
    {
        let (status, answer) = ask(&controlplane, &[GRANT, KIND, token, ("client_id", name)]).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["authorization_details"][0]["operations"], operations);
    }
    // A document that names what made the job run takes pull requests, if it says so.
    let pulls = second.replace("release", "pulls").replace("schedule", "pull_request");
    let (status, _) = controlplane.apply(pulls.trim_start_matches("---\n")).await;
    assert_eq!(status, StatusCode::OK);
    let pull = job(&controlplane, &json!({"event_name": "pull_request"}));
    let (status, answer) = exchange(&controlplane, &pull).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(parts(answer["access_token"].as_str().unwrap()).1["client_id"], "pulls");
}

fn own_issuer(issuers: &[TrustedIssuer]) -> Option<&TrustedIssuer> {
    issuers.iter().find(|issuer| issuer.document.name == "penstock")
}

#[tokio::test]
async fn nodes_are_told_of_the_issuer_while_a_workload_is_in_force_and_of_another_address() {
    let mut controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    assert!(own_issuer(&node.snapshot().await.0.issuers).is_none());
    let (status, answer) = controlplane.apply(WORKLOADS).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let first = own_issuer(&node.snapshot().await.0.issuers).cloned().unwrap();
    assert_eq!(first.document.issuer, controlplane.api);
    let url = "https://penstock.example.com".to_owned();
    let moved_to = |options: &mut Options| {
        // Its role names no issuer, so it would not go with a workload.
        options.settings.first_run_file = None;
        options.settings.approval_url = Some(url.clone());
    };
    controlplane.restart_with(moved_to).await;
    let node = controlplane.join().await;
    let moved = own_issuer(&node.snapshot().await.0.issuers).cloned().unwrap();
    assert_eq!(moved.document.issuer, url);
    assert_eq!(moved.keys, first.keys, "the key stays");
    for document in ["rule/ci-infers", "workload/nightly"] {
        let path = format!("/api/v1/documents/{document}");
        let (status, answer) = controlplane.call(Method::DELETE, &path, &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    assert!(own_issuer(&node.snapshot().await.0.issuers).is_none());
    let (_, answer) = exchange(&controlplane, &job(&controlplane, &json!({}))).await;
    assert_eq!(answer["error"], "unauthorized_client");
}
