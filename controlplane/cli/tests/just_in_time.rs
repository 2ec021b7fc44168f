//! Approvals, grants, sessions and revocations against a scripted control plane.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage does not stand")]

mod support;

use serde_json::{Value, json};
use support::{ScriptedApi, code, penstock, run, run_with_input, stderr, stdout, write_profile};

const APPROVAL: &str = "apr-00112233445566778899";
const GRANT: &str = "grt-00112233445566778899";
const SESSION: &str = "00112233445566778899aabbccddeeff";

fn approval(id: &str, state: &str) -> Value {
    json!({"id": id, "state": state, "user": "ann", "issuer": "company", "subject": "ann",
        "groups": [], "connection": "llama", "models": ["base"],
        "operations": [{"name": "adapter.load", "risk": "high"}],
        "request": {"method": "POST", "target": "/v1/load_lora_adapter", "digest": "d",
            "body_bytes": 2, "body_sha256": "b", "shown": [], "peer": "127.0.0.1"},
        "minutes_max": 30, "uses_max": 5, "decide_by_ms": 1, "asked_ms": 1, "requirements": [],
        "votes": [], "may_answer": true})
}

fn grant(state: &str) -> Value {
    json!({"id": GRANT, "state": state, "user": "ann", "connection": "llama", "uses": 1,
        "uses_max": 3, "operations": ["infer.chat"], "models": ["*"], "approval": APPROVAL,
        "live_sequence": 7, "live_run": "r"})
}

fn body(api: &ScriptedApi, line: &str) -> Value {
    let call = api.calls().into_iter().find(|call| call.line == line);
    serde_json::from_str(&call.unwrap_or_else(|| panic!("no call {line}")).body).unwrap()
}

#[tokio::test]
async fn approvals_are_listed_with_what_waits_first_and_json_rows_as_they_came() {
    let api = ScriptedApi::start().await;
    let rows = json!([approval("apr-a", "spent"), approval(APPROVAL, "pending")]);
    api.on("GET /api/v1/approvals?limit=200", 200, &rows);
    api.on("GET /api/v1/approvals?limit=200&state=pending", 200, &json!([rows[1]]));
    let table = stdout(&run(&api, &["approvals", "list"]).await);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].starts_with(APPROVAL) && lines[1].contains("adapter.load"), "{table}");
    assert!(lines[2].starts_with("apr-a"), "{table}");
    let arguments = ["approvals", "list", "--only", "pending", "--output", "json"];
    let listed: Value = serde_json::from_str(&stdout(&run(&api, &arguments).await)).unwrap();
    assert_eq!(listed, json!([rows[1]]));
    for field in ["id", "state", "user"] {
        assert!(listed[0][field].is_string(), "{field}");
    }
    assert_eq!(code(&run(&api, &["approvals", "list", "--only", "maybe"]).await), 2);
}

#[tokio::test]
async fn all_approvals_come_page_by_page() {
    let api = ScriptedApi::start().await;
    let page: Vec<Value> = (0..1000).map(|n| json!({"id": format!("apr-{n}")})).collect();
    api.on("GET /api/v1/approvals?limit=1000", 200, &page.into());
    let rest = json!([{"id": "apr-last"}]);
    api.on("GET /api/v1/approvals?limit=1000&after=apr-999", 200, &rest);
    let output = run(&api, &["approvals", "list", "--all", "--output", "json"]).await;
    let listed: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1001);
}

#[tokio::test]
async fn an_approval_says_what_it_allows_before_it_is_given() {
    let api = ScriptedApi::start().await;
    let path = format!("GET /api/v1/approvals/{APPROVAL}");
    api.on(&path, 200, &approval(APPROVAL, "pending"));
    let given = json!({"state": "approved", "grant": GRANT});
    api.on(&format!("POST /api/v1/approvals/{APPROVAL}/approve"), 200, &given);
    let output = run(&api, &["approve", APPROVAL]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        format!(
            "allows: ann of company sends this very request, adapter.load on llama, once\n\
             approved: grant {GRANT}\n"
        )
    );
    let line = format!("POST /api/v1/approvals/{APPROVAL}/approve");
    assert_eq!(body(&api, &line), json!({}));
    let lines: Vec<String> = api.calls().into_iter().map(|call| call.line).collect();
    assert_eq!(lines, [path, line], "it was answered before it was shown");
}

#[tokio::test]
async fn a_widened_approval_sends_what_it_said() {
    let api = ScriptedApi::start().await;
    api.on(&format!("GET /api/v1/approvals/{APPROVAL}"), 200, &approval(APPROVAL, "pending"));
    let line = format!("POST /api/v1/approvals/{APPROVAL}/approve");
    api.on(&line, 200, &json!({"state": "pending"}));
    let output =
        run(&api, &["approve", APPROVAL, "--uses", "3", "--minutes", "10", "--operations", "a,b"])
            .await;
    assert_eq!(body(&api, &line), json!({"uses": 3, "minutes": 10, "operations": ["a", "b"]}));
    let talk = stderr(&output);
    assert!(talk.contains("does a, b on llama") && talk.contains("3 uses"), "{talk}");
    assert!(talk.contains("within 10 minutes"), "{talk}");
    assert!(talk.ends_with("your answer counts; more are needed\n"), "{talk}");
    for arguments in [["--uses", "0"], ["--minutes", "x"], ["--uses", "-1"]] {
        let arguments = [&["approve", APPROVAL], &arguments[..]].concat();
        assert_eq!(code(&run(&api, &arguments).await), 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_or_is_not_ones_own_to_give_has_its_exit_code() {
    for (status, problem, expected) in [
        (409, "approval_ended", 5),
        (403, "own_request", 3),
        (404, "not_found", 4),
        (422, "too_wide", 1),
    ] {
        let api = ScriptedApi::start().await;
        api.on(&format!("GET /api/v1/approvals/{APPROVAL}"), 200, &approval(APPROVAL, "denied"));
        let answer = json!({"detail": "no", "code": problem});
        api.on(&format!("POST /api/v1/approvals/{APPROVAL}/approve"), status, &answer);
        api.on(&format!("POST /api/v1/approvals/{APPROVAL}/deny"), status, &answer);
        assert_eq!(code(&run(&api, &["approve", APPROVAL]).await), expected, "{problem}");
        let output = run(&api, &["deny", APPROVAL, "--reason", "because"]).await;
        assert_eq!(code(&output), expected, "{problem}");
        let line = format!("POST /api/v1/approvals/{APPROVAL}/deny");
        assert_eq!(body(&api, &line), json!({"reason": "because"}));
    }
    // Somebody who can't even see it is told what the control plane says of the answer.
    let api = ScriptedApi::start().await;
    api.on(&format!("POST /api/v1/approvals/{APPROVAL}/approve"), 403, &json!({}));
    assert_eq!(code(&run(&api, &["approve", APPROVAL]).await), 3);
    let api = ScriptedApi::start().await;
    assert_eq!(code(&run(&api, &["deny", APPROVAL]).await), 2, "without a reason");
    assert!(api.calls().is_empty());
}

#[tokio::test]
async fn the_beginning_of_an_id_is_enough_unless_several_have_it() {
    let api = ScriptedApi::start().await;
    let other = "apr-0011223344ffffffffff";
    let rows = json!([approval(APPROVAL, "pending"), approval(other, "denied")]);
    api.on("GET /api/v1/approvals?limit=1000", 200, &rows);
    api.on(&format!("POST /api/v1/approvals/{APPROVAL}/withdraw"), 200, &json!({}));
    let output = run(&api, &["approvals", "withdraw", "apr-001122334455"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let output = run(&api, &["approvals", "withdraw", "apr-0011"]).await;
    assert_eq!(code(&output), 5);
    let talk = stderr(&output);
    assert!(talk.contains(APPROVAL) && talk.contains(other), "{talk}");
    assert_eq!(code(&run(&api, &["approvals", "withdraw", "apr-ffff"]).await), 4);
    for short in ["apr-0", "../../x", "APR-001122"] {
        assert_eq!(code(&run(&api, &["approvals", "withdraw", short]).await), 2, "{short}");
    }
}

#[tokio::test]
async fn a_broken_glass_is_justified_and_its_review_closed() {
    let api = ScriptedApi::start().await;
    let justify = format!("POST /api/v1/approvals/{APPROVAL}/justify");
    api.on(&justify, 200, &json!({}));
    api.on(&format!("POST /api/v1/approvals/{APPROVAL}/close"), 200, &json!({}));
    let output = run(&api, &["approvals", "justify", APPROVAL, "the model was down"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(body(&api, &justify), json!({"text": "the model was down"}));
    assert_eq!(code(&run(&api, &["approvals", "close-review", APPROVAL]).await), 0);
}

#[tokio::test]
async fn access_is_asked_for_ahead_of_time_and_waited_for() {
    let api = ScriptedApi::start().await;
    let line = "POST /api/v1/access-requests";
    api.on(line, 200, &approval(APPROVAL, "pending"));
    api.on(&format!("GET /api/v1/approvals/{APPROVAL}"), 200, &approval(APPROVAL, "pending"));
    api.on(&format!("GET /api/v1/approvals/{APPROVAL}"), 200, &approval(APPROVAL, "denied"));
    let mut arguments = vec!["request", "llama", "--operations", "infer.chat,list", "--for", "2h"];
    arguments.extend(["--uses", "9", "--reason", "r", "--ticket", "OPS-1", "--output", "json"]);
    arguments.extend(["--models", "qwen*", "--extends", GRANT]);
    let output = run(&api, &arguments).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let expected = json!({"connection": "llama", "operations": ["infer.chat", "list"],
        "models": ["qwen*"], "minutes": 120, "uses": 9, "reason": "r", "ticket": "OPS-1",
        "extends": GRANT});
    assert_eq!(body(&api, line), expected);
    let printed: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(printed["id"], APPROVAL);
    let waiting = ["request", "llama", "--operations", "list", "--for", "30m", "--wait"];
    let output = run(&api, &waiting).await;
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(stdout(&output).contains("state         denied"), "{}", stdout(&output));
    for wrong in ["30s", "0m", "30"] {
        let arguments = ["request", "llama", "--operations", "list", "--for", wrong];
        assert_eq!(code(&run(&api, &arguments).await), 2, "{wrong}");
    }
    assert_eq!(code(&run(&api, &["request", "llama", "--for", "1h"]).await), 2, "no operations");
}

#[tokio::test]
async fn grants_are_listed_shown_given_back_and_revoked_until_every_node_has_acted_on_it() {
    let api = ScriptedApi::start().await;
    api.on("GET /api/v1/grants?limit=200&state=active", 200, &json!([grant("active")]));
    api.on(&format!("GET /api/v1/grants/{GRANT}"), 200, &grant("active"));
    let revoke = format!("POST /api/v1/grants/{GRANT}/revoke");
    api.on(&revoke, 200, &grant("revoked"));
    api.on(&format!("POST /api/v1/grants/{GRANT}/return"), 200, &grant("revoked"));
    let node = |sequence: u64| {
        json!([{"id": "n1", "connected": true,
        "live_sequence": sequence, "live_run": "r"}])
    };
    api.on("GET /api/v1/nodes", 200, &node(6));
    api.on("GET /api/v1/nodes", 200, &node(7));
    let table = stdout(&run(&api, &["grants", "list", "--only", "active"]).await);
    assert!(table.contains("1/3") && table.contains("infer.chat"), "{table}");
    let page = stdout(&run(&api, &["grants", "show", GRANT]).await);
    assert!(page.contains("1 of 3"), "{page}");
    let output = run(&api, &["grants", "revoke", GRANT, "--reason", "stolen", "--wait"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(body(&api, &revoke), json!({"reason": "stolen"}));
    let looks = api.calls().iter().filter(|call| call.line == "GET /api/v1/nodes").count();
    assert_eq!(looks, 2, "it did not wait for the node");
    assert_eq!(code(&run(&api, &["grants", "return", GRANT]).await), 0);
    assert_eq!(code(&run(&api, &["grants", "list", "--only", "pending"]).await), 2);
}

#[tokio::test]
async fn sessions_are_listed_shown_and_killed() {
    let api = ScriptedApi::start().await;
    let row = json!({"id": SESSION, "state": "open", "user": "ann\u{1b}[2J", "connection": "llama",
        "operations": ["infer.chat"], "grants": [], "begun_ms": 1, "node": "n1", "peer": "::1"});
    api.on("GET /api/v1/sessions?limit=1000", 200, &json!([row]));
    api.on(&format!("GET /api/v1/sessions/{SESSION}"), 200, &row);
    let kill = format!("POST /api/v1/sessions/{SESSION}/kill");
    api.on(&kill, 200, &json!({"live_sequence": 1}));
    let table = stdout(&run(&api, &["sessions", "list"]).await);
    assert!(table.contains(SESSION) && !table.contains('\u{1b}'), "{table}");
    let page = stdout(&run(&api, &["sessions", "show", SESSION]).await);
    assert!(page.contains("infer.chat") && !page.contains('\u{1b}'), "{page}");
    let output = run(&api, &["sessions", "kill", "001122", "--reason", "runaway"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(body(&api, &kill), json!({"reason": "runaway"}));
}

#[tokio::test]
async fn of_a_revoked_token_only_the_hash_leaves_the_machine() {
    let api = ScriptedApi::start().await;
    let line = "POST /api/v1/revocations";
    api.on(line, 200, &json!({"live_sequence": 3, "live_run": "r"}));
    let output = run_with_input(&api, &["revoke", "token", "--reason", "leaked"], "abc\n").await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(body(&api, line), json!({"token_sha256": abc, "reason": "leaked"}));
    for input in ["", "Bearer abc", "abc\ndef"] {
        assert_eq!(code(&run_with_input(&api, &["revoke", "token"], input).await), 1, "{input:?}");
    }
    assert_eq!(code(&run(&api, &["revoke", "token", "abc"]).await), 2, "a token in an argument");
    assert_eq!(api.calls().len(), 1);
}

#[tokio::test]
async fn an_identity_and_a_token_by_its_id_are_revoked() {
    for (arguments, expected) in [
        (["identity", "company", "4711"], json!({"issuer": "company", "subject": "4711"})),
        (["token-id", "company", "j1"], json!({"issuer": "company", "token_id": "j1"})),
    ] {
        let api = ScriptedApi::start().await;
        api.on("POST /api/v1/revocations", 200, &json!({"live_sequence": 3}));
        api.on(
            "GET /api/v1/nodes",
            200,
            &json!([{"id": "n", "connected": true, "live_sequence": 3}]),
        );
        let arguments = [&["revoke"], &arguments[..], &["--wait"]].concat();
        let output = run(&api, &arguments).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert_eq!(body(&api, "POST /api/v1/revocations"), expected);
    }
}

#[tokio::test]
async fn a_wait_for_a_revocation_outlives_a_restart_of_the_control_plane() {
    let api = ScriptedApi::start().await;
    api.on("POST /api/v1/revocations", 200, &json!({"live_sequence": 9, "live_run": "first"}));
    let node = |sequence: Option<u64>, run: Option<&str>| {
        json!([{"id": "n", "connected": true,
        "live_sequence": sequence, "live_run": run}])
    };
    let looks = [
        (200, node(Some(8), Some("first"))),
        (503, json!({"title": "unavailable"})),
        (200, node(None, None)),
        (200, node(Some(0), Some("second"))),
    ];
    for (status, rows) in &looks {
        api.on("GET /api/v1/nodes", *status, rows);
    }
    let output = run(&api, &["revoke", "identity", "company", "4711", "--wait"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(api.calls().len(), 1 + looks.len());
}

#[tokio::test]
async fn nobody_acts_in_somebody_elses_name_but_on_a_development_state() {
    let api = ScriptedApi::start().await;
    let commands: [&[&str]; 4] = [
        &["approvals", "list", "--as-user", "ann"],
        &["approve", APPROVAL, "--as-user", "ann", "--as-groups", "ml-leads"],
        &["grants", "--as-user", "ann", "list"],
        &["request", "llama", "--operations", "list", "--for", "1h", "--as-user", "ann"],
    ];
    for arguments in commands {
        let output = run(&api, arguments).await;
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(
            stderr(&output).contains("development") || stderr(&output).contains("penstock dev")
        );
    }
    assert_eq!(code(&run(&api, &["grants", "list", "--as-groups", "a"]).await), 2);
    assert!(api.calls().is_empty());
}

#[tokio::test]
async fn a_profile_is_found_by_name_and_its_token_refreshed_only_by_a_sign_in() {
    let api = ScriptedApi::start().await;
    api.on("GET /api/v1/sessions?limit=1000", 200, &json!([]));
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, expires_ms: u64| {
        write_profile(home.path(), name, expires_ms, &json!({"url": api.url}));
    };
    write("default", u64::MAX);
    write("work", u64::MAX);
    write("old", 1);
    let end = async |arguments: &[&str]| {
        let output = penstock(home.path(), arguments).output().await.unwrap();
        (code(&output), stdout(&output), stderr(&output))
    };
    assert_eq!(end(&["sessions", "list"]).await.0, 0);
    assert_eq!(end(&["sessions", "list", "--profile", "work"]).await.0, 0);
    let tokens: Vec<String> = api.calls().into_iter().map(|call| call.authorization).collect();
    assert_eq!(tokens, ["Bearer of-default", "Bearer of-work"]);
    assert_eq!(end(&["token"]).await.1, "gateway-token\n");
    assert_eq!(end(&["token", "--audience", "penstock-api"]).await.1, "of-default\n");
    assert_eq!(end(&["token", "--groups", "a"]).await.0, 2, "groups of nobody");
    let (exit, _, talk) = end(&["sessions", "list", "--profile", "old"]).await;
    assert_eq!(exit, 3);
    assert!(talk.contains("penstock login --profile old") && !talk.contains("of-old"), "{talk}");
    let (exit, who, _) = end(&["whoami", "--output", "json"]).await;
    assert_eq!(exit, 0);
    assert!(who.contains("\"subject\": \"ann\"") && !who.contains("of-default"), "{who}");
    assert_eq!(end(&["sessions", "list", "--profile", "none"]).await.0, 78);
    assert_eq!(end(&["logout"]).await.0, 0);
    assert!(!home.path().join(".config/penstock/profiles/default.json").exists());
}
