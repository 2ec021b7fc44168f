//! A model server that refuses, resets or stops.

use std::net::TcpListener;
use std::time::Duration;

use penstock_faults::code;
use penstock_harness::{ClientError, Dev, Response, Script, ScriptedUpstream, documents, requests};

use super::{client, engineer, exchange};

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
const JSON_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const EVENTS_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                           transfer-encoding: chunked\r\n\r\n";
/// One whole event, then half of another.
const EVENTS: &str = "12\r\ndata: {\"n\": \"1\"}\n\n\r\n8\r\ndata: {\"\r\n";

/// A reset takes bytes with it that were not read yet: these shall be.
const READ_PAUSE: Duration = Duration::from_millis(300);

/// The product in front of a server whose first connection goes by a script, and every later one
/// answers.
struct Stage {
    dev: Dev,
    token: String,
    upstream: ScriptedUpstream,
}

impl Stage {
    fn start(first: Script) -> Self {
        let upstream = ScriptedUpstream::start(vec![first, answering()]);
        let dev = Dev::start(&documents::usual(&upstream.url()));
        let token = engineer(&dev);
        Self { dev, token, upstream }
    }

    fn chat(&self) -> Response {
        exchange(&self.dev, &requests::chat(&self.token))
    }

    /// The fault is over with the connection on which it was.
    fn assert_over(&self) {
        let response = self.chat();
        assert_eq!((response.status, response.text().as_str()), (200, "{}"));
    }

    /// The chat was sent once: nobody knows what the model server did with it.
    fn assert_sent_once(&self) {
        assert_eq!(self.upstream.connections(), 1);
        assert_eq!(self.upstream.wait_for_end(0).requests().len(), 1);
    }
}

fn answering() -> Script {
    Script::new().read_request().send(ANSWER)
}

#[test]
fn a_model_server_that_is_not_there_is_named_as_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let dev = Dev::start(&documents::usual(&format!("http://{address}")));
    let token = engineer(&dev);
    let response = exchange(&dev, &requests::chat(&token));
    assert_eq!((response.status, code(&response).as_str()), (502, "upstream_unreachable"));
    assert!(response.header("penstock-session").is_some());
    assert!(!response.text().contains(&address.to_string()), "callers learn no address");
}

#[test]
fn a_reset_before_the_answer_is_a_502_and_the_request_is_not_repeated() {
    let stage = Stage::start(Script::new().read_request().reset());
    let response = stage.chat();
    assert_eq!((response.status, code(&response).as_str()), (502, "upstream_reset"));
    stage.assert_sent_once();
    stage.assert_over();
}

#[test]
fn an_end_before_the_answer_is_a_502_and_the_request_is_not_repeated() {
    let stage = Stage::start(Script::new().read_request());
    let response = stage.chat();
    assert_eq!((response.status, code(&response).as_str()), (502, "upstream_reset"));
    stage.assert_sent_once();
    stage.assert_over();
}

#[test]
fn a_reset_in_the_head_of_the_answer_is_a_502() {
    let stage = Stage::start(Script::new().read_request().send("HTTP/1.1 200 OK\r\ncont").reset());
    let response = stage.chat();
    assert_eq!(response.status, 502, "{}", response.text());
    assert!(code(&response).starts_with("upstream_"), "{}", response.text());
    stage.assert_over();
}

#[test]
fn an_answer_that_is_no_http_is_a_502_that_shows_nothing_of_it() {
    let stage = Stage::start(Script::new().read_request().send("hello there\r\n\r\nsecret"));
    let response = stage.chat();
    assert_eq!((response.status, code(&response).as_str()), (502, "upstream_protocol"));
    assert!(!response.text().contains("secret"));
    stage.assert_over();
}

/// All that the caller got of an answer that broke, up to the end of its connection.
fn broken(stage: &Stage) -> String {
    let mut client = client(&stage.dev);
    client.send(requests::chat(&stage.token));
    let bytes = match client.read_to_end() {
        Ok(bytes) | Err(ClientError::Reset(bytes)) => bytes,
        Err(error) => panic!("the connection goes on: {error}"),
    };
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("{\"half\": "), "{text}");
    text
}

#[test]
fn a_reset_in_a_body_of_known_length_leaves_the_caller_with_less() {
    let body = format!("{JSON_HEAD}content-length: 20\r\n\r\n{{\"half\": ");
    let stage = Stage::start(Script::new().read_request().send(body).pause(READ_PAUSE).reset());
    let text = broken(&stage);
    assert!(text.contains("content-length: 20\r\n") && text.ends_with("\r\n\r\n{\"half\": "));
    stage.assert_over();
}

#[test]
fn a_reset_in_a_chunked_body_leaves_the_caller_without_a_last_chunk() {
    let body = format!("{JSON_HEAD}transfer-encoding: chunked\r\n\r\n9\r\n{{\"half\": \r\n");
    let stage = Stage::start(Script::new().read_request().send(body).pause(READ_PAUSE).reset());
    let text = broken(&stage);
    assert!(text.contains("transfer-encoding: chunked\r\n") && !text.contains("0\r\n\r\n"));
    stage.assert_over();
}

/// A stream ends with an error event in the form of the API, as a whole answer that says of itself
/// that it is not.
fn assert_stream_is_ended_by_an_error(first: Script) {
    let stage = Stage::start(first);
    let mut client = client(&stage.dev);
    client.send(requests::streamed_chat(&stage.token));
    let response = client.read_response().unwrap_or_else(|error| panic!("no answer: {error}"));
    assert!(response.message.complete, "{}", response.text());
    let text = response.text();
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 2, "the whole event and the error, not the half one: {text}");
    assert_eq!(events[0], "data: {\"n\": \"1\"}");
    assert!(events[1].contains("upstream_reset"), "{text}");
    let data = events[1].lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let error: serde_json::Value = serde_json::from_str(data).unwrap();
    assert!(error["error"]["message"].is_string(), "{error}");
    assert!(!text.contains("[DONE]"), "{text}");
    assert!(client.read_to_end().unwrap().is_empty(), "and the connection is closed");
    stage.assert_over();
}

#[test]
fn a_reset_in_a_stream_ends_it_with_an_error_event() {
    let script = Script::new().read_request().send(EVENTS_HEAD).send(EVENTS);
    assert_stream_is_ended_by_an_error(script.pause(READ_PAUSE).reset());
}

#[test]
fn an_end_in_a_stream_without_its_last_chunk_ends_it_with_an_error_event() {
    assert_stream_is_ended_by_an_error(Script::new().read_request().send(EVENTS_HEAD).send(EVENTS));
}
