//! Triton and KServe. An output is named by the model, so that every name may carry text.

use super::Role::{Growing, Ids, Pass, Whole};
use super::{Row, Table};

const ROWS: &[Row] = &[
    ("id", Pass),
    ("model_name", Pass),
    ("model_version", Pass),
    ("sequence_id", Pass),
    ("parameters", Whole),
    ("error", Whole),
    ("output_ids", Ids),
    ("token_ids", Ids),
    ("context", Ids),
    ("outputs[].name", Pass),
    ("outputs[].datatype", Pass),
    ("outputs[].shape", Pass),
    ("outputs[].parameters", Whole),
    ("outputs[].data", Growing),
    ("predictions", Growing),
    ("explanations", Growing),
];

pub(super) const TABLE: Table = Table {
    captures: &[],
    typed: &[],
    rows: &[ROWS],
    unknown: Growing,
    splits_by_type: false,
    is_numbered: false,
};
