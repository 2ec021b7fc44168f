//! Ends that were asked for.

use std::time::Duration;

use penstock_harness::{
    AutonomousUpstream, Dev, Gate, Script, ScriptedUpstream, Signal, documents, eventually,
    is_running, requests, signal,
};

use super::{client, engineer};

const BEGUN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                     transfer-encoding: chunked\r\n\r\n10\r\ndata: {\"n\": 1}\n\n\r\n";
const ENDED: &str = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

#[test]
fn dev_ends_with_status_0_when_it_is_asked_and_leaves_no_process() {
    let upstream = AutonomousUpstream::start();
    upstream.set_events(1_000, Duration::from_millis(10));
    let mut dev = Dev::start(&documents::usual(&upstream.url()));
    let token = engineer(&dev);
    let mut reader = client(&dev);
    reader.send(requests::streamed_chat(&token));
    reader.read_until(b"word1 ").unwrap();
    let pids = dev.pids();
    assert!(is_running(pids.dataplane) && is_running(pids.controlplane));
    let status = dev.stop().expect("it ends, although a stream is open");
    assert_eq!(status.code(), Some(0), "{}", dev.stderr());
    assert!(!is_running(pids.dataplane) && !is_running(pids.controlplane));
}

#[test]
fn dev_that_is_killed_takes_both_planes_with_it() {
    let upstream = AutonomousUpstream::start();
    let mut dev = Dev::start(&documents::usual(&upstream.url()));
    let pids = dev.pids();
    dev.process().kill();
    for pid in [pids.dataplane, pids.controlplane] {
        eventually("the end of a plane", || (!is_running(pid)).then_some(()));
    }
}

#[test]
fn a_data_plane_that_is_asked_to_end_lets_a_running_stream_finish() {
    let gate = Gate::new();
    let script = Script::new().read_request().send(BEGUN).wait(&gate).send(ENDED);
    let upstream = ScriptedUpstream::start(vec![script]);
    let dev = Dev::start(&documents::usual(&upstream.url()));
    let token = engineer(&dev);
    let mut reader = client(&dev);
    reader.send(requests::streamed_chat(&token));
    reader.read_until(b"data: {\"n\": 1}").unwrap();
    let before = dev.pids().dataplane;
    let address = dev.ready().gateway.trim_start_matches("http://").to_owned();
    signal(before, Signal::TERM);
    eventually("nobody new is let in", || std::net::TcpStream::connect(&address).err());
    assert!(is_running(before), "it waits for the stream");
    gate.open();
    reader.read_until(b"data: [DONE]").unwrap();
    assert!(reader.read_to_end().unwrap().ends_with(b"0\r\n\r\n"));
    eventually("it ends after the stream", || (!is_running(before)).then_some(()));
}
