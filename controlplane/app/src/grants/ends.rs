//! What nodes say of exchanges that are over. Each message may come late, twice, or before the one
//! that it answers.

use penstock_config::hold::{ENDS_MAX, End, EndOutcome, LiveEvent};
use serde_json::json;

use super::{Grant, GrantState, Use};
use crate::approvals::{EndCause, Ended, is_session, leave};
use crate::draft::Draft;
use crate::event::{Actor, Answer, Outcome, Refusal};
use crate::state::State;

/// Exchanges on a node are over.
pub(crate) fn ends(
    state: &State,
    node: &str,
    ends: Vec<End>,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    if !state.durable.nodes.contains_key(node) {
        return Err(Refusal::NotFound("node"));
    }
    if ends.len() > ENDS_MAX || !ends.iter().all(|end| is_session(&end.session)) {
        return Err(Refusal::Bounds);
    }
    let mut draft = Draft::new(state, now_ms);
    for End { session, outcome } in ends {
        end(&mut draft, node, &session, outcome);
    }
    Ok(draft.finish(Answer::Done))
}

fn end(draft: &mut Draft, node: &str, session: &str, outcome: EndOutcome) {
    let known = draft.state.durable.uses.get(session).cloned();
    match known {
        // Another node's session is none of this one's business.
        Some(one) if one.node != node => {}
        Some(one) => end_known(draft, &one, outcome),
        None if waits_elsewhere(&draft.state, node, session) => {}
        None => {
            let approval = leave(draft, session, outcome);
            // Remembered, so that a hold of this session that is still on its way, or comes twice,
            // takes no use and asks nobody.
            let now_ms = draft.now_ms();
            draft.put_use(Use {
                session: session.to_owned(),
                node: node.to_owned(),
                grants: Vec::new(),
                rules: Vec::new(),
                approval,
                at_ms: now_ms,
                ends_ms: now_ms,
                outcome: Some(outcome),
            });
        }
    }
}

fn waits_elsewhere(state: &State, node: &str, session: &str) -> bool {
    let approval = state.index.waits_for(session);
    let approval = approval.and_then(|id| state.durable.approvals.get(id));
    let waiters = approval.map(|approval| approval.waiters.as_slice()).unwrap_or_default();
    waiters.iter().any(|one| one.session == session && one.node != node)
}

fn end_known(draft: &mut Draft, one: &Use, outcome: EndOutcome) {
    match (one.outcome, outcome) {
        (None, EndOutcome::NothingSent) => {
            give_back(draft, one);
            close_use(draft, one, outcome);
        }
        (None, EndOutcome::Ended) => close_use(draft, one, outcome),
        // The node said this before it heard of the use, of which it says nothing: it runs until
        // the node does.
        (None, EndOutcome::Withdrawn | EndOutcome::HoldOver) => {}
        // What is over stays over.
        (
            Some(_),
            EndOutcome::Withdrawn
            | EndOutcome::HoldOver
            | EndOutcome::Ended
            | EndOutcome::NothingSent,
        ) => {}
    }
}

/// Records how an exchange ended. A grant whose every use is taken is over with the last of them.
pub(crate) fn close_use(draft: &mut Draft, one: &Use, outcome: EndOutcome) {
    let mut closed = one.clone();
    closed.outcome = Some(outcome);
    closed.at_ms = draft.now_ms();
    draft.put_use(closed);
    for id in &one.grants {
        settle(draft, id);
    }
}

/// Ends a grant whose every use is taken and under which nothing runs.
fn settle(draft: &mut Draft, id: &str) {
    let Some(grant) = draft.state.durable.grants.get(id).cloned() else { return };
    let runs = draft.state.index.running_under(id).next().is_some();
    if grant.state != GrantState::Spent || grant.ended.is_some() || runs {
        return;
    }
    let mut grant = (*grant).clone();
    let by = Actor::system();
    let at_ms = draft.now_ms();
    grant.ended = Some(Ended { at_ms, by, cause: EndCause::Used, note: String::new() });
    draft.put_grant(grant);
    // Nothing is left to cut, and no credential is needed for it any more.
    draft.tell(LiveEvent::GrantEnded { id: id.to_owned() });
}

/// Gives back one use of each grant: nothing was sent.
fn give_back(draft: &mut Draft, one: &Use) {
    for id in &one.grants {
        let Some(grant) = draft.state.durable.grants.get(id).cloned() else { continue };
        let mut grant = (*grant).clone();
        grant.uses = grant.uses.saturating_sub(1);
        match grant.state {
            GrantState::Expired | GrantState::Revoked => {}
            GrantState::Approved | GrantState::Active | GrantState::Spent => {
                revive(&mut grant);
                draft.tell_live(&grant);
                draft.tell(LiveEvent::Approval { id: grant.approval.clone() });
            }
        }
        let after = json!({"session": one.session, "uses": grant.uses, "state": grant.state});
        let actor = Actor { issuer: String::new(), subject: one.node.clone() };
        draft.put_grant(grant);
        draft.act(actor, "grant.give-back", format!("grant/{id}"), &json!({}), &after);
    }
}

/// A grant that was used by nobody so far waits for its first use again, until when it did before.
fn revive(grant: &mut Grant) {
    if grant.uses == 0 {
        grant.state = GrantState::Approved;
        grant.first_used_ms = None;
        grant.ends_ms = None;
    } else {
        grant.state = GrantState::Active;
    }
}
