//! Every command against a scripted control plane: what it asks, prints, and ends with.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage does not stand")]

mod support;

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use support::{ScriptedApi, code, penstock, run, run_with_input, stderr, stdout};

#[tokio::test]
async fn apply_sends_the_files_of_a_folder_as_one_set_and_tells_what_changed() {
    let api = ScriptedApi::start().await;
    api.on(
        "POST /api/v1/documents/apply",
        200,
        &json!({"version": 4, "dry_run": false,
            "changed": [{"kind": "rule", "name": "a", "change": "unchanged"},
                        {"kind": "rule", "name": "b", "change": "created"}],
            "absent": [{"kind": "rule", "name": "old"}],
            "warnings": [{"file": "x.yaml", "line": 2, "column": 1, "message": "no version"}]}),
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("b.yaml"), "kind: rule\n").unwrap();
    std::fs::write(folder.path().join("a.yml"), "kind: issuer\n").unwrap();
    let path = folder.path().to_str().unwrap();
    let output = run(&api, &["apply", "-f", path, "--expect-version", "3"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), "rule/a unchanged\nrule/b created\n");
    let talk = stderr(&output);
    assert!(talk.contains("warning: x.yaml:2:1: no version"), "{talk}");
    assert!(talk.contains("  rule/old\n"), "{talk}");
    assert!(talk.contains("version 4 is in force"), "{talk}");
    let call = &api.calls()[0];
    assert_eq!(call.authorization, "Bearer t0ken");
    let body: Value = serde_json::from_str(&call.body).unwrap();
    assert_eq!(body["sources"][0]["text"], "kind: issuer\n");
    assert_eq!(body["sources"][1]["name"], format!("{path}/b.yaml"));
    assert_eq!((&body["prune"], &body["dry_run"]), (&json!(false), &json!(false)));
    assert_eq!((&body["expect_version"], &body["cut_open"]), (&json!(3), &json!(false)));
}

#[tokio::test]
async fn apply_says_which_exchanges_keep_their_mask_and_which_end() {
    let told = async |changed: &[&str], cut: &[&str], flags: &[&str]| {
        let api = ScriptedApi::start().await;
        let applied = json!({"version": 4, "revision": 1, "masks_changed": changed, "cut": cut});
        api.on("POST /api/v1/documents/apply", 200, &applied);
        let output = run_with_input(&api, &[&["apply", "-f", "-"], flags].concat(), "").await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let call: Value = serde_json::from_str(&api.calls().last().unwrap().body).unwrap();
        assert_eq!(call["cut_open"], flags.contains(&"--cut-open"));
        stderr(&output)
    };
    let talk = told(&["a"], &[], &[]).await;
    assert!(talk.contains("masks of 1 connection change"), "{talk}");
    assert!(talk.contains("--cut-open ends them):\n  connection/a\n"), "{talk}");
    let talk = told(&["a"], &["a", "b"], &["--cut-open"]).await;
    assert!(talk.contains("earlier masks end on 2 connections:\n  connection/a\n"), "{talk}");
    let talk = told(&[], &["b"], &["--cut-open", "--dry-run"]).await;
    assert!(talk.contains("earlier masks would end on 1 connection:\n"), "{talk}");
    let talk = told(&[], &[], &["--cut-open"]).await;
    assert!(talk.contains("nothing is cut") && !talk.contains("  connection/"), "{talk}");
}

#[tokio::test]
async fn apply_says_every_problem_with_its_place_and_hint_and_fails() {
    let api = ScriptedApi::start().await;
    api.on(
        "POST /api/v1/documents/apply",
        422,
        &json!({"type": "about:blank", "title": "documents", "status": 422, "code": "documents",
            "problems": [
                {"file": "-", "line": 3, "column": 5, "message": "unknown key `efect`",
                 "hint": "did you mean `effect`?"},
                {"file": "-", "line": 9, "column": 1, "message": "second"}]}),
    );
    let output = run_with_input(&api, &["apply", "-f", "-"], "kind: rule\n").await;
    assert_eq!(code(&output), 1);
    assert_eq!(
        stderr(&output),
        "-:3:5: unknown key `efect`\n  hint: did you mean `effect`?\n-:9:1: second\n\
         error: 2 problems: nothing was changed\n"
    );
    assert_eq!(stdout(&output), "");
    assert!(api.calls()[0].body.contains("kind: rule"));
}

#[tokio::test]
async fn apply_waits_until_every_core_enforces_it_or_names_the_node() {
    let api = ScriptedApi::start().await;
    let applied = json!({"version": 7, "changed": [], "absent": [], "warnings": []});
    api.on("POST /api/v1/documents/apply", 200, &applied);
    let node = |version: u64, connected: bool| {
        json!([{"id": "n1", "name": "west", "connected": true,
            "cores": [{"epoch": 1, "version": 7, "revision": 0},
                      {"epoch": 1, "version": version, "revision": 0}]},
               {"id": "n2", "name": "east", "connected": connected,
            "cores": [{"epoch": 1, "version": 7, "revision": 0}]}])
    };
    api.on("GET /api/v1/nodes", 200, &node(6, false));
    let arguments = ["apply", "-f", "-", "--wait", "--timeout", "1ms"];
    let output = run_with_input(&api, &arguments, "").await;
    assert_eq!(code(&output), 1);
    let talk = stderr(&output);
    assert!(talk.contains("node n1 (west) enforces core 1 version 6"), "{talk}");

    assert!(talk.contains("node n2 (east) is not connected"), "{talk}");

    api.on("GET /api/v1/nodes", 200, &node(7, true));
    let output = run_with_input(&api, &["apply", "-f", "-", "--wait"], "").await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[tokio::test]
async fn every_refusal_of_the_control_plane_has_its_exit_code() {
    let cases = [(400, 2), (401, 3), (403, 3), (404, 4), (409, 5), (422, 1), (500, 1)];
    for (status, expected) in cases {
        let api = ScriptedApi::start().await;
        let problem =
            json!({"title": "title", "detail": "what\u{1b}[2J happened", "status": status});
        api.on("DELETE /api/v1/documents/rule/a", status, &problem);
        let output = run(&api, &["delete", "rule", "a"]).await;
        assert_eq!(code(&output), expected, "{status}");
        assert_eq!(stderr(&output), "error: what\u{fffd}[2J happened\n");
    }
}

#[tokio::test]
async fn usage_errors_exit_2_and_an_unknown_control_plane_78() {
    let home = tempfile::tempdir().unwrap();
    let end = async |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = penstock(home.path(), arguments);
        let output = command.envs(variables.iter().copied()).output().await.unwrap();
        (code(&output), stderr(&output))
    };
    assert_eq!(end(&["get", "unicorn"], &[]).await.0, 2);
    assert_eq!(end(&["get", "rule", "../x"], &[]).await.0, 2);
    assert_eq!(end(&["token", "--user", "a", "--ttl", "10"], &[]).await.0, 2);
    assert_eq!(end(&["dev", "--listen", "0.0.0.0:0"], &[]).await.0, 2);
    let variables = [("PENSTOCK_URL", "http://127.0.0.1:1")];
    assert_eq!(end(&["nodes", "list"], &variables).await.0, 2);
    let (exit, talk) = end(&["nodes", "list"], &[]).await;
    assert_eq!(exit, 78);
    assert!(talk.starts_with("error: no control plane is known\nhint: "), "{talk}");
    let missing = home.path().join("missing");
    let missing = missing.to_str().unwrap();
    assert_eq!(end(&["nodes", "list", "--state", missing], &[]).await.0, 78);
    assert_eq!(end(&["token", "--user", "a", "--state", missing], &[]).await.0, 78);
}

#[tokio::test]
async fn a_control_plane_that_is_away_is_a_failure_that_does_not_show_the_token() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let home = tempfile::tempdir().unwrap();
    let mut command = penstock(home.path(), &["versions", "list"]);
    command.env("PENSTOCK_URL", &url).env("PENSTOCK_TOKEN", "hunter2");
    let output = command.output().await.unwrap();
    assert_eq!(code(&output), 1);
    let talk = stderr(&output);
    assert!(talk.contains("does not answer") && !talk.contains("hunter2"), "{talk}");
}

#[tokio::test]
async fn documents_are_listed_in_three_forms() {
    let api = ScriptedApi::start().await;
    let row = json!({"kind": "rule", "name": "a", "origin": "applied",
        "document": {"kind": "rule", "name": "a", "effect": "deny"},
        "yaml": "kind: rule\nname: a\neffect: deny\n"});
    api.on("GET /api/v1/documents?kind=rule", 200, &json!([row, row]));
    api.on("GET /api/v1/documents/rule/a", 200, &row);
    let table = stdout(&run(&api, &["get", "rule"]).await);
    assert_eq!(table, "KIND  NAME  ORIGIN\nrule  a     applied\nrule  a     applied\n");
    let listed = stdout(&run(&api, &["get", "rule", "--output", "json"]).await);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[1]["effect"], "deny");
    let yaml = stdout(&run(&api, &["get", "rule", "--output", "yaml"]).await);
    let one = "kind: rule\nname: a\neffect: deny\n";
    assert_eq!(yaml, format!("{one}---\n{one}"));
    assert_eq!(stdout(&run(&api, &["get", "rule", "a"]).await), one);
}

#[tokio::test]
async fn versions_are_listed_shown_and_restored() {
    let api = ScriptedApi::start().await;
    let actor = json!({"issuer": "dev", "subject": "ada"});
    let at_ms = 951_782_400_000_u64;
    let row = json!({"version": 3, "at_ms": at_ms, "actor": actor, "summary": "s"});
    api.on("GET /api/v1/versions", 200, &json!([row]));
    api.on(
        "GET /api/v1/versions/3",
        200,
        &json!({"version": 3, "documents": [
        {"kind": "rule", "name": "a", "document": {}, "yaml": "kind: rule\nname: a\n"}]}),
    );
    api.on("POST /api/v1/versions/3/rollback", 200, &json!({"version": 9}));
    let table = stdout(&run(&api, &["versions", "list"]).await);
    assert!(table.contains("3        2000-02-29 00:00:00Z  dev/ada  s\n"), "{table}");
    let json = stdout(&run(&api, &["versions", "list", "--output", "json"]).await);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), json!([row]));
    assert_eq!(stdout(&run(&api, &["versions", "show", "3"]).await), "kind: rule\nname: a\n");
    let output = run(&api, &["versions", "rollback", "3"]).await;
    assert_eq!(code(&output), 0);
    assert!(stderr(&output).contains("version 9"), "{}", stderr(&output));
}

#[tokio::test]
async fn deleting_a_secret_in_use_says_whose_requests_fail_from_then_on() {
    let api = ScriptedApi::start().await;
    api.on("GET /api/v1/secrets", 200, &json!([{"name": "llama-key", "used_by": ["llama"]}]));
    api.on("DELETE /api/v1/secrets/llama-key", 204, &Value::Null);
    let output = run(&api, &["secret", "delete", "llama-key"]).await;
    assert!(stderr(&output).contains("requests to llama get 503"), "{}", stderr(&output));
}

#[tokio::test]
async fn a_secret_goes_in_by_standard_input_without_its_last_line_end() {
    let api = ScriptedApi::start().await;
    api.on("PUT /api/v1/secrets/llama-key", 204, &Value::Null);
    let output = run_with_input(&api, &["secret", "set", "llama-key"], "k-\"1\n").await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(api.calls()[0].body, r#"{"value":"k-\"1"}"#);
    assert!(!stderr(&output).contains("k-") && stdout(&output).is_empty());
    for input in ["a\r\n", "a\nb", "a\0", "", "\n"] {
        let output = run_with_input(&api, &["secret", "set", "llama-key"], input).await;
        assert_eq!(code(&output), 1, "{input:?}");
    }
    assert_eq!(api.calls().len(), 1, "a refused value was sent");
}

#[tokio::test]
async fn explain_prints_the_decision_and_ends_by_it() {
    let api = ScriptedApi::start().await;
    let answer = |decision: &str| {
        json!({"decision": decision, "status": 403, "code": "denied", "rule": "no-weights",
            "operations": ["weights.export"], "risk": "critical", "model": null,
            "connection": "llama", "message": "rule no-weights denies it", "steps": ["one"]})
    };
    api.on("POST /api/v1/explain", 200, &answer("deny"));
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body.json");
    std::fs::write(&body, r#"{"model":"m"}"#).unwrap();
    let arguments = [
        "explain",
        "--user",
        "ada",
        "--groups",
        "a,b",
        "--claim",
        "n=1",
        "POST",
        "/llama/v1/x",
        "--body",
        body.to_str().unwrap(),
    ];
    let output = run(&api, &arguments).await;
    assert_eq!(code(&output), 3);
    assert!(stdout(&output).contains("decision    deny\n"), "{}", stdout(&output));
    assert!(stdout(&output).contains("rule        no-weights\n"), "{}", stdout(&output));
    assert_eq!(stderr(&output), "");
    let asked: Value = serde_json::from_str(&api.calls()[0].body).unwrap();
    let expected = json!({"user": "ada", "groups": ["a", "b"], "claims": {"n": 1},
        "method": "POST", "path": "/llama/v1/x", "body": "{\"model\":\"m\"}"});
    assert_eq!(asked, expected);

    let allowing = ScriptedApi::start().await;
    allowing.on("POST /api/v1/explain", 200, &answer("allow"));
    let output = run(&allowing, &["explain", "--user", "ada", "GET", "/llama/v1/models"]).await;
    assert_eq!(code(&output), 0);
}

#[tokio::test]
async fn nodes_show_what_each_core_enforces_and_how_upstreams_do() {
    let api = ScriptedApi::start().await;
    let rows = json!([{"id": "n1", "name": "west", "connected": true, "last_seen_ms": 0,
        "cores": [{"epoch": 1, "version": 7, "revision": 0},
                  {"epoch": 1, "version": 6, "revision": 0}],
        "upstreams": [{"connection": "llama", "endpoint": "127.0.0.1:80", "state": "up"}]}]);
    api.on("GET /api/v1/nodes", 200, &rows);
    api.on("POST /api/v1/nodes/join-files", 200, &json!({"url": "https://x", "token": "once"}));
    let table = stdout(&run(&api, &["nodes", "list"]).await);
    assert!(table.contains("7 6"), "{table}");
    assert!(table.contains("llama@127.0.0.1:80=up"), "{table}");
    let json = stdout(&run(&api, &["nodes", "list", "--output", "json"]).await);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), rows);
    let file = stdout(&run(&api, &["nodes", "join-file"]).await);
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap()["token"], "once");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("join.json");
    let out = path.to_str().unwrap();
    let output = run(&api, &["nodes", "join-file", "--out", out]).await;
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), file);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    api.on("DELETE /api/v1/nodes/n", 204, &Value::Null);
    let output = run(&api, &["nodes", "delete", "n"]).await;
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "node n deleted\n"));
}

#[tokio::test]
async fn a_listing_of_nothing_is_an_empty_array() {
    let api = ScriptedApi::start().await;
    api.on("GET /api/v1/secrets", 200, &json!([]));
    assert_eq!(stdout(&run(&api, &["secret", "list", "--output", "json"]).await), "[]\n");
}
