//! Every detector by itself: its patterns are sound, it finds its examples and nothing in its
//! near-misses.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::HashSet;

use common::{Finder, unmarked};
use penstock_mask::catalogue::catalogue;
use penstock_mask::fold::seen;
use penstock_mask::rule::{RULE_BYTES_MAX, Rule};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

fn parsed(pattern: &str) -> Hir {
    let parsed = ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
    parsed.unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

fn rules() -> impl Iterator<Item = Rule> {
    catalogue().iter().flat_map(|detector| detector.rules())
}

#[test]
fn each_name_of_the_catalogue_stands_once() {
    let names: HashSet<_> = catalogue().iter().map(|detector| detector.name).collect();
    assert_eq!(names.len(), catalogue().len());
    let mut about = HashSet::new();
    for detector in catalogue() {
        assert!(!detector.rules().is_empty(), "{}", detector.name);
        assert!(about.insert(detector.about), "twice: {}", detector.about);
    }
}

#[test]
fn each_pattern_of_the_catalogue_is_bounded_and_never_empty() {
    for rule in rules() {
        let parts = [&rule.lead, &rule.value, &rule.trail].map(|part| parsed(part));
        let name = &rule.detector;
        let longest = parts.iter().map(|part| part.properties().maximum_len());
        let longest: usize = longest.map(|length| length.expect(name)).sum();
        assert!(longest <= RULE_BYTES_MAX, "{name}: {longest} bytes: {}", rule.value);
        let [_, value, _] = &parts;
        assert!(value.properties().minimum_len() > Some(0), "{name}: {}", rule.value);
        for part in &parts {
            assert!(part.properties().look_set().is_empty(), "{name}: {}", rule.value);
        }
        for word in rule.context {
            assert_eq!(*word, word.to_ascii_lowercase(), "{name}");
        }
        if rule.run.is_some() {
            assert_eq!(rule.trail, "", "{name}");
        }
    }
}

#[test]
fn no_pattern_of_the_catalogue_has_letters_beyond_ascii() {
    for rule in rules() {
        for part in [&rule.lead, &rule.value, &rule.trail] {
            assert!(part.is_ascii(), "{}: {part}", rule.detector);
        }
    }
}

#[test]
fn each_detector_of_the_catalogue_finds_its_examples() {
    let mut wrong = Vec::new();
    for mut finder in Finder::all() {
        let detector = finder.detector;
        if detector.positives.len() < 2 || detector.near_misses.is_empty() {
            wrong.push(format!("{}: too few examples", detector.name));
        }
        for marked in detector.positives {
            let (text, spans) = unmarked(marked);
            let found = finder.find(text.as_bytes());
            if found != spans {
                let found: Vec<_> = found.into_iter().map(|range| &text[range]).collect();
                wrong.push(format!("{}: {marked}: {found:?}", detector.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_detector_of_the_catalogue_finds_its_near_misses() {
    let mut wrong = Vec::new();
    for mut finder in Finder::all() {
        for text in finder.detector.near_misses {
            for range in finder.find(&seen(text.as_bytes(), false).bytes) {
                wrong.push(format!("{}: {:?} in {text}", finder.detector.name, range));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
