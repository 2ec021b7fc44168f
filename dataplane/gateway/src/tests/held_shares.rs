//! What one caller can take of a core by requests that are held; and what a core knows of
//! revocations before anybody has told it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use penstock_config::hold::{EndOutcome, LiveEvent};
use penstock_reactor::memory::Peer;
use penstock_reactor::network::Network as _;

use super::desk::{documents, documents_with_chat};
use super::limits::reached;
use super::stage::{Stage, get, post};
use crate::core::{Core, Node};
use crate::counters::Counters;
use crate::live::{LiveChange, LiveState};

/// Buffers of which one identity may keep 512 KiB.
const LIMITS: &str = "{buffer_bytes_per_core_max: 8388608}";

/// Two of them are within that share and three are not.
const BODY_BYTES: usize = 200 * 1024;

/// A request that is held, with a body of that size that was read for the decision.
fn large(stage: &Stage, user: &str) -> String {
    let body = format!(r#"[{{"id":0,"scale":0.5}}]{}"#, " ".repeat(BODY_BYTES));
    post("/llama/lora-adapters", &stage.token(user, &["engineers"]), &body)
}

fn held(stage: &mut Stage, request: &str) -> Peer {
    let caller = stage.send(request);
    let question = stage.question();
    stage.pending(&question);
    caller
}

#[test]
fn one_caller_with_large_bodies_can_not_use_up_the_buffers_of_a_core() {
    let mut stage = Stage::holding(&documents(), LIMITS);
    let request = large(&stage, "ann");
    let mut callers = vec![held(&mut stage, &request), held(&mut stage, &request)];
    assert_eq!(stage.core.counters.holds_open.read(), 2);
    for _ in 0..40 {
        let mut caller = held(&mut stage, &request);
        let answer = stage.answer_to(&mut caller);
        assert_eq!((answer.status, &answer.error()["code"]), (403, &"approval_pending".into()));
        assert_eq!(answer.error()["penstock"]["approval"], "apr-1");
        assert_eq!(answer.error()["penstock"]["url"], "https://penstock/approvals/apr-1");
        assert_eq!(stage.ends(), [EndOutcome::HoldOver]);
        callers.push(caller);
    }
    assert_eq!(reached(&stage, "buffer_bytes_per_core_max"), 40);
    assert!(!stage.core.uses_more_than(25), "{:?}", stage.network.pool());
    // A small one of hers, and a large one of somebody else, wait as before.
    let small = post("/llama/lora-adapters", &stage.token("ann", &["engineers"]), "[]");
    callers.push(held(&mut stage, &small));
    let other = large(&stage, "bob");
    callers.push(held(&mut stage, &other));
    assert_eq!(stage.core.counters.holds_open.read(), 4);
}

#[test]
fn what_was_asked_about_once_goes_up_at_once_when_it_is_approved() {
    let mut stage = Stage::holding(&documents(), LIMITS);
    let request = large(&stage, "ann");
    let _waiting = [held(&mut stage, &request), held(&mut stage, &request)];
    let _caller = stage.send(&request);
    let question = stage.question();
    stage.grant(&question);
    let (_server, head) = stage.server();
    assert!(head.starts_with("POST /lora-adapters"), "{head}");
}

#[test]
fn bodies_whose_questions_are_out_count_and_beyond_both_shares_are_503() {
    let mut stage = Stage::holding(&documents(), LIMITS);
    let request = large(&stage, "ann");
    let _out: Vec<_> = (0..4).map(|_| stage.send(&request)).collect();
    let mut fifth = stage.send(&request);
    let answer = stage.answer_to(&mut fifth);
    assert_eq!((answer.status, &answer.error()["code"]), (503, &"overloaded".into()));
    assert_eq!(reached(&stage, "buffer_bytes_per_core_max"), 1);
    let other = large(&stage, "bob");
    let _other = stage.send(&other);
    stage.simulation.settle();
    assert_eq!(stage.core.counters.holds_open.read(), 5);
}

#[test]
fn a_body_that_is_collected_for_a_hold_counts_while_it_comes() {
    let mut stage = Stage::holding(&documents(), LIMITS);
    let token = stage.token("ann", &["engineers"]);
    let begun = format!(
        "POST /llama/upload HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n{}",
        BODY_BYTES + 1,
        "x".repeat(BODY_BYTES)
    );
    let callers: Vec<_> = (0..4).map(|_| stage.send(&begun)).collect();
    stage.simulation.settle();
    assert_eq!(stage.core.counters.holds_open.read(), 4);
    let mut fifth = stage.send(&begun);
    let answer = stage.answer_to(&mut fifth);
    assert_eq!((answer.status, &answer.error()["code"]), (503, &"overloaded".into()));
    drop(callers);
    stage.simulation.settle();
    let mut sixth = stage.send(&begun);
    stage.simulation.run_until(sixth.write(b"x")).unwrap().unwrap();
    let question = stage.question();
    stage.pending(&question);
    assert_eq!(stage.core.counters.holds_open.read(), 1);
}

#[test]
fn bytes_that_a_waiting_caller_sends_ahead_count_and_end_what_has_no_room_for_them() {
    let mut stage = Stage::holding(&documents(), "{buffer_bytes_per_core_max: 1048576}");
    // A share of 64 KiB: 50 KiB wait, and a block more does not.
    let body = format!("[]{}", " ".repeat(50 * 1024));
    let request = post("/llama/lora-adapters", &stage.token("ann", &["engineers"]), &body);
    let mut caller = held(&mut stage, &request);
    assert_eq!(stage.core.counters.holds_open.read(), 1);
    stage.simulation.run_until(caller.write(b"GET / HTTP/1.1\r\n")).unwrap().unwrap();
    let answer = stage.answer_to(&mut caller);
    assert_eq!((answer.status, &answer.error()["code"]), (403, &"approval_pending".into()));
    assert_eq!(stage.ends(), [EndOutcome::HoldOver]);
}

#[test]
fn one_identity_holds_a_thousand_requests_and_no_more_where_others_need_places() {
    let mut stage = Stage::holding(&documents(), "{holds_per_core_max: 1200}");
    let request = |stage: &Stage, user: &str| {
        post("/llama/lora-adapters", &stage.token(user, &["engineers"]), "[]")
    };
    let ann = request(&stage, "ann");
    let callers: Vec<_> = (0..1_000).map(|_| held(&mut stage, &ann)).collect();
    assert_eq!(stage.core.counters.holds_open.read(), 1_000);
    let mut one_more = stage.send(&ann);
    let answer = stage.answer_to(&mut one_more);
    assert_eq!((answer.status, &answer.error()["code"]), (503, &"overloaded".into()));
    assert_eq!(reached(&stage, "holds_per_core_max"), 1);
    let bob = request(&stage, "bob");
    let _other = held(&mut stage, &bob);
    drop(callers);
    // The desk takes some of them at a time.
    let mut told = 0;
    while told < 1_000 {
        stage.tick();
        let ends = stage.ends();
        assert!(!ends.is_empty(), "only {told} are told");
        told += ends.len();
    }
    let _again = held(&mut stage, &ann);
}

#[test]
fn a_held_session_that_is_killed_or_revoked_is_withdrawn() {
    for (case, status) in [(0, 403), (1, 401), (2, 401)] {
        let mut stage = Stage::for_holds();
        let token = stage.token("ann", &["engineers"]);
        let request = post("/llama/lora-adapters", &token, "[]");
        let mut caller = stage.send(&request);
        let question = stage.question();
        stage.pending(&question);
        let event = match case {
            0 => LiveEvent::SessionKilled { session: question.session.as_str().to_owned() },
            1 => {
                let (issuer, subject) = ("company".into(), "ann".into());
                let issued_ms_max = stage.core.wall_ms();
                LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max }
            }
            _ => {
                let id = Some(("company".into(), "jti-ann".into()));
                LiveEvent::TokenRevoked { sha256: None, id }
            }
        };
        stage.tell(vec![event]);
        assert_eq!(stage.answer_to(&mut caller).status, status, "case {case}");
        assert_eq!(stage.ends(), [EndOutcome::Withdrawn], "case {case}");
        assert!(!stage.reached_upstream());
    }
}

#[test]
fn while_what_was_revoked_is_not_known_nothing_goes() {
    let mut stage = Stage::holding(&documents_with_chat(), "{}");
    let request = get("/llama/slots", &stage.token("ann", &["engineers"]));
    stage.core.node.revocations_unknown.store(true, Ordering::Release);
    let answer = stage.refusal(request.as_bytes());
    assert_eq!((answer.status, &answer.error()["code"]), (503, &"policy_stale".into()));
    stage.core.node.revocations_unknown.store(false, Ordering::Release);
    assert_eq!(stage.refusal(request.as_bytes()).status, 403);
}

#[test]
fn a_core_knows_what_was_revoked_before_the_control_plane_says_anything() {
    let stage = Stage::for_holds();
    let (issuer, subject) = ("company".into(), "ann".into());
    let event = LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max: 5_000 };
    let live = penstock_config::hold::Live {
        run: "one".into(),
        sequence: 1,
        full: true,
        events: vec![event],
        server_ms: 1,
    };
    let before = LiveState::default();
    before.take(&LiveChange::new(1, stage.core.boot(), live).unwrap(), stage.core.boot());
    let mut node = Node::new(stage.core.node.settings.clone());
    node.revocations = before.known();
    let (log, _log) = crossbeam_channel::bounded(1);
    let (reports, _reports) = tokio::sync::mpsc::channel(1);
    let (desk, _desk) = tokio::sync::mpsc::channel(1);
    let counters = Arc::new(Counters::default());
    let network = stage.network.clone();
    let core = Rc::new(Core::new(network, Arc::new(node), 0, counters, log, reports, desk));
    assert_eq!(core.live.revocations(), 1);
    assert_eq!(core.counters.live_revocations.read(), 1);
    assert_eq!(core.live.known(), before.known());
}
