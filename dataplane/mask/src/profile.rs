//! A mask's rules, compiled: immutable, shared by all cores.

mod compile;
mod document;
mod scratch;

use std::sync::Arc;

use memchr::memmem::Finder;

use crate::automaton::Automaton;
use crate::literals::{Engine, Literals};
use crate::rule::Rule;

pub use crate::action::{Action, HashKey};
pub use compile::Problem;
pub(crate) use compile::TOKEN_DIGIT_WITHIN;
#[cfg(test)]
pub(crate) use document::unmarked;
pub use scratch::Scratch;

/// Widths of rules by which text is held, in bytes of the folded text: a beginning that is longer
/// than its rules are wide can't become a match. Each class has an automaton of its own, so that a
/// long rule does not make short ones hold for longer.
pub(crate) const WIDTHS: [usize; 3] = [64, 320, crate::rule::RULE_BYTES_MAX];

/// Compiled rules.
#[derive(Debug)]
pub struct Profile {
    pub(crate) rules: Vec<Compiled>,
    detectors: Vec<Arc<str>>,
    warnings: Vec<String>,
    /// For each width, whether text may still become a match.
    pub(crate) holds: Vec<Hold>,
    /// Parts of rules (lead, value, trail), each from where it begins.
    pub(crate) parts: Automaton,
    pub(crate) led: Option<Led>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) anchors: Option<Anchors>,
    pub(crate) others: Option<Others>,
    engine: Engine,
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
}

/// Which text may still become a match of rules of a width.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) bytes_max: usize,
    pub(crate) automaton: Automaton,
}

/// Rules whose matches begin with a literal.
#[derive(Debug)]
pub(crate) struct Led {
    pub(crate) literals: Literals,
    /// By literal: its bytes in lower case, and its rules.
    pub(crate) fronts: Vec<(Vec<u8>, Vec<usize>)>,
    /// Fronts by their first two bytes: where those of each begin in [`Self::by_pair`].
    pub(crate) pairs: Pairs,
    /// Longest front, in bytes.
    pub(crate) bytes_max: usize,
}

/// Which pairs of bytes fronts begin with, and which fronts.
#[derive(Debug)]
pub(crate) struct Pairs {
    bits: Box<[u64; 1024]>,
    fronts: std::collections::HashMap<u16, Vec<usize>>,
}

/// Rules whose matches begin where letters and digits do, with a digit near.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) automaton: Automaton,
    /// By pattern of the automaton.
    pub(crate) rules: Vec<usize>,
}

/// Rules with a rare literal in the middle.
#[derive(Debug)]
pub(crate) struct Anchors {
    pub(crate) literals: Vec<(Finder<'static>, Vec<Head>)>,
    /// Heads, backwards.
    pub(crate) heads: Automaton,
}

/// What stands before an anchor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) rule: usize,
    /// Index among the heads; `None`: nothing stands there.
    pub(crate) pattern: Option<usize>,
    /// Longest, in bytes.
    pub(crate) bytes_max: usize,
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
    pub(crate) fn new(fronts: &[(Vec<u8>, Vec<usize>)]) -> Self {
        let mut pairs = Self { bits: Box::new([0; 1024]), fronts: Default::default() };
        for (index, (bytes, _)) in fronts.iter().enumerate() {
            let [first, second, ..] = bytes.as_slice() else { continue };
            let pair = u16::from_be_bytes([*first, *second]);
            if let Some(word) = pairs.bits.get_mut(usize::from(pair >> 6)) {
                *word |= 1 << (pair & 63);
            }
            pairs.fronts.entry(pair).or_default().push(index);
        }
        pairs
    }

    /// The fronts that begin with two bytes in any case.
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
