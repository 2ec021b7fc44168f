//! From rules to automata.

use std::sync::Arc;

use regex_syntax::hir::Hir;

use super::ways::ways;
use super::{Compiled, PLACES_TESTED, Profile};
use crate::automaton::{Automaton, Direction};
use crate::hold::{Begins, Held, Holds};
use crate::pattern::{Front, beginnings, first_bytes, fronts, literal, parse};
use crate::places::places;
use crate::rule::{ByteSet, Guard, RULE_BYTES_MAX, Rule};

/// Something wrong with a mask.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct Problem {
    /// Where: `patterns[2].regex`; empty for the whole.
    pub key: String,
    /// What is wrong.
    pub text: String,
    /// What would be right.
    pub hint: String,
}

impl Problem {
    pub(super) fn new(key: &str, text: impl Into<String>, hint: &str) -> Self {
        Self { key: key.to_owned(), text: text.into(), hint: hint.to_owned() }
    }
}

/// A rule with its patterns read.
pub(super) struct Read {
    pub(super) rule: Rule,
    lead: Hir,
    value: Hir,
    trail: Hir,
    pub(super) whole: Hir,
    /// The one literal that its matches are.
    pub(super) literal: Option<Front>,
    /// What may stand at the first places of a match.
    pub(super) places: Vec<ByteSet>,
    bytes_max: usize,
}

impl Read {
    fn new(rule: Rule) -> Result<Self, Problem> {
        let name = rule.detector.to_string();
        let wrong = |text: String| {
            Problem::new("", format!("{name}: {text}"), "a regular expression on ASCII text")
        };
        let lead = parse(&rule.lead).map_err(wrong)?;
        let value = parse(&rule.value).map_err(wrong)?;
        let trail = parse(&rule.trail).map_err(wrong)?;
        let whole = Hir::concat(vec![lead.clone(), value.clone(), trail.clone()]);
        if !whole.properties().look_set().is_empty() {
            let text = format!("{name}: `^`, `$` and `\\b` are not for texts that come in pieces");
            return Err(Problem::new("", text, "leave them out"));
        }
        if value.properties().minimum_len().is_none_or(|bytes| bytes == 0) {
            let text = format!("{name}: the pattern matches the empty text, or nothing at all");
            return Err(Problem::new("", text, "let it match at least one character"));
        }
        let bytes_max = whole.properties().maximum_len().filter(|bytes| *bytes <= RULE_BYTES_MAX);
        let Some(bytes_max) = bytes_max else {
            let text = format!("{name}: a match may be longer than {RULE_BYTES_MAX} bytes");
            return Err(Problem::new("", text, "bound its repeats: `{1,64}` in place of `+`"));
        };
        let (literal, places) = (literal(&whole), places(&whole));
        Ok(Self { rule, lead, value, trail, whole, literal, places, bytes_max })
    }

    /// What may still become a match of it.
    fn held(&self) -> Held {
        let first = first_bytes(&self.whole);
        let at_word_start = (0..=u8::MAX).all(|byte| {
            (!first.has(byte) || ByteSet::WORD.has(byte))
                && (!ByteSet::WORD.has(byte) || self.rule.before.not.has(byte))
        });
        Held { bytes_max: self.bytes_max, begins: self.begins(), at_word_start }
    }

    fn begins(&self) -> Begins {
        let after = &self.rule.after;
        let is_plain = self.rule.run.is_none() && after.not_pair.is_none();
        if let Some(literal) = self.literal.clone().filter(|_| is_plain) {
            return Begins::Literal { literal, is_guarded: *after != Guard::ANY };
        }
        let beginnings = self.beginnings();
        match fronts(&self.whole) {
            Some(fronts) => Begins::Fronts { fronts, beginnings },
            None => Begins::Anything { whole: self.whole.clone(), beginnings },
        }
    }

    fn beginnings(&self) -> Hir {
        let near =
            self.rule.after.not_pair.map_or_else(Hir::empty, |(near, _)| Hir::literal([near]));
        // What stands behind a match, or a run that goes on, is known only when it has come.
        let is_guarded = self.rule.after != Guard::ANY || self.rule.run.is_some();
        beginnings(&Hir::concat(vec![self.whole.clone(), near]), is_guarded)
    }
}

impl Profile {
    /// Compiles rules.
    ///
    /// # Errors
    /// Every rule that can't be compiled.
    pub fn from_rules(rules: Vec<Rule>) -> Result<Self, Vec<Problem>> {
        let mut read = Vec::with_capacity(rules.len());
        let mut problems = Vec::new();
        for rule in rules {
            match Read::new(rule) {
                Ok(rule) => read.push(rule),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        build(read).map_err(|text| vec![Problem::new("", text, "fewer or shorter patterns")])
    }
}

fn build(rules: Vec<Read>) -> Result<Profile, String> {
    let mut detectors: Vec<Arc<str>> = Vec::new();
    let mut parts = Vec::new();
    let mut add = |hir: &Hir| {
        parts.push(hir.clone());
        parts.len().saturating_sub(1)
    };
    let mut compiled = Vec::with_capacity(rules.len());
    for rule in &rules {
        let name = &rule.rule.detector;
        let known = detectors.iter().position(|known| known == name);
        let detector = known.unwrap_or_else(|| {
            detectors.push(Arc::clone(name));
            detectors.len().saturating_sub(1)
        });
        compiled.push(Compiled {
            detector,
            lead: (!rule.rule.lead.is_empty()).then(|| add(&rule.lead)),
            value: add(&rule.value),
            trail: (!rule.rule.trail.is_empty()).then(|| add(&rule.trail)),
            literal: rule.literal.clone(),
            places: rule.places.iter().copied().take(PLACES_TESTED).collect(),
            words_first: first_of(rule.rule.context),
            rule: rule.rule.clone(),
        });
    }
    let (ways, warnings, engine) = ways(&rules)?;
    Ok(Profile {
        rules: compiled,
        detectors,
        holds: Holds::new(rules.iter().map(Read::held).collect())?,
        parts: Automaton::new(&parts, Direction::Forward)?,
        ways,
        warnings,
        names: None,
        engine,
    })
}

/// What words may begin with, in any case.
fn first_of(words: &[&str]) -> ByteSet {
    words.iter().filter_map(|word| word.as_bytes().first()).fold(ByteSet::NONE, |set, byte| {
        set.with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase())
    })
}

/// What is held of one rule, and every beginning of its matches.
#[cfg(test)]
pub(crate) fn held(rule: Rule) -> (Held, Hir) {
    let read = Read::new(rule).unwrap();
    (read.held(), read.beginnings())
}
