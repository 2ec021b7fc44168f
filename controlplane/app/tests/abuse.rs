//! What one identity alone can use up, and what a revoked one can still do: little, and nothing.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;
mod held;

use std::sync::Arc;

use common::{World, admin, identity, operator};
use held::{
    approval, approve, asked, by, code, end, eve, go, grant, hold, lead, pending, request, restart,
    rule_with, session, shown, tick, vote, widened, world, world_with,
};
use penstock_app::approvals::{AccessRequest, ApprovalState, Channel, EndCause, ShownState, Vote};
use penstock_app::revocations::{Revocation, RevocationKey};
use penstock_app::{Answer, Event, Refusal};
use penstock_config::documents::NotificationEvent;
use penstock_config::hold::{EndOutcome, LiveEvent, RefusedCode};

const TWO_LEADS: &str = "  reviewers: [{groups: [leads]}]\n  quorum: 2
  grant: {minutes_max: 30, uses_max: 5}\n";

fn revoke(world: &mut World, subject: &str) {
    let (issuer, subject) = ("dev".into(), subject.into());
    world.send(Event::RevokeIdentity { by: admin(), issuer, subject, reason: None }).unwrap();
}

fn webhook_vote(
    world: &mut World,
    approval: &str,
    on_behalf_of: Option<&str>,
) -> Result<Answer, Refusal> {
    let on_behalf_of = on_behalf_of.map(str::to_owned);
    let channel = Channel::Webhook { name: "tickets".into(), on_behalf_of };
    let (by, approval) = (lead("robot"), approval.to_owned());
    world.send(Event::Vote { by, approval, vote: Vote::YES, channel })
}

#[test]
fn who_asks_and_leaves_in_a_loop_writes_nothing_after_a_burst() {
    let mut world = world();
    for number in 0..120 {
        asked(&mut world, number, &number.to_string());
        end(&mut world, number, EndOutcome::Withdrawn);
    }
    let acts = world.acts.len();
    for number in 120..200 {
        let answer = code(hold(&mut world, &request(number, &eve(), &number.to_string())));
        assert_eq!(answer, RefusedCode::Overloaded);
        end(&mut world, number, EndOutcome::Withdrawn);
    }
    assert_eq!(world.acts.len(), acts);
    let access = AccessRequest {
        connection: "llama".into(),
        operations: vec!["adapter.load".into()],
        models: None,
        minutes: 20,
        uses: None,
        reason: None,
        ticket: None,
        extends: None,
    };
    let event = Event::RequestAccess { by: by(eve()), access, fresh: held::fresh(9_999) };
    let refused = world.send(event);
    assert!(matches!(refused, Err(Refusal::Full { limit: 120, .. })), "{refused:?}");
    pending(hold(&mut world, &request(300, &identity("zoe", &["engineers"]), "z")));
    world.now_ms += 1_000;
    asked(&mut world, 301, "later");
    assert_eq!(code(hold(&mut world, &request(302, &eve(), "x"))), RefusedCode::Overloaded);
    world.now_ms -= 500_000;
    assert_eq!(code(hold(&mut world, &request(303, &eve(), "x"))), RefusedCode::Overloaded);
    tick(&mut world);
    world.now_ms += 1_000;
    asked(&mut world, 304, "after the clock was set back");
}

#[test]
fn conditions_give_one_identity_two_hundred_grants_and_others_go_on() {
    let mut world = world_with(&rule_with(
        "  reviewers: [{groups: [leads]}]\n  auto_approve: [{subjects: [{groups: [engineers]}]}]\n",
    ));
    for number in 0..200 {
        go(hold(&mut world, &request(number, &eve(), &number.to_string())));
        world.now_ms += 1_000;
    }
    assert_eq!(code(hold(&mut world, &request(900, &eve(), "x"))), RefusedCode::Overloaded);
    go(hold(&mut world, &request(901, &identity("zoe", &["engineers"]), "x")));
    restart(&mut world);
    assert_eq!(code(hold(&mut world, &request(902, &eve(), "x"))), RefusedCode::Overloaded);
    end(&mut world, 0, EndOutcome::Ended);
    go(hold(&mut world, &request(903, &eve(), "x")));
    assert!(world.state.index_holds());
}

#[test]
fn who_left_twenty_reviews_open_breaks_no_more_glass_and_others_do() {
    let mut world = world_with(&rule_with(
        "  reviewers: [{groups: [leads]}]\n  grant: {minutes_max: 30, uses_max: 1}
  break_glass: {subjects: [{groups: [engineers]}], minutes_max: 60, justify_ms_max: 600000}\n",
    ));
    let ask = |number: u32, name: &str| {
        let mut ask = request(number, &identity(name, &["engineers"]), &number.to_string());
        (ask.break_glass, ask.reason) = (true, Some("it is down".into()));
        ask
    };
    let first = go(hold(&mut world, &ask(0, "eve"))).approval.unwrap();
    for number in 1..20 {
        go(hold(&mut world, &ask(number, "eve")));
    }
    assert_eq!(code(hold(&mut world, &ask(20, "eve"))), RefusedCode::Overloaded);
    go(hold(&mut world, &ask(21, "zoe")));
    let text = "it was down".into();
    world.send(Event::Justify { by: by(eve()), approval: first.clone(), text }).unwrap();
    world.send(Event::CloseReview { by: lead("lea"), approval: first }).unwrap();
    go(hold(&mut world, &ask(22, "eve")));
    assert!(world.state.index_holds());
}

#[test]
fn a_vote_of_an_identity_that_was_revoked_since_fills_no_quorum() {
    let mut world = world_with(&rule_with(TWO_LEADS));
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    revoke(&mut world, "lea");
    approve(&mut world, lead("max"), &id);
    assert_eq!(shown(&world, &id), ShownState::Pending);
    approve(&mut world, lead("mia"), &id);
    assert_eq!(shown(&world, &id), ShownState::Approved);
    let second = asked(&mut world, 2, "b");
    world.now_ms += 1;
    for name in ["lea", "max"] {
        approve(&mut world, lead(name), &second);
    }
    assert_eq!(shown(&world, &second), ShownState::Approved, "a later vote has a newer token");
}

#[test]
fn a_grant_that_rests_on_a_revoked_vote_ends_and_one_with_enough_others_stays() {
    let mut world = world();
    world.state = world.state.clone().with_run("run".into());
    let alone = asked(&mut world, 1, "a");
    vote(&mut world, lead("lea"), &alone, widened(Some(10), Some(5))).unwrap();
    go(hold(&mut world, &request(1, &eve(), "a")));
    let mut other = request(2, &identity("zoe", &["engineers"]), "b");
    other.facts = held::facts_of(&["adapter.unload"], None);
    let others = pending(hold(&mut world, &other)).approval;
    approve(&mut world, lead("max"), &others);
    let before = world.state.live_sequence();
    revoke(&mut world, "lea");
    let ended = grant(&world, &alone).ended.unwrap();
    assert_eq!(
        (shown(&world, &alone), ended.cause),
        (ShownState::Revoked, EndCause::IdentityRevoked)
    );
    assert!(ended.note.contains("revoked"));
    let events = world.state.live("run", before, world.now_ms).events;
    assert!(events.contains(&LiveEvent::GrantEnded { id: grant(&world, &alone).id }));
    assert_eq!(world.told.last().unwrap().event, NotificationEvent::GrantEnded);
    assert_eq!(code(hold(&mut world, &request(1, &eve(), "a"))), RefusedCode::ApprovalDenied);
    assert_eq!(shown(&world, &others), ShownState::Approved);
}

#[test]
fn a_revoked_vote_counts_for_nothing_at_the_use_also_before_its_grant_was_looked_at() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    let key = RevocationKey::Identity { issuer: "dev".into(), subject: "lea".into() };
    let (by, at_ms) = (admin().actor(), world.now_ms);
    let one = Revocation { at_ms, by, reason: None, forget_ms: u64::MAX };
    world.state.durable.revocations.insert(key, Arc::new(one));
    let again = pending(hold(&mut world, &request(2, &eve(), "a")));
    assert_ne!(again.approval, id);
    assert_eq!(grant(&world, &id).uses, 0);
}

#[test]
fn more_grants_than_one_event_looks_at_end_with_the_ticks_after_a_revocation() {
    let mut world = world();
    let mut approvals = Vec::new();
    for number in 0..1_100 {
        let who = identity(&format!("user-{}", number % 11), &["engineers"]);
        let id = pending(hold(&mut world, &request(number, &who, &number.to_string()))).approval;
        approve(&mut world, lead("lea"), &id);
        approvals.push(id);
    }
    let ended = |world: &World| {
        approvals.iter().filter(|id| shown(world, id) == ShownState::Revoked).count()
    };
    tick(&mut world);
    tick(&mut world);
    revoke(&mut world, "lea");
    assert_eq!(ended(&world), 1_000);
    tick(&mut world);
    assert_eq!(ended(&world), 1_100);
}

#[test]
fn a_revocation_of_an_identity_is_kept_as_long_as_something_may_rest_on_its_votes() {
    let mut world = world();
    revoke(&mut world, "lea");
    world.now_ms += 67 * 86_400_000;
    tick(&mut world);
    assert_eq!(world.state.durable.revocations.len(), 1);
    world.now_ms += 100_000;
    tick(&mut world);
    assert!(world.state.durable.revocations.is_empty());
}

#[test]
fn a_webhook_whose_identity_was_revoked_answers_nothing_for_as_long_as_it_answers_as_it() {
    let webhook = "\n---\nkind: webhook\nname: tickets\nurl: https://tickets.example/hook\n\
                   secret: hook\nevents: [approval.requested]\n\
                   answers_as: {issuer: dev, subject: robot, groups: [leads]}\n";
    let mut world = world_with(&format!("{}{webhook}", held::RULE));
    let id = asked(&mut world, 1, "a");
    world.now_ms += 1;
    revoke(&mut world, "robot");
    world.now_ms += 1_000;
    assert_eq!(webhook_vote(&mut world, &id, None), Err(Refusal::IdentityRevoked));
    assert!(approval(&world, &id).votes.is_empty());
    world.now_ms += 400 * 86_400_000;
    tick(&mut world);
    let id = asked(&mut world, 2, "b");
    assert_eq!(webhook_vote(&mut world, &id, None), Err(Refusal::IdentityRevoked));
}

#[test]
fn no_webhook_answers_in_the_name_of_whoever_asks() {
    let person = "\n---\nkind: person\nname: eve\n\
                  identities: [{issuer: dev, subject: eve}, {issuer: dev, subject: eve-root}]\n";
    let mut world = world_with(&format!("{}{person}", held::RULE));
    let mut who = eve();
    who.user = "eve@example.com".into();
    let id = pending(hold(&mut world, &request(1, &who, "a"))).approval;
    for name in ["eve", "eve@example.com", "eve-root", " Eve@Example.com "] {
        assert_eq!(webhook_vote(&mut world, &id, Some(name)), Err(Refusal::OwnRequest), "{name}");
    }
    webhook_vote(&mut world, &id, Some("max")).unwrap();
    assert_eq!(shown(&world, &id), ShownState::Approved);
}

#[test]
fn what_a_killed_session_waits_for_is_withdrawn_unless_somebody_else_waits_or_it_is_kept() {
    let mut world = world();
    let kill =
        |number| Event::KillSession { by: operator(), session: session(number), reason: None };
    let alone = asked(&mut world, 1, "a");
    world.send(kill(1)).unwrap();
    let ended = approval(&world, &alone);
    assert_eq!(ended.state, ApprovalState::Withdrawn);
    let how = ended.ended.unwrap();
    assert_eq!((how.cause, how.by), (EndCause::CallersLeft, operator().actor()));
    let shared = asked(&mut world, 2, "b");
    assert_eq!(asked(&mut world, 3, "b"), shared);
    world.send(kill(2)).unwrap();
    assert_eq!(shown(&world, &shared), ShownState::Pending);
    assert_eq!(approval(&world, &shared).waiters.len(), 1);
    assert_eq!(code(hold(&mut world, &request(2, &eve(), "b"))), RefusedCode::Denied);
    let kept = asked(&mut world, 4, "c");
    assert_eq!(asked(&mut world, 5, "c"), kept);
    end(&mut world, 4, EndOutcome::HoldOver);
    world.send(kill(5)).unwrap();
    assert_eq!(shown(&world, &kept), ShownState::Pending, "somebody was told that it stays");
    assert!(world.state.index_holds());
}
