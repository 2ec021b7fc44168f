//! What a rule with `effect: approve` asks for, and the documents that serve it: who is one person,
//! who is told, whose tokens are exchanged.

pub(super) mod people;
pub(super) mod read;

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::hours::clock;

/// `approval` of a rule: who must agree before a request goes up, and what they may give.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Who may answer: any entry matches. Empty only where `one_from_each` is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<Subject>,
    /// Distinct people of `reviewers` who must agree, or of those who match `one_from_each` where
    /// there are no `reviewers`; 1 by default, at most 16.
    pub quorum: u32,
    /// Each entry needs somebody of its own: one person stands for one entry alone. Who matches an
    /// entry may answer. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_from_each: Vec<Subject>,
    /// Whether a reason must be given.
    pub reason: Reason,
    /// A regular expression (syntax of the crate `regex`) that a ticket must match as a whole; no
    /// ticket is needed when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// How long a request waits on its open connection, in milliseconds; 300,000 by default, 0: not
    /// at all.
    pub hold_ms_max: u64,
    /// How long the question stands, and then the answer, in milliseconds; 3,600,000 by default.
    pub answer_ms_max: u64,
    /// What a caller sees while the request waits.
    pub stream: HeldStream,
    /// What an answer may give at most.
    pub grant: GrantLimits,
    /// Dotted paths of body members that reviewers see: `lora_name`, `adapter.path`. Texts, numbers
    /// and booleans are shown, never a list or an object, and never a member that carries prompts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<String>,
    /// Answered yes by itself where any entry holds. It is recorded all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auto_approve: Vec<AutoApprove>,
    /// Who may go ahead at once and justify afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

impl Approval {
    /// Every subject that it names, in whatever role.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        let automatic = self.auto_approve.iter().flat_map(|entry| &entry.subjects);
        let break_glass = self.break_glass.iter().flat_map(|one| &one.subjects);
        self.reviewers.iter().chain(&self.one_from_each).chain(automatic).chain(break_glass)
    }
}

/// `reason` of an approval.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// May be given.
    #[default]
    Optional,
    /// Must be given, in the token's intent or the header `penstock-reason`.
    Required,
}

/// `stream` of an approval.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HeldStream {
    /// Nothing before the decision, so that the status can tell the truth.
    #[default]
    Wait,
    /// 200 and comments after 15 s; what goes wrong later is an error event.
    Commit,
}

/// `grant` of an approval.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GrantLimits {
    /// Longest time from the first use, in minutes; 30 by default, at most 10,080.
    pub minutes_max: u64,
    /// Most uses; 1 by default, at most 100,000.
    pub uses_max: u64,
}

/// One entry of `auto_approve`: all fields that are given hold, and at least one is given.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AutoApprove {
    /// Any entry matches the requester.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// Any of these holds now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Hours>,
}

/// `break_glass` of an approval.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// Any entry matches the requester.
    pub subjects: Vec<Subject>,
    /// Longest time of the grant, in minutes; 60 by default.
    pub minutes_max: u64,
    /// Within this it must be justified, in milliseconds; 86,400,000 by default.
    pub justify_ms_max: u64,
}

/// Hours of a week in a time zone: one entry of `when`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// Days on which the span begins; every day when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// `HH:MM`, minutes since midnight of local time, from it on.
    #[serde(with = "clock")]
    pub from: u16,
    /// `HH:MM`, minutes since midnight, up to before it; not later than `from`: of the next day.
    /// 1,440 is `24:00`.
    #[serde(with = "clock")]
    pub to: u16,
    /// Name of the IANA time zone database; `UTC` by default.
    pub zone: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// `kind: person`: identities that are one person, or act for one. Nobody counts twice, and nobody
/// answers a question of their own, under whichever of them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Name of the document.
    pub name: String,
    /// At least two; no identity stands in two documents.
    pub identities: Vec<ExactIdentity>,
}

/// One identity, named exactly.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExactIdentity {
    /// Name of the issuer document.
    pub issuer: String,
    /// The token's `sub`.
    pub subject: String,
}

/// What channels tell of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum NotificationEvent {
    /// An approval waits for reviewers.
    #[serde(rename = "approval.requested")]
    ApprovalRequested,
    /// It was approved, denied, withdrawn, or has expired.
    #[serde(rename = "approval.ended")]
    ApprovalEnded,
    /// Somebody broke the glass: it is to be looked at.
    #[serde(rename = "break_glass.used")]
    BreakGlassUsed,
    /// It was not justified in time.
    #[serde(rename = "break_glass.unjustified")]
    BreakGlassUnjustified,
    /// A grant was revoked or given back.
    #[serde(rename = "grant.ended")]
    GrantEnded,
}

/// `kind: webhook`: a system that is told, and that may answer (Standard Webhooks).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Name of the document.
    pub name: String,
    /// `https://…` that events are posted to; `http://` on loopback only in development.
    pub url: String,
    /// Name of the secret with the signing key: `whsec_` and base64 of 24 to 64 bytes.
    pub secret: String,
    /// What it is told of; everything when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<NotificationEvent>,
    /// As whom it answers, where it may: a rule's reviewers must match that identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers_as: Option<ServiceIdentity>,
}

/// As whom a webhook answers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceIdentity {
    /// Name of the issuer document that the identity belongs to.
    pub issuer: String,
    /// Its subject, which is its user too.
    pub subject: String,
    /// Its groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// `kind: mail`: people who are told by e-mail. A link in it opens a page; it never decides.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Name of the document.
    pub name: String,
    /// Addresses, at least one.
    pub to: Vec<String>,
    /// What they are told of; everything when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<NotificationEvent>,
}

/// `kind: workload`: whose tokens the control plane exchanges for its own (RFC 8693), and for what.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Name of the document.
    pub name: String,
    /// Any entry matches the token's identity. Each names its issuer and at least one claim.
    pub subjects: Vec<Subject>,
    /// The audience that the workload's own token must have; `penstock-exchange` by default.
    pub audience: String,
    /// Groups of the new token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Names or globs of connections that the new token is good for.
    pub connections: Vec<String>,
    /// Names or globs of operations that it is good for.
    pub operations: Vec<String>,
    /// Names or globs of models; `["*"]` by default.
    pub models: Vec<String>,
    /// Longest life of the new token, in minutes; 15 by default, at most 60.
    pub minutes_max: u64,
}
