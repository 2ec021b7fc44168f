//! nginx and HAProxy in front of the gateway and, as one chain, between it and the model server:
//! what holds at the end of the chain holds at every hop.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::time::Duration;

use penstock_harness::{
    AutonomousUpstream, ConnectionEnd, Dev, Gate, RawClient, Response, Script, ScriptedUpstream,
};
use penstock_journeys::proxies::{Kind, Places, Proxy};
use penstock_journeys::{documents, requests};
use serde_json::json;

/// How long the hop behind the gateway keeps idle connections where a test wants it to close them.
const HOP_IDLE_MS: u64 = 20;

/// Caller, proxy, gateway, proxy, model server.
struct Chain {
    proxy: Proxy,
    front: String,
    token: String,
    dev: Dev,
}

impl Chain {
    fn start(kind: Kind, model: SocketAddr, changes: &[(&str, &str)]) -> Self {
        let places = Places::choose();
        let dev = Dev::start(&documents::usual(&format!("http://{}", places.behind)));
        let token = dev.token("ada", &["engineers"], &[]);
        let proxy = Proxy::start(kind, places, &dev.ready().gateway, model, changes);
        Self { proxy, front: places.front.to_string(), token, dev }
    }

    fn client(&self) -> RawClient {
        RawClient::connect(&self.front)
    }

    /// One exchange on a connection of its own.
    #[track_caller]
    fn exchange(&self, request: &str) -> Response {
        self.client().exchange(request)
    }

    /// What the gateway counted on its way to the hop behind it.
    #[track_caller]
    fn upstream_count(&self, what: &str) -> u64 {
        let mut client = RawClient::connect(&self.dev.ready().operations);
        let metrics = client.exchange("GET /metrics HTTP/1.1\r\nHost: operations\r\n\r\n").text();
        let name = format!("penstock_upstream_{what}_total");
        let counts = metrics.lines().filter(|line| line.starts_with(&name));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    #[track_caller]
    fn assert_chat_is_answered(&self) {
        let response = self.exchange(&requests::chat(&self.token));
        assert_eq!(response.status, 200, "{}", response.text());
        let text = &response.json()["choices"][0]["message"]["content"];
        assert_eq!(text, "Hello there.");
    }
}

fn whole_exchanges(kind: Kind) {
    let upstream = AutonomousUpstream::start();
    let mut chain = Chain::start(kind, upstream.address(), &[]);
    chain.assert_chat_is_answered();

    // A large body arrives as it was sent.
    let content = "0123456789abcdef".repeat(1 << 16);
    let body = json!({"model": "tiny", "messages": [{"role": "user", "content": content}]});
    let body = body.to_string();
    let _ = upstream.take_seen();
    let large = requests::post("/m/v1/chat/completions", &chain.token, &body);
    assert_eq!(chain.exchange(&large).status, 200);
    let seen = upstream.take_seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].request.body == body.as_bytes(), "{} bytes", seen[0].request.body.len());

    // Connections are kept on every hop.
    let before = upstream.connections();
    let mut client = chain.client();
    for _ in 0..8 {
        assert_eq!(client.exchange(requests::models(&chain.token)).status, 200);
    }
    assert!(upstream.connections() <= before + 2, "{} more", upstream.connections() - before);

    // A refusal keeps its status and its words.
    let denied = requests::post("/m/v1/embeddings", &chain.token, r#"{"model":"m","input":"a"}"#);
    let response = client.exchange(denied);
    assert_eq!((response.status, &response.json()["error"]["code"]), (403, &json!("denied")));
    assert!(response.text().contains("no rule allows ada to embed on m"), "{}", response.text());
    assert!(response.header("penstock-session").is_some());

    // All that was kept is closed at once; what was not sent yet goes over new connections.
    let _ = upstream.take_seen();
    chain.proxy.restart();
    chain.assert_chat_is_answered();
    assert_eq!(upstream.take_seen().len(), 1);
}

#[test]
fn whole_exchanges_pass_through_nginx() {
    whole_exchanges(Kind::Nginx);
}

#[test]
fn whole_exchanges_pass_through_haproxy() {
    whole_exchanges(Kind::HaProxy);
}

/// Requests that begin at about the moment at which the hop closes the idle connection.
fn a_hop_that_closes_idle_connections(kind: Kind, recommended: &str, short: &str) {
    let upstream = AutonomousUpstream::start();
    let chain = Chain::start(kind, upstream.address(), &[(recommended, short)]);
    for round in 0..50 {
        let response = chain.exchange(&requests::models(&chain.token));
        assert_eq!(response.status, 200, "in round {round}: {}", response.text());
        let near = if round % 6 == 0 { 0 } else { HOP_IDLE_MS - 3 + round % 6 };
        // tidy: the time for which a hop keeps connections is what this is about
        std::thread::sleep(Duration::from_millis(near));
    }
    // Some requests found the connection open, others did not: it was about that moment.
    let [reused, made] = ["reuses", "connects"].map(|what| chain.upstream_count(what));
    assert!(reused >= 1 && made >= 2, "{reused} reused, {made} made");
}

#[test]
fn nginx_may_close_idle_connections_at_any_time() {
    let short = format!("keepalive_timeout {HOP_IDLE_MS}ms;");
    a_hop_that_closes_idle_connections(Kind::Nginx, "keepalive_timeout 75s;", &short);
}

#[test]
fn haproxy_may_close_idle_connections_at_any_time() {
    let short = format!("http-keep-alive {HOP_IDLE_MS}ms");
    a_hop_that_closes_idle_connections(Kind::HaProxy, "http-keep-alive 75s", &short);
}

/// The script's connection ends with its answer: a hop must not keep it.
const EVENTS_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                           transfer-encoding: chunked\r\nconnection: close\r\n\r\n";

fn event(number: usize) -> String {
    let event = format!("data: {{\"event\": {number}}}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

/// Each event is sent only when the one before it has arrived: a hop that gathers would stop here.
fn streams(kind: Kind) {
    let gates: [Gate; 3] = std::array::from_fn(|_| Gate::new());
    let mut streaming = Script::new().read_request().send(EVENTS_HEAD);
    for (number, gate) in gates.iter().enumerate() {
        streaming = streaming.send(event(number)).wait(gate);
    }
    let streaming = streaming.send("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    let endless = Script::new().read_request().send(EVENTS_HEAD).send(event(0)).read_to_end();
    let upstream = ScriptedUpstream::start(vec![streaming, endless]);
    let chain = Chain::start(kind, upstream.address(), &[]);

    let mut client = chain.client();
    client.send(requests::streamed_chat(&chain.token));
    for (number, gate) in gates.iter().enumerate() {
        client.read_until(format!("{{\"event\": {number}}}").as_bytes()).unwrap();
        gate.open();
    }
    client.read_until(b"data: [DONE]").unwrap();

    // A caller that leaves ends the work of the model server, though that says nothing meanwhile.
    let mut client = chain.client();
    client.send(requests::streamed_chat(&chain.token));
    client.read_until(b"{\"event\": 0}").unwrap();
    drop(client);
    let end = upstream.wait_for_end(1).end;
    assert!(matches!(end, Some(ConnectionEnd::Closed | ConnectionEnd::Reset)), "{end:?}");
}

#[test]
fn streams_pass_through_nginx_event_by_event() {
    streams(Kind::Nginx);
}

#[test]
fn streams_pass_through_haproxy_event_by_event() {
    streams(Kind::HaProxy);
}
