//! Each limit of an exchange when it is reached: the answer, and its counter.

use std::path::Path;
use std::time::Duration;

use penstock_config::settings::DataplaneLimits;
use penstock_reactor::memory::{Link, Peer};

use super::stage::{Answer, DOCUMENTS, Stage, chat, get};
use crate::limits::Limit;
use crate::node::drain;
use crate::reason::Reason;

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// How often a limit was reached.
pub(super) fn reached(stage: &Stage, key: &str) -> u64 {
    let mut all = stage.core.counters.limits_reached();
    all.find(|(known, _)| *known == key).map(|(_, count)| count).unwrap()
}

pub(super) fn limited(limits: &str) -> Stage {
    Stage::limited(1, Link::default(), DOCUMENTS, limits)
}

fn models(stage: &Stage) -> String {
    get("/llama/v1/models", &stage.token("ann", &["engineers"]))
}

/// What a caller gets that sends this and stays, to the end of its connection.
fn answer_to(stage: &mut Stage, request: &str) -> (Answer, Duration) {
    let mut caller = stage.caller(Link::default());
    let begun = stage.simulation.now();
    let bytes = stage
        .simulation
        .run_until(async {
            caller.write(request.as_bytes()).await.unwrap();
            caller.read_to_end().await.unwrap()
        })
        .unwrap();
    (Answer::parse(&bytes), stage.simulation.now() - begun)
}

/// A chat whose stream has begun: caller and model server, with one event at the caller.
fn stream(stage: &mut Stage) -> (Peer, Peer) {
    let request = chat(&stage.token("ann", &["engineers"]));
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = stage;
    let server = simulation
        .run_until(async {
            caller.write(request.as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"}]}").await.unwrap();
            server.write(STREAM).await.unwrap();
            server.write(b"9\r\ndata: 1\n\n\r\n").await.unwrap();
            caller.read_until(b"data: 1\n\n\r\n").await.unwrap();
            server
        })
        .unwrap();
    (caller, server)
}

#[test]
fn a_head_beyond_its_bytes_is_431() {
    let mut stage = limited("{head_bytes_max: 512}");
    let request = models(&stage).replace("Host:", &format!("X: {}\r\nHost:", "x".repeat(600)));
    let answer = stage.refusal(request.as_bytes());
    assert_eq!((answer.status, reached(&stage, "head_bytes_max")), (431, 1));
}

#[test]
fn a_head_beyond_its_fields_is_431() {
    let mut stage = limited("{header_count_max: 8}");
    let request = models(&stage).replace("Host:", &format!("{}Host:", "X: y\r\n".repeat(8)));
    let answer = stage.refusal(request.as_bytes());
    assert_eq!((answer.status, reached(&stage, "header_count_max")), (431, 1));
}

#[test]
fn a_target_beyond_its_bytes_is_414() {
    let mut stage = limited("{target_bytes_max: 64}");
    let request = models(&stage).replace("/models", &format!("/{}", "m".repeat(64)));
    let answer = stage.refusal(request.as_bytes());
    assert_eq!((answer.status, reached(&stage, "target_bytes_max")), (414, 1));
}

#[test]
fn a_head_that_is_not_whole_in_time_is_408_and_a_silent_caller_is_closed() {
    let mut stage = limited("{head_ms_max: 3000}");
    let (answer, took) = answer_to(&mut stage, "GET / HTTP/1.1\r\n");
    assert_eq!((answer.status, took), (408, Duration::from_secs(3)));
    let (answer, took) = answer_to(&mut stage, "");
    assert_eq!((answer.status, took), (0, Duration::from_secs(3)));
    assert_eq!(reached(&stage, "head_ms_max"), 2);
}

#[test]
fn a_connection_that_is_idle_for_too_long_is_closed_in_silence() {
    let mut stage = limited("{keep_alive_ms_max: 5000}");
    let (answer, took) = answer_to(&mut stage, &get("/nowhere/x", "none"));
    assert_eq!(answer.status, 401);
    assert_eq!((took, reached(&stage, "keep_alive_ms_max")), (Duration::from_secs(5), 1));
}

#[test]
fn a_connection_too_many_closes_the_oldest_that_waits_and_the_next_one_another() {
    let mut stage = Stage::new();
    let mut waiting: Vec<_> = (0..2).map(|_| stage.caller(Link::default())).collect();
    for caller in &mut waiting {
        let asked = async {
            caller.write(get("/nowhere/x", "none").as_bytes()).await.unwrap();
            caller.read_until(b"\"}}").await.unwrap();
        };
        stage.simulation.run_until(asked).unwrap();
    }
    // Twice before any of them had its turn.
    stage.core.make_room();
    stage.core.make_room();
    for caller in &mut waiting {
        assert_eq!(stage.simulation.run_until(caller.read_to_end()).unwrap(), Ok(Vec::new()));
    }
    assert_eq!(reached(&stage, "connections_per_core_max"), 2);
}

#[test]
fn a_body_that_does_not_go_on_is_408() {
    let mut stage = limited("{body_gap_ms_max: 2000}");
    let request = chat(&stage.token("ann", &["engineers"]));
    let (answer, took) = answer_to(&mut stage, request.trim_end_matches('}'));
    assert_eq!((answer.status, took), (408, Duration::from_secs(2)));
    assert_eq!(reached(&stage, "body_gap_ms_max"), 1);
    assert!(!stage.reached_upstream());
}

#[test]
fn a_caller_that_does_not_read_for_too_long_is_dropped() {
    let mut stage = limited("{send_stall_ms_max: 2000}");
    let (caller, mut server) = stream(&mut stage);
    let event = format!("data: {}\n\n", "x".repeat(4_000));
    let event = format!("{:x}\r\n{event}\r\n", event.len());
    let until_it_breaks = async { while server.write(event.as_bytes()).await.is_ok() {} };
    stage.simulation.run_until(until_it_breaks).unwrap();
    assert_eq!(reached(&stage, "send_stall_ms_max"), 1);
    assert_eq!(stage.log()[0]["reason"], "client_stalled");
    drop(caller);
}

#[test]
fn a_model_server_that_takes_no_connection_in_time_is_504() {
    let slow = Link { connect_delay: Duration::from_secs(9), ..Link::default() };
    let mut stage = Stage::limited(1, slow, DOCUMENTS, "{connect_ms_max: 1000}");
    let request = models(&stage);
    let request = request.replace("Host:", "Connection: close\r\nHost:");
    let (answer, took) = answer_to(&mut stage, &request);
    assert_eq!((answer.status, took), (504, Duration::from_secs(1)));
    assert_eq!(reached(&stage, "connect_ms_max"), 1);
}

#[test]
fn a_model_server_that_does_not_answer_in_time_is_504() {
    let mut stage = limited("{first_byte_ms_max: 1000}");
    let request = models(&stage).replace("Host:", "Connection: close\r\nHost:");
    let (answer, took) = answer_to(&mut stage, &request);
    assert_eq!((answer.status, took), (504, Duration::from_secs(1)));
    assert_eq!(reached(&stage, "first_byte_ms_max"), 1);
}

#[test]
fn a_stream_that_falls_silent_is_cut_with_an_error_event() {
    let mut stage = limited("{stream_gap_ms_max: 1000}");
    let (mut caller, _server) = stream(&mut stage);
    let rest = stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("upstream_timeout") && rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(reached(&stage, "stream_gap_ms_max"), 1);
}

#[test]
fn a_stream_that_takes_longer_than_its_connection_allows_is_cut_with_an_error_event() {
    let documents = DOCUMENTS.replace("version:", "limits: {stream_ms_max: 4000}\nversion:");
    let mut stage = Stage::with(1, Link::default(), &documents);
    let (mut caller, _server) = stream(&mut stage);
    let rest = stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"));
    assert_eq!(stage.simulation.now(), Duration::from_secs(4));
    assert_eq!(reached(&stage, "stream_ms_max"), 1);
}

#[test]
fn a_body_beyond_what_its_connection_allows_is_413() {
    let documents = DOCUMENTS.replace("version:", "limits: {decision_bytes_max: 9}\nversion:");
    let mut stage = Stage::with(1, Link::default(), &documents);
    let request = chat(&stage.token("ann", &["engineers"]));
    assert_eq!(stage.refusal(request.as_bytes()).status, 413);
    assert_eq!(reached(&stage, "decision_bytes_max"), 1);

    let documents = DOCUMENTS
        .replace("version:", "limits: {decision_bytes_max: 9, body_bytes_max: 9}\nversion:")
        .replace("[\"infer.*\", list, embed]", "[infer.media]");
    stage.enforce(&documents);
    let request = request
        .replace("chat/completions", "audio/transcriptions")
        .replace("application/json", "multipart/form-data; boundary=x");
    assert_eq!(stage.refusal(request.as_bytes()).status, 413);
    assert_eq!(reached(&stage, "body_bytes_max"), 1);
    assert!(!stage.reached_upstream());
}

#[test]
fn an_address_has_so_many_connections_and_the_next_is_closed_at_once() {
    let mut stage = limited("{connections_per_address_max: 1}");
    let mut first = stage.caller(Link::default());
    stage.simulation.settle();
    let mut second = stage.caller(Link::default());
    let nothing = stage.simulation.run_until(second.read_to_end()).unwrap();
    assert!(nothing.is_err() || nothing == Ok(Vec::new()));
    assert_eq!(stage.simulation.now(), Duration::ZERO);
    assert_eq!(reached(&stage, "connections_per_address_max"), 1);
    let request = get("/nowhere/x", "none").replace("Host:", "Connection: close\r\nHost:");
    let answered = async {
        first.write(request.as_bytes()).await.unwrap();
        Answer::parse(&first.read_to_end().await.unwrap()).status
    };
    assert_eq!(stage.simulation.run_until(answered).unwrap(), 401, "the first one goes on");
    drop(first);
    stage.simulation.advance(Duration::from_secs(2));
    assert_eq!(answer_to(&mut stage, &request).0.status, 401, "a place is free again");
}

#[test]
fn a_connection_has_so_many_requests_and_then_says_that_it_closes() {
    let mut stage = limited("{requests_per_connection_max: 2}");
    let request = get("/nowhere/x", "none");
    let (first, _) = answer_to(&mut stage, &format!("{request}{request}{request}"));
    assert!(!first.head.contains("connection: close"));
    let all = String::from_utf8(first.body).unwrap().to_ascii_lowercase();
    assert_eq!(all.matches("http/1.1 401").count(), 1, "{all}");
    assert!(all.contains("connection: close"), "{all}");
    assert_eq!(reached(&stage, "requests_per_connection_max"), 1);
}

#[test]
fn an_upstream_connection_beyond_those_that_are_kept_is_closed() {
    let mut stage = limited("{upstream_idle_per_endpoint_max: 0}");
    let request = models(&stage);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    simulation
        .run_until(async {
            caller.write(request.as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"\r\n\r\n").await.unwrap();
            server.write(PLAIN).await.unwrap();
            caller.read_until(b"{}").await.unwrap();
            assert_eq!(server.read_to_end().await, Ok(Vec::new()));
        })
        .unwrap();
    assert_eq!(reached(&stage, "upstream_idle_per_endpoint_max"), 1);
}

#[test]
fn a_drain_cuts_what_is_left_at_its_limit_and_counts_it_once() {
    let mut stage = limited("{drain_ms_max: 3000}");
    let (mut caller, _server) = stream(&mut stage);
    stage.core.node.draining.store(true, std::sync::atomic::Ordering::Relaxed);
    stage.simulation.run_until(drain(std::rc::Rc::clone(&stage.core))).unwrap();
    assert!(stage.simulation.now() >= Duration::from_secs(3));
    let rest = stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap();
    assert!(String::from_utf8(rest).unwrap().contains("draining"));
    assert_eq!(reached(&stage, "drain_ms_max"), 1);
    assert_eq!(stage.log()[0]["reason"], Reason::Draining.label());
}

#[test]
fn a_silent_stream_of_events_gets_comments_between_two_of_them() {
    let mut stage = limited("{stream_comment_ms: 15000}");
    let (mut caller, mut server) = stream(&mut stage);
    let begun = stage.simulation.now();
    let comments = async {
        // Part of an event is held back: what the caller has is whole.
        server.write(b"6\r\ndata: \r\n").await.unwrap();
        assert_eq!(caller.read_until(b"\n\n\r\n").await.unwrap(), b"3\r\n:\n\n\r\n");
        assert_eq!(caller.read_until(b"\n\n\r\n").await.unwrap(), b"3\r\n:\n\n\r\n");
        server.write(b"3\r\n2\n\n\r\n0\r\n\r\n").await.unwrap();
        caller.read_until(b"0\r\n\r\n").await.unwrap()
    };
    let rest = stage.simulation.run_until(comments).unwrap();
    assert_eq!(rest, b"9\r\ndata: 2\n\n\r\n0\r\n\r\n");
    assert_eq!(stage.simulation.now() - begun, Duration::from_secs(30));
}

#[test]
fn no_comment_comes_within_an_event_nor_into_another_kind_of_answer() {
    let long = format!("data: {}", "x".repeat(70_000));
    let long = format!("{:x}\r\n{long}\r\n", long.len());
    for (limits, head, begun) in [
        ("{}", STREAM, long.as_str()),
        ("{stream_comment_ms: 0}", STREAM, "9\r\ndata: 1\n\n\r\n"),
        ("{}", STREAM, "6\r\ndata: \r\n"),
        ("{}", &replaced(STREAM, "\r\nT", "\r\nContent-Encoding: gzip\r\nT"), "4\r\nab\n\n\r\n"),
        ("{}", &replaced(STREAM, "text/event-stream", "application/x-ndjson"), "3\r\n{}\n\r\n"),
        ("{}", &replaced(STREAM, "text/event-stream", "application/json"), "3\r\n{}\n\r\n"),
    ] {
        let mut stage = limited(limits);
        let request = chat(&stage.token("ann", &["engineers"]));
        let mut caller = stage.caller(Link::default());
        let Stage { simulation, upstream, .. } = &mut stage;
        let silence = async {
            caller.write(request.as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"}]}").await.unwrap();
            server.write(head).await.unwrap();
            server.write(begun.as_bytes()).await.unwrap();
            let mut got = Vec::new();
            while let Ok(bytes) = caller.read().await
                && !bytes.is_empty()
            {
                got.extend(bytes);
            }
            String::from_utf8(got).unwrap()
        };
        let got = simulation.run_until(silence).unwrap();
        assert!(got.starts_with("HTTP/1.1 200") && !got.contains("\r\n:\n\n\r\n"), "{got}");
    }
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    String::from_utf8_lossy(bytes).replace(from, to).into_bytes()
}

/// Rows of the table of limits: key, default, unit, answer, counted, test.
fn table() -> Vec<Vec<String>> {
    let document = include_str!("../../../LIFECYCLE.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let rows =
        rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()));
    rows.map(Iterator::collect).filter(|row: &Vec<String>| row.len() == 6).collect()
}

#[test]
fn every_limit_stands_in_the_table_with_its_default_its_counter_and_a_test_that_exists() {
    let rows = table();
    let named = |key: &str| rows.iter().filter(|row| row[0] == format!("`{key}`")).count();
    for key in DataplaneLimits::KEYS {
        assert_eq!(named(key), 1, "rows of `{key}`");
    }
    for limit in Limit::ALL {
        assert_eq!(named(limit.key()), 1, "rows of `{}`", limit.key());
    }
    let example = include_str!("../../../../config/examples/dataplane.yaml");
    let sources = sources();
    for row in rows {
        let key = row[0].trim_matches('`');
        let counted = Limit::ALL.iter().any(|limit| limit.key() == key);
        assert_eq!(row[4], if counted { "yes" } else { "no" }, "whether `{key}` is counted");
        let shown = example.lines().find_map(|line| line.trim().strip_prefix(&format!("{key}: ")));
        if let Some(shown) = shown {
            let shown = shown.split_whitespace().next().unwrap();
            assert_eq!(row[1].replace(',', ""), shown, "the default of `{key}`");
        }
        let test = row[5].trim_matches('`');
        assert!(sources.contains(&format!("fn {test}()")), "`{key}` names no test: {test}");
    }
}

/// All Rust text of the data plane.
fn sources() -> String {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}
