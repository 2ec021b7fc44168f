//! Approvals: the pending question about one request, or about access ahead of time; its reviewers,
//! its answer. In: holds of nodes, votes of people, time. Out: grants. The tables of states are in
//! `controlplane/ARCHITECTURE.md`.

mod access;
mod answer;
mod bounds;
mod close;
mod hold;
mod lapse;
mod need;
mod open;
mod rates;
mod review;
mod summary;
mod terms;

use penstock_config::documents::{Approval as Asks, ExactIdentity};
use penstock_config::hold::Facts;
use penstock_config::identity::Identity;
use serde::{Deserialize, Serialize};

use crate::event::Actor;

pub(crate) use access::request as request_access;
pub(crate) use answer::{vote, withdraw};
pub(crate) use bounds::{is_reason, is_session};
pub(crate) use close::{leave, leave_by, withdraw_of_identity};
pub(crate) use hold::hold;
pub use lapse::Sweep;
pub(crate) use lapse::{follow_documents, recount_votes, tick};
pub use need::Compiled;
pub(crate) use rates::Rates;
pub use rates::{COUNTED_MAX, NEW_BURST_MAX, NEW_EVERY_MS};
pub(crate) use review::{close_review, justify};
pub use summary::{Summary, SummaryRow};

/// Most approvals that one identity has pending.
pub const PENDING_OF_IDENTITY_MAX: usize = 1_000;
/// Most approvals that are over and still kept; their acts stay for ever.
pub const ENDED_MAX: usize = 50_000;
/// How long an approval that is over is kept, in milliseconds: 30 days.
pub const ENDED_MS_MAX: u64 = 30 * 86_400_000;
/// Most votes of one approval, those that came too late among them.
pub const VOTES_MAX: usize = 64;
/// Most sessions that wait for one approval.
pub const WAITERS_MAX: usize = 64;
/// Most reviews of break-glass that are open.
pub const REVIEWS_MAX: usize = 1_000;
/// Most of them that one identity has.
pub const REVIEWS_OF_IDENTITY_MAX: usize = 20;
/// Most bytes of a justification.
pub const JUSTIFICATION_BYTES_MAX: usize = 4_096;
/// Most bytes of an identity as JSON: who asks, or votes.
pub const IDENTITY_BYTES_MAX: usize = 16_384;

/// One approval. Its votes and its sessions are bounded, so a copy costs little.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// `apr-` and 20 characters.
    pub id: String,
    /// When it was asked, milliseconds since the Unix epoch.
    pub asked_ms: u64,
    /// From then on nobody answers any more, milliseconds since the Unix epoch.
    pub decide_by_ms: u64,
    /// How long the question stands, and then the answer, in milliseconds: the least
    /// `answer_ms_max` of its rules.
    pub answer_ms: u64,
    /// Who asks, as their token said it. Claims are dropped once nobody decides by them any more.
    pub requester: Identity,
    /// Name of the connection.
    pub connection: String,
    /// What is asked for.
    pub asked: Asked,
    /// What must be met, all of it: one entry a rule, in the order of the rules.
    pub requirements: Vec<Requirement>,
    /// Why, in the requester's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Version of the documents when it was asked.
    pub version: u64,
    /// Where it stands, as recorded; see [`crate::State::shown_state`].
    pub state: ApprovalState,
    /// In the order in which they came; one a person.
    pub votes: Vec<CastVote>,
    /// How it left `pending`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// The grant that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Present where somebody went ahead at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<Review>,
    /// Sessions that wait for it, or waited and are not over; at most [`WAITERS_MAX`].
    pub waiters: Vec<Waiter>,
    /// Whether somebody was told that it stays: it is not withdrawn when the last caller leaves.
    pub is_kept: bool,
    /// What the requester asked before.
    pub before: History,
}

/// What an approval asks for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Asked {
    /// One request that was held.
    Request(Box<AskedRequest>),
    /// Access ahead of time.
    Access(AskedAccess),
}

/// A held request, without its body. Its texts come from the caller.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AskedRequest {
    /// What it does.
    pub facts: Facts,
    /// Method.
    pub method: String,
    /// Path below the connection and query.
    pub target: String,
    /// Digest of the whole request, hex.
    pub digest: String,
    /// Length of the body in bytes.
    pub body_bytes: u64,
    /// SHA-256 of the body, hex.
    pub body_sha256: String,
    /// Chosen fields of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<(String, String)>,
    /// The caller's address.
    pub peer: String,
    /// The caller's `user-agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// Access ahead of time, as it was asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AskedAccess {
    /// Names of operations.
    pub operations: Vec<String>,
    /// Names or globs of models.
    pub models: Vec<String>,
    /// Minutes from the first use.
    pub minutes: u64,
    /// Uses.
    pub uses: u64,
    /// The grant that this extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
}

/// What one rule wants.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Name of the rule.
    pub rule: String,
    /// The rule's `approval` as votes were last counted by it.
    pub asks: Asks,
    /// Whether a condition of the rule answered yes by itself.
    pub is_automatic: bool,
}

/// Where an approval stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalState {
    /// Nobody decided.
    Pending,
    /// Every requirement is met: there is a grant.
    Approved,
    /// Somebody eligible said no.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// The requester left, or it is not needed or not possible any more.
    Withdrawn,
}

/// What is shown of an approval: its state, or that of its grant.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShownState {
    /// Nobody decided.
    Pending,
    /// Approved, not used.
    Approved,
    /// Used, and may be used on.
    Active,
    /// Somebody said no.
    Denied,
    /// Every use is taken.
    Spent,
    /// Nobody answered in time, or nobody used it in time, or its time is over.
    Expired,
    /// The requester left, or it is not needed or not possible any more.
    Withdrawn,
    /// Revoked, or given back.
    Revoked,
}

impl ShownState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Approved,
        Self::Active,
        Self::Denied,
        Self::Spent,
        Self::Expired,
        Self::Withdrawn,
        Self::Revoked,
    ];

    /// As listings and queries name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Active => "active",
            Self::Denied => "denied",
            Self::Spent => "spent",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl std::fmt::Display for ShownState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "vote", rename_all = "lowercase", deny_unknown_fields)]
pub enum Vote {
    /// Yes. Without anything of this: exactly this request, once, or access as it was asked for.
    Approve {
        /// Minutes from the first use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minutes: Option<u64>,
        /// Uses in all, the held one included.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uses: Option<u64>,
        /// Fewer operations than were asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operations: Option<Vec<String>>,
    },
    /// No.
    Deny {
        /// Why; the requester reads it.
        reason: String,
    },
}

impl Vote {
    /// A plain yes.
    pub const YES: Self = Self::Approve { minutes: None, uses: None, operations: None };
}

/// How an answer came.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "channel", rename_all = "lowercase", deny_unknown_fields)]
pub enum Channel {
    /// With a token of its own: the API, the command line.
    Api,
    /// With a token of its own, on the page that the link of a mail opens.
    Page,
    /// Signed by a system.
    Webhook {
        /// Name of its document.
        name: String,
        /// In whose name it says it answers: recorded, and counted for nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<String>,
    },
    /// In somebody's name on a development state.
    Development,
}

/// A vote with who cast it, as they were then.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CastVote {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who, with the groups of then.
    pub by: Identity,
    /// What they said.
    pub vote: Vote,
    /// How.
    pub channel: Channel,
    /// It came after the approval was over, and changed nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_late: bool,
}

/// How an approval or a grant came to its end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// By whom.
    pub by: Actor,
    /// Why.
    pub cause: EndCause,
    /// In words; a reviewer's reason among them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Why an approval left `pending`, or why a grant is over.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndCause {
    /// Reviewers answered.
    Answered,
    /// Conditions of every rule answered.
    Automatic,
    /// Somebody went ahead at once.
    BreakGlass,
    /// Its time was over.
    Time,
    /// The requester withdrew it.
    Requester,
    /// Every caller that waited for it left.
    CallersLeft,
    /// Under the rules of now it is not needed, is forbidden, or asks for something else.
    Superseded,
    /// Somebody revoked it.
    Revoked,
    /// Its owner gave it back.
    GivenBack,
    /// Its identity was revoked.
    IdentityRevoked,
    /// Its rule, its connection or the issuer of its identity is gone.
    Orphaned,
    /// Every use is taken, and what ran under it is over.
    Used,
}

/// A session that waits for an approval.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Waiter {
    /// Its id.
    pub session: String,
    /// On which node.
    pub node: String,
}

/// What is to be looked at after somebody went ahead at once.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// Until then it must be justified, milliseconds since the Unix epoch.
    pub justify_by_ms: u64,
    /// What was said, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<Justification>,
    /// Whether channels were told that nothing was said in time.
    pub is_overdue: bool,
    /// Who closed it, and when: never whoever went ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

/// Why somebody went ahead at once.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Justification {
    /// When it was said, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// In their words.
    pub text: String,
}

/// Who closed a review.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub by: Actor,
}

/// What a requester asked before: of their kept approvals those that name one of the operations on
/// the connection, at most the last 1,000.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// How many were asked within 30 days.
    pub asked: u32,
    /// How many of them were approved.
    pub approved: u32,
    /// How many of them were denied.
    pub denied: u32,
}

/// Access that somebody asks for ahead of time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRequest {
    /// Name of the connection.
    pub connection: String,
    /// Names or globs of operations; a glob reaches no operation of critical risk, nor `unknown`.
    pub operations: Vec<String>,
    /// Names or globs of models; everything when absent.
    #[serde(default)]
    pub models: Option<Vec<String>>,
    /// Minutes from the first use.
    pub minutes: u64,
    /// Uses; as many as the rules give when absent.
    #[serde(default)]
    pub uses: Option<u64>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// A ticket.
    #[serde(default)]
    pub ticket: Option<String>,
    /// A grant of the same identity and connection that this extends.
    #[serde(default)]
    pub extends: Option<String>,
}

impl Approval {
    /// Names of the operations that are asked for.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        let (held, ahead) = match &self.asked {
            Asked::Request(request) => (Some(request.facts.operations.iter()), None),
            Asked::Access(access) => (None, Some(access.operations.iter())),
        };
        let held = held.into_iter().flatten().map(|(name, _)| name.as_str());
        held.chain(ahead.into_iter().flatten().map(String::as_str))
    }

    /// The digest of the held request, hex; none of access ahead of time.
    pub fn digest(&self) -> Option<&str> {
        match &self.asked {
            Asked::Request(request) => Some(&request.digest),
            Asked::Access(_) => None,
        }
    }

    /// Names of its rules, in order.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.requirements.iter().map(|requirement| requirement.rule.as_str())
    }

    /// Whether nobody decided, as recorded: its time may be over all the same.
    pub fn is_pending(&self) -> bool {
        self.state == ApprovalState::Pending
    }

    /// Whether a session waits on its open connection now.
    pub fn has_callers(&self) -> bool {
        self.is_pending() && !self.waiters.is_empty()
    }

    /// The identity that asks.
    pub fn requester_id(&self) -> ExactIdentity {
        exact(&self.requester)
    }
}

/// The identity without what its token said besides.
pub(crate) fn exact(identity: &Identity) -> ExactIdentity {
    ExactIdentity { issuer: identity.issuer.clone(), subject: identity.subject.clone() }
}
