//! A mask's rules, compiled: immutable, shared by all cores.

mod compile;
mod document;
mod names;
mod scratch;
mod ways;

use std::sync::Arc;

use memchr::memmem::Finder;

use crate::automaton::Automaton;
use crate::hold::Holds;
use crate::literals::{Engine, Literals};
use crate::pattern::Front;
use crate::places::Candidates;
use crate::rule::{ByteSet, Rule};

pub use crate::action::{Action, HashKey};
pub use compile::Problem;
#[cfg(test)]
pub(crate) use compile::held;
#[cfg(test)]
pub(crate) use document::unmarked;
pub(crate) use names::{Names, number};
pub use scratch::Scratch;
pub(crate) use scratch::Told;
pub(crate) use ways::TOKEN_DIGIT_WITHIN;

/// First places of a match that are looked at before an automaton is asked.
pub(crate) const PLACES_TESTED: usize = 8;

/// Compiled rules.
#[derive(Debug)]
pub struct Profile {
    pub(crate) rules: Vec<Compiled>,
    detectors: Vec<Arc<str>>,
    warnings: Vec<String>,
    /// Which text may still become a match.
    pub(crate) holds: Holds,
    /// Parts of rules (lead, value, trail), each from where it begins.
    pub(crate) parts: Automaton,
    pub(crate) ways: Ways,
    /// What an analyser finds beside rules.
    pub(crate) names: Option<Names>,
    engine: Engine,
}

/// How matches are found: of each rule one way.
#[derive(Debug)]
pub(crate) struct Ways {
    pub(crate) led: Option<Led>,
    pub(crate) tokens: Tokens,
    /// Rules before whose matches a word must stand, and that are found no better way.
    pub(crate) near: Option<Group>,
    pub(crate) runs: Option<Runs>,
    pub(crate) anchors: Option<Anchors>,
    pub(crate) others: Option<Others>,
}

/// One rule and where its parts are.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) rule: Rule,
    /// Index among [`Profile::detectors`].
    pub(crate) detector: usize,
    pub(crate) lead: Option<usize>,
    pub(crate) value: usize,
    pub(crate) trail: Option<usize>,
    /// The one literal that its matches are.
    pub(crate) literal: Option<Front>,
    /// What may stand at the first places of a match.
    pub(crate) places: Box<[ByteSet]>,
    /// What its context words begin with.
    pub(crate) words_first: ByteSet,
}

/// Rules whose matches begin with a literal, and other literals that are looked for with those.
#[derive(Debug)]
pub(crate) struct Led {
    /// The fronts first, by their index.
    pub(crate) literals: Literals,
    /// What each literal is.
    pub(crate) kinds: Vec<Literal>,
    pub(crate) fronts: Vec<Fronts>,
    /// Fronts by their first two bytes.
    pub(crate) pairs: Pairs,
}

/// What a literal that was found means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Literal {
    /// Matches may begin with it, and it may be a word too.
    Front { bytes: usize, tells: Tells },
    /// Matches that need a word may begin behind it: those of the groups that are told by it.
    Word { bytes: usize, tells: Tells },
    /// Matches may have it in their middle.
    Anchor { bytes: usize, index: usize },
}

/// Which groups a word stands for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tells {
    pub(crate) tokens: bool,
    pub(crate) near: bool,
    pub(crate) runs: bool,
}

impl Tells {
    /// Stand for what another one stands for, too.
    pub(crate) fn join(&mut self, other: Self) {
        self.tokens |= other.tokens;
        self.near |= other.near;
        self.runs |= other.runs;
    }
}

/// A literal that matches begin with.
#[derive(Debug)]
pub(crate) struct Fronts {
    /// In lower case where case does not count.
    pub(crate) bytes: Vec<u8>,
    pub(crate) ignore_case: bool,
    pub(crate) rules: Vec<usize>,
}

/// Which pairs of bytes fronts begin with, and which fronts.
#[derive(Debug)]
pub(crate) struct Pairs {
    bits: Box<[u64; 1024]>,
    fronts: std::collections::HashMap<u16, Vec<usize>>,
}

/// Rules that are tried together, from one place on.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) automaton: Automaton,
    /// Which of the scratch's caches is its own.
    pub(crate) cache: usize,
    /// Whether a word must stand before each match.
    pub(crate) is_told: bool,
    /// By pattern of the automaton.
    pub(crate) rules: Vec<usize>,
    /// What may stand before a match of none of them.
    pub(crate) not_before: ByteSet,
    /// Whether any of them may begin somewhere, by the first bytes there.
    pub(crate) candidates: Candidates,
}

/// Rules whose matches begin where letters and digits do, with a digit near.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) plain: Option<Group>,
    /// Those before whose matches a word must stand.
    pub(crate) told: Option<Group>,
}

/// Rules whose matches begin with a long run.
#[derive(Debug)]
pub(crate) struct Runs {
    /// By what may not stand before them.
    pub(crate) groups: Vec<Group>,
    /// What may stand before a match of none of them.
    pub(crate) not_before: ByteSet,
    /// What runs are made of.
    pub(crate) bytes: ByteSet,
    /// The shortest one, at least 1.
    pub(crate) bytes_min: usize,
    /// How many of its bytes stand beside one of its aligned words.
    pub(crate) beside_min: u32,
}

/// Rules with a rare literal in the middle.
#[derive(Debug)]
pub(crate) struct Anchors {
    pub(crate) list: Vec<Anchor>,
    /// Heads, backwards.
    pub(crate) heads: Automaton,
}

/// A literal in the middle of matches.
#[derive(Debug)]
pub(crate) struct Anchor {
    pub(crate) literal: Vec<u8>,
    pub(crate) finder: Finder<'static>,
    pub(crate) heads: Vec<Head>,
}

/// A rule of an anchor.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) rule: usize,
    pub(crate) before: Before,
    /// Longest that stands before the anchor, in bytes.
    pub(crate) bytes_max: usize,
    /// What may stand at the first places from the anchor on.
    pub(crate) tail: Box<[ByteSet]>,
}

/// What of a match stands before its anchor.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    Nothing,
    Run(HeadRun),
    /// Index among the heads.
    Pattern(usize),
}

/// Any number, within bounds, of bytes of one set.
#[derive(Clone, Debug)]
pub(crate) struct HeadRun {
    pub(crate) bytes: ByteSet,
    pub(crate) count_min: usize,
    /// Whether a match may begin behind a byte of the set; otherwise it has all of the run.
    pub(crate) may_begin_within: bool,
}

impl HeadRun {
    /// Tells how many of the last bytes of a text may be the run, the shortest first; returns how
    /// many were looked at.
    pub(crate) fn starts(&self, text: &[u8], mut tell: impl FnMut(usize)) -> usize {
        let length = text.iter().rev().take_while(|byte| self.bytes.has(**byte)).count();
        let shortest = if self.may_begin_within { self.count_min } else { length };
        (shortest.max(self.count_min)..=length).for_each(&mut tell);
        length
    }
}

/// Rules that can begin and end anywhere.
#[derive(Debug)]
pub(crate) struct Others {
    /// Backwards.
    pub(crate) begins: Automaton,
    /// By pattern of the automaton.
    pub(crate) rules: Vec<usize>,
}

impl Pairs {
    pub(crate) fn new(fronts: &[Fronts]) -> Self {
        let mut pairs = Self { bits: Box::new([0; 1024]), fronts: Default::default() };
        for (index, front) in fronts.iter().enumerate() {
            let [first, second, ..] = front.bytes.as_slice() else { continue };
            let pair =
                u16::from_be_bytes([first.to_ascii_lowercase(), second.to_ascii_lowercase()]);
            if let Some(word) = pairs.bits.get_mut(usize::from(pair >> 6)) {
                *word |= 1 << (pair & 63);
            }
            pairs.fronts.entry(pair).or_default().push(index);
        }
        pairs
    }

    /// The fronts that begin with two bytes in any case, in their order.
    #[inline]
    pub(crate) fn of(&self, first: u8, second: u8) -> &[usize] {
        let pair = u16::from_be_bytes([first.to_ascii_lowercase(), second.to_ascii_lowercase()]);
        let word = self.bits.get(usize::from(pair >> 6)).copied().unwrap_or(0);
        if word >> (pair & 63) & 1 == 0 {
            return &[];
        }
        self.fronts.get(&pair).map_or(&[], Vec::as_slice)
    }
}

impl Ways {
    /// Every group, each with its own number for a cache.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        let Tokens { plain, told } = &self.tokens;
        let runs = self.runs.iter().flat_map(|runs| &runs.groups);
        plain.iter().chain(told).chain(&self.near).chain(runs)
    }
}

impl Profile {
    /// Names of detectors, own patterns and word lists among them: what indices of tallies and
    /// actions mean.
    pub fn detectors(&self) -> &[Arc<str>] {
        &self.detectors
    }

    /// What its author should know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What looks for literals: `vectorscan` or `aho-corasick`.
    pub fn engine(&self) -> &'static str {
        match self.engine {
            Engine::Vectorscan => "vectorscan",
            Engine::AhoCorasick => "aho-corasick",
        }
    }

    /// Caches and counts of one core.
    pub fn scratch(&self) -> Scratch {
        Scratch::new(self)
    }
}

/// What applies to one exchange.
#[derive(Clone, Debug)]
pub struct Masking {
    /// The rules.
    pub profile: Arc<Profile>,
    /// By detector.
    pub actions: Arc<[Action]>,
    /// The key of hashes and surrogates; without one they become plain tags.
    pub key: Option<Arc<HashKey>>,
}

impl Masking {
    /// The same action for every detector.
    pub fn uniform(profile: Arc<Profile>, action: Action) -> Self {
        let actions = vec![action; profile.detectors().len()].into();
        Self { profile, actions, key: None }
    }

    pub(crate) fn action(&self, detector: usize) -> Action {
        self.actions.get(detector).copied().unwrap_or(Action::Replace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_before_an_anchor_has_its_least_and_all_of_it_where_none_may_begin_within() {
        for (count_min, may_begin_within, text, counts, walked) in [
            (2, true, "-abca", &[2, 3, 4][..], 4),
            (2, false, "-abca", &[4], 4),
            (5, true, "-abca", &[], 4),
            (5, false, "-abca", &[], 4),
            (0, true, "ab-", &[0], 0),
            (0, false, "ab-", &[0], 0),
        ] {
            let bytes = ByteSet::NONE.with_each(b"abc");
            let run = HeadRun { bytes, count_min, may_begin_within };
            let mut told = Vec::new();
            assert_eq!(run.starts(text.as_bytes(), |count| told.push(count)), walked);
            assert_eq!(told, counts, "{count_min} {may_begin_within} {text}");
        }
    }
}
