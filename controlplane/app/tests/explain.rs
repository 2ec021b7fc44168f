//! Explanations.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use common::{POLICY, World, admin, identity, operator, requester};
use penstock_app::explain::{Explanation, Question, explain};
use penstock_app::state::Origin;
use penstock_app::{Refusal, Requester};
use penstock_config::identity::{Access, Intent};

fn world() -> World {
    let mut world = World::new();
    let denied = "
kind: rule
name: nobody-scales
effect: deny
operations: [adapter.scale]
---
kind: role
name: users
role: user
subjects: [{groups: [engineers]}]
";
    world.apply(admin(), &format!("{POLICY}---{denied}")).unwrap();
    world
}

fn question(method: &str, path: &str) -> Question {
    Question {
        user: "eve".into(),
        groups: Some(vec!["engineers".into()]),
        method: method.into(),
        path: path.into(),
        ..Question::default()
    }
}

fn answer(world: &World, question: &Question) -> Explanation {
    explain(&world.state, &operator(), question).unwrap()
}

#[test]
fn an_allowed_request_names_its_rule() {
    let world = world();
    let mut chat = question("POST", "/llama/v1/chat/completions");
    chat.body = Some(r#"{"model":"smol","messages":[]}"#.into());
    let explained = answer(&world, &chat);
    assert!(explained.allowed, "{explained:?}");
    assert_eq!((explained.status, explained.code), (200, None));
    assert_eq!(explained.rule.as_deref(), Some("engineers-infer"));
    assert_eq!(explained.operations, ["infer.chat"]);
    assert_eq!(explained.model.as_deref(), Some("smol"));
    assert_eq!(explained.connection.as_deref(), Some("llama"));
    assert!(explained.steps.len() >= 4, "{:?}", explained.steps);
}

#[test]
fn a_denied_request_says_why() {
    let world = world();
    let explained = answer(&world, &question("POST", "/llama/lora-adapters"));
    assert!(!explained.allowed);
    assert_eq!((explained.status, explained.code), (403, Some("denied")));
    assert_eq!(explained.rule.as_deref(), Some("nobody-scales"));
    let unknown = answer(&world, &question("GET", "/llama/nothing/there"));
    assert_eq!((unknown.status, unknown.rule.as_deref()), (403, None));
    assert_eq!(unknown.operations, ["unknown"]);
}

#[test]
fn a_connection_that_no_rule_shows_is_answered_like_an_unknown_one() {
    let world = world();
    let mut stranger = question("GET", "/llama/v1/models");
    stranger.groups = Some(vec!["guests".into()]);
    let unknown = answer(&world, &question("GET", "/nothing/v1/models"));
    for explained in [answer(&world, &stranger), unknown] {
        assert_eq!((explained.status, explained.code), (404, Some("no_connection")));
    }
}

#[test]
fn a_target_with_two_readings_is_a_bad_request() {
    let world = world();
    let explained = answer(&world, &question("GET", "/llama/../v1/models"));
    assert_eq!((explained.status, explained.code), (400, Some("bad_request")));
}

/// Lists are looked at by somebody first, on Fridays.
fn held_world() -> World {
    let mut world = world();
    let held = "
kind: rule
name: lists-on-fridays
effect: approve
subjects: [{groups: [engineers]}]
operations: [list, model.delete]
when: [{days: [fri], from: \"00:00\", to: \"24:00\"}]
approval: {reviewers: [{groups: [leads]}], hold_ms_max: 1}
";
    world.apply(admin(), held).unwrap();
    world
}

/// 2026-11-27 12:00 UTC, a Friday.
const FRIDAY_MS: u64 = 1_795_780_800_000;

#[test]
fn a_request_that_needs_approval_names_the_rules_that_ask_for_it() {
    let world = held_world();
    let list = Question { at_ms: FRIDAY_MS, ..question("GET", "/llama/v1/models") };
    let explained = answer(&world, &list);
    assert!(!explained.allowed);
    assert_eq!((explained.status, explained.code), (403, Some("approval_pending")));
    assert_eq!(explained.approve, ["lists-on-fridays"]);
    assert_eq!(explained.rule.as_deref(), Some("lists-on-fridays"));
    assert!(explained.message.contains("needs approval by lists-on-fridays"), "{explained:?}");
}

#[test]
fn what_is_explained_is_decided_at_the_time_that_is_asked_for() {
    let world = held_world();
    let list = Question { at_ms: FRIDAY_MS + 86_400_000, ..question("GET", "/llama/v1/models") };
    let explained = answer(&world, &list);
    assert!(explained.allowed, "{explained:?}");
    assert_eq!(explained.approve, [""; 0]);
}

#[test]
fn an_intent_narrows() {
    let world = world();
    let mut list = question("GET", "/llama/v1/models");
    assert!(answer(&world, &list).allowed);
    let access = Access { operations: Some(vec!["infer.chat".into()]), ..Access::default() };
    list.intent = Some(Intent { accesses: vec![access] });
    let explained = answer(&world, &list);
    assert_eq!((explained.allowed, explained.status), (false, 403));
}

#[test]
fn the_role_user_explains_only_about_itself_with_its_own_groups() {
    let world = world();
    let eve = requester("eve", &["engineers"]);
    let mut list = question("GET", "/llama/v1/models");
    assert!(explain(&world.state, &eve, &list).unwrap().allowed);
    list.groups = None;
    assert!(explain(&world.state, &eve, &list).unwrap().allowed, "the token's own groups");
    list.groups = Some(vec!["admins".into()]);
    assert!(matches!(explain(&world.state, &eve, &list), Err(Refusal::Forbidden(_))));
    list.groups = None;
    list.user = "ada".into();
    assert!(matches!(explain(&world.state, &eve, &list), Err(Refusal::Forbidden(_))));
}

#[test]
fn the_role_user_cannot_tell_a_hidden_connection_from_an_unknown_one() {
    let mut world = world();
    let users = "kind: role\nname: guests\nrole: user\nsubjects: [{groups: [guests]}]\n";
    world.apply(admin(), users).unwrap();
    let guest = requester("gus", &["guests"]);
    let mut list = question("GET", "/llama/v1/models");
    list.user = "gus".into();
    list.groups = None;
    let mut hidden = explain(&world.state, &guest, &list).unwrap();
    list.path = "/nothing/v1/models".into();
    let unknown = explain(&world.state, &guest, &list).unwrap();
    hidden.message = hidden.message.replace("llama", "nothing");
    hidden.steps = hidden.steps.iter().map(|step| step.replace("llama", "nothing")).collect();
    assert_eq!(hidden, unknown);
}

#[test]
fn an_issuer_must_be_named_only_where_nothing_tells_which() {
    let mut world = world();
    let mut list = question("GET", "/llama/v1/models");
    list.issuer = Some("nobody".into());
    let by = Requester::Identity(Box::new(identity("ada", &["admins"])));
    assert_eq!(explain(&world.state, &by, &list), Err(Refusal::NotFound("issuer")));
    list.issuer = None;
    let first_run = world.state.durable.documents.clone();
    let two = "kind: issuer\nname: ci\nissuer: https://ci.example.com\naudiences: [penstock]\n";
    let named = common::FIRST_RUN.replace("[{groups", "[{issuer: dev, groups");
    let policy = POLICY.replace("[{groups", "[{issuer: dev, groups");
    let users = "kind: role\nname: users\nrole: user\nsubjects: [{issuer: dev, users: [eve]}]\n";
    world.apply(admin(), &format!("{two}---{named}---{policy}---\n{users}")).unwrap();
    assert_ne!(world.state.durable.documents, first_run);
    assert!(answer(&world, &list).allowed, "the first run's issuer");
    for stored in std::sync::Arc::make_mut(&mut world.state.durable.documents).values_mut() {
        stored.origin = Origin::Applied;
    }
    assert_eq!(explain(&world.state, &by, &list), Err(Refusal::IssuerNeeded));
}
