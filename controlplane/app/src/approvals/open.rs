//! A new question: what must be given for it to be asked, what answers it by itself, and whom it
//! then waits for.

use std::sync::Arc;

use penstock_config::approval_rules::{auto_approved, may_break_glass, ticket_matches};
use penstock_config::documents::{Approval as Asks, NotificationEvent, Reason};
use penstock_config::identity::Identity;
use serde_json::json;

use super::close::approve;
use super::terms::Limits;
use super::{
    Approval, ApprovalState, Asked, EndCause, History, NEW_BURST_MAX, PENDING_OF_IDENTITY_MAX,
    REVIEWS_MAX, REVIEWS_OF_IDENTITY_MAX, Requirement, Waiter, exact,
};
use crate::draft::Draft;
use crate::event::{Actor, Refusal};
use crate::grants::{LIVE_MAX, LIVE_OF_IDENTITY_MAX};
use crate::state::State;

/// Approvals of somebody that are looked through for what they asked before.
const HISTORY_MAX: usize = 1_000;
/// How far back that is, in milliseconds: 30 days.
const HISTORY_MS: u64 = 30 * 86_400_000;

/// A question to ask.
pub(crate) struct Question<'a> {
    pub(crate) id: String,
    pub(crate) identity: &'a Identity,
    pub(crate) connection: &'a str,
    pub(crate) asked: Asked,
    pub(crate) rules: &'a [Arc<str>],
    pub(crate) reason: Option<String>,
    pub(crate) ticket: Option<String>,
    pub(crate) break_glass: bool,
    pub(crate) waiter: Option<Waiter>,
}

/// What became of it.
pub(crate) enum Opened {
    /// It waits for people.
    Pending(Box<Approval>),
    /// It answered itself, or somebody went ahead at once; the id of the approval.
    Granted(String),
}

/// Why a question is not asked.
pub(crate) enum NotAsked {
    /// A rule wants a reason, or a ticket.
    Wanting(Refusal),
    /// Too much waits, or may be used, already.
    TooMany(Refusal),
}

impl NotAsked {
    /// As those hear it who ask over the API.
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Wanting(refusal) | Self::TooMany(refusal) => refusal,
        }
    }
}

/// Asks.
pub(crate) fn open(draft: &mut Draft, question: Question<'_>) -> Result<Opened, NotAsked> {
    let now_ms = draft.now_ms();
    let requirements = requirements(&draft.state, &question, now_ms)?;
    let asks: Vec<Asks> = requirements.iter().map(|one| one.asks.clone()).collect();
    let limits = Limits::of(&asks);
    let is_automatic = requirements.iter().all(|one| one.is_automatic);
    let mut waiting = requirements.iter().filter(|one| !one.is_automatic);
    let breaks_glass = question.break_glass
        && !is_automatic
        && waiting.all(|one| may_break_glass(&one.asks, question.identity));
    admit(&draft.state, &question, is_automatic || breaks_glass, breaks_glass)?;
    if breaks_glass && question.reason.is_none() {
        let rule = requirements.first().map(|one| one.rule.clone()).unwrap_or_default();
        return Err(NotAsked::Wanting(Refusal::ReasonRequired { rule }));
    }
    if !draft.state.rates.take(&exact(question.identity), now_ms) {
        let what = "new approvals of yours within two minutes";
        return Err(NotAsked::TooMany(Refusal::Full { what, limit: NEW_BURST_MAX }));
    }
    let approval = Approval {
        before: history(&draft.state, &question, now_ms),
        id: question.id,
        asked_ms: now_ms,
        decide_by_ms: now_ms.saturating_add(limits.answer_ms),
        answer_ms: limits.answer_ms,
        requester: question.identity.clone(),
        connection: question.connection.to_owned(),
        asked: question.asked,
        requirements,
        reason: question.reason,
        ticket: question.ticket,
        version: draft.state.durable.position.version,
        state: ApprovalState::Pending,
        votes: Vec::new(),
        ended: None,
        grant: None,
        break_glass: None,
        waiters: question.waiter.into_iter().collect(),
        is_kept: false,
    };
    let by = Actor {
        issuer: question.identity.issuer.clone(),
        subject: question.identity.subject.clone(),
    };
    let object = format!("approval/{}", approval.id);
    draft.put_approval(approval.clone());
    draft.act(by.clone(), "approval.request", object, &json!(null), &shown(&approval));
    if is_automatic {
        let terms = approval.terms_asked(limits);
        let by = Actor::system();
        approve(draft, &approval, terms, EndCause::Automatic, by);
        return Ok(Opened::Granted(approval.id));
    }
    if breaks_glass {
        let glass = asks.iter().filter_map(|one| one.break_glass.as_ref());
        let minutes_max = glass.map(|one| one.minutes_max).min().unwrap_or(0);
        let terms = approval.terms_of_break_glass(limits, minutes_max);
        approve(draft, &approval, terms, EndCause::BreakGlass, by);
        return Ok(Opened::Granted(approval.id));
    }
    draft.notify(NotificationEvent::ApprovalRequested, &approval, None);
    Ok(Opened::Pending(Box::new(approval)))
}

/// What each rule asks for, and that what it wants for asking is there.
fn requirements(
    state: &State,
    question: &Question<'_>,
    now_ms: u64,
) -> Result<Vec<Requirement>, NotAsked> {
    let mut requirements = Vec::with_capacity(question.rules.len());
    for rule in question.rules {
        // A rule that needs approval and asks for none would be one that no document can be.
        let asks = state.asks_of(rule).ok_or(NotAsked::Wanting(Refusal::NotFound("rule")))?;
        let rule = rule.to_string();
        if asks.reason == Reason::Required && question.reason.is_none() {
            return Err(NotAsked::Wanting(Refusal::ReasonRequired { rule }));
        }
        if !ticket_matches(asks, question.ticket.as_deref()) {
            let pattern = asks.ticket.clone().unwrap_or_default();
            return Err(NotAsked::Wanting(Refusal::TicketRequired { rule, pattern }));
        }
        let is_automatic = auto_approved(asks, question.identity, now_ms);
        requirements.push(Requirement { rule, asks: asks.clone(), is_automatic });
    }
    Ok(requirements)
}

/// Whether there is room.
fn admit(
    state: &State,
    question: &Question<'_>,
    grants_at_once: bool,
    breaks_glass: bool,
) -> Result<(), NotAsked> {
    let pending_max = state.tuning.approvals_pending_max;
    let full = |what, limit| Err(NotAsked::TooMany(Refusal::Full { what, limit }));
    let requester = exact(question.identity);
    // One identity never fills what all of them share.
    if grants_at_once && state.index.live_grants_count_of(&requester) >= LIVE_OF_IDENTITY_MAX {
        return full("grants of yours in force", LIVE_OF_IDENTITY_MAX);
    }
    if breaks_glass && state.index.reviews_count_of(&requester) >= REVIEWS_OF_IDENTITY_MAX {
        return full("reviews of yours that are open", REVIEWS_OF_IDENTITY_MAX);
    }
    if state.index.live_grants_count() >= LIVE_MAX && grants_at_once {
        return full("grants in force", LIVE_MAX);
    }
    if state.index.reviews_count() >= REVIEWS_MAX && breaks_glass {
        return full("reviews that are open", REVIEWS_MAX);
    }
    if grants_at_once {
        return Ok(());
    }
    if state.index.pending_count() >= pending_max {
        return full("approvals that wait", pending_max);
    }
    if state.index.pending_count_of(&requester) >= PENDING_OF_IDENTITY_MAX {
        return full("approvals of yours that wait", PENDING_OF_IDENTITY_MAX);
    }
    Ok(())
}

/// What the requester asked before, of the same.
fn history(state: &State, question: &Question<'_>, now_ms: u64) -> History {
    let operations: Vec<&str> = match &question.asked {
        Asked::Request(request) => {
            request.facts.operations.iter().map(|(name, _)| name.as_str()).collect()
        }
        Asked::Access(access) => access.operations.iter().map(String::as_str).collect(),
    };
    let requester = exact(question.identity);
    let asked = state.index.asked_by(&requester).take(HISTORY_MAX);
    let asked = asked.filter_map(|id| state.durable.approvals.get(id));
    let recent = asked.take_while(|approval| approval.asked_ms.saturating_add(HISTORY_MS) > now_ms);
    let mut history = History::default();
    for approval in recent.filter(|approval| approval.connection == question.connection) {
        if !approval.operations().any(|name| operations.contains(&name)) {
            continue;
        }
        history.asked = history.asked.saturating_add(1);
        match approval.state {
            ApprovalState::Approved => history.approved = history.approved.saturating_add(1),
            ApprovalState::Denied => history.denied = history.denied.saturating_add(1),
            ApprovalState::Pending | ApprovalState::Expired | ApprovalState::Withdrawn => {}
        }
    }
    history
}

/// A new approval as its act keeps it.
fn shown(approval: &Approval) -> serde_json::Value {
    let requester = &approval.requester;
    json!({
        "user": requester.user,
        "groups": requester.groups,
        "connection": approval.connection,
        "asked": approval.asked,
        "rules": approval.rules().collect::<Vec<_>>(),
        "reason": approval.reason,
        "ticket": approval.ticket,
        "decide_by_ms": approval.decide_by_ms,
        "version": approval.version,
    })
}
