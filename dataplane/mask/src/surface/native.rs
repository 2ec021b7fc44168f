//! Servers' own interfaces: llama.cpp's completions, and `/generate` of SGLang, LMDeploy and TGI.

use super::Role::{Delta, Final, Finish, Growing, Ids, Opaque, Pass, Tokens, Whole};
use super::{Row, Table};

const LLAMA_ROWS: &[Row] = &[
    ("index", Pass),
    ("id_slot", Pass),
    ("model", Pass),
    ("stop", Finish),
    ("stop_type", Pass),
    ("stopping_word", Whole),
    ("timings", Pass),
    ("content", Delta),
    ("tokens", Ids),
    ("prompt", Whole),
    ("generation_settings", Whole),
    ("completion_probabilities", Tokens),
    ("probs", Tokens),
    ("__verbose", Opaque),
    ("error", Whole),
];

pub(super) const GENERATE_ROWS: &[Row] = &[
    ("index", Pass),
    ("text", Growing),
    ("output_ids", Ids),
    ("meta_info", Whole),
    ("meta_info.id", Pass),
    ("meta_info.finish_reason", Finish),
    ("meta_info.finish_reason.type", Pass),
    ("meta_info.weight_version", Pass),
    ("meta_info.input_token_logprobs", Tokens),
    ("meta_info.output_token_logprobs", Tokens),
    ("meta_info.input_top_logprobs", Tokens),
    ("meta_info.output_top_logprobs", Tokens),
    ("meta_info.input_token_ids_logprobs", Tokens),
    ("meta_info.output_token_ids_logprobs", Tokens),
    ("meta_info.logprobs", Tokens),
    ("meta_info.hidden_states", Opaque),
    ("meta_info.routed_experts", Opaque),
    ("logprobs", Tokens),
    ("token", Delta),
    ("token.id", Ids),
    ("token.text", Delta),
    ("token.special", Pass),
    ("token.logprob", Pass),
    ("top_tokens", Tokens),
    ("generated_text", Final),
    ("details", Whole),
    ("details.finish_reason", Pass),
    ("details.prefill", Tokens),
    ("details.tokens", Tokens),
    ("details.top_tokens", Tokens),
    ("details.best_of_sequences[].prefill", Tokens),
    ("details.best_of_sequences[].tokens", Tokens),
    ("details.best_of_sequences[].top_tokens", Tokens),
    ("error", Whole),
    ("error_type", Whole),
];

/// Callers may rename what they are sent, so that any text may be a stream's.
pub(super) const LLAMA: Table = Table {
    captures: &[&[&["index"]]],
    typed: &[],
    rows: &[LLAMA_ROWS],
    unknown: Delta,
    splits_by_type: false,
    is_numbered: false,
};

pub(super) const GENERATE: Table = Table { rows: &[GENERATE_ROWS], unknown: Whole, ..LLAMA };
