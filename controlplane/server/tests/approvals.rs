//! Holds, approvals, grants and revocations, over both addresses of a whole control plane.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use common::holds::{APPROVE_POLICY, EVE, LEA, adapter_load, go, pending, refused, session};
use common::{TestControlplane, TestNode, eventually, node_client};
use penstock_config::hold::{EndOutcome, LiveEvent, RefusedCode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn started() -> (TestControlplane, TestNode) {
    let controlplane = TestControlplane::start().await;
    let (status, answer) = controlplane.apply(APPROVE_POLICY).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let node = controlplane.join().await;
    (controlplane, node)
}

async fn approve(
    controlplane: &TestControlplane,
    who: (&str, &[&str]),
    approval: &str,
    how: &Value,
) -> (StatusCode, Value) {
    let path = format!("/api/v1/approvals/{approval}/approve");
    controlplane.call_as(who, Method::POST, &path, how).await
}

#[tokio::test]
async fn a_held_request_goes_once_after_a_second_person_approved_it() {
    let (controlplane, node) = started().await;
    let (request, copy) = (adapter_load(1, 7), adapter_load(2, 7));
    let held = pending(node.hold(&request).await);
    assert_eq!(pending(node.hold(&copy).await).approval, held.approval, "a copy joins");
    assert!(held.url.ends_with(&format!("/approvals/{}", held.approval)), "{}", held.url);

    let before = node.all_live().await;
    let waiting = node.live(&before.run, before.sequence);
    let vote = async {
        let (status, view) = approve(&controlplane, LEA, &held.approval, &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{view}");
        view
    };
    let (live, view) = tokio::join!(waiting, vote);
    let decided = LiveEvent::Approval { id: held.approval.clone() };
    assert!(!live.full && live.events.contains(&decided), "{live:?}");
    assert_eq!((&view["state"], &view["user"]), (&json!("approved"), &json!("eve")));

    let gone = go(node.hold(&request).await);
    assert_eq!(gone.approval.as_deref(), Some(&*held.approval));
    assert_eq!(go(node.hold(&request).await).grants, gone.grants, "asked again: the same use");
    let spent = refused(node.hold(&copy).await);
    assert_eq!(spent.code, RefusedCode::ApprovalSpent);
    let path = format!("/api/v1/grants/{}", gone.grants[0]);
    let (_, grant) = controlplane.call(Method::GET, &path, &Value::Null).await;
    assert_eq!((&grant["state"], &grant["uses"]), (&json!("spent"), &json!(1)));
    assert_ne!(pending(node.hold(&adapter_load(3, 7)).await).approval, held.approval);
}

#[tokio::test]
async fn nobody_but_a_reviewer_answers_and_never_who_asked() {
    let (controlplane, node) = started().await;
    let held = pending(node.hold(&adapter_load(1, 7)).await);
    let refusals: [((&str, &[&str]), &str); 3] = [
        (("eve", &["engineers", "leads"]), "own_request"),
        (("ada", &[]), "not_a_reviewer"),
        (("mallory", &["engineers"]), "not_a_reviewer"),
    ];
    for (who, code) in refusals {
        let (status, problem) = approve(&controlplane, who, &held.approval, &json!({})).await;
        assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!(code)), "{problem}");
        let path = format!("/api/v1/approvals/{}/deny", held.approval);
        let no = json!({"reason": "no"});
        let (status, problem) = controlplane.call_as(who, Method::POST, &path, &no).await;
        assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!(code)), "{problem}");
    }
    assert_eq!(pending(node.hold(&adapter_load(1, 7)).await).approval, held.approval);
}

#[tokio::test]
async fn a_denial_reaches_who_waits_with_its_reason() {
    let (controlplane, node) = started().await;
    let held = pending(node.hold(&adapter_load(1, 7)).await);
    let path = format!("/api/v1/approvals/{}/deny", held.approval);
    let no = json!({"reason": "not on a Friday"});
    let (status, view) = controlplane.call_as(LEA, Method::POST, &path, &no).await;
    assert_eq!((status, &view["state"]), (StatusCode::OK, &json!("denied")), "{view}");
    let answer = refused(node.hold(&adapter_load(1, 7)).await);
    assert_eq!(answer.code, RefusedCode::ApprovalDenied);
    assert!(answer.message.contains("not on a Friday"), "{}", answer.message);
    let (status, problem) = approve(&controlplane, LEA, &held.approval, &json!({})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("approval_ended")));
}

#[tokio::test]
async fn a_revocation_reaches_a_waiting_node_and_shows_when_it_acted() {
    let (controlplane, node) = started().await;
    let held = pending(node.hold(&adapter_load(1, 7)).await);
    approve(&controlplane, LEA, &held.approval, &json!({"uses": 3})).await;
    let grant = go(node.hold(&adapter_load(1, 7)).await).grants.remove(0);
    let before = node.all_live().await;
    assert!(
        before.events.iter().any(|e| matches!(e, LiveEvent::GrantLive { id, .. } if *id == grant))
    );
    let waiting = node.live(&before.run, before.sequence);
    let path = format!("/api/v1/grants/{grant}/revoke");
    let reason = json!({"reason": "wrong adapter"});
    let revocation = controlplane.call_as(LEA, Method::POST, &path, &reason);
    let (live, (status, ended)) = tokio::join!(waiting, revocation);
    assert_eq!((status, &ended["state"]), (StatusCode::OK, &json!("revoked")), "{ended}");
    assert!(live.events.contains(&LiveEvent::GrantEnded { id: grant }), "{live:?}");
    let sequence = ended["live_sequence"].as_u64().unwrap();
    assert_eq!(ended["live_run"], json!(live.run));
    assert!(live.sequence >= sequence);

    let row = node_row(&controlplane).await;
    assert_eq!(row["live_sequence"], before.sequence, "it has not said more yet");
    assert!(before.sequence < sequence);
    let (_, heartbeat) = node.poll(&format!("run={}&after={}", live.run, live.sequence)).await;
    assert_eq!((&heartbeat["full"], &heartbeat["events"]), (&json!(false), &json!([])));
    let row = node_row(&controlplane).await;
    assert!(row["live_sequence"].as_u64().unwrap() >= sequence, "{row}");
    assert_eq!(row["live_run"], ended["live_run"]);
    assert!(row["live_seen_ms"].as_u64() > Some(0));
    let anew = pending(node.hold(&adapter_load(2, 8)).await);
    assert_ne!(anew.approval, held.approval, "nothing is left of what was revoked");
}

async fn node_row(controlplane: &TestControlplane) -> Value {
    let (_, mut nodes) = controlplane.call(Method::GET, "/api/v1/nodes", &Value::Null).await;
    nodes[0].take()
}

#[tokio::test]
async fn a_poll_without_news_is_a_heartbeat_within_its_time() {
    let (controlplane, node) = started().await;
    let before = node.all_live().await;
    let row = node_row(&controlplane).await;
    assert_eq!(row["live_sequence"], Value::Null, "it has not acted on all of it yet");
    let began = std::time::Instant::now();
    let query = format!("run={}&after={}&wait_ms=100", before.run, before.sequence);
    let (status, live) = node.poll(&query).await;
    assert_eq!((status, &live["events"]), (StatusCode::OK, &json!([])));
    assert!(live["server_ms"].as_u64() > Some(0));
    assert!(began.elapsed() >= std::time::Duration::from_millis(100), "it waited");
    for wrong in ["run=a&after=x", "runs=a", "after=-1"] {
        let (status, problem) = node.poll(wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(problem["code"], "bad_request", "{wrong}");
    }
    let (_, other) = node.poll("run=another&after=0").await;
    assert_eq!(other["full"], true, "another run knows nothing of this one");
}

#[tokio::test]
async fn a_removed_node_is_refused_everywhere_also_where_it_waits() {
    let (controlplane, node) = started().await;
    let request = adapter_load(1, 7);
    let held = pending(node.hold(&request).await);
    approve(&controlplane, LEA, &held.approval, &json!({})).await;
    let before = node.all_live().await;
    let query = format!("run={}&after={}&wait_ms=2000", before.run, before.sequence);
    let waiting = async {
        // Whatever comes in between is answered: the node asks again.
        loop {
            let (status, _) = node.poll(&query).await;
            if status != StatusCode::OK {
                return status;
            }
        }
    };
    let path = format!("/api/v1/nodes/{}", node.id);
    let removal = controlplane.call(Method::DELETE, &path, &Value::Null);
    let (refused, (removed, _)) = tokio::join!(waiting, removal);
    assert_eq!((refused, removed), (StatusCode::FORBIDDEN, StatusCode::NO_CONTENT));
    let body = serde_json::to_value(&request).unwrap();
    assert_eq!(node.post("holds", &body).await, StatusCode::FORBIDDEN);
    assert_eq!(node.end(1, EndOutcome::Ended).await, StatusCode::FORBIDDEN);
    let sessions = json!({"sessions": [], "open": 0});
    assert_eq!(node.post("sessions", &sessions).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_nodes_say_is_strict_and_bounded_and_needs_a_certificate() {
    let (_controlplane, node) = started().await;
    let mut more = serde_json::to_value(adapter_load(1, 7)).unwrap();
    more["more"] = json!(1);
    assert_eq!(node.post("holds", &more).await, StatusCode::BAD_REQUEST);
    let mut unknown = serde_json::to_value(adapter_load(1, 7)).unwrap();
    unknown["session"] = json!("not hex");
    assert_eq!(node.post("holds", &unknown).await, StatusCode::UNPROCESSABLE_ENTITY);
    let end = json!({"session": session(1), "outcome": "ended"});
    let many = json!({"ends": vec![end.clone(); 1_001]});
    assert_eq!(node.post("ends", &many).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(node.post("ends", &json!({"ends": [end]})).await, StatusCode::NO_CONTENT);
    let large = json!({"ends": "x".repeat(2 << 20)});
    assert_eq!(node.post("ends", &large).await, StatusCode::PAYLOAD_TOO_LARGE);
    let stranger = node_client(&node.file, None);
    for path in ["holds", "ends", "sessions"] {
        let call = stranger.post(format!("{}/node/v1/{path}", node.file.url)).json(&json!({}));
        assert_eq!(call.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let live = stranger.get(format!("{}/node/v1/live", node.file.url)).send().await.unwrap();
    assert_eq!(live.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_hundred_requests_are_held_and_claimed_at_once() {
    const MANY: u64 = 100;
    let (controlplane, node) = started().await;
    let holds = (0..MANY).map(|number| {
        let request = adapter_load(number, number);
        let node = &node;
        async move { pending(node.hold(&request).await).approval }
    });
    let approvals = futures_util::future::join_all(holds).await;
    let distinct: std::collections::BTreeSet<&String> = approvals.iter().collect();
    assert_eq!(distinct.len(), approvals.len(), "each its own");
    let votes = approvals.iter().map(|id| approve(&controlplane, LEA, id, &Value::Null));
    for (status, view) in futures_util::future::join_all(votes).await {
        assert_eq!(status, StatusCode::BAD_REQUEST, "`null` is not a body: {view}");
    }
    let yes = json!({});
    let votes = approvals.iter().map(|id| approve(&controlplane, LEA, id, &yes));
    for (status, view) in futures_util::future::join_all(votes).await {
        assert_eq!((status, &view["state"]), (StatusCode::OK, &json!("approved")));
    }
    // Every request claims its use twice at once, as after an error.
    let claims = (0..MANY).chain(0..MANY).map(|number| {
        let request = adapter_load(number, number);
        let node = &node;
        async move { go(node.hold(&request).await).grants }
    });
    let grants = futures_util::future::join_all(claims).await;
    assert_eq!(grants[..100], grants[100..]);
    let path = "/api/v1/grants?state=spent&limit=1000";
    let (_, spent) = controlplane.call(Method::GET, path, &Value::Null).await;
    let spent = spent.as_array().unwrap();
    assert_eq!(spent.len(), 100);
    assert!(spent.iter().all(|grant| grant["uses"] == 1));
}

#[tokio::test]
async fn open_sessions_are_listed_and_killed() {
    let (controlplane, node) = started().await;
    let open = json!({
        "session": session(1), "issuer": "dev", "subject": "eve", "user": "eve",
        "connection": "llama", "operations": ["infer.chat"], "model": "smol", "rule": "a",
        "begun_ms": 5, "peer": "192.0.2.7"
    });
    let said = json!({"sessions": [open], "open": 1});
    assert_eq!(node.post("sessions", &said).await, StatusCode::NO_CONTENT);
    let (_, listed) = controlplane.call(Method::GET, "/api/v1/sessions", &Value::Null).await;
    let row = &listed[0];
    assert_eq!((&row["id"], &row["state"]), (&json!(session(1)), &json!("open")));
    assert_eq!((&row["user"], &row["node"]), (&json!("eve"), &json!(node.id)));
    let before = node.all_live().await;
    let path = format!("/api/v1/sessions/{}/kill", session(1));
    let (status, answer) = controlplane.call(Method::POST, &path, &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let live = node.live(&before.run, before.sequence).await;
    assert_eq!(live.events, [LiveEvent::SessionKilled { session: session(1) }]);
    assert_eq!(answer["live_sequence"], live.sequence);
    let nothing = format!("/api/v1/sessions/{}/kill", session(9));
    let (status, _) = controlplane.call(Method::POST, &nothing, &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_revoked_identity_and_a_revoked_token_are_strangers_to_the_api() {
    let (controlplane, node) = started().await;
    let before = node.all_live().await;
    let token = controlplane.issuer.token(&controlplane.key, "lea", &["leads"], "penstock-api");
    let other = controlplane.issuer.token(&controlplane.key, "leo", &["leads"], "penstock-api");
    let list = |token: &str| {
        let token = token.to_owned();
        let controlplane = &controlplane;
        async move {
            let path = "/api/v1/approvals";
            controlplane.call_with(&token, Method::GET, path, &Value::Null).await.0
        }
    };
    assert_eq!((list(&token).await, list(&other).await), (StatusCode::OK, StatusCode::OK));
    let identity = json!({"issuer": "dev", "subject": "lea", "reason": "left"});
    let path = "/api/v1/revocations";
    let (status, answer) = controlplane.call(Method::POST, path, &identity).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(list(&token).await, StatusCode::UNAUTHORIZED);
    assert_eq!(list(&other).await, StatusCode::OK);
    let live = node.live(&before.run, before.sequence).await;
    assert!(
        matches!(&live.events[0], LiveEvent::IdentityRevoked { subject, .. } if subject == "lea")
    );
    let hash = json!({"token_sha256": penstock_app::sha256_hex(other.as_bytes())});
    let (status, answer) = controlplane.call(Method::POST, path, &hash).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(list(&other).await, StatusCode::UNAUTHORIZED);
    let wrong = [
        json!({}),
        json!({"issuer": "dev"}),
        json!({"issuer": "a", "subject": "b",
        "token_id": "c"}),
        json!({"token_sha256": "a", "issuer": "b"}),
    ];
    for body in wrong {
        let (status, _) = controlplane.call(Method::POST, path, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
    let identity = json!({"issuer": "dev", "subject": "ada"});
    let (status, _) = controlplane.call_as(EVE, Method::POST, path, &identity).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_use_is_given_back_where_nothing_was_sent_and_only_then() {
    let (controlplane, node) = started().await;
    let held = pending(node.hold(&adapter_load(1, 7)).await);
    approve(&controlplane, LEA, &held.approval, &json!({})).await;
    go(node.hold(&adapter_load(1, 7)).await);
    let path = format!("/api/v1/approvals/{}", held.approval);
    let state = || async {
        let (_, view) = controlplane.call(Method::GET, &path, &Value::Null).await;
        view["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state().await, "spent");
    assert_eq!(node.end(1, EndOutcome::NothingSent).await, StatusCode::NO_CONTENT);
    assert_eq!(node.end(1, EndOutcome::NothingSent).await, StatusCode::NO_CONTENT);
    go(node.hold(&adapter_load(2, 7)).await);
    assert_eq!(node.end(2, EndOutcome::Ended).await, StatusCode::NO_CONTENT);
    assert_eq!(node.end(2, EndOutcome::NothingSent).await, StatusCode::NO_CONTENT);
    assert_eq!(state().await, "spent");
    let anew = pending(node.hold(&adapter_load(3, 7)).await);
    assert_ne!(anew.approval, held.approval);
}

#[tokio::test]
async fn a_caller_that_leaves_withdraws_what_it_asked_for() {
    let (controlplane, node) = started().await;
    let held = pending(node.hold(&adapter_load(1, 7)).await);
    assert_eq!(node.end(1, EndOutcome::Withdrawn).await, StatusCode::NO_CONTENT);
    let (status, problem) = approve(&controlplane, LEA, &held.approval, &json!({})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("approval_ended")));
    let path = "/api/v1/approvals?state=withdrawn";
    let (_, listed) = controlplane.call(Method::GET, path, &Value::Null).await;
    assert_eq!(listed[0]["id"], json!(held.approval));
}

#[tokio::test]
async fn the_page_of_an_approval_tells_nothing_and_decides_nothing() {
    let (controlplane, node) = started().await;
    let held = pending(node.hold(&adapter_load(1, 7)).await);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/approvals/{}", controlplane.api, held.approval);
    assert_eq!(held.url, url);
    let page = client.get(&url).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let text = page.text().await.unwrap();
    assert!(text.contains("penstock approve"), "{text}");
    for word in ["engineers", "adapter", "smol", "nightly", "llama"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    let made_up = client.get(format!("{}/approvals/apr-{}", controlplane.api, "0".repeat(20)));
    assert_eq!(made_up.send().await.unwrap().status(), StatusCode::OK);
    let path = format!("/api/v1/approvals/{}", held.approval);
    let (_, view) = controlplane.call(Method::GET, &path, &Value::Null).await;
    assert_eq!(view["state"], "pending");
    eventually("it still waits", || async { view["waiting"] == true }).await;
}
