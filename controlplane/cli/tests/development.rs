//! `penstock dev` with planes that are shell scripts, and a scripted API.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage does not stand")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::{ScriptedApi, code, stderr, stdout};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says that it is ready once it has read its line, and ends when its input ends.
const CONTROLPLANE: &str = r#"#!/bin/sh
folder=$(dirname "$2")
env > "$folder/controlplane.env"
echo "$@" > "$folder/controlplane.arguments"
IFS= read -r line
echo "$line" >> "$folder/controlplane.input"
echo "{\"ready\":true,\"api\":\"$FAKE_API\",\"nodes\":\"https://127.0.0.1:1\"}"
exec cat > "$folder/controlplane.rest"
"#;

/// Keeps what it was given to join with.
const DATAPLANE: &str = r#"#!/bin/sh
folder=$(dirname "$2")
env > "$folder/dataplane.env"
cp "$folder/join.json" "$folder/joined.json"
echo '{"ready":true,"listen":"127.0.0.1:2","operations":"127.0.0.1:3"}'
exec cat > /dev/null
"#;

/// A folder with `penstock` and planes beside it, and a state.
struct Stage {
    api: ScriptedApi,
    folder: TempDir,
}

impl Stage {
    async fn new(controlplane: &str, dataplane: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let program = folder.path().join("penstock");
        fs::hard_link(env!("CARGO_BIN_EXE_penstock"), &program).unwrap();
        for (name, script) in [("controlplane", controlplane), ("dataplane", dataplane)] {
            let path = folder.path().join(format!("penstock-{name}"));
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let api = ScriptedApi::start().await;
        // The first call comes before the control plane has fetched the issuer's key.
        api.on("GET /api/v1/nodes", 401, &Value::Null);
        api.on(
            "GET /api/v1/nodes",
            200,
            &json!([{"id": "n", "connected": true, "cores": [{"epoch": 1, "version": 2}]}]),
        );
        api.on("POST /api/v1/nodes/join-files", 200, &json!({"token": "once"}));
        Self { api, folder }
    }

    async fn usual() -> Self {
        Self::new(CONTROLPLANE, DATAPLANE).await
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder.path().join("penstock"));
        command.args(arguments).arg("--state").arg(self.state()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path()).env("FAKE_API", &self.api.url);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    fn dev(&self, arguments: &[&str]) -> Command {
        self.command(&[&["dev", "--json", "--listen", "127.0.0.1:0"], arguments].concat())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.state().join(name)).unwrap()
    }

    fn record(&self) -> Value {
        serde_json::from_str(&self.read("dev.json")).unwrap()
    }
}

/// A `penstock dev` that said that it is ready.
struct Running {
    child: Child,
    ready: Value,
    stdout: BufReader<tokio::process::ChildStdout>,
}

impl Running {
    async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        timeout(PATIENCE, stdout.read_line(&mut line)).await.unwrap().unwrap();
        if line.is_empty() {
            panic!("{}", stderr(&child.wait_with_output().await.unwrap()));
        }
        Self { child, ready: serde_json::from_str(&line).unwrap(), stdout }
    }

    fn pid(&self, plane: &str) -> i32 {
        pid_of(&self.ready, plane)
    }

    /// SIGTERM; what it said on standard output after its first line.
    async fn end(mut self) -> String {
        signal(i32::try_from(self.child.id().unwrap()).unwrap(), Signal::TERM);
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0));
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

fn pid_of(record: &Value, plane: &str) -> i32 {
    i32::try_from(record["pids"][plane].as_i64().unwrap()).unwrap()
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A zombie that nobody has asked for is dead too.
fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn claims(token: &str) -> Value {
    let payload = token.trim_start_matches("Bearer ").split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_ready_line_names_every_address_and_nothing_follows_it() {
    let stage = Stage::usual().await;
    let running = Running::start(stage.dev(&[])).await;
    let ready = running.ready.clone();
    assert_eq!(ready["gateway"], "http://127.0.0.1:2");
    assert_eq!(ready["operations"], "http://127.0.0.1:3");
    assert_eq!(ready["api"], stage.api.url.as_str());
    assert_eq!(ready["state"], stage.state().to_str().unwrap());
    let issuer = ready["issuer"].as_str().unwrap();
    assert!(issuer.starts_with("http://127.0.0.1:"), "{issuer}");
    let pids = [running.pid("controlplane"), running.pid("dataplane")];
    assert!(pids.iter().all(|&pid| lives(pid)));
    assert_eq!(running.end().await, "");
    assert!(!pids.iter().any(|&pid| lives(pid)), "a plane goes on");
    let arguments = stage.read("controlplane.arguments");
    assert!(arguments.trim_end().ends_with("controlplane.yaml --development"), "{arguments}");
}

#[tokio::test]
async fn secrets_reach_the_control_plane_by_its_pipe_and_no_child_by_its_environment() {
    let stage = Stage::usual().await;
    let mut command = stage.dev(&[]);
    command.env("PENSTOCK_SECRET_LLAMA_KEY", "hunter2").env("PENSTOCK_TOKEN", "hunter3");
    let running = Running::start(command).await;
    assert_eq!(stage.read("controlplane.input"), "{\"secrets\":{\"llama-key\":\"hunter2\"}}\n");
    fs::remove_file(stage.state().join("controlplane.input")).unwrap();
    running.end().await;
    for entry in fs::read_dir(stage.state()).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read(&path).unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        assert!(!content.contains("hunter"), "{} holds a secret", path.display());
    }
}

#[tokio::test]
async fn documents_are_applied_as_one_set_by_a_short_lived_administrator() {
    let stage = Stage::usual().await;
    let applied = json!({"version": 2, "changed": [], "absent": [], "warnings": []});
    stage.api.on("POST /api/v1/documents/apply", 200, &applied);
    let files = ["a.yaml", "b.yaml"].map(|name| stage.folder.path().join(name));
    for file in &files {
        fs::write(file, "kind: rule\n").unwrap();
    }
    let [a, b] = files.each_ref().map(|file| file.to_str().unwrap());
    Running::start(stage.dev(&["--apply", a, "--apply", b])).await.end().await;
    let calls = stage.api.calls();
    let lines: Vec<&str> = calls.iter().map(|call| call.line.as_str()).collect();
    let expected = [
        "GET /api/v1/nodes",
        "GET /api/v1/nodes",
        "POST /api/v1/nodes/join-files",
        "POST /api/v1/documents/apply",
        "GET /api/v1/nodes",
    ];
    assert_eq!(lines, expected);
    let body: Value = serde_json::from_str(&calls[3].body).unwrap();
    assert_eq!(body["sources"].as_array().unwrap().len(), 2);
    let claims = claims(&calls[3].authorization);
    assert_eq!(claims["sub"], "dev-administrator");
    assert_eq!(claims["aud"], "penstock-api");
    let lifetime = claims["exp"].as_f64().unwrap() - claims["iat"].as_f64().unwrap();
    assert!(lifetime <= 61.0, "{lifetime}");
}

#[tokio::test]
async fn documents_with_problems_are_said_and_everything_is_ended() {
    let stage = Stage::usual().await;
    let problem = json!({"file": "a.yaml", "line": 1, "column": 2, "message": "no", "hint": "so"});
    let answer = json!({"title": "t", "status": 422, "problems": [problem]});
    stage.api.on("POST /api/v1/documents/apply", 422, &answer);
    let file = stage.folder.path().join("a.yaml");
    fs::write(&file, "kind: rule\n").unwrap();
    let output = stage.dev(&["--apply", file.to_str().unwrap()]).output().await.unwrap();
    assert_eq!(code(&output), 1);
    assert_eq!(stdout(&output), "");
    let expected = "a.yaml:1:2: no\n  hint: so\nerror: 1 problem: nothing was changed\n";
    assert_eq!(stderr(&output), expected);
    let record = stage.record();
    assert!(!lives(pid_of(&record, "controlplane")) && !lives(pid_of(&record, "dataplane")));
}

#[tokio::test]
async fn a_plane_that_dies_is_started_again_and_the_record_follows() {
    let stage = Stage::usual().await;
    let mut command = stage.dev(&[]);
    command.env("PENSTOCK_SECRET_A", "s");
    let running = Running::start(command).await;
    for plane in ["dataplane", "controlplane"] {
        let killed = running.pid(plane);
        signal(killed, Signal::KILL);
        until("the record names another process", || {
            let now = pid_of(&stage.record(), plane);
            now != killed && lives(now)
        })
        .await;
    }
    // A value that was set since the first start stays.
    let expected = "{\"secrets\":{\"a\":\"s\"}}\n{\"secrets\":{}}\n";
    until("it is told again", || stage.read("controlplane.input") == expected).await;
    let record = stage.record();
    assert_eq!(running.end().await, "");
    assert!(!lives(pid_of(&record, "controlplane")) && !lives(pid_of(&record, "dataplane")));
}

#[tokio::test]
async fn planes_end_when_dev_itself_is_killed() {
    let stage = Stage::usual().await;
    let running = Running::start(stage.dev(&[])).await;
    signal(i32::try_from(running.child.id().unwrap()).unwrap(), Signal::KILL);
    let pids = [running.pid("controlplane"), running.pid("dataplane")];
    until("the planes end", || !pids.iter().any(|&pid| lives(pid))).await;
}

#[tokio::test]
async fn a_second_run_keeps_issuer_and_key_and_joins_no_second_time() {
    let stage = Stage::usual().await;
    let first = Running::start(stage.dev(&[])).await;
    let issuer = first.ready["issuer"].clone();
    assert_eq!(stage.read("joined.json"), r#"{"token":"once"}"#);
    first.end().await;
    assert!(!stage.state().join("join.json").exists());
    let key = stage.record()["key"].clone();
    let second = Running::start(stage.dev(&[])).await;
    assert_eq!(second.ready["issuer"], issuer);
    assert_eq!(stage.record()["key"], key);
    second.end().await;
    let joins = stage.api.calls().iter().filter(|call| call.line.ends_with("join-files")).count();
    assert_eq!(joins, 1);
}

#[tokio::test]
async fn a_data_plane_that_joins_anew_replaces_the_node_that_it_was() {
    let stage = Stage::usual().await;
    Running::start(stage.dev(&[])).await.end().await;
    fs::write(stage.state().join("dataplane/membership.json"), r#"{"node":"old"}"#).unwrap();
    let mut record = stage.record();
    record["joined"] = "https://127.0.0.1:9".into();
    fs::write(stage.state().join("dev.json"), record.to_string()).unwrap();
    stage.api.on("DELETE /api/v1/nodes/old", 204, &Value::Null);
    Running::start(stage.dev(&[])).await.end().await;
    let calls = stage.api.calls();
    let removed = calls.iter().position(|call| call.line == "DELETE /api/v1/nodes/old").unwrap();
    assert!(calls[removed..].iter().any(|call| call.line.ends_with("join-files")));
}

#[tokio::test]
async fn a_state_on_which_no_dev_runs_sends_no_token_to_whoever_has_its_port() {
    let stage = Stage::usual().await;
    let running = Running::start(stage.dev(&[])).await;
    let list = ["nodes", "list"];
    assert_eq!(code(&stage.command(&list).output().await.unwrap()), 0);
    running.end().await;
    let calls = stage.api.calls().len();
    let output = stage.command(&list).output().await.unwrap();
    assert_eq!(code(&output), 78);
    let talk = stderr(&output);
    assert!(talk.contains("`penstock dev` is not running on this state"), "{talk}");
    assert_eq!(stage.api.calls().len(), calls);
    let token = ["token", "--user", "ada"];
    assert_eq!(code(&stage.command(&token).output().await.unwrap()), 0, "it signs offline");
}

#[tokio::test]
async fn a_plane_that_is_still_starting_is_in_the_record() {
    let controlplane = CONTROLPLANE.replace("IFS=", "touch \"$folder/starting\"\nexec cat\nIFS=");
    let stage = Stage::new(&controlplane, DATAPLANE).await;
    let mut child = stage.dev(&[]).spawn().unwrap();
    until("it is starting", || stage.state().join("starting").exists()).await;
    let pid = pid_of(&stage.record(), "controlplane");
    assert!(lives(pid));
    child.kill().await.unwrap();
    until("it ends with its parent", || !lives(pid)).await;
}

#[tokio::test]
async fn a_state_is_marked_closed_to_others_and_taken_by_one_dev_at_a_time() {
    let stage = Stage::usual().await;
    let running = Running::start(stage.dev(&[])).await;
    for folder in ["", "controlplane", "dataplane"] {
        assert!(stage.state().join(folder).join("development").is_file(), "{folder}");
        assert_eq!(mode(&stage.state().join(folder)), 0o700, "{folder}");
    }
    for entry in fs::read_dir(stage.state()).unwrap() {
        let path = entry.unwrap().path();
        let by_scripts = ["env", "arguments", "input", "rest"];
        let by_script = path.extension().is_some_and(|e| by_scripts.iter().any(|s| e == *s));
        if path.is_file() && !by_script && !path.ends_with("joined.json") {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
    let output = stage.dev(&[]).output().await.unwrap();
    assert_eq!(code(&output), 78);
    assert!(stderr(&output).contains("another `penstock dev` runs on"), "{}", stderr(&output));
    running.end().await;
}

#[tokio::test]
async fn a_token_of_the_state_verifies_with_the_key_that_the_provider_serves() {
    let stage = Stage::usual().await;
    let running = Running::start(stage.dev(&[])).await;
    let arguments = ["token", "--user", "ada", "--groups", "a,b", "--ttl", "36500d"];
    let output = stage.command(&arguments).output().await.unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let token = stdout(&output);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let issuer = running.ready["issuer"].as_str().unwrap();
    let keys = client.get(format!("{issuer}/jwks")).send().await.unwrap().text().await.unwrap();
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&keys).unwrap();
    let header = jsonwebtoken::decode_header(token.trim_end()).unwrap();
    let key = keys.find(header.kid.as_deref().unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["penstock"]);
    validation.set_issuer(&[issuer]);
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode::<Value>(token.trim_end(), &key, &validation).unwrap();
    running.end().await;
}

#[tokio::test]
async fn an_address_that_was_asked_for_and_is_in_use_is_named() {
    let stage = Stage::usual().await;
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let output = stage.command(&["dev", "--json", "--listen", &address]).output().await.unwrap();
    assert_eq!(code(&output), 78);
    assert!(stderr(&output).contains(&format!("error: {address} is in use")));
}

#[tokio::test]
async fn a_plane_that_does_not_start_shows_the_end_of_its_log() {
    let dataplane = "#!/bin/sh\necho 'io_uring is missing' >&2\nexit 78\n";
    let stage = Stage::new(CONTROLPLANE, dataplane).await;
    let output = stage.dev(&[]).output().await.unwrap();
    assert_eq!(code(&output), 78);
    let talk = stderr(&output);
    assert!(talk.starts_with("  io_uring is missing\nerror: the dataplane ended while"), "{talk}");
    assert!(talk.contains("dataplane.log"), "{talk}");
}

#[tokio::test]
async fn without_json_people_are_told_how_to_go_on() {
    let stage = Stage::usual().await;
    let mut child = stage.command(&["dev", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut screen = String::new();
    while !screen.contains("Ctrl-C ends everything.") {
        assert!(timeout(PATIENCE, stdout.read_line(&mut screen)).await.unwrap().unwrap() > 0);
    }
    let state = stage.state();
    let state = state.display();
    for part in [
        format!("penstock token --state {state} --user"),
        "curl -H @- http://127.0.0.1:2/CONNECTION/v1/models".to_owned(),
        format!("{state}/dataplane/access.jsonl"),
    ] {
        assert!(screen.contains(&part), "{part} is missing in:\n{screen}");
    }
    signal(i32::try_from(child.id().unwrap()).unwrap(), Signal::INT);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

/// Finds an address in use as often as `starts` says, and then runs as the other script.
fn missing_an_address(starts: usize, script: &str) -> String {
    let refusal = format!(
        "#!/bin/sh\necho start >> \"$0.starts\"\n\
         if [ \"$(wc -l < \"$0.starts\")\" -le {starts} ]; then\n\
         echo 'error: the address 127.0.0.1:1 is in use by another process' >&2; exit 78\nfi\n"
    );
    script.replacen("#!/bin/sh\n", &refusal, 1)
}

#[tokio::test]
async fn addresses_that_are_taken_before_a_plane_has_them_are_chosen_again() {
    let stage =
        Stage::new(&missing_an_address(1, CONTROLPLANE), &missing_an_address(2, DATAPLANE)).await;
    let running = Running::start(stage.dev(&[])).await;
    let starts = |name: &str| {
        let file = stage.folder.path().join(format!("penstock-{name}.starts"));
        fs::read_to_string(file).unwrap().lines().count()
    };
    // Both start again with each choice, and the values of secrets go with each start.
    assert_eq!((starts("controlplane"), starts("dataplane")), (4, 3));
    assert_eq!(stage.read("controlplane.input").lines().count(), 3);
    drop(running);
}

#[tokio::test]
async fn addresses_are_not_chosen_without_end() {
    let stage = Stage::new(&missing_an_address(1_000, CONTROLPLANE), DATAPLANE).await;
    let output = stage.dev(&[]).output().await.unwrap();
    assert_eq!(code(&output), 78, "{}", stderr(&output));
    assert!(stderr(&output).contains("127.0.0.1:1 is in use"), "{}", stderr(&output));
    let starts = fs::read_to_string(stage.folder.path().join("penstock-controlplane.starts"));
    assert_eq!(starts.unwrap().lines().count(), 5);
}
