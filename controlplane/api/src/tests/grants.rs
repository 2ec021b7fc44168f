//! Access ahead of time, grants, revocations and open sessions over the interface.

use axum::http::StatusCode;
use penstock_config::hold::{HoldAnswer, OpenSession, OpenSessions};
use serde_json::{Value, json};

use super::approvals::{EVE, LEA, answer, held, is_problem, memory, request};
use super::backend::{Reply, call};
use crate::backend::NodeHeard;

async fn post(
    memory: &std::sync::Arc<super::backend::Memory>,
    who: &str,
    path: &str,
    body: &Value,
) -> Reply {
    call(memory, who, "POST", path, body.to_string()).await
}

fn access() -> Value {
    json!({"connection": "llama", "operations": ["adapter.load"], "minutes": 20, "uses": 3,
        "reason": "the migration"})
}

#[tokio::test]
async fn access_ahead_of_time_is_asked_for_approved_and_used() {
    let memory = memory();
    let asked = post(&memory, EVE, "/api/v1/access-requests", &access()).await;
    assert_eq!((asked.status, &asked.json["state"]), (StatusCode::OK, &json!("pending")));
    let expected = json!({"minutes": 20, "uses": 3, "extends": null});
    assert_eq!((&asked.json["access"], &asked.json["request"]), (&expected, &Value::Null));
    assert_eq!(asked.json["operations"], json!([{"name": "adapter.load", "risk": "high"}]));
    let id = asked.json["id"].as_str().unwrap();
    let approved = answer(&memory, LEA, id, "approve", &json!({"uses": 2})).await.json;
    let grant = format!("/api/v1/grants/{}", approved["grant"].as_str().unwrap());
    let view = call(&memory, EVE, "GET", &grant, "").await.json;
    assert_eq!((&view["state"], &view["user"]), (&json!("approved"), &json!("eve")));
    assert_eq!((&view["uses_max"], &view["minutes"]), (&json!(2), &json!(20)));
    assert_eq!((&view["digest"], &view["ends_ms"]), (&Value::Null, &Value::Null));
    assert!(matches!(memory.hold(request(1, "adapter.load", 1)), HoldAnswer::Go(_)));
    let view = call(&memory, EVE, "GET", &grant, "").await.json;
    assert_eq!((&view["state"], &view["uses"]), (&json!("active"), &json!(1)));
    assert_eq!(view["ends_ms"], 1_000_000 + 20 * 60_000);
}

#[tokio::test]
async fn access_that_the_rules_do_not_give_is_refused_with_its_reason() {
    let memory = memory();
    let with = |name: &str, value: Value| {
        let mut body = access();
        body[name] = value;
        body
    };
    let cases = [
        (EVE, with("minutes", json!(31)), StatusCode::UNPROCESSABLE_ENTITY, "too_wide"),
        (EVE, with("uses", json!(6)), StatusCode::UNPROCESSABLE_ENTITY, "too_wide"),
        (EVE, with("minutes", json!(0)), StatusCode::UNPROCESSABLE_ENTITY, "out_of_bounds"),
        (EVE, with("more", json!(1)), StatusCode::BAD_REQUEST, "bad_request"),
        ("mallory", access(), StatusCode::FORBIDDEN, "denied"),
        (EVE, with("operations", json!(["exec"])), StatusCode::FORBIDDEN, "denied"),
    ];
    for (who, body, status, code) in cases {
        is_problem(&post(&memory, who, "/api/v1/access-requests", &body).await, status, code);
    }
    let mut weights = with("operations", json!(["weights.import"]));
    weights["minutes"] = json!(20);
    weights["uses"] = json!(1);
    weights.as_object_mut().unwrap().remove("reason");
    let reply = post(&memory, EVE, "/api/v1/access-requests", &weights).await;
    is_problem(&reply, StatusCode::UNPROCESSABLE_ENTITY, "reason_required");
    let listed = call(&memory, "ada", "GET", "/api/v1/approvals", "").await;
    assert_eq!(listed.json, json!([]));
}

#[tokio::test]
async fn a_grant_is_revoked_by_a_reviewer_and_the_answer_says_what_nodes_must_reach() {
    let memory = memory();
    let id = held(&memory, 1, "adapter.load");
    let approved = answer(&memory, LEA, &id, "approve", &json!({"uses": 2})).await.json;
    let grant = format!("/api/v1/grants/{}", approved["grant"].as_str().unwrap());
    for who in ["mallory", "audrey", "april"] {
        let refused = post(&memory, who, &format!("{grant}/revoke"), &json!({})).await;
        let seen = matches!(refused.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
        assert!(seen, "{who}: {}", refused.text);
    }
    let not_own = post(&memory, LEA, &format!("{grant}/return"), &json!({})).await;
    assert_eq!(not_own.status, StatusCode::FORBIDDEN, "{}", not_own.text);
    let before = memory_sequence(&memory);
    let reason = json!({"reason": "wrong one"});
    let revoked = post(&memory, LEA, &format!("{grant}/revoke"), &reason).await;
    assert_eq!((revoked.status, &revoked.json["state"]), (StatusCode::OK, &json!("revoked")));
    assert_eq!(revoked.json["ended"]["cause"], "revoked");
    assert_eq!(revoked.json["live_run"], "one");
    assert!(revoked.json["live_sequence"].as_u64().unwrap() > before);
    let again = post(&memory, LEA, &format!("{grant}/revoke"), &json!({})).await;
    is_problem(&again, StatusCode::CONFLICT, "approval_ended");
    let view = call(&memory, EVE, "GET", &format!("/api/v1/approvals/{id}"), "").await;
    assert_eq!(view.json["state"], "revoked");
    assert!(matches!(memory.hold(request(1, "adapter.load", 1)), HoldAnswer::Refused(_)));
}

fn memory_sequence(memory: &super::backend::Memory) -> u64 {
    use crate::backend::Backend as _;
    memory.state().live_sequence()
}

#[tokio::test]
async fn a_grant_is_given_back_by_its_owner_and_listed_by_state() {
    let memory = memory();
    let id = held(&memory, 1, "adapter.load");
    let approved = answer(&memory, LEA, &id, "approve", &json!({"uses": 2})).await.json;
    let grant = approved["grant"].as_str().unwrap().to_owned();
    let list = |query: &'static str, who: &'static str| {
        let memory = memory.clone();
        async move { call(&memory, who, "GET", &format!("/api/v1/grants{query}"), "").await.json }
    };
    assert_eq!(list("?state=approved", EVE).await[0]["id"], json!(grant));
    assert_eq!(list("", "mallory").await, json!([]));
    let path = format!("/api/v1/grants/{grant}/return");
    let returned = call(&memory, EVE, "POST", &path, "").await;
    assert_eq!((returned.status, &returned.json["state"]), (StatusCode::OK, &json!("revoked")));
    assert_eq!(returned.json["ended"]["cause"], "given-back");
    assert_eq!(list("?state=approved", EVE).await, json!([]));
    assert_eq!(list("?state=revoked", LEA).await[0]["id"], json!(grant));
    let unknown = call(&memory, EVE, "POST", "/api/v1/grants/grt-none/return", "").await;
    is_problem(&unknown, StatusCode::NOT_FOUND, "not_found");
    let unseen = call(&memory, "mallory", "GET", &format!("/api/v1/grants/{grant}"), "").await;
    is_problem(&unseen, StatusCode::NOT_FOUND, "not_found");
}

#[tokio::test]
async fn a_revocation_names_exactly_one_thing_and_is_an_administrators() {
    let memory = memory();
    let path = "/api/v1/revocations";
    let good = [
        json!({"issuer": "dev", "subject": "eve", "reason": "left"}),
        json!({"token_sha256": "AB".repeat(32)}),
        json!({"issuer": "dev", "token_id": "4711"}),
    ];
    for body in &good {
        for who in ["otto", "audrey", EVE] {
            is_problem(&post(&memory, who, path, body).await, StatusCode::FORBIDDEN, "forbidden");
        }
        let before = memory_sequence(&memory);
        let reply = post(&memory, "ada", path, body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        assert_eq!(reply.json["live_sequence"].as_u64(), Some(memory_sequence(&memory)));
        assert!(memory_sequence(&memory) > before);
    }
    use crate::backend::Backend as _;
    let state = memory.state();
    assert!(state.is_token_revoked("dev", "uma", 1, &"ab".repeat(32), None), "as nodes write it");
    let wrong = [
        json!({}),
        json!({"issuer": "dev"}),
        json!({"subject": "eve"}),
        json!({"issuer": "dev", "subject": "eve", "token_id": "1"}),
        json!({"token_sha256": "ab".repeat(32), "token_id": "1"}),
        json!({"token_id": "1"}),
    ];
    for body in wrong {
        is_problem(
            &post(&memory, "ada", path, &body).await,
            StatusCode::BAD_REQUEST,
            "bad_request",
        );
    }
    let short = json!({"token_sha256": "ab"});
    let reply = post(&memory, "ada", path, &short).await;
    is_problem(&reply, StatusCode::UNPROCESSABLE_ENTITY, "out_of_bounds");
}

fn open(session: u64, subject: &str, begun_ms: u64) -> OpenSession {
    OpenSession {
        session: format!("{session:032x}"),
        issuer: "dev".into(),
        subject: subject.into(),
        user: subject.into(),
        connection: "llama".into(),
        operations: vec!["infer.chat".into()],
        model: None,
        rule: None,
        grants: Vec::new(),
        approval: None,
        begun_ms,
        peer: "192.0.2.7".into(),
    }
}

#[tokio::test]
async fn open_sessions_are_their_owners_and_those_of_who_watches() {
    let memory = memory();
    let waiting = OpenSession { approval: Some("apr-1".into()), ..open(2, "uma", 20) };
    let sessions = vec![open(1, "eve", 10), waiting];
    memory.open(OpenSessions { sessions, open: 2 });
    let listed = call(&memory, "otto", "GET", "/api/v1/sessions", "").await.json;
    assert_eq!((&listed[0]["user"], &listed[0]["state"]), (&json!("uma"), &json!("held")));
    assert_eq!((&listed[1]["user"], &listed[1]["state"]), (&json!("eve"), &json!("open")));
    assert_eq!(listed[0]["node"], "node-1");
    let one = call(&memory, "otto", "GET", "/api/v1/sessions?limit=1", "").await.json;
    assert_eq!(one.as_array().unwrap().len(), 1);
    let own = call(&memory, EVE, "GET", "/api/v1/sessions", "").await.json;
    assert_eq!((own.as_array().unwrap().len(), &own[0]["user"]), (1, &json!("eve")));
    let path = format!("/api/v1/sessions/{:032x}", 2);
    let unseen = call(&memory, EVE, "GET", &path, "").await;
    is_problem(&unseen, StatusCode::NOT_FOUND, "not_found");
    let kill = format!("{path}/kill");
    let refused = call(&memory, "audrey", "POST", &kill, "").await;
    is_problem(&refused, StatusCode::FORBIDDEN, "forbidden");
    let killed = call(&memory, "otto", "POST", &kill, "").await;
    assert_eq!((killed.status, &killed.json["live_run"]), (StatusCode::OK, &json!("one")));
    let unknown = format!("/api/v1/sessions/{:032x}/kill", 9);
    let unknown = call(&memory, "otto", "POST", &unknown, "").await;
    is_problem(&unknown, StatusCode::NOT_FOUND, "not_found");
}

#[tokio::test]
async fn nodes_show_what_they_have_acted_on() {
    let memory = memory();
    let row = || async { call(&memory, "ada", "GET", "/api/v1/nodes", "").await.json[0].clone() };
    let unheard = row().await;
    assert_eq!((&unheard["live_sequence"], &unheard["live_seen_ms"]), (&Value::Null, &Value::Null));
    memory.hear("node-1", NodeHeard { sequence: None, seen_ms: 5 });
    let behind = row().await;
    assert_eq!((&behind["live_sequence"], &behind["live_seen_ms"]), (&Value::Null, &json!(5)));
    assert_eq!(behind["live_run"], Value::Null);
    memory.hear("node-1", NodeHeard { sequence: Some(3), seen_ms: 6 });
    let there = row().await;
    assert_eq!((&there["live_sequence"], &there["live_run"]), (&json!(3), &json!("one")));
}
