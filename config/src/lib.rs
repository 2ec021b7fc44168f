//! The contract that both planes agree on. In: text of documents and settings, requests as facts,
//! answers of reviewers. Out: typed documents, a compiled policy, decisions, whether an approval is
//! satisfied, digests, signed snapshots, diagnostics. Never: I/O beyond the bytes it is handed, a
//! clock, a lock, or a secret's value kept.

mod address;
pub mod approval_rules;
pub mod catalogue;
pub mod certificates;
pub mod decision;
pub mod diagnostics;
pub mod digest;
pub mod documents;
pub mod glob;
pub mod hold;
pub mod hours;
pub mod identity;
pub mod json;
pub mod lease;
pub mod node;
mod reader;
pub mod settings;
pub mod snapshot;
pub mod target;
mod yaml;
