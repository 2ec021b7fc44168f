//! Requests that need approval, in a world around the core.
#![allow(dead_code, reason = "each test file uses its own part")]

use penstock_app::approvals::{Approval, Channel, ShownState, Vote};
use penstock_app::event::{GrantEnd, Joined};
use penstock_app::grants::Grant;
use penstock_app::{Answer, Event, Refusal, Requester, State, Tuning, sha256_hex};
use penstock_config::catalogue::{Classified, Operation, Risk};
use penstock_config::hold::{
    End, EndOutcome, Facts, Go, HoldAnswer, HoldRequest, Pending, Refused, RefusedCode,
};
use penstock_config::identity::Identity;
use penstock_config::node::Position;

use crate::common::{self, World, admin, identity};

/// One connection, one rule that asks one lead.
pub(crate) const RULE: &str = "
kind: connection
name: llama
protocol: llamacpp
version: b11434
endpoints: [http://127.0.0.1:8080]
---
kind: rule
name: adapters
effect: approve
subjects: [{groups: [engineers]}]
operations: [adapter.*, weights.import, list]
approval:
  reviewers: [{groups: [leads]}, {groups: [operators]}, {users: [ada]}]
  hold_ms_max: 300000
  answer_ms_max: 3600000
  grant: {minutes_max: 30, uses_max: 5}
";

/// The rule with another `approval`.
pub(crate) fn rule_with(approval: &str) -> String {
    let (before, _) = RULE.split_once("approval:").unwrap();
    format!("{before}approval:\n{approval}")
}

/// A world with that policy and two nodes.
pub(crate) fn world_with(policy: &str) -> World {
    let mut world = World::new();
    world.state.tuning.approval_url = "https://penstock.example".into();
    world.apply(admin(), policy).unwrap();
    for node in ["node-1", "node-2"] {
        let token_sha256 = format!("token of {node}");
        let by = admin();
        world.send(Event::JoinFileIssued { by, token_sha256: token_sha256.clone() }).unwrap();
        let joined = Joined {
            token_sha256,
            node: node.into(),
            name: "host".into(),
            certificate_sha256: node.into(),
        };
        world.send(Event::NodeJoined(joined)).unwrap();
    }
    world
}

pub(crate) fn world() -> World {
    world_with(RULE)
}

pub(crate) fn eve() -> Identity {
    identity("eve", &["engineers"])
}

pub(crate) fn by(identity: Identity) -> Requester {
    Requester::Identity(Box::new(identity))
}

pub(crate) fn lead(name: &str) -> Requester {
    common::requester(name, &["leads"])
}

/// A session's id.
pub(crate) fn session(number: u32) -> String {
    format!("{number:032x}")
}

/// Loads an adapter.
pub(crate) fn facts() -> Facts {
    let load = Operation::named("adapter.load").unwrap();
    Facts::from(&Classified::new(&[load], Risk::High, Some("m1")))
}

pub(crate) fn facts_of(names: &[&str], model: Option<&str>) -> Facts {
    let operations: Vec<Operation> =
        names.iter().map(|name| Operation::named(name).unwrap()).collect();
    Facts::from(&Classified::new(&operations, Risk::Low, model))
}

/// One request of an identity, with a body of that text.
pub(crate) fn request(number: u32, identity: &Identity, body: &str) -> HoldRequest {
    HoldRequest {
        session: session(number),
        identity: identity.clone(),
        token_issued_ms: 900_000,
        token_expires_ms: 1_600_000,
        token_sha256: sha256_hex(b"token"),
        connection: "llama".into(),
        facts: facts(),
        method: "POST".into(),
        target: "/lora-adapters".into(),
        digest: sha256_hex(body.as_bytes()),
        body_bytes: 2,
        body_sha256: sha256_hex(b"body"),
        shown: vec![("path".into(), body.into())],
        reason: None,
        ticket: None,
        break_glass: false,
        position: Position::default(),
        peer: "192.0.2.1".into(),
        agent: Some("curl/8".into()),
    }
}

pub(crate) fn fresh(number: u32) -> String {
    format!("{number:020}")
}

/// Asks from `node-1`; an id that no approval has is at hand.
pub(crate) fn hold(world: &mut World, request: &HoldRequest) -> HoldAnswer {
    hold_on(world, "node-1", request)
}

pub(crate) fn hold_on(world: &mut World, node: &str, request: &HoldRequest) -> HoldAnswer {
    let fresh = fresh(u32::try_from(world.acts.len()).unwrap());
    let request = Box::new(request.clone());
    match world.send(Event::Hold { node: node.into(), request, fresh }).unwrap() {
        Answer::Hold(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn pending(answer: HoldAnswer) -> Pending {
    match answer {
        HoldAnswer::Pending(pending) => pending,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn go(answer: HoldAnswer) -> Go {
    match answer {
        HoldAnswer::Go(go) => go,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn refused(answer: HoldAnswer) -> Refused {
    match answer {
        HoldAnswer::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn code(answer: HoldAnswer) -> RefusedCode {
    refused(answer).code
}

/// Holds a request and gives back the id of its approval.
#[track_caller]
pub(crate) fn asked(world: &mut World, number: u32, body: &str) -> String {
    let answer = hold(world, &request(number, &eve(), body));
    pending(answer).approval
}

pub(crate) fn vote(
    world: &mut World,
    by: Requester,
    approval: &str,
    vote: Vote,
) -> Result<Answer, Refusal> {
    let channel = Channel::Api;
    world.send(Event::Vote { by, approval: approval.into(), vote, channel })
}

#[track_caller]
pub(crate) fn approve(world: &mut World, by: Requester, approval: &str) {
    vote(world, by, approval, Vote::YES).unwrap();
}

pub(crate) fn deny() -> Vote {
    Vote::Deny { reason: "not now".into() }
}

pub(crate) fn widened(minutes: Option<u64>, uses: Option<u64>) -> Vote {
    Vote::Approve { minutes, uses, operations: None }
}

pub(crate) fn end(world: &mut World, number: u32, outcome: EndOutcome) {
    end_on(world, "node-1", number, outcome);
}

pub(crate) fn end_on(world: &mut World, node: &str, number: u32, outcome: EndOutcome) {
    let ends = vec![End { session: session(number), outcome }];
    world.send(Event::Ends { node: node.into(), ends }).unwrap();
}

pub(crate) fn revoke(world: &mut World, by: Requester, grant: &str) -> Result<Answer, Refusal> {
    let how = GrantEnd::Revoke;
    world.send(Event::EndGrant { by, grant: grant.into(), how, reason: None })
}

pub(crate) fn tick(world: &mut World) {
    world.send(Event::Tick).unwrap();
}

#[track_caller]
pub(crate) fn approval(world: &World, id: &str) -> Approval {
    (*world.state.durable.approvals[id]).clone()
}

/// The grant of an approval.
#[track_caller]
pub(crate) fn grant(world: &World, approval: &str) -> Grant {
    let id = approval.replacen("apr-", "grt-", 1);
    (*world.state.durable.grants[&id]).clone()
}

#[track_caller]
pub(crate) fn shown(world: &World, id: &str) -> ShownState {
    world.state.shown_state(&world.state.durable.approvals[id])
}

/// The same after the process ended and began again: from what was written alone.
pub(crate) fn restart(world: &mut World) {
    let mut durable = penstock_app::Durable {
        cluster: world.state.durable.cluster.clone(),
        ..penstock_app::Durable::default()
    };
    world.changes.iter().for_each(|change| durable.take(change));
    assert_eq!(durable, world.state.durable, "what was written is what was in memory");
    let tuning = Tuning { ..world.state.tuning.clone() };
    world.state = State::new(durable, tuning);
}

/// Actions of acts since some number of them.
pub(crate) fn actions_since(world: &World, since: usize) -> Vec<&str> {
    world.acts[since..].iter().map(|act| act.action.as_str()).collect()
}
