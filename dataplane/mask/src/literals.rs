//! Many literals looked for at once: by Vectorscan, or by Aho-Corasick, which is also the check on
//! it.
//!
//! Vectorscan gets literals only. Its release 5.4.12 silently misses matches of patterns that have
//! classes (a test beside its wrapper shows it); literals go through another part of it, and
//! [`Literals::self_test`] compares both engines on each set before it is used.

use aho_corasick::{AhoCorasick, MatchKind};

#[cfg(feature = "vectorscan")]
use crate::vectorscan;

/// Longest literal, in bytes.
pub const LITERAL_BYTES_MAX: usize = 512;

/// One literal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Literal {
    /// 1 to [`LITERAL_BYTES_MAX`] bytes.
    pub bytes: Vec<u8>,
    /// `A-Z` and `a-z` are the same.
    pub ignore_case: bool,
}

/// What looks for them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Engine {
    /// SIMD, in C++; there if the feature `vectorscan` is.
    Vectorscan,
    /// Always there.
    AhoCorasick,
}

impl Engine {
    /// The fastest that this program was built with.
    pub const FASTEST: Self =
        if cfg!(feature = "vectorscan") { Self::Vectorscan } else { Self::AhoCorasick };
}

/// Why a set of literals can't be looked for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LiteralsError {
    /// Not within 1 to [`LITERAL_BYTES_MAX`].
    #[error("literal {index} has {length} bytes: it may have 1 to {LITERAL_BYTES_MAX}")]
    Length {
        /// Of the literal in its list.
        index: usize,
        /// In bytes.
        length: usize,
    },
    /// The engine takes no such set.
    #[error("the literals can't be compiled: {0}")]
    Compile(String),
    /// This program was built without it, or this processor can't run it.
    #[error("Vectorscan is not available here")]
    Unavailable,
}

/// A set of literals, compiled: shared by all cores.
#[derive(Debug)]
pub struct Literals {
    list: Vec<Literal>,
    exact: Automaton,
    ignoring_case: Automaton,
    #[cfg(feature = "vectorscan")]
    database: Option<std::sync::Arc<vectorscan::Database>>,
}

/// What one core needs to look for them. Of another set it still finds all, more slowly.
#[derive(Debug, Default)]
pub struct LiteralsScratch {
    #[cfg(feature = "vectorscan")]
    scanner: Option<vectorscan::Scanner>,
}

/// The literals of one kind, and which they are in the list.
#[derive(Debug)]
struct Automaton {
    search: AhoCorasick,
    indices: Vec<usize>,
}

impl Literals {
    /// Compiles a set, which may be empty.
    pub fn new(list: &[Literal], engine: Engine) -> Result<Self, LiteralsError> {
        for (index, literal) in list.iter().enumerate() {
            let length = literal.bytes.len();
            if length == 0 || length > LITERAL_BYTES_MAX {
                return Err(LiteralsError::Length { index, length });
            }
        }
        #[cfg(feature = "vectorscan")]
        let database = match engine {
            Engine::Vectorscan if !list.is_empty() => {
                Some(std::sync::Arc::new(vectorscan::Database::new(list)?))
            }
            Engine::Vectorscan | Engine::AhoCorasick => None,
        };
        #[cfg(not(feature = "vectorscan"))]
        if engine == Engine::Vectorscan {
            return Err(LiteralsError::Unavailable);
        }
        Ok(Self {
            list: list.to_vec(),
            exact: Automaton::new(list, false)?,
            ignoring_case: Automaton::new(list, true)?,
            #[cfg(feature = "vectorscan")]
            database,
        })
    }

    /// For one core.
    pub fn scratch(&self) -> LiteralsScratch {
        LiteralsScratch {
            #[cfg(feature = "vectorscan")]
            scanner: self.database.as_ref().and_then(vectorscan::Scanner::new),
        }
    }

    /// Every place where a literal ends, also overlapping ones, in any order, some perhaps twice:
    /// `found(index, end)`.
    pub fn find(
        &self,
        scratch: &mut LiteralsScratch,
        text: &[u8],
        found: &mut impl FnMut(usize, usize),
    ) {
        #[cfg(feature = "vectorscan")]
        if let (Some(database), Some(scanner)) = (&self.database, &mut scratch.scanner)
            && scanner.is_of(database)
            && let Ok(ends) = scanner.scan(text)
        {
            for end in ends {
                found(end.index as usize, end.end as usize);
            }
            return;
        }
        #[cfg(not(feature = "vectorscan"))]
        let LiteralsScratch {} = scratch;
        self.find_surely(text, found);
    }

    /// By Aho-Corasick.
    fn find_surely(&self, text: &[u8], found: &mut impl FnMut(usize, usize)) {
        self.exact.find(text, found);
        self.ignoring_case.find(text, found);
    }

    /// Whether both engines agree on texts that have each literal at each alignment to the width of
    /// a vector, alone, among other text, and at the end.
    pub fn self_test(&self) -> bool {
        let mut scratch = self.scratch();
        let mut filler = Filler(0x9e37_79b9_7f4a_7c15);
        let mut text = Vec::new();
        self.list.iter().all(|literal| {
            (0..VECTOR_BYTES).all(|alignment| {
                text.clear();
                text.extend(filler.by_ref().take(alignment));
                text.extend_from_slice(&literal.bytes);
                let at_end = self.agree(&mut scratch, &text);
                text.extend(filler.by_ref().take(VECTOR_BYTES));
                if literal.ignore_case {
                    text.extend(literal.bytes.iter().map(|byte| flip_case(*byte)));
                }
                at_end && self.agree(&mut scratch, &text)
            })
        })
    }

    fn agree(&self, scratch: &mut LiteralsScratch, text: &[u8]) -> bool {
        let mut fast = Vec::new();
        let mut sure = Vec::new();
        self.find(scratch, text, &mut |index, end| fast.push((index, end)));
        self.find_surely(text, &mut |index, end| sure.push((index, end)));
        for ends in [&mut fast, &mut sure] {
            ends.sort_unstable();
            ends.dedup();
        }
        fast == sure
    }
}

/// Widest vector of any processor that the engine is built for.
const VECTOR_BYTES: usize = 64;

fn flip_case(byte: u8) -> u8 {
    if byte.is_ascii_alphabetic() { byte ^ 0x20 } else { byte }
}

/// Letters and spaces, the same each time.
struct Filler(u64);

impl Iterator for Filler {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        b"etaoin shrdlu cmfwyp, 0123456789".get((self.0 >> 59) as usize).copied()
    }
}

impl Automaton {
    fn new(list: &[Literal], ignore_case: bool) -> Result<Self, LiteralsError> {
        let (indices, bytes): (Vec<_>, Vec<_>) = list
            .iter()
            .enumerate()
            .filter(|(_, literal)| literal.ignore_case == ignore_case)
            .map(|(index, literal)| (index, &literal.bytes))
            .unzip();
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(ignore_case)
            .build(bytes)
            .map_err(|error| LiteralsError::Compile(error.to_string()))?;
        Ok(Self { search, indices })
    }

    fn find(&self, text: &[u8], found: &mut impl FnMut(usize, usize)) {
        if self.indices.is_empty() {
            return;
        }
        for one in self.search.find_overlapping_iter(text) {
            if let Some(index) = self.indices.get(one.pattern().as_usize()) {
                found(*index, one.end());
            }
        }
    }
}

#[cfg(test)]
mod tests;
