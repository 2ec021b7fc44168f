//! Requests that need approval: asked about, held, decided.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use penstock_config::digest::{hex, sha256};
use penstock_config::hold::{EndOutcome, HoldAnswer, LiveEvent, RefusedCode};
use penstock_reactor::buffer::BLOCK_BYTES;
use penstock_reactor::network::Network as _;

use super::desk::{RULE, documents, go};
use super::limits::reached;
use super::stage::{DOCUMENTS, Stage, get, post};
use crate::letters::Letter;

const SCALE: &str = r#"[{"id":0,"scale":0.5}]"#;

fn scale(stage: &Stage) -> String {
    post("/llama/lora-adapters", &stage.token("ann", &["engineers"]), SCALE)
}

/// A request of its kind that waits, and its question.
fn pending(stage: &mut Stage) -> (penstock_reactor::memory::Peer, Arc<crate::letters::Question>) {
    let request = scale(stage);
    let caller = stage.send(&request);
    let question = stage.question();
    stage.pending(&question);
    (caller, question)
}

#[test]
fn a_request_that_needs_approval_waits_and_goes_up_once_it_is_granted() {
    let mut stage = Stage::for_holds();
    let (mut caller, first) = pending(&mut stage);
    assert_eq!(stage.core.counters.holds_open.read(), 1);
    assert!(!stage.reached_upstream());
    stage.pass(Duration::from_secs(30));
    let question = stage.decided();
    assert_eq!(question.body, first.body, "the very same question");
    stage.grant(&question);
    let (mut server, head) = stage.server();
    assert!(head.starts_with("POST /lora-adapters HTTP/1.1\r\n"), "{head}");
    let body = stage.simulation.run_until(server.read_exact(SCALE.len())).unwrap().unwrap();
    assert_eq!(body, SCALE.as_bytes());
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    stage.simulation.run_until(server.write(answer)).unwrap().unwrap();
    assert_eq!(stage.answer_to(&mut caller).status, 200);
    assert_eq!(stage.ends(), [EndOutcome::Ended]);
    let line = &stage.log()[0];
    assert_eq!(line["decision"], "allow");
    assert_eq!((&line["grants"][0], &line["approval"]), (&"grt-1".into(), &"apr-1".into()));
    assert_eq!(line["rule"], RULE);
    let granted = stage.core.counters.holds_by_outcome().next();
    assert_eq!(granted, Some(("granted", 1)));
    assert_eq!(stage.core.counters.holds_open.read(), 0);
    assert!(stage.core.counters.hold_wait_us.read() >= 30_000_000);
}

#[test]
fn the_question_says_who_asks_what_why_and_for_exactly_which_request() {
    let mut stage = Stage::for_holds();
    let token = stage.token("ann", &["engineers"]);
    let body = r#"{"scale": 0.5, "note": "x", "other": "prompt"}"#;
    let request = post("/llama/lora-adapters?a=1", &token, body).replace(
        "Host:",
        "penstock-reason: the new adapter\r\nPenstock-Ticket: ML-7\r\n\
         penstock-break-glass: true\r\nUser-Agent: tool/1\r\nHost:",
    );
    let mut caller = stage.send(&request);
    let question = stage.question();
    let asked = Stage::asked(&question);
    assert_eq!(asked.session, question.session.as_str());
    assert_eq!((asked.identity.subject.as_str(), asked.connection.as_str()), ("ann", "llama"));
    assert_eq!(asked.token_sha256, hex(&sha256(token.as_bytes())));
    assert!(asked.token_expires_ms > asked.token_issued_ms && asked.token_issued_ms > 0);
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/lora-adapters?a=1"));
    assert_eq!(asked.facts.operations[0].0, "adapter.scale");
    assert_eq!(asked.body_sha256, hex(&sha256(body.as_bytes())));
    assert_eq!(asked.body_bytes, body.len() as u64);
    let shown = [("scale".to_owned(), "0.5".to_owned()), ("note".to_owned(), "x".to_owned())];
    assert_eq!(asked.shown, shown);
    assert_eq!(asked.reason.as_deref(), Some("the new adapter"));
    assert_eq!(asked.ticket.as_deref(), Some("ML-7"));
    assert!(asked.break_glass);
    assert_eq!(asked.agent.as_deref(), Some("tool/1"));
    assert_eq!(asked.position.version, 1);
    stage.grant(&question);
    let (mut server, head) = stage.server();
    assert!(!head.to_ascii_lowercase().contains("penstock"), "{head}");
    server.finish();
    caller.finish();
}

#[test]
fn one_byte_more_or_another_path_is_another_request_and_a_new_token_is_not() {
    let mut stage = Stage::for_holds();
    let mut digest = |target: &str, body: &str, more: &str| {
        stage.simulation.advance(Duration::from_secs(1));
        let token = stage.token("ann", &["engineers"]);
        let request = post(target, &token, body).replace("Host:", &format!("{more}Host:"));
        let _caller = stage.send(&request);
        let asked = Stage::asked(&stage.question());
        asked.digest
    };
    let first = digest("/llama/lora-adapters", SCALE, "");
    assert_eq!(first, digest("/llama/lora-adapters", SCALE, "User-Agent: other\r\n"));
    assert_ne!(first, digest("/llama/lora-adapters", &format!("{SCALE} "), ""));
    assert_ne!(first, digest("/llama/lora-adapters?x=1", SCALE, ""));
    assert_ne!(first, digest("/llama/lora-adapters", SCALE, "Idempotency-Key: 7\r\n"));
}

#[test]
fn a_wish_that_is_not_understood_is_refused_before_anybody_is_asked() {
    let mut stage = Stage::for_holds();
    let long = format!("penstock-reason: {}\r\n", "x".repeat(1_025));
    for more in [
        "penstock-reason: a\r\npenstock-reason: b\r\n",
        "penstock-break-glass: yes\r\n",
        long.as_str(),
        "penstock-ticket: \u{ff}\r\n",
    ] {
        let request = scale(&stage).replace("Host:", &format!("{more}Host:"));
        let bytes: Vec<u8> = request.chars().map(|one| one as u32 as u8).collect();
        assert_eq!(stage.refusal(&bytes).status, 400, "{more}");
    }
    assert!(stage.mail().is_none());
}

#[test]
fn each_refusal_has_its_status_and_code_and_says_where_to_look() {
    for (code, status, expected) in [
        (RefusedCode::ApprovalDenied, 403, "approval_denied"),
        (RefusedCode::ApprovalExpired, 403, "approval_denied"),
        (RefusedCode::ApprovalSpent, 403, "approval_spent"),
        (RefusedCode::ReasonRequired, 403, "reason_required"),
        (RefusedCode::Denied, 403, "denied"),
        (RefusedCode::Overloaded, 503, "overloaded"),
    ] {
        let mut stage = Stage::for_holds();
        let (mut caller, question) = pending(&mut stage);
        stage.tell(vec![LiveEvent::Approval { id: "apr-1".into() }]);
        assert_eq!(stage.question().body, question.body);
        stage.refuse(&question, code);
        let answer = stage.answer_to(&mut caller);
        assert_eq!(answer.status, status, "{code:?}");
        let error = answer.error();
        assert_eq!(error["code"], expected);
        if error["code"].as_str().is_some_and(|code| code.contains("approval")) {
            assert_eq!(error["penstock"]["approval"], "apr-1");
            assert_eq!(error["penstock"]["url"], "https://penstock/approvals/apr-1");
            assert_eq!(error["penstock"]["rule"], RULE);
            assert_eq!(error["message"], "ben said no: not on a Friday");
        }
        assert_eq!(stage.ends(), [], "the control plane knows");
        assert!(!stage.reached_upstream());
        drop(caller);
    }
}

#[test]
fn an_answer_about_an_approval_has_the_protocols_own_shape() {
    let mut stage = Stage::holding(&super::desk::documents_with_chat(), "{}");
    let token = stage.token("ann", &["engineers"]);
    for (path, pointer) in
        [("/v1/messages", "/error/penstock"), ("/v1/responses", "/error/penstock")]
    {
        let request = post(&format!("/llama{path}"), &token, r#"{"model":"m"}"#);
        let mut caller = stage.send(&request);
        let question = stage.question();
        stage.refuse(&question, RefusedCode::ApprovalDenied);
        let answer = stage.answer_to(&mut caller);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body.pointer(pointer).unwrap()["approval"], "apr-1", "{path}");
    }
}

#[test]
fn after_its_time_on_the_connection_the_approval_stays_and_the_caller_is_told_where() {
    let mut stage = Stage::for_holds();
    let request = scale(&stage);
    let mut caller = stage.send(&request);
    let question = stage.question();
    stage.pending_for(&question, 20_000, false);
    stage.pass(Duration::from_secs(19));
    assert_eq!(stage.core.counters.holds_open.read(), 1);
    stage.pass(Duration::from_secs(1));
    let answer = stage.answer_to(&mut caller);
    assert_eq!((answer.status, &answer.error()["code"]), (403, &"approval_pending".into()));
    assert_eq!(answer.error()["penstock"]["approval"], "apr-1");
    assert_eq!(answer.error()["penstock"]["url"], "https://penstock/approvals/apr-1");
    assert_eq!(stage.ends(), [EndOutcome::HoldOver]);
    assert_eq!(stage.log()[0]["decision"], "approve");
    // The connection goes on.
    let listing = get("/llama/v1/models", &stage.token("eve", &["strangers"]));
    stage.simulation.run_until(caller.write(listing.as_bytes())).unwrap().unwrap();
    assert_eq!(stage.answer_to(&mut caller).status, 404);
}

#[test]
fn a_caller_that_leaves_is_withdrawn_also_while_its_question_is_out() {
    let mut stage = Stage::for_holds();
    let (caller, _) = pending(&mut stage);
    drop(caller);
    assert_eq!(stage.ends(), [EndOutcome::Withdrawn]);
    assert_eq!(stage.log()[0]["reason"], "client_gone");

    let request = scale(&stage);
    let caller = stage.send(&request);
    let question = stage.question();
    drop(caller);
    assert_eq!(stage.ends(), [], "the answer is not here yet");
    assert_eq!(question.left(), Some(EndOutcome::Withdrawn));
    stage.grant(&question);
    assert_eq!(stage.ends(), [EndOutcome::NothingSent], "what was reserved is given back");
    assert!(!stage.reached_upstream());
}

#[test]
fn what_a_caller_sends_while_it_waits_is_bounded_and_not_parsed() {
    let mut stage = Stage::for_holds();
    let (mut caller, _) = pending(&mut stage);
    let before = stage.network.pool().bytes_in_use();
    for _ in 0..100 {
        stage.simulation.run_until(caller.write(b"not HTTP\r\n")).unwrap().unwrap();
        stage.simulation.settle();
    }
    let held = stage.network.pool().bytes_in_use() - before;
    assert!(held <= BLOCK_BYTES, "{held}");
    // As much as the socket takes: the rest waits.
    let flood = vec![b'x'; 1 << 20];
    let written = Rc::new(Cell::new(false));
    let done = Rc::clone(&written);
    stage.network.spawn(async move {
        let _ = caller.write(&flood).await;
        done.set(true);
    });
    stage.simulation.settle();
    assert!(!written.get(), "nobody takes it");
    let held = stage.network.pool().bytes_in_use() - before;
    assert!(held <= 2 * BLOCK_BYTES, "{held}");
    assert_eq!(stage.core.counters.holds_open.read(), 1);
}

#[test]
fn what_waits_holds_no_block_of_the_pool() {
    let mut stage = Stage::for_holds();
    let before = stage.network.pool().bytes_in_use();
    let (_caller, _) = pending(&mut stage);
    let held = stage.network.pool().bytes_in_use() - before;
    assert!(held > 0 && held < 2_048, "{held}: head and body in their own size");
}

#[test]
fn nothing_is_held_while_the_control_plane_is_not_heard() {
    let mut stage = Stage::holding(&documents(), "{}");
    stage.simulation.advance(Duration::from_secs(11));
    let request = scale(&stage);
    let mut caller = stage.send(&request);
    let answer = stage.answer_to(&mut caller);
    assert_eq!((answer.status, &answer.error()["code"]), (503, &"approval_unavailable".into()));
    assert!(answer.head.contains("retry-after:"));
    assert!(stage.mail().is_none());

    stage.tell(Vec::new());
    let (mut caller, _) = pending(&mut stage);
    stage.simulation.advance(Duration::from_secs(9));
    stage.tick();
    assert_eq!(stage.core.counters.holds_open.read(), 1);
    stage.simulation.advance(Duration::from_secs(2));
    stage.tick();
    assert_eq!(stage.answer_to(&mut caller).error()["code"], "approval_unavailable");
    assert_eq!(stage.ends(), [EndOutcome::HoldOver]);
}

#[test]
fn clocks_that_differ_by_more_than_five_seconds_hold_nothing_and_give_back_what_was_reserved() {
    let mut stage = Stage::for_holds();
    let request = scale(&stage);
    for ahead in [6_000_i64, -6_000] {
        let mut caller = stage.send(&request);
        let question = stage.question();
        let mut granted = go(&stage, &[RULE]);
        granted.server_ms = granted.server_ms.saturating_add_signed(ahead);
        stage.answer(&question, HoldAnswer::Go(granted));
        assert_eq!(stage.answer_to(&mut caller).error()["code"], "approval_unavailable");
        assert_eq!(stage.ends(), [EndOutcome::NothingSent]);
    }
    assert!(!stage.reached_upstream());
}

#[test]
fn a_question_that_gets_no_answer_ends_in_503_and_one_beyond_the_desk_at_once() {
    let mut stage = Stage::for_holds();
    let request = scale(&stage);
    let mut caller = stage.send(&request);
    let question = stage.question();
    stage.pass(Duration::from_secs(31));
    assert_eq!(stage.answer_to(&mut caller).error()["code"], "approval_unavailable");
    assert_eq!(question.left(), Some(EndOutcome::HoldOver));

    let mut callers: Vec<_> = (0..64).map(|_| stage.send(&request)).collect();
    let mut last = stage.send(&request);
    assert_eq!(stage.answer_to(&mut last).status, 503);
    drop((callers.pop(), question));
}

#[test]
fn an_answer_that_the_control_plane_will_not_give_is_503() {
    let mut stage = Stage::for_holds();
    let request = scale(&stage);
    let mut caller = stage.send(&request);
    let question = stage.question();
    let (answer, at) = (Err(crate::letters::Unanswered), Duration::ZERO);
    stage.letter(Letter::Answer { question, answer, at });
    assert_eq!(stage.answer_to(&mut caller).error()["code"], "approval_unavailable");
}

#[test]
fn a_request_beyond_the_holds_of_a_core_is_503_overloaded() {
    let mut stage = Stage::holding(&documents(), "{holds_per_core_max: 1}");
    let (first, _) = pending(&mut stage);
    let request = scale(&stage);
    let mut second = stage.send(&request);
    let answer = stage.answer_to(&mut second);
    assert_eq!((answer.status, &answer.error()["code"]), (503, &"overloaded".into()));
    assert_eq!(reached(&stage, "holds_per_core_max"), 1);
    drop(first);
    assert_eq!(stage.ends(), [EndOutcome::Withdrawn]);
    let (_third, _) = pending(&mut stage);
}

#[test]
fn a_drain_ends_what_waits_and_leaves_its_approval() {
    let mut stage = Stage::for_holds();
    let (mut caller, _) = pending(&mut stage);
    stage.core.node.draining.store(true, Ordering::Relaxed);
    let core = std::rc::Rc::clone(&stage.core);
    let drained = async {
        let (answer, ()) = futures_util::join!(caller.read_to_end(), crate::node::drain(core));
        answer.unwrap()
    };
    let answer = super::stage::Answer::parse(&stage.simulation.run_until(drained).unwrap());
    assert_eq!((answer.status, &answer.error()["code"]), (503, &"draining".into()));
    assert!(stage.simulation.now() < Duration::from_secs(2));
    assert_eq!(stage.ends(), [EndOutcome::HoldOver]);
}

#[test]
fn a_token_that_ends_while_its_request_waits_ends_it() {
    let mut stage = Stage::for_holds();
    let request = scale(&stage);
    let mut caller = stage.send(&request);
    let question = stage.question();
    stage.pending_for(&question, 3_600_000, false);
    // Ten minutes, and half a minute of leeway.
    stage.pass(Duration::from_secs(631));
    assert_eq!(stage.answer_to(&mut caller).status, 401);
    assert_eq!(stage.ends(), [EndOutcome::HoldOver]);
}

#[test]
fn a_decision_that_overtakes_the_answer_is_not_missed() {
    let mut stage = Stage::for_holds();
    let request = scale(&stage);
    let _caller = stage.send(&request);
    let question = stage.question();
    // Decided before this core knows which approval it waits for.
    stage.tell(vec![LiveEvent::Approval { id: "apr-1".into() }]);
    assert!(stage.mail().is_none());
    stage.pending(&question);
    assert_eq!(stage.question().body, question.body);

    // And while the question is out again.
    stage.tell(vec![LiveEvent::Approval { id: "apr-1".into() }]);
    stage.simulation.advance(Duration::from_millis(1));
    stage.pending(&question);
    let again = stage.question();
    stage.pending(&again);
    assert!(stage.mail().is_none(), "what is older than the question is no news");
}

#[test]
fn a_control_plane_that_starts_anew_is_asked_again() {
    let mut stage = Stage::for_holds();
    let (_caller, question) = pending(&mut stage);
    stage.tell_all(Vec::new());
    assert_eq!(stage.question().body, question.body);
}

#[test]
fn a_policy_that_denies_ends_what_waits_and_one_that_allows_lets_it_go() {
    let mut stage = Stage::for_holds();
    let (mut caller, _) = pending(&mut stage);
    stage.enforce(DOCUMENTS);
    assert_eq!(stage.answer_to(&mut caller).error()["code"], "denied");
    assert_eq!(stage.ends(), [EndOutcome::HoldOver]);

    stage.enforce(&documents());
    let (caller, _) = pending(&mut stage);
    stage.enforce(&DOCUMENTS.replace("list, embed]", "list, embed, adapter.scale]"));
    let (_server, head) = stage.server();
    assert!(head.starts_with("POST /lora-adapters"), "{head}");
    assert_eq!(stage.ends(), [EndOutcome::HoldOver], "nobody needs to answer any more");
    drop(caller);
}

#[test]
fn a_policy_that_wants_more_is_asked_about_and_the_same_one_is_not() {
    let mut stage = Stage::for_holds();
    let (_caller, question) = pending(&mut stage);
    stage.enforce(&documents());
    assert!(stage.mail().is_none(), "the same rules are wanted");
    let more = documents().replace(
        "---\nkind: rule\nname: scaling",
        "---\nkind: rule\nname: also-security\neffect: approve\nsubjects: [{groups: [engineers]}]\n\
         operations: [\"adapter.*\"]\napproval: {reviewers: [{groups: [security]}]}\n\
         ---\nkind: rule\nname: scaling",
    );
    stage.enforce(&more);
    let again = stage.question();
    assert_eq!(Stage::asked(&question).position.version, 1);
    assert_eq!(Stage::asked(&again).position.version, 3);
    assert_eq!(Stage::asked(&again).digest, Stage::asked(&question).digest);
    // A grant for one of two rules does not do.
    stage.grant(&again);
    assert!(!stage.reached_upstream());
    stage.simulation.advance(Duration::from_millis(200));
    let third = stage.question();
    let both = go(&stage, &[RULE, "also-security"]);
    stage.answer(&third, HoldAnswer::Go(both));
    assert!(stage.reached_upstream());
}

#[test]
fn a_stale_policy_is_waited_for_and_decided_again_once() {
    let mut stage = Stage::for_holds();
    let request = scale(&stage);
    let mut caller = stage.send(&request);
    let question = stage.question();
    stage.refuse(&question, RefusedCode::PolicyStale);
    assert!(stage.mail().is_none());
    stage.enforce(&documents());
    let again = stage.question();
    assert_eq!(Stage::asked(&again).position.version, 2);
    stage.refuse(&again, RefusedCode::PolicyStale);
    let answer = stage.answer_to(&mut caller);
    assert_eq!((answer.status, &answer.error()["code"]), (503, &"policy_stale".into()));

    let mut caller = stage.send(&request);
    let question = stage.question();
    stage.refuse(&question, RefusedCode::PolicyStale);
    stage.pass(Duration::from_secs(5));
    assert_eq!(stage.answer_to(&mut caller).error()["code"], "policy_stale");
}

#[test]
fn a_connection_that_changed_while_its_request_waited_gets_nothing() {
    let mut stage = Stage::for_holds();
    let (mut caller, _) = pending(&mut stage);
    stage.enforce(&documents().replace("127.0.0.1:8080", "127.0.0.1:8081"));
    let question = stage.decided();
    stage.grant(&question);
    assert_eq!(stage.answer_to(&mut caller).error()["code"], "policy_stale");
    assert_eq!(stage.ends(), [EndOutcome::NothingSent]);
    assert!(!stage.reached_upstream());
}

#[test]
fn a_grant_that_cannot_be_used_because_nobody_listens_is_given_back() {
    let mut stage = Stage::holding(&documents().replace(":8080", ":8081"), "{}");
    let request = scale(&stage);
    let mut caller = stage.send(&request);
    let question = stage.question();
    stage.grant(&question);
    assert_eq!(stage.answer_to(&mut caller).status, 502);
    assert_eq!(stage.ends(), [EndOutcome::NothingSent]);
}

#[test]
fn a_grant_whose_credential_does_not_come_is_given_back() {
    let mut stage = Stage::for_holds();
    stage.core.node.leases.store(Arc::default());
    let request = scale(&stage);
    let mut caller = stage.send(&request);
    let question = stage.question();
    stage.grant(&question);
    let answer = stage.answer_to(&mut caller);
    assert_eq!(answer.error()["code"], "credential_unavailable");
    assert_eq!(stage.ends(), [EndOutcome::NothingSent]);
}

#[test]
fn open_sessions_are_told_when_they_changed_with_what_they_wait_for() {
    let mut stage = Stage::for_holds();
    let (caller, question) = pending(&mut stage);
    stage.letter(Letter::Sessions);
    let Some(crate::letters::DeskMail::Sessions { core: 0, sessions, open: 1 }) = stage.mail()
    else {
        panic!("no sessions")
    };
    assert_eq!(sessions[0].session, question.session.as_str());
    assert_eq!(sessions[0].approval.as_deref(), Some("apr-1"));
    assert_eq!((sessions[0].user.as_str(), sessions[0].rule.as_deref()), ("ann", Some(RULE)));
    stage.letter(Letter::Sessions);
    assert!(stage.mail().is_none(), "nothing changed");
    drop(caller);
    stage.ends();
    stage.letter(Letter::Sessions);
    let told = stage.mail();
    assert!(matches!(told, Some(crate::letters::DeskMail::Sessions { open: 0, .. })), "{told:?}");
}
