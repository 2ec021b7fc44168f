//! Streams made to hold, or to cost, without end, under real detectors.

use super::*;
use crate::rule::RULE_BYTES_MAX;
use crate::sample::real_masking;

/// Most that may be scanned between two returns.
const TURN_MAX: u64 = 16 << 10;

fn run(unreadable: Unreadable) -> Run {
    Run::with(real_masking(), Surface::OpenAiChat, StreamKind::Sse, terms(unreadable))
}

#[test]
fn a_candidate_that_never_ends_is_held_in_bounds_and_scanned_in_short_turns() {
    for unit in
        ["7", "4 1 1 ", "a@a.aaa", "ab:", "ghp_", "eyJ", "password: ", "-----BEGIN ", "\\u0041"]
    {
        let mut run = run(Unreadable::Refuse);
        for _ in 0..2_000 {
            run.data(&content(unit));
            assert!(run.mask.held_bytes() <= 2 * RULE_BYTES_MAX, "{unit}");
        }
        // All of it at once, nearly as large as an event may be.
        run.data(&content(&unit.repeat(900_000 / unit.len())));
        assert!(run.mask.held_bytes() <= 2 * RULE_BYTES_MAX, "{unit}");
        assert!(run.scanned_max <= TURN_MAX, "{unit}: {}", run.scanned_max);
        run.end();
    }
}

#[test]
fn ten_mebibytes_in_one_event_are_refused() {
    let event = format!("data: {}\n\n", content(&"jane.doe@example.org ".repeat(500_000)));
    assert_eq!(run(Unreadable::Pass).try_event(event.as_bytes()), Err(Unmaskable::EventTooLarge));
}

#[test]
fn what_can_not_be_read_in_the_middle_is_refused_and_shows_nothing_of_what_is_held() {
    for broken in
        ["data: {\"choices\":[{\"index\":0,\n\n", "data: {]}\n\n", "data: \"\\ud800\"\n\n"]
    {
        let mut run = run(Unreadable::Refuse);
        run.data(&content("jane.doe@exa"));
        assert!(run.try_event(broken.as_bytes()).is_err());
        assert!(!String::from_utf8_lossy(&run.out).contains("jane"), "{broken}");
    }
    let mut run = run(Unreadable::Refuse);
    run.data(&content("jane.doe@exa"));
    assert!(run.try_event(b"data: {\"a\":\"\xc3\"}\n\n").is_err());
    assert!(!String::from_utf8_lossy(&run.out).contains("jane"));
}

#[test]
fn events_of_types_that_nobody_knows_are_masked_as_well() {
    let mut run = run(Unreadable::Refuse);
    let event = concat!(
        "event: brand.new\ndata: {\"type\":\"brand.new\",\
         \"x\":{\"y\":[\"card 4111 1111 1111 1111\"]},",
        "\"choices\":[{\"index\":0,\"delta\":{\"unheard\":\"to jane.doe@example.org now\"}}]}\n\n"
    );
    let mut shown = run.event(event);
    shown.push_str(&run.end());
    assert!(shown.contains("[CREDIT_CARD]") && shown.contains("[EMAIL_ADDRESS]"), "{shown}");
    assert!(!shown.contains("4111") && !shown.contains("jane"), "{shown}");
}

#[test]
fn a_thousand_choices_are_masked_or_refused() {
    let mut run = run(Unreadable::Refuse);
    let mut refused = 0;
    for choice in 0..1_000 {
        let event = format!("data: {}\n\n", chunk(choice, r#"{"content":"jane.doe@exa"}"#, "null"));
        refused += usize::from(run.try_event(event.as_bytes()).is_err());
    }
    assert_eq!(refused, 1_000 - TEXTS_MAX);
    assert!(!String::from_utf8_lossy(&run.out).contains("jane"));
}
