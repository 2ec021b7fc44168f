//! A model server that is away, slow, or not what it should be.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use penstock_faults::{World, code, usual};
use penstock_harness::{ClientError, ConnectionEnd, Gate, Script, ScriptedUpstream, requests};
use socket2::{Domain, Socket, Type};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                       transfer-encoding: chunked\r\n\r\n9\r\n{\"half\": \r\n";
const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n10\r\ndata: {\"n\": 1}\n\n\r\n";
const QUICK: &str =
    "limits: {connect_ms_max: 300, first_byte_ms_max: 300, stream_gap_ms_max: 300}\n";

/// A reset takes bytes with it that were not read yet: these shall be.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// A node in front of a server whose first connection goes by a script; every later one answers.
fn world(first: Script) -> (World, ScriptedUpstream) {
    let answering = Script::new().read_request().send(ANSWER);
    let upstream = ScriptedUpstream::start(vec![first, answering]);
    (World::start_with(&usual(&upstream.url()), QUICK), upstream)
}

/// The chat fails so, the reason is counted, and the next one is served.
#[track_caller]
fn assert_fails(first: Script, status: u16, expected: &str) {
    let (world, upstream) = world(first);
    let response = world.chat();
    assert_eq!((response.status, code(&response).as_str()), (status, expected));
    assert!(response.header("penstock-session").is_some());
    world.node.expect_ended(expected, 1);
    assert_eq!(upstream.recorded(0).requests().len(), 1, "it was sent once");
    assert_eq!(upstream.connections(), 1, "and not again");
    assert_eq!(world.chat().status, 200);
}

#[test]
fn upstream_refuses_at_connect_is_502() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::start(&format!("http://{address}"));
    let response = world.chat();
    assert_eq!((response.status, code(&response).as_str()), (502, "upstream_unreachable"));
    world.node.expect_ended("upstream_unreachable", 1);
}

/// A listener whose backlog is full: the system answers no further connection.
fn silent() -> (Socket, SocketAddr, Vec<TcpStream>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let wait = Duration::from_millis(100);
    let connect = || TcpStream::connect_timeout(&address, wait).ok();
    let waiting = std::iter::from_fn(connect).take(64).collect();
    (listener, address, waiting)
}

#[test]
fn upstream_times_out_at_connect_is_504_or_another_endpoint() {
    let (_listener, address, _waiting) = silent();
    let world = World::start_with(&usual(&format!("http://{address}")), QUICK);
    let response = world.chat();
    assert_eq!((response.status, code(&response).as_str()), (504, "upstream_timeout"));
    world.node.expect_ended("upstream_connect_timeout", 1);
    // It closes after each answer, and says so.
    let closing = ANSWER.replace("content-length", "connection: close\r\ncontent-length");
    let good = ScriptedUpstream::start(vec![Script::new().read_request().send(&closing)]);
    let one = format!("['http://{address}']");
    let both = format!("['http://{address}', '{}']", good.url());
    world.publish(&usual(&format!("http://{address}")).replace(&one, &both));
    for _ in 0..8 {
        assert_eq!(world.chat().status, 200, "nothing was sent: another one is asked");
    }
}

#[test]
fn upstream_resets_before_its_head_is_502() {
    assert_fails(Script::new().read_request().reset(), 502, "upstream_reset");
}

#[test]
fn upstream_resets_in_head_is_502() {
    let script = Script::new().read_request().send("HTTP/1.1 200 OK\r\ncont");
    assert_fails(script.pause(READ_PAUSE).reset(), 502, "upstream_reset");
}

#[test]
fn upstream_stalls_before_its_first_byte_is_504() {
    assert_fails(Script::new().read_request().stall(), 504, "upstream_timeout");
}

#[test]
fn upstream_answers_nonsense_is_502() {
    let nonsense = [
        "hello there\r\n\r\n",
        "HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\ncontent-length: 2\n\n{}",
    ];
    let mut scripts: Vec<Script> =
        nonsense.iter().map(|text| Script::new().read_request().send(text)).collect();
    scripts.push(Script::new().read_request().send(ANSWER));
    let upstream = ScriptedUpstream::start(scripts);
    let world = World::start_with(&usual(&upstream.url()), QUICK);
    for (index, text) in nonsense.iter().enumerate() {
        let response = world.chat();
        assert_eq!(
            (response.status, code(&response).as_str()),
            (502, "upstream_protocol"),
            "{text}"
        );
        assert_eq!(upstream.connections(), index + 1, "a connection is not used again");
    }
    world.node.expect_ended("upstream_protocol", nonsense.len() as u64);
    assert_eq!(world.chat().status, 200);
}

#[test]
fn upstream_resets_in_body_cuts_without_a_last_chunk() {
    let (world, _upstream) =
        world(Script::new().read_request().send(CHUNKED).pause(READ_PAUSE).reset());
    let mut client = world.node.client();
    client.send(requests::chat(&world.token()));
    let bytes = match client.read_to_end() {
        Ok(bytes) | Err(ClientError::Reset(bytes)) => bytes,
        Err(error) => panic!("the connection goes on: {error}"),
    };
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("{\"half\": ") && !text.contains("0\r\n\r\n"), "{text}");
    world.node.expect_ended("upstream_reset", 1);
    assert_eq!(world.chat().status, 200);
}

/// The stream that began so ends with an error event of that code, whole, and never as if it were
/// done.
#[track_caller]
fn assert_stream_ends(first: Script, expected: &str) {
    let (world, _upstream) = world(first);
    let mut client = world.node.client();
    client.send(requests::streamed_chat(&world.token()));
    let response = client.read_response().unwrap();
    let text = response.text();
    assert!(response.message.complete && text.starts_with("data: {\"n\": 1}\n\n"), "{text}");
    assert!(text.contains(&format!("\"{expected}\"")) && !text.contains("[DONE]"), "{text}");
    assert!(client.read_to_end().unwrap().is_empty(), "and the connection is closed");
    world.node.expect_ended(expected, 1);
    assert_eq!(world.chat().status, 200);
}

#[test]
fn upstream_resets_in_stream_ends_it_with_an_error_event() {
    let script = Script::new().read_request().send(EVENTS).pause(READ_PAUSE).reset();
    assert_stream_ends(script, "upstream_reset");
}

#[test]
fn upstream_stalls_in_stream_is_cut_after_the_gap() {
    assert_stream_ends(Script::new().read_request().send(EVENTS).stall(), "upstream_timeout");
}

#[test]
fn upstream_of_a_caller_who_left_is_let_go() {
    let gate = Gate::new();
    let script = Script::new().read_request().send(EVENTS).read_to_end();
    let (world, upstream) = world(script);
    let mut client = world.node.client();
    client.send(requests::streamed_chat(&world.token()));
    client.read_until(b"data: {\"n\": 1}").unwrap();
    client.reset();
    let end = upstream.wait_for_end(0).end;
    assert!(matches!(end, Some(ConnectionEnd::Closed | ConnectionEnd::Reset)), "{end:?}");
    world.node.expect_ended("client_gone", 1);
    gate.open();
}
