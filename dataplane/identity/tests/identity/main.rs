//! Tokens as callers and attackers make them, against the public interface alone. Tests named
//! `row_NN_…` are the rows of the project's table of token attacks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cache;
mod claim_rows;
mod header_rows;
mod key_rows;
mod mutation;
mod policy;
mod support;
mod vectors;
