//! The catalogue on labelled text.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use common::Finder;
use penstock_mask::action::Action;
use penstock_mask::catalogue::catalogue;
use penstock_mask::channel::findings;
use penstock_mask::fold::seen;
use penstock_mask::profile::{Masking, Profile};

const CORPUS: &str = include_str!("pii/dev.jsonl");

struct Line {
    text: String,
    /// Types with their bytes.
    spans: Vec<(String, Range<usize>)>,
}

fn lines() -> Vec<Line> {
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = line["text"].as_str().unwrap().to_owned();
        let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        offsets.push(text.len());
        let at = |value: &serde_json::Value| offsets[value.as_u64().unwrap() as usize];
        let span = |span: &serde_json::Value| {
            let name = span["type"].as_str().unwrap().to_owned();
            (name, at(&span["start"])..at(&span["end"]))
        };
        let spans = line["spans"].as_array().unwrap().iter().map(span).collect();
        Line { text, spans }
    };
    CORPUS.lines().map(line).collect()
}

/// Counts of one type.
#[derive(Default)]
struct Score {
    labelled: usize,
    /// Covered by one result of the type.
    found: usize,
    /// Of which nothing is left, whatever it was taken for.
    masked: usize,
    results: usize,
    wrong: usize,
}

type Run = (&'static str, Range<usize>);

/// The runs of a text, as a mask replaces them: in the original.
fn runs(finders: &mut [Finder], text: &str) -> Vec<Run> {
    let folded = seen(text.as_bytes(), false);
    let mut all: Vec<Run> = Vec::new();
    for finder in finders {
        let name = finder.detector.name;
        all.extend(finder.find(&folded.bytes).into_iter().map(|range| (name, range)));
    }
    all.sort_by_key(|(_, range)| (range.start, usize::MAX - range.end));
    let mut merged: Vec<Run> = Vec::new();
    for (name, range) in all {
        match merged.last_mut() {
            Some((_, last)) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push((name, range)),
        }
    }
    merged.into_iter().map(|(name, range)| (name, folded.span(range))).collect()
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// A result that says the same under another name.
fn is_named(found: &str, labelled: &str) -> bool {
    found == labelled
        || matches!((found, labelled), ("DATABASE_URL" | "URL_CREDENTIALS", "PASSWORD"))
}

fn score(finders: &mut [Finder]) -> BTreeMap<String, Score> {
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    for line in lines() {
        let runs = runs(finders, &line.text);
        for (name, span) in &line.spans {
            let score = scores.entry(name.clone()).or_default();
            score.labelled += 1;
            let covers = |run: &&Run| run.1.start <= span.start && span.end <= run.1.end;
            score.found += usize::from(runs.iter().filter(covers).any(|run| is_named(run.0, name)));
            let is_masked = runs.iter().any(|run| covers(&run));
            score.masked += usize::from(is_masked);
            if !is_masked && std::env::var_os("CORPUS_SHOW").is_some() {
                let before = &line.text[..span.start];
                let from = before.char_indices().rev().nth(40).map_or(0, |(at, _)| at);
                println!("missed {name}: {}«{}»", &before[from..], &line.text[span.clone()]);
            }
        }
        for (name, range) in &runs {
            let score = scores.entry((*name).to_owned()).or_default();
            score.results += 1;
            let is_right =
                |span: &(String, Range<usize>)| is_named(name, &span.0) && overlap(range, &span.1);
            let is_right = line.spans.iter().any(is_right);
            score.wrong += usize::from(!is_right);
            if !is_right && std::env::var_os("CORPUS_SHOW").is_some() {
                let before = &line.text[..range.start];
                let from = before.char_indices().rev().nth(40).map_or(0, |(at, _)| at);
                println!("wrong {name}: {}«{}»", &before[from..], &line.text[range.clone()]);
            }
        }
    }
    scores
}

fn print(scores: &BTreeMap<String, Score>) {
    for (name, score) in scores {
        let Score { labelled, found, masked, results, wrong } = score;
        print!("{name:28} found {found:3} masked {masked:3} of {labelled:3}; ");
        println!("wrong {wrong:3} of {results:3}");
    }
}

/// Recall of Presidio 2.2.366 with all its recognisers on these lines, and its precision, in
/// thousandths.
const FLOORS: &[(&str, usize, usize)] = &[
    ("EMAIL_ADDRESS", 989, 896),
    ("CREDIT_CARD", 909, 909),
    ("PHONE_NUMBER", 877, 498),
    ("IBAN_CODE", 944, 1000),
    ("US_SSN", 872, 738),
    ("US_ITIN", 1000, 1000),
    ("UK_NINO", 1000, 1000),
    ("UK_NHS", 1000, 1000),
    ("ABA_ROUTING_NUMBER", 1000, 828),
    ("IP_ADDRESS", 1000, 1000),
    ("MAC_ADDRESS", 1000, 1000),
    ("ES_NIF", 1000, 1000),
    ("CRYPTO", 1000, 1000),
];

#[test]
fn the_corpus_is_masked_at_least_as_well_as_by_presidio() {
    let lines = lines();
    let is_labelled =
        |name: &str| lines.iter().any(|line| line.spans.iter().any(|span| span.0 == name));
    let mut finders = Finder::all();
    finders.retain(|finder| is_labelled(finder.detector.name));
    let scores = score(&mut finders);
    print(&scores);
    let mut low = Vec::new();
    for (name, score) in &scores {
        let floor = FLOORS.iter().find(|(of, ..)| of == name);
        let (recall, precision) =
            floor.map_or((950, 950), |(_, recall, precision)| (*recall, *precision));
        let right = score.results - score.wrong;
        if score.found * 1000 < recall * score.labelled || right * 1000 < precision * score.results
        {
            low.push(name);
        }
    }
    assert!(low.is_empty(), "{low:?}");
}

#[test]
fn what_is_on_by_default_finds_nothing_in_the_corpus_that_is_not_labelled() {
    let mut finders = Finder::all();
    finders.retain(|finder| finder.detector.default);
    let scores = score(&mut finders);
    print(&scores);
    let (wrong, results) =
        scores.values().fold((0, 0), |sum, score| (sum.0 + score.wrong, sum.1 + score.results));
    assert!(wrong * 50 <= results, "{wrong} of {results}");
}

#[test]
fn the_corpus_keeps_its_names_with_every_detector_on() {
    let scores = score(&mut Finder::all());
    print(&scores);
    let labelled = scores.iter().filter(|(_, score)| score.labelled > 0);
    let low: Vec<_> =
        labelled.filter(|(_, score)| score.found * 100 < score.labelled * 95).collect();
    assert!(low.is_empty(), "{:?}", low.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn the_channel_finds_in_the_corpus_what_the_plain_reading_finds() {
    let is_on = |finder: &Finder| finder.detector.default;
    let mut finders = Finder::all();
    finders.retain(is_on);
    let on = catalogue().iter().filter(|detector| detector.default);
    let profile = Profile::from_rules(on.flat_map(|detector| detector.rules()).collect());
    let masking = Masking::uniform(Arc::new(profile.unwrap()), Action::Replace);
    let mut scratch = masking.profile.scratch();
    let mut wrong = Vec::new();
    for line in lines() {
        let plain: Vec<_> = runs(&mut finders, &line.text)
            .into_iter()
            .map(|(name, range)| (name.to_owned(), range))
            .collect();
        let found: Vec<_> = findings(&masking, &mut scratch, &line.text)
            .into_iter()
            .map(|finding| (finding.detector.to_string(), finding.range))
            .collect();
        if plain != found {
            wrong.push(format!("{}\nplain {plain:?}\nfound {found:?}", line.text));
        }
    }
    let few: Vec<_> = wrong.iter().take(5).cloned().collect();
    assert!(wrong.is_empty(), "{} lines differ:\n{}", wrong.len(), few.join("\n\n"));
}

#[test]
fn the_channel_finds_each_example_of_the_catalogue() {
    let mut wrong = Vec::new();
    for detector in catalogue() {
        let profile = match Profile::from_rules(detector.rules()) {
            Ok(profile) => Arc::new(profile),
            Err(problems) => {
                wrong.push(format!("{}: {problems:?}", detector.name));
                continue;
            }
        };
        let masking = Masking::uniform(Arc::clone(&profile), Action::Replace);
        let mut scratch = profile.scratch();
        for marked in detector.positives {
            let (text, spans) = common::unmarked(marked);
            let found: Vec<_> =
                findings(&masking, &mut scratch, &text).into_iter().map(|one| one.range).collect();
            if found != spans {
                wrong.push(format!("{}: {marked}: {found:?}", detector.name));
            }
        }
        for text in detector.near_misses {
            if !findings(&masking, &mut scratch, text).is_empty() {
                wrong.push(format!("{}: near miss {text}", detector.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
