//! An approval as people see it: what must be known to answer, and nothing of a body but the fields
//! that a rule chooses. Every text in it that a caller wrote is plain text, never markup.

use std::collections::BTreeSet;

use penstock_app::State;
use penstock_app::approvals::{
    Approval, Asked, AskedRequest, CastVote, Channel, Ended, History, Requirement, Review, Summary,
    SummaryRow, Vote,
};
use penstock_config::approval_rules::{Approver, PersonKey, satisfied};
use penstock_config::catalogue::{Operation, Risk};
use penstock_config::decision::subject_matches;
use penstock_config::documents::Approval as Asks;
use penstock_config::identity::Identity;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::sight::Sight;
use crate::versions::ActorView;

/// One operation that is asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperationView {
    /// Its name: `adapter.load`.
    name: String,
    /// How much harm it can do: `none`, `low`, `medium`, `high` or `critical`.
    #[schema(value_type = String)]
    risk: Risk,
}

/// A field of a body that a rule shows.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownField {
    /// Its path.
    name: String,
    /// Its value, cut to 256 characters.
    value: String,
}

/// The very request that is held: an answer is good for these bytes alone, unless it is widened.
#[derive(Serialize, ToSchema)]
pub(crate) struct RequestView {
    /// Method.
    method: String,
    /// Path below the connection and query, as they go up.
    target: String,
    /// Digest of method, target, the headers that matter and the body, hex.
    digest: String,
    /// Length of the body in bytes.
    body_bytes: u64,
    /// SHA-256 of the body, hex.
    body_sha256: String,
    /// Fields of the body that the rules show.
    shown: Vec<ShownField>,
    /// Whether it concerns a model that it does not name.
    unnamed_model: bool,
    /// The caller's address.
    peer: String,
    /// The caller's `user-agent`.
    agent: Option<String>,
}

/// Access that is asked for ahead of time.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccessView {
    /// Minutes from the first use.
    minutes: u64,
    /// Uses.
    uses: u64,
    /// The grant that this extends.
    extends: Option<String>,
}

/// What one rule wants, and how far it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct RequirementView {
    /// Name of the rule.
    rule: String,
    /// Whether it is met.
    met: bool,
    /// Whether a condition of the rule answered by itself.
    automatic: bool,
    /// How many people must agree.
    quorum: u32,
    /// How many have.
    agreed: usize,
    /// Who may answer, as a rule's subjects.
    #[schema(value_type = Vec<Object>)]
    reviewers: Value,
    /// Each of these needs somebody of its own.
    #[schema(value_type = Vec<Object>)]
    one_from_each: Value,
    /// The longest grant that an answer may give, in minutes from its first use.
    minutes_max: u64,
    /// The most uses that it may give.
    uses_max: u64,
}

/// One answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct VoteView {
    /// When, milliseconds since the Unix epoch.
    at_ms: u64,
    /// What rules call `user`.
    user: String,
    /// Name of the issuer document.
    issuer: String,
    /// The token's subject.
    subject: String,
    /// `approve` or `deny`.
    vote: &'static str,
    /// Why it was denied.
    reason: Option<String>,
    /// How the grant was widened: minutes.
    minutes: Option<u64>,
    /// How the grant was widened: uses.
    uses: Option<u64>,
    /// How the grant was narrowed: operations.
    operations: Option<Vec<String>>,
    /// `api`, `page`, `webhook` or `development`.
    channel: &'static str,
    /// The webhook's name.
    webhook: Option<String>,
    /// In whose name a webhook says that it answers: it counts for nothing.
    on_behalf_of: Option<String>,
    /// It came when the approval was over, and changed nothing.
    late: bool,
}

/// What the same requester asked before, of the same operations on the same connection.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryView {
    /// How often within 30 days.
    asked: u32,
    /// How often it was approved.
    approved: u32,
    /// How often it was denied.
    denied: u32,
}

/// Somebody went ahead at once: what became of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReviewView {
    /// Until then it must be justified, milliseconds since the Unix epoch.
    justify_by_ms: u64,
    /// When it was justified.
    justified_ms: Option<u64>,
    /// In their words.
    justification: Option<String>,
    /// Whether nothing was said in time.
    overdue: bool,
    /// When the review was closed.
    closed_ms: Option<u64>,
    /// By whom.
    closed_by: Option<ActorView>,
}

/// How something came to its end.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndedView {
    /// When, milliseconds since the Unix epoch.
    at_ms: u64,
    /// By whom.
    by: ActorView,
    /// Why: `answered`, `automatic`, `break-glass`, `time`, `requester`, `callers-left`,
    /// `superseded`, `revoked`, `given-back`, `identity-revoked`, `orphaned`, `used`.
    #[schema(value_type = String)]
    cause: Value,
    /// In words.
    note: String,
}

/// What must be known to decide, in words: the same text in every channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct SummaryView {
    /// Who wants what, in one line.
    title: String,
    /// In the order in which people read them.
    rows: Vec<SummaryRowView>,
}

/// One line of a summary.
#[derive(Serialize, ToSchema)]
pub(crate) struct SummaryRowView {
    /// What it is.
    name: &'static str,
    /// Plain text: never markup.
    value: String,
}

/// One approval.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApprovalView {
    /// Its id.
    id: String,
    /// `pending`, `denied`, `expired`, `withdrawn`, or that of the grant that it made: `approved`,
    /// `active`, `spent`, `expired`, `revoked`.
    state: &'static str,
    /// Where people look at it.
    url: String,
    /// What rules call `user`: who asks.
    user: String,
    /// Name of the issuer document.
    issuer: String,
    /// The token's subject.
    subject: String,
    /// The requester's groups.
    groups: Vec<String>,
    /// Name of the connection.
    connection: String,
    /// What is asked for.
    operations: Vec<OperationView>,
    /// On which models: names, and globs where access is asked for ahead of time.
    models: Vec<String>,
    /// The request that is held; none where access is asked for ahead of time.
    request: Option<RequestView>,
    /// The access that is asked for ahead of time.
    access: Option<AccessView>,
    /// Why, in the requester's words.
    reason: Option<String>,
    /// A ticket. That there is one is not checked.
    ticket: Option<String>,
    /// When it was asked, milliseconds since the Unix epoch.
    asked_ms: u64,
    /// From then on nobody answers any more, milliseconds since the Unix epoch.
    decide_by_ms: u64,
    /// Version of the documents when it was asked.
    version: u64,
    /// What the rules want, all of it.
    requirements: Vec<RequirementView>,
    /// The longest grant that an answer may give, in minutes from its first use.
    minutes_max: u64,
    /// The most uses that an answer may give, the held one included.
    uses_max: u64,
    /// Answers, in the order in which they came.
    votes: Vec<VoteView>,
    /// Whether somebody waits on an open connection now.
    waiting: bool,
    /// What the requester asked before.
    before: HistoryView,
    /// Present where somebody went ahead at once.
    break_glass: Option<ReviewView>,
    /// The grant that it made.
    grant: Option<String>,
    /// How it left `pending`.
    ended: Option<EndedView>,
    /// Whether the rules name the caller among those who may answer, and it is not their own.
    may_answer: bool,
    /// All of it in words, without a word of a prompt.
    summary: SummaryView,
}

impl From<Summary> for SummaryView {
    fn from(summary: Summary) -> Self {
        let row = |SummaryRow { name, value }: SummaryRow| SummaryRowView { name, value };
        Self { title: summary.title, rows: summary.rows.into_iter().map(row).collect() }
    }
}

impl From<&Ended> for EndedView {
    fn from(ended: &Ended) -> Self {
        Self {
            at_ms: ended.at_ms,
            by: ended.by.clone().into(),
            cause: serde_json::to_value(ended.cause).unwrap_or_default(),
            note: ended.note.clone(),
        }
    }
}

impl From<&CastVote> for VoteView {
    fn from(cast: &CastVote) -> Self {
        let (vote, reason, widened) = match cast.vote.clone() {
            Vote::Approve { minutes, uses, operations } => {
                ("approve", None, (minutes, uses, operations))
            }
            Vote::Deny { reason } => ("deny", Some(reason), (None, None, None)),
        };
        let (minutes, uses, operations) = widened;
        let (channel, webhook, on_behalf_of) = match cast.channel.clone() {
            Channel::Api => ("api", None, None),
            Channel::Page => ("page", None, None),
            Channel::Development => ("development", None, None),
            Channel::Webhook { name, on_behalf_of } => ("webhook", Some(name), on_behalf_of),
        };
        Self {
            at_ms: cast.at_ms,
            user: cast.by.user.clone(),
            issuer: cast.by.issuer.clone(),
            subject: cast.by.subject.clone(),
            vote,
            reason,
            minutes,
            uses,
            operations,
            channel,
            webhook,
            on_behalf_of,
            late: cast.is_late,
        }
    }
}

impl From<&History> for HistoryView {
    fn from(history: &History) -> Self {
        let History { asked, approved, denied } = *history;
        Self { asked, approved, denied }
    }
}

impl From<&Review> for ReviewView {
    fn from(review: &Review) -> Self {
        Self {
            justify_by_ms: review.justify_by_ms,
            justified_ms: review.justification.as_ref().map(|said| said.at_ms),
            justification: review.justification.as_ref().map(|said| said.text.clone()),
            overdue: review.is_overdue,
            closed_ms: review.closed.as_ref().map(|closed| closed.at_ms),
            closed_by: review.closed.as_ref().map(|closed| closed.by.clone().into()),
        }
    }
}

impl From<&AskedRequest> for RequestView {
    fn from(asked: &AskedRequest) -> Self {
        let AskedRequest { facts, method, target, digest, body_bytes, body_sha256, .. } = asked;
        let shown = asked.shown.iter();
        let shown =
            shown.map(|(name, value)| ShownField { name: name.clone(), value: value.clone() });
        Self {
            method: method.clone(),
            target: target.clone(),
            digest: digest.clone(),
            body_bytes: *body_bytes,
            body_sha256: body_sha256.clone(),
            shown: shown.collect(),
            unnamed_model: facts.unnamed_model,
            peer: asked.peer.clone(),
            agent: asked.agent.clone(),
        }
    }
}

impl ApprovalView {
    /// An approval as this caller sees it.
    pub(crate) fn new(state: &State, approval: &Approval, caller: &Sight<'_>) -> Self {
        let Approval { requester, asked, .. } = approval;
        let (request, access) = match asked {
            Asked::Request(request) => (Some(RequestView::from(&**request)), None),
            Asked::Access(access) => (
                None,
                Some(AccessView {
                    minutes: access.minutes,
                    uses: access.uses,
                    extends: access.extends.clone(),
                }),
            ),
        };
        let limits = approval.requirements.iter().map(|one| one.asks.grant);
        let votes = approval.votes.iter();
        Self {
            id: approval.id.clone(),
            state: state.shown_state(approval).name(),
            url: state.approval_url(&approval.id),
            user: requester.user.clone(),
            issuer: requester.issuer.clone(),
            subject: requester.subject.clone(),
            groups: requester.groups.clone(),
            connection: approval.connection.clone(),
            operations: operations(asked),
            models: models(asked),
            request,
            access,
            reason: approval.reason.clone(),
            ticket: approval.ticket.clone(),
            asked_ms: approval.asked_ms,
            decide_by_ms: approval.decide_by_ms,
            version: approval.version,
            requirements: requirements(state, approval),
            minutes_max: limits.clone().map(|limits| limits.minutes_max).min().unwrap_or(0),
            uses_max: limits.map(|limits| limits.uses_max).min().unwrap_or(0),
            votes: votes.map(VoteView::from).collect(),
            waiting: approval.has_callers(),
            before: (&approval.before).into(),
            break_glass: approval.break_glass.as_ref().map(ReviewView::from),
            grant: approval.grant.clone(),
            ended: approval.ended.as_ref().map(EndedView::from),
            may_answer: caller.may_answer(approval),
            summary: approval.summary().into(),
        }
    }
}

fn operations(asked: &Asked) -> Vec<OperationView> {
    let view = |(name, risk): (&String, Risk)| OperationView { name: name.clone(), risk };
    // What this version does not know is as bad as can be.
    let risk = |name: &str| Operation::named(name).map_or(Risk::Critical, Operation::default_risk);
    match asked {
        Asked::Request(request) => {
            let operations = request.facts.operations.iter();
            operations.map(|(name, risk)| view((name, *risk))).collect()
        }
        Asked::Access(access) => {
            let operations = access.operations.iter();
            operations.map(|name| view((name, risk(name)))).collect()
        }
    }
}

fn models(asked: &Asked) -> Vec<String> {
    match asked {
        Asked::Request(request) => {
            request.facts.model.iter().chain(&request.facts.other_models).cloned().collect()
        }
        Asked::Access(access) => access.models.clone(),
    }
}

/// What each rule wants, by the votes so far: with the groups that each voter had then.
fn requirements(state: &State, approval: &Approval) -> Vec<RequirementView> {
    let key = |identity: &Identity| state.person_of(&identity.issuer, &identity.subject);
    let requester = key(&approval.requester);
    let counts = |cast: &&CastVote| !cast.is_late && !state.is_vote_revoked(cast);
    let yes = approval.votes.iter().filter(counts);
    let yes = yes.filter(|cast| matches!(cast.vote, Vote::Approve { .. }));
    let people: Vec<(&Identity, PersonKey)> = yes.map(|cast| (&cast.by, key(&cast.by))).collect();
    let approvers: Vec<Approver<'_>> =
        people.iter().map(|(identity, person)| Approver { identity, person }).collect();
    let all = approval.requirements.iter();
    all.map(|requirement| requirement_view(requirement, &requester, &approvers)).collect()
}

fn requirement_view(
    requirement: &Requirement,
    requester: &PersonKey,
    approvers: &[Approver<'_>],
) -> RequirementView {
    let Requirement { rule, asks, is_automatic } = requirement;
    let counted = approvers.iter().filter(|one| one.person != requester);
    let counted = counted.filter(|one| counts(asks, one.identity)).map(|one| one.person);
    RequirementView {
        rule: rule.clone(),
        met: *is_automatic || satisfied(asks, requester, approvers),
        automatic: *is_automatic,
        quorum: asks.quorum,
        agreed: counted.collect::<BTreeSet<_>>().len(),
        reviewers: serde_json::to_value(&asks.reviewers).unwrap_or_default(),
        one_from_each: serde_json::to_value(&asks.one_from_each).unwrap_or_default(),
        minutes_max: asks.grant.minutes_max,
        uses_max: asks.grant.uses_max,
    }
}

/// Whether somebody counts towards a quorum: a reviewer, or, where a rule names none, who matches
/// one of those of whom each needs somebody.
fn counts(asks: &Asks, identity: &Identity) -> bool {
    let who = if asks.reviewers.is_empty() { &asks.one_from_each } else { &asks.reviewers };
    who.iter().any(|subject| subject_matches(subject, identity))
}
