//! What runs under grants, and what ends it: time, revocation, silence.

use std::time::Duration;

use penstock_config::digest::{hex, sha256};
use penstock_config::hold::{EndOutcome, HoldAnswer, LiveEvent};
use penstock_reactor::memory::{Link, Peer};
use penstock_reactor::network::Network as _;

use super::desk::{RULE, documents, documents_with_chat, go};
use super::stage::{DOCUMENTS, Stage, chat, get, post};

const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A chat under a grant whose stream has begun, with one event at the caller; it was asked with a
/// token that says this.
fn stream(stage: &mut Stage, link: Link) -> (Peer, Peer, String) {
    stream_for(stage, link, 3_600_000)
}

/// The same with a grant of so many milliseconds.
fn stream_for(stage: &mut Stage, link: Link, left_ms: u64) -> (Peer, Peer, String) {
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(link);
    let request = chat(&token);
    stage.simulation.run_until(caller.write(request.as_bytes())).unwrap().unwrap();
    let question = stage.question();
    let mut granted = go(stage, &[RULE]);
    (granted.left_ms, granted.ends_ms) = (left_ms, granted.server_ms + left_ms);
    stage.answer(&question, HoldAnswer::Go(granted));
    let (mut server, _) = stage.server();
    let begun = async {
        server.read_until(b"}]}").await.unwrap();
        server.write(STREAM).await.unwrap();
        server.write(b"9\r\ndata: 1\n\n\r\n").await.unwrap();
        caller.read_until(b"data: 1\n\n\r\n").await.unwrap();
    };
    stage.simulation.run_until(begun).unwrap();
    (caller, server, question.session.as_str().to_owned())
}

fn streaming(left_ms: u64) -> (Stage, Peer, Peer, String) {
    let mut stage = Stage::holding(&documents_with_chat(), "{}");
    let (caller, server, session) = stream_for(&mut stage, Link::default(), left_ms);
    (stage, caller, server, session)
}

/// The rest of a stream that was cut: an error event of this code, and a proper end.
fn assert_cut(stage: &mut Stage, caller: &mut Peer, code: &str) {
    let rest = stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains(&format!("\"code\":\"{code}\"")), "{rest}");
    assert!(rest.ends_with("0\r\n\r\n") && !rest.contains("[DONE]"), "{rest}");
}

#[test]
fn a_stream_ends_with_its_grant_by_an_error_event() {
    let (mut stage, mut caller, _server, _) = streaming(5_000);
    stage.pass(Duration::from_secs(4));
    assert_eq!(stage.core.counters.exchanges_open.read(), 1);
    assert_cut(&mut stage, &mut caller, "grant_ended");
    assert_eq!(stage.simulation.now(), Duration::from_secs(5));
    assert_eq!(stage.ends(), [EndOutcome::Ended]);
    assert_eq!(stage.log()[0]["reason"], "grant_ended");
}

#[test]
fn a_grant_that_ended_by_the_wall_clock_or_while_the_machine_slept_is_cut_at_the_next_look() {
    for slept in [false, true] {
        let (mut stage, mut caller, _server, _) = streaming(60_000);
        if slept {
            stage.simulation.suspend(Duration::from_secs(61));
            stage.tell(Vec::new());
        } else {
            let wall = stage.core.network.wall() + Duration::from_secs(61);
            stage.simulation.set_wall(wall);
        }
        stage.tick();
        assert_cut(&mut stage, &mut caller, "grant_ended");
    }
}

#[test]
fn a_grant_that_is_over_when_it_comes_is_given_back() {
    let mut stage = Stage::holding(&documents_with_chat(), "{}");
    let request = chat(&stage.token("ann", &["engineers"]));
    let mut caller = stage.send(&request);
    let question = stage.question();
    let mut granted = go(&stage, &[RULE]);
    granted.left_ms = 0;
    stage.answer(&question, HoldAnswer::Go(granted));
    assert_eq!(stage.answer_to(&mut caller).error()["code"], "grant_ended");
    assert_eq!(stage.ends(), [EndOutcome::NothingSent]);
    assert!(!stage.reached_upstream());
}

#[test]
fn a_revoked_grant_identity_token_or_session_cuts_in_mid_stream_also_a_stalled_reader() {
    for stalled in [false, true] {
        for case in 0..5 {
            let mut stage = Stage::holding(&documents_with_chat(), "{}");
            let mut link = Link::default();
            if stalled {
                link.outbound.capacity_bytes = 512;
            }
            let token = stage.token("ann", &["engineers"]);
            let (mut caller, mut server, session) = stream(&mut stage, link);
            if stalled {
                let event = format!("data: {}\n\n", "x".repeat(4_000));
                let event = format!("{:x}\r\n{event}\r\n", event.len());
                let written = server.write(event.as_bytes());
                stage.simulation.run_until(written).unwrap().unwrap();
                stage.simulation.settle();
            }
            let (event, code) = match case {
                0 => (LiveEvent::GrantEnded { id: "grt-1".into() }, "grant_ended"),
                1 => {
                    let (issuer, subject) = ("company".into(), "ann".into());
                    let issued_ms_max = stage.core.wall_ms();
                    (
                        LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max },
                        "unauthenticated",
                    )
                }
                2 => {
                    let sha256 = Some(hex(&sha256(token.as_bytes())));
                    (LiveEvent::TokenRevoked { sha256, id: None }, "unauthenticated")
                }
                3 => {
                    let id = Some(("company".into(), "jti-ann".into()));
                    (LiveEvent::TokenRevoked { sha256: None, id }, "unauthenticated")
                }
                _ => (LiveEvent::SessionKilled { session }, "session_killed"),
            };
            let before = stage.simulation.now();
            stage.tell(vec![event]);
            if stalled {
                stage.simulation.advance(Duration::from_millis(900));
                assert_eq!(stage.core.counters.exchanges_open.read(), 0, "case {case}");
            } else {
                assert_cut(&mut stage, &mut caller, code);
                assert_eq!(stage.simulation.now(), before, "at once");
            }
            assert_eq!(stage.ends(), [EndOutcome::Ended]);
            assert_eq!(stage.core.counters.live_cuts.read(), 1);
        }
    }
}

#[test]
fn what_concerns_others_cuts_nobody() {
    let (mut stage, mut caller, mut server, _) = streaming(3_600_000);
    let (issuer, subject) = ("company".to_owned(), "ann".to_owned());
    stage.tell(vec![
        LiveEvent::GrantEnded { id: "grt-2".into() },
        LiveEvent::IdentityRevoked {
            issuer: issuer.clone(),
            subject: "bob".into(),
            issued_ms_max: u64::MAX,
        },
        LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max: 1 },
        LiveEvent::SessionKilled { session: "0".repeat(32) },
        LiveEvent::Approval { id: "apr-1".into() },
    ]);
    let goes_on = async {
        server.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n").await.unwrap();
        caller.read_until(b"data: 2\n\n\r\n").await.unwrap()
    };
    stage.simulation.run_until(goes_on).unwrap();
    assert_eq!(stage.ends(), [EndOutcome::Ended]);
}

#[test]
fn a_revoked_identity_and_token_are_refused_also_where_they_were_verified_before() {
    let mut stage = Stage::for_holds();
    let request = |stage: &Stage| get("/llama/slots", &stage.token("ann", &["engineers"]));
    let before = request(&stage);
    assert_eq!(stage.refusal(before.as_bytes()).status, 403, "known, and denied");
    let (issuer, subject) = ("company".into(), "ann".into());
    let issued_ms_max = stage.core.wall_ms();
    stage.tell(vec![LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max }]);
    assert_eq!(stage.refusal(before.as_bytes()).status, 401);
    assert_eq!(stage.core.counters.live_revocations.read(), 1);
    let log = stage.log();
    assert_eq!(log[1]["detail"], "revoked");
    // A token that was issued later holds.
    stage.simulation.advance(Duration::from_secs(1));
    let after = request(&stage);
    assert_eq!(stage.refusal(after.as_bytes()).status, 403);
}

#[test]
fn a_token_that_is_revoked_while_its_body_comes_is_refused_when_the_body_is_there() {
    let mut stage = Stage::for_holds();
    let token = stage.token("ann", &["engineers"]);
    let request = chat(&token);
    let (begin, end) = request.split_at(request.len() - 3);
    let mut caller = stage.send(begin);
    stage.simulation.settle();
    let sha256 = Some(hex(&sha256(token.as_bytes())));
    stage.tell(vec![LiveEvent::TokenRevoked { sha256, id: None }]);
    stage.simulation.run_until(caller.write(end.as_bytes())).unwrap().unwrap();
    assert_eq!(stage.answer_to(&mut caller).status, 401);
    assert!(!stage.reached_upstream());
}

#[test]
fn a_grant_that_ends_while_go_is_on_its_way_is_asked_about_again() {
    let mut stage = Stage::for_holds();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.send(&post("/llama/lora-adapters", &token, "[]"));
    let question = stage.question();
    stage.tell(vec![LiveEvent::GrantEnded { id: "grt-1".into() }]);
    stage.grant(&question);
    assert!(!stage.reached_upstream());
    stage.simulation.advance(Duration::from_millis(200));
    let again = stage.question();
    stage.refuse(&again, penstock_config::hold::RefusedCode::ApprovalSpent);
    assert_eq!(stage.answer_to(&mut caller).error()["code"], "approval_spent");
    assert_eq!(stage.ends(), [EndOutcome::NothingSent]);
}

#[test]
fn without_a_word_of_the_control_plane_what_is_granted_is_cut_and_what_is_allowed_goes_on() {
    let (mut stage, mut caller, _server, _) = streaming(3_600_000);
    stage.pass(Duration::from_secs(20));
    stage.simulation.advance(Duration::from_secs(9));
    stage.tick();
    assert_eq!(stage.core.counters.exchanges_open.read(), 1);
    stage.simulation.advance(Duration::from_millis(1_001));
    stage.tick();
    assert_cut(&mut stage, &mut caller, "approval_unavailable");

    let documents = documents().replace("[adapter.scale, unknown]", "[adapter.scale]");
    let mut stage = Stage::holding(&documents, "{}");
    let request = chat(&stage.token("ann", &["engineers"]));
    let _caller = stage.send(&request);
    let _server = stage.server();
    stage.simulation.advance(Duration::from_secs(60));
    stage.tick();
    assert_eq!(stage.core.counters.exchanges_open.read(), 1);
}

#[test]
fn a_machine_that_slept_has_not_heard_the_control_plane() {
    let (mut stage, mut caller, _server, _) = streaming(3_600_000);
    stage.simulation.suspend(Duration::from_secs(11));
    stage.tick();
    assert_cut(&mut stage, &mut caller, "approval_unavailable");
}

#[test]
fn a_whole_answer_cuts_what_runs_under_a_grant_that_it_lacks_and_keeps_a_younger_one() {
    let live = || LiveEvent::GrantLive {
        id: "grt-1".into(),
        connection: "llama".into(),
        ends_ms: u64::MAX,
    };
    let (mut stage, mut caller, _server, _) = streaming(3_600_000);
    stage.tell_all(vec![live()]);
    assert_eq!(stage.core.counters.exchanges_open.read(), 1);
    stage.tell_all(Vec::new());
    assert_cut(&mut stage, &mut caller, "grant_ended");
}

#[test]
fn a_new_policy_keeps_what_its_grants_cover_and_cuts_what_needs_another_one() {
    let (mut stage, mut caller, _server, _) = streaming(3_600_000);
    stage.enforce(&documents_with_chat());
    assert_eq!(stage.core.counters.exchanges_open.read(), 1);
    let more = documents_with_chat().replace(
        "---\nkind: rule\nname: scaling",
        "---\nkind: rule\nname: also-security\neffect: approve\nsubjects: [{groups: [engineers]}]\n\
         operations: [infer.chat]\napproval: {reviewers: [{groups: [security]}]}\n\
         ---\nkind: rule\nname: scaling",
    );
    stage.enforce(&more);
    assert_cut(&mut stage, &mut caller, "denied");

    // What was allowed and needs an approval now.
    let mut stage = Stage::holding(&documents(), "{}");
    let request = chat(&stage.token("ann", &["engineers"]));
    let mut caller = stage.send(&request);
    let (mut server, _) = stage.server();
    stage.simulation.run_until(server.write(STREAM)).unwrap().unwrap();
    stage.simulation.settle();
    stage.enforce(&documents_with_chat());
    let rest = stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("wants an approval") && rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[test]
fn a_token_cuts_what_runs_only_where_the_rule_says_so() {
    for ends in [true, false] {
        let documents = DOCUMENTS.replace(
            "operations: [\"infer.*\", list, embed]",
            &format!("operations: [\"infer.*\", list, embed]\nend_with_token: {ends}"),
        );
        let mut stage = Stage::with(1, Link::default(), &documents);
        let request = chat(&stage.token("ann", &["engineers"]));
        let mut caller = stage.send(&request);
        let (mut server, _) = stage.server();
        stage.simulation.run_until(server.write(STREAM)).unwrap().unwrap();
        let mut beat = |stage: &mut Stage| {
            stage.simulation.advance(Duration::from_secs(70));
            stage.simulation.run_until(server.write(b"9\r\ndata: 1\n\n\r\n")).unwrap().is_ok()
        };
        for _ in 0..8 {
            assert!(beat(&mut stage));
        }
        beat(&mut stage);
        if ends {
            assert_cut(&mut stage, &mut caller, "unauthenticated");
            assert_eq!(stage.log()[0]["reason"], "token_ended");
        } else {
            assert!(beat(&mut stage));
            assert_eq!(stage.core.counters.exchanges_open.read(), 1);
        }
    }
}
