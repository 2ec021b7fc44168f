//! Where text stands in what model servers send: one table a format, as data.
//!
//! A row is a path and a role. The role holds for the value there and for all that it holds, but
//! for what a longer path says. `[]` is each item of an array. What no row names is text by
//! itself, so that nothing unknown is passed on unread.

mod anthropic;
mod cohere;
mod gemini;
mod native;
mod ollama;
mod openai;
mod other;
mod request;
mod responses;
mod select;
mod tensors;
mod trie;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use select::{Surface, surface};
pub(crate) use trie::{Spot, Trie};

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Identifiers, enums, counts: passed on as they came.
    Pass,
    /// As [`Role::Pass`], but told once: clients append what is told again.
    Once,
    /// One text by itself.
    Whole,
    /// The next piece of a text.
    Delta,
    /// The next piece of a JSON text.
    DeltaJson,
    /// The whole text so far, or its next piece: the second event tells.
    Growing,
    /// A JSON text by itself.
    WholeJson,
    /// JSON values that a model made up: numbers are text as well.
    Data,
    /// Text by itself, or numbers that stand for text.
    Prompt,
    /// An address, or bytes written out in one (`data:`, RFC 2397).
    Address,
    /// Token ids, whose text a vocabulary tells.
    Ids,
    /// Tokens one by one, with their probabilities.
    Tokens,
    /// Bytes that are no text.
    Opaque,
    /// Ends the texts of its choice unless it is null, false or empty.
    Finish,
    /// As [`Role::Whole`], and as [`Role::Finish`].
    Final,
}

impl Role {
    /// Whether what has it can't be read.
    pub(crate) fn is_unreadable(self) -> bool {
        matches!(self, Self::Ids | Self::Tokens | Self::Opaque)
    }
}

/// A path and what stands there.
pub(crate) type Row = (&'static str, Role);

/// Which texts an event ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ends {
    /// Those that its members say.
    Told,
    /// Those with the indices that it captures.
    Captured,
    /// All.
    All,
}

/// What holds for events of one `type`.
pub(crate) struct Typed {
    pub(crate) name: &'static str,
    pub(crate) rows: &'static [Row],
    pub(crate) ends: Ends,
}

/// Where text stands in one format.
pub(crate) struct Table {
    /// Members of the event that tell its texts apart, each with others for where it is missing.
    pub(crate) captures: &'static [&'static [&'static [&'static str]]],
    /// Rows by the event's `type`, which come before the others.
    pub(crate) typed: &'static [&'static [Typed]],
    /// Rows of all events.
    pub(crate) rows: &'static [&'static [Row]],
    /// What no row names.
    pub(crate) unknown: Role,
    /// Whether texts of events of different types are different texts.
    pub(crate) splits_by_type: bool,
    /// Whether events are numbered, so that an event of our own must look like the newest.
    pub(crate) is_numbered: bool,
}

/// A table made ready.
pub(crate) struct Compiled {
    pub(crate) table: &'static Table,
    plain: Trie,
    typed: Vec<(&'static str, Trie, Ends)>,
}

impl Compiled {
    fn new(table: &'static Table) -> Self {
        let typed = table.typed.iter().flat_map(|kinds| kinds.iter());
        let typed = typed.map(|kind| {
            (kind.name, Trie::new(&[&[kind.rows], table.rows].concat(), table.unknown), kind.ends)
        });
        Self { table, plain: Trie::new(table.rows, table.unknown), typed: typed.collect() }
    }

    /// The rows for an event of a type, and which texts such an event ends.
    pub(crate) fn select(&self, kind: Option<&[u8]>) -> (&Trie, Ends) {
        let Some(kind) = kind.filter(|_| !self.typed.is_empty()) else {
            return (&self.plain, Ends::Told);
        };
        if let Some((_, trie, ends)) =
            self.typed.iter().find(|(name, _, _)| name.as_bytes() == kind)
        {
            return (trie, *ends);
        }
        let is_last = kind.ends_with(b".done") || kind.ends_with(b"-end");
        (&self.plain, if is_last { Ends::Captured } else { Ends::Told })
    }
}

static REQUEST: LazyLock<Compiled> = LazyLock::new(|| Compiled::new(&request::TABLE));

/// The table of requests, of all surfaces.
pub(crate) fn request() -> &'static Compiled {
    &REQUEST
}

macro_rules! compiled {
    ($table:expr) => {{
        static COMPILED: LazyLock<Compiled> = LazyLock::new(|| Compiled::new(&$table));
        &COMPILED
    }};
}

/// The table of what a surface answers.
pub(crate) fn response(surface: Surface) -> &'static Compiled {
    match surface {
        Surface::OpenAiChat => compiled!(openai::CHAT),
        Surface::OpenAiCompletions => compiled!(openai::COMPLETIONS),
        Surface::OpenAiResponses | Surface::Realtime => compiled!(responses::TABLE),
        Surface::AnthropicMessages => compiled!(anthropic::TABLE),
        Surface::Ollama => compiled!(ollama::TABLE),
        Surface::LlamaCompletion => compiled!(native::LLAMA),
        Surface::Generate => compiled!(native::GENERATE),
        Surface::Tensors => compiled!(tensors::TABLE),
        Surface::Cohere => compiled!(cohere::TABLE),
        Surface::Gemini => compiled!(gemini::TABLE),
        Surface::Other => compiled!(other::TABLE),
    }
}
