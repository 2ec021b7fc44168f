//! The harness tested with itself: a tool that lies makes every test built on it worthless.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use penstock_config::documents::Issuer;
use penstock_config::snapshot::TrustedIssuer;
use penstock_harness::{
    Answer, AutonomousUpstream, ClientError, ConnectionEnd, Dev, DevOptions, Gate, PATIENCE,
    Process, RawClient, Script, ScriptedUpstream, SigningAlgorithm, TestIssuer, run, wait_until,
};
use serde_json::json;

const REQUEST: &[u8] = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn trusted(issuer: &TestIssuer) -> TrustedIssuer {
    TrustedIssuer {
        document: Issuer {
            name: "company".to_owned(),
            issuer: issuer.url().to_owned(),
            jwks_uri: None,
            audiences: vec!["penstock".to_owned()],
            user_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
            leeway_ms: 30_000,
            lifetime_ms_max: 86_400_000,
            token_types: vec!["JWT".to_owned()],
            client_id: None,
        },
        keys: vec![issuer.jwk()],
    }
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

#[test]
fn minted_tokens_hold_for_every_algorithm() {
    use SigningAlgorithm::{Ed25519, Es256, Rs256};
    for algorithm in [Ed25519, Es256, Rs256] {
        let issuer = TestIssuer::new("https://id.example.com", "k1", algorithm);
        let (issuers, problems) = penstock_identity::Issuers::compile(&[trusted(&issuer)]);
        assert_eq!(problems, []);
        let token = issuer.token("ada").groups(&["engineers"]).claim("team", "x").sign();
        let identity = issuers.verify(token.as_bytes(), now_ms()).unwrap().identity;
        assert_eq!(
            (identity.user.as_str(), identity.groups),
            ("ada", vec!["engineers".to_owned()])
        );
        assert_eq!(identity.claims.get("team"), Some(&json!("x")));
        for bad in [
            issuer.token("ada").audience("other").sign(),
            issuer.token("ada").expires_in_s(-60).sign(),
            issuer.token("ada").without("exp").sign(),
            issuer.token("ada").header("alg", "none").sign(),
        ] {
            assert!(issuers.verify(bad.as_bytes(), now_ms()).is_err());
        }
        assert_eq!(issuer.jwks()["keys"][0]["kid"], json!("k1"));
    }
}

#[test]
fn a_script_answers_and_every_byte_is_kept() {
    let script =
        Script::new().read_request().send(RESPONSE).read_request().send_split(RESPONSE, &[4]);
    let upstream = ScriptedUpstream::start(vec![script]);
    let mut client = RawClient::connect(&upstream.url());
    client.send_split(REQUEST, &[1, 20, 52]);
    assert_eq!(client.read_response().unwrap().text(), "hello");
    let response = client.exchange(REQUEST);
    assert_eq!((response.status, response.header("content-length")), (200, Some("5")));
    let recorded = upstream.wait_for_end(0);
    assert_eq!(recorded.bytes, [REQUEST, REQUEST].concat());
    let targets: Vec<_> = recorded.requests().iter().map(|r| r.target().to_owned()).collect();
    assert_eq!(targets, ["/v1/x", "/v1/x"]);
    assert_eq!(recorded.end, None, "the script closed, not the peer");
    assert!(client.read_to_end().unwrap().is_empty());
}

#[test]
fn each_connection_has_its_script_and_the_last_one_serves_the_rest() {
    let answer = |body: &str| {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        Script::new().read_request().send(text)
    };
    let upstream = ScriptedUpstream::start(vec![answer("one"), answer("two")]);
    for expected in ["one", "two", "two"] {
        let mut client = RawClient::connect(&upstream.url());
        assert_eq!(client.exchange(REQUEST).text(), expected);
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn a_script_resets_after_a_byte_that_the_test_chose() {
    let script = Script::new().read_request().send(&RESPONSE[..40]).reset();
    let upstream = ScriptedUpstream::start(vec![script]);
    let mut client = RawClient::connect(&upstream.url());
    client.send(REQUEST);
    match client.read_to_end() {
        Err(ClientError::Reset(bytes)) => assert_eq!(bytes, &RESPONSE[..40]),
        other => panic!("no reset: {other:?}"),
    }
}

#[test]
fn a_close_in_the_middle_is_no_complete_response() {
    let script = Script::new().read_request().send(&RESPONSE[..RESPONSE.len() - 1]);
    let upstream = ScriptedUpstream::start(vec![script]);
    let mut client = RawClient::connect(&upstream.url());
    let response = client.exchange(REQUEST);
    assert_eq!((response.text().as_str(), response.message.complete), ("hell", false));
}

#[test]
fn a_gate_holds_a_script_until_the_test_opens_it() {
    let gate = Gate::new();
    let script = Script::new().read_head().send(&RESPONSE[..10]).wait(&gate).send(&RESPONSE[10..]);
    let upstream = ScriptedUpstream::start(vec![script]);
    let mut client = RawClient::connect(&upstream.url());
    client.send(REQUEST);
    client.set_patience(Duration::from_millis(50));
    assert!(
        matches!(client.read_response(), Err(ClientError::Timeout(bytes)) if bytes.len() == 10)
    );
    gate.open();
    client.set_patience(PATIENCE);
    assert_eq!(client.read_to_end().unwrap(), &RESPONSE[10..]);
}

#[test]
fn how_a_caller_leaves_is_recorded() {
    let watch = Script::new().read_head().read_to_end();
    let upstream = ScriptedUpstream::start(vec![watch.clone(), watch]);
    let mut client = RawClient::connect(&upstream.url());
    client.send(REQUEST);
    client.shutdown_write();
    assert_eq!(upstream.wait_for_end(0).end, Some(ConnectionEnd::Closed));
    let mut client = RawClient::connect(&upstream.url());
    client.send(REQUEST);
    let deadline = Instant::now() + PATIENCE;
    assert!(wait_until(deadline, || upstream.recorded(1).bytes == REQUEST));
    client.reset();
    assert_eq!(upstream.wait_for_end(1).end, Some(ConnectionEnd::Reset));
}

#[test]
fn a_stalled_server_ends_when_it_is_dropped() {
    let upstream = ScriptedUpstream::start(vec![Script::new().stall()]);
    let mut client = RawClient::connect(&upstream.url());
    assert!(wait_until(Instant::now() + PATIENCE, || upstream.connections() == 1));
    let began = Instant::now();
    drop(upstream);
    assert!(client.read_to_end().is_ok_and(|bytes| bytes.is_empty()));
    assert!(began.elapsed() < PATIENCE / 2);
}

#[test]
fn the_model_server_answers_on_one_connection_and_keeps_what_it_was_asked() {
    let upstream = AutonomousUpstream::start();
    let mut client = RawClient::connect(&upstream.url());
    let body = r#"{"model":"tiny"}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len(),
    );
    for _ in 0..2 {
        let answer = client.exchange(&request).json();
        assert_eq!(answer["model"], json!("tiny"));
        assert_eq!(answer["choices"][0]["message"]["content"], json!("Hello there."));
    }
    let models = client.exchange("GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n").json();
    assert_eq!(models["data"][0]["id"], json!("tiny"));
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].authorization(), Some("Bearer key"));
    assert_eq!(seen[0].request.text(), body);
    assert_eq!(seen[2].authorization(), None);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn the_model_server_streams_as_many_events_as_it_was_told() {
    let upstream = AutonomousUpstream::start();
    upstream.set_events(3, Duration::from_millis(1));
    let mut client = RawClient::connect(&upstream.url());
    let body = r#"{"model":"tiny","stream":true}"#;
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    let response = client.exchange(format!("{head}{body}"));
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let text = response.text();
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 4);
    assert!(events[2].contains("word2") && events[3] == "data: [DONE]");
}

#[test]
fn the_model_server_gives_a_tests_own_answers() {
    let issuer = TestIssuer::new("http://127.0.0.1:1", "k1", SigningAlgorithm::Ed25519);
    let jwks = issuer.jwks();
    let served = jwks.clone();
    let upstream = AutonomousUpstream::start_with(move |request| {
        (request.target() == "/jwks").then(|| Answer::json(&served))
    });
    let mut client = RawClient::connect(&upstream.url());
    assert_eq!(client.exchange("GET /jwks HTTP/1.1\r\n\r\n").json(), jwks);
    let other = client.exchange("GET /x HTTP/1.1\r\nConnection: close\r\n\r\n").json();
    assert_eq!(other["object"], json!("chat.completion"));
    assert!(client.read_to_end().unwrap().is_empty());
}

fn shell(script: &str) -> (Process, tempfile::TempDir) {
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    (Process::spawn(command, &folder.path().join("stderr.log")), folder)
}

#[test]
fn a_process_prints_its_line_and_ends_when_it_is_asked() {
    let script = "trap 'exit 7' TERM; echo talk >&2; echo no json; echo '{\"a\": 1}'; \
                  while :; do sleep 0.01; done";
    let (mut process, _folder) = shell(script);
    assert_eq!(process.json_line(), json!({"a": 1}));
    assert_eq!(process.stderr(), "talk\n");
    process.terminate();
    assert_eq!(process.wait(PATIENCE).unwrap().code(), Some(7));
}

#[test]
fn a_process_that_does_not_want_to_end_is_killed() {
    let (mut process, _folder) = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
    assert_eq!(process.line(PATIENCE).as_deref(), Some("ready"));
    process.terminate();
    assert_eq!(process.wait(Duration::from_millis(50)), None);
    process.kill();
    assert!(!process.wait(PATIENCE).unwrap().success());
}

#[test]
fn the_children_of_a_process_end_with_it() {
    let (process, _folder) = shell("sleep 1000 & echo $!; wait");
    let child = process.line(PATIENCE).unwrap();
    let running = || std::fs::read_to_string(format!("/proc/{child}/stat"));
    assert!(running().is_ok());
    drop(process);
    let ended = || !running().is_ok_and(|stat| !stat.contains(") Z "));
    assert!(wait_until(Instant::now() + PATIENCE, ended));
}

#[test]
fn a_command_gets_its_input_and_gives_its_output() {
    let mut command = Command::new("sh");
    command.args(["-c", "cat; echo talk >&2; exit 3"]);
    let input = "line\n".repeat(100_000);
    let output = run(command, &input, PATIENCE);
    assert_eq!((output.code, output.stderr.as_str()), (3, "talk\n"));
    assert_eq!(output.stdout, input);
}

#[test]
#[should_panic(expected = "did not end")]
fn a_command_that_does_not_end_fails_the_test() {
    let mut command = Command::new("sleep");
    command.arg("1000");
    run(command, "", Duration::from_millis(20));
}

/// Stands in for `penstock`: says what it was started with.
const STAND_IN: &str = r#"#!/bin/sh
case "$1" in
dev)
    test "$2 $4 $5 $6" = "--state --listen 127.0.0.1:0 --json" || exit 2
    mkdir "$3" && cat "$8" > "$3/in-force" || exit 1
    echo "$PENSTOCK_SECRET_KEY $9" >&2
    sleep 1000 & plane=$!
    trap 'kill $plane; exit 0' TERM
    printf '{"gateway":"http://127.0.0.1:1","operations":"http://127.0.0.1:2",'
    printf '"api":"http://127.0.0.1:3","issuer":"http://127.0.0.1:4","state":"%s",' "$3"
    printf '"pids":{"dataplane":%s,"controlplane":%s}}\n' $plane $plane
    wait ;;
token) echo "token: $*" ;;
apply) cat "$4" > "$PENSTOCK_STATE/in-force" ;;
*) cat; echo "$*" >&2; exit 4 ;;
esac
"#;

#[test]
fn the_product_is_started_used_and_ended() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = folder.path().join("penstock");
    std::fs::write(&program, STAND_IN).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let dev = Dev::start_with(DevOptions {
        documents: vec!["kind: rule".to_owned()],
        environment: vec![("PENSTOCK_SECRET_KEY".to_owned(), "s".to_owned())],
        arguments: vec!["--more".to_owned()],
        program: Some(program),
    });
    let state = std::path::PathBuf::from(&dev.ready().state);
    assert_eq!(dev.ready().gateway, "http://127.0.0.1:1");
    assert_eq!(std::fs::read_to_string(state.join("in-force")).unwrap(), "kind: rule");
    assert_eq!(dev.stderr(), "s --more\n");
    let token = dev.token("ada", &["a", "b"], &["--ttl", "5s"]);
    assert_eq!(token, "token: token --user ada --groups a,b --ttl 5s");
    assert_eq!(dev.token("ada", &[], &[]), "token: token --user ada");
    assert_eq!(dev.apply("kind: role").code, 0);
    assert_eq!(std::fs::read_to_string(state.join("in-force")).unwrap(), "kind: role");
    let output = dev.penstock_with_input(&["secret", "set", "key"], "value");
    assert_eq!((output.code, output.stdout.as_str()), (4, "value"));
    assert_eq!(output.stderr, "secret set key\n");

    let plane = dev.ready().pids.dataplane;
    drop(dev);
    let running = || std::fs::read_to_string(format!("/proc/{plane}/stat"));
    let ended = || !running().is_ok_and(|stat| !stat.contains(") Z "));
    assert!(wait_until(Instant::now() + PATIENCE, ended));
    assert!(!state.exists());
}
