//! Holds: idempotent by session, joined by digest, answered with what is true now.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;
mod held;

use common::{admin, identity};
use held::{
    actions_since, approval, approve, asked, code, deny, end, end_on, eve, facts_of, go, grant,
    hold, hold_on, lead, pending, refused, request, restart, rule_with, session, shown, tick, vote,
    widened, world, world_with,
};
use penstock_app::approvals::{ApprovalState, EndCause, ShownState};
use penstock_app::{Event, Refusal};
use penstock_config::documents::NotificationEvent;
use penstock_config::hold::{EndOutcome, HoldAnswer, LiveEvent, RefusedCode};

#[test]
fn a_request_waits_until_a_reviewer_says_yes_and_then_goes_once() {
    let mut world = world();
    let answer = pending(hold(&mut world, &request(1, &eve(), "a")));
    assert_eq!(answer.url, format!("https://penstock.example/approvals/{}", answer.approval));
    assert_eq!((answer.hold_ms, answer.commit), (300_000, false));
    approve(&mut world, lead("lea"), &answer.approval);
    assert_eq!(shown(&world, &answer.approval), ShownState::Approved);
    let went = go(hold(&mut world, &request(1, &eve(), "a")));
    assert_eq!(went.approval, Some(answer.approval.clone()));
    assert_eq!(went.rules, ["adapters"]);
    assert_eq!(went.left_ms, 30 * 60_000);
    assert_eq!(shown(&world, &answer.approval), ShownState::Spent);
    assert_eq!(grant(&world, &answer.approval).uses, 1);
}

#[test]
fn a_hold_that_comes_again_is_the_same_hold() {
    let mut world = world();
    let first = hold(&mut world, &request(1, &eve(), "a"));
    let acts = world.acts.len();
    assert_eq!(hold(&mut world, &request(1, &eve(), "a")), first);
    let id = pending(first).approval;
    assert_eq!(approval(&world, &id).waiters.len(), 1);
    approve(&mut world, lead("lea"), &id);
    let went = go(hold(&mut world, &request(1, &eve(), "a")));
    for _ in 0..3 {
        assert_eq!(go(hold(&mut world, &request(1, &eve(), "a"))), went);
    }
    assert_eq!(grant(&world, &id).uses, 1, "asked again it is the same use");
    let actions = actions_since(&world, acts);
    assert_eq!(actions, ["approval.vote", "approval.approve", "grant.use"]);
}

#[test]
fn the_same_request_joins_and_one_copy_goes() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    let second = pending(hold_on(&mut world, "node-2", &request(2, &eve(), "a")));
    assert_eq!(second.approval, id);
    assert_ne!(asked(&mut world, 3, "b"), id, "another body is another question");
    let of_zoe = request(4, &identity("zoe", &["engineers"]), "a");
    assert_ne!(pending(hold(&mut world, &of_zoe)).approval, id, "so is somebody else's");
    approve(&mut world, lead("lea"), &id);
    go(hold(&mut world, &request(1, &eve(), "a")));
    let other = refused(hold_on(&mut world, "node-2", &request(2, &eve(), "a")));
    assert_eq!((other.code, other.approval), (RefusedCode::ApprovalSpent, Some(id.clone())));
    let fresh = pending(hold(&mut world, &request(5, &eve(), "a")));
    assert_ne!(fresh.approval, id, "a later request is a new question");
}

#[test]
fn what_was_approved_is_what_goes() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    let other = pending(hold(&mut world, &request(2, &eve(), "b")));
    assert_ne!(other.approval, id, "an approval for one body lets no other one through");
    assert_eq!(grant(&world, &id).uses, 0);
}

#[test]
fn a_denial_reaches_who_waits_with_its_reason() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    vote(&mut world, lead("lea"), &id, deny()).unwrap();
    let answer = refused(hold(&mut world, &request(1, &eve(), "a")));
    assert_eq!(answer.code, RefusedCode::ApprovalDenied);
    assert_eq!(answer.message, "not now");
    assert_eq!(shown(&world, &id), ShownState::Denied);
}

#[test]
fn expiry_is_a_comparison_and_a_tick_only_records_it() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    world.now_ms += 3_600_000;
    let refusal = vote(&mut world, lead("lea"), &id, widened(None, None)).unwrap();
    let expired = penstock_app::Answer::ApprovalEnded(ShownState::Expired);
    assert_eq!(refusal, expired, "a yes that comes at the end comes too late");
    assert_eq!(code(hold(&mut world, &request(1, &eve(), "a"))), RefusedCode::ApprovalExpired);
    let id = asked(&mut world, 2, "b");
    world.now_ms += 3_599_999;
    tick(&mut world);
    assert_eq!(shown(&world, &id), ShownState::Pending);
    world.now_ms += 1;
    tick(&mut world);
    assert_eq!(shown(&world, &id), ShownState::Expired);
    assert_eq!(approval(&world, &id).ended.unwrap().cause, EndCause::Time);
}

#[test]
fn an_approval_that_nobody_uses_lapses() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    world.now_ms += 3_600_000;
    let answer = refused(hold(&mut world, &request(1, &eve(), "a")));
    assert_eq!(answer.code, RefusedCode::ApprovalExpired);
    assert_eq!(shown(&world, &id), ShownState::Expired, "also before a tick");
}

#[test]
fn the_last_caller_that_leaves_withdraws_the_question() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    hold_on(&mut world, "node-2", &request(2, &eve(), "a"));
    end(&mut world, 1, EndOutcome::Withdrawn);
    assert_eq!(shown(&world, &id), ShownState::Pending);
    end(&mut world, 2, EndOutcome::Withdrawn);
    assert_eq!(approval(&world, &id).waiters.len(), 1, "only its own node ends a session");
    end_on(&mut world, "node-2", 2, EndOutcome::Withdrawn);
    assert_eq!(shown(&world, &id), ShownState::Withdrawn);
    assert_eq!(approval(&world, &id).ended.unwrap().cause, EndCause::CallersLeft);
}

#[test]
fn a_question_stays_once_somebody_was_told_that_it_does() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    hold(&mut world, &request(2, &eve(), "a"));
    end(&mut world, 1, EndOutcome::HoldOver);
    end(&mut world, 2, EndOutcome::Withdrawn);
    assert_eq!(shown(&world, &id), ShownState::Pending);
    assert_eq!(pending(hold(&mut world, &request(3, &eve(), "a"))).approval, id);
    approve(&mut world, lead("lea"), &id);
    go(hold(&mut world, &request(3, &eve(), "a")));
}

#[test]
fn a_session_that_is_over_stays_over_whatever_comes_late() {
    let mut world = world();
    // The end comes before the hold that it answers.
    end(&mut world, 1, EndOutcome::Withdrawn);
    let answer = hold(&mut world, &request(1, &eve(), "a"));
    assert_eq!(code(answer), RefusedCode::ApprovalSpent);
    assert!(world.state.durable.approvals.is_empty(), "nobody is asked for a caller that left");
    let id = asked(&mut world, 2, "b");
    approve(&mut world, lead("lea"), &id);
    go(hold(&mut world, &request(2, &eve(), "b")));
    end(&mut world, 2, EndOutcome::Ended);
    end(&mut world, 2, EndOutcome::NothingSent);
    assert_eq!(grant(&world, &id).uses, 1, "what was sent is not given back");
    assert_eq!(code(hold(&mut world, &request(2, &eve(), "b"))), RefusedCode::ApprovalSpent);
}

#[test]
fn a_use_is_given_back_once_and_only_where_nothing_was_sent() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    go(hold(&mut world, &request(1, &eve(), "a")));
    end(&mut world, 1, EndOutcome::Withdrawn);
    assert_eq!(grant(&world, &id).uses, 1, "the node has not said that nothing was sent");
    end_on(&mut world, "node-2", 1, EndOutcome::NothingSent);
    assert_eq!(grant(&world, &id).uses, 1, "nor can another node");
    end(&mut world, 1, EndOutcome::NothingSent);
    end(&mut world, 1, EndOutcome::NothingSent);
    assert_eq!((grant(&world, &id).uses, shown(&world, &id)), (0, ShownState::Approved));
    go(hold(&mut world, &request(2, &eve(), "a")));
    assert_eq!(shown(&world, &id), ShownState::Spent);
}

#[test]
fn nothing_is_lost_or_made_twice_by_a_restart() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    restart(&mut world);
    assert_eq!(pending(hold(&mut world, &request(1, &eve(), "a"))).approval, id);
    approve(&mut world, lead("lea"), &id);
    restart(&mut world);
    let went = go(hold(&mut world, &request(1, &eve(), "a")));
    restart(&mut world);
    assert_eq!(go(hold(&mut world, &request(1, &eve(), "a"))), went);
    assert_eq!(grant(&world, &id).uses, 1);
    end(&mut world, 1, EndOutcome::Ended);
    restart(&mut world);
    assert_eq!(code(hold(&mut world, &request(1, &eve(), "a"))), RefusedCode::ApprovalSpent);
    assert_eq!(world.state.durable.approvals.len(), 1);
}

#[test]
fn a_restart_remembers_who_waits() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    restart(&mut world);
    end(&mut world, 1, EndOutcome::Withdrawn);
    assert_eq!(shown(&world, &id), ShownState::Withdrawn);
}

#[test]
fn the_rules_in_force_here_decide_and_not_those_that_a_node_had() {
    let mut world = world();
    let list = |number| {
        let mut list = request(number, &eve(), "a");
        list.facts = facts_of(&["list"], None);
        list
    };
    let id = pending(hold(&mut world, &list(1))).approval;
    let allow = "kind: rule\nname: adapters\neffect: allow\nsubjects: [{groups: [engineers]}]\n\
                 operations: [list]\n";
    world.apply(admin(), allow).unwrap();
    assert_eq!(code(hold(&mut world, &list(2))), RefusedCode::PolicyStale);
    assert_eq!(shown(&world, &id), ShownState::Withdrawn, "nobody is asked for what is allowed");
    let load = request(3, &eve(), "a");
    assert_eq!(code(hold(&mut world, &load)), RefusedCode::Denied);
    let deny = "kind: rule\nname: never\neffect: deny\noperations: [list]\n";
    world.apply(admin(), deny).unwrap();
    let denied = refused(hold(&mut world, &list(4)));
    assert_eq!((denied.code, denied.rule.as_deref()), (RefusedCode::Denied, Some("never")));
}

#[test]
fn a_reason_and_a_ticket_are_asked_for_before_anybody_is() {
    let asks = "  reviewers: [{groups: [leads]}]\n  reason: required\n  ticket: 'OPS-[0-9]+'\n";
    let mut world = world_with(&rule_with(asks));
    let mut ask = request(1, &eve(), "a");
    let answer = refused(hold(&mut world, &ask));
    assert_eq!(
        (answer.code, answer.rule.as_deref()),
        (RefusedCode::ReasonRequired, Some("adapters"))
    );
    ask.reason = Some("the nightly adapter".into());
    ask.ticket = Some("OPS-1 or so".into());
    let answer = refused(hold(&mut world, &ask));
    assert_eq!(answer.code, RefusedCode::ReasonRequired);
    assert!(answer.message.contains("OPS-[0-9]+"), "{}", answer.message);
    assert!(world.state.durable.approvals.is_empty());
    ask.ticket = Some("OPS-12".into());
    let id = pending(hold(&mut world, &ask)).approval;
    assert_eq!(approval(&world, &id).ticket.as_deref(), Some("OPS-12"));
}

#[test]
fn conditions_of_a_rule_answer_by_themselves_and_it_is_recorded() {
    let asks = "  reviewers: [{groups: [leads]}]\n  auto_approve: [{subjects: [{users: [eve]}]}]\n";
    let mut world = world_with(&rule_with(asks));
    let acts = world.acts.len();
    let went = go(hold(&mut world, &request(1, &eve(), "a")));
    let id = went.approval.unwrap();
    assert_eq!(approval(&world, &id).ended.unwrap().cause, EndCause::Automatic);
    let actions = actions_since(&world, acts);
    assert_eq!(actions, ["approval.request", "approval.approve", "grant.use"]);
    let zoe = identity("zoe", &["engineers"]);
    pending(hold(&mut world, &request(2, &zoe, "a")));
}

#[test]
fn nodes_and_channels_hear_of_what_happens() {
    let mut world = world();
    let before = world.state.live_sequence();
    let id = asked(&mut world, 1, "a");
    assert_eq!(world.state.live_sequence(), before, "a question is nothing that nodes act on");
    assert_eq!(world.told[0].event, NotificationEvent::ApprovalRequested);
    assert!(world.told[0].summary.text().contains("adapter.load"));
    approve(&mut world, lead("lea"), &id);
    let grant_id = grant(&world, &id).id;
    world.state = world.state.clone().with_run("run".into());
    let live = world.state.live("run", 0, world.now_ms);
    assert!(!live.full && live.events.is_empty());
    let live = world.state.live("another run", 7, world.now_ms);
    assert!(live.full);
    let ends_ms = world.now_ms + 3_600_000 + 30 * 60_000;
    let connection = "llama".into();
    assert_eq!(live.events, [LiveEvent::GrantLive { id: grant_id, connection, ends_ms }]);
    go(hold(&mut world, &request(1, &eve(), "a")));
    let live = world.state.live("run", 0, world.now_ms);
    let told_again =
        |event: &LiveEvent| matches!(event, LiveEvent::Approval { id: told } if *told == id);
    assert!(live.events.iter().any(told_again), "other copies wait in vain");
    let known = live.sequence;
    assert!(world.state.live("run", known + 1, 0).full, "a sequence that never was is unknown");
}

#[test]
fn more_copies_or_questions_than_there_is_room_for_are_refused() {
    let mut world = world();
    world.state.tuning.approvals_pending_max = 2;
    asked(&mut world, 1, "a");
    asked(&mut world, 2, "b");
    assert_eq!(code(hold(&mut world, &request(3, &eve(), "c"))), RefusedCode::Overloaded);
    for number in 4..67 {
        pending(hold(&mut world, &request(number, &eve(), "a")));
    }
    assert_eq!(code(hold(&mut world, &request(99, &eve(), "a"))), RefusedCode::Overloaded);
}

#[test]
fn nobody_has_more_than_their_share_pending() {
    let mut world = world();
    for number in 0..1_000 {
        pending(hold(&mut world, &request(number, &eve(), &number.to_string())));
        world.now_ms += 1_000;
    }
    assert_eq!(code(hold(&mut world, &request(5_000, &eve(), "x"))), RefusedCode::Overloaded);
    let zoe = identity("zoe", &["engineers"]);
    pending(hold(&mut world, &request(5_001, &zoe, "x")));
}

#[test]
fn what_a_node_sends_is_bounded() {
    let mut world = world();
    let good = request(1, &eve(), "a");
    let long = "x".repeat(1_025);
    let breakers: [fn(&mut penstock_config::hold::HoldRequest, &str); 9] = [
        |one, _| one.session = "12".into(),
        |one, _| one.session = session(1).to_uppercase().replace('0', "F"),
        |one, _| one.digest = "zz".into(),
        |one, long| one.reason = Some(long.into()),
        |one, _| one.ticket = Some("a\u{7}".into()),
        |one, long| one.identity.subject = long.into(),
        |one, long| one.identity.groups = vec![long.repeat(20)],
        |one, long| one.shown = vec![("a".into(), long.into())],
        |one, _| {
            one.facts.operations = vec![("no.such".into(), penstock_config::catalogue::Risk::Low)]
        },
    ];
    for breaker in breakers {
        let mut request = good.clone();
        breaker(&mut request, &long);
        let (node, request) = ("node-1".to_owned(), Box::new(request));
        let refused = world.send(Event::Hold { node, request, fresh: held::fresh(1) });
        assert_eq!(refused, Err(Refusal::Bounds));
    }
    let request = || Box::new(good.clone());
    for fresh in ["short", "UPPER-CASE-CHARACTER", ""] {
        let event = Event::Hold { node: "node-1".into(), request: request(), fresh: fresh.into() };
        assert_eq!(world.send(event), Err(Refusal::Bounds));
    }
    let event = Event::Hold { node: "node-9".into(), request: request(), fresh: held::fresh(1) };
    assert_eq!(world.send(event), Err(Refusal::NotFound("node")));
}

#[test]
fn another_node_learns_nothing_of_a_session() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    approve(&mut world, lead("lea"), &id);
    let event = |request| Event::Hold {
        node: "node-2".into(),
        request: Box::new(request),
        fresh: held::fresh(77),
    };
    // It may take the use itself, as any copy of the request may, but not this session's.
    go(hold(&mut world, &request(1, &eve(), "a")));
    assert_eq!(world.send(event(request(1, &eve(), "a"))), Err(Refusal::Bounds));
}

#[test]
fn the_clock_may_jump_and_nothing_lasts_longer_for_it() {
    let mut world = world();
    let id = asked(&mut world, 1, "a");
    world.now_ms += 30 * 86_400_000;
    assert_eq!(code(hold(&mut world, &request(1, &eve(), "a"))), RefusedCode::ApprovalExpired);
    let second = asked(&mut world, 2, "b");
    world.now_ms -= 20 * 86_400_000;
    assert_eq!(code(hold(&mut world, &request(2, &eve(), "b"))), RefusedCode::ApprovalExpired);
    assert_eq!(approval(&world, &second).state, ApprovalState::Expired);
    let third = asked(&mut world, 3, "c");
    approve(&mut world, lead("lea"), &third);
    tick(&mut world);
    world.now_ms -= 86_400_000;
    tick(&mut world);
    assert_eq!(shown(&world, &third), ShownState::Expired, "nobody knows how much is left of it");
    let fourth = asked(&mut world, 4, "d");
    world.now_ms -= 4_000;
    approve(&mut world, lead("lea"), &fourth);
    go(hold(&mut world, &request(4, &eve(), "d")));
    assert_eq!(shown(&world, &id), ShownState::Expired, "what is over stays over");
}

#[test]
fn answers_are_the_same_for_a_rule_that_wants_a_committed_stream() {
    let asks = "  reviewers: [{groups: [leads]}]\n  stream: commit\n  hold_ms_max: 20000\n";
    let mut world = world_with(&rule_with(asks));
    let HoldAnswer::Pending(pending) = hold(&mut world, &request(1, &eve(), "a")) else {
        panic!("not pending");
    };
    assert!(pending.commit);
    assert_eq!(pending.hold_ms, 20_000);
}
