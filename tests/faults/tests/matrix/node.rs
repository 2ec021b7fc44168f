//! The node itself: killed, and what its operator sees of it.

use std::fs;

use penstock_faults::{Node, World};
use penstock_harness::{
    AutonomousUpstream, ClientError, Gate, Script, ScriptedUpstream, eventually, requests,
};
use serde_json::Value;

const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n10\r\ndata: {\"n\": 1}\n\n\r\n";

#[test]
fn node_killed_its_connections_end_and_another_node_serves() {
    let gate = Gate::new();
    let events = Script::new().read_request().send(EVENTS).wait(&gate);
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let answering = Script::new().read_request().send(answer);
    let upstream = ScriptedUpstream::start(vec![events, answering]);
    let mut world = World::start(&upstream.url());
    let second = Node::start(&world.control, "");
    let token = world.token();
    let mut reader = world.node.client();
    reader.send(requests::streamed_chat(&token));
    reader.read_until(b"data: {\"n\": 1}").unwrap();
    world.node.expect_kept(&world.control.signed());
    world.node.kill();
    match reader.read_to_end() {
        Ok(rest) | Err(ClientError::Reset(rest)) => {
            let rest = String::from_utf8_lossy(&rest).into_owned();
            assert!(!rest.contains("[DONE]") && !rest.contains("0\r\n\r\n"), "{rest}");
        }
        Err(error) => panic!("the connection goes on: {error}"),
    }
    assert_eq!(second.ask(&requests::chat(&token)).status, 200);
    // Restarted, it enforces what it enforced before, also if the control plane is away.
    world.control.behave(penstock_faults::Behaviour::IsDead);
    world.node.restart("");
    assert_eq!(world.chat().status, 200);
    gate.open();
}

#[test]
fn access_log_survives_rotation() {
    let upstream = AutonomousUpstream::start();
    let world = World::start(&upstream.url());
    let file = world.node.access_log();
    let moved = file.with_extension("1");
    let lines = |file| fs::read_to_string(file).unwrap_or_default().lines().count();
    assert_eq!(world.chat().status, 200);
    eventually("the first line", || (lines(&file) == 1).then_some(()));
    fs::rename(&file, &moved).unwrap();
    let mut asked = 1;
    eventually("a line in the new file", || {
        assert_eq!(world.chat().status, 200);
        asked += 1;
        (lines(&file) > 0).then_some(())
    });
    eventually("every line", || (lines(&file) + lines(&moved) == asked).then_some(()));
    for text in [&file, &moved].map(|file| fs::read_to_string(file).unwrap()) {
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["reason"], "served", "whole lines: {line}");
        }
    }
    for name in ["penstock_record_log_lines_dropped_total", "penstock_record_log_lines_lost_total"]
    {
        assert_eq!(world.node.metric(name, ""), 0, "{name}");
    }
}

#[test]
fn traceparent_is_passed_on_as_w3c_says() {
    let upstream = AutonomousUpstream::start();
    let world = World::start(&upstream.url());
    let token = world.token();
    let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings";
    let state = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";
    let sent = |fields: &str| {
        let request = requests::models(&token).replace("Host:", &format!("{fields}Host:"));
        let response = world.node.ask(&request);
        assert_eq!(response.status, 200, "{}", response.text());
        let seen = upstream.take_seen().pop().unwrap().request;
        let field = |name: &str| seen.header(name).map(str::to_owned);
        (field("traceparent"), field("tracestate"))
    };
    for parent in [valid, later] {
        let fields = format!("traceparent: {parent}\r\ntracestate: {state}\r\n");
        assert_eq!(sent(&fields), (Some(parent.to_owned()), Some(state.to_owned())));
    }
    let longer = format!("{valid}-more");
    let invalid = [
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
        longer.as_str(),
        "garbage",
    ];
    for parent in invalid {
        let fields = format!("traceparent: {parent}\r\ntracestate: {state}\r\n");
        assert_eq!(sent(&fields), (None, None), "{parent}");
    }
    // Two are none; a state without a parent says nothing.
    let twice = format!("traceparent: {valid}\r\ntraceparent: {valid}\r\n");
    assert_eq!(sent(&twice), (None, None));
    assert_eq!(sent(&format!("tracestate: {state}\r\n")), (None, None));
}
