//! An approval as the API shows it, as far as it is told to people. What an older or newer control
//! plane leaves out is nothing here.

use serde::Deserialize;
use serde_json::Value;

/// One approval.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Approval {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) groups: Vec<String>,
    pub(crate) connection: String,
    pub(crate) operations: Vec<Operation>,
    pub(crate) models: Vec<String>,
    pub(crate) request: Option<Request>,
    pub(crate) access: Option<Access>,
    pub(crate) reason: Option<String>,
    pub(crate) ticket: Option<String>,
    pub(crate) asked_ms: u64,
    pub(crate) decide_by_ms: u64,
    pub(crate) version: u64,
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) minutes_max: u64,
    pub(crate) uses_max: u64,
    pub(crate) votes: Vec<Vote>,
    pub(crate) waiting: bool,
    pub(crate) before: History,
    pub(crate) break_glass: Option<Review>,
    pub(crate) grant: Option<String>,
    pub(crate) ended: Option<Ended>,
    pub(crate) may_answer: bool,
}

/// One operation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) risk: Option<String>,
}

/// The request that is held.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) digest: String,
    pub(crate) body_bytes: u64,
    pub(crate) body_sha256: String,
    pub(crate) shown: Vec<Field>,
    pub(crate) unnamed_model: bool,
    pub(crate) peer: String,
    pub(crate) agent: Option<String>,
}

/// A field of its body.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Access ahead of time.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Access {
    pub(crate) minutes: u64,
    pub(crate) uses: u64,
    pub(crate) extends: Option<String>,
}

/// What one rule wants.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Requirement {
    pub(crate) rule: String,
    pub(crate) met: bool,
    pub(crate) automatic: bool,
    pub(crate) quorum: u64,
    pub(crate) agreed: u64,
    pub(crate) reviewers: Value,
    pub(crate) one_from_each: Value,
    pub(crate) minutes_max: u64,
    pub(crate) uses_max: u64,
}

/// One answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Vote {
    pub(crate) at_ms: u64,
    pub(crate) user: String,
    pub(crate) issuer: String,
    pub(crate) vote: String,
    pub(crate) reason: Option<String>,
    pub(crate) minutes: Option<u64>,
    pub(crate) uses: Option<u64>,
    pub(crate) operations: Option<Vec<String>>,
    pub(crate) channel: String,
    pub(crate) webhook: Option<String>,
    pub(crate) on_behalf_of: Option<String>,
    pub(crate) late: bool,
}

/// What was asked before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct History {
    pub(crate) asked: u64,
    pub(crate) approved: u64,
    pub(crate) denied: u64,
}

/// A broken glass.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Review {
    pub(crate) justify_by_ms: u64,
    pub(crate) justified_ms: Option<u64>,
    pub(crate) justification: Option<String>,
    pub(crate) overdue: bool,
    pub(crate) closed_ms: Option<u64>,
    pub(crate) closed_by: Option<Value>,
}

/// An end.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ended {
    pub(crate) at_ms: u64,
    pub(crate) by: Value,
    pub(crate) cause: Value,
    pub(crate) note: String,
}
