//! More requests than an endpoint takes at a time, and endpoints that are not there.

use std::time::Duration;

use penstock_reactor::memory::{Link, Listener, Peer};

use super::limits::{limited, reached};
use super::stage::{Answer, DOCUMENTS, Stage, get};

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn request(stage: &Stage, path: &str) -> String {
    get(path, &stage.token("ann", &["engineers"]))
}

/// A caller whose request has been sent.
fn ask(stage: &mut Stage, path: &str) -> Peer {
    let request = request(stage, path);
    let mut caller = stage.caller(Link::default());
    stage.simulation.run_until(caller.write(request.as_bytes())).unwrap().unwrap();
    stage.simulation.settle();
    caller
}

/// The model server's end of the first request, which takes the only place.
fn occupy(stage: &mut Stage) -> (Peer, Peer) {
    let caller = ask(stage, "/llama/v1/models");
    let Stage { simulation, upstream, .. } = stage;
    let server = simulation.run_until(async {
        let mut server = upstream.accept().await;
        server.read_until(b"\r\n\r\n").await.unwrap();
        server
    });
    (caller, server.unwrap())
}

fn waiting(stage: &Stage) -> usize {
    stage.core.endpoints.waiting()
}

#[test]
fn requests_beyond_what_an_endpoint_takes_wait_and_are_served_in_order() {
    let mut stage = limited("{upstream_requests_per_endpoint_max: 1}");
    let (mut first, mut server) = occupy(&mut stage);
    let mut second = ask(&mut stage, "/llama/v1/models?n=2");
    let mut third = ask(&mut stage, "/llama/v1/models?n=3");
    assert_eq!(waiting(&stage), 2);
    assert!(!stage.reached_upstream());
    let served = async {
        server.write(PLAIN).await.unwrap();
        first.read_until(b"{}").await.unwrap();
        for (path, caller) in [("n=2", &mut second), ("n=3", &mut third)] {
            let head = server.read_until(b"\r\n\r\n").await.unwrap();
            assert!(String::from_utf8(head).unwrap().contains(path));
            server.write(PLAIN).await.unwrap();
            caller.read_until(b"{}").await.unwrap();
        }
    };
    stage.simulation.run_until(served).unwrap();
    assert_eq!(waiting(&stage), 0);
    assert_eq!(reached(&stage, "upstream_requests_per_endpoint_max"), 2);
    assert_eq!(stage.core.counters.upstream_connects.read(), 1);
}

#[test]
fn a_request_that_has_waited_too_long_is_503_and_one_beyond_the_queue_at_once() {
    let mut stage = limited(
        "{upstream_requests_per_endpoint_max: 1, upstream_queue_max: 1, \
         upstream_queue_ms_max: 2000}",
    );
    let (_first, _server) = occupy(&mut stage);
    let mut second = ask(&mut stage, "/llama/v1/models");
    let mut third = ask(&mut stage, "/llama/v1/models");
    for (caller, after) in [(&mut third, 0), (&mut second, 2)] {
        let answer = stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap();
        let answer = Answer::parse(&answer);
        assert_eq!((answer.status, &answer.error()["code"]), (503, &"overloaded".into()));
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
        assert_eq!(stage.simulation.now(), Duration::from_secs(after));
    }
    assert_eq!(waiting(&stage), 0);
    assert_eq!(reached(&stage, "upstream_queue_max"), 1);
    assert_eq!(reached(&stage, "upstream_queue_ms_max"), 1);
}

#[test]
fn a_caller_that_leaves_is_out_of_the_queue_at_once() {
    let mut stage = limited("{upstream_requests_per_endpoint_max: 1}");
    let (_first, _server) = occupy(&mut stage);
    let second = ask(&mut stage, "/llama/v1/models");
    assert_eq!(waiting(&stage), 1);
    drop(second);
    stage.simulation.settle();
    assert_eq!(waiting(&stage), 0);
    assert_eq!(stage.log()[0]["reason"], "client_gone");
}

#[test]
fn a_request_that_waits_for_its_turn_is_cut_when_its_rule_goes_away() {
    let mut stage = limited("{upstream_requests_per_endpoint_max: 1}");
    let (_first, _server) = occupy(&mut stage);
    let mut second = ask(&mut stage, "/llama/v1/models");
    stage.enforce(&DOCUMENTS.replace("[\"infer.*\", list, embed]", "[embed]"));
    let answer = stage.simulation.run_until(second.read_to_end()).unwrap().unwrap();
    assert_eq!(Answer::parse(&answer).status, 403);
    assert_eq!(waiting(&stage), 0);
}

#[test]
fn a_request_that_waited_goes_on_only_under_the_connection_that_is_in_force() {
    let elsewhere = "[\"http://127.0.0.1:8080\", \"http://127.0.0.1:9\"]";
    let changed = DOCUMENTS.replace("[\"http://127.0.0.1:8080\"]", elsewhere);
    let another_rule = DOCUMENTS.replace("[list]", "[list, embed]");
    for (documents, status) in [(another_rule, 200), (changed, 503)] {
        let mut stage = limited("{upstream_requests_per_endpoint_max: 1}");
        let (mut first, mut server) = occupy(&mut stage);
        let mut second = ask(&mut stage, "/llama/v1/models?n=2");
        stage.enforce(&documents);
        let answer = stage.simulation.run_until(async {
            server.write(PLAIN).await.unwrap();
            first.read_until(b"{}").await.unwrap();
            if status == 200 {
                server.read_until(b"\r\n\r\n").await.unwrap();
                server.write(PLAIN).await.unwrap();
            }
            Answer::parse(&second.read_until(b"}").await.unwrap())
        });
        let answer = answer.unwrap();
        assert_eq!(answer.status, status, "{}", answer.head);
        assert_eq!(answer.head.contains("retry-after: "), status == 503);
        let reason = if status == 200 { "served" } else { "connection_changed" };
        assert_eq!(stage.log()[1]["reason"], reason);
        assert_eq!(stage.core.endpoints.waiting(), 0);
        assert!(!stage.reached_upstream());
    }
}

#[test]
fn a_credential_that_was_replaced_meanwhile_is_not_sent() {
    let mut stage = limited("{upstream_requests_per_endpoint_max: 1}");
    let (_first, server) = occupy(&mut stage);
    let mut second = ask(&mut stage, "/llama/v1/models?n=2");
    stage.model_key = "another-key".to_owned();
    stage.enforce(DOCUMENTS);
    drop(server);
    let answer = stage.simulation.run_until(second.read_until(b"}}")).unwrap().unwrap();
    let answer = Answer::parse(&answer);
    assert_eq!((answer.status, &answer.head.contains("retry-after: ")), (503, &true));
    assert!(!stage.reached_upstream());
}

#[test]
fn a_credential_whose_lease_ended_meanwhile_is_not_sent() {
    let mut stage = limited("{upstream_requests_per_endpoint_max: 1}");
    let (_first, server) = occupy(&mut stage);
    let mut second = ask(&mut stage, "/llama/v1/models?n=2");
    stage.core.node.leases.store(std::sync::Arc::default());
    drop(server);
    let answer = stage.simulation.run_until(second.read_until(b"}}")).unwrap().unwrap();
    let answer = Answer::parse(&answer);
    assert_eq!((answer.status, &answer.error()["code"]), (503, &"credential_unavailable".into()));
    assert!(!stage.reached_upstream());
}

#[test]
fn a_connection_that_changed_while_it_was_opened_gets_no_byte_of_a_request() {
    let slow = Link { connect_delay: Duration::from_secs(1), ..Link::default() };
    let took = slow.connect_delay;
    let mut stage = Stage::with(1, slow, DOCUMENTS);
    let mut caller = ask(&mut stage, "/llama/v1/models");
    stage.model_key = "another-key".to_owned();
    stage.enforce(DOCUMENTS);
    let answer = stage.simulation.run_until(caller.read_until(b"}}")).unwrap().unwrap();
    assert_eq!((stage.simulation.now(), Answer::parse(&answer).status), (took, 503));
    let mut server = stage.upstream.try_accept().unwrap();
    let sent = stage.simulation.run_until(server.read_to_end()).unwrap();
    assert!(sent.unwrap_or_default().is_empty());
}

/// A request over a caller's connection that goes on, and the status of its answer.
async fn again(caller: &mut Peer, request: &str) -> u16 {
    caller.write(request.as_bytes()).await.unwrap();
    let got = caller.read_until(b"\"}}").await.unwrap();
    assert!(got.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&got));
    Answer::parse(&got).status
}

#[test]
fn dead_model_servers_are_tried_again_for_few_of_many_requests() {
    let documents = DOCUMENTS
        .replace("[\"http://127.0.0.1:8080\"]", "[\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]");
    let mut stage = Stage::with(1, Link::default(), &documents);
    let request = request(&stage, "/llama/v1/models");
    let mut caller = stage.caller(Link::default());
    let asked = async {
        for _ in 0..200 {
            assert_eq!(again(&mut caller, &request).await, 502);
        }
    };
    stage.simulation.run_until(asked).unwrap();
    let counters = &stage.core.counters;
    assert_eq!(counters.upstream_retries.read() + counters.upstream_retries_refused.read(), 200);
    assert!(counters.upstream_retries.read() <= 30 + 20, "{}", counters.upstream_retries.read());
}

#[test]
fn a_dead_connection_takes_no_tries_from_another() {
    let two = "[\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]";
    let documents = DOCUMENTS.replace("[\"http://127.0.0.1:8080\"]", two);
    let (issuer, rest) = documents.split_once("---\n").unwrap();
    let (llama, _) = rest.split_once("---\n").unwrap();
    let other = llama.replace("name: llama", "name: other");
    let documents = format!("{issuer}---\n{other}---\n{rest}");
    let mut stage = Stage::with(1, Link::default(), &documents);
    let (dead, other) = (request(&stage, "/llama/v1/models"), request(&stage, "/other/v1/models"));
    let mut caller = stage.caller(Link::default());
    let counters = std::sync::Arc::clone(&stage.core.counters);
    let asked = async {
        while counters.upstream_retries_refused.read() == 0 {
            assert_eq!(again(&mut caller, &dead).await, 502);
        }
        let tries = counters.upstream_retries.read();
        assert_eq!(again(&mut caller, &other).await, 502);
        assert_eq!(counters.upstream_retries.read(), tries + 1);
    };
    stage.simulation.run_until(asked).unwrap();
}

/// Answers one request and then closes the connection when the next one has come.
async fn close_at_the_second(upstream: &mut Listener) {
    let mut server = upstream.accept().await;
    server.read_until(b"\r\n\r\n").await.unwrap();
    server.write(PLAIN).await.unwrap();
    server.read_until(b"\r\n\r\n").await.unwrap();
}

#[test]
fn a_request_that_was_sent_is_not_sent_again_unless_it_is_safe() {
    for (safe, status) in [(true, 200), (false, 502)] {
        let mut stage = Stage::new();
        let first = request(&stage, "/llama/v1/models");
        let second = if safe {
            first.clone()
        } else {
            super::stage::chat(&stage.token("ann", &["engineers"]))
        };
        let mut caller = stage.caller(Link::default());
        let Stage { simulation, upstream, .. } = &mut stage;
        let outcome = simulation.run_until(async {
            caller.write(first.as_bytes()).await.unwrap();
            let closes = close_at_the_second(upstream);
            let asks = async {
                caller.read_until(b"{}").await.unwrap();
                caller.write(second.as_bytes()).await.unwrap();
            };
            futures_util::join!(closes, asks);
            if safe {
                let mut server = upstream.accept().await;
                server.read_until(b"\r\n\r\n").await.unwrap();
                server.write(PLAIN).await.unwrap();
            }
            caller.read_until(b"}").await.unwrap()
        });
        assert_eq!(Answer::parse(&outcome.unwrap()).status, status);
        assert_eq!(stage.core.counters.upstream_retries.read(), u64::from(safe));
        assert!(!stage.reached_upstream(), "nobody asked a second time");
    }
}
