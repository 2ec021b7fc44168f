//! Messages of Anthropic's interface: blocks by their index, each begun, told in pieces, stopped.

use super::Role::{Data, Delta, DeltaJson, Finish, Once, Pass, Whole};
use super::{Ends, Row, Table, Typed};

pub(super) const TYPED: &[Typed] = &[
    Typed {
        name: "content_block_delta",
        rows: &[
            ("delta", Delta),
            ("delta.type", Pass),
            ("delta.text", Delta),
            ("delta.thinking", Delta),
            ("delta.partial_json", DeltaJson),
            ("delta.signature", Once),
            ("delta.citation", Whole),
        ],
        ends: Ends::Told,
    },
    Typed {
        name: "content_block_start",
        rows: &[
            ("content_block.type", Pass),
            ("content_block.id", Pass),
            ("content_block.tool_use_id", Pass),
            ("content_block.input", Data),
            ("content_block.signature", Pass),
            ("content_block.data", Pass),
        ],
        ends: Ends::Told,
    },
    Typed { name: "content_block_stop", rows: &[], ends: Ends::Captured },
    Typed {
        name: "message_delta",
        rows: &[("delta", Whole), ("delta.stop_reason", Finish), ("delta.stop_sequence", Whole)],
        ends: Ends::Told,
    },
    Typed { name: "message_stop", rows: &[], ends: Ends::All },
    Typed { name: "error", rows: &[], ends: Ends::All },
];

pub(super) const ROWS: &[Row] = &[
    ("type", Pass),
    ("index", Pass),
    ("id", Pass),
    ("role", Pass),
    ("model", Pass),
    ("usage", Pass),
    ("stop_reason", Pass),
    ("request_id", Pass),
    ("delta", Delta),
    ("message.id", Pass),
    ("message.type", Pass),
    ("message.role", Pass),
    ("message.model", Pass),
    ("message.usage", Pass),
    ("message.content[].type", Pass),
    ("message.content[].id", Pass),
    ("message.content[].input", Data),
    ("message.content[].signature", Pass),
    ("message.content[].data", Pass),
    ("content[].type", Pass),
    ("content[].id", Pass),
    ("content[].tool_use_id", Pass),
    ("content[].input", Data),
    ("content[].signature", Pass),
    ("content[].data", Pass),
];

pub(super) const TABLE: Table = Table {
    captures: &[&[&["index"]]],
    typed: &[TYPED],
    rows: &[ROWS],
    unknown: Whole,
    splits_by_type: false,
    is_numbered: false,
};
