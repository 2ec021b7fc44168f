//! How approvals leave `pending`: the first way counts, and there is none back.

use std::sync::Arc;

use penstock_config::documents::NotificationEvent;
use penstock_config::hold::{EndOutcome, LiveEvent};
use serde_json::{Value, json};

use super::need::Standing;
use super::terms::{Limits, Terms};
use super::{Approval, ApprovalState, Asked, EndCause, Ended, Review};
use crate::draft::Draft;
use crate::event::Actor;
use crate::grants::{Grant, GrantState};

/// How an approval ends without a grant.
pub(crate) struct Ending {
    pub(crate) state: ApprovalState,
    pub(crate) cause: EndCause,
    pub(crate) by: Actor,
    pub(crate) note: String,
}

impl Ending {
    fn by_system(state: ApprovalState, cause: EndCause, note: &str) -> Self {
        Self { state, cause, by: Actor::system(), note: note.to_owned() }
    }

    /// Nobody decided in time.
    pub(crate) fn expired() -> Self {
        Self::by_system(ApprovalState::Expired, EndCause::Time, "nobody answered in time")
    }

    /// Under the rules of now it asks for something else than what must be asked.
    pub(crate) fn superseded(standing: Standing) -> Option<Self> {
        let withdrawn = |cause, note| Self::by_system(ApprovalState::Withdrawn, cause, note);
        match standing {
            Standing::Holds => None,
            Standing::Unneeded => {
                Some(withdrawn(EndCause::Superseded, "no approval is needed any more"))
            }
            Standing::Forbidden => Some(withdrawn(EndCause::Superseded, "the rules deny it now")),
            Standing::Other => {
                Some(withdrawn(EndCause::Superseded, "the rules ask for other approvals now"))
            }
            Standing::Orphaned => Some(withdrawn(
                EndCause::Orphaned,
                "its connection, or the issuer of its requester, is gone",
            )),
        }
    }
}

/// Ends an approval without a grant. Who waits for it asks again and hears so.
pub(crate) fn end(draft: &mut Draft, approval: &Approval, ending: Ending) {
    let Ending { state, cause, by, note } = ending;
    let before = json!({"state": approval.state});
    let after = json!({"state": state, "cause": cause, "note": note});
    let mut approval = approval.clone();
    approval.state = state;
    approval.ended = Some(Ended { at_ms: draft.now_ms(), by: by.clone(), cause, note });
    approval.requester.claims.clear();
    for vote in &mut approval.votes {
        vote.by.claims.clear();
    }
    let action = match state {
        ApprovalState::Pending | ApprovalState::Approved => "approval.change",
        ApprovalState::Denied => "approval.deny",
        ApprovalState::Expired => "approval.expire",
        ApprovalState::Withdrawn => "approval.withdraw",
    };
    draft.put_approval(approval.clone());
    draft.act(by, action, format!("approval/{}", approval.id), &before, &after);
    draft.tell(LiveEvent::Approval { id: approval.id.clone() });
    draft.notify(NotificationEvent::ApprovalEnded, &approval, None);
}

/// Approves: the grant is made in the same transaction.
pub(crate) fn approve(
    draft: &mut Draft,
    approval: &Approval,
    terms: Terms,
    cause: EndCause,
    by: Actor,
) {
    let now_ms = draft.now_ms();
    let grant = granted(approval, terms, now_ms, cause);
    let before = json!({"state": approval.state});
    let mut approval = approval.clone();
    approval.state = ApprovalState::Approved;
    approval.grant = Some(grant.id.clone());
    approval.ended = Some(Ended { at_ms: now_ms, by: by.clone(), cause, note: String::new() });
    if let Some(review) = break_glass(&approval, cause, now_ms) {
        approval.break_glass = Some(review);
    }
    let after = json!({
        "state": approval.state,
        "cause": cause,
        "grant": shown(&grant),
        "break_glass": approval.break_glass,
    });
    draft.put_grant(grant.clone());
    draft.put_approval(approval.clone());
    draft.act(by, "approval.approve", format!("approval/{}", approval.id), &before, &after);
    draft.tell_live(&grant);
    draft.tell(LiveEvent::Approval { id: approval.id.clone() });
    let event = if cause == EndCause::BreakGlass {
        NotificationEvent::BreakGlassUsed
    } else {
        NotificationEvent::ApprovalEnded
    };
    draft.notify(event, &approval, Some(&grant));
}

fn break_glass(approval: &Approval, cause: EndCause, now_ms: u64) -> Option<Review> {
    let asked = approval.requirements.iter().filter_map(|one| one.asks.break_glass.as_ref());
    let within_ms = asked.map(|one| one.justify_ms_max).min()?;
    (cause == EndCause::BreakGlass).then(|| Review {
        justify_by_ms: now_ms.saturating_add(within_ms),
        justification: None,
        is_overdue: false,
        closed: None,
    })
}

fn granted(approval: &Approval, terms: Terms, now_ms: u64, cause: EndCause) -> Grant {
    let suffix = approval.id.strip_prefix("apr-").unwrap_or(&approval.id);
    let limits = Limits::of(approval.requirements.iter().map(|one| &one.asks));
    let extends = match &approval.asked {
        Asked::Request(_) => None,
        Asked::Access(access) => access.extends.clone(),
    };
    Grant {
        id: format!("grt-{suffix}"),
        approval: approval.id.clone(),
        owner: approval.requester_id(),
        user: approval.requester.user.clone(),
        connection: approval.connection.clone(),
        operations: terms.operations,
        models: approval.granted_models(),
        digest: approval.digest().filter(|_| terms.is_bound).map(str::to_owned),
        rules: approval.rules().map(str::to_owned).collect(),
        uses_max: terms.uses,
        uses: 0,
        minutes: terms.minutes,
        granted_ms: now_ms,
        answer_ms: limits.answer_ms,
        use_by_ms: now_ms.saturating_add(limits.answer_ms),
        first_used_ms: None,
        ends_ms: None,
        state: GrantState::Approved,
        ended: None,
        is_break_glass: cause == EndCause::BreakGlass,
        extends,
    }
}

/// A grant as an act keeps it.
fn shown(grant: &Grant) -> Value {
    json!({
        "id": grant.id,
        "operations": grant.operations,
        "models": grant.models,
        "digest": grant.digest,
        "rules": grant.rules,
        "uses_max": grant.uses_max,
        "minutes": grant.minutes,
        "use_by_ms": grant.use_by_ms,
        "extends": grant.extends,
    })
}

/// A caller that waited is gone, or waits no longer; returns the approval that it waited for. With
/// the last one that left goes the question, unless somebody was told that it stays.
pub(crate) fn leave(draft: &mut Draft, session: &str, outcome: EndOutcome) -> Option<String> {
    leave_by(draft, session, outcome, None)
}

/// The same, by somebody else than the requester where `by` says so.
pub(crate) fn leave_by(
    draft: &mut Draft,
    session: &str,
    outcome: EndOutcome,
    by: Option<Actor>,
) -> Option<String> {
    let id = draft.state.index.waits_for(session)?.clone();
    let approval = draft.state.durable.approvals.get(&id).map(Arc::clone)?;
    let mut approval = (*approval).clone();
    approval.waiters.retain(|one| one.session != session);
    let has_left = match outcome {
        EndOutcome::Withdrawn | EndOutcome::NothingSent => true,
        EndOutcome::HoldOver | EndOutcome::Ended => {
            approval.is_kept = true;
            false
        }
    };
    let is_last = has_left && approval.waiters.is_empty() && !approval.is_kept;
    if is_last && approval.is_pending() {
        let note = match by {
            Some(_) => "its session was ended by an operator".to_owned(),
            None => "the caller left".to_owned(),
        };
        let by = by.unwrap_or_else(|| Actor {
            issuer: approval.requester.issuer.clone(),
            subject: approval.requester.subject.clone(),
        });
        let (state, cause) = (ApprovalState::Withdrawn, EndCause::CallersLeft);
        end(draft, &approval, Ending { state, cause, by, note });
    } else {
        draft.put_approval(approval);
    }
    Some(id)
}

/// Withdraws what a revoked identity asks for.
pub(crate) fn withdraw_of_identity(draft: &mut Draft, issuer: &str, subject: &str, by: &Actor) {
    let requester = penstock_config::documents::ExactIdentity {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    };
    let asked = draft.state.index.asked_by(&requester);
    let asked = asked.filter_map(|id| draft.state.durable.approvals.get(id).cloned());
    let pending: Vec<Arc<Approval>> = asked.filter(|approval| approval.is_pending()).collect();
    for approval in pending {
        let ending = Ending {
            state: ApprovalState::Withdrawn,
            cause: EndCause::IdentityRevoked,
            by: by.clone(),
            note: "its identity was revoked".to_owned(),
        };
        end(draft, &approval, ending);
    }
}

impl Draft {
    /// Drops what tokens said of whom nobody asks any more: the grant is over.
    pub(crate) fn forget_claims(&mut self, approval: &str) {
        let Some(known) = self.state.durable.approvals.get(approval) else { return };
        let has_claims = !known.requester.claims.is_empty()
            || known.votes.iter().any(|vote| !vote.by.claims.is_empty());
        if !has_claims {
            return;
        }
        let mut known = (**known).clone();
        known.requester.claims.clear();
        for vote in &mut known.votes {
            vote.by.claims.clear();
        }
        self.put_approval(known);
    }
}
