//! A node whose control plane is away, and policies that are not what they should be: what was
//! proved to be in force is enforced, and nothing else.

use std::fs;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penstock_faults::code;
use penstock_harness::{
    AutonomousUpstream, Dev, Process, RawClient, Response, Signal, documents, eventually, program,
    requests, signal,
};
use serde_json::{Value, json};

use super::engineer;

/// A development state whose planes have ended: `m` takes no credential, `keyed` takes one.
struct Stage {
    dev: Dev,
    token: String,
    upstream: AutonomousUpstream,
}

impl Stage {
    fn start() -> Self {
        let upstream = AutonomousUpstream::start();
        let documents = documents::usual(&upstream.url())
            + &documents::connection_with_secret("keyed", &upstream.url(), "model-key");
        let dev = Dev::start(&documents);
        let token = engineer(&dev);
        let set = dev.penstock_with_input(&["secret", "set", "model-key"], "the-key");
        assert_eq!(set.code, 0, "{}", set.stderr);
        let stage = Self { dev, token, upstream };
        eventually("the key is there", || (stage.ask("keyed").status == 200).then_some(()));
        let _ = stage.upstream.take_seen();
        stage
    }

    fn ended() -> Self {
        let mut stage = Self::start();
        stage.end();
        stage
    }

    fn end(&mut self) {
        assert_eq!(self.dev.stop().and_then(|status| status.code()), Some(0));
    }

    /// The data plane alone, on the same state and address.
    fn dataplane(&self) -> Process {
        let mut command = Command::new(program("penstock-dataplane"));
        command.arg("--development").arg("--config").arg(self.file("../dataplane.yaml"));
        Process::spawn_with_input(command, &self.dev.folder().join("dataplane.stderr"))
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.dev.state().join("dataplane").join(name)
    }

    fn ask(&self, connection: &str) -> Response {
        let request = requests::get(&format!("/{connection}/v1/models"), &self.token);
        RawClient::connect(&self.dev.ready().gateway).exchange(request)
    }

    /// The node runs, says why it enforces nothing, and lets nobody through.
    fn assert_enforces_nothing(&self, why: &str) {
        let node = self.dataplane();
        eventually("the node says what is wrong", || node.stderr().contains(why).then_some(()));
        let response = self.ask("m");
        assert_eq!((response.status, code(&response).as_str()), (503, "policy_stale"));
        let mut operations = RawClient::connect(&self.dev.ready().operations);
        let ready = operations.exchange("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((ready.status, ready.text().as_str()), (503, "not ready: no policy yet\n"));
        assert_eq!(self.upstream.seen().len(), 0);
    }
}

fn read(file: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn write(file: &std::path::Path, value: &Value) {
    fs::write(file, value.to_string()).unwrap();
}

#[test]
fn a_node_without_its_control_plane_enforces_its_last_policy_and_has_no_credentials() {
    let stage = Stage::ended();
    let node = stage.dataplane();
    let ready = node.json_line();
    assert_eq!(ready["listen"], stage.dev.ready().gateway.trim_start_matches("http://"));
    assert_eq!(stage.ask("m").status, 200);
    let response = stage.ask("keyed");
    assert_eq!((response.status, code(&response).as_str()), (503, "credential_unavailable"));
    assert_eq!(stage.upstream.seen().len(), 1, "what needs a key is not sent without one");
    let mut caller = RawClient::connect(&stage.dev.ready().gateway);
    let denied = caller.exchange(requests::get("/m/v1/nothing", &stage.token));
    assert_eq!((denied.status, code(&denied).as_str()), (403, "denied"));
    let wrong = caller.exchange(requests::models("not-a-token"));
    assert_eq!(wrong.status, 401);
    let mut operations = RawClient::connect(&stage.dev.ready().operations);
    let metrics = operations.exchange("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").text();
    assert!(metrics.contains("\npenstock_sync_control_connected 0\n"), "{metrics}");
}

#[test]
fn a_policy_that_was_changed_on_disk_is_not_enforced() {
    let stage = Stage::ended();
    let file = stage.file("snapshot.signed");
    let mut signed = read(&file);
    let payload = STANDARD.decode(signed["payload"].as_str().unwrap()).unwrap();
    let changed = String::from_utf8(payload).unwrap().replace("engineers", "everybody");
    signed["payload"] = json!(STANDARD.encode(changed));
    write(&file, &signed);
    stage.assert_enforces_nothing("a snapshot was refused: the signature does not hold");
}

#[test]
fn a_policy_signed_with_a_key_that_is_not_trusted_is_not_enforced() {
    let stage = Stage::ended();
    let file = stage.file("snapshot.signed");
    let mut signed = read(&file);
    signed["key"] = json!("0123456789abcdef");
    write(&file, &signed);
    stage.assert_enforces_nothing("a snapshot was refused: signed with an unknown key");
}

#[test]
fn a_policy_of_another_cluster_is_not_enforced() {
    let (stage, other) = (Stage::ended(), Stage::ended());
    fs::copy(other.file("snapshot.signed"), stage.file("snapshot.signed")).unwrap();
    stage.assert_enforces_nothing("a snapshot was refused: signed with an unknown key");
}

#[test]
fn an_older_policy_is_not_enforced_again() {
    let mut stage = Stage::start();
    let file = stage.file("snapshot.signed");
    let older = fs::read(&file).unwrap();
    let more = stage.dev.apply(&documents::allow("more", "sales", "list"));
    assert_eq!(more.code, 0, "{}", more.stderr);
    eventually("the newer one is on disk", || (fs::read(&file).unwrap() != older).then_some(()));
    stage.end();
    fs::write(&file, older).unwrap();
    stage.assert_enforces_nothing("a snapshot was refused: it is older than what was enforced");
}

#[test]
fn a_node_that_can_not_tell_how_far_it_was_enforces_nothing() {
    let stage = Stage::ended();
    fs::write(stage.file("progress.json"), "{").unwrap();
    stage.assert_enforces_nothing("how far this node was can't be read");
}

#[test]
fn a_control_plane_that_offers_less_than_was_enforced_is_refused_and_the_operator_is_told() {
    let stage = Stage::start();
    let mut progress = read(&stage.file("progress.json"));
    // The node's supervisor stands still, so that there is time to change what the node knows.
    let pids = stage.dev.pids();
    let supervisor = stage.dev.process_id();
    signal(supervisor, Signal::STOP);
    signal(pids.dataplane, Signal::KILL);
    progress["position"]["version"] = json!(1_000);
    write(&stage.file("progress.json"), &progress);
    signal(supervisor, Signal::CONT);
    let refused = eventually("the refusal in the list of nodes", || {
        let nodes = stage.dev.penstock(&["nodes", "list", "--output", "json"]);
        let nodes: Value = serde_json::from_str(&nodes.stdout).ok()?;
        nodes[0]["refused"].as_str().map(str::to_owned)
    });
    assert!(refused.contains("older than what was enforced"), "{refused}");
    let response = stage.ask("m");
    assert_eq!((response.status, code(&response).as_str()), (503, "policy_stale"));
}
