//! Callers that stall, break off, or send nonsense.

use penstock_faults::{World, code, usual};
use penstock_harness::{
    AutonomousUpstream, ConnectionEnd, Response, Script, ScriptedUpstream, requests,
};

const QUICK: &str = "limits: {head_ms_max: 300, body_gap_ms_max: 300, send_stall_ms_max: 500}\n";

#[test]
fn caller_stalls_reading_is_cut_and_the_upstream_let_go() {
    let body = vec![b'x'; 64 << 20];
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let script = Script::new().read_request().send(head).send(body).read_to_end();
    let upstream = ScriptedUpstream::start(vec![script]);
    let world = World::start_with(&usual(&upstream.url()), QUICK);
    let mut client = world.node.client();
    client.send(requests::chat(&world.token()));
    client.read_until(b"HTTP/1.1 200").unwrap();
    world.node.expect_ended("client_stalled", 1);
    let end = upstream.wait_for_end(0).end;
    assert_eq!(end, Some(ConnectionEnd::Reset), "it could not send it all");
    drop(client);
    let relayed = world.node.metric("penstock_relay_down_bytes_total", "");
    assert!(relayed < 32 << 20, "it was not buffered: {relayed}");
}

/// What a caller gets that sends this and waits.
#[track_caller]
fn sends(world: &World, bytes: &str) -> Response {
    let mut client = world.node.client();
    client.send(bytes);
    let response = client.read_response().unwrap();
    assert!(client.read_to_end().unwrap().is_empty(), "one answer, then the end: {bytes}");
    response
}

#[test]
fn caller_sends_half_a_request_is_408_and_close() {
    let upstream = AutonomousUpstream::start();
    let world = World::start_with(&usual(&upstream.url()), QUICK);
    let chat = requests::chat(&world.token());
    let halves = [&chat[..20], &chat[..chat.len() - 5]];
    for half in halves {
        let response = sends(&world, half);
        assert_eq!((response.status, code(&response).as_str()), (408, "timeout"), "{half}");
    }
    world.node.expect_ended("timeout", 2);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn caller_sends_nonsense_is_400_and_close_once() {
    let upstream = AutonomousUpstream::start();
    let world = World::start(&upstream.url());
    let nonsense = [
        ("\u{1}\u{2}\u{3}\r\n\r\n", "bad_request"),
        ("GET / HTTP/1.1\r\n\r\n", "bad_request"),
        ("GET /m/../x HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
        ("GET / HTTP/1.1\nHost: a\n\n", "ambiguous_request"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "ambiguous_request",
        ),
    ];
    for (bytes, expected) in nonsense {
        // What stands behind it is not looked at.
        let more = format!("{bytes}{}", requests::models(&world.token()));
        let response = sends(&world, &more);
        assert_eq!((response.status, code(&response).as_str()), (400, expected), "{bytes:?}");
    }
    world.node.expect_ended("bad_request", 3);
    world.node.expect_ended("ambiguous_request", 2);
    assert_eq!(upstream.connections(), 0);
}
