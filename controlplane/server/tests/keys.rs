//! Issuers' keys as callers and nodes see them: rotation, removal, faults.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use common::issuer::{Script, TestKey, ok};
use common::{TestControlplane, eventually};
use penstock_config::node::Position;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const NODES: &str = "/api/v1/nodes";

async fn status_of(controlplane: &TestControlplane, key: &TestKey) -> StatusCode {
    let token = controlplane.token(key, "ada", "penstock-api");
    controlplane.call_with(&token, Method::GET, NODES, &Value::Null).await.0
}

#[tokio::test]
async fn a_token_needs_its_own_audience_a_known_key_and_a_role() {
    let controlplane = TestControlplane::start().await;
    let cases = [
        (controlplane.token(&controlplane.key, "ada", "penstock-api"), StatusCode::OK),
        (controlplane.token(&controlplane.key, "ada", "penstock"), StatusCode::UNAUTHORIZED),
        (controlplane.token(&controlplane.key, "eve", "penstock-api"), StatusCode::FORBIDDEN),
        (
            controlplane.token(&TestKey::new("first"), "ada", "penstock-api"),
            StatusCode::UNAUTHORIZED,
        ),
        ("garbage".to_owned(), StatusCode::UNAUTHORIZED),
    ];
    for (token, expected) in cases {
        let (status, body) = controlplane.call_with(&token, Method::GET, NODES, &Value::Null).await;
        assert_eq!(status, expected);
        assert!(!body.to_string().contains(&token), "an answer repeats no token");
    }
}

#[tokio::test]
async fn an_unknown_key_id_is_looked_up_and_then_holds_for_the_api_and_for_nodes() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    let next = TestKey::new("second");
    controlplane.issuer.publish(&[&controlplane.key, &next]);
    eventually("the new key holds", || async {
        status_of(&controlplane, &next).await == StatusCode::OK
    })
    .await;
    let (snapshot, _) = node.snapshot().await;
    assert_eq!(snapshot.issuers[0].keys.len(), 2);
}

#[tokio::test]
async fn a_removed_key_ends_its_tokens_and_is_pushed_to_nodes() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    let held = node.snapshot().await.0.position;
    let next = TestKey::new("second");
    controlplane.issuer.publish(&[&next]);
    let report = json!({"issuer": "dev", "kid": "second"});
    assert_eq!(node.post("unknown-key", &report).await, StatusCode::NO_CONTENT);
    assert_eq!(node.ask(held, 20_000).await.status(), StatusCode::OK);
    assert_eq!(status_of(&controlplane, &controlplane.key).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status_of(&controlplane, &next).await, StatusCode::OK);
    let (snapshot, _) = node.snapshot().await;
    assert_eq!(snapshot.issuers[0].keys[0]["kid"], "second");
}

#[tokio::test]
async fn an_empty_or_broken_set_leaves_the_last_good_keys_in_force() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    let held: Position = node.snapshot().await.0.position;
    let broken = [
        ok(br#"{"keys":[]}"#),
        ok(b"<html>"),
        Script::Raw(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_vec()),
    ];
    for script in broken {
        controlplane.issuer.script("/keys", script);
        let before = controlplane.issuer.asked("/keys");
        eventually("the set was asked for", || async {
            node.post("unknown-key", &json!({"issuer": "dev", "kid": "x"})).await;
            controlplane.issuer.asked("/keys") > before
        })
        .await;
    }
    assert_eq!(status_of(&controlplane, &controlplane.key).await, StatusCode::OK);
    assert_eq!(node.ask(held, 0).await.status(), StatusCode::NO_CONTENT, "no new snapshot");
}

#[tokio::test]
async fn keys_survive_a_restart_while_the_issuer_is_away() {
    let mut controlplane = TestControlplane::start().await;
    controlplane.issuer.script(
        "/.well-known/openid-configuration",
        Script::Raw(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec()),
    );
    controlplane.restart().await;
    assert_eq!(status_of(&controlplane, &controlplane.key).await, StatusCode::OK);
}
