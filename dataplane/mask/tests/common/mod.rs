//! A plain reading of the rules, for tests: every start, the longest valid end.
#![allow(dead_code, reason = "each test needs a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::ops::Range;

use penstock_mask::catalogue::{Detector, catalogue};
use penstock_mask::rule::{CONTEXT_BYTES, Guard, RUN_BYTES_MAX, Rule, Run, SHORT_WORD_BYTES};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind, nfa::thompson};

/// A pattern as an automaton that tells all its ends.
pub(crate) struct Ends {
    dfa: DFA,
    cache: Cache,
    /// Whether a match can begin with a byte.
    first: [bool; 256],
    is_empty: bool,
}

impl Ends {
    fn new(pattern: &str) -> Self {
        let dfa = DFA::builder()
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .thompson(thompson::Config::new().utf8(false))
            .configure(DFA::config().match_kind(MatchKind::All).skip_cache_capacity_check(true))
            .build(pattern)
            .unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let mut cache = dfa.create_cache();
        let mut first = [false; 256];
        for byte in 0..=255_u8 {
            let input = Input::new("").anchored(Anchored::Yes);
            let start = dfa.start_state_forward(&mut cache, &input).unwrap();
            let next = dfa.next_state(&mut cache, start, byte).unwrap();
            first[usize::from(byte)] = !next.is_dead();
        }
        Self { dfa, cache, first, is_empty: pattern.is_empty() }
    }

    /// Every end of a match that begins at an offset.
    pub(crate) fn of(&mut self, text: &[u8], start: usize, ends: &mut Vec<usize>) {
        ends.clear();
        if self.is_empty {
            ends.push(start);
            return;
        }
        if text.get(start).is_none_or(|byte| !self.first[usize::from(*byte)]) {
            return;
        }
        let input = Input::new(text).anchored(Anchored::Yes).range(start..);
        let mut state = self.dfa.start_state_forward(&mut self.cache, &input).unwrap();
        for (at, byte) in text.iter().enumerate().skip(start) {
            state = self.dfa.next_state(&mut self.cache, state, *byte).unwrap();
            if state.is_match() {
                ends.push(at);
            } else if state.is_dead() {
                return;
            }
        }
        if self.dfa.next_eoi_state(&mut self.cache, state).unwrap().is_match() {
            ends.push(text.len());
        }
    }
}

/// One rule, ready to be looked for.
pub(crate) struct Plain {
    pub(crate) rule: Rule,
    parts: [Ends; 3],
}

impl Plain {
    pub(crate) fn new(rule: Rule) -> Self {
        let parts = [&rule.lead, &rule.value, &rule.trail].map(|part| Ends::new(part));
        Self { rule, parts }
    }

    /// All its matches: the values.
    pub(crate) fn find(&mut self, text: &[u8], found: &mut Vec<Range<usize>>) {
        let [mut leads, mut values, mut trails] = [const { Vec::new() }; 3];
        for start in 0..text.len() {
            if !is_before(&self.rule.before, text, start) {
                continue;
            }
            let [lead, value, trail] = &mut self.parts;
            lead.of(text, start, &mut leads);
            for &from in &leads {
                value.of(text, from, &mut values);
                let ends = values.iter().copied().rev();
                let to = ends.filter(|to| (self.rule.is_valid)(&text[from..*to])).find(|to| {
                    trail.of(text, *to, &mut trails);
                    trails.iter().any(|end| is_after(&self.rule.after, text, *end))
                });
                let Some(to) = to else { continue };
                if has_context(self.rule.context, text, start) {
                    found.push(from..run_end(&self.rule, text, to));
                }
            }
        }
    }
}

fn has_context(context: &[&str], text: &[u8], at: usize) -> bool {
    let window = text[at.saturating_sub(CONTEXT_BYTES)..at].to_ascii_lowercase();
    let is_there = |word: &&str| {
        (0..window.len()).any(|index| {
            let is_front = index == 0 || !window[index - 1].is_ascii_alphabetic();
            let is_long = word.len() > SHORT_WORD_BYTES;
            is_front && is_form(&window[index..], word.as_bytes(), is_long)
        })
    };
    context.is_empty() || context.iter().any(is_there)
}

/// Whether a text begins with a form of a context word.
fn is_form(text: &[u8], word: &[u8], is_long: bool) -> bool {
    match word {
        [] => true,
        [b' '] if is_long => text.first().is_some_and(|byte| !byte.is_ascii_alphabetic()),
        [b' ', rest @ ..] if !rest.is_empty() => {
            [&b""[..], b" ", b"_", b"-"].iter().any(|between| {
                text.strip_prefix(*between).is_some_and(|text| is_form(text, rest, is_long))
            })
        }
        [letter, rest @ ..] => text
            .split_first()
            .is_some_and(|(first, text)| first == letter && is_form(text, rest, is_long)),
    }
}

fn run_end(rule: &Rule, text: &[u8], to: usize) -> usize {
    let rest = &text[to..text.len().min(to + RUN_BYTES_MAX)];
    match rule.run {
        None => to,
        Some(Run::Class(set)) => to + rest.iter().take_while(|byte| set.has(**byte)).count(),
        Some(Run::Pem) => {
            let end = rest.windows(8).position(|part| part == b"-----END");
            let end = end.map_or(rest.len(), |at| {
                let tail = &rest[at + 8..];
                let dashes = tail.windows(5).position(|part| part == b"-----");
                at + 8 + dashes.map_or(tail.len(), |dashes| dashes + 5)
            });
            to + end
        }
    }
}

fn is_before(guard: &Guard, text: &[u8], at: usize) -> bool {
    let beside = at.checked_sub(1).map(|at| text[at]);
    let far = at.checked_sub(2).map(|at| text[at]);
    is_free(guard, beside, far)
}

fn is_after(guard: &Guard, text: &[u8], at: usize) -> bool {
    is_free(guard, text.get(at).copied(), text.get(at + 1).copied())
}

fn is_free(guard: &Guard, beside: Option<u8>, far: Option<u8>) -> bool {
    let pair = guard
        .not_pair
        .is_some_and(|(near, set)| beside == Some(near) && far.is_some_and(|far| set.has(far)));
    !pair && beside.is_none_or(|byte| !guard.not.has(byte))
}

/// One detector, ready to be looked for.
pub(crate) struct Finder {
    pub(crate) detector: &'static Detector,
    plain: Vec<Plain>,
}

impl Finder {
    pub(crate) fn new(detector: &'static Detector) -> Self {
        Self { detector, plain: detector.rules().into_iter().map(Plain::new).collect() }
    }

    pub(crate) fn all() -> Vec<Self> {
        catalogue().iter().map(Self::new).collect()
    }

    /// Its values in a folded text, merged where they overlap.
    pub(crate) fn find(&mut self, text: &[u8]) -> Vec<Range<usize>> {
        let (mut all, mut some) = (Vec::new(), Vec::new());
        for plain in &mut self.plain {
            some.clear();
            plain.find(text, &mut some);
            all.append(&mut some);
        }
        all.sort_by_key(|range| (range.start, usize::MAX - range.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in all {
            match merged.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }
}

/// A text with `«…»` taken out, and where they stood.
pub(crate) fn unmarked(marked: &str) -> (String, Vec<Range<usize>>) {
    let (mut text, mut spans, mut start) = (String::new(), Vec::new(), 0);
    for character in marked.chars() {
        match character {
            '«' => start = text.len(),
            '»' => spans.push(start..text.len()),
            other => text.push(other),
        }
    }
    (text, spans)
}
