//! After somebody went ahead at once: they justify it, somebody else looks at it.

use serde_json::json;

use super::bounds::is_justification;
use super::{Closed, Justification};
use crate::draft::Draft;
use crate::event::{Answer, Outcome, Refusal, Requester};
use crate::state::State;

/// Whoever went ahead says why. They may say more until somebody closed the review; acts keep all.
pub(crate) fn justify(
    state: &State,
    by: &Requester,
    id: &str,
    text: String,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    let approval = state.durable.approvals.get(id).ok_or(Refusal::NotFound("approval"))?;
    if !state.is_requester(approval, by) {
        return Err(Refusal::NotYours);
    }
    if !is_justification(&text) {
        return Err(Refusal::Bounds);
    }
    let mut approval = (**approval).clone();
    let review = approval.break_glass.as_mut().ok_or(Refusal::NoReview)?;
    if review.closed.is_some() {
        return Err(Refusal::Ended(state.shown_state(&approval)));
    }
    let before = json!({"justification": review.justification});
    review.justification = Some(Justification { at_ms: now_ms, text });
    let after = json!({"justification": review.justification});
    let mut draft = Draft::new(state, now_ms);
    draft.put_approval(approval);
    draft.act(by.actor(), "break-glass.justify", format!("approval/{id}"), &before, &after);
    Ok(draft.finish(Answer::Approval(id.to_owned())))
}

/// A reviewer who is not whoever went ahead closes the review, once it was justified or the time
/// for that is over.
pub(crate) fn close_review(
    state: &State,
    by: &Requester,
    id: &str,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    let approval = state.durable.approvals.get(id).ok_or(Refusal::NotFound("approval"))?;
    let Requester::Identity(identity) = by else { return Err(Refusal::NotAReviewer) };
    if state.is_requester(approval, by) {
        return Err(Refusal::OwnRequest);
    }
    if !state.is_reviewer(approval, identity) {
        return Err(Refusal::NotAReviewer);
    }
    let mut approval = (**approval).clone();
    let review = approval.break_glass.as_mut().ok_or(Refusal::NoReview)?;
    if review.closed.is_some() {
        return Err(Refusal::Ended(state.shown_state(&approval)));
    }
    if review.justification.is_none() && now_ms < review.justify_by_ms {
        return Err(Refusal::NotJustified);
    }
    review.closed = Some(Closed { at_ms: now_ms, by: by.actor() });
    let after = json!({"closed_ms": now_ms, "justification": review.justification});
    let mut draft = Draft::new(state, now_ms);
    draft.put_approval(approval);
    draft.act(by.actor(), "break-glass.close", format!("approval/{id}"), &json!(null), &after);
    Ok(draft.finish(Answer::Approval(id.to_owned())))
}
