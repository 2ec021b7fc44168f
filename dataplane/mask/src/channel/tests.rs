//! The engine against an oracle that shares none of its automata: a brute-force search that walks
//! the pattern's tree, from each place, over the whole text.

mod catalogue;
mod hostile;
mod oracle;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::action::Action;
use crate::fold::UNDECIDED_BYTES_MAX;
use crate::profile::Profile;
use crate::rule::{ByteSet, Guard, Rule, any};
use oracle::Oracle;

fn rule(name: &str, value: &'static str) -> Rule {
    Rule {
        detector: name.into(),
        lead: "".into(),
        value: value.into(),
        trail: "".into(),
        before: Guard::NO_WORD,
        after: Guard::NO_WORD,
        is_valid: any,
        context: &[],
        run: None,
    }
}

fn digits_sum_to_ten(value: &[u8]) -> bool {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit());
    digits.map(|byte| u32::from(byte - b'0')).sum::<u32>() % 10 == 0
}

/// One rule of every group, small, so that random texts have their matches, near-misses and
/// overlaps.
pub(crate) fn rules() -> Vec<Rule> {
    let anywhere =
        |name, value| Rule { before: Guard::ANY, after: Guard::ANY, ..rule(name, value) };
    vec![
        anywhere("MAIL", r"[a-c][a-c0-9.]{0,5}@[a-c]{1,3}(?:\.[a-c]{1,3}){1,2}"),
        Rule { is_valid: digits_sum_to_ten, ..rule("CARD", r"[0-9](?:[ -]?[0-9]){3,6}") },
        Rule {
            after: Guard::NO_DIGIT.nor_pair(b'.', ByteSet::DIGITS),
            ..rule("IP", r"(?:[0-9]{1,2}\.){2}[0-9]{1,2}")
        },
        rule("KEY", r"ab_[a-c0-9]{3,6}"),
        Rule {
            lead: r"(?i)pw[:=] ?".into(),
            trail: r";".into(),
            after: Guard::ANY,
            ..rule("PASS", r"[a-c0-9]{1,4}")
        },
        Rule { before: Guard::ANY, after: Guard::ANY, ..rule("CODE", r"[AB][0-9]{2}[ab]?") },
        Rule { context: &["id", "nr"], ..rule("ID", r"[0-9]{3}") },
        anywhere("PHONE", r"\+(?:[0-9] ?){3,5}"),
        anywhere("ANY", r"[bc]{2}a[bc]{0,3}a"),
        Rule {
            after: Guard::ANY,
            run: Some(crate::rule::Run::Class(ByteSet::ALPHANUMERIC.with(b'.'))),
            ..rule("OPEN", r"xc[0-9a-c]{2}")
        },
        Rule { before: Guard::ANY, ..rule("URL", r"[a-c]{1,4}://[a-c]{1,4}") },
        rule("RUN", r"[ab][a-c0-9_]{16,20}"),
        Rule { context: &["key"], ..rule("TOLD_RUN", r"[a-c]{8}[0-9a-c]{8}(?:=|\.)") },
        Rule { context: &["on", "bb c"], ..rule("NEAR", r"c[ab](?: [a-c]{2,3})?") },
    ]
}

fn masking(rules: Vec<Rule>) -> Masking {
    Masking::uniform(Arc::new(Profile::from_rules(rules).unwrap()), Action::Replace)
}

fn masked_by_oracle(rules: &[Rule], text: &str) -> String {
    Oracle::new(rules).masked(text, false)
}

fn in_pieces(masking: &Masking, scratch: &mut Scratch, text: &str, cuts: &[usize]) -> String {
    let mut channel = Channel::new(false);
    let (mut out, mut rest, mut cuts) = (Vec::new(), text, cuts.iter().cycle());
    while !rest.is_empty() {
        let length = rest.ceil_char_boundary(*cuts.next().unwrap_or(&3));
        let (piece, behind) = rest.split_at(length);
        channel.push(masking, scratch, piece.as_bytes(), &mut out);
        rest = behind;
    }
    channel.finish(masking, scratch, &mut out);
    String::from_utf8(out).unwrap()
}

fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[abc]{1,4}", 4 => "[0-9]{1,5}", 3 => "[ .@:;=+_-]", 1 => "é|ж|\u{200b}",
        2 => Just("a@b.c".to_owned()), 2 => Just("1 2-34".to_owned()),
        2 => Just("ab_c01".to_owned()),
        2 => Just("pw: ab1;".to_owned()), 1 => Just("id ".to_owned()), 2 => Just("xc1a".to_owned()),
        1 => Just("A12a".to_owned()), 1 => Just("1.2.3".to_owned()), 1 => Just("://".to_owned()),
        1 => Just("key ".to_owned()),
        1 => Just("key abcabcab12abcabc=; ".to_owned()),
        1 => Just("on ".to_owned()), 1 => "[abc]{15,20}[=.]?",
        1 => Just("+1 23".to_owned()), 1 => Just("bbacca".to_owned()), 1 => Just("PW=".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn any_split_gives_what_the_whole_gives_and_what_the_oracle_gives(
        parts in prop::collection::vec(fragment(), 1..14),
        cuts in prop::collection::vec(1_usize..9, 1..6),
    ) {
        let text = parts.concat();
        let masking = masking_of_all();
        let mut scratch = masking.profile.scratch();
        let expected = masked_by_oracle(&rules(), &text);
        prop_assert_eq!(&mask_text(&masking, &mut scratch, &text), &expected, "whole: {:?}", &text);
        let split = in_pieces(&masking, &mut scratch, &text, &cuts);
        prop_assert_eq!(&split, &expected, "cut {:?}: {:?}", cuts, &text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_long_text_with_anything_in_it_is_searched_as_the_oracle_searches_it(
        parts in prop::collection::vec((fragment(), 0_usize..90), 4..40),
        cuts in prop::collection::vec(prop_oneof![1_usize..9, 200_usize..900], 1..6),
    ) {
        let filler = "the quick words, all of them; go on - and_on/and.on without an end. ";
        let each = |(part, more): &(String, usize)| format!("{part}{}", &filler[..more / 2]);
        let text: String = parts.iter().map(each).collect();
        let text = text.repeat(1 + 600 / text.len().max(1));
        let masking = masking_of_all();
        let mut scratch = masking.profile.scratch();
        let expected = masked_by_oracle(&rules(), &text);
        prop_assert_eq!(&mask_text(&masking, &mut scratch, &text), &expected, "whole: {:?}", &text);
        let split = in_pieces(&masking, &mut scratch, &text, &cuts);
        prop_assert_eq!(&split, &expected, "cut {:?}: {:?}", cuts, &text);
    }
}

/// What a masked text shows between tags and stars.
fn shown(masked: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = masked;
    while let Some((clean, behind)) = rest.split_once('[') {
        pieces.push(clean);
        rest = behind.split_once(']').map_or("", |(_, behind)| behind);
    }
    pieces.push(rest);
    pieces.into_iter().flat_map(|piece| piece.split('*')).filter(|one| !one.is_empty()).collect()
}

/// Whether the pieces stand in a text in their order, each within one of its own.
fn are_parts(pieces: &[&str], whole: &[&str]) -> bool {
    let whole = whole.join("\0");
    let mut rest = whole.as_str();
    pieces.iter().all(|piece| {
        let behind = rest.find(piece).and_then(|at| rest.get(at + piece.len()..));
        behind.is_some_and(|behind| {
            rest = behind;
            true
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn silences_show_nothing_of_a_value_and_lose_no_more_than_what_was_held(
        parts in prop::collection::vec(fragment(), 1..60),
        cuts in prop::collection::vec((1_usize..9, prop::bool::ANY), 1..8),
    ) {
        let text = parts.concat();
        let masking = masking_of_all();
        let mut scratch = masking.profile.scratch();
        let (mut channel, mut out) = (Channel::new(false), Vec::new());
        let (mut rest, mut cuts, mut held) = (text.as_str(), cuts.iter().cycle(), 0);
        while !rest.is_empty() {
            let (length, is_silent) = *cuts.next().unwrap();
            let (piece, behind) = rest.split_at(rest.ceil_char_boundary(length.min(rest.len())));
            channel.push(&masking, &mut scratch, piece.as_bytes(), &mut out);
            if is_silent {
                held += channel.held_bytes();
                channel.stalled(&masking, &mut scratch, false, &mut out);
                // The front of an escape.
                let rest = channel.held_bytes();
                prop_assert!(rest <= UNDECIDED_BYTES_MAX, "{}", rest);
                held -= rest;
            }
            rest = behind;
        }
        channel.finish(&masking, &mut scratch, &mut out);
        let (out, expected) = (String::from_utf8(out).unwrap(), masked_by_oracle(&rules(), &text));
        let (got, clean) = (shown(&out), shown(&expected));
        prop_assert!(are_parts(&got, &clean), "{:?} of {:?}: {:?}", out, expected, text);
        let length = |pieces: &[&str]| pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let is_lost = length(&got) + held < length(&clean);
        prop_assert!(!is_lost, "{:?} of {:?}: {:?}", out, expected, text);
    }
}

#[test]
fn the_rules_of_these_tests_take_every_way() {
    let masking = masking_of_all();
    let ways = &masking.profile.ways;
    assert!(ways.tokens.plain.is_some() && ways.tokens.told.is_some());
    assert!(ways.led.as_ref().is_some_and(|led| !led.fronts.is_empty()));
    assert!(ways.near.is_some() && ways.anchors.is_some() && ways.others.is_some());
    let runs = ways.runs.as_ref().unwrap();
    assert!(runs.groups.iter().any(|one| one.is_told));
    assert!(runs.groups.iter().any(|one| !one.is_told));
}

fn masking_of_all() -> Masking {
    static ALL: std::sync::LazyLock<Masking> = std::sync::LazyLock::new(|| masking(rules()));
    ALL.clone()
}

#[test]
fn a_thousand_words_that_begin_alike_are_found_and_nothing_else() {
    let word = |index| format!("https://gitlab\\.corp\\.example/team-{index}");
    let words = (0..1_000).map(|index| Rule { value: word(index).into(), ..rule("WORD", "") });
    let masking = masking(words.collect());
    let mut scratch = masking.profile.scratch();
    let value = "https://gitlab.corp.example/team-";
    let text = format!("{value}42, {value}x {value}1000 {value}7\n").repeat(20);
    let expected = format!("[WORD], {value}x {value}1000 [WORD]\n").repeat(20);
    for cuts in [&[1][..], &[4], &[100_000]] {
        assert_eq!(in_pieces(&masking, &mut scratch, &text, cuts), expected, "{cuts:?}");
    }
}

#[test]
fn a_long_text_is_searched_as_a_short_one_is() {
    let masking = masking_of_all();
    let mut scratch = masking.profile.scratch();
    let filler = "the bare words go on and on, without end; ".repeat(40);
    for value in ["a@b.c", "ab_c01", "pw: ab1;", "xc1a00", "A12a", "1.2.3", "+1 23"] {
        let text = format!("{filler}{value}{filler} {value}");
        assert_eq!(mask_text(&masking, &mut scratch, &text), masked_by_oracle(&rules(), &text));
        assert_eq!(
            in_pieces(&masking, &mut scratch, &text, &[7, 300, 1]),
            masked_by_oracle(&rules(), &text)
        );
    }
}

#[test]
fn clean_text_leaves_as_it_came() {
    let masking = masking_of_all();
    let mut scratch = masking.profile.scratch();
    let mut channel = Channel::new(false);
    let mut out = Vec::new();
    let pushed = channel.push(&masking, &mut scratch, b"The quick fox jumps.", &mut out);
    assert!(!pushed.changed);
    assert_eq!(out, b"The quick fox jumps.");
    assert_eq!(channel.held_bytes(), 0);
}

#[test]
fn a_stalled_beginning_is_redacted_or_released() {
    let masking = masking_of_all();
    let mut scratch = masking.profile.scratch();
    for (release, expected) in [(false, "see ***"), (true, "see ab_c0")] {
        let mut channel = Channel::new(false);
        let mut out = Vec::new();
        channel.push(&masking, &mut scratch, b"see ab_c0", &mut out);
        channel.stalled(&masking, &mut scratch, release, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
        assert_eq!(channel.held_bytes(), 0);
    }
}

#[test]
fn a_channel_in_its_stride_allocates_nothing() {
    let masking = masking_of_all();
    let mut scratch = masking.profile.scratch();
    let mut channel = Channel::new(false);
    let mut out = Vec::with_capacity(1 << 20);
    let text = "plain words and 12 numbers, a@b and ab_c words, then 1 2 3 again and pw: abc; ";
    let mut turn = |out: &mut Vec<u8>| {
        for piece in text.as_bytes().chunks(4) {
            channel.push(&masking, &mut scratch, piece, out);
        }
    };
    for _ in 0..200 {
        turn(&mut out);
    }
    let info = allocation_counter::measure(|| (0..50).for_each(|_| turn(&mut out)));
    assert_eq!(info.count_total, 0);
}
