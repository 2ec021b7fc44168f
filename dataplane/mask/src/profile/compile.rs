//! From rules to automata.

use std::collections::BTreeMap;
use std::sync::Arc;

use memchr::memmem::Finder;
use regex_syntax::hir::Hir;

use super::{Anchors, Compiled, Head, Hold, Led, Others, Pairs, Profile, Tokens, WIDTHS};
use crate::automaton::{Automaton, Direction};
use crate::literals::{Engine, Literal, Literals};
use crate::pattern::{anchor, at_word_start, beginnings, digit_within, first_bytes, fronts, parse};
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

/// How many bytes at the front of a token rule's matches hold a digit.
pub(crate) const TOKEN_DIGIT_WITHIN: usize = 8;

/// A rule with its patterns read.
struct Read {
    rule: Rule,
    lead: Hir,
    value: Hir,
    trail: Hir,
    whole: Hir,
    bytes_max: usize,
}

/// How the matches of a rule are found.
enum Way {
    Led(Vec<Vec<u8>>),
    Token,
    Anchor { head: Hir, literal: Vec<u8> },
    Other,
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
        Ok(Self { rule, lead, value, trail, whole, bytes_max })
    }

    fn way(&self) -> Way {
        if let Some(fronts) = fronts(&self.whole) {
            return Way::Led(fronts.into_iter().map(|front| front.bytes).collect());
        }
        if self.is_token() {
            return Way::Token;
        }
        match anchor(&self.whole) {
            Some(anchor) => Way::Anchor { head: anchor.head, literal: anchor.literal },
            None => Way::Other,
        }
    }

    /// Whether its matches begin only where letters and digits do, or with a sign before digits.
    fn is_token(&self) -> bool {
        let first = first_bytes(&self.whole);
        let signs = ByteSet::NONE.with_each(b"+(");
        let within = |set: ByteSet| (0..=u8::MAX).all(|byte| !first.has(byte) || set.has(byte));
        let guarded = |set: ByteSet| {
            (0..=u8::MAX).all(|byte| !set.has(byte) || self.rule.before.not.has(byte))
        };
        if !within(ByteSet::ALPHANUMERIC.union(signs)) {
            return false;
        }
        let has_letter = !within(ByteSet::DIGITS.union(signs));
        let has_alphanumeric = !within(signs);
        let is_guarded = !has_alphanumeric
            || guarded(ByteSet::ALPHANUMERIC)
            || (!has_letter && guarded(ByteSet::DIGITS));
        is_guarded && digit_within(&self.whole).is_some_and(|within| within <= TOKEN_DIGIT_WITHIN)
    }

    /// What may still become a match of it.
    fn beginnings(&self) -> Hir {
        let near =
            self.rule.after.not_pair.map_or_else(Hir::empty, |(near, _)| Hir::literal([near]));
        // What stands behind a match, or a run that goes on, is known only when it has come.
        let is_guarded = self.rule.after != Guard::ANY || self.rule.run.is_some();
        let whole = beginnings(&Hir::concat(vec![self.whole.clone(), near]), is_guarded);
        let first = first_bytes(&self.whole);
        let begins_word = (0..=u8::MAX).all(|byte| {
            (!first.has(byte) || ByteSet::WORD.has(byte))
                && (!ByteSet::WORD.has(byte) || self.rule.before.not.has(byte))
        });
        if begins_word { at_word_start(whole) } else { whole }
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
            rule: rule.rule.clone(),
        });
    }
    let mut ways = Ways::default();
    for (index, rule) in rules.iter().enumerate() {
        ways.add(index, rule);
    }
    let slow = ways.others.iter().filter_map(|(index, _)| compiled.get(*index));
    let mut warnings: Vec<_> = slow
        .map(|one| {
            format!(
                "{}: `{}` can begin anywhere, which makes the whole mask slower: let it begin with \
                 letters that are always the same, or with a digit where a word begins",
                one.rule.detector, one.rule.value
            )
        })
        .collect();
    let (led, engine) = led(ways.led, &mut warnings)?;
    Ok(Profile {
        rules: compiled,
        detectors,
        holds: holds(&rules)?,
        parts: Automaton::new(&parts, Direction::Forward)?,
        led,
        tokens: tokens(ways.tokens)?,
        anchors: anchors(ways.anchors)?,
        others: others(ways.others)?,
        warnings,
        engine,
    })
}

#[derive(Default)]
struct Ways {
    led: BTreeMap<Vec<u8>, Vec<usize>>,
    tokens: Vec<(usize, Hir)>,
    anchors: BTreeMap<Vec<u8>, Vec<(usize, Hir)>>,
    others: Vec<(usize, Hir)>,
}

impl Ways {
    fn add(&mut self, index: usize, rule: &Read) {
        match rule.way() {
            Way::Led(fronts) => {
                for front in fronts {
                    self.led.entry(front).or_default().push(index);
                }
            }
            Way::Token => self.tokens.push((index, rule.whole.clone())),
            Way::Anchor { head, literal } => {
                self.anchors.entry(literal).or_default().push((index, head));
            }
            Way::Other => self.others.push((index, rule.whole.clone())),
        }
    }
}

fn holds(rules: &[Read]) -> Result<Vec<Hold>, String> {
    let mut holds = Vec::new();
    let mut narrower = 0;
    for bytes_max in WIDTHS {
        let of_width = |rule: &&Read| rule.bytes_max > narrower && rule.bytes_max <= bytes_max;
        let patterns: Vec<_> = rules.iter().filter(of_width).map(Read::beginnings).collect();
        if !patterns.is_empty() {
            let automaton = Automaton::new(&patterns, Direction::Backward)?;
            // One more, for what may not stand behind a match.
            holds.push(Hold { bytes_max: bytes_max.saturating_add(1), automaton });
        }
        narrower = bytes_max;
    }
    Ok(holds)
}

fn led(
    by_front: BTreeMap<Vec<u8>, Vec<usize>>,
    warnings: &mut Vec<String>,
) -> Result<(Option<Led>, Engine), String> {
    if by_front.is_empty() {
        return Ok((None, Engine::FASTEST));
    }
    let literal = |bytes: &Vec<u8>| Literal { bytes: bytes.clone(), ignore_case: true };
    let list: Vec<_> = by_front.keys().map(literal).collect();
    let compile = |engine| Literals::new(&list, engine).map_err(|error| error.to_string());
    let mut engine = Engine::FASTEST;
    let mut literals = compile(engine)?;
    if engine != Engine::AhoCorasick && !literals.self_test() {
        warnings.push("the fast engine misses some literals: the other one is used".to_owned());
        engine = Engine::AhoCorasick;
        literals = compile(engine)?;
    }
    let fronts: Vec<_> = by_front.into_iter().collect();
    let bytes_max = fronts.iter().map(|(bytes, _)| bytes.len()).max().unwrap_or(0);
    let pairs = Pairs::new(&fronts);
    Ok((Some(Led { literals, fronts, pairs, bytes_max }), engine))
}

fn tokens(rules: Vec<(usize, Hir)>) -> Result<Option<Tokens>, String> {
    if rules.is_empty() {
        return Ok(None);
    }
    let (rules, patterns): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
    Ok(Some(Tokens { automaton: Automaton::new(&patterns, Direction::Forward)?, rules }))
}

fn anchors(by_literal: BTreeMap<Vec<u8>, Vec<(usize, Hir)>>) -> Result<Option<Anchors>, String> {
    if by_literal.is_empty() {
        return Ok(None);
    }
    let mut patterns = Vec::new();
    let mut literals = Vec::new();
    for (literal, rules) in by_literal {
        let heads = rules.into_iter().map(|(rule, head)| {
            let bytes_max = head.properties().maximum_len().unwrap_or(RULE_BYTES_MAX);
            let pattern = (bytes_max > 0).then(|| {
                patterns.push(head);
                patterns.len().saturating_sub(1)
            });
            Head { rule, pattern, bytes_max }
        });
        let heads = heads.collect();
        literals.push((Finder::new(&literal).into_owned(), heads));
    }
    Ok(Some(Anchors { literals, heads: Automaton::new(&patterns, Direction::Backward)? }))
}

fn others(rules: Vec<(usize, Hir)>) -> Result<Option<Others>, String> {
    if rules.is_empty() {
        return Ok(None);
    }
    let (rules, patterns): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
    Ok(Some(Others { begins: Automaton::new(&patterns, Direction::Backward)?, rules }))
}
