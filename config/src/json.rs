//! One JSON body, read strictly for a decision: one document, UTF-8, depth at most 64, no key twice
//! in one object. Keys are compared unescaped: `"mod\u0065l"` is `model`.
//!
//! Stricter than the grammar of RFC 8259 in three more points: a number beyond the range of a
//! double (`1e999999`), a lone surrogate (`"\ud800"`) and a byte order mark are refused, because
//! servers differ on them. Time and memory are bounded by [`KEYS_MAX`] and [`TOKENS_MAX`]; memory
//! is taken for the parse alone, see [`Body::bytes_needed`].

mod duration;
mod keys;
#[cfg(test)]
mod tests;
mod tokens;
mod walk;

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Tape};

use crate::glob::Glob;

/// Levels of nesting that a body may have.
pub const DEPTH_MAX: usize = 64;

/// Keys that one object may have.
pub const KEYS_MAX: usize = 4_096;

/// Tokens that a body may have: each name, each value, and each of `{}[]:,`. About half a million
/// values.
pub const TOKENS_MAX: usize = 1 << 20;

/// Most bytes that the parse holds for one token: its node, and what finds keys that stand twice.
const TOKEN_BYTES: usize = 56;

/// Longest name of a model, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// What the rows of one method and path read of a body; made by the catalogue.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// At most [`Wanted::READS_MAX`].
    reads: Vec<Read>,
}

/// One question to a body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    /// As the table writes it: `tools[].type`.
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) test: Test,
}

/// One step down from the top of a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// The member of that key.
    Key(String),
    /// Every member whose key begins so.
    KeyPrefix(String),
    /// Every item of an array.
    Each,
}

/// What is asked; several values at one path: whether it holds for any.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Test {
    /// Neither missing nor `null`.
    Present,
    /// Present, and neither an empty text nor an empty array.
    Filled,
    /// `true`. Any other type than a boolean is wrong: some servers read `"yes"` and `1` so.
    True,
    /// A text that one of the globs matches; any other type is wrong.
    Text { globs: Vec<Glob>, ignore_case: bool },
    /// A text that none of the globs matches; any other type is wrong.
    OtherText { globs: Vec<Glob> },
    /// A time that Go reads as nothing, or as so much that it overflows.
    ZeroTime,
    /// A time below nothing, which stands for ever.
    NegativeTime,
    /// A model's name; an empty text is none.
    Name,
    /// Anywhere in the body, at any depth, a member of that key that is not `null`; with globs, a
    /// text that one of them matches. The read has no steps. Keys in another case are others.
    Below { key: String, globs: Vec<Glob> },
}

/// What a body answers to the questions of one [`Wanted`]. Holds nothing else of the body.
#[derive(Clone, Debug)]
pub struct Body {
    answers: Vec<Answer>,
    ambiguous: Option<String>,
}

/// The answer to one [`Read`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) holds: bool,
    pub(crate) wrong_type: bool,
    pub(crate) name: Option<String>,
}

/// Why a body is refused; always answered with 400.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JsonError {
    /// Not one JSON document.
    #[error("the body is not one JSON document")]
    Syntax,
    /// A key stands twice in one object, where a decision reads it also in another case.
    #[error("a key stands twice in one object of the body")]
    DuplicateKey,
    /// Nested deeper than 64.
    #[error("the body is nested deeper than 64 levels")]
    Depth,
    /// More keys in one object than [`KEYS_MAX`], or more tokens than [`TOKENS_MAX`].
    #[error("the body has too many keys or values")]
    TooMany,
}

impl Wanted {
    /// Reads are told apart by the bits of one word.
    pub(crate) const READS_MAX: usize = 64;

    /// The index of a read, added if it is new; `None` when there are too many.
    pub(crate) fn add(&mut self, read: Read) -> Option<usize> {
        if let Some(index) = self.reads.iter().position(|known| *known == read) {
            return Some(index);
        }
        if self.reads.len() >= Self::READS_MAX {
            return None;
        }
        self.reads.push(read);
        self.reads.len().checked_sub(1)
    }

    pub(crate) fn reads(&self) -> &[Read] {
        &self.reads
    }
}

impl Body {
    /// Most bytes that parsing a body of that length holds at one time, its scratch copy with spare
    /// capacity included: seldom reached, by `[0,0,…` and the like.
    pub const fn bytes_needed(length: usize) -> usize {
        let tokens = if length < TOKENS_MAX { length } else { TOKENS_MAX };
        // The copy, room for its texts, and half of its length for the places of tokens.
        let copies = length.saturating_mul(5).div_ceil(2).saturating_add(16 << 10);
        copies.saturating_add(tokens.saturating_mul(TOKEN_BYTES))
    }

    /// Parses a scratch copy of the body, which the parser rewrites and which is dropped here; the
    /// original bytes are forwarded. Spare capacity of 64 bytes saves a move.
    ///
    /// # Errors
    /// See [`JsonError`].
    pub fn parse(mut scratch: Vec<u8>, wanted: &Wanted) -> Result<Self, JsonError> {
        let bytes = scratch.len();
        tokens::check(&scratch)?;
        scratch.reserve_exact(INPUT_PADDING);
        scratch.resize(bytes.saturating_add(INPUT_PADDING), 0);
        let mut buffers = Buffers::with_max_depth(0, DEPTH_MAX);
        let mut tape = Tape(Vec::new());
        simd_json::fill_tape_padded(&mut scratch, bytes, &mut buffers, &mut tape)
            .map_err(|error| error_of(error.error()))?;
        drop(buffers);
        walk::walk(&tape.0, wanted.reads())
    }

    /// The answer to the read of that index.
    pub(crate) fn answer(&self, index: usize) -> Option<&Answer> {
        self.answers.get(index)
    }

    /// How many reads were answered.
    pub(crate) fn answers(&self) -> usize {
        self.answers.len()
    }

    /// A key that some servers would take for one that a decision reads, if there is one.
    pub(crate) fn ambiguous(&self) -> Option<&str> {
        self.ambiguous.as_deref()
    }
}

/// Whether a text may be a model's name: at most [`NAME_BYTES_MAX`] bytes, no control characters,
/// and no blanks at its ends, which some servers trim.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && text.trim() == text && !text.chars().any(char::is_control)
}

fn error_of(error: &ErrorType) -> JsonError {
    if *error == ErrorType::DepthLimitExceeded { JsonError::Depth } else { JsonError::Syntax }
}
