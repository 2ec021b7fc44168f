//! A format that the path does not tell: multiplexed addresses, addresses of an operator's own.
//! Every format's names count; any other text may be a stream's.

use super::Role::{Delta, Pass};
use super::{Row, Table, anthropic, native, ollama, openai, responses};

const ROWS: &[Row] =
    &[("type", Pass), ("event", Pass), ("status", Pass), ("level", Pass), ("index", Pass)];

pub(super) const TABLE: Table = Table {
    captures: &[&[&["output_index"], &["item_id"], &["item", "id"], &["index"]], responses::PART],
    typed: &[responses::TYPED, anthropic::TYPED],
    rows: &[
        ROWS,
        openai::COMMON,
        openai::MESSAGES,
        openai::TEXTS,
        responses::ROWS,
        responses::ANSWER,
        anthropic::ROWS,
        ollama::ROWS,
        native::GENERATE_ROWS,
    ],
    unknown: Delta,
    splits_by_type: true,
    is_numbered: true,
};
