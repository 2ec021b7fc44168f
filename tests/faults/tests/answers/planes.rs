//! A data plane that is killed.

use std::net::TcpStream;

use penstock_harness::{AutonomousUpstream, Dev, Signal, documents, eventually, requests, signal};

use super::{engineer, exchange};

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
