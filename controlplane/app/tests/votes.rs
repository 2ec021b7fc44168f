//! Answers: who counts, how often, and what they may give. Each rule of approvals has its test.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;
mod held;

use common::{admin, identity, requester};
use held::{
    approval, approve, asked, by, code, deny, eve, facts_of, go, grant, hold, lead, pending,
    request, restart, rule_with, shown, vote, widened, world, world_with,
};
use penstock_app::approvals::{ApprovalState, Channel, EndCause, ShownState, Vote};
use penstock_app::{Answer, Event, Refusal, Requester};
use penstock_config::documents::NotificationEvent;
use penstock_config::hold::RefusedCode;
use penstock_config::identity::Identity;

/// eve's person has a second identity, which is a lead and an operator.
const PERSONS: &str = "
---
kind: person
name: eve
identities: [{issuer: dev, subject: eve}, {issuer: dev, subject: eve-root}]
---
kind: person
name: lea
identities: [{issuer: dev, subject: lea}, {issuer: dev, subject: lea-two}]
";

const TWO_LEADS: &str = "  reviewers: [{groups: [leads]}]\n  quorum: 2\n";

const ONE_FROM_EACH: &str =
    "  one_from_each: [{groups: [leads]}, {groups: [security]}]\n  quorum: 2\n";

#[test]
fn a_requester_never_counts_also_as_administrator() {
    let mut world = world();
    let ada = identity("ada", &["admins", "engineers", "leads"]);
    let id = pending(hold(&mut world, &request(1, &ada, "a"))).approval;
    assert_eq!(vote(&mut world, by(ada), &id, Vote::YES), Err(Refusal::OwnRequest));
    assert_eq!(shown(&world, &id), ShownState::Pending);
    assert!(approval(&world, &id).votes.is_empty());
}

#[test]
fn a_requester_never_counts_under_a_linked_identity() {
    let mut world = world_with(&format!("{}{PERSONS}", held::RULE));
    let id = asked(&mut world, 1, "a");
    let linked = requester("eve-root", &["leads", "operators", "admins"]);
    assert_eq!(vote(&mut world, linked.clone(), &id, Vote::YES), Err(Refusal::OwnRequest));
    assert_eq!(vote(&mut world, linked, &id, deny()), Err(Refusal::OwnRequest));
    approve(&mut world, lead("lea"), &id);
    go(hold(&mut world, &request(1, &eve(), "a")));
}

#[test]
fn who_is_found_to_be_the_requester_later_does_not_count_at_the_use() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("eve-root"), &id);
    world.apply(admin(), PERSONS.trim_start_matches("\n---\n")).unwrap();
    let again = pending(hold(&mut world, &request(1, &eve(), "a")));
    assert_ne!(again.approval, id, "its one vote was the requester's own");
    assert_eq!(grant(&world, &id).uses, 0);
}

#[test]
fn a_quorum_is_distinct_people() {
    let mut world = world_with(&format!("{}{PERSONS}", rule_with(TWO_LEADS)));
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    let again = [lead("lea"), lead("lea-two")].map(|by| vote(&mut world, by, &id, Vote::YES));
    assert_eq!(again, [Err(Refusal::AlreadyVoted), Err(Refusal::AlreadyVoted)]);
    assert_eq!(shown(&world, &id), ShownState::Pending);
    approve(&mut world, lead("max"), &id);
    assert_eq!(shown(&world, &id), ShownState::Approved);
    assert_eq!(approval(&world, &id).votes.len(), 2);
}

#[test]
fn an_answer_is_not_changed() {
    let mut world = world_with(&rule_with(TWO_LEADS));
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    assert_eq!(vote(&mut world, lead("lea"), &id, deny()), Err(Refusal::AlreadyVoted));
    assert_eq!(shown(&world, &id), ShownState::Pending);
}

#[test]
fn one_person_in_two_groups_stands_for_one_of_them() {
    let mut world = world_with(&rule_with(ONE_FROM_EACH));
    let id = asked(&mut world, 1, "a");
    let both = |name| requester(name, &["leads", "security"]);
    approve(&mut world, both("lea"), &id);
    assert_eq!(shown(&world, &id), ShownState::Pending);
    approve(&mut world, requester("max", &["leads"]), &id);
    assert_eq!(shown(&world, &id), ShownState::Approved, "lea stands for security");
    let id = asked(&mut world, 2, "b");
    for name in ["max", "mia"] {
        approve(&mut world, requester(name, &["leads"]), &id);
    }
    assert_eq!(shown(&world, &id), ShownState::Pending, "two leads are nobody from security");
    approve(&mut world, requester("sam", &["security"]), &id);
    assert_eq!(shown(&world, &id), ShownState::Approved);
}

#[test]
fn groups_are_those_of_the_vote_and_stay_with_it() {
    let mut world = world_with(&rule_with(TWO_LEADS));
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    assert_eq!(approval(&world, &id).votes[0].by.groups, ["leads"]);
    let former = vote(&mut world, requester("max", &["interns"]), &id, Vote::YES);
    assert_eq!(former, Err(Refusal::NotAReviewer));
    restart(&mut world);
    approve(&mut world, lead("max"), &id);
    assert_eq!(shown(&world, &id), ShownState::Approved);
}

#[test]
fn no_role_makes_a_reviewer() {
    let mut world = world_with(&rule_with("  reviewers: [{groups: [leads]}]\n"));
    let id = asked(&mut world, 1, "a");
    for who in [admin(), common::operator(), requester("zed", &["approvers"])] {
        assert_eq!(vote(&mut world, who, &id, Vote::YES), Err(Refusal::NotAReviewer));
    }
    assert_eq!(vote(&mut world, Requester::System, &id, Vote::YES), Err(Refusal::NotAReviewer));
    let mut stranger = identity("lea", &["leads"]);
    stranger.issuer = "gone".into();
    assert_eq!(vote(&mut world, by(stranger), &id, Vote::YES), Err(Refusal::NotAReviewer));
    assert_eq!(
        vote(&mut world, lead("lea"), "apr-x", Vote::YES),
        Err(Refusal::NotFound("approval"))
    );
}

#[test]
fn the_first_end_counts_and_later_answers_are_kept_and_change_nothing() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    vote(&mut world, lead("lea"), &id, deny()).unwrap();
    let late = vote(&mut world, lead("max"), &id, Vote::YES);
    assert_eq!(late, Ok(Answer::ApprovalEnded(ShownState::Denied)));
    let kept = approval(&world, &id);
    assert_eq!(kept.state, ApprovalState::Denied);
    assert_eq!((kept.votes.len(), kept.votes[1].is_late), (2, true));
    assert_eq!(kept.grant, None);
    let again = vote(&mut world, lead("max"), &id, Vote::YES);
    assert_eq!(again, Err(Refusal::Ended(ShownState::Denied)));
    let second = asked(&mut world, 2, "b");
    approve(&mut world, lead("lea"), &second);
    let late = vote(&mut world, lead("max"), &second, deny());
    assert_eq!(late, Ok(Answer::ApprovalEnded(ShownState::Approved)));
    go(hold(&mut world, &request(2, &eve(), "b")));
}

#[test]
fn one_denial_denies_whatever_others_said() {
    let mut world = world_with(&rule_with(TWO_LEADS));
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    let empty = vote(&mut world, lead("max"), &id, Vote::Deny { reason: "  ".into() });
    assert_eq!(empty, Err(Refusal::Bounds), "why is to be said");
    vote(&mut world, lead("max"), &id, deny()).unwrap();
    assert_eq!(shown(&world, &id), ShownState::Denied);
}

#[test]
fn an_approver_gives_more_than_one_request_within_what_the_rule_gives() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    let wide = |minutes, uses| widened(Some(minutes), Some(uses));
    for (given, what, limit) in [(wide(31, 1), "minutes", 30), (wide(1, 6), "uses", 5)] {
        let refused = vote(&mut world, lead("lea"), &id, given);
        assert_eq!(refused, Err(Refusal::TooWide { what, limit }));
    }
    assert_eq!(vote(&mut world, lead("lea"), &id, wide(0, 1)), Err(Refusal::Bounds));
    assert!(approval(&world, &id).votes.is_empty(), "what is refused leaves no trace");
    vote(&mut world, lead("lea"), &id, wide(10, 2)).unwrap();
    let given = grant(&world, &id);
    assert_eq!((given.minutes, given.uses_max, given.digest), (10, 2, None));
    go(hold(&mut world, &request(1, &eve(), "a")));
    go(hold(&mut world, &request(2, &eve(), "another body")));
    assert_eq!(shown(&world, &id), ShownState::Spent, "the held one counts");
    pending(hold(&mut world, &request(3, &eve(), "a third")));
}

#[test]
fn a_grant_is_for_these_operations_these_models_this_connection_and_this_identity() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    vote(&mut world, lead("lea"), &id, widened(Some(10), Some(5))).unwrap();
    let with = |number, facts| {
        let mut other = request(number, &eve(), "b");
        other.facts = facts;
        other
    };
    let others = [
        with(2, facts_of(&["adapter.unload"], Some("m1"))),
        with(3, facts_of(&["adapter.load", "list"], Some("m1"))),
        with(4, facts_of(&["adapter.load"], Some("m2"))),
        with(5, facts_of(&["adapter.load"], None)),
        request(6, &identity("zoe", &["engineers"]), "b"),
    ];
    for other in others {
        pending(hold(&mut world, &other));
    }
    assert_eq!(grant(&world, &id).uses, 0);
    go(hold(&mut world, &with(7, facts_of(&["adapter.load"], Some("m1")))));
}

#[test]
fn a_model_that_looks_like_a_glob_is_no_glob() {
    let mut world = world();
    let mut ask = request(1, &eve(), "a");
    ask.facts = facts_of(&["adapter.load"], Some("*"));
    let id = pending(hold(&mut world, &ask)).approval;
    vote(&mut world, lead("lea"), &id, widened(None, Some(5))).unwrap();
    pending(hold(&mut world, &request(2, &eve(), "b")));
    assert_eq!(grant(&world, &id).uses, 0);
}

#[test]
fn several_answers_give_what_all_of_them_give() {
    let mut world =
        world_with(&rule_with(&format!("{TWO_LEADS}  grant: {{minutes_max: 30, uses_max: 5}}\n")));
    let id = asked(&mut world, 1, "a");
    vote(&mut world, lead("lea"), &id, widened(Some(20), Some(4))).unwrap();
    vote(&mut world, lead("max"), &id, widened(Some(10), None)).unwrap();
    let given = grant(&world, &id);
    assert_eq!((given.minutes, given.uses_max, given.digest), (10, 4, None));
    let mut unload = request(2, &eve(), "b");
    unload.facts = facts_of(&["adapter.unload"], None);
    let id = pending(hold(&mut world, &unload)).approval;
    vote(&mut world, lead("lea"), &id, widened(Some(20), Some(4))).unwrap();
    approve(&mut world, lead("max"), &id);
    let given = grant(&world, &id);
    assert_eq!(given.uses_max, 1, "who said once gave once");
    assert_eq!(given.digest, approval(&world, &id).digest().map(str::to_owned));
}

#[test]
fn fewer_operations_than_asked_can_be_given_and_no_other_ones() {
    let mut world = world();
    let mut both = request(1, &eve(), "a");
    both.facts = facts_of(&["adapter.load", "adapter.unload"], Some("m1"));
    let id = pending(hold(&mut world, &both)).approval;
    let only = |names: &[&str]| Vote::Approve {
        minutes: Some(10),
        uses: Some(1),
        operations: Some(names.iter().map(|name| (*name).to_owned()).collect()),
    };
    for wider in [only(&["adapter.load", "weights.import"]), only(&[])] {
        let refused = vote(&mut world, lead("lea"), &id, wider);
        assert!(matches!(refused, Err(Refusal::TooWide { limit: 2, .. })), "{refused:?}");
    }
    vote(&mut world, lead("lea"), &id, only(&["adapter.load"])).unwrap();
    assert_eq!(code(hold(&mut world, &both)), RefusedCode::ApprovalDenied, "it asked for more");
    go(hold(&mut world, &request(2, &eve(), "b")));
}

#[test]
fn stricter_rules_are_asked_again_at_the_use() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    world.apply(admin(), &rule_with(TWO_LEADS)).unwrap();
    let second = pending(hold(&mut world, &request(1, &eve(), "a"))).approval;
    assert_ne!(second, id, "one vote is not two");
    assert_eq!(grant(&world, &id).uses, 0);
    approve(&mut world, lead("lea"), &second);
    approve(&mut world, lead("max"), &second);
    let went = go(hold(&mut world, &request(1, &eve(), "a")));
    assert_eq!(went.grants, [grant(&world, &second).id]);
}

#[test]
fn a_rule_that_is_added_must_be_satisfied_besides() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    let more = "kind: rule\nname: models\neffect: approve\nsubjects: [{groups: [engineers]}]\n\
                operations: [adapter.load]\napproval:\n  reviewers: [{groups: [security]}]\n";
    world.apply(admin(), more).unwrap();
    let second = pending(hold(&mut world, &request(1, &eve(), "a"))).approval;
    assert_eq!(approval(&world, &second).rules().collect::<Vec<_>>(), ["models"]);
    let not = vote(&mut world, lead("max"), &second, Vote::YES);
    assert_eq!(not, Err(Refusal::NotAReviewer), "leads answer for the other rule alone");
    approve(&mut world, requester("sam", &["security"]), &second);
    let went = go(hold(&mut world, &request(1, &eve(), "a")));
    assert_eq!(went.rules, ["adapters", "models"]);
    assert_eq!(went.grants.len(), 2, "a use of each is taken");
    assert_eq!((grant(&world, &id).uses, grant(&world, &second).uses), (1, 1));
}

#[test]
fn all_rules_that_match_make_one_approval() {
    let more = "\n---\nkind: rule\nname: models\neffect: approve\n\
                subjects: [{groups: [engineers]}]\noperations: [adapter.load]\n\
                approval:\n  reviewers: [{groups: [security]}]\n  answer_ms_max: 60000\n";
    let mut world = world_with(&format!("{}{more}", held::RULE));
    let id = asked(&mut world, 1, "a");
    let one = approval(&world, &id);
    assert_eq!(one.rules().collect::<Vec<_>>(), ["adapters", "models"]);
    assert_eq!(one.decide_by_ms, one.asked_ms + 60_000, "the shortest time counts");
    approve(&mut world, lead("lea"), &id);
    assert_eq!(shown(&world, &id), ShownState::Pending);
    approve(&mut world, requester("sam", &["security"]), &id);
    assert_eq!(grant(&world, &id).rules, ["adapters", "models"]);
}

#[test]
fn reviewers_are_those_of_the_rule_as_it_is_now() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    world.apply(admin(), &rule_with("  reviewers: [{groups: [security]}]\n")).unwrap();
    assert_eq!(shown(&world, &id), ShownState::Pending, "the question is still the same");
    assert_eq!(vote(&mut world, lead("lea"), &id, Vote::YES), Err(Refusal::NotAReviewer));
    approve(&mut world, requester("sam", &["security"]), &id);
    go(hold(&mut world, &request(1, &eve(), "a")));
}

#[test]
fn a_requester_withdraws_what_they_asked_for_and_nobody_else_does() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    let withdraw = |by| Event::Withdraw { by, approval: id.clone() };
    assert_eq!(world.send(withdraw(admin())), Err(Refusal::NotYours));
    world.send(withdraw(by(eve()))).unwrap();
    assert_eq!(approval(&world, &id).ended.unwrap().cause, EndCause::Requester);
    let again = world.send(withdraw(by(eve())));
    assert_eq!(again, Err(Refusal::Ended(ShownState::Withdrawn)));
    assert_eq!(code(hold(&mut world, &request(1, &eve(), "a"))), RefusedCode::ApprovalDenied);
}

#[test]
fn how_an_answer_came_is_recorded_and_in_whose_name_counts_for_nothing() {
    let mut world = world_with(&rule_with(TWO_LEADS));
    let id = asked(&mut world, 1, "a");
    let channel = Channel::Webhook { name: "tickets".into(), on_behalf_of: Some("max".into()) };
    let event = |by, channel| Event::Vote { by, approval: id.clone(), vote: Vote::YES, channel };
    world.send(event(lead("robot"), channel.clone())).unwrap();
    let again = world.send(event(lead("robot"), channel.clone()));
    assert_eq!(again, Err(Refusal::AlreadyVoted));
    assert_eq!(approval(&world, &id).votes[0].channel, channel);
    let act = world.acts.last().unwrap();
    assert!(act.after.contains("tickets") && act.actor.subject == "robot");
    approve(&mut world, lead("max"), &id);
    assert_eq!(shown(&world, &id), ShownState::Approved);
}

#[test]
fn what_is_shown_says_who_what_why_and_what_a_yes_gives_and_no_prompt() {
    let mut world = world();
    let mut ask = request(1, &eve(), "a\u{202e}dapter");
    ask.reason = Some("nightly\nbuild".into());
    let id = pending(hold(&mut world, &ask)).approval;
    let text = approval(&world, &id).summary().text();
    for part in [
        "eve asks for adapter.load on llama",
        "eve of issuer dev",
        "engineers",
        "adapter.load (risk high)",
        "model: m1",
        "POST /lora-adapters",
        "2 bytes, SHA-256",
        "path = a\\u{202e}dapter",
        "reason: nightly\\u{a}build",
        "adapters: 1 must agree, gives at most 5 uses in 30 minutes",
        "a plain yes gives: this request, once",
        "waiting: somebody waits on an open connection",
        "from: 192.0.2.1",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(text.lines().count(), text.split('\n').count() - 1);
    approve(&mut world, lead("lea"), &id);
    let second = asked(&mut world, 2, "b");
    let before = approval(&world, &second).before;
    assert_eq!((before.asked, before.approved, before.denied), (1, 1, 0));
}

#[test]
fn somebody_sees_what_is_theirs_what_they_may_answer_and_by_role_everything() {
    let mut world = world_with(&rule_with("  reviewers: [{groups: [leads]}]\n"));
    let id = asked(&mut world, 1, "a");
    let sees = |world: &common::World, who: &Identity| {
        let one = &world.state.durable.approvals[&id];
        let listed = world.state.lists_for(who).any(|listed| listed.id == id);
        assert_eq!(listed, world.state.may_see_approval(who, one));
        listed
    };
    assert!(sees(&world, &eve()));
    assert!(sees(&world, &identity("lea", &["leads"])));
    assert!(sees(&world, &identity("otto", &["operators"])));
    assert!(!sees(&world, &identity("zoe", &["engineers"])));
}

#[test]
fn channels_hear_of_an_end_once() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    let events: Vec<NotificationEvent> = world.told.iter().map(|told| told.event).collect();
    let expected = [NotificationEvent::ApprovalRequested, NotificationEvent::ApprovalEnded];
    assert_eq!(events, expected);
    assert_eq!(world.told[1].state, ShownState::Approved);
}
