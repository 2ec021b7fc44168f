//! Access just in time, as people meet it: a request waits on its open connection until somebody
//! answers, goes through once, and ends in mid-stream when it is revoked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use penstock_harness::{AutonomousUpstream, Dev, RawClient, Response, eventually};
use penstock_journeys::documents;
use serde_json::Value;

const ADAPTERS: &str = "/m/lora-adapters";
const CHANGE: &str = r#"[{"id":0,"scale":0.5}]"#;

/// What a rule says after `approval:`, in flow style.
const ONE_LEAD: &str = "{reviewers: [{groups: [ml-leads]}], hold_ms_max: 20000}";

struct Stage {
    dev: Dev,
    upstream: AutonomousUpstream,
}

impl Stage {
    /// Contractors may infer; what changes adapters needs what `approval` says.
    fn start(approval: &str) -> Self {
        Self::start_with(approval, "")
    }

    fn start_with(approval: &str, more: &str) -> Self {
        let upstream = AutonomousUpstream::start();
        let connection = documents::connection("m", "llamacpp", &upstream.url());
        let infer = documents::allow("infer", "contractors", "infer.*, list");
        let rule = format!(
            "kind: rule\nname: adapters\neffect: approve\nsubjects: [{{groups: [contractors]}}]\n\
             operations: [adapter.*]\napproval: {approval}\n"
        );
        let dev = Dev::start(&format!("{connection}{infer}{rule}{more}"));
        Self { dev, upstream }
    }

    fn contractor(&self) -> String {
        self.dev.token("carl", &["contractors"], &[])
    }

    /// Sends a change of the adapters, and does not wait for its answer.
    fn ask(&self, token: &str, headers: &str) -> RawClient {
        let mut client = RawClient::connect(&self.dev.ready().gateway);
        client.send(format!(
            "POST {ADAPTERS} HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer {token}\r\n\
             {headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{CHANGE}",
            CHANGE.len(),
        ));
        client
    }

    /// How many changes the model server got.
    fn changes(&self) -> usize {
        self.upstream.seen().iter().filter(|seen| seen.request.method() == "POST").count()
    }

    /// What the administrator of the state sees.
    fn rows(&self, kind: &str) -> Vec<Value> {
        let output = self.dev.penstock(&[kind, "list", "--output", "json"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        serde_json::from_str(&output.stdout).unwrap()
    }

    /// The approval that is in this state, once there is one.
    fn approval(&self, state: &str) -> String {
        eventually(&format!("an approval that is {state}"), || {
            let rows = self.rows("approvals");
            let row = rows.iter().find(|row| row["state"] == state)?;
            Some(row["id"].as_str().unwrap().to_owned())
        })
    }

    /// Answers as somebody; the exit status.
    fn answer(&self, who: &str, groups: &str, arguments: &[&str]) -> i32 {
        let mut all = arguments.to_vec();
        all.extend(["--as-user", who, "--as-groups", groups]);
        self.dev.penstock(&all).code
    }
}

#[track_caller]
fn refused(response: &Response, status: u16, code: &str) -> Value {
    let body = response.message.json();
    assert_eq!(response.status, status, "{body}");
    assert_eq!(body["error"]["code"], code, "{body}");
    body
}

#[test]
fn a_change_waits_for_a_second_person_and_goes_through_once() {
    let stage = Stage::start(ONE_LEAD);
    let token = stage.contractor();
    let mut held = stage.ask(&token, "");
    let approval = stage.approval("pending");
    assert_eq!(stage.changes(), 0, "nothing goes up before the answer");
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", &approval]), 0);
    assert_eq!(held.read_response().unwrap().status, 200);
    assert_eq!(stage.changes(), 1);
    // The same request once more is a new question.
    let mut again = stage.ask(&token, "");
    let second = stage.approval("pending");
    assert_ne!(approval, second);
    assert_eq!(stage.answer("lea", "ml-leads", &["deny", &second, "--reason", "once"]), 0);
    let body = refused(&again.read_response().unwrap(), 403, "approval_denied");
    assert_eq!(body["error"]["penstock"]["approval"], second.as_str());
    assert_eq!(stage.changes(), 1);
    // An answer to what has ended is a conflict, and to what is not there a miss.
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", &second]), 5);
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", "apr-nothing"]), 4);
}

#[test]
fn after_the_hold_the_question_stays_and_the_same_request_goes_through_later() {
    let stage = Stage::start("{reviewers: [{groups: [ml-leads]}], hold_ms_max: 300}");
    let token = stage.contractor();
    let body = refused(&stage.ask(&token, "").read_response().unwrap(), 403, "approval_pending");
    let approval = body["error"]["penstock"]["approval"].as_str().unwrap().to_owned();
    let url = body["error"]["penstock"]["url"].as_str().unwrap();
    assert!(url.ends_with(&approval), "{url}");
    // Sent again while it is pending it joins.
    let again = refused(&stage.ask(&token, "").read_response().unwrap(), 403, "approval_pending");
    assert_eq!(again["error"]["penstock"]["approval"], approval.as_str());
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", &approval]), 0);
    assert_eq!(stage.ask(&token, "").read_response().unwrap().status, 200);
    assert_eq!(stage.changes(), 1);
}

#[test]
fn one_of_two_copies_goes_through() {
    let stage = Stage::start(ONE_LEAD);
    let token = stage.contractor();
    let mut copies = [stage.ask(&token, ""), stage.ask(&token, "")];
    let approval = stage.approval("pending");
    eventually("both copies to be held", || {
        let metrics = RawClient::connect(&stage.dev.ready().operations)
            .exchange("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .text();
        let open = metrics.lines().filter(|line| line.starts_with("penstock_holds_open"));
        let sum: f64 =
            open.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap_or(0.0)).sum();
        (sum >= 2.0).then_some(())
    });
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", &approval]), 0);
    let mut answers: Vec<_> = copies.iter_mut().map(|copy| copy.read_response().unwrap()).collect();
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(answers[0].status, 200);
    refused(&answers[1], 403, "approval_spent");
    assert_eq!(stage.changes(), 1);
}

#[test]
fn an_answer_may_be_wider_than_once_within_the_rule() {
    let limits = "grant: {minutes_max: 10, uses_max: 3}";
    let stage = Stage::start(&format!(
        "{{reviewers: [{{groups: [ml-leads]}}], hold_ms_max: 9000, {limits}}}"
    ));
    let token = stage.contractor();
    let mut held = stage.ask(&token, "");
    let approval = stage.approval("pending");
    assert_ne!(stage.answer("lea", "ml-leads", &["approve", &approval, "--uses", "4"]), 0);
    assert_ne!(stage.answer("lea", "ml-leads", &["approve", &approval, "--minutes", "11"]), 0);
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", &approval, "--uses", "2"]), 0);
    assert_eq!(held.read_response().unwrap().status, 200);
    assert_eq!(stage.ask(&token, "").read_response().unwrap().status, 200);
    // The third one is held again.
    let _third = stage.ask(&token, "");
    assert_ne!(stage.approval("pending"), approval);
    assert_eq!(stage.changes(), 2);
}

#[test]
fn nobody_answers_their_own_question_not_as_administrator_nor_under_a_linked_identity() {
    let person = "---\nkind: person\nname: carl\nidentities:\n\
                  - {issuer: dev, subject: carl}\n- {issuer: dev, subject: carl-admin}\n";
    let admins = "---\nkind: role\nname: more-admins\nrole: admin\n\
                  subjects: [{users: [carl, carl-admin]}]\n";
    let stage = Stage::start_with(ONE_LEAD, &format!("{person}{admins}"));
    let mut held = stage.ask(&stage.contractor(), "");
    let approval = stage.approval("pending");
    for who in ["carl", "carl-admin"] {
        assert_eq!(stage.answer(who, "contractors,ml-leads", &["approve", &approval]), 3, "{who}");
    }
    assert_eq!(stage.changes(), 0);
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", &approval]), 0);
    assert_eq!(held.read_response().unwrap().status, 200);
}

#[test]
fn one_person_in_two_groups_is_not_a_quorum_of_both() {
    let stage = Stage::start(
        "{one_from_each: [{groups: [ml-leads]}, {groups: [security]}], quorum: 2, \
         hold_ms_max: 20000}",
    );
    let mut held = stage.ask(&stage.contractor(), "");
    let approval = stage.approval("pending");
    assert_eq!(stage.answer("both", "ml-leads,security", &["approve", &approval]), 0);
    assert_eq!(stage.approval("pending"), approval);
    assert_ne!(stage.answer("both", "ml-leads,security", &["approve", &approval]), 0);
    assert_eq!(stage.approval("pending"), approval);
    assert_eq!(stage.answer("sam", "security", &["approve", &approval]), 0);
    assert_eq!(held.read_response().unwrap().status, 200);
}

#[test]
fn a_reason_that_is_required_must_be_given() {
    let stage =
        Stage::start("{reviewers: [{groups: [ml-leads]}], reason: required, hold_ms_max: 20000}");
    let token = stage.contractor();
    refused(&stage.ask(&token, "").read_response().unwrap(), 403, "reason_required");
    let mut held = stage.ask(&token, "penstock-reason: the new adapter is evaluated\r\n");
    let approval = stage.approval("pending");
    let shown = stage.dev.penstock(&[
        "approvals",
        "show",
        &approval,
        "--as-user",
        "lea",
        "--as-groups",
        "ml-leads",
    ]);
    assert!(shown.stdout.contains("the new adapter is evaluated"), "{}", shown.stdout);
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", &approval]), 0);
    assert_eq!(held.read_response().unwrap().status, 200);
    let head = &stage.upstream.seen()[0].request;
    assert_eq!(head.header("penstock-reason"), None, "it does not go up");
}

#[test]
fn broken_glass_opens_at_once_and_a_review_that_its_user_cannot_close() {
    let stage = Stage::start(
        "{reviewers: [{groups: [ml-leads]}], hold_ms_max: 300, \
         break_glass: {subjects: [{users: [carl]}]}}",
    );
    let token = stage.contractor();
    let glass = "penstock-break-glass: true\r\npenstock-reason: production is down\r\n";
    assert_eq!(stage.ask(&token, glass).read_response().unwrap().status, 200);
    assert_eq!(stage.changes(), 1);
    // Who may not break it waits like everybody.
    let other = stage.dev.token("cora", &["contractors"], &[]);
    refused(&stage.ask(&other, glass).read_response().unwrap(), 403, "approval_pending");
    let rows = stage.rows("approvals");
    let broken = rows.iter().find(|row| row["user"] == "carl").unwrap();
    let approval = broken["id"].as_str().unwrap();
    let own = ["approvals", "close-review", approval];
    assert_eq!(stage.answer("carl", "contractors,ml-leads", &own), 3);
    let because = ["approvals", "justify", approval, "the pager rang"];
    assert_eq!(stage.answer("carl", "contractors", &because), 0);
    assert_eq!(stage.answer("lea", "ml-leads", &own), 0);
}

#[test]
fn a_caller_who_leaves_withdraws_the_question() {
    let stage = Stage::start(ONE_LEAD);
    let held = stage.ask(&stage.contractor(), "");
    let approval = stage.approval("pending");
    drop(held);
    assert_eq!(stage.approval("withdrawn"), approval);
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", &approval]), 5);
    assert_eq!(stage.changes(), 0);
}

#[test]
fn a_question_that_nobody_answers_expires() {
    let stage = Stage::start(
        "{reviewers: [{groups: [ml-leads]}], hold_ms_max: 20000, answer_ms_max: 1000}",
    );
    let mut held = stage.ask(&stage.contractor(), "");
    refused(&held.read_response().unwrap(), 403, "approval_denied");
    let approval = stage.approval("expired");
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", &approval]), 5);
    assert_eq!(stage.changes(), 0);
}

#[test]
fn an_offboarded_identity_is_cut_in_mid_stream_and_its_token_is_refused() {
    let stage = Stage::start(ONE_LEAD);
    stage.upstream.set_events(100_000, Duration::from_millis(20));
    let token = stage.contractor();
    let mut client = RawClient::connect(&stage.dev.ready().gateway);
    client.send(penstock_harness::requests::streamed_chat(&token));
    client.read_until(b"data: ").unwrap();
    assert_eq!(stage.dev.penstock(&["revoke", "identity", "dev", "carl"]).code, 0);
    let rest = client.read_to_end().unwrap();
    let text = String::from_utf8_lossy(&rest);
    assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
    let mut next = RawClient::connect(&stage.dev.ready().gateway);
    let answer = next.exchange(penstock_harness::requests::models(&token));
    refused(&answer, 401, "unauthenticated");
    // Whoever gets a new token afterwards is somebody who was let in again.
    let anew = eventually("a token that holds", || {
        let token = stage.contractor();
        let answer = next.exchange(penstock_harness::requests::models(&token));
        (answer.status == 200).then_some(token)
    });
    assert!(!anew.is_empty());
}

#[test]
fn a_session_that_is_killed_ends_and_no_other() {
    let stage = Stage::start(ONE_LEAD);
    stage.upstream.set_events(100_000, Duration::from_millis(20));
    let token = stage.contractor();
    let mut clients = [0, 1].map(|_| {
        let mut client = RawClient::connect(&stage.dev.ready().gateway);
        client.send(penstock_harness::requests::streamed_chat(&token));
        let head = client.read_until(b"\r\n\r\n").unwrap();
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let (_, rest) = head.split_once("penstock-session: ").unwrap();
        (client, rest.lines().next().unwrap().to_owned())
    });
    let first = clients[0].1.clone();
    eventually("both to be listed", || (stage.rows("sessions").len() >= 2).then_some(()));
    assert_eq!(stage.dev.penstock(&["sessions", "kill", &first]).code, 0);
    let rest = clients[0].0.read_to_end().unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"));
    clients[1].0.read_until(b"data: ").unwrap();
    clients[1].0.read_until(b"data: ").unwrap();
}

#[test]
fn access_is_asked_for_ahead_of_time_and_revoked_before_its_time() {
    let limits = "grant: {minutes_max: 30, uses_max: 5}";
    let stage = Stage::start(&format!(
        "{{reviewers: [{{groups: [ml-leads]}}], hold_ms_max: 200, {limits}}}"
    ));
    let token = stage.contractor();
    let arguments = [
        "request",
        "m",
        "--operations",
        "adapter.scale",
        "--for",
        "30m",
        "--uses",
        "2",
        "--reason",
        "tonight's change",
    ];
    assert_eq!(stage.answer("carl", "contractors", &arguments), 0);
    let approval = stage.approval("pending");
    let widened = ["approve", &approval, "--uses", "2", "--minutes", "30"];
    assert_eq!(stage.answer("lea", "ml-leads", &widened), 0);
    assert_eq!(stage.ask(&token, "").read_response().unwrap().status, 200);
    let grants = stage.rows("grants");
    assert_eq!(
        (grants[0]["state"].as_str(), grants[0]["user"].as_str()),
        (Some("active"), Some("carl"))
    );
    let grant = grants[0]["id"].as_str().unwrap();
    assert_eq!(stage.dev.penstock(&["grants", "revoke", grant, "--wait"]).code, 0);
    refused(&stage.ask(&token, "").read_response().unwrap(), 403, "approval_pending");
    assert_eq!(stage.changes(), 1);
}

#[test]
fn a_granted_stream_is_cut_when_its_grant_is_revoked() {
    let chats = "---\nkind: rule\nname: chats\neffect: approve\n\
                 subjects: [{groups: [guests]}]\noperations: [infer.chat]\n\
                 approval: {reviewers: [{groups: [ml-leads]}], hold_ms_max: 20000}\n";
    let stage = Stage::start_with(ONE_LEAD, chats);
    stage.upstream.set_events(100_000, Duration::from_millis(20));
    let mut client = RawClient::connect(&stage.dev.ready().gateway);
    client.send(penstock_harness::requests::streamed_chat(&stage.dev.token(
        "gil",
        &["guests"],
        &[],
    )));
    let approval = stage.approval("pending");
    assert_eq!(stage.answer("lea", "ml-leads", &["approve", &approval]), 0);
    client.read_until(b"data: ").unwrap();
    // Its one use is taken, and it is listed, and revocable, while its exchange runs.
    let grants = stage.rows("grants");
    assert_eq!(grants[0]["state"], "spent", "{grants:?}");
    let grant = grants[0]["id"].as_str().unwrap();
    assert_eq!(stage.dev.penstock(&["grants", "revoke", grant]).code, 0);
    let rest = client.read_to_end().unwrap();
    let text = String::from_utf8_lossy(&rest);
    assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
}

#[test]
fn a_token_in_the_target_or_in_a_cookie_is_none() {
    let stage = Stage::start(ONE_LEAD);
    let token = stage.contractor();
    let mut client = RawClient::connect(&stage.dev.ready().gateway);
    for (target, header) in [
        (format!("/m/v1/models?access_token={token}"), String::new()),
        (format!("/{token}/m/v1/models"), String::new()),
        ("/m/v1/models".to_owned(), format!("Cookie: penstock={token}\r\n")),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n{header}\r\n");
        refused(&client.exchange(head), 401, "unauthenticated");
    }
    assert_eq!(client.exchange(penstock_harness::requests::models(&token)).status, 200);
}
