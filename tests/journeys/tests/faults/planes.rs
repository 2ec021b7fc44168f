//! Planes that are killed.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use penstock_harness::{
    AutonomousUpstream, Dev, RawClient, Signal, eventually, is_running, signal,
};
use penstock_journeys::{documents, requests};

use super::{engineer, exchange};

const CALLERS: usize = 4;

/// What callers saw who ask without a pause.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicUsize,
}

impl Load {
    /// Asks on one connection until it is told to stop; fails at the first request that is lost.
    fn ask(&self, gateway: &str, token: &str) {
        let mut client = RawClient::connect(gateway);
        while !self.stop.load(Ordering::SeqCst) {
            let response = client.exchange(requests::chat(token));
            assert_eq!(response.status, 200, "{}", response.text());
            self.answered.fetch_add(1, Ordering::SeqCst);
            if response.header("connection") == Some("close") {
                client = RawClient::connect(gateway);
            }
        }
    }

    /// Waits until so many more requests were answered.
    fn go_on(&self, count: usize) {
        let goal = self.answered.load(Ordering::SeqCst) + count;
        eventually("requests that are answered", || {
            (self.answered.load(Ordering::SeqCst) >= goal).then_some(())
        });
    }
}

/// Stops the load also when the test fails.
struct Stopping<'l>(&'l Load);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_control_plane_that_is_killed_costs_no_request_and_the_next_change_arrives() {
    let upstream = AutonomousUpstream::start();
    let dev = Dev::start(&documents::usual(&upstream.url()));
    let token = engineer(&dev);
    let (load, gateway) = (Load::default(), dev.ready().gateway.clone());
    thread::scope(|scope| {
        let stopping = Stopping(&load);
        for _ in 0..CALLERS {
            scope.spawn(|| load.ask(&gateway, &token));
        }
        load.go_on(100);
        let killed = dev.pids().controlplane;
        signal(killed, Signal::KILL);
        eventually("its end", || (!is_running(killed)).then_some(()));
        load.go_on(100);
        eventually("another one", || (dev.pids().controlplane != killed).then_some(()));
        eventually("its answers", || (dev.penstock(&["nodes", "list"]).code == 0).then_some(()));
        let sales = dev.token("eve", &["sales"], &[]);
        assert_eq!(exchange(&dev, &requests::models(&sales)).status, 404);
        let applied = dev.apply(&documents::allow("more", "sales", "list"));
        assert_eq!(applied.code, 0, "{}", applied.stderr);
        assert_eq!(exchange(&dev, &requests::models(&sales)).status, 200);
        load.go_on(100);
        drop(stopping);
    });
}

#[test]
fn a_data_plane_that_is_killed_serves_again_at_the_same_address() {
    let upstream = AutonomousUpstream::start();
    let dev = Dev::start(&documents::usual(&upstream.url()));
    let token = engineer(&dev);
    assert_eq!(exchange(&dev, &requests::chat(&token)).status, 200);
    let killed = dev.pids().dataplane;
    signal(killed, Signal::KILL);
    eventually("another one", || (dev.pids().dataplane != killed).then_some(()));
    let address = dev.ready().gateway.trim_start_matches("http://");
    eventually("a place to connect to", || TcpStream::connect(address).ok());
    eventually("a policy in force", || {
        (exchange(&dev, &requests::chat(&token)).status != 503).then_some(())
    });
    assert_eq!(exchange(&dev, &requests::chat(&token)).status, 200);
    // It has the policy and is told of the next one as the first was.
    let applied = dev.apply(&documents::allow("more", "sales", "list"));
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let nodes = dev.penstock(&["nodes", "list", "--output", "json"]).json();
    assert_eq!(nodes.as_array().map(Vec::len), Some(1), "it joined no second time: {nodes}");
}
