//! What a data plane and the control plane say to each other about requests that need approval, and
//! about what ends: grants, identities, tokens, sessions. Over mutual TLS with JSON bodies, like
//! [`crate::node`].
//!
//! | call | question | answer |
//! |---|---|---|
//! | `POST /node/v1/holds` | [`HoldRequest`] | 200 [`HoldAnswer`] |
//! | `POST /node/v1/ends` | [`Ends`] | 204 |
//! | `GET /node/v1/live` | `run` `after` `wait_ms` | 200 [`Live`] |
//! | `POST /node/v1/sessions` | [`OpenSessions`] | 204 |
//!
//! **A hold is idempotent by its session.** The node asks when a request needs approval, and asks
//! again with the very same body once it hears that the approval was decided, after an error, and
//! after the control plane lost its memory of it. The answer is always what is true now: pending,
//! go, or refused. *Go* means that one use of a grant is reserved for this session, durably; asked
//! again it is the same use. A use is given back by [`EndOutcome::NothingSent`] alone.
//!
//! **Live is a log that may be cut.** `run` names one life of the control plane's process, `after`
//! the last sequence that every core of the node has acted on. A node that is behind what is kept,
//! or knows another run, gets `full: true`: everything that is in force, and asks for its holds
//! again. Each answer, an empty one too, is the heartbeat: a node that had none for
//! `revocation_silence_ms_max` ends its granted exchanges and holds nothing until the next.

use serde::{Deserialize, Serialize};

use crate::catalogue::{Classified, Operation, Risk};
use crate::identity::Identity;
use crate::node::Position;

/// Longest `wait_ms` of `GET /node/v1/live`, in milliseconds.
pub const LIVE_WAIT_MS_MAX: u64 = 2_000;
/// Largest difference of the two planes' clocks under which a node holds, in milliseconds.
pub const SKEW_MS_MAX: u64 = 5_000;
/// Most bytes of a reason or ticket.
pub const REASON_BYTES_MAX: usize = 1_024;
/// Most shown fields of a body, and most characters of each value.
pub const SHOWN_MAX: usize = 16;
/// See [`SHOWN_MAX`].
pub const SHOWN_CHARACTERS_MAX: usize = 256;
/// Most ends in one call.
pub const ENDS_MAX: usize = 1_000;

/// Body of `POST /node/v1/holds`: one request that at least one approve rule matches.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// The exchange's session, 32 hex digits: what makes the call idempotent.
    pub session: String,
    /// Who asks, as verified.
    pub identity: Identity,
    /// When the token was issued, milliseconds since the Unix epoch; 0 where it does not say.
    pub token_issued_ms: u64,
    /// When the token ends, milliseconds since the Unix epoch.
    pub token_expires_ms: u64,
    /// SHA-256 of the token, hex: what revoking a token names where it has no `jti`.
    pub token_sha256: String,
    /// Name of the connection.
    pub connection: String,
    /// What the request does.
    pub facts: Facts,
    /// Method, upper case.
    pub method: String,
    /// Path below the connection and query, as they go up.
    pub target: String,
    /// [`crate::digest::RequestDigest`] of the whole request, hex.
    pub digest: String,
    /// Length of the body in bytes.
    pub body_bytes: u64,
    /// SHA-256 of the body, hex: computed, or declared where the body is checked while it streams.
    pub body_sha256: String,
    /// Chosen fields of the body: name and value, cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<(String, String)>,
    /// Why, in the caller's words: header `penstock-reason`, else the token's intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Header `penstock-ticket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Header `penstock-break-glass: true`.
    #[serde(default)]
    pub break_glass: bool,
    /// The policy under which the node found that approval is needed.
    pub position: Position,
    /// The caller's address, without its port.
    pub peer: String,
    /// The caller's `user-agent`, cut to 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// A [`Classified`] request in words.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Operations and the risk of each.
    pub operations: Vec<(String, Risk)>,
    /// The model, where it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Further models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_models: Vec<String>,
    /// Spellings that deny and approve rules match too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spellings: Vec<String>,
    /// Whether it concerns a model that it does not name.
    #[serde(default)]
    pub unnamed_model: bool,
}

impl From<&Classified> for Facts {
    fn from(request: &Classified) -> Self {
        let operations = request.operations.iter().enumerate().map(|(index, operation)| {
            let risk = request.operation_risks.get(index).copied().unwrap_or(Risk::Critical);
            (operation.name().to_owned(), risk)
        });
        Self {
            operations: operations.collect(),
            model: request.model.clone(),
            other_models: request.other_models.clone(),
            spellings: request.spellings.clone(),
            unnamed_model: request.unnamed_model,
        }
    }
}

impl Facts {
    /// The classified request; none where an operation is not one that this version knows.
    pub fn classified(&self) -> Option<Classified> {
        let mut operations = Vec::with_capacity(self.operations.len());
        let mut operation_risks = Vec::with_capacity(self.operations.len());
        for (name, risk) in &self.operations {
            operations.push(Operation::named(name)?);
            operation_risks.push(*risk);
        }
        Some(Classified {
            risk: operation_risks.iter().copied().max()?,
            operations,
            operation_risks,
            model: self.model.clone(),
            other_models: self.other_models.clone(),
            spellings: self.spellings.clone(),
            unnamed_model: self.unnamed_model,
        })
    }
}

/// Answer of `POST /node/v1/holds`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase", deny_unknown_fields)]
pub enum HoldAnswer {
    /// One use of a grant is reserved for this session.
    Go(Go),
    /// Reviewers have not decided.
    Pending(Pending),
    /// It may not go.
    Refused(Refused),
}

/// A reserved use.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Go {
    /// Ids of the grants that cover it: one use of each is reserved. Any of them that ends cuts the
    /// exchange.
    pub grants: Vec<String>,
    /// The approve rules that they satisfy.
    pub rules: Vec<String>,
    /// The approval that this came from, where it was held; its URL is for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// When the first of the grants ends: milliseconds since the Unix epoch.
    pub ends_ms: u64,
    /// The same as time that is left, in milliseconds. The earlier one counts.
    pub left_ms: u64,
    /// The control plane's clock, milliseconds since the Unix epoch.
    pub server_ms: u64,
}

/// An approval that waits.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// Its id.
    pub approval: String,
    /// Where people look at it.
    pub url: String,
    /// How long the request may wait on its open connection, in milliseconds.
    pub hold_ms: u64,
    /// Whether the rule wants `stream: commit`.
    pub commit: bool,
    /// The control plane's clock, milliseconds since the Unix epoch.
    pub server_ms: u64,
}

/// Why a held request may not go.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// What the caller is told.
    pub code: RefusedCode,
    /// The approval, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// Where people look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The rule that decided, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What to do, in words that a caller may see; a reviewer's reason among them.
    pub message: String,
    /// The control plane's clock, milliseconds since the Unix epoch.
    pub server_ms: u64,
}

/// See [`Refused`]. The names are the callers' codes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedCode {
    /// A reviewer said no, or it was revoked or withdrawn.
    ApprovalDenied,
    /// Nobody answered in time.
    ApprovalExpired,
    /// Another copy of the same request went through, or every use is spent.
    ApprovalSpent,
    /// The rule wants a reason, or a ticket of a certain form.
    ReasonRequired,
    /// Rules in force at the control plane deny it.
    Denied,
    /// The node's policy is not the one in force: it is to decide again.
    PolicyStale,
    /// Too many approvals are pending.
    Overloaded,
}

/// Body of `POST /node/v1/ends`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ends {
    /// At most [`ENDS_MAX`].
    pub ends: Vec<End>,
}

/// A held or granted exchange that is over. Idempotent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Its session.
    pub session: String,
    /// How.
    pub outcome: EndOutcome,
}

/// How a held or granted exchange ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndOutcome {
    /// The caller left while it was held, or was revoked or killed: nobody waits any more.
    Withdrawn,
    /// The time for waiting on the connection is over; the approval stays.
    HoldOver,
    /// A use was reserved, and no byte went to the model server: it is given back.
    NothingSent,
    /// A use was reserved, and the exchange is over.
    Ended,
}

/// Answer of `GET /node/v1/live`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// Names one life of the control plane's process.
    pub run: String,
    /// The newest sequence that this answer takes the node to.
    pub sequence: u64,
    /// Whether this is everything that is in force, and not what came since `after`.
    pub full: bool,
    /// In order.
    pub events: Vec<LiveEvent>,
    /// The control plane's clock, milliseconds since the Unix epoch.
    pub server_ms: u64,
}

/// Something that a node acts on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum LiveEvent {
    /// An approval was decided, or ended: whoever waits for it asks again.
    Approval {
        /// Its id.
        id: String,
    },
    /// A grant is live on a connection: its credential may be leased.
    GrantLive {
        /// Its id.
        id: String,
        /// The connection.
        connection: String,
        /// When it ends at the latest, milliseconds since the Unix epoch.
        ends_ms: u64,
    },
    /// A grant ended before its time: exchanges under it are cut. `spent` alone does not come here.
    GrantEnded {
        /// Its id.
        id: String,
    },
    /// Tokens of this identity that were issued up to then do not hold any more; its exchanges are
    /// cut.
    IdentityRevoked {
        /// Name of the issuer document.
        issuer: String,
        /// The token's subject.
        subject: String,
        /// Milliseconds since the Unix epoch. A token without `iat` counts as issued before.
        issued_ms_max: u64,
    },
    /// A token does not hold any more; its exchanges are cut.
    TokenRevoked {
        /// SHA-256 of the token, hex; or
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// its `jti`, with the name of its issuer document.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<(String, String)>,
    },
    /// Somebody killed a session.
    SessionKilled {
        /// Its id.
        session: String,
    },
}

/// Body of `POST /node/v1/sessions`: what is open on a node now. It is sent when it changed, every
/// second at most.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OpenSessions {
    /// The newest ones, at most [`SESSIONS_MAX`].
    pub sessions: Vec<OpenSession>,
    /// How many there are in all.
    pub open: u64,
}

/// Most sessions of one report.
pub const SESSIONS_MAX: usize = 5_000;

/// One exchange that is held or runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OpenSession {
    /// Its id.
    pub session: String,
    /// Name of the issuer document.
    pub issuer: String,
    /// The token's subject.
    pub subject: String,
    /// What rules call `user`.
    pub user: String,
    /// Name of the connection.
    pub connection: String,
    /// What it does.
    pub operations: Vec<String>,
    /// On which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Grants that it runs under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// The approval that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// When its head had come, milliseconds since the Unix epoch.
    pub begun_ms: u64,
    /// The caller's address, without its port.
    pub peer: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_classified_request_goes_through_its_facts_unchanged() {
        let operations = ["infer.chat", "exec"].map(|name| Operation::named(name).expect("one"));
        let named = Classified {
            other_models: vec!["n".to_owned()],
            spellings: vec!["m:latest".to_owned()],
            ..Classified::new(&operations, Risk::High, Some("m"))
        };
        for request in [named, Classified::unknown()] {
            let json = serde_json::to_string(&Facts::from(&request)).expect("JSON");
            let facts: Facts = serde_json::from_str(&json).expect("facts");
            assert_eq!(facts.classified(), Some(request));
        }
    }

    #[test]
    fn facts_that_this_version_does_not_know_are_no_request() {
        let facts = |operations: Vec<(String, Risk)>| Facts {
            operations,
            model: None,
            other_models: Vec::new(),
            spellings: Vec::new(),
            unnamed_model: false,
        };
        assert_eq!(facts(Vec::new()).classified(), None);
        assert_eq!(facts(vec![("infer.chatt".to_owned(), Risk::Low)]).classified(), None);
    }
}
