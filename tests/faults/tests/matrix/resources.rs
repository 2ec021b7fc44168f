//! Something of the machine is used up: what runs goes on, what comes new waits or is refused, and
//! it is over when there is room again. A full disk is played by a limit on the size of files,
//! which needs no privilege: every write fails, as it does where no block is left.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use penstock_faults::{Node, World, code, usual};
use penstock_harness::{
    AutonomousUpstream, ClientError, Dev, DevOptions, Gate, RawClient, Script, ScriptedUpstream,
    documents, eventually, program, requests,
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

const BEGUN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                     transfer-encoding: chunked\r\n\r\n10\r\ndata: {\"n\": 1}\n\n\r\n";
const ENDED: &str = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

/// Sets a soft limit of a process; `None`: as high as it may be.
fn limit(id: u32, resource: Resource, current: Option<u64>) {
    let name = match resource {
        Resource::Fsize => "Max file size",
        Resource::Nofile => "Max open files",
        other => panic!("no name: {other:?}"),
    };
    let text = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let values = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let maximum = values.split_whitespace().nth(1).unwrap().parse().ok();
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    prlimit(pid, resource, Rlimit { current: current.or(maximum), maximum }).unwrap();
}

#[test]
fn disk_full_under_the_nodes_state_callers_notice_nothing_and_the_operator_is_told() {
    const LOST: &str = "penstock_record_log_lines_lost_total";
    let upstream = AutonomousUpstream::start();
    let world = World::start(&upstream.url());
    let kept = world.node.state().join("snapshot.signed");
    let first = world.control.signed();
    world.node.expect_kept(&first);
    limit(world.node.id(), Resource::Fsize, Some(0));
    // The next policy is enforced all the same: a revocation does not wait for a disk.
    world.publish(&usual(&upstream.url()).replace("infer.*, list", "infer.*"));
    assert_eq!(world.chat().status, 200);
    assert_eq!(world.node.ask(&requests::models(&world.token())).status, 403);
    eventually("the operator is told", || {
        world.control.refusal().filter(|told| told.contains("can't be kept on disk"))
    });
    eventually("lines that are lost are counted", || {
        (world.node.metric(LOST, "") > 0).then_some(())
    });
    assert_eq!(fs::read(&kept).unwrap(), first, "the old file is whole");
    limit(world.node.id(), Resource::Fsize, None);
    world.publish(&usual(&upstream.url()));
    world.node.expect_kept(&world.control.signed());
    assert_eq!(world.chat().status, 200);
    let lines = || fs::read_to_string(world.node.access_log()).unwrap().lines().count();
    let before = lines();
    eventually("the access log goes on", || {
        assert_eq!(world.chat().status, 200);
        (lines() > before).then_some(())
    });
}

#[test]
fn disk_full_under_the_store_changes_are_refused_and_callers_notice_nothing() {
    let upstream = AutonomousUpstream::start();
    let folder = tempfile::tempdir().unwrap();
    // A write beyond the limit shall fail, not kill.
    let script = folder.path().join("penstock");
    let text = format!("#!/bin/sh\ntrap '' 25\nexec '{}' \"$@\"\n", program("penstock").display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let dev = Dev::start_with(DevOptions {
        documents: vec![documents::usual(&upstream.url())],
        program: Some(script),
        ..DevOptions::default()
    });
    let token = dev.token("ada", &["engineers"], &[]);
    let chat = || RawClient::connect(&dev.ready().gateway).exchange(requests::chat(&token)).status;
    let versions = || dev.penstock(&["versions", "list", "--output", "json"]).stdout;
    let before = versions();
    let controlplane = dev.pids().controlplane;
    limit(controlplane, Resource::Fsize, Some(0));
    let more = documents::allow("more", "sales", "list");
    let refused = dev.apply(&more);
    assert_eq!(refused.code, 1, "{}{}", refused.stdout, refused.stderr);
    assert!(!refused.stderr.is_empty());
    assert_eq!(chat(), 200);
    assert_eq!(versions(), before, "nothing is changed, and what is there can be read");
    limit(controlplane, Resource::Fsize, None);
    let applied = dev.apply(&more);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert_ne!(versions(), before);
    assert_eq!(dev.pids().controlplane, controlplane, "the same process all along");
}

/// One more than the highest number of an open descriptor.
fn descriptors(node: &Node) -> u64 {
    let open = fs::read_dir(format!("/proc/{}/fd", node.id())).unwrap();
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
    numbers.max().unwrap() + 1
}

#[test]
fn descriptors_used_up_new_connections_wait_and_existing_ones_go_on() {
    let upstream = AutonomousUpstream::start();
    let world = World::start(&upstream.url());
    let chat = requests::chat(&world.token());
    let mut existing = world.node.client();
    assert_eq!(existing.exchange(&chat).status, 200);
    limit(world.node.id(), Resource::Nofile, Some(descriptors(&world.node)));
    let mut others = Vec::new();
    let mut waiting = eventually("a connection that is not accepted", || {
        let mut client = world.node.client();
        client.set_patience(Duration::from_millis(300));
        client.send(&chat);
        match client.read_response() {
            Err(ClientError::Timeout(_)) => Some(client),
            Ok(_) | Err(_) => {
                others.push(client);
                None
            }
        }
    });
    for _ in 0..10 {
        assert_eq!(existing.exchange(&chat).status, 200);
    }
    limit(world.node.id(), Resource::Nofile, None);
    waiting.set_patience(penstock_harness::PATIENCE);
    assert_eq!(waiting.read_response().unwrap().status, 200, "it recovers by itself");
    assert!(world.node.metric("penstock_accept_failures_total", "") > 0);
}

#[test]
fn memory_pressure_new_requests_are_503_streams_go_on_and_it_is_over_by_itself() {
    let gate = Gate::new();
    let script = Script::new().read_request().send(BEGUN).wait(&gate).send(ENDED);
    let streaming = ScriptedUpstream::start(vec![script]);
    let quick = AutonomousUpstream::start();
    let documents =
        usual(&quick.url()) + &documents::connection("stream", "openai", &streaming.url());
    let settings = "limits: {buffer_bytes_per_core_max: 1048576}\n";
    let world = World::start_with(&documents, settings);
    let token = world.token();
    let mut reader = world.node.client();
    let chat = requests::CHAT_STREAMED;
    reader.send(requests::post("/stream/v1/chat/completions", &token, chat));
    reader.read_until(b"data: {\"n\": 1}").unwrap();
    let mut holding = Vec::new();
    let refused = eventually("a request that is refused", || {
        for _ in 0..16 {
            let mut client = world.node.client();
            client.send(b"GET / HTTP/1.1\r\nHost: ");
            holding.push(client);
        }
        Some(world.chat()).filter(|response| response.status != 200)
    });
    assert_eq!((refused.status, code(&refused).as_str()), (503, "overloaded"));
    assert!(refused.header("retry-after").is_some());
    assert!(world.node.ended("overloaded") > 0);
    eventually("the level", || {
        (world.node.metric("penstock_reactor_buffers_bytes", "") > 900_000).then_some(())
    });
    gate.open();
    reader.read_until(b"data: [DONE]").unwrap();
    drop(holding);
    eventually("the end of the pressure", || (world.chat().status == 200).then_some(()));
}

/// Set when it is dropped, also by a test that fails.
struct Ends<'f>(&'f AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn cpu_starvation_health_answers_still_come() {
    let upstream = AutonomousUpstream::start();
    let world = World::start(&upstream.url());
    let over = AtomicBool::new(false);
    let neighbours = 4 * thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..neighbours {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let ends = Ends(&over);
        for _ in 0..20 {
            assert_eq!(world.node.operations("/healthz").status, 200);
            assert_eq!(world.node.operations("/readyz").status, 200);
            assert_eq!(world.chat().status, 200);
        }
        drop(ends);
    });
    world.node.expect_ended("served", 20);
}
