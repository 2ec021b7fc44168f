//! The hold point: where the longest end of a text begins that may still become a match.
//!
//! Rules whose matches begin with a literal are asked one by one, forwards from where one of their
//! literals stands, which is seldom; a literal that is not all there yet is held by itself. The
//! others are asked together, backwards from the end, in groups that are alike: an automaton of
//! all of them would have more states than a core can keep, and build them anew all the time.

mod fronts;

use regex_automata::hybrid::dfa::Cache;
use regex_syntax::hir::Hir;

use self::fronts::Fronts;
use crate::automaton::{Automaton, Direction};
use crate::pattern::{Front, alphabet, at_word_start, first_bytes};
use crate::rule::{ByteSet, RULE_BYTES_MAX};

/// Widths of groups of rules without a literal, in bytes of the folded text: a beginning that is
/// longer than its rules are wide can't become a match. Apart, so that a long rule does not make
/// short ones hold for longer.
const WIDTHS: [usize; 3] = [64, 320, RULE_BYTES_MAX];

/// Steps of automata from literals, for one look at a text: when they are used up, every literal
/// that is near enough to the end is held. Text that others hold may have a great many literals.
const STEPS_MAX: usize = 16 * RULE_BYTES_MAX;

/// Which text may still become a match.
#[derive(Debug)]
pub(crate) struct Holds {
    /// Literals that matches begin with, or are.
    fronts: Fronts,
    led: Led,
    free: Vec<Free>,
}

/// Caches of one core.
#[derive(Debug)]
pub(crate) struct HoldCaches {
    led: Cache,
    free: Vec<Cache>,
}

/// What is held of one rule.
#[derive(Debug)]
pub(crate) struct Held {
    /// Longest match, in bytes.
    pub(crate) bytes_max: usize,
    pub(crate) begins: Begins,
    /// Whether its matches begin only where a word does.
    pub(crate) at_word_start: bool,
}

/// What the matches of a rule begin with; `beginnings`: every beginning of every match.
#[derive(Debug)]
pub(crate) enum Begins {
    Anything {
        whole: Hir,
        beginnings: Hir,
    },
    Fronts {
        fronts: Vec<Front>,
        beginnings: Hir,
    },
    /// They are nothing but this.
    Literal {
        literal: Front,
        /// Whether what stands behind it decides.
        is_guarded: bool,
    },
}

/// Rules with fronts.
#[derive(Debug)]
struct Led {
    /// Every beginning of each rule's matches, forwards.
    automaton: Automaton,
    /// Longest text that each may hold, in bytes.
    bytes_max: Vec<usize>,
}

/// A rule without fronts.
#[derive(Debug)]
struct FreeRule {
    bytes_max: usize,
    kind: Kind,
    first: ByteSet,
    beginnings: Hir,
}

/// Rules without fronts, of one width and kind.
#[derive(Debug)]
struct Free {
    /// Longest text that may become a match, in bytes.
    bytes_max: usize,
    /// What matches begin with.
    first: ByteSet,
    /// Every beginning of every match, backwards.
    automaton: Automaton,
}

/// What matches are made of: of rules that differ in it, the states of an automaton would be
/// nearly all pairs of a state of the one and one of the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    NoLetters,
    LettersLater,
    LettersFirst,
}

impl Holds {
    /// Of rules.
    ///
    /// # Errors
    /// They are too large together.
    pub(crate) fn new(rules: Vec<Held>) -> Result<Self, String> {
        let (mut fronts, mut led, mut free) = (Fronts::new(), Vec::new(), Vec::new());
        for Held { bytes_max, begins, at_word_start } in rules {
            match begins {
                Begins::Literal { literal, is_guarded } => {
                    fronts.add_literal(&literal, at_word_start, is_guarded);
                }
                Begins::Fronts { fronts: list, beginnings } => {
                    fronts.add_rule(led.len(), &list, at_word_start);
                    led.push((held_max(bytes_max), beginnings));
                }
                Begins::Anything { whole, beginnings } => {
                    free.push(FreeRule::new(bytes_max, &whole, beginnings, at_word_start));
                }
            }
        }
        fronts.sort();
        Ok(Self { fronts, led: Led::new(led)?, free: free_of(&free)? })
    }

    /// For one core.
    pub(crate) fn caches(&self) -> HoldCaches {
        let free = self.free.iter().map(|one| one.automaton.cache()).collect();
        HoldCaches { led: self.led.automaton.cache(), free }
    }

    /// Where what is held begins, not before a place; where the text ends, if nothing is.
    pub(crate) fn point(&self, caches: &mut HoldCaches, text: &[u8], not_before: usize) -> usize {
        let lowest = text.len().saturating_sub(RULE_BYTES_MAX.saturating_add(1)).max(not_before);
        let (cache, mut steps) = (&mut caches.led, STEPS_MAX);
        let is_held = |rule, at| self.led.is_held(cache, rule, (text, at), &mut steps);
        let led = self.fronts.first(text, lowest, is_held);
        let free = self.free.iter().zip(&mut caches.free);
        free.fold(led.unwrap_or(text.len()), |point, (one, cache)| {
            point.min(one.point(cache, text, not_before))
        })
    }
}

/// One more than a match has, for what may not stand behind it.
fn held_max(match_bytes_max: usize) -> usize {
    match_bytes_max.saturating_add(1)
}

impl Led {
    fn new(rules: Vec<(usize, Hir)>) -> Result<Self, String> {
        let (bytes_max, beginnings): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
        Ok(Self { automaton: Automaton::new(&beginnings, Direction::Forward)?, bytes_max })
    }

    /// Whether a text from a place on may still become a match of a rule.
    fn is_held(
        &self,
        cache: &mut Cache,
        rule: usize,
        (text, at): (&[u8], usize),
        steps: &mut usize,
    ) -> bool {
        let bytes_max = self.bytes_max.get(rule).copied().unwrap_or(RULE_BYTES_MAX);
        if text.len().saturating_sub(at) > bytes_max {
            return false;
        }
        if *steps == 0 {
            return true;
        }
        let mut is_held = false;
        let walked = self.automaton.forward(cache, Some(rule), text, at, |here| {
            is_held = here.at == text.len();
            true
        });
        *steps = steps.saturating_sub(walked.unwrap_or(0).saturating_add(1));
        is_held || walked.is_err()
    }
}

fn free_of(rules: &[FreeRule]) -> Result<Vec<Free>, String> {
    let mut all = Vec::new();
    let mut narrower = 0;
    for width in WIDTHS {
        for kind in [Kind::NoLetters, Kind::LettersLater, Kind::LettersFirst] {
            let rules: Vec<_> = rules
                .iter()
                .filter(|rule| rule.bytes_max > narrower && rule.bytes_max <= width)
                .filter(|rule| rule.kind == kind)
                .collect();
            if !rules.is_empty() {
                all.push(Free::new(&rules, held_max(width))?);
            }
        }
        narrower = width;
    }
    Ok(all)
}

impl Kind {
    fn of(hir: &Hir) -> Self {
        let has_letters = |set: ByteSet| set.intersection(ByteSet::LETTERS) != ByteSet::NONE;
        if has_letters(first_bytes(hir)) {
            Self::LettersFirst
        } else if has_letters(alphabet(hir)) {
            Self::LettersLater
        } else {
            Self::NoLetters
        }
    }
}

impl FreeRule {
    fn new(bytes_max: usize, whole: &Hir, beginnings: Hir, is_word: bool) -> Self {
        let beginnings = if is_word { at_word_start(beginnings) } else { beginnings };
        Self { bytes_max, kind: Kind::of(whole), first: first_bytes(whole), beginnings }
    }
}

impl Free {
    fn new(rules: &[&FreeRule], bytes_max: usize) -> Result<Self, String> {
        let beginnings: Vec<_> = rules.iter().map(|rule| rule.beginnings.clone()).collect();
        Ok(Self {
            bytes_max,
            first: rules.iter().fold(ByteSet::NONE, |set, rule| set.union(rule.first)),
            automaton: Automaton::new(&beginnings, Direction::Backward)?,
        })
    }

    fn point(&self, cache: &mut Cache, text: &[u8], not_before: usize) -> usize {
        let lowest = text.len().saturating_sub(self.bytes_max).max(not_before);
        let rest = text.get(lowest..).unwrap_or_default();
        let Some(first) = rest.iter().position(|byte| self.first.has(*byte)) else {
            return text.len();
        };
        let lowest = lowest.saturating_add(first);
        let mut point = text.len();
        let range = (lowest, text.len());
        let walked = self.automaton.backward(cache, None, text, range, |begin| point = begin);
        if walked.is_ok() { point } else { lowest }
    }
}

#[cfg(test)]
impl HoldCaches {
    /// What was built so far, by automaton.
    pub(crate) fn bytes(&self) -> Vec<usize> {
        self.free.iter().chain([&self.led]).map(Cache::memory_usage).collect()
    }
}

#[cfg(test)]
mod tests;
