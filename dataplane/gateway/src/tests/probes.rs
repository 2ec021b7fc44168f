//! Endpoints that nobody asks for a while, and those that are left alone.

use std::rc::Rc;
use std::time::Duration;

use penstock_reactor::memory::{Link, Peer};
use penstock_reactor::network::Network as _;

use super::limits::limited;
use super::stage::{DOCUMENTS, MODEL_KEY, Stage};
use crate::endpoint::{Endpoint, Health};
use crate::limits::Limit;
use crate::probe;
use crate::reason::Reason;

const EVERY: Duration = Duration::from_secs(10);

fn endpoint(stage: &Stage) -> Rc<Endpoint> {
    stage.core.endpoints.of(("127.0.0.1:8080".to_owned(), None), stage.core.network.now())
}

/// A stage whose endpoint is left alone, and the endpoint.
fn left_alone() -> (Stage, Rc<Endpoint>) {
    let stage = Stage::new();
    let endpoint = endpoint(&stage);
    while !endpoint.is_left_alone(stage.core.network.now()) {
        endpoint.learn(Some(&Reason::UpstreamReset), stage.core.network.now());
    }
    (stage, endpoint)
}

/// Lets the time of a probe come, and takes its connection.
fn probed(stage: &mut Stage) -> Option<Peer> {
    stage.simulation.advance(EVERY);
    probe::begin(&stage.core);
    probe::begin(&stage.core);
    stage.simulation.settle();
    let first = stage.upstream.try_accept();
    assert!(stage.upstream.try_accept().is_none(), "one probe at a time");
    first
}

#[test]
fn an_endpoint_that_is_left_alone_comes_back_with_a_good_answer_to_a_probe() {
    let (mut stage, endpoint) = left_alone();
    let mut server = probed(&mut stage).unwrap();
    let head = stage.simulation.run_until(async {
        let head = server.read_until(b"\r\n\r\n").await.unwrap();
        server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
        assert!(server.read_to_end().await.is_ok_and(|rest| rest.is_empty()));
        String::from_utf8(head).unwrap()
    });
    let head = head.unwrap();
    assert!(head.starts_with("GET /health HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n"), "{head}");
    assert!(!head.contains(MODEL_KEY) && !head.contains("authorization"), "{head}");
    assert!(!endpoint.is_left_alone(stage.core.network.now()));
    assert_eq!(endpoint.health(), Health::Up);
    assert_eq!(stage.core.counters.upstream_probes_failed.read(), 0);
}

#[test]
fn an_endpoint_stays_alone_while_its_answers_are_none() {
    for answer in [
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
        &"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20),
        "",
    ] {
        let (mut stage, endpoint) = left_alone();
        let mut server = probed(&mut stage).unwrap();
        let begun = stage.simulation.now();
        let ended = stage.simulation.run_until(async {
            server.read_until(b"\r\n\r\n").await.unwrap();
            server.write(answer.as_bytes()).await.unwrap();
            let _ = server.read_to_end().await;
        });
        ended.unwrap();
        stage.simulation.settle();
        let now = stage.simulation.now();
        assert!(now - begun <= Duration::from_secs(5), "bounded in time");
        assert!(endpoint.is_left_alone(now + EVERY * 2), "{answer}");
        assert_eq!(stage.core.counters.upstream_probes_failed.read(), 1, "{answer}");
    }
}

#[test]
fn an_endpoint_that_was_idle_is_connected_to_and_sent_nothing() {
    let mut stage = Stage::new();
    let endpoint = endpoint(&stage);
    assert_eq!(endpoint.health(), Health::Unknown);
    let mut server = probed(&mut stage).unwrap();
    assert_eq!(stage.simulation.run_until(server.read_to_end()).unwrap(), Ok(Vec::new()));
    assert_eq!(endpoint.health(), Health::Up);
    assert_eq!(stage.core.counters.upstream_probes.read(), 1);
}

#[test]
fn an_endpoint_whose_port_is_closed_is_found_down_before_a_request_comes() {
    let mut stage = Stage::new();
    let elsewhere = "127.0.0.1:9".parse().unwrap();
    stage.upstream = stage.simulation.listen(elsewhere, Default::default());
    for _ in 0..5 {
        assert!(probed(&mut stage).is_none());
    }
    assert_eq!(endpoint(&stage).health(), Health::Down);
}

#[test]
fn without_probes_nothing_is_connected_to() {
    let mut stage = limited("{upstream_probe_ms: 0}");
    assert!(probed(&mut stage).is_none());
    assert_eq!(stage.core.counters.upstream_probes.read(), 0);
}

#[test]
fn a_probe_that_hangs_is_a_failure_and_the_next_one_has_its_time() {
    let silent = Link { connect_delay: Duration::from_secs(60), ..Link::default() };
    let mut stage = Stage::limited(1, silent, DOCUMENTS, "{connect_ms_max: 50000}");
    for count in 1..=5 {
        assert!(probed(&mut stage).is_none());
        stage.simulation.advance(EVERY / 2);
        stage.simulation.settle();
        assert_eq!(stage.core.counters.upstream_probes_failed.read(), count);
        probe::begin(&stage.core);
        assert_eq!(stage.core.counters.upstream_probes.read(), count, "not at once");
    }
    assert_eq!(endpoint(&stage).health(), Health::Down);
}

#[test]
fn an_endpoint_whose_request_timed_out_is_asked_for_its_health() {
    let mut stage = Stage::new();
    let now = stage.core.network.now();
    endpoint(&stage).learn(Some(&Reason::UpstreamTimeout(Limit::FirstByte)), now);
    let mut server = probed(&mut stage).unwrap();
    let head = stage.simulation.run_until(server.read_until(b"\r\n\r\n")).unwrap().unwrap();
    assert!(head.starts_with(b"GET /health "));
}

#[test]
fn an_endpoint_that_can_t_be_connected_to_from_here_is_not_probed() {
    let documents = DOCUMENTS.replace(
        "[\"http://127.0.0.1:8080\"]",
        "[\"https://127.0.0.1:8080\"]\ntls: {client_certificate: {secret: not-here}}",
    );
    let mut stage = Stage::with(1, Link::default(), &documents);
    assert!(probed(&mut stage).is_none());
    assert_eq!(stage.core.counters.upstream_probes.read(), 0);
}
