//! Messages, signed answers, the page: what the interface itself sees to.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use penstock_app::approvals::AccessRequest;
use penstock_app::outbox::{ChannelKind, OutboxState, Outgoing};
use penstock_app::{Answer, Event, Requester, sha256_hex};
use penstock_config::documents::NotificationEvent;
use penstock_config::identity::Identity;
use serde_json::{Value, json};

use super::backend::{Memory, Reply, apply, call, send};

const POLICY: &str = "
{kind: connection, name: llama, protocol: llamacpp, version: b11434,
 endpoints: ['http://127.0.0.1:8080']}
---
kind: rule
name: adapters
effect: approve
subjects: [{users: [carl]}]
operations: [adapter.load]
approval: {reviewers: [{users: [rita, bridge]}]}
---
{kind: webhook, name: bridge, url: 'https://bridge.example.com', secret: key,
 answers_as: {issuer: dev, subject: bridge}}
---
{kind: webhook, name: listener, url: 'https://bridge.example.com', secret: other-key}
";

fn world() -> Arc<Memory> {
    let memory = Memory::new();
    apply(&memory, POLICY);
    memory
}

/// Carl asks for access; the id of the approval.
async fn ask(memory: &Arc<Memory>) -> String {
    let identity = Identity {
        issuer: "dev".into(),
        subject: "carl".into(),
        user: "carl".into(),
        ..Identity::default()
    };
    let access = AccessRequest {
        connection: "llama".into(),
        operations: vec!["adapter.load".into()],
        models: None,
        minutes: 10,
        uses: None,
        reason: Some("<i>".into()),
        ticket: None,
        extends: None,
    };
    let by = Requester::Identity(Box::new(identity));
    let event = Event::RequestAccess { by, access, fresh: "a".repeat(20) };
    let answer = crate::backend::Backend::submit(&**memory, event).await.unwrap();
    let Answer::Approval(id) = answer else { panic!("{answer:?}") };
    id
}

async fn post(memory: &Arc<Memory>, webhook: &str, headers: [&str; 3], body: &str) -> Reply {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let mut request = Request::post(format!("/api/v1/webhooks/{webhook}/answers"));
    for (name, value) in names.into_iter().zip(headers) {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    send(memory, request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn form(memory: &Arc<Memory>, id: &str, body: &str) -> Reply {
    let request = Request::post(format!("/approvals/{id}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body.to_owned()))
        .unwrap();
    send(memory, request).await
}

const GOOD: [&str; 3] = ["msg_1", "1", "v1,good"];

fn yes(approval: &str) -> String {
    json!({"approval": approval, "answer": "approve"}).to_string()
}

#[tokio::test]
async fn a_signed_answer_counts_and_its_message_is_not_taken_again() {
    let memory = world();
    let id = ask(&memory).await;
    let reply = post(&memory, "bridge", GOOD, &yes(&id)).await;
    assert_eq!((reply.status, &reply.json["state"]), (StatusCode::OK, &json!("approved")));
    let reply = post(&memory, "bridge", GOOD, &yes(&id)).await;
    assert_eq!((reply.status, &reply.json["code"]), (StatusCode::CONFLICT, &json!("replayed")));
}

#[tokio::test]
async fn an_answer_without_one_of_its_headers_is_not_looked_at() {
    let memory = world();
    let id = ask(&memory).await;
    for bad in [["", "1", "v1,good"], ["m", "", "v1,good"]] {
        let reply = post(&memory, "bridge", bad, &yes(&id)).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{bad:?}");
    }
    for bad in [["m", "1", ""], ["m", "1", "v1,bad"]] {
        let reply = post(&memory, "bridge", bad, &yes(&id)).await;
        assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{bad:?}: the third");
        assert_eq!(reply.headers[header::RETRY_AFTER], "60");
    }
    assert_eq!(post(&memory, "bridge", GOOD, &yes(&id)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_a_webhook_with_an_identity_answers() {
    let memory = world();
    let id = ask(&memory).await;
    assert_eq!(post(&memory, "listener", GOOD, &yes(&id)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(post(&memory, "nobody", GOOD, &yes(&id)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_answer_that_is_not_understood_is_refused_without_a_word_of_it() {
    let memory = world();
    let id = ask(&memory).await;
    let bodies = ["", "{", "[]", "{\"approval\":\"a\",\"answer\":\"approve\",\"secret\":\"x\"}"];
    for body in bodies {
        let reply = post(&memory, "bridge", GOOD, body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(!reply.text.contains("secret"), "{}", reply.text);
    }
    let large = format!("{}{}", yes(&id), " ".repeat(20_000));
    let reply = post(&memory, "bridge", GOOD, &large).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_page_knows_nothing_before_somebody_signs_in() {
    let memory = world();
    let id = ask(&memory).await;
    let key = "0".repeat(64);
    for path in [format!("/approvals/{id}"), format!("/approvals/{id}?key={key}")] {
        let page = call(&memory, "", "GET", &path, "").await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text.contains(&format!("penstock approve {id}")), "{}", page.text);
        assert!(!page.text.contains("carl"));
        assert_eq!(page.headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
    }
    let same = call(&memory, "", "GET", "/approvals/apr-unknown", "").await;
    assert_eq!(same.status, StatusCode::OK, "it does not say which there are");
}

#[tokio::test]
async fn what_a_link_brings_is_no_markup() {
    let memory = world();
    for path in [
        "/approvals/%3Cscript%3E",
        "/approvals/apr-1?key=%22%3E%3Cscript%3E",
        "/approvals/apr-1?key=a&key=%3Cscript%3E",
    ] {
        let page = call(&memory, "", "GET", path, "").await;
        assert!(!page.text.contains("<script"), "{path}: {}", page.text);
    }
}

#[tokio::test]
async fn a_click_with_a_key_answers_and_nothing_less_does() {
    let memory = world();
    let id = ask(&memory).await;
    let key = "0123456789abcdef".repeat(4);
    memory.keep_link(&sha256_hex(key.as_bytes()), &id);
    let state = async || {
        let path = format!("/api/v1/approvals/{id}");
        call(&memory, "rita", "GET", &path, "").await.json["state"].clone()
    };
    let shown = form(&memory, &id, &format!("token=rita&key={key}")).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(shown.text.contains("&lt;i&gt;") && !shown.text.contains("<i>"), "{}", shown.text);
    for (bad, expected) in [
        (format!("token=rita&key={key}&answer=maybe"), StatusCode::BAD_REQUEST),
        (format!("token=rita&key={key}&answer=deny"), StatusCode::UNPROCESSABLE_ENTITY),
        ("token=rita&answer=approve".to_owned(), StatusCode::FORBIDDEN),
        (format!("token=rita&key={}&answer=approve", "0".repeat(64)), StatusCode::FORBIDDEN),
        (format!("token=carl&key={key}&answer=approve"), StatusCode::FORBIDDEN),
        (format!("token=eve&key={key}&answer=approve"), StatusCode::NOT_FOUND),
        (format!("token=nobody&key={key}&answer=approve"), StatusCode::UNAUTHORIZED),
        (format!("key={key}&answer=approve"), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let reply = form(&memory, &id, &bad).await;
        assert_eq!(reply.status, expected, "{bad}: {}", reply.text);
        assert_eq!(state().await, "pending", "{bad}");
    }
    let answered = form(&memory, &id, &format!("token=rita&key={key}&answer=approve")).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    assert_eq!(state().await, "approved");
    let again = form(&memory, &id, &format!("token=rita&key={key}&answer=approve")).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_form_in_another_shape_is_refused() {
    let memory = world();
    let id = ask(&memory).await;
    let request = Request::post(format!("/approvals/{id}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(send(&memory, request).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = format!("token={}", "a".repeat(33 * 1024));
    assert_eq!(form(&memory, &id, &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

fn message(id: &str, state: OutboxState) -> Outgoing {
    Outgoing {
        id: id.into(),
        kind: ChannelKind::Mail,
        channel: "people".into(),
        recipient: "rita@example.com".into(),
        event: NotificationEvent::ApprovalRequested,
        approval: "apr-1".into(),
        body: "the text".into(),
        created_ms: 1,
        attempts: 2,
        next_ms: 3,
        state,
        problem: "no connection".into(),
    }
}

#[tokio::test]
async fn messages_are_listed_by_state_without_their_text_and_sent_again() {
    let memory = world();
    memory.tell(message("a", OutboxState::Dead));
    memory.tell(message("b", OutboxState::Pending));
    let all = call(&memory, "audrey", "GET", "/api/v1/notifications", "").await;
    assert_eq!(all.json.as_array().unwrap().len(), 2);
    assert!(!all.text.contains("the text"));
    let one = call(&memory, "ada", "GET", "/api/v1/notifications?limit=1", "").await;
    assert_eq!((&one.json[0]["id"], &one.json[0]["next_ms"]), (&json!("b"), &json!(3)));
    let dead = call(&memory, "otto", "GET", "/api/v1/notifications?state=dead", "").await;
    assert_eq!((&dead.json[0]["id"], &dead.json[0]["next_ms"]), (&json!("a"), &Value::Null));
    assert_eq!(dead.json[0]["channel"], "mail/people");
    let bad = call(&memory, "ada", "GET", "/api/v1/notifications?state=gone", "").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let retry = async |user: &str, id: &str| {
        call(&memory, user, "POST", &format!("/api/v1/notifications/{id}/retry"), "").await.status
    };
    assert_eq!(retry("otto", "a").await, StatusCode::NO_CONTENT);
    assert_eq!(retry("audrey", "a").await, StatusCode::FORBIDDEN);
    assert_eq!(retry("uma", "a").await, StatusCode::FORBIDDEN);
    assert_eq!(retry("ada", "b").await, StatusCode::CONFLICT);
    assert_eq!(retry("ada", "c").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_comes_back_from_their_provider_sees_what_is_asked_for() {
    let memory = world();
    let id = ask(&memory).await;
    let key = "0123456789abcdef".repeat(4);
    let page = call(&memory, "", "GET", &format!("/approvals/{id}?key={key}"), "").await;
    let link = format!("../sign-in?approval={id}&amp;key={key}");
    assert!(page.text.contains(&link), "{}", page.text);

    let begin = format!("/sign-in?approval={id}&key={key}");
    let begun = call(&memory, "", "GET", &begin, "").await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER);
    assert_eq!(begun.headers[header::LOCATION], "https://id.example.com/authorize");
    assert_eq!(begun.headers[header::REFERRER_POLICY], "no-referrer");
    let cookie = begun.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
    let (cookie, _) = cookie.split_once(';').unwrap();

    let back = async |cookies: &[&str], code: &str| {
        let mut request = Request::get(format!("/sign-in/callback?code={code}&state=s"));
        for cookie in cookies {
            request = request.header(header::COOKIE, *cookie);
        }
        send(&memory, request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(back(&[], "rita").await.status, StatusCode::UNAUTHORIZED, "another browser");
    assert_eq!(back(&[cookie, cookie], "rita").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(back(&[cookie], "nobody").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(back(&[cookie], "eve").await.status, StatusCode::NOT_FOUND);
    let shown = back(&["a=b", cookie], "rita").await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    assert!(shown.text.contains(&format!("action=\"../approvals/{id}\"")), "{}", shown.text);
    assert!(shown.text.contains(&key) && shown.text.contains("value=\"approve\""));
    assert!(shown.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(shown.headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn a_sign_in_begins_for_an_approval_alone() {
    let memory = world();
    for path in ["/sign-in", "/sign-in?approval=%22", "/sign-in?approval=apr-1%0d%0aa"] {
        let reply = call(&memory, "", "GET", path, "").await;
        assert!(reply.status.is_client_error(), "{path}");
        assert!(!reply.headers.contains_key(header::SET_COOKIE), "{path}");
    }
}
