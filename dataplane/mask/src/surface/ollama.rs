//! Ollama's own interface: generation, chat, and the progress of what it loads.

use super::Role::{Data, Delta, Finish, Ids, Opaque, Pass, Tokens, Whole};
use super::{Row, Table};

pub(super) const ROWS: &[Row] = &[
    ("model", Pass),
    ("created_at", Pass),
    ("done", Finish),
    ("done_reason", Pass),
    ("digest", Pass),
    ("remote_model", Pass),
    ("context", Ids),
    ("logprobs", Tokens),
    ("image", Opaque),
    ("response", Delta),
    ("thinking", Delta),
    ("tool_calls[].id", Pass),
    ("tool_calls[].function.name", Whole),
    ("tool_calls[].function.arguments", Data),
    ("message", Delta),
    ("message.role", Pass),
    ("message.content", Delta),
    ("message.thinking", Delta),
    ("message.images", Opaque),
    ("message.tool_calls", Whole),
    ("message.tool_calls[].id", Pass),
    ("message.tool_calls[].function.name", Whole),
    ("message.tool_calls[].function.index", Pass),
    ("message.tool_calls[].function.arguments", Data),
];

pub(super) const TABLE: Table = Table {
    captures: &[],
    typed: &[],
    rows: &[ROWS],
    unknown: Whole,
    splits_by_type: false,
    is_numbered: false,
};
