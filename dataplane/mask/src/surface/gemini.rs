//! Gemini's generation.

use super::Role::{Data, Delta, Finish, Once, Opaque, Pass, Tokens, Whole};
use super::{Row, Table};

const ROWS: &[Row] = &[
    ("responseId", Pass),
    ("modelVersion", Pass),
    ("createTime", Pass),
    ("usageMetadata", Pass),
    ("candidates[].index", Pass),
    ("candidates[].finishReason", Finish),
    ("candidates[].safetyRatings", Pass),
    ("candidates[].logprobsResult", Tokens),
    ("candidates[].content", Delta),
    ("candidates[].content.role", Pass),
    ("candidates[].content.parts[].text", Delta),
    ("candidates[].content.parts[].thought", Pass),
    ("candidates[].content.parts[].thoughtSignature", Once),
    ("candidates[].content.parts[].functionCall.name", Whole),
    ("candidates[].content.parts[].functionCall.id", Once),
    ("candidates[].content.parts[].functionCall.args", Data),
    ("candidates[].content.parts[].inlineData.mimeType", Pass),
    ("candidates[].content.parts[].inlineData.data", Opaque),
];

pub(super) const TABLE: Table = Table {
    captures: &[],
    typed: &[],
    rows: &[ROWS],
    unknown: Whole,
    splits_by_type: false,
    is_numbered: false,
};
