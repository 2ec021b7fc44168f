//! One JSON text, rewritten: what its values are, by the table, and then what is done with them, in
//! their order. Both go on where they stopped, so that a long text takes many short turns.

mod act;
pub(crate) mod json_text;
mod plan;
pub(crate) mod turn;

use std::ops::Range;

pub(crate) use act::{NoParts, Part, Parts, Rewrite};
pub(crate) use plan::{Key, Mode, Plan, select};

use crate::event::json_text::JsonText;
use crate::event::turn::Turn;
use crate::json::JsonError;
use crate::text::Channel;

/// Why bytes can't be masked. Says nothing of what they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unmaskable {
    /// Its JSON is not taken.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Lines of an event that are neither fields nor comments that are known to carry no text.
    #[error("lines of a stream that can't be read")]
    Lines,
    /// An event larger than [`crate::stream::EVENT_BYTES_MAX`].
    #[error("an event that is too large")]
    EventTooLarge,
    /// Token ids, whose text a vocabulary tells.
    #[error("token ids")]
    TokenIds,
    /// Tokens with their probabilities.
    #[error("log-probabilities of tokens")]
    LogProbabilities,
    /// Bytes that are no text.
    #[error("content that is no text")]
    Opaque,
    /// More texts at once in one stream than [`crate::stream::TEXTS_MAX`], or longer ones that come
    /// whole again than one event could tell.
    #[error("too many texts in one stream")]
    TooManyTexts,
    /// A text that is not UTF-8.
    #[error("text that is not UTF-8")]
    Encoding,
    /// A text that an analyser could not be asked about.
    #[error("text that its analyser was not asked about")]
    Unanswered,
    /// A stream whose texts can't be told in an event of their own.
    #[error("a stream with members that are too long")]
    Members,
}

/// How far a call came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing changed, and nothing was written: the bytes go on as they came.
    Unchanged,
    /// What was written goes on in their place; it may be empty.
    Written,
    /// There is more to do: the same call once more, with the same bytes, and with what was written
    /// still there.
    More,
}

/// A text on its way: plain, or JSON.
#[derive(Clone)]
pub(crate) enum Text {
    Plain(Channel),
    Json(JsonText),
}

impl Text {
    pub(crate) fn plain() -> Self {
        Self::Plain(Channel::new(false))
    }

    pub(crate) fn push(&mut self, turn: &mut Turn<'_>, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Plain(channel) => turn.push(channel, piece, out),
            Self::Json(text) => text.push(turn, piece, out),
        }
    }

    pub(crate) fn finish(&mut self, turn: &mut Turn<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Plain(channel) => turn.finish(channel, out),
            Self::Json(text) => text.finish(turn, out),
        }
    }

    pub(crate) fn stalled(&mut self, turn: &mut Turn<'_>, release: bool, out: &mut Vec<u8>) {
        match self {
            Self::Plain(channel) => turn.stalled(channel, release, out),
            Self::Json(text) => text.stalled(turn, release, out),
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Self::Plain(channel) => channel.held_bytes().saturating_add(channel.waiting_bytes()),
            Self::Json(text) => text.held_bytes(),
        }
    }

    /// Forgets what it held: another text begins.
    pub(crate) fn renew(&mut self) {
        *self = match self {
            Self::Plain(_) => Self::plain(),
            Self::Json(_) => Self::Json(JsonText::new()),
        };
    }
}

/// What is rewritten: bytes with one JSON text in them.
#[derive(Clone, Copy)]
pub(crate) struct Source<'s> {
    pub(crate) all: &'s [u8],
    /// Where the JSON text begins.
    pub(crate) json_start: usize,
    pub(crate) json_end: usize,
}

impl<'s> Source<'s> {
    pub(crate) fn json(&self) -> &'s [u8] {
        self.all.get(self.json_start..self.json_end).unwrap_or_default()
    }

    pub(crate) fn place(&self, start: usize, end: usize) -> Range<usize> {
        self.json_start.saturating_add(start)..self.json_start.saturating_add(end)
    }
}
