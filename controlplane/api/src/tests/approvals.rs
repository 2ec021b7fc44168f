//! Approvals over the interface: who sees them, who answers, what is refused and how.

use std::sync::Arc;

use axum::http::StatusCode;
use penstock_config::catalogue::Risk;
use penstock_config::hold::{Facts, HoldAnswer, HoldRequest};
use penstock_config::identity::Identity;
use penstock_config::node::Position;
use serde_json::{Value, json};

use super::backend::{Memory, Reply, apply, call};

/// Adapters need one lead; weights need two people, one from each of two groups, and a reason.
const POLICY: &str = "
kind: connection
name: llama
protocol: llamacpp
version: b11434
endpoints: [http://127.0.0.1:8080]
---
kind: rule
name: adapters
effect: approve
subjects: [{groups: [engineers]}]
operations: [adapter.*]
approval:
  reviewers: [{groups: [leads]}]
  answer_ms_max: 600000
  grant: {minutes_max: 30, uses_max: 5}
  break_glass: {subjects: [{groups: [on-call]}], minutes_max: 10}
---
kind: rule
name: weights
effect: approve
subjects: [{groups: [engineers]}]
operations: [weights.import]
approval:
  reviewers: [{groups: [leads]}, {groups: [security]}]
  quorum: 2
  one_from_each: [{groups: [leads]}, {groups: [security]}]
  reason: required
  grant: {minutes_max: 20, uses_max: 1}
";

/// Whoever asks, and whoever may answer.
pub(super) const EVE: &str = "eve+engineers";
pub(super) const LEA: &str = "lea+leads";
const SAM: &str = "sam+security";

const CALLS: [(&str, &str); 16] = [
    ("GET", "/api/v1/approvals"),
    ("GET", "/api/v1/approvals/apr-1"),
    ("POST", "/api/v1/approvals/apr-1/approve"),
    ("POST", "/api/v1/approvals/apr-1/deny"),
    ("POST", "/api/v1/approvals/apr-1/withdraw"),
    ("POST", "/api/v1/approvals/apr-1/justify"),
    ("POST", "/api/v1/approvals/apr-1/close"),
    ("POST", "/api/v1/access-requests"),
    ("GET", "/api/v1/grants"),
    ("GET", "/api/v1/grants/grt-1"),
    ("POST", "/api/v1/grants/grt-1/revoke"),
    ("POST", "/api/v1/grants/grt-1/return"),
    ("GET", "/api/v1/sessions"),
    ("GET", "/api/v1/sessions/1"),
    ("POST", "/api/v1/sessions/1/kill"),
    ("POST", "/api/v1/revocations"),
];

/// A policy, and a node.
pub(super) fn memory() -> Arc<Memory> {
    let memory = Memory::new();
    apply(&memory, POLICY);
    memory.join("node-1");
    memory
}

/// Eve's request for an operation; two with the same `content` are the same.
pub(super) fn request(session: u64, operation: &str, content: u64) -> HoldRequest {
    HoldRequest {
        session: format!("{session:032x}"),
        identity: Identity {
            issuer: "dev".into(),
            subject: "eve".into(),
            user: "eve".into(),
            groups: vec!["engineers".into()],
            ..Identity::default()
        },
        token_issued_ms: 900_000,
        token_expires_ms: 9_000_000_000,
        token_sha256: "ab".repeat(32),
        connection: "llama".into(),
        facts: Facts {
            operations: vec![(operation.into(), Risk::High)],
            model: Some("smol".into()),
            other_models: Vec::new(),
            spellings: Vec::new(),
            unnamed_model: false,
        },
        method: "POST".into(),
        target: "/lora-adapters".into(),
        digest: format!("{content:064x}"),
        body_bytes: 17,
        body_sha256: format!("{content:064x}"),
        shown: vec![("id".into(), "<b>7</b>".into())],
        reason: Some("the nightly run needs it".into()),
        ticket: Some("OPS-7".into()),
        break_glass: false,
        position: Position { epoch: 1, version: 2, revision: 0 },
        peer: "192.0.2.7".into(),
        agent: Some("curl/8".into()),
    }
}

/// An approval that waits: its id.
pub(super) fn held(memory: &Memory, session: u64, operation: &str) -> String {
    match memory.hold(request(session, operation, session)) {
        HoldAnswer::Pending(pending) => pending.approval,
        other => panic!("{other:?}"),
    }
}

/// A call about one approval.
pub(super) async fn answer(
    memory: &Arc<Memory>,
    who: &str,
    id: &str,
    verb: &str,
    body: &Value,
) -> Reply {
    let path = format!("/api/v1/approvals/{id}/{verb}");
    call(memory, who, "POST", &path, body.to_string()).await
}

async fn show(memory: &Arc<Memory>, who: &str, id: &str) -> Reply {
    call(memory, who, "GET", &format!("/api/v1/approvals/{id}"), "").await
}

/// A problem as every caller can rely on it.
#[track_caller]
pub(super) fn is_problem(reply: &Reply, status: StatusCode, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.text);
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert_eq!((&reply.json["code"], &reply.json["type"]), (&json!(code), &json!("about:blank")));
    assert_eq!(reply.json["status"], status.as_u16());
    assert!(!reply.json["detail"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn every_call_about_approvals_needs_a_token() {
    let memory = memory();
    for (method, path) in CALLS {
        for user in ["", "nobody"] {
            let reply = call(&memory, user, method, path, "{}").await;
            is_problem(&reply, StatusCode::UNAUTHORIZED, "unauthenticated");
        }
    }
}

#[tokio::test]
async fn an_approval_shows_what_a_reviewer_must_know() {
    let memory = memory();
    let id = held(&memory, 1, "adapter.load");
    let view = show(&memory, LEA, &id).await.json;
    assert_eq!((&view["id"], &view["state"]), (&json!(id), &json!("pending")));
    assert_eq!(view["url"], format!("https://cp.example/approvals/{id}"));
    assert_eq!((&view["user"], &view["issuer"]), (&json!("eve"), &json!("dev")));
    assert_eq!(view["groups"], json!(["engineers"]));
    assert_eq!((&view["connection"], &view["models"]), (&json!("llama"), &json!(["smol"])));
    assert_eq!(view["operations"], json!([{"name": "adapter.load", "risk": "high"}]));
    assert_eq!(
        (&view["reason"], &view["ticket"]),
        (&json!("the nightly run needs it"), &json!("OPS-7"))
    );
    let request = &view["request"];
    assert_eq!(
        (&request["method"], &request["target"]),
        (&json!("POST"), &json!("/lora-adapters"))
    );
    assert_eq!((&request["body_bytes"], &request["peer"]), (&json!(17), &json!("192.0.2.7")));
    assert_eq!(request["body_sha256"], format!("{:064x}", 1));
    assert_eq!(request["shown"], json!([{"name": "id", "value": "<b>7</b>"}]));
    let rule = &view["requirements"][0];
    assert_eq!((&rule["rule"], &rule["met"]), (&json!("adapters"), &json!(false)));
    assert_eq!((&rule["quorum"], &rule["agreed"]), (&json!(1), &json!(0)));
    assert_eq!(rule["reviewers"], json!([{"groups": ["leads"]}]));
    assert_eq!((&view["minutes_max"], &view["uses_max"]), (&json!(30), &json!(5)));
    assert_eq!((&view["asked_ms"], &view["decide_by_ms"]), (&json!(1_000_000), &json!(1_600_000)));
    assert_eq!((&view["waiting"], &view["may_answer"]), (&json!(true), &json!(true)));
    assert_eq!(view["before"], json!({"asked": 0, "approved": 0, "denied": 0}));
    assert_eq!((&view["break_glass"], &view["votes"]), (&Value::Null, &json!([])));
    assert!(view["summary"]["title"].as_str().unwrap().contains("adapter.load"));
    assert!(!view["summary"]["rows"].as_array().unwrap().is_empty());

    answer(&memory, LEA, &id, "approve", &json!({})).await;
    let again = held(&memory, 2, "adapter.load");
    let view = show(&memory, EVE, &again).await.json;
    assert_eq!(view["before"], json!({"asked": 1, "approved": 1, "denied": 0}));
    assert_eq!(view["may_answer"], false, "one's own");
}

#[tokio::test]
async fn an_approval_is_seen_by_who_asks_who_may_answer_and_who_watches() {
    let memory = memory();
    let id = held(&memory, 1, "adapter.load");
    for who in [EVE, LEA, "ada", "otto", "audrey", "april"] {
        assert_eq!(show(&memory, who, &id).await.status, StatusCode::OK, "{who}");
        let listed = call(&memory, who, "GET", "/api/v1/approvals", "").await;
        assert_eq!(listed.json[0]["id"], json!(id), "{who}");
    }
    for who in ["mallory", "uma", SAM, "eva+engineers"] {
        is_problem(&show(&memory, who, &id).await, StatusCode::NOT_FOUND, "not_found");
        let listed = call(&memory, who, "GET", "/api/v1/approvals", "").await;
        assert_eq!((listed.status, &listed.json), (StatusCode::OK, &json!([])), "{who}");
    }
    is_problem(&show(&memory, "ada", "apr-none").await, StatusCode::NOT_FOUND, "not_found");
}

#[tokio::test]
async fn each_refused_answer_is_a_problem_of_its_own_and_changes_nothing() {
    let memory = memory();
    let id = held(&memory, 1, "adapter.load");
    let yes = json!({});
    let wide = json!({"minutes": 31});
    let uses = json!({"uses": 6});
    let other = json!({"operations": ["weights.import"]});
    let no = json!({"reason": "no"});
    let cases = [
        ("eve+engineers+leads", "approve", &yes, StatusCode::FORBIDDEN, "own_request"),
        ("eve+engineers+leads", "deny", &no, StatusCode::FORBIDDEN, "own_request"),
        ("ada", "approve", &yes, StatusCode::FORBIDDEN, "not_a_reviewer"),
        ("april", "deny", &no, StatusCode::FORBIDDEN, "not_a_reviewer"),
        (LEA, "approve", &wide, StatusCode::UNPROCESSABLE_ENTITY, "too_wide"),
        (LEA, "approve", &uses, StatusCode::UNPROCESSABLE_ENTITY, "too_wide"),
        (LEA, "approve", &other, StatusCode::UNPROCESSABLE_ENTITY, "too_wide"),
        (LEA, "deny", &yes, StatusCode::BAD_REQUEST, "bad_request"),
        (LEA, "approve", &no, StatusCode::BAD_REQUEST, "bad_request"),
        (LEA, "close", &yes, StatusCode::CONFLICT, "no_review"),
        (EVE, "justify", &json!({"text": "a"}), StatusCode::CONFLICT, "no_review"),
    ];
    for (who, verb, body, status, code) in cases {
        is_problem(&answer(&memory, who, &id, verb, body).await, status, code);
    }
    for verb in ["approve", "withdraw", "close"] {
        let reply = answer(&memory, LEA, "apr-none", verb, &yes).await;
        is_problem(&reply, StatusCode::NOT_FOUND, "not_found");
    }
    let view = show(&memory, LEA, &id).await.json;
    assert_eq!((&view["state"], &view["votes"]), (&json!("pending"), &json!([])));
}

#[tokio::test]
async fn a_yes_needs_no_body_and_the_first_end_wins() {
    let memory = memory();
    let id = held(&memory, 1, "adapter.load");
    let path = format!("/api/v1/approvals/{id}/approve");
    let reply = call(&memory, LEA, "POST", &path, "").await;
    assert_eq!((reply.status, &reply.json["state"]), (StatusCode::OK, &json!("approved")));
    let vote = &reply.json["votes"][0];
    assert_eq!((&vote["user"], &vote["vote"]), (&json!("lea"), &json!("approve")));
    assert_eq!((&vote["channel"], &vote["at_ms"]), (&json!("api"), &json!(1_000_000)));
    assert!(reply.json["grant"].as_str().unwrap().starts_with("grt-"));
    let late = answer(&memory, "leo+leads", &id, "deny", &json!({"reason": "no"})).await;
    is_problem(&late, StatusCode::CONFLICT, "approval_ended");
    let view = show(&memory, LEA, &id).await.json;
    assert_eq!(view["state"], "approved");
    let withdrawn = answer(&memory, EVE, &id, "withdraw", &json!({})).await;
    is_problem(&withdrawn, StatusCode::CONFLICT, "approval_ended");
}

#[tokio::test]
async fn a_quorum_of_two_groups_shows_how_far_it_is() {
    let memory = memory();
    let id = held(&memory, 1, "weights.import");
    let first = answer(&memory, "max+leads+security", &id, "approve", &json!({})).await.json;
    let rule = &first["requirements"][0];
    assert_eq!((&first["state"], &rule["met"]), (&json!("pending"), &json!(false)));
    assert_eq!((&rule["quorum"], &rule["agreed"]), (&json!(2), &json!(1)));
    let twice = answer(&memory, "max+leads+security", &id, "approve", &json!({})).await;
    is_problem(&twice, StatusCode::CONFLICT, "already_answered");
    let second = answer(&memory, SAM, &id, "approve", &json!({})).await.json;
    let rule = &second["requirements"][0];
    assert_eq!((&second["state"], &rule["agreed"]), (&json!("approved"), &json!(2)));
    assert_eq!(rule["met"], true);
}

#[tokio::test]
async fn an_approval_is_withdrawn_by_who_asked_alone() {
    let memory = memory();
    let id = held(&memory, 1, "adapter.load");
    let other = answer(&memory, LEA, &id, "withdraw", &json!({})).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN, "{}", other.text);
    let own = answer(&memory, EVE, &id, "withdraw", &json!({})).await;
    assert_eq!((own.status, &own.json["state"]), (StatusCode::OK, &json!("withdrawn")));
    assert_eq!(own.json["ended"]["cause"], "requester");
}

#[tokio::test]
async fn nobody_answers_what_nobody_answered_in_time() {
    let memory = memory();
    let id = held(&memory, 1, "adapter.load");
    memory.pass(600_000);
    assert_eq!(show(&memory, EVE, &id).await.json["state"], "expired");
    let late = answer(&memory, LEA, &id, "approve", &json!({})).await;
    is_problem(&late, StatusCode::CONFLICT, "approval_ended");
}

#[tokio::test]
async fn listings_are_newest_first_by_state_and_page_by_page() {
    let memory = memory();
    let mut ids = Vec::new();
    for session in 1..=5 {
        ids.push(held(&memory, session, "adapter.load"));
        memory.pass(1_000);
    }
    ids.reverse();
    answer(&memory, LEA, &ids[0], "deny", &json!({"reason": "no"})).await;
    let listed = |query: &'static str| {
        let memory = &memory;
        async move {
            let path = format!("/api/v1/approvals{query}");
            let rows = call(memory, LEA, "GET", &path, "").await.json;
            let rows = rows.as_array().unwrap().iter();
            rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(listed("").await, ids);
    assert_eq!(listed("?state=pending").await, ids[1..]);
    assert_eq!(listed("?state=denied").await, ids[..1]);
    assert_eq!(listed("?limit=2").await, ids[..2]);
    let path = format!("/api/v1/approvals?state=pending&limit=2&after={}", ids[2]);
    let page = call(&memory, LEA, "GET", &path, "").await.json;
    assert_eq!((&page[0]["id"], &page[1]["id"]), (&json!(ids[3]), &json!(ids[4])));
    for query in ["?state=open", "?limit=x", "?limits=1"] {
        let reply = call(&memory, LEA, "GET", &format!("/api/v1/approvals{query}"), "").await;
        is_problem(&reply, StatusCode::BAD_REQUEST, "bad_request");
    }
    let reply = call(&memory, LEA, "GET", "/api/v1/approvals?after=apr-none", "").await;
    is_problem(&reply, StatusCode::NOT_FOUND, "not_found");
}

#[tokio::test]
async fn who_broke_the_glass_justifies_and_somebody_else_closes() {
    let memory = memory();
    let mut urgent = request(1, "adapter.load", 1);
    urgent.break_glass = true;
    urgent.identity.groups.push("on-call".into());
    let HoldAnswer::Go(go) = memory.hold(urgent) else { panic!("no go") };
    let id = go.approval.unwrap();
    let view = show(&memory, LEA, &id).await.json;
    assert_eq!(view["break_glass"]["overdue"], false);
    let text = json!({"text": "the service was down"});
    let early = answer(&memory, LEA, &id, "close", &json!({})).await;
    is_problem(&early, StatusCode::CONFLICT, "not_justified");
    let other = answer(&memory, LEA, &id, "justify", &text).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN, "{}", other.text);
    let own = answer(&memory, EVE, &id, "justify", &text).await;
    assert_eq!(own.status, StatusCode::OK, "{}", own.text);
    assert_eq!(own.json["break_glass"]["justification"], "the service was down");
    let self_closed = answer(&memory, "eve+engineers+leads", &id, "close", &json!({})).await;
    is_problem(&self_closed, StatusCode::FORBIDDEN, "own_request");
    let closed = answer(&memory, LEA, &id, "close", &json!({})).await;
    assert_eq!(closed.status, StatusCode::OK, "{}", closed.text);
    assert_eq!(closed.json["break_glass"]["closed_by"]["subject"], "lea");
}
