//! Answers of reviewers, and of the requester who thinks better of it.

use penstock_config::identity::Identity;
use serde_json::json;

use super::bounds::{is_bounded_identity, is_reason};
use super::close::{Ending, approve, end};
use super::terms::Limits;
use super::{Approval, ApprovalState, CastVote, Channel, EndCause, ShownState, VOTES_MAX, Vote};
use crate::clock;
use crate::draft::Draft;
use crate::event::{Answer, Outcome, Refusal, Requester};
use crate::grants::LIVE_MAX;
use crate::state::State;

/// Somebody answers. The first answer that decides counts; later ones are kept and change nothing.
pub(crate) fn vote(
    state: &State,
    by: &Requester,
    id: &str,
    vote: Vote,
    channel: Channel,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    let approval = state.durable.approvals.get(id).ok_or(Refusal::NotFound("approval"))?;
    let Requester::Identity(identity) = by else { return Err(Refusal::NotAReviewer) };
    check_voter(state, approval, identity)?;
    check_texts(&vote, &channel)?;
    check_channel(state, approval, identity, &channel)?;
    let person = state.person(identity);
    let has_voted = approval.votes.iter().any(|one| state.person(&one.by) == person);
    let mut draft = Draft::new(state, now_ms);
    let over = over(&mut draft, approval);
    match over {
        Some(shown) if has_voted => return Err(Refusal::Ended(shown)),
        Some(_) | None if has_voted => return Err(Refusal::AlreadyVoted),
        Some(_) | None if approval.votes.len() >= VOTES_MAX => {
            return Err(Refusal::Full { what: "votes", limit: VOTES_MAX });
        }
        Some(_) | None => {}
    }
    if over.is_none() {
        let limits = limits_now(state, approval);
        approval.terms_of_vote(&vote, limits)?;
    }
    let current = draft.state.durable.approvals.get(id).ok_or(Refusal::NotFound("approval"))?;
    let mut approval = (**current).clone();
    let cast = CastVote {
        at_ms: now_ms,
        by: (**identity).clone(),
        vote,
        channel,
        is_late: over.is_some(),
    };
    record(&mut draft, &mut approval, cast, by);
    match over {
        Some(shown) => Ok(draft.finish(Answer::ApprovalEnded(shown))),
        None => {
            decide(&mut draft, approval, by)?;
            Ok(draft.finish(Answer::Approval(id.to_owned())))
        }
    }
}

/// Who may answer: a reviewer by the rules of now, and never the requester, under whichever of
/// their identities and whatever role they have.
fn check_voter(state: &State, approval: &Approval, identity: &Identity) -> Result<(), Refusal> {
    if state.person(identity) == state.person(&approval.requester) {
        return Err(Refusal::OwnRequest);
    }
    if !state.is_reviewer(approval, identity) {
        return Err(Refusal::NotAReviewer);
    }
    if is_bounded_identity(identity) { Ok(()) } else { Err(Refusal::Bounds) }
}

/// A webhook has no token whose time of issue could be later than a revocation: any one of its
/// identity counts. In whose name it answers counts for nothing, unless that is the requester's.
fn check_channel(
    state: &State,
    approval: &Approval,
    identity: &Identity,
    channel: &Channel,
) -> Result<(), Refusal> {
    let on_behalf_of = match channel {
        Channel::Api | Channel::Page | Channel::Development => return Ok(()),
        Channel::Webhook { on_behalf_of, .. } => on_behalf_of.as_deref(),
    };
    if state.identity_revoked_ms(&identity.issuer, &identity.subject).is_some() {
        return Err(Refusal::IdentityRevoked);
    }
    let requester = &approval.requester;
    let linked = state.linked(requester).map(|one| one.subject.as_str());
    let mut names = [requester.user.as_str(), &requester.subject].into_iter().chain(linked);
    // Systems spell names of people in their own ways.
    let plain = |name: &str| name.trim().to_lowercase();
    if on_behalf_of.map(plain).is_some_and(|given| names.any(|name| plain(name) == given)) {
        return Err(Refusal::OwnRequest);
    }
    Ok(())
}

fn check_texts(vote: &Vote, channel: &Channel) -> Result<(), Refusal> {
    let is_good_vote = match vote {
        Vote::Approve { operations, .. } => {
            operations.as_ref().is_none_or(|operations| operations.len() <= VOTES_MAX)
        }
        Vote::Deny { reason } => is_reason(reason),
    };
    let is_good_channel = match channel {
        Channel::Api | Channel::Page | Channel::Development => true,
        Channel::Webhook { name, on_behalf_of } => {
            is_reason(name) && on_behalf_of.as_deref().is_none_or(is_reason)
        }
    };
    if is_good_vote && is_good_channel { Ok(()) } else { Err(Refusal::Bounds) }
}

/// How the approval is over, if it is: what time or a change of the rules did is recorded first.
fn over(draft: &mut Draft, approval: &Approval) -> Option<ShownState> {
    if !approval.is_pending() {
        return Some(draft.state.shown_state(approval));
    }
    let ending = if clock::is_over(approval.decide_by_ms, approval.answer_ms, draft.now_ms()) {
        Some(Ending::expired())
    } else {
        Ending::superseded(draft.state.standing(approval, draft.now_ms()))
    };
    let ending = ending?;
    let shown = match ending.state {
        ApprovalState::Expired => ShownState::Expired,
        ApprovalState::Pending
        | ApprovalState::Approved
        | ApprovalState::Denied
        | ApprovalState::Withdrawn => ShownState::Withdrawn,
    };
    end(draft, approval, ending);
    Some(shown)
}

fn limits_now(state: &State, approval: &Approval) -> Limits {
    Limits::of(approval.requirements.iter().map(|one| state.asks_now(one)))
}

fn record(draft: &mut Draft, approval: &mut Approval, cast: CastVote, by: &Requester) {
    let after = json!({
        "user": cast.by.user,
        "groups": cast.by.groups,
        "vote": cast.vote,
        "channel": cast.channel,
        "is_late": cast.is_late,
    });
    approval.votes.push(cast);
    draft.put_approval(approval.clone());
    let object = format!("approval/{}", approval.id);
    draft.act(by.actor(), "approval.vote", object, &json!(null), &after);
}

/// One no denies. Yes counts once every requirement, as its rule has it now, is met.
fn decide(draft: &mut Draft, mut approval: Approval, by: &Requester) -> Result<(), Refusal> {
    let Some(last) = approval.votes.last() else { return Ok(()) };
    if let Vote::Deny { reason } = &last.vote {
        let ending = Ending {
            state: ApprovalState::Denied,
            cause: EndCause::Answered,
            by: by.actor(),
            note: reason.clone(),
        };
        end(draft, &approval, ending);
        return Ok(());
    }
    let now = approval.requirements.iter().map(|one| draft.state.asks_now(one).clone());
    let now: Vec<_> = now.collect();
    for (requirement, asks) in approval.requirements.iter_mut().zip(now) {
        requirement.asks = asks;
    }
    let is_met = approval
        .requirements
        .iter()
        .all(|one| one.is_automatic || draft.state.votes_satisfy(&approval, &one.asks));
    if !is_met {
        // Together the votes must give something, also before they are enough.
        approval.terms_of_votes(limits_now(&draft.state, &approval))?;
        return Ok(());
    }
    if draft.state.index.live_grants_count() >= LIVE_MAX {
        return Err(Refusal::Full { what: "grants in force", limit: LIVE_MAX });
    }
    let terms = approval.terms_of_votes(limits_now(&draft.state, &approval))?;
    approve(draft, &approval, terms, EndCause::Answered, by.actor());
    Ok(())
}

/// The requester withdraws what they asked for.
pub(crate) fn withdraw(
    state: &State,
    by: &Requester,
    id: &str,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    let approval = state.durable.approvals.get(id).ok_or(Refusal::NotFound("approval"))?;
    if !state.is_requester(approval, by) {
        return Err(Refusal::NotYours);
    }
    let mut draft = Draft::new(state, now_ms);
    if let Some(shown) = over(&mut draft, approval) {
        return Err(Refusal::Ended(shown));
    }
    let ending = Ending {
        state: ApprovalState::Withdrawn,
        cause: EndCause::Requester,
        by: by.actor(),
        note: "the requester withdrew it".to_owned(),
    };
    end(&mut draft, approval, ending);
    Ok(draft.finish(Answer::Approval(id.to_owned())))
}

impl State {
    /// Whether somebody is the person that asks.
    pub(crate) fn is_requester(&self, approval: &Approval, by: &Requester) -> bool {
        match by {
            Requester::System => false,
            Requester::Identity(identity) => {
                self.has_issuer(&identity.issuer)
                    && self.person(identity) == self.person(&approval.requester)
            }
        }
    }
}
