//! Responses and realtime messages of OpenAI's interface. What an event carries is told by its
//! `type`; most texts come piece by piece, once more when they are done, and once more at the end.

use super::Role::{Delta, DeltaJson, Ids, Opaque, Pass, Tokens, Whole, WholeJson};
use super::{Ends, Row, Table, Typed};

const ARGUMENTS: &[Row] = &[("delta", DeltaJson)];
const BYTES: &[Row] = &[("delta", Opaque)];

pub(super) const TYPED: &[Typed] = &[
    Typed { name: "response.function_call_arguments.delta", rows: ARGUMENTS, ends: Ends::Told },
    Typed { name: "response.mcp_call_arguments.delta", rows: ARGUMENTS, ends: Ends::Told },
    Typed { name: "response.mcp_call.arguments_delta", rows: ARGUMENTS, ends: Ends::Told },
    Typed { name: "response.audio.delta", rows: BYTES, ends: Ends::Told },
    Typed { name: "response.output_audio.delta", rows: BYTES, ends: Ends::Told },
    Typed { name: "response.completed", rows: &[], ends: Ends::All },
    Typed { name: "response.incomplete", rows: &[], ends: Ends::All },
    Typed { name: "response.failed", rows: &[], ends: Ends::All },
    Typed { name: "response.cancelled", rows: &[], ends: Ends::All },
    Typed { name: "response.done", rows: &[], ends: Ends::All },
    Typed { name: "transcription.done", rows: &[], ends: Ends::All },
    Typed { name: "error", rows: &[], ends: Ends::All },
];

pub(super) const ROWS: &[Row] = &[
    ("type", Pass),
    ("event_id", Pass),
    ("sequence_number", Pass),
    ("response_id", Pass),
    ("item_id", Pass),
    ("call_id", Pass),
    ("output_index", Pass),
    ("content_index", Pass),
    ("summary_index", Pass),
    ("obfuscation", Pass),
    ("delta", Delta),
    ("text", Whole),
    ("refusal", Whole),
    ("transcript", Whole),
    ("input", Whole),
    ("code", Whole),
    ("name", Whole),
    ("arguments", WholeJson),
    ("logprobs", Tokens),
    ("partial_image_b64", Opaque),
    ("part.type", Pass),
    ("part.text", Whole),
    ("part.refusal", Whole),
    ("part.logprobs", Tokens),
    ("part.audio", Opaque),
    ("item.id", Pass),
    ("item.type", Pass),
    ("item.status", Pass),
    ("item.role", Pass),
    ("item.call_id", Pass),
    ("item.object", Pass),
    ("item.arguments", WholeJson),
    ("item.encrypted_content", Pass),
    ("item.result", Opaque),
    ("item.content[].type", Pass),
    ("item.content[].logprobs", Tokens),
    ("item.content[].audio", Opaque),
    ("item.summary[].type", Pass),
    ("response.id", Pass),
    ("response.object", Pass),
    ("response.model", Pass),
    ("response.status", Pass),
    ("response.usage", Pass),
    ("response.previous_response_id", Pass),
    ("response.output[].id", Pass),
    ("response.output[].type", Pass),
    ("response.output[].status", Pass),
    ("response.output[].role", Pass),
    ("response.output[].call_id", Pass),
    ("response.output[].arguments", WholeJson),
    ("response.output[].encrypted_content", Pass),
    ("response.output[].result", Opaque),
    ("response.output[].content[].type", Pass),
    ("response.output[].content[].logprobs", Tokens),
    ("response.output[].content[].audio", Opaque),
    ("response.output[].summary[].type", Pass),
    ("response.input_messages[].tokens", Ids),
    ("response.output_messages[].tokens", Ids),
];

/// Answers that come whole.
pub(super) const ANSWER: &[Row] = &[
    ("id", Pass),
    ("object", Pass),
    ("model", Pass),
    ("status", Pass),
    ("usage", Pass),
    ("previous_response_id", Pass),
    ("created_at", Pass),
    ("service_tier", Pass),
    ("output[].id", Pass),
    ("output[].type", Pass),
    ("output[].status", Pass),
    ("output[].role", Pass),
    ("output[].call_id", Pass),
    ("output[].arguments", WholeJson),
    ("output[].encrypted_content", Pass),
    ("output[].result", Opaque),
    ("output[].content[].type", Pass),
    ("output[].content[].logprobs", Tokens),
    ("output[].content[].audio", Opaque),
    ("output[].summary[].type", Pass),
    ("input_messages[].tokens", Ids),
    ("output_messages[].tokens", Ids),
];

/// The item, by its place or its name.
pub(super) const ITEM: &[&[&str]] = &[&["output_index"], &["item_id"], &["item", "id"]];
/// The part of the item.
pub(super) const PART: &[&[&str]] = &[&["content_index"], &["summary_index"]];

pub(super) const TABLE: Table = Table {
    captures: &[ITEM, PART],
    typed: &[TYPED],
    rows: &[ROWS, ANSWER],
    unknown: Whole,
    splits_by_type: true,
    is_numbered: true,
};
