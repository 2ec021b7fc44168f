//! `stream: commit`: the caller is told 200 before anybody decided.

use std::time::Duration;

use penstock_config::hold::{EndOutcome, LiveEvent, RefusedCode};
use penstock_reactor::memory::Peer;

use super::desk::documents_with_chat;
use super::masked::{MASK, STOP, chunk, delta, text_of};
use super::stage::{Stage, post};
use super::streams::dechunk;

const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

const BODY: &str = r#"{"model":"m","messages":[],"stream":true}"#;

/// A request for this that was told 200 after a while, and what it was told.
fn committed(stage: &mut Stage) -> Peer {
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.send(&post("/llama/v1/chat/completions", &token, BODY));
    let question = stage.question();
    stage.pending_for(&question, 60_000, true);
    stage.pass(Duration::from_secs(14));
    assert_eq!(caller.bytes_sent_by_other(), 0, "not a byte yet");
    stage.pass(Duration::from_secs(1));
    let told = stage.simulation.run_until(caller.read_until(b":\n\n\r\n")).unwrap().unwrap();
    let told = String::from_utf8(told).unwrap().to_ascii_lowercase();
    assert!(told.starts_with("http/1.1 200 ok\r\n"), "{told}");
    assert!(told.contains("content-type: text/event-stream\r\n"), "{told}");
    assert!(told.contains("penstock-session: "), "{told}");
    assert!(told.ends_with("\r\n\r\n3\r\n:\n\n\r\n"), "{told}");
    caller
}

fn stage() -> Stage {
    Stage::holding(&documents_with_chat(), "{stream_comment_ms: 10000}")
}

fn rest(stage: &mut Stage, caller: &mut Peer) -> String {
    let rest = stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap();
    String::from_utf8(rest).unwrap()
}

#[test]
fn a_caller_that_waits_is_told_200_and_hears_comments_until_its_stream_begins() {
    let mut stage = stage();
    let mut caller = committed(&mut stage);
    stage.pass(Duration::from_secs(10));
    let comment = stage.simulation.run_until(caller.read_until(b":\n\n\r\n")).unwrap().unwrap();
    assert_eq!(comment, b"3\r\n:\n\n\r\n");
    let question = stage.decided();
    stage.grant(&question);
    let (mut server, _) = stage.server();
    let streamed = async {
        server.read_until(BODY.as_bytes()).await.unwrap();
        server.write(STREAM).await.unwrap();
        server.write(b"c\r\n\xef\xbb\xbfdata: 1\n\n\r\n0\r\n\r\n").await.unwrap();
        caller.read_until(b"0\r\n\r\n").await.unwrap()
    };
    let got = stage.simulation.run_until(streamed).unwrap();
    assert_eq!(got, b"9\r\ndata: 1\n\n\r\n0\r\n\r\n", "no second head, and no mark within");
    assert_eq!(stage.ends(), [EndOutcome::Ended]);
    let line = &stage.log()[0];
    assert_eq!((&line["status"], &line["told"]), (&200.into(), &200.into()));
}

#[test]
fn a_stream_that_was_announced_early_is_masked_as_any() {
    let connection = "protocol: llamacpp\n";
    let documents = documents_with_chat().replace(connection, "protocol: llamacpp\nmask: pii\n");
    let documents = format!("{documents}{}\n", MASK.trim_end());
    let mut stage = Stage::holding(&documents, "{stream_comment_ms: 10000}");
    let mut caller = committed(&mut stage);
    let question = stage.decided();
    stage.grant(&question);
    let (mut server, _) = stage.server();
    let events = delta("I am EMP-") + &delta("123456.") + STOP;
    let streamed = async {
        server.read_until(BODY.as_bytes()).await.unwrap();
        server.write(STREAM).await.unwrap();
        server.write(b"3\r\n\xef\xbb\xbf\r\n").await.unwrap();
        server.write(&chunk(&events)).await.unwrap();
        server.write(b"0\r\n\r\n").await.unwrap();
        caller.read_until(b"0\r\n\r\n").await.unwrap()
    };
    let got = stage.simulation.run_until(streamed).unwrap();
    let (data, ended) = dechunk(&[b"\r\n\r\n", got.as_slice()].concat());
    assert!(ended && data.starts_with("data: "), "{data}");
    assert_eq!(text_of(&data), "I am [EMPLOYEE_ID].");
}

#[test]
fn a_denial_after_200_is_an_error_event_and_both_statuses_are_recorded() {
    let mut stage = stage();
    let mut caller = committed(&mut stage);
    let question = stage.decided();
    stage.refuse(&question, RefusedCode::ApprovalDenied);
    let rest = rest(&mut stage, &mut caller);
    assert!(rest.contains("\"code\":\"approval_denied\"") && rest.contains("apr-1"), "{rest}");
    assert!(rest.ends_with("\n\n\r\n0\r\n\r\n") && !rest.contains("HTTP/1.1"), "{rest}");
    let line = &stage.log()[0];
    assert_eq!((&line["status"], &line["told"]), (&403.into(), &200.into()));
    assert_eq!(line["reason"], "approval_denied");
}

#[test]
fn the_end_of_the_hold_after_200_is_an_error_event() {
    let mut stage = stage();
    let mut caller = committed(&mut stage);
    stage.pass(Duration::from_secs(45));
    let rest = rest(&mut stage, &mut caller);
    assert!(rest.contains("\"code\":\"approval_pending\""), "{rest}");
    assert_eq!(stage.ends(), [EndOutcome::HoldOver]);
}

#[test]
fn only_the_stream_that_was_announced_may_follow_200() {
    for answer in [
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\
         Content-Length: 2\r\n\r\nab",
    ] {
        let mut stage = stage();
        let mut caller = committed(&mut stage);
        let question = stage.decided();
        stage.grant(&question);
        let (mut server, _) = stage.server();
        let answered = async {
            server.read_until(BODY.as_bytes()).await.unwrap();
            server.write(answer.as_bytes()).await.unwrap();
        };
        stage.simulation.run_until(answered).unwrap();
        let rest = rest(&mut stage, &mut caller);
        assert!(rest.contains("\"code\":\"upstream_answer\""), "{rest}");
        assert!(rest.ends_with("0\r\n\r\n") && !rest.contains("HTTP/1.1"), "{rest}");
        let line = &stage.log()[0];
        assert_eq!((&line["status"], &line["told"]), (&502.into(), &200.into()));
        assert_eq!(stage.ends(), [EndOutcome::Ended]);
    }
}

#[test]
fn a_model_server_that_breaks_off_after_200_gives_an_error_event() {
    let mut stage = stage();
    let mut caller = committed(&mut stage);
    let question = stage.decided();
    stage.grant(&question);
    let (server, _) = stage.server();
    drop(server);
    let rest = rest(&mut stage, &mut caller);
    assert!(rest.contains("\"code\":\"upstream_reset\"") && rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[test]
fn a_request_that_asks_for_no_stream_or_for_lines_of_json_waits_in_silence() {
    let ollama = documents_with_chat()
        .replace("protocol: llamacpp\nversion: b11434", "protocol: ollama\nversion: \"0.22\"");
    for (documents, path, body) in [
        (documents_with_chat(), "/llama/v1/chat/completions", r#"{"model":"m","messages":[]}"#),
        (documents_with_chat(), "/llama/lora-adapters", r#"{"stream":true}"#),
        (ollama, "/llama/api/chat", r#"{"model":"m","messages":[{"role":"user"}]}"#),
    ] {
        let mut stage = Stage::holding(&documents, "{}");
        let token = stage.token("ann", &["engineers"]);
        let mut caller = stage.send(&post(path, &token, body));
        let question = stage.question();
        stage.pending_for(&question, 40_000, true);
        stage.pass(Duration::from_secs(39));
        assert_eq!(caller.bytes_sent_by_other(), 0, "{path}");
        stage.pass(Duration::from_secs(1));
        assert_eq!(stage.answer_to(&mut caller).status, 403, "{path}");
    }
}

#[test]
fn a_caller_that_leaves_after_200_is_withdrawn_and_one_that_is_revoked_hears_it() {
    let mut stage = stage();
    let caller = committed(&mut stage);
    drop(caller);
    assert_eq!(stage.ends(), [EndOutcome::Withdrawn]);
    let mut caller = committed(&mut stage);
    let (issuer, subject) = ("company".into(), "ann".into());
    let issued_ms_max = stage.core.wall_ms();
    stage.tell(vec![LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max }]);
    assert!(rest(&mut stage, &mut caller).contains("\"code\":\"unauthenticated\""));
}
