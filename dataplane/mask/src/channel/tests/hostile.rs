//! Texts made to hold without end, to cost without end, or to part a value from its tail.

use super::*;
use crate::catalogue::catalogue;
use crate::fold::{UNDECIDED_BYTES_MAX, UNSEEN_BYTES_MAX};
use crate::rule::{RULE_BYTES_MAX, Run};

/// Whole, character by character, and by the oracle.
#[track_caller]
fn assert_masks(rules: Vec<Rule>, text: &str, expected: &str) {
    assert_eq!(masked_by_oracle(&rules, text), expected, "oracle");
    let masking = masking(rules);
    let mut scratch = masking.profile.scratch();
    assert_eq!(mask_text(&masking, &mut scratch, text), expected, "whole");
    assert_eq!(in_pieces(&masking, &mut scratch, text, &[1]), expected, "in pieces");
}

fn anywhere(name: &str, value: &'static str) -> Rule {
    Rule { before: Guard::ANY, after: Guard::ANY, ..rule(name, value) }
}

#[test]
fn runs_that_lie_across_each_other_are_covered_to_the_end_of_the_last() {
    let run = |name, value, set| Rule { run: Some(Run::Class(set)), ..anywhere(name, value) };
    let rules = vec![
        run("LONG", "xa[0-9]{2}", ByteSet::ALPHANUMERIC.with(b'.')),
        run("SHORT", "yb[0-9]{2}", ByteSet::ALPHANUMERIC),
    ];
    assert_masks(rules.clone(), "to xa11qyb22zz.zz!", "to [LONG]!");
    assert_masks(rules, "to yb11qxa22zz.zz!", "to [SHORT]!");
}

#[test]
fn an_anchor_that_lies_across_another_one_counts() {
    assert_masks(vec![anywhere("CHAIN", r"[-a]\.-\.[0-9]")], ".-.-.1", ".[CHAIN]");
}

#[test]
fn a_number_may_stand_apart_from_the_letters_before_it() {
    assert_masks(
        vec![rule("PLATE", "[A-Z]{2} ?[0-9]{2}")],
        "an AB 12, a CD34",
        "an [PLATE], a [PLATE]",
    );
}

#[test]
fn what_can_not_be_seen_leaves_with_the_text_before_it() {
    let masking = masking_of_all();
    let mut scratch = masking.profile.scratch();
    let (mut channel, mut out) = (Channel::new(false), Vec::new());
    for piece in ["done.", "\u{200b}", "\u{200b}\u{ad}"] {
        channel.push(&masking, &mut scratch, piece.as_bytes(), &mut out);
        assert_eq!(channel.held_bytes(), 0, "{piece:?}");
    }
    assert_eq!(String::from_utf8(out).unwrap(), "done.\u{200b}\u{200b}\u{ad}");
}

#[test]
fn what_can_not_be_seen_inside_a_run_goes_with_it() {
    let text = format!("see xc1a0{}b1 and", "\u{200b}".repeat(3_000));
    assert_masks(rules(), &text[..600], "see [OPEN]");
    let masking = masking_of_all();
    let mut scratch = masking.profile.scratch();
    assert_eq!(mask_text(&masking, &mut scratch, &text), "see [OPEN] and");
    assert_eq!(in_pieces(&masking, &mut scratch, &text, &[3, 1]), "see [OPEN] and");
}

#[test]
fn a_value_with_a_flood_inside_that_can_not_be_seen_is_not_held_for_ever() {
    let masking = masking_of_all();
    let mut scratch = masking.profile.scratch();
    let text = format!("to a{}@b.c", "\u{200b}".repeat(2_000));
    let whole = mask_text(&masking, &mut scratch, &text);
    assert!(whole.starts_with("to ***") && !whole.contains('a'), "{}", &whole[..9]);
    for cuts in [&[1][..], &[7, 300], &[5_000]] {
        let (mut channel, mut out, mut rest) = (Channel::new(false), Vec::new(), text.as_str());
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let cut = rest.ceil_char_boundary(*cuts.next().unwrap());
            let (piece, behind) = rest.split_at(cut);
            channel.push(&masking, &mut scratch, piece.as_bytes(), &mut out);
            assert!(channel.held_bytes() <= UNSEEN_BYTES_MAX + UNDECIDED_BYTES_MAX + 8);
            rest = behind;
        }
        channel.finish(&masking, &mut scratch, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), whole);
    }
}

#[test]
fn what_takes_too_long_is_redacted_with_the_value_that_goes_on_from_it() {
    let slow = anywhere("SLOW", "[ab]{1,400}c");
    let masking = masking(vec![slow, anywhere("SLOW", "[abd]{1,400}c")]);
    let mut scratch = masking.profile.scratch();
    let (mut channel, mut out) = (Channel::new(false), Vec::new());
    let text = format!("{}aa", format!("{}c", "a".repeat(399)).repeat(40));
    channel.push(&masking, &mut scratch, text.as_bytes(), &mut out);
    channel.push(&masking, &mut scratch, b"ac end", &mut out);
    channel.finish(&masking, &mut scratch, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "*** end");
}

fn masking_of_catalogue() -> Masking {
    masking(catalogue().iter().flat_map(|detector| detector.rules()).collect())
}

/// Units that hold a text for as long as may be, and what they are repeated in.
const ENDLESS: [&str; 16] = [
    "7",
    "a",
    "4 1 1 ",
    "a@",
    "a@a.aaa",
    "ab:",
    "ghp_",
    "eyJ",
    "token=",
    "password: ",
    "-",
    "a.b-",
    "(0",
    "+1 ",
    "a://b:",
    "\u{ff11}",
];

#[test]
fn a_candidate_that_never_ends_is_held_in_bounds_and_little_is_kept_of_it() {
    let masking = masking_of_catalogue();
    let mut scratch = masking.profile.scratch();
    for unit in ENDLESS {
        let (mut channel, mut out, mut held_max) = (Channel::new(false), Vec::new(), 0);
        let text = unit.repeat((8 << 10) / unit.len());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.ceil_char_boundary(4.min(rest.len())));
            let before = scratch.scanned_bytes();
            channel.push(&masking, &mut scratch, piece.as_bytes(), &mut out);
            held_max = held_max.max(channel.held_bytes());
            let scanned = scratch.scanned_bytes() - before;
            assert!(scanned <= (RULE_BYTES_MAX + 8) as u64, "{unit}: {scanned} scanned");
            rest = behind;
        }
        let per_byte = if unit.is_ascii() { 1 } else { 3 };
        assert!(held_max <= (RULE_BYTES_MAX + 2) * per_byte, "{unit}: {held_max} held");
        let kept = channel.original.capacity() + channel.folded.kept_bytes();
        // Offsets of the original are kept where the fold changes something.
        let bound = if unit.is_ascii() { 4 << 10 } else { 8 << 10 };
        assert!(kept + size_of::<Channel>() < bound, "{unit}: {kept} kept");
        channel.finish(&masking, &mut scratch, &mut out);
        assert_eq!(channel.held_bytes(), 0);
    }
}

#[test]
fn a_large_piece_leaves_no_large_channel_behind() {
    let masking = masking_of_catalogue();
    let mut scratch = masking.profile.scratch();
    let (mut channel, mut out) = (Channel::new(false), Vec::new());
    let folded = "“&#64;” ".repeat(1_000);
    for large in ["plain words, ".repeat(1_000), "wïde wörds, ".repeat(1_000), folded] {
        channel.push(&masking, &mut scratch, large.as_bytes(), &mut out);
        channel.push(&masking, &mut scratch, b"a few ", &mut out);
        let kept = channel.original.capacity() + channel.folded.kept_bytes();
        assert!(kept <= KEPT_BYTES_MAX, "{kept} kept");
    }
}

#[test]
fn silence_lets_go_of_everything_and_the_text_goes_on() {
    let masking = masking_of_catalogue();
    let mut scratch = masking.profile.scratch();
    for (piece, shown) in [
        ("card 4111 1111 1111 11", "card ***"),
        ("card 4111 1111 1111 1111", "card [CREDIT_CARD]"),
        ("mail jane.doe", "mail ***"),
        ("mail jane.doe@example.org", "mail [EMAIL_ADDRESS]"),
    ] {
        let (mut channel, mut out) = (Channel::new(false), Vec::new());
        channel.push(&masking, &mut scratch, piece.as_bytes(), &mut out);
        channel.stalled(&masking, &mut scratch, false, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), shown);
        channel.push(&masking, &mut scratch, b" and on. ", &mut out);
        channel.finish(&masking, &mut scratch, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), format!("{shown} and on. "));
    }
}

#[test]
fn the_rest_of_a_value_behind_a_silence_belongs_to_it() {
    let masking = masking_of_catalogue();
    let mut scratch = masking.profile.scratch();
    for (pieces, shown) in [
        (&["card 4111 1111 11", "11 1111, ok"][..], "card ***, ok"),
        (&["card 4111 ", "1111 1111 ", "11", "11, ok"], "card ***, ok"),
        (&["mail jane.doe", "@example.org and on"], "mail *** and on"),
        (&["mail jane.doe", " and on"], "mail *** and on"),
        (&["mail jane.doe@example.or", "g and on"], "mail [EMAIL_ADDRESS] and on"),
        (&["ssn 536-9", "0-4399."], "ssn ***."),
    ] {
        let (mut channel, mut out) = (Channel::new(false), Vec::new());
        let before = scratch.masked();
        for (index, piece) in pieces.iter().enumerate() {
            channel.push(&masking, &mut scratch, piece.as_bytes(), &mut out);
            if index + 1 < pieces.len() {
                channel.stalled(&masking, &mut scratch, false, &mut out);
                assert_eq!(channel.held_bytes(), 0);
            }
        }
        channel.finish(&masking, &mut scratch, &mut out);
        let told = String::from_utf8_lossy(&out).replace("***", "*");
        let told = told.replace("**", "*").replace("**", "*").replace('*', "***");
        assert_eq!(told, shown, "{pieces:?}");
        let is_value = !shown.contains("*** and on") || pieces[1].starts_with('@');
        assert_eq!(scratch.masked() - before, u64::from(is_value), "{pieces:?}");
    }
}

#[test]
fn a_value_is_counted_once_however_many_silences_there_were() {
    let masking = masking_of_catalogue();
    let mut scratch = masking.profile.scratch();
    let (mut channel, mut out) = (Channel::new(false), Vec::new());
    for piece in ["jane.doe", " and on. mail bob@example.or", "g and"] {
        channel.push(&masking, &mut scratch, piece.as_bytes(), &mut out);
        channel.stalled(&masking, &mut scratch, false, &mut out);
    }
    assert_eq!(String::from_utf8_lossy(&out), "*** and on. mail [EMAIL_ADDRESS] ***");
    assert_eq!(scratch.masked(), 1);
}

#[test]
fn the_front_of_an_escape_is_held_through_a_silence_with_the_value_before_it() {
    let masking = masking_of_catalogue();
    let mut scratch = masking.profile.scratch();
    for (escapes, pieces, expected) in [
        (false, ["see 4111&#3", "2;1111 1111 1111 x"], "see *** x"),
        (false, ["jane.doe&#6", "4;example.org x"], "*** x"),
        (false, ["jane.doe%4", "0example.org x"], "*** x"),
        (true, ["4111\\u00", "201111\\u00201111\\u00201111 x"], "*** x"),
        (true, ["jane.doe\\u00", "40example.org x"], "*** x"),
        (false, ["so, I: &", "amp; on"], "so, I: &amp; on"),
    ] {
        let (mut channel, mut out) = (Channel::new(escapes), Vec::new());
        channel.push(&masking, &mut scratch, pieces[0].as_bytes(), &mut out);
        channel.stalled(&masking, &mut scratch, false, &mut out);
        channel.push(&masking, &mut scratch, pieces[1].as_bytes(), &mut out);
        channel.finish(&masking, &mut scratch, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{pieces:?}");
    }
}

#[test]
fn what_many_rules_find_at_one_place_counts_as_work() {
    let many = |index| {
        let value = format!("[(][0-9][0-9( ]{{1,{}}}", 40 + index).into();
        Rule { value, ..anywhere("WIDE", "") }
    };
    let text = "(1 ".repeat(1_400);
    for (count, is_too_much) in [(1, false), (60, true)] {
        let masking = masking((0..count).map(many).collect());
        let masked = mask_text(&masking, &mut masking.profile.scratch(), &text);
        assert_eq!(masked.contains("***"), is_too_much, "{count} rules");
        assert!(!masked.contains('1'), "{count} rules");
    }
}
