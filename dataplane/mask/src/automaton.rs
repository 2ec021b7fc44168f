//! Automata that are built as they are walked, in a cache of a core's own.

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind, PatternID};
use regex_syntax::hir::Hir;

/// Most bytes of states that a core keeps of one automaton: 4 MiB. When they are used up it begins
/// anew, which costs time and nothing else.
const CACHE_BYTES_MAX: usize = 4 << 20;

/// Most bytes of one automaton's patterns: 32 MiB.
const PATTERNS_BYTES_MAX: usize = 32 << 20;

/// Several patterns, of which every match counts.
#[derive(Debug)]
pub(crate) struct Automaton {
    dfa: DFA,
}

/// Which way a text is walked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

/// A walk that came to no answer: the automaton gave up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GaveUp;

/// Where a walk stands: the patterns that match here.
pub(crate) struct Here<'a> {
    dfa: &'a DFA,
    cache: &'a Cache,
    state: LazyStateID,
    /// The offset in the text.
    pub(crate) at: usize,
}

impl Here<'_> {
    /// The patterns, by index.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = usize> {
        let count = self.dfa.match_len(self.cache, self.state);
        (0..count).map(|index| self.dfa.match_pattern(self.cache, self.state, index).as_usize())
    }
}

impl Automaton {
    /// Of several patterns.
    ///
    /// # Errors
    /// They are too large.
    pub(crate) fn new(patterns: &[Hir], direction: Direction) -> Result<Self, String> {
        let config = thompson::Config::new()
            .reverse(direction == Direction::Backward)
            .utf8(false)
            .shrink(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(PATTERNS_BYTES_MAX));
        let patterns = thompson::Compiler::new()
            .configure(config)
            .build_many_from_hir(patterns)
            .map_err(|_| "the patterns are too large together".to_owned())?;
        let config = Config::new()
            .match_kind(MatchKind::All)
            .starts_for_each_pattern(true)
            .cache_capacity(CACHE_BYTES_MAX)
            .skip_cache_capacity_check(true);
        let dfa = DFA::builder()
            .configure(config)
            .build_from_nfa(patterns)
            .map_err(|_| "the patterns are too large together".to_owned())?;
        Ok(Self { dfa })
    }

    /// A cache for one core.
    pub(crate) fn cache(&self) -> Cache {
        self.dfa.create_cache()
    }

    fn start(&self, cache: &mut Cache, anchored: Anchored) -> Result<LazyStateID, GaveUp> {
        let config = start::Config::new().anchored(anchored);
        self.dfa.start_state(cache, &config).map_err(|_| GaveUp)
    }

    /// Walks on from an offset; `end` is told of each place where a match ends, in order, and may
    /// end the walk by `false`. Returns how many bytes were walked.
    pub(crate) fn forward(
        &self,
        cache: &mut Cache,
        pattern: Option<usize>,
        text: &[u8],
        from: usize,
        mut end: impl FnMut(Here<'_>) -> bool,
    ) -> Result<usize, GaveUp> {
        let anchored = match pattern {
            Some(index) => Anchored::Pattern(PatternID::new(index).map_err(|_| GaveUp)?),
            None => Anchored::Yes,
        };
        let mut state = self.start(cache, anchored)?;
        let rest = text.get(from..).unwrap_or_default();
        for (walked, byte) in rest.iter().enumerate() {
            state = self.dfa.next_state(cache, state, *byte).map_err(|_| GaveUp)?;
            if state.is_tagged() {
                if state.is_match() {
                    let at = from.saturating_add(walked);
                    if !end(Here { dfa: &self.dfa, cache, state, at }) {
                        return Ok(walked);
                    }
                } else if state.is_dead() {
                    return Ok(walked);
                } else if state.is_quit() {
                    return Err(GaveUp);
                }
            }
        }
        state = self.dfa.next_eoi_state(cache, state).map_err(|_| GaveUp)?;
        if state.is_match() {
            end(Here { dfa: &self.dfa, cache, state, at: text.len() });
        }
        Ok(rest.len())
    }

    /// Walks back from an offset, not below `lowest`; `begin` is told of each place where a match
    /// begins, from the last to the first. The byte before `lowest` is looked at, not walked.
    pub(crate) fn backward(
        &self,
        cache: &mut Cache,
        pattern: Option<usize>,
        text: &[u8],
        (lowest, from): (usize, usize),
        mut begin: impl FnMut(usize),
    ) -> Result<usize, GaveUp> {
        let anchored = match pattern {
            Some(index) => Anchored::Pattern(PatternID::new(index).map_err(|_| GaveUp)?),
            None => Anchored::Yes,
        };
        let mut state = self.start(cache, anchored)?;
        let part = text.get(lowest..from).unwrap_or_default();
        let mut at = from;
        for byte in part.iter().rev() {
            state = self.dfa.next_state(cache, state, *byte).map_err(|_| GaveUp)?;
            if state.is_tagged() {
                if state.is_match() {
                    begin(at);
                } else if state.is_dead() {
                    return Ok(from.saturating_sub(at));
                } else if state.is_quit() {
                    return Err(GaveUp);
                }
            }
            at = at.saturating_sub(1);
        }
        let before = lowest.checked_sub(1).and_then(|index| text.get(index));
        state = match before {
            Some(byte) => self.dfa.next_state(cache, state, *byte),
            None => self.dfa.next_eoi_state(cache, state),
        }
        .map_err(|_| GaveUp)?;
        if state.is_match() {
            begin(lowest);
        }
        Ok(part.len())
    }

    /// Walks back over a text down to `lowest`; `begin` is told of each place where a match begins
    /// that ends anywhere behind it, from the last to the first.
    pub(crate) fn starts(
        &self,
        cache: &mut Cache,
        text: &[u8],
        lowest: usize,
        mut begin: impl FnMut(Here<'_>),
    ) -> Result<(), GaveUp> {
        let mut state = self.start(cache, Anchored::No)?;
        let part = text.get(lowest..).unwrap_or_default();
        let mut at = text.len();
        for byte in part.iter().rev() {
            state = self.dfa.next_state(cache, state, *byte).map_err(|_| GaveUp)?;
            if state.is_tagged() {
                if state.is_match() {
                    begin(Here { dfa: &self.dfa, cache, state, at });
                } else if state.is_quit() {
                    return Err(GaveUp);
                }
            }
            at = at.saturating_sub(1);
        }
        state = self.dfa.next_eoi_state(cache, state).map_err(|_| GaveUp)?;
        if state.is_match() {
            begin(Here { dfa: &self.dfa, cache, state, at });
        }
        Ok(())
    }
}
