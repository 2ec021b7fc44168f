//! Access just in time in front of llama.cpp with real weights: one model server, which wants a key
//! that no caller has, and every way in which a question about it is answered.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use penstock_harness::{Dev, DevOptions, Output, Process, RawClient, Response, eventually, run};
use penstock_journeys::tools;
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = "a-key-that-only-the-gateway-has";
/// `whsec_` and base64 of 32 bytes.
const HOOK_KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const CHANGE: &str = "[]";

const POLICY: &str = "
kind: connection
name: m
protocol: llamacpp
version: b11434
endpoints: [ENDPOINT]
credential: {secret: model-key, scheme: bearer}
---
kind: rule
name: contractors-infer
effect: allow
subjects: [{groups: [contractors]}]
operations: [infer.*]
---
kind: rule
name: changes
effect: approve
subjects: [{groups: [contractors]}]
operations: [adapter.*]
approval: {reviewers: [{groups: [leads]}, {users: [bridge]}], hold_ms_max: 20000}
---
kind: rule
name: short-questions
effect: approve
subjects: [{groups: [hasty]}]
operations: [adapter.*]
approval:
  reviewers: [{groups: [leads]}]
  hold_ms_max: 10000
  answer_ms_max: 1000
  break_glass: {subjects: [{users: [olga]}]}
---
kind: rule
name: guests-need-two
effect: approve
subjects: [{groups: [guests]}]
operations: [infer.chat]
approval:
  one_from_each: [{groups: [leads]}, {groups: [security]}]
  quorum: 2
  hold_ms_max: 20000
---
kind: webhook
name: bridge
url: http://127.0.0.1:9/hook
secret: hook-key
answers_as: {issuer: dev, subject: bridge}
---
kind: person
name: carl
identities: [{issuer: dev, subject: carl}, {issuer: dev, subject: carl-admin}]
---
kind: role
name: more-admins
role: admin
subjects: [{users: [carl-admin]}]
";

/// llama.cpp, and the product in front of it.
struct Stage {
    dev: Dev,
    model: String,
    _server: Process,
    _folder: TempDir,
}

impl Stage {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        fs::write(&key, KEY).unwrap();
        let mut command = Command::new(tools::python());
        command.arg(tools::repository_file("tests/python/model_server.py"));
        command.arg("--api-key-file").arg(&key);
        let server = Process::spawn(command, &folder.path().join("stderr.log"));
        // The first line says that it is ready: weights take their time on a machine that is busy.
        let line = server.line(Duration::from_secs(120)).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let policy = POLICY.replace("ENDPOINT", ready["listen"].as_str().unwrap());
        let dev = Dev::start_with(DevOptions {
            documents: vec![policy],
            environment: [("MODEL_KEY", KEY), ("HOOK_KEY", HOOK_KEY)]
                .map(|(name, value)| (format!("PENSTOCK_SECRET_{name}"), value.to_owned()))
                .to_vec(),
            ..DevOptions::default()
        });
        let model = ready["model"].as_str().unwrap().to_owned();
        Self { dev, model, _server: server, _folder: folder }
    }

    fn client(&self) -> RawClient {
        let mut client = RawClient::connect(&self.dev.ready().gateway);
        client.set_patience(Duration::from_secs(60));
        client
    }

    /// Sends a change, and does not wait for its answer.
    fn change(&self, token: &str, headers: &str) -> RawClient {
        let mut client = self.client();
        client.send(format!(
            "POST /m/lora-adapters HTTP/1.1\r\nHost: gateway.test\r\n\
             Authorization: Bearer {token}\r\n{headers}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{CHANGE}",
            CHANGE.len(),
        ));
        client
    }

    /// Begins a chat that goes on for as long as it may.
    fn chat(&self, token: &str) -> RawClient {
        let body = json!({
            "model": self.model, "stream": true, "max_tokens": 1_900, "ignore_eos": true,
            "messages": [{"role": "user", "content": "Tell a very long story about a river."}],
        });
        let mut client = self.client();
        let request =
            penstock_journeys::requests::post("/m/v1/chat/completions", token, &body.to_string());
        client.send(request);
        client
    }

    /// The newest approval of somebody that is in this state, once there is one.
    fn approval(&self, user: &str, state: &str) -> String {
        eventually(&format!("an approval of {user} that is {state}"), || {
            let listed = self.dev.penstock(&["approvals", "list", "--output", "json"]);
            let rows: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
            let row = rows.iter().find(|row| row["state"] == state && row["user"] == user)?;
            Some(row["id"].as_str().unwrap().to_owned())
        })
    }

    /// Runs a command as somebody; its exit status.
    fn by(&self, who: &str, groups: &str, arguments: &[&str]) -> i32 {
        let mut all = arguments.to_vec();
        all.extend(["--as-user", who, "--as-groups", groups]);
        self.dev.penstock(&all).code
    }

    /// Sends a signed answer; the status. `age_s`: how long ago it says to have been signed.
    fn signed_answer(&self, key: &str, id: &str, approval: &str, age_s: u64) -> u16 {
        let body = json!({"approval": approval, "answer": "approve"}).to_string();
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let timestamp = (now_s - age_s).to_string();
        let signature = signature(key, &format!("{id}.{timestamp}.{body}"));
        let mut client = RawClient::connect(&self.dev.ready().api);
        let answer = client.exchange(format!(
            "POST /api/v1/webhooks/bridge/answers HTTP/1.1\r\nHost: penstock.test\r\n\
             webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\n\
             webhook-signature: v1,{signature}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len(),
        ));
        answer.status
    }
}

/// HMAC-SHA256 by another implementation than the product's: Python's.
fn signature(key: &str, text: &str) -> String {
    const PROGRAM: &str = "import base64, hashlib, hmac, sys\n\
        key, text = sys.stdin.read().split('\\n', 1)\n\
        key = base64.b64decode(key.removeprefix('whsec_'))\n\
        made = hmac.new(key, text.encode(), hashlib.sha256).digest()\n\
        print(base64.b64encode(made).decode())";
    let mut command = Command::new(tools::python());
    command.args(["-c", PROGRAM]);
    let Output { code, stdout, stderr } =
        run(command, &format!("{key}\n{text}"), Duration::from_secs(20));
    assert_eq!(code, 0, "{stderr}");
    stdout.trim().to_owned()
}

#[track_caller]
fn refused(response: &Response, status: u16, code: &str) {
    let body = response.message.json();
    assert_eq!((response.status, &body["error"]["code"]), (status, &json!(code)), "{body}");
}

#[track_caller]
fn cut(mut client: RawClient) {
    let rest = client.read_to_end().unwrap();
    let text = String::from_utf8_lossy(&rest);
    assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
}

#[test]
fn every_answer_to_a_question_holds_in_front_of_a_real_model_server() {
    let stage = Stage::start();
    once_by_a_second_person(&stage);
    by_a_signed_message(&stage);
    never_by_oneself(&stage);
    nobody_answers_or_the_glass_is_broken(&stage);
    two_groups_then_revoked_in_mid_stream(&stage);
    offboarded_in_mid_stream(&stage);
}

fn once_by_a_second_person(stage: &Stage) {
    let token = stage.dev.token("carl", &["contractors"], &[]);
    let mut held = stage.change(&token, "");
    let approval = stage.approval("carl", "pending");
    assert_eq!(stage.by("lea", "leads", &["approve", &approval]), 0);
    assert_eq!(held.read_response().unwrap().status, 200, "the model server's own answer");
    let mut again = stage.change(&token, "");
    let second = stage.approval("carl", "pending");
    assert_ne!(approval, second, "once was once");
    assert_eq!(stage.by("lea", "leads", &["deny", &second, "--reason", "once"]), 0);
    refused(&again.read_response().unwrap(), 403, "approval_denied");
}

fn by_a_signed_message(stage: &Stage) {
    let token = stage.dev.token("carl", &["contractors"], &[]);
    let mut held = stage.change(&token, "");
    let approval = stage.approval("carl", "pending");
    let forged = "whsec_ZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY=";
    assert_eq!(stage.signed_answer(forged, "msg_1", &approval, 0), 401, "forged");
    assert_eq!(stage.signed_answer(HOOK_KEY, "msg_2", &approval, 600), 401, "late");
    assert_eq!(stage.approval("carl", "pending"), approval);
    assert_eq!(stage.signed_answer(HOOK_KEY, "msg_3", &approval, 0), 200);
    assert_eq!(held.read_response().unwrap().status, 200);
    assert_eq!(stage.signed_answer(HOOK_KEY, "msg_3", &approval, 0), 409, "replayed");
}

fn never_by_oneself(stage: &Stage) {
    let mut held = stage.change(&stage.dev.token("carl", &["contractors"], &[]), "");
    let approval = stage.approval("carl", "pending");
    for who in ["carl", "carl-admin"] {
        assert_eq!(stage.by(who, "contractors,leads", &["approve", &approval]), 3, "{who}");
    }
    assert_eq!(stage.by("lea", "leads", &["deny", &approval, "--reason", "no"]), 0);
    refused(&held.read_response().unwrap(), 403, "approval_denied");
}

fn nobody_answers_or_the_glass_is_broken(stage: &Stage) {
    let token = stage.dev.token("olga", &["hasty"], &[]);
    refused(&stage.change(&token, "").read_response().unwrap(), 403, "approval_denied");
    assert!(stage.approval("olga", "expired").starts_with("apr-"));
    let glass = "penstock-break-glass: true\r\npenstock-reason: the pager rang\r\n";
    assert_eq!(stage.change(&token, glass).read_response().unwrap().status, 200);
    let broken = stage.approval("olga", "spent");
    let review = ["approvals", "close-review", &broken];
    assert_eq!(stage.by("olga", "hasty,leads", &review), 3, "not by who broke it");
    let because = ["approvals", "justify", &broken, "production was down"];
    assert_eq!(stage.by("olga", "hasty", &because), 0);
    assert_eq!(stage.by("lea", "leads", &review), 0);
}

fn two_groups_then_revoked_in_mid_stream(stage: &Stage) {
    let mut held = stage.chat(&stage.dev.token("gil", &["guests"], &[]));
    let approval = stage.approval("gil", "pending");
    assert_eq!(stage.by("both", "leads,security", &["approve", &approval]), 0);
    assert_eq!(stage.approval("gil", "pending"), approval, "one person is no quorum of both");
    assert_eq!(stage.by("sam", "security", &["approve", &approval]), 0);
    held.read_until(b"data: ").unwrap();
    let grant = approval.replace("apr-", "grt-");
    assert_eq!(stage.dev.penstock(&["grants", "revoke", &grant]).code, 0);
    cut(held);
}

fn offboarded_in_mid_stream(stage: &Stage) {
    let token = stage.dev.token("cora", &["contractors"], &[]);
    let mut running = stage.chat(&token);
    running.read_until(b"data: ").unwrap();
    assert_eq!(stage.dev.penstock(&["revoke", "identity", "dev", "cora"]).code, 0);
    cut(running);
    refused(&stage.chat(&token).read_response().unwrap(), 401, "unauthenticated");
}
