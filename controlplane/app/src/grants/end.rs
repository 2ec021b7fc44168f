//! How grants end before every use is taken: by time, by somebody, by a change of the rules.

use penstock_config::documents::NotificationEvent;
use penstock_config::hold::LiveEvent;
use serde_json::json;

use super::{Grant, GrantState};
use crate::approvals::{EndCause, Ended, ShownState, is_reason};
use crate::draft::Draft;
use crate::event::{Actor, Answer, GrantEnd, Outcome, Refusal, Requester};
use crate::roles::{Action, authorise};
use crate::state::State;

/// How a grant ends.
pub(crate) struct GrantEnding {
    pub(crate) cause: EndCause,
    pub(crate) by: Actor,
    pub(crate) note: String,
}

/// Ends a grant. What runs under it is cut by its nodes.
pub(crate) fn end_with(draft: &mut Draft, grant: &Grant, ending: GrantEnding) {
    let GrantEnding { cause, by, note } = ending;
    let before = json!({"state": grant.state});
    let by_time = cause == EndCause::Time;
    let mut grant = grant.clone();
    grant.state = if by_time { GrantState::Expired } else { GrantState::Revoked };
    let after = json!({"state": grant.state, "cause": cause, "note": note, "uses": grant.uses});
    grant.ended = Some(Ended { at_ms: draft.now_ms(), by: by.clone(), cause, note });
    draft.put_grant(grant.clone());
    draft.act(by, "grant.end", format!("grant/{}", grant.id), &before, &after);
    draft.tell(LiveEvent::GrantEnded { id: grant.id.clone() });
    draft.tell(LiveEvent::Approval { id: grant.approval.clone() });
    draft.forget_claims(&grant.approval);
    let approval = draft.state.durable.approvals.get(&grant.approval).cloned();
    if let Some(approval) = approval.filter(|_| !by_time) {
        draft.notify(NotificationEvent::GrantEnded, &approval, Some(&grant));
    }
}

/// Records that a grant's time is over, where it is.
pub(crate) fn expire(draft: &mut Draft, id: &str) {
    let Some(grant) = draft.state.durable.grants.get(id).cloned() else { return };
    if grant.is_live() && grant.is_over(draft.now_ms()) {
        let by = Actor::system();
        let ending = GrantEnding { cause: EndCause::Time, by, note: String::new() };
        end_with(draft, &grant, ending);
    }
}

/// Somebody ends a grant: its owner, a reviewer of its rules, or whoever a role allows it.
pub(crate) fn end_grant(
    state: &State,
    by: &Requester,
    id: &str,
    how: GrantEnd,
    reason: Option<String>,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    let grant = state.durable.grants.get(id).ok_or(Refusal::NotFound("grant"))?;
    if !reason.as_deref().is_none_or(is_reason) {
        return Err(Refusal::Bounds);
    }
    let is_owner = state.is_owner(grant, by);
    match how {
        GrantEnd::GiveBack if is_owner => {}
        GrantEnd::GiveBack => return Err(Refusal::NotYours),
        GrantEnd::Revoke => {
            if !is_owner && !state.reviews_grant(grant, by) {
                authorise(state, by, Action::RevokeGrants)?;
            }
        }
    }
    if let Some(shown) = state.ended_grant(grant, now_ms) {
        return Err(Refusal::Ended(shown));
    }
    let mut draft = Draft::new(state, now_ms);
    let cause = match how {
        GrantEnd::Revoke => EndCause::Revoked,
        GrantEnd::GiveBack => EndCause::GivenBack,
    };
    let note = reason.unwrap_or_default();
    end_with(&mut draft, grant, GrantEnding { cause, by: by.actor(), note });
    Ok(draft.finish(Answer::Grant(id.to_owned())))
}

impl State {
    /// Whether somebody is the person that a grant was given to.
    fn is_owner(&self, grant: &Grant, by: &Requester) -> bool {
        match by {
            Requester::System => false,
            Requester::Identity(identity) => {
                self.has_issuer(&identity.issuer)
                    && self.person(identity)
                        == self.person_of(&grant.owner.issuer, &grant.owner.subject)
            }
        }
    }

    fn reviews_grant(&self, grant: &Grant, by: &Requester) -> bool {
        let Requester::Identity(identity) = by else { return false };
        let approval = self.durable.approvals.get(&grant.approval);
        approval.is_some_and(|approval| self.is_reviewer(approval, identity))
    }

    /// How a grant is over; none where it may still be ended: while it may be used, and while
    /// something runs under it.
    fn ended_grant(&self, grant: &Grant, now_ms: u64) -> Option<ShownState> {
        match grant.state {
            GrantState::Approved | GrantState::Active => {
                grant.is_over(now_ms).then_some(ShownState::Expired)
            }
            GrantState::Spent if grant.ended.is_none() => None,
            GrantState::Spent => Some(ShownState::Spent),
            GrantState::Expired => Some(ShownState::Expired),
            GrantState::Revoked => Some(ShownState::Revoked),
        }
    }
}
