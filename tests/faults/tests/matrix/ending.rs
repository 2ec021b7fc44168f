//! Ends that were asked for, and the restart of the control plane, under load.

use std::net::TcpStream;

use penstock_faults::{World, usual};
use penstock_harness::{
    AutonomousUpstream, Dev, Gate, RawClient, Script, ScriptedUpstream, Signal, documents,
    eventually, is_running, requests, signal,
};

use crate::load::Load;

const BEGUN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                     transfer-encoding: chunked\r\n\r\n10\r\ndata: {\"n\": 1}\n\n\r\n";
const ENDED: &str = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

#[test]
fn sigterm_during_load_streams_finish_and_no_answer_is_lost() {
    let gate = Gate::new();
    let script = Script::new().read_request().send(BEGUN).wait(&gate).send(ENDED);
    let streaming = ScriptedUpstream::start(vec![script]);
    let quick = AutonomousUpstream::start();
    let documents =
        usual(&quick.url()) + &documents::connection("stream", "openai", &streaming.url());
    let mut world = World::start_with(&documents, "");
    let token = world.token();
    let mut reader = world.node.client();
    let chat = requests::CHAT_STREAMED;
    reader.send(requests::post("/stream/v1/chat/completions", &token, chat));
    reader.read_until(b"data: {\"n\": 1}").unwrap();
    let load = Load::new(world.node.gateway(), &requests::chat(&token));
    load.run(8, || {
        load.go_on(200);
        load.allow_closing();
        signal(world.node.id(), Signal::TERM);
        let address = world.node.gateway();
        eventually("nobody new is let in", || TcpStream::connect(address).err());
    });
    let ready = world.node.operations("/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (503, "not ready: draining\n"));
    assert!(is_running(world.node.id()), "it waits for the stream");
    gate.open();
    reader.read_until(b"data: [DONE]").unwrap();
    assert!(reader.read_to_end().unwrap().ends_with(b"0\r\n\r\n"));
    let status = world.node.process().wait(penstock_harness::PATIENCE).unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn sigterm_beyond_the_drains_limit_cuts_what_is_open() {
    let script = Script::new().read_request().send(BEGUN).stall();
    let upstream = ScriptedUpstream::start(vec![script]);
    let mut world = World::start_with(&usual(&upstream.url()), "limits: {drain_ms_max: 300}\n");
    let mut reader = world.node.client();
    reader.send(requests::streamed_chat(&world.token()));
    reader.read_until(b"data: {\"n\": 1}").unwrap();
    world.node.process().terminate();
    let rest = String::from_utf8(reader.read_to_end().unwrap()).unwrap();
    assert!(rest.contains("\"draining\"") && !rest.contains("[DONE]"), "{rest}");
    let status = world.node.process().wait(penstock_harness::PATIENCE).unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_second_sigterm_cuts_what_is_open_now() {
    let script = Script::new().read_request().send(BEGUN).stall();
    let upstream = ScriptedUpstream::start(vec![script]);
    let mut world = World::start_with(&usual(&upstream.url()), "");
    let mut reader = world.node.client();
    reader.send(requests::streamed_chat(&world.token()));
    reader.read_until(b"data: {\"n\": 1}").unwrap();
    signal(world.node.id(), Signal::TERM);
    let address = world.node.gateway();
    eventually("nobody new is let in", || TcpStream::connect(address).err());
    signal(world.node.id(), Signal::TERM);
    let rest = String::from_utf8(reader.read_to_end().unwrap()).unwrap();
    assert!(rest.contains("\"draining\"") && !rest.contains("[DONE]"), "{rest}");
    let status = world.node.process().wait(penstock_harness::PATIENCE).unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn control_plane_killed_under_load_no_request_is_lost_and_its_restart_resumes_the_feed() {
    let upstream = AutonomousUpstream::start();
    let dev = Dev::start(&documents::usual(&upstream.url()));
    let token = dev.token("ada", &["engineers"], &[]);
    let sales = dev.token("eve", &["sales"], &[]);
    let models = |token: &str| {
        RawClient::connect(&dev.ready().gateway).exchange(requests::models(token)).status
    };
    let load = Load::new(&dev.ready().gateway, &requests::chat(&token));
    load.run(32, || {
        load.go_on(500);
        let killed = dev.pids().controlplane;
        signal(killed, Signal::KILL);
        eventually("its end", || (!is_running(killed)).then_some(()));
        load.go_on(500);
        eventually("another one", || (dev.pids().controlplane != killed).then_some(()));
        eventually("its answers", || (dev.penstock(&["nodes", "list"]).code == 0).then_some(()));
        assert_eq!(models(&sales), 404);
        let applied = dev.apply(&documents::allow("more", "sales", "list"));
        assert_eq!(applied.code, 0, "{}", applied.stderr);
        assert_eq!(models(&sales), 200);
        load.go_on(500);
    });
    assert!(load.answered() > 1_000);
}
