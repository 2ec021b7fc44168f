//! Cohere's chat, as vLLM speaks it.

use super::Role::{Delta, DeltaJson, Finish, Once, Pass, Tokens, Whole, WholeJson};
use super::{Ends, Row, Table, Typed};

const TYPED: &[Typed] = &[Typed { name: "message-end", rows: &[], ends: Ends::All }];

const ROWS: &[Row] = &[
    ("type", Pass),
    ("id", Pass),
    ("index", Pass),
    ("usage", Pass),
    ("finish_reason", Pass),
    ("logprobs", Tokens),
    ("delta", Delta),
    ("delta.finish_reason", Finish),
    ("delta.usage", Pass),
    ("delta.error", Whole),
    ("delta.message.role", Once),
    ("delta.message.content.type", Pass),
    ("delta.message.content.text", Delta),
    ("delta.message.content.thinking", Delta),
    ("delta.message.tool_plan", Delta),
    ("delta.message.tool_calls.id", Once),
    ("delta.message.tool_calls.type", Once),
    ("delta.message.tool_calls.function.name", Whole),
    ("delta.message.tool_calls.function.arguments", DeltaJson),
    ("delta.message.citations", Whole),
    ("message.role", Pass),
    ("message.content[].type", Pass),
    ("message.tool_calls[].id", Pass),
    ("message.tool_calls[].type", Pass),
    ("message.tool_calls[].function.arguments", WholeJson),
];

pub(super) const TABLE: Table = Table {
    captures: &[&[&["index"]]],
    typed: &[TYPED],
    rows: &[ROWS],
    unknown: Whole,
    splits_by_type: false,
    is_numbered: false,
};
