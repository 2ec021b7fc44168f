//! What time and changes of the rules do to approvals and grants. Whether something may be used is
//! a comparison where it is used: here it is recorded, a bounded number at a time.

use std::sync::Arc;

use penstock_config::documents::NotificationEvent;
use penstock_config::hold::{EndOutcome, SKEW_MS_MAX};
use serde_json::json;

use super::close::{Ending, end};
use super::{Approval, ENDED_MAX, EndCause, Requirement};
use crate::clock;
use crate::draft::Draft;
use crate::event::Actor;
use crate::grants::{Grant, GrantEnding, close_use, end_with, expire};
use crate::index::Due;
use crate::revocations::forget;
use crate::state::State;

/// Most of what is due that one tick records.
const DUE_MAX: usize = 256;
/// Most approvals or grants that are looked at anew at a time.
const SWEPT_MAX: usize = 1_000;

/// What is still to be looked at anew: after a start, after a change of the rules, after the clock
/// was set back.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Sweep {
    /// Everything was.
    #[default]
    Done,
    /// Approvals behind this id, then grants.
    Approvals(String),
    /// Grants behind this id.
    Grants(String),
}

impl Sweep {
    /// Everything is to be looked at.
    pub(crate) fn all() -> Self {
        Self::Approvals(String::new())
    }
}

/// Documents changed: what they make unneeded or impossible ends. The first part now, the rest with
/// the next ticks; until then it is the comparison at use that counts.
pub(crate) fn follow_documents(draft: &mut Draft) {
    draft.state.sweep = Sweep::all();
    sweep(draft);
}

/// An identity was revoked, and its votes count for nothing: grants that rest on them end. The
/// first part now, the rest with the next ticks; until then the comparison at use counts.
pub(crate) fn recount_votes(draft: &mut Draft) {
    match &draft.state.sweep {
        // It comes to every grant as it is.
        Sweep::Approvals(_) => {}
        Sweep::Grants(_) | Sweep::Done => draft.state.sweep = Sweep::Grants(String::new()),
    }
    sweep(draft);
}

/// Time passed.
pub(crate) fn tick(draft: &mut Draft) {
    let now_ms = draft.now_ms();
    if now_ms.saturating_add(SKEW_MS_MAX) < draft.state.ticked_ms {
        draft.state.sweep = Sweep::all();
    }
    draft.state.ticked_ms = now_ms;
    draft.state.rates.tick(now_ms);
    for due in draft.state.index.due(now_ms, DUE_MAX) {
        fall_due(draft, due);
    }
    for id in draft.state.index.outdated(now_ms, ENDED_MAX, DUE_MAX) {
        draft.delete_approval(&id);
    }
    sweep(draft);
}

fn fall_due(draft: &mut Draft, due: Due) {
    match due {
        Due::Approval(id) => {
            let approval = draft.state.durable.approvals.get(&id).cloned();
            if let Some(approval) = approval {
                approval_due(draft, &approval);
            }
        }
        Due::Grant(id) => expire(draft, &id),
        Due::Use(session) => {
            let known = draft.state.durable.uses.get(&session).cloned();
            match known {
                Some(one) if one.outcome.is_none() => close_use(draft, &one, EndOutcome::Ended),
                Some(_) | None => draft.delete_use(&session),
            }
        }
        Due::Revocation(key) => forget(draft, &key),
    }
}

fn approval_due(draft: &mut Draft, approval: &Approval) {
    if approval.is_pending() {
        end(draft, approval, Ending::expired());
        return;
    }
    let mut approval = approval.clone();
    if let Some(review) = &mut approval.break_glass {
        review.is_overdue = true;
        let object = format!("approval/{}", approval.id);
        let after = json!({"is_overdue": true});
        draft.put_approval(approval.clone());
        draft.act(Actor::system(), "break-glass.overdue", object, &json!(null), &after);
        draft.notify(NotificationEvent::BreakGlassUnjustified, &approval, None);
    }
}

fn sweep(draft: &mut Draft) {
    match std::mem::take(&mut draft.state.sweep) {
        Sweep::Done => {}
        Sweep::Approvals(behind) => {
            let ids = draft.state.index.pending_behind(&behind).take(SWEPT_MAX);
            let ids: Vec<String> = ids.cloned().collect();
            for id in &ids {
                look_at_approval(draft, id);
            }
            draft.state.sweep = match ids.last().filter(|_| ids.len() == SWEPT_MAX) {
                Some(last) => Sweep::Approvals(last.clone()),
                None => Sweep::Grants(String::new()),
            };
            if ids.len() < SWEPT_MAX {
                sweep(draft);
            }
        }
        Sweep::Grants(behind) => {
            let ids = draft.state.index.live_grants_behind(&behind).take(SWEPT_MAX);
            let ids: Vec<String> = ids.cloned().collect();
            for id in &ids {
                look_at_grant(draft, id);
            }
            draft.state.sweep = match ids.last().filter(|_| ids.len() == SWEPT_MAX) {
                Some(last) => Sweep::Grants(last.clone()),
                None => Sweep::Done,
            };
        }
    }
}

fn look_at_approval(draft: &mut Draft, id: &str) {
    let Some(approval) = draft.state.durable.approvals.get(id).map(Arc::clone) else { return };
    let now_ms = draft.now_ms();
    let ending = if clock::is_over(approval.decide_by_ms, approval.answer_ms, now_ms) {
        Some(Ending::expired())
    } else {
        Ending::superseded(draft.state.standing(&approval, now_ms))
    };
    if let Some(ending) = ending {
        end(draft, &approval, ending);
    }
}

fn look_at_grant(draft: &mut Draft, id: &str) {
    expire(draft, id);
    let Some(grant) = draft.state.durable.grants.get(id).map(Arc::clone) else { return };
    if grant.ended.is_some() {
        return;
    }
    let (cause, note) = if is_orphaned(&draft.state, &grant) {
        (EndCause::Orphaned, "its rule, its connection or the issuer of its owner is gone")
    } else if has_lost_votes(&draft.state, &grant) {
        (EndCause::IdentityRevoked, "an identity that agreed was revoked, and others are too few")
    } else {
        return;
    };
    let (by, note) = (Actor::system(), note.to_owned());
    end_with(draft, &grant, GrantEnding { cause, by, note });
}

fn is_orphaned(state: &State, grant: &Grant) -> bool {
    let is_there = |rule: &String| state.asks_of(rule).is_some();
    !state.has_issuer(&grant.owner.issuer)
        || state.connection_named(&grant.connection).is_none()
        || !grant.rules.iter().any(is_there)
}

/// Whether a vote for it was revoked, and those that are left do not satisfy its rules.
fn has_lost_votes(state: &State, grant: &Grant) -> bool {
    let Some(approval) = state.durable.approvals.get(&grant.approval) else { return false };
    let is_met =
        |one: &Requirement| one.is_automatic || state.votes_satisfy(approval, state.asks_now(one));
    !grant.is_break_glass
        && approval.votes.iter().any(|cast| !cast.is_late && state.is_vote_revoked(cast))
        && !approval.requirements.iter().all(is_met)
}
