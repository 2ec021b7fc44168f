//! The program: what it prints, how it ends, what it refuses.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use common::issuer::{TestIssuer, TestKey};
use common::write_settings;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn program(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock-controlplane"));
    command.arg("--config").arg(config).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("PENSTOCK_ENCRYPTION_KEY");
    command
}

fn refused(config: &Path, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = program(config, arguments).output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(78), "{text}");
    text
}

fn first_line(child: &mut Child) -> Value {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("no line: {}", errors(child)))
}

fn errors(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn terminate(mut child: Child) {
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", errors(&mut child));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_when_it_is_ready_and_ends_on_a_signal() {
    let issuer = TestIssuer::start().await;
    issuer.publish(&[&TestKey::new("a")]);
    let folder = tempfile::tempdir().unwrap();
    let config = write_settings(folder.path(), &issuer.url);
    let mut child = program(&config, &[]).spawn().unwrap();
    let ready = first_line(&mut child);
    assert_eq!(ready["ready"], true);
    assert!(ready["nodes"].as_str().unwrap().starts_with("https://127.0.0.1:"));
    let health = format!("{}/healthz", ready["api"].as_str().unwrap());
    let client = reqwest_client();
    assert_eq!(client.get(health).send().await.unwrap().status(), 200);
    terminate(child);
}

fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_said_in_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = write_settings(folder.path(), "http://127.0.0.1:9");
    let address = taken.local_addr().unwrap().to_string();
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replacen("listen: 127.0.0.1:0", &format!("listen: {address}"), 1);
    std::fs::write(&config, text).unwrap();
    let error = refused(&config, &[]);
    assert!(error.contains(&address) && error.contains("in use"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn check_says_every_problem_with_its_place_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_settings(folder.path(), "http://127.0.0.1:9");
    let fine = program(&config, &["--check"]).output().unwrap();
    assert_eq!(fine.status.code(), Some(0), "{}", String::from_utf8_lossy(&fine.stderr));
    assert!(!folder.path().join("state").exists());

    std::fs::write(&config, "listen: nowhere\nnodes_listne: 127.0.0.1:0\n").unwrap();
    let error = refused(&config, &["--check"]);
    let file = config.display();
    assert!(error.contains(&format!("{file}:1:")), "{error}");
    assert!(error.contains(&format!("{file}:2:")), "{error}");
}

#[test]
fn a_first_run_without_an_administrator_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_settings(folder.path(), "http://127.0.0.1:9");
    let file = folder.path().join("first-run.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("role: admin", "role: auditor")).unwrap();
    assert!(refused(&config, &["--check"]).contains("first-run.yaml:1:1"));
    std::fs::remove_file(&file).unwrap();
    assert!(refused(&config, &[]).contains("first-run.yaml"));
}

#[test]
fn a_development_state_is_refused_by_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_settings(folder.path(), "http://127.0.0.1:9");
    std::fs::create_dir(folder.path().join("state")).unwrap();
    std::fs::write(folder.path().join("state/development"), "").unwrap();
    for arguments in [&[][..], &["--check"][..]] {
        assert!(refused(&config, arguments).contains("development state"));
    }
}

#[test]
fn development_is_for_development_states() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_settings(folder.path(), "http://127.0.0.1:9");
    assert!(refused(&config, &["--development"]).contains("not a development state"));
    assert!(!folder.path().join("state").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_have_as_many_connections_as_the_machine_allows() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_settings(folder.path(), "http://127.0.0.1:9");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -n 128 && exec \"$0\" --config \"$1\""]);
    command.arg(env!("CARGO_BIN_EXE_penstock-controlplane")).arg(&config);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    assert_eq!(first_line(&mut child)["ready"], true);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let columns: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(columns[0], columns[1], "soft and hard");
    terminate(child);
}

#[test]
fn an_encryption_key_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let config = write_settings(folder.path(), "http://127.0.0.1:9");
    let mut command = program(&config, &[]);
    command.env("PENSTOCK_ENCRYPTION_KEY", std::ffi::OsStr::from_bytes(b"\xff"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(!folder.path().join("state/encryption.key").exists());
}

#[test]
fn a_settings_file_that_is_not_there_is_said_in_one_sentence() {
    let error = refused(Path::new("/nowhere/controlplane.yaml"), &[]);
    assert!(error.contains("/nowhere/controlplane.yaml") && error.lines().count() == 1, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn development_takes_its_secrets_from_standard_input_and_ends_when_that_does() {
    let issuer = TestIssuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = write_settings(folder.path(), &issuer.url);
    std::fs::create_dir(folder.path().join("state")).unwrap();
    std::fs::write(folder.path().join("state/development"), "").unwrap();
    let mut child = program(&config, &["--development"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{\"secrets\":{\"llama-key\":\"sk-model-4711\"}}\n").unwrap();
    assert_eq!(first_line(&mut child)["ready"], true);
    drop(input);
    let log = errors(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{log}");
    assert!(!log.contains("sk-model-4711"));
    let store = penstock_store::Store::open(&folder.path().join("state/controlplane.db")).await;
    let durable = store.unwrap().load().await.unwrap();
    assert!(durable.secrets.contains_key("llama-key"));
}
