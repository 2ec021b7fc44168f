//! YAML 1.2 (and so JSON) to a tree in which every node knows its place. A strict part of the
//! language: no anchors, aliases, tags, merge keys, duplicate keys, or keys that are not text.

mod scalar;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use scalar::{Resolved, is_plain_text};

use saphyr_parser::Parser;

use crate::diagnostics::{Position, Problems};

/// Largest source, in bytes: 4 MiB.
pub(crate) const SOURCE_BYTES_MAX: usize = 4 << 20;

/// Deepest nesting of lists and mappings.
const DEPTH_MAX: usize = 32;

/// Most keys and values of one source: what a source may cost in memory.
const NODES_MAX: usize = 262_144;

/// One value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) position: Position,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Text as it stood, escapes and folding resolved.
    Scalar {
        /// The text.
        text: String,
        /// Written without quotes or block markers: its type comes from its form.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys, each once, in the order of the text.
    Mapping(Vec<Entry>),
    /// Already reported; readers stay silent about it.
    Refused,
}

/// One key of a mapping and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) position: Position,
    pub(crate) value: Node,
}

impl Node {
    /// The type and value of a scalar by YAML 1.2.2 section 10.3.2 (core schema).
    pub(crate) fn resolved(&self) -> Option<Resolved<'_>> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(scalar::resolve(text)),
            Value::Scalar { text, plain: false } => Some(Resolved::Text(text)),
            Value::Sequence(_) | Value::Mapping(_) | Value::Refused => None,
        }
    }

    /// What the node is, in a message's words.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Scalar { .. } | Value::Refused => match self.resolved() {
                Some(Resolved::Null) => "nothing",
                Some(Resolved::Bool(_)) => "true or false",
                Some(Resolved::Integer(_)) => "an integer",
                Some(Resolved::Float) => "a number",
                Some(Resolved::Text(_)) | None => "text",
            },
        }
    }
}

/// Parses a text of several documents; empty documents are skipped. What the strict part of the
/// language leaves out is noted and parsing goes on. A text that is not YAML, is too large or too
/// deep yields that one problem and no document.
pub(crate) fn parse(text: &str, problems: &Problems<'_>) -> Vec<Node> {
    if text.len() > SOURCE_BYTES_MAX {
        problems.add::<()>(
            Position::START,
            format!("larger than {SOURCE_BYTES_MAX} bytes"),
            Some("split it into several files".into()),
        );
        return Vec::new();
    }
    match tree::build(Parser::new_from_str(text), end_of(text), problems) {
        Ok(documents) => documents,
        Err(fatal) => {
            problems.forget();
            problems.add::<()>(fatal.position, fatal.message, fatal.hint);
            Vec::new()
        }
    }
}

/// The place behind the last character: a text may end in a line break of LF, CRLF or CR.
fn end_of(text: &str) -> Position {
    let mut end = Position::START;
    let mut characters = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(character) = characters.next() {
        let within_crlf = character == '\r' && characters.peek() == Some(&'\n');
        if matches!(character, '\n' | '\r') && !within_crlf {
            end = Position { line: end.line.saturating_add(1), column: 1 };
        } else if !within_crlf {
            end.column = end.column.saturating_add(1);
        }
    }
    end
}
