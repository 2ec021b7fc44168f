//! Grants: counted, time-boxed, revocable; break-glass; access ahead of time; revocations.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;
mod held;

use common::{admin, identity, operator, requester};
use held::{
    approval, approve, asked, by, code, end, eve, facts_of, go, grant, hold, hold_on, lead,
    pending, request, restart, revoke, rule_with, session, shown, tick, vote, widened, world,
    world_with,
};
use penstock_app::approvals::{AccessRequest, EndCause, ShownState, Vote};
use penstock_app::event::{GrantEnd, TokenRef};
use penstock_app::grants::GrantState;
use penstock_app::{Answer, Event, Refusal, sha256_hex};
use penstock_config::documents::NotificationEvent;
use penstock_config::hold::{EndOutcome, LiveEvent, OpenSession, OpenSessions, RefusedCode};

const GLASS: &str = "  reviewers: [{groups: [leads]}]
  answer_ms_max: 3600000
  grant: {minutes_max: 30, uses_max: 2}
  break_glass: {subjects: [{users: [eve]}], minutes_max: 60, justify_ms_max: 600000}
";

fn access(operations: &[&str]) -> AccessRequest {
    AccessRequest {
        connection: "llama".into(),
        operations: operations.iter().map(|name| (*name).to_owned()).collect(),
        models: None,
        minutes: 20,
        uses: Some(3),
        reason: None,
        ticket: None,
        extends: None,
    }
}

fn request_access(world: &mut common::World, access: AccessRequest) -> Result<String, Refusal> {
    let fresh = held::fresh(u32::try_from(world.acts.len()).unwrap());
    match world.send(Event::RequestAccess { by: by(eve()), access, fresh })? {
        Answer::Approval(id) => Ok(id),
        other => panic!("{other:?}"),
    }
}

fn live_events(world: &common::World, after: u64) -> Vec<LiveEvent> {
    let run = world.state.live_run().to_owned();
    let live = world.state.live(&run, after, world.now_ms);
    assert!(!live.full);
    live.events
}

#[test]
fn a_grant_ends_by_itself_counted_from_its_first_use() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    vote(&mut world, lead("lea"), &id, widened(Some(10), Some(5))).unwrap();
    world.now_ms += 3_000_000;
    let went = go(hold(&mut world, &request(1, &eve(), "a")));
    assert_eq!((went.ends_ms, went.left_ms), (world.now_ms + 600_000, 600_000));
    assert_eq!(shown(&world, &id), ShownState::Active);
    world.now_ms += 599_999;
    assert_eq!(go(hold(&mut world, &request(2, &eve(), "b"))).left_ms, 1);
    world.now_ms += 1;
    pending(hold(&mut world, &request(3, &eve(), "c")));
    let again = code(hold(&mut world, &request(2, &eve(), "b")));
    assert_eq!(again, RefusedCode::ApprovalDenied, "a session's use ends with its grant");
    tick(&mut world);
    assert_eq!(shown(&world, &id), ShownState::Expired);
}

#[test]
fn uses_are_exactly_as_many_as_were_given_also_with_two_nodes() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    vote(&mut world, lead("lea"), &id, widened(Some(10), Some(3))).unwrap();
    let mut gone = 0;
    for number in 1..10 {
        let node = ["node-1", "node-2"][usize::try_from(number % 2).unwrap()];
        let node = if number == 1 { "node-1" } else { node };
        let body = if number == 1 { "a".to_owned() } else { number.to_string() };
        let answer = hold_on(&mut world, node, &request(number, &eve(), &body));
        gone += u32::from(matches!(answer, penstock_config::hold::HoldAnswer::Go(_)));
    }
    assert_eq!(gone, 3);
    assert_eq!(shown(&world, &id), ShownState::Spent);
}

#[test]
fn a_spent_grant_can_be_revoked_while_its_exchange_runs_and_is_over_with_it() {
    let mut world = world();
    world.state = world.state.clone().with_run("run".into());
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    let grant_id = grant(&world, &id).id;
    go(hold(&mut world, &request(1, &eve(), "a")));
    let before = world.state.live_sequence();
    revoke(&mut world, by(eve()), &grant_id).unwrap();
    let ended = LiveEvent::GrantEnded { id: grant_id.clone() };
    assert!(live_events(&world, before).contains(&ended), "nodes cut what runs");
    assert_eq!(shown(&world, &id), ShownState::Revoked);
    assert_eq!(world.told.last().unwrap().event, NotificationEvent::GrantEnded);
    let second = asked(&mut world, 2, "b");
    approve(&mut world, lead("lea"), &second);
    go(hold(&mut world, &request(2, &eve(), "b")));
    end(&mut world, 2, EndOutcome::Ended);
    let second = grant(&world, &second).id;
    let over = revoke(&mut world, by(eve()), &second);
    assert_eq!(over, Err(Refusal::Ended(ShownState::Spent)));
}

#[test]
fn a_revoked_grant_lets_nothing_through_any_more() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    vote(&mut world, lead("lea"), &id, widened(Some(10), Some(5))).unwrap();
    go(hold(&mut world, &request(1, &eve(), "a")));
    let grant_id = grant(&world, &id).id;
    revoke(&mut world, lead("max"), &grant_id).unwrap();
    pending(hold(&mut world, &request(2, &eve(), "b")));
    assert_eq!(code(hold(&mut world, &request(1, &eve(), "a"))), RefusedCode::ApprovalDenied);
    assert_eq!(grant(&world, &id).ended.unwrap().cause, EndCause::Revoked);
    end(&mut world, 1, EndOutcome::NothingSent);
    assert_eq!(grant(&world, &id).state, GrantState::Revoked, "nothing brings it back");
    restart(&mut world);
    assert_eq!(shown(&world, &id), ShownState::Revoked);
}

#[test]
fn who_may_end_a_grant() {
    let mut world = world_with(&rule_with("  reviewers: [{groups: [leads]}]\n"));
    let mut next = 0;
    let mut made = |world: &mut common::World| {
        next += 1;
        let id = asked(world, next, &next.to_string());
        approve(world, lead("lea"), &id);
        grant(world, &id).id
    };
    let stranger = || requester("zoe", &["engineers"]);
    for who in [by(eve()), lead("max"), operator(), admin()] {
        let id = made(&mut world);
        assert!(matches!(revoke(&mut world, stranger(), &id), Err(Refusal::Forbidden(_))));
        revoke(&mut world, who, &id).unwrap();
    }
    let id = made(&mut world);
    let give_back = |by| Event::EndGrant {
        by,
        grant: id.clone(),
        how: GrantEnd::GiveBack,
        reason: Some("done".into()),
    };
    for who in [stranger(), lead("max"), admin()] {
        assert_eq!(world.send(give_back(who)), Err(Refusal::NotYours));
    }
    world.send(give_back(by(eve()))).unwrap();
    let ended = world.state.durable.grants[&id].ended.clone().unwrap();
    assert_eq!((ended.cause, ended.note.as_str()), (EndCause::GivenBack, "done"));
    assert_eq!(world.send(give_back(by(eve()))), Err(Refusal::Ended(ShownState::Revoked)));
}

#[test]
fn grants_and_questions_whose_rule_or_connection_is_gone_end() {
    for kind in ["rule", "connection"] {
        let mut world = world();
        let id = asked(&mut world, 1, "a");
        vote(&mut world, lead("lea"), &id, widened(Some(10), Some(5))).unwrap();
        let mut unload = request(2, &eve(), "b");
        unload.facts = facts_of(&["adapter.unload"], None);
        let waits = pending(hold(&mut world, &unload)).approval;
        let other = if kind == "rule" { "adapters" } else { "llama" };
        let key = penstock_app::state::DocumentKey::new(kind, other).unwrap();
        world.send(Event::DeleteDocument { by: admin(), key }).unwrap();
        assert_eq!(grant(&world, &id).ended.unwrap().cause, EndCause::Orphaned, "{kind}");
        assert_eq!(shown(&world, &waits), ShownState::Withdrawn, "{kind}");
        assert_eq!(code(hold(&mut world, &request(3, &eve(), "c"))), RefusedCode::Denied);
    }
}

#[test]
fn glass_is_broken_at_once_and_looked_at_by_somebody_else() {
    let mut world = world_with(&rule_with(GLASS));
    let mut ask = request(1, &eve(), "a");
    ask.break_glass = true;
    assert_eq!(code(hold(&mut world, &ask)), RefusedCode::ReasonRequired);
    ask.reason = Some("the model is down".into());
    let went = go(hold(&mut world, &ask));
    let id = went.approval.unwrap();
    let given = grant(&world, &id);
    assert!(given.is_break_glass);
    assert_eq!((given.minutes, given.uses_max), (60, 2));
    assert_eq!(world.told.last().unwrap().event, NotificationEvent::BreakGlassUsed);
    let close = |by| Event::CloseReview { by, approval: id.clone() };
    let justify = |by, text: &str| Event::Justify { by, approval: id.clone(), text: text.into() };
    assert_eq!(world.send(close(lead("lea"))), Err(Refusal::NotJustified));
    assert_eq!(world.send(justify(lead("lea"), "for them")), Err(Refusal::NotYours));
    world.send(justify(by(eve()), "it was down, see the log")).unwrap();
    assert_eq!(world.send(close(by(eve()))), Err(Refusal::OwnRequest), "nobody silences it");
    assert_eq!(world.send(close(requester("zoe", &["engineers"]))), Err(Refusal::NotAReviewer));
    world.send(close(lead("lea"))).unwrap();
    assert_eq!(world.send(close(lead("max"))), Err(Refusal::Ended(ShownState::Active)));
    let late = world.send(justify(by(eve()), "more"));
    assert_eq!(late, Err(Refusal::Ended(ShownState::Active)));
}

#[test]
fn glass_that_is_not_justified_in_time_is_told_of_once_and_stays_open() {
    let mut world = world_with(&rule_with(GLASS));
    let mut ask = request(1, &eve(), "a");
    ask.break_glass = true;
    ask.reason = Some("the model is down".into());
    let id = go(hold(&mut world, &ask)).approval.unwrap();
    world.now_ms += 600_000;
    restart(&mut world);
    tick(&mut world);
    tick(&mut world);
    let unjustified = |told: &&penstock_app::notify::Notification| {
        told.event == NotificationEvent::BreakGlassUnjustified
    };
    assert_eq!(world.told.iter().filter(unjustified).count(), 1);
    world.now_ms += 40 * 86_400_000;
    tick(&mut world);
    assert!(world.state.durable.approvals.contains_key(&id), "it is open until somebody closes it");
    world.send(Event::CloseReview { by: lead("lea"), approval: id }).unwrap();
}

#[test]
fn glass_is_broken_by_those_whom_the_rule_names_and_also_while_a_copy_waits() {
    let mut world = world_with(&rule_with(GLASS));
    let mut other = request(1, &identity("zoe", &["engineers"]), "a");
    (other.break_glass, other.reason) = (true, Some("me too".into()));
    pending(hold(&mut world, &other));
    let waits = asked(&mut world, 2, "a");
    let mut ask = request(3, &eve(), "a");
    (ask.break_glass, ask.reason) = (true, Some("down".into()));
    go(hold(&mut world, &ask));
    assert_eq!(shown(&world, &waits), ShownState::Withdrawn, "it is not needed any more");
}

#[test]
fn access_ahead_of_time_is_approved_before_and_activated_by_its_use() {
    let mut world = world();
    let id = request_access(&mut world, access(&["adapter.*"])).unwrap();
    let asked: Vec<String> = approval(&world, &id).operations().map(str::to_owned).collect();
    assert_eq!(asked, ["adapter.load", "adapter.scale", "adapter.unload"]);
    approve(&mut world, lead("lea"), &id);
    let given = grant(&world, &id);
    assert_eq!((given.minutes, given.uses_max, given.ends_ms), (20, 3, None));
    assert_eq!(shown(&world, &id), ShownState::Approved);
    world.now_ms += 1_000_000;
    let went = go(hold(&mut world, &request(1, &eve(), "a")));
    assert_eq!(went.left_ms, 20 * 60_000);
    assert_eq!(shown(&world, &id), ShownState::Active);
    let mut unload = request(2, &eve(), "b");
    unload.facts = facts_of(&["adapter.unload"], None);
    go(hold(&mut world, &unload));
}

#[test]
fn wider_access_than_asked_or_than_the_rule_gives_is_impossible() {
    let mut world = world();
    let long = AccessRequest { minutes: 31, ..access(&["adapter.load"]) };
    let refused = request_access(&mut world, long);
    assert_eq!(refused, Err(Refusal::TooWide { what: "minutes", limit: 30 }));
    let id = request_access(&mut world, access(&["adapter.load", "adapter.unload"])).unwrap();
    let refused = vote(&mut world, lead("lea"), &id, widened(Some(21), None));
    assert_eq!(refused, Err(Refusal::TooWide { what: "minutes", limit: 20 }));
    let refused = vote(&mut world, lead("lea"), &id, widened(None, Some(4)));
    assert_eq!(refused, Err(Refusal::TooWide { what: "uses", limit: 3 }));
    let narrow = Vote::Approve {
        minutes: Some(5),
        uses: Some(1),
        operations: Some(vec!["adapter.load".into()]),
    };
    vote(&mut world, lead("lea"), &id, narrow).unwrap();
    let given = grant(&world, &id);
    assert_eq!((given.minutes, given.uses_max), (5, 1));
    assert_eq!(given.operations, ["adapter.load"]);
}

#[test]
fn what_needs_no_approval_or_is_denied_is_not_asked() {
    let mut world = world();
    let refused = request_access(&mut world, access(&["infer.chat"]));
    assert_eq!(refused, Err(Refusal::Denied { rule: None }));
    let refused = request_access(&mut world, access(&["no.such"]));
    assert_eq!(refused, Err(Refusal::NotFound("operation")));
    let allow = "kind: rule\nname: infer\neffect: allow\nsubjects: [{groups: [engineers]}]\n\
                 operations: [infer.chat]\n---\nkind: rule\nname: never\neffect: deny\n\
                 operations: [adapter.unload]\n";
    world.apply(admin(), allow).unwrap();
    assert_eq!(request_access(&mut world, access(&["infer.chat"])), Err(Refusal::NotNeeded));
    let refused = request_access(&mut world, access(&["adapter.*"]));
    assert_eq!(refused, Err(Refusal::Denied { rule: Some("never".into()) }));
}

#[test]
fn globs_of_models_ask_whoever_may_be_concerned() {
    let particular = "\n---\nkind: rule\nname: secret\neffect: approve\n\
                      subjects: [{groups: [engineers]}]\noperations: [adapter.*]\nmodels: [s-*]\n\
                      approval: {reviewers: [{groups: [security]}]}\n";
    let mut world = world_with(&format!("{}{particular}", held::RULE));
    let with = |models: &[&str]| AccessRequest {
        models: Some(models.iter().map(|name| (*name).to_owned()).collect()),
        ..access(&["adapter.load"])
    };
    for (models, rules) in [
        (vec!["m1"], vec!["adapters"]),
        (vec!["s-1"], vec!["adapters", "secret"]),
        (vec!["*"], vec!["adapters", "secret"]),
    ] {
        let mut ask = with(&models);
        (ask.minutes, ask.uses) = (10, Some(1));
        let id = request_access(&mut world, ask).unwrap();
        assert_eq!(approval(&world, &id).rules().collect::<Vec<_>>(), rules, "{models:?}");
    }
}

#[test]
fn an_extension_is_a_new_approval_that_is_linked_to_the_old_grant() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    vote(&mut world, lead("lea"), &id, widened(Some(10), Some(2))).unwrap();
    let old = grant(&world, &id);
    let extends = Some(old.id.clone());
    let second = request_access(&mut world, AccessRequest { extends, ..access(&["adapter.load"]) });
    let second = second.unwrap();
    assert_eq!(shown(&world, &second), ShownState::Pending);
    assert_eq!(grant(&world, &id), old, "nothing is extended in silence");
    approve(&mut world, lead("lea"), &second);
    assert_eq!(grant(&world, &second).extends, Some(old.id.clone()));
    assert_eq!(grant(&world, &id), old);
    let foreign = AccessRequest { extends: Some("grt-nobody".into()), ..access(&["adapter.load"]) };
    assert!(matches!(request_access(&mut world, foreign), Err(Refusal::NotFound(_))));
}

#[test]
fn a_revoked_identity_holds_nothing_and_asks_for_nothing_with_its_old_tokens() {
    let mut world = world();
    world.state = world.state.clone().with_run("run".into());
    let id = asked(&mut world, 1, "a");
    vote(&mut world, lead("lea"), &id, widened(Some(10), Some(5))).unwrap();
    let waits = pending(hold(&mut world, &{
        let mut other = request(2, &eve(), "b");
        other.facts = facts_of(&["adapter.unload"], None);
        other
    }));
    let event = |by| Event::RevokeIdentity {
        by,
        issuer: "dev".into(),
        subject: "eve".into(),
        reason: Some("left the company".into()),
    };
    assert!(matches!(world.send(event(operator())), Err(Refusal::Forbidden(_))));
    let before = world.state.live_sequence();
    world.send(event(admin())).unwrap();
    let revoked = LiveEvent::IdentityRevoked {
        issuer: "dev".into(),
        subject: "eve".into(),
        issued_ms_max: world.now_ms,
    };
    assert_eq!(live_events(&world, before)[0], revoked);
    assert_eq!(grant(&world, &id).ended.unwrap().cause, EndCause::IdentityRevoked);
    assert_eq!(shown(&world, &waits.approval), ShownState::Withdrawn);
    assert_eq!(code(hold(&mut world, &request(3, &eve(), "c"))), RefusedCode::Denied);
    restart(&mut world);
    assert_eq!(code(hold(&mut world, &request(4, &eve(), "c"))), RefusedCode::Denied);
    let full = world.state.live("", 0, world.now_ms);
    assert!(full.events.contains(&revoked), "a node that was away hears of it");
    let mut new = request(5, &eve(), "c");
    new.token_issued_ms = world.now_ms + 1;
    pending(hold(&mut world, &new));
}

#[test]
fn a_revoked_token_is_refused_by_its_hash_or_its_id_for_as_long_as_it_may_live() {
    let mut world = world();
    let reason = None;
    let token = TokenRef::Sha256(sha256_hex(b"token"));
    world.send(Event::RevokeToken { by: admin(), token, reason: reason.clone() }).unwrap();
    assert_eq!(code(hold(&mut world, &request(1, &eve(), "a"))), RefusedCode::Denied);
    let mut other = request(2, &eve(), "a");
    other.token_sha256 = sha256_hex(b"another");
    other.identity.claims.insert("jti".into(), "t-2".into());
    pending(hold(&mut world, &other));
    let token = TokenRef::Id { issuer: "dev".into(), id: "t-2".into() };
    world.send(Event::RevokeToken { by: admin(), token, reason }).unwrap();
    assert_eq!(code(hold(&mut world, &other)), RefusedCode::Denied);
    world.now_ms += 86_400_000;
    tick(&mut world);
    assert_eq!(world.state.durable.revocations.len(), 2);
    world.now_ms += 100_000;
    tick(&mut world);
    assert!(world.state.durable.revocations.is_empty());
    let bad = TokenRef::Sha256("short".into());
    let event = Event::RevokeToken { by: admin(), token: bad, reason: None };
    assert_eq!(world.send(event), Err(Refusal::Bounds));
}

#[test]
fn a_killed_session_is_told_to_nodes_for_an_hour_and_gets_nothing() {
    let mut world = world();
    let kill = |by, number| Event::KillSession { by, session: session(number), reason: None };
    assert_eq!(world.send(kill(operator(), 1)), Err(Refusal::NotFound("session")));
    let open = OpenSession {
        session: session(1),
        issuer: "dev".into(),
        subject: "eve".into(),
        user: "eve".into(),
        connection: "llama".into(),
        operations: vec!["infer.chat".into()],
        model: None,
        rule: None,
        grants: Vec::new(),
        approval: None,
        begun_ms: 1,
        peer: "192.0.2.1".into(),
    };
    let sessions = OpenSessions { sessions: vec![open.clone()], open: 1 };
    world.send(Event::OpenSessions { node: "node-1".into(), sessions }).unwrap();
    assert_eq!(world.state.open_session(&session(1)), Some(("node-1", &open)));
    assert!(world.state.may_see_session(&eve(), &open));
    assert!(!world.state.may_see_session(&identity("zoe", &[]), &open));
    assert!(matches!(world.send(kill(by(eve()), 1)), Err(Refusal::Forbidden(_))));
    world.send(kill(operator(), 1)).unwrap();
    let killed = LiveEvent::SessionKilled { session: session(1) };
    assert!(world.state.live("", 0, world.now_ms).events.contains(&killed));
    asked(&mut world, 2, "b");
    world.send(kill(admin(), 2)).unwrap();
    assert_eq!(code(hold(&mut world, &request(2, &eve(), "b"))), RefusedCode::Denied);
    world.now_ms += 3_600_000;
    tick(&mut world);
    assert!(world.state.durable.revocations.is_empty());
}

#[test]
fn a_node_that_says_nothing_keeps_its_use_until_its_grant_ends_and_it_counts() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    go(hold(&mut world, &request(1, &eve(), "a")));
    world.now_ms += 30 * 60_000 + 59_999;
    tick(&mut world);
    assert_eq!(grant(&world, &id).ended, None);
    world.now_ms += 1;
    tick(&mut world);
    assert_eq!(grant(&world, &id).ended.unwrap().cause, EndCause::Used);
    assert_eq!(grant(&world, &id).uses, 1);
}

#[test]
fn what_is_over_is_forgotten_after_a_month_and_its_acts_stay() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    go(hold(&mut world, &request(1, &eve(), "a")));
    end(&mut world, 1, EndOutcome::Ended);
    let acts = world.acts.len();
    world.now_ms += 30 * 86_400_000;
    tick(&mut world);
    let durable = &world.state.durable;
    assert!(durable.approvals.is_empty() && durable.grants.is_empty() && durable.uses.is_empty());
    assert_eq!(world.acts.len(), acts);
    restart(&mut world);
}

#[test]
fn claims_of_tokens_are_not_kept_longer_than_somebody_decides_by_them() {
    let mut world = world();
    let mut who = eve();
    who.claims.insert("email".into(), "eve@example.com".into());
    let id = pending(hold(&mut world, &request(1, &who, "a"))).approval;
    assert!(!approval(&world, &id).requester.claims.is_empty());
    vote(&mut world, lead("lea"), &id, held::deny()).unwrap();
    assert!(approval(&world, &id).requester.claims.is_empty());
}

#[test]
fn among_ten_thousand_questions_one_more_changes_a_question_and_an_act() {
    let mut world = world();
    for number in 0..10_000 {
        let who = identity(&format!("user-{}", number % 97), &["engineers"]);
        pending(hold(&mut world, &request(number, &who, &number.to_string())));
    }
    let before = world.changes.len();
    let who = identity("user-1", &["engineers"]);
    pending(hold(&mut world, &request(20_000, &who, "x")));
    assert_eq!(world.changes.len() - before, 2);
    tick(&mut world);
    assert_eq!(world.changes.len() - before, 2, "and time that passes changes nothing");
}
