//! Faults of the node's own, and rows of the table of token attacks that need a whole gateway. A
//! caller who is known gets 403 here, for a path that nobody may use: no model server is needed.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::stage::{Stage, get};
use crate::sync::ClockStep;

/// What nobody may use.
const PATH: &str = "/llama/v1/nothing";

const HOUR_MS: u64 = 3_600_000;

fn status(stage: &mut Stage, token: &str) -> u16 {
    stage.refusal(get(PATH, token).as_bytes()).status
}

/// Sets the wall clock, as the sync thread notices it.
fn step(stage: &Stage, wall_ms: u64, step: ClockStep) {
    stage.simulation.set_wall(Duration::from_millis(wall_ms));
    stage.core.node.clock_stepped(step, wall_ms, false);
}

#[test]
fn panic_in_one_exchange_is_500_for_it_alone() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let core = Rc::clone(&stage.core);
    // Whoever looks for a token now finds the table in use, which can't be: a fault of ours.
    let held = core.tokens.borrow_mut();
    let answer = stage.refusal(get(PATH, &token).as_bytes());
    drop(held);
    assert_eq!((answer.status, &answer.error()["code"]), (500, &"internal".into()));
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert_eq!(core.counters.panics.read(), 1);
    assert_eq!(stage.log()[0]["reason"], "internal");
    assert_eq!(status(&mut stage, &token), 403, "the core goes on");
    assert_eq!(core.counters.exchanges_open.read(), 0);
}

#[test]
fn row_25_one_token_at_one_place_in_one_form() {
    let mut stage = Stage::new();
    let (token, other) = (stage.token("ann", &["engineers"]), stage.token("bob", &["engineers"]));
    let plain = get(PATH, &token);
    let field = format!("Authorization: Bearer {token}\r\n");
    let with = |fields: &str| plain.replace(&field, fields);
    let cases = [
        (format!("authorization: bearer {token}\r\n"), 403),
        (format!("AUTHORIZATION: BEARER {token}\r\n"), 403),
        (format!("x-api-key: {token}\r\n"), 403),
        (format!("{field}{field}"), 400),
        (format!("x-api-key: {token}\r\nx-api-key: {token}\r\n"), 400),
        (format!("{field}x-api-key: {token}\r\n"), 400),
        (format!("{field}x-api-key: {other}\r\n"), 400),
        (format!("Authorization: Bearer  {token}\r\n"), 401),
        (format!("Authorization: Bearer {token}, Bearer {token}\r\n"), 401),
        (format!("Authorization: Basic {token}\r\n"), 401),
        (format!("Authorization: {token}\r\n"), 401),
        (String::new(), 401),
    ];
    for (fields, expected) in cases {
        assert_eq!(stage.refusal(with(&fields).as_bytes()).status, expected, "{fields}");
    }
    for name in ["access_token", "token", "api_key", "key"] {
        let query = with("").replace(PATH, &format!("{PATH}?{name}={token}"));
        assert_eq!(stage.refusal(query.as_bytes()).status, 401, "{name}");
    }
    let log = stage.log();
    assert!(!log.is_empty() && log.iter().all(|line| !line.to_string().contains(&token)));
    assert!(!stage.reached_upstream());
}

#[test]
fn row_33_a_flood_of_bad_signatures_is_429_and_pushes_no_good_token_out() {
    let mut stage = Stage::new();
    let good = stage.token("ann", &["engineers"]);
    assert_eq!(status(&mut stage, &good), 403);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let statuses: Vec<u16> = (0..200)
        .map(|turn| status(&mut stage, &format!("{signed}.{:A>86}", format!("{turn:02X}"))))
        .collect();
    assert_eq!((statuses.first(), statuses.last()), (Some(&401), Some(&429)), "{statuses:?}");
    let verified = stage.core.counters.tokens_verified.read();
    assert!(verified < 200, "{verified} were verified");
    assert_eq!(status(&mut stage, &good), 403, "it is known, and not verified again");
    assert_eq!(stage.core.counters.tokens_verified.read(), verified);
}

#[test]
fn row_34_a_clock_back_or_ahead_is_401_at_the_edge_of_a_token_and_nothing_else() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let right_ms = stage.core.wall_ms();
    assert_eq!(status(&mut stage, &token), 403);
    step(&stage, right_ms + HOUR_MS, ClockStep::Ahead(HOUR_MS));
    assert_eq!(status(&mut stage, &token), 401, "it has expired, also where it is remembered");
    let fresh = stage.token("ann", &["engineers"]);
    assert_eq!(status(&mut stage, &fresh), 403);
    step(&stage, right_ms, ClockStep::Back(HOUR_MS));
    assert_eq!(status(&mut stage, &token), 403);
    step(&stage, right_ms - HOUR_MS, ClockStep::Back(HOUR_MS));
    let before = stage.token("ann", &["engineers"]);
    assert_eq!(status(&mut stage, &before), 403, "the policy is as old as it was: not stale");
    stage.core.tokens.borrow_mut().clear();
    assert_eq!(status(&mut stage, &token), 401, "it was issued in the future");
    step(&stage, right_ms, ClockStep::Ahead(HOUR_MS));
    assert_eq!(status(&mut stage, &token), 403);
    assert_eq!(stage.core.node.clock_steps.load(Ordering::Relaxed), 4);
}

#[test]
fn a_clock_that_goes_back_leaves_the_age_of_the_last_confirmation_as_it_was() {
    let stage = Stage::new();
    let (node, wall_ms) = (&stage.core.node, stage.core.wall_ms());
    let after = |confirmed_ms: u64, confirmed_meanwhile: bool| {
        node.confirmed_ms.store(confirmed_ms, Ordering::Release);
        node.clock_stepped(ClockStep::Back(HOUR_MS), wall_ms, confirmed_meanwhile);
        node.confirmed_ms.load(Ordering::Acquire)
    };
    assert_eq!(after(wall_ms - HOUR_MS, false), wall_ms - 2 * HOUR_MS, "long before");
    assert_eq!(after(wall_ms + HOUR_MS, true), wall_ms, "just before");
    assert_eq!(after(wall_ms, true), wall_ms, "just after");
}
