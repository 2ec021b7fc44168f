use super::*;
use crate::catalogue::catalogue;
use crate::profile::{held, unmarked};
use crate::rule::{Guard, Rule, any};

fn rule(value: &str) -> Rule {
    Rule {
        detector: "TEST".into(),
        lead: "".into(),
        value: value.to_owned().into(),
        trail: "".into(),
        before: Guard::ANY,
        after: Guard::NO_WORD,
        is_valid: any,
        context: &[],
        run: None,
    }
}

fn holds(rules: &[Rule]) -> Holds {
    Holds::new(rules.iter().map(|rule| held(rule.clone()).0).collect()).unwrap()
}

fn point(holds: &Holds, text: &str) -> Option<usize> {
    let point = holds.point(&mut holds.caches(), text.as_bytes(), 0);
    (point < text.len()).then_some(point)
}

/// Texts, each with where what is held of it begins.
fn assert_points(holds: &Holds, texts: &[(&str, Option<usize>)]) {
    for (text, place) in texts {
        assert_eq!(point(holds, text), *place, "{text}");
    }
}

/// What one rule holds by the beginnings of its matches, looked for everywhere.
struct Alone {
    automaton: Automaton,
    cache: Cache,
    bytes_max: usize,
}

impl Alone {
    fn new(rule: &Rule) -> Self {
        let (held, beginnings) = held(rule.clone());
        let beginnings = if held.at_word_start { at_word_start(beginnings) } else { beginnings };
        let automaton = Automaton::new(&[beginnings], Direction::Backward).unwrap();
        Self { cache: automaton.cache(), automaton, bytes_max: held.bytes_max + 1 }
    }

    fn point(&mut self, text: &str) -> Option<usize> {
        let mut point = text.len();
        let lowest = text.len().saturating_sub(self.bytes_max);
        let range = (lowest, text.len());
        let note = |begin| point = begin;
        self.automaton.backward(&mut self.cache, None, text.as_bytes(), range, note).unwrap();
        (point < text.len()).then_some(point)
    }
}

#[test]
fn text_is_held_from_a_literal_on_for_as_long_as_it_may_be_its_rules() {
    let holds = holds(&[rule("pass=[a-z]{3,9};")]);
    let texts = [
        ("my pa", Some(3)),
        ("my pass=", Some(3)),
        ("my pass=abc", Some(3)),
        ("my pass=abc;", Some(3)),
        ("my pass=abc; ", None),
        ("my pass=1", None),
        ("my pass=pass=a", Some(8)),
        ("my pass=abcdefghijklmno", None),
        ("word", None),
    ];
    assert_points(&holds, &texts);
}

#[test]
fn rules_without_a_literal_hold_from_their_first_byte_on() {
    let holds = holds(&[rule("[0-9]{2}-[a-z]{2}")]);
    let texts = [("in 19", Some(3)), ("19-a", Some(0)), ("19-a!", None), ("no", None)];
    assert_points(&holds, &texts);
}

#[test]
fn a_rule_that_is_a_literal_holds_its_parts_and_itself_where_something_decides_behind_it() {
    let free = Rule { after: Guard::ANY, ..rule("c\\+\\+/cli") };
    let worded = Rule { before: Guard::NO_WORD, ..rule("(?i)Project Nightingale") };
    let holds = holds(&[free, worded]);
    let texts = [
        ("in c", Some(3)),
        ("in c++/cl", Some(3)),
        ("in c++/cli", None),
        ("a pro", Some(2)),
        ("a PROJECT night", Some(2)),
        ("a project nightingale", Some(2)),
        ("a project nightingales", None),
        ("a project nightmare", None),
        ("sub-project nigh", Some(4)),
        ("subproject nigh", None),
    ];
    assert_points(&holds, &texts);
}

#[test]
fn a_thousand_words_that_begin_alike_hold_no_other_text() {
    let word = |index| format!("https://gitlab\\.corp\\.example/team{index}");
    let words: Vec<_> = (1000..2000).map(|index| rule(&word(index))).collect();
    let holds = holds(&words);
    assert_eq!(point(&holds, "see https://gitlab.corp.example/t"), Some(4));
    assert_eq!(point(&holds, "see https://gitlab.corp.example/team1733"), Some(4));
    assert_eq!(point(&holds, "see https://gitlab.corp.example/zz"), None);
    assert_eq!(point(&holds, "see https://gitlab.corp.example/team2"), None);
}

#[test]
fn with_too_many_literals_each_is_held_that_is_near_the_end() {
    let holds = holds(&[rule("pass=[a-z=]{1,500}")]);
    let few = "pass=".repeat(8) + "!";
    assert_eq!(point(&holds, &few), None);
    let many = "pass=".repeat(100) + "!";
    let held = point(&holds, &many).unwrap();
    assert!(held > 0 && held.is_multiple_of(5), "{held}");
    assert_eq!(point(&holds, &(many + &" ".repeat(RULE_BYTES_MAX))), None);
}

/// Rules of each shape that the catalogue has few of, with texts of which each part counts.
#[test]
fn each_shape_of_a_rule_holds_what_it_holds_alone() {
    let worded = |value| Rule { before: Guard::NO_WORD, ..rule(value) };
    let paired =
        |value| Rule { after: Guard::NO_DIGIT.nor_pair(b'.', ByteSet::DIGITS), ..rule(value) };
    let shapes = [
        (paired("v=[0-9]{1,3}"), "a v=12.5 v=12. v=1234"),
        (paired("version"), "a version.5 version. version"),
        (worded("AKIA[0-9]{4}"), "xAKIA1 AKIA1234 -AKIA12345"),
        (
            worded("(?i:abcdefghijklmnopqrstuvw)[0-9]{2}"),
            "an ABCDEFGHIJKLMNOPQRSTUVW12 abcdefghijklmnopq",
        ),
        (worded("pass(?:word)?[:=][a-z]{2,4}"), "passw pass=ab password:abcd password:abcde"),
        (rule(r"(?i:\xc3\xb6l|\xc3\xa4rger): ?[0-9]{2}"), "Öl öl: 12 ärger:1 ärger"),
        (rule(r"\(0[0-9]{3}"), "a( x(0 (0123 (01234"),
        (rule("(?:ab|abc|a[bc]d)x{1,3}"), "a ab abx abcxx acdxxx acdy"),
        (rule("q{1,40}-[0-9]{1,9}z"), "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq-1 q-1z"),
    ];
    for (rule, text) in shapes {
        let (holds, mut alone) = (holds(std::slice::from_ref(&rule)), Alone::new(&rule));
        for (end, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let text = &text[..end];
            assert_eq!(point(&holds, text), alone.point(text), "{} in {text}", rule.value);
        }
    }
}

#[test]
fn each_beginning_of_each_example_is_held_as_by_the_rules_of_its_detector() {
    let all: Vec<_> = catalogue().iter().flat_map(|detector| detector.rules()).collect();
    let (holds, mut compared) = (holds(&all), 0);
    let mut caches = holds.caches();
    for detector in catalogue() {
        let mut rules: Vec<_> = detector.rules().iter().map(Alone::new).collect();
        let positives = detector.positives.iter().map(|example| unmarked(example).0);
        let near_misses = detector.near_misses.iter().map(|text| (*text).to_owned());
        for text in positives.chain(near_misses) {
            for (end, _) in text.char_indices() {
                let text = &text[..end];
                let point = holds.point(&mut caches, text.as_bytes(), 0);
                let alone = rules.iter_mut().filter_map(|rule| rule.point(text)).min();
                let alone = alone.unwrap_or(text.len());
                assert!(point <= alone, "{}: {point}, not {alone}, in {text}", detector.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
}
