//! A node holds a request. The answer is always what is true now, however often it asks: a session
//! that has its use keeps it, one that is over is over, one that waits waits, and anything else is
//! decided by the rules in force here.

use std::sync::Arc;

use penstock_config::approval_rules::may_break_glass;
use penstock_config::catalogue::Classified;
use penstock_config::documents::HeldStream;
use penstock_config::hold::{HoldAnswer, HoldRequest, Pending, Refused, RefusedCode};

use super::bounds::{check_hold, fresh_id};
use super::close::{Ending, end};
use super::need::{Need, Standing};
use super::open::{NotAsked, Opened, Question, open};
use super::{Approval, ApprovalState, Asked, AskedRequest, EndCause, WAITERS_MAX, Waiter, exact};
use crate::clock;
use crate::draft::Draft;
use crate::event::{Answer, Outcome, Refusal};
use crate::grants::{
    Chosen, GrantState, RUNNING_MAX, Use, Wanted, choose, expire, go_again, reserve,
};
use crate::state::State;

/// One question of a node.
struct Asking<'a> {
    node: &'a str,
    request: &'a HoldRequest,
    classified: Classified,
    fresh: &'a str,
}

/// Answers a node.
pub(crate) fn hold(
    state: &State,
    node: &str,
    request: &HoldRequest,
    fresh: &str,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    let classified = check_hold(state, node, request)?;
    let asking = Asking { node, request, classified, fresh };
    let mut draft = Draft::new(state, now_ms);
    let answer = asking.answer(&mut draft)?;
    Ok(draft.finish(Answer::Hold(answer)))
}

impl Asking<'_> {
    fn answer(&self, draft: &mut Draft) -> Result<HoldAnswer, Refusal> {
        if let Some(refused) = self.revoked(draft) {
            return Ok(refused);
        }
        let known = draft.state.durable.uses.get(&self.request.session).cloned();
        let identity = &self.request.identity;
        let need =
            draft.state.need(identity, &self.request.connection, &self.classified, draft.now_ms());
        let rules = match need {
            Need::Nothing => {
                let message = "the rules changed: decide again";
                return Ok(self.refused(draft, RefusedCode::PolicyStale, None, message));
            }
            Need::Denied(rule) => {
                let message = "the rules do not allow this any more";
                let answer = self.refused(draft, RefusedCode::Denied, None, message);
                return Ok(with_rule(answer, rule.as_deref()));
            }
            Need::Rules(rules) => rules,
        };
        if let Some(known) = known {
            return self.again(draft, &known, &rules);
        }
        let chosen = choose(&draft.state, &self.wanted(), &rules, draft.now_ms());
        let waits_for = draft.state.index.waits_for(&self.request.session).cloned();
        if chosen.missing.is_empty() {
            return Ok(self.go(draft, &chosen, &rules, waits_for));
        }
        if let Some(id) = waits_for
            && let Some(answer) = self.waited(draft, &id, &chosen)?
        {
            return Ok(answer);
        }
        self.ask(draft, &chosen.missing)
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            identity: &self.request.identity,
            connection: &self.request.connection,
            request: &self.classified,
            digest: &self.request.digest,
        }
    }

    /// Nobody's token, nobody's session: what was revoked asks for nothing.
    fn revoked(&self, draft: &Draft) -> Option<HoldAnswer> {
        let state = &draft.state;
        let HoldRequest { identity, token_issued_ms, token_sha256, session, .. } = self.request;
        let is_revoked = state.is_revoked(identity, *token_issued_ms, token_sha256);
        let message = match (is_revoked, state.is_killed(session)) {
            (true, _) => "the token was revoked",
            (false, true) => "the session was ended by an operator",
            (false, false) => return None,
        };
        Some(self.refused(draft, RefusedCode::Denied, None, message))
    }

    /// A session that is known: it has a use, or is over.
    fn again(
        &self,
        draft: &mut Draft,
        known: &Use,
        rules: &[Arc<str>],
    ) -> Result<HoldAnswer, Refusal> {
        if known.node != self.node {
            return Err(Refusal::Bounds);
        }
        let approval = known.approval.as_deref();
        if known.outcome.is_some() {
            let message = "this exchange is over";
            return Ok(self.refused(draft, RefusedCode::ApprovalSpent, approval, message));
        }
        let is_covered = |rule: &Arc<str>| known.rules.iter().any(|one| **one == **rule);
        if !rules.iter().all(is_covered) {
            let message = "the rules ask for other approvals now: send it again";
            return Ok(self.refused(draft, RefusedCode::ApprovalDenied, approval, message));
        }
        match go_again(&draft.state, known, draft.now_ms()) {
            Some(go) => Ok(HoldAnswer::Go(go)),
            None => {
                let message = "what allowed it was revoked, or its time is over";
                Ok(self.refused(draft, RefusedCode::ApprovalDenied, approval, message))
            }
        }
    }

    /// Takes the uses.
    fn go(
        &self,
        draft: &mut Draft,
        chosen: &Chosen,
        rules: &[Arc<str>],
        waits_for: Option<String>,
    ) -> HoldAnswer {
        if draft.state.index.running_count() >= RUNNING_MAX {
            let message = "too many exchanges run under grants";
            return self.refused(draft, RefusedCode::Overloaded, None, message);
        }
        if let Some(id) = &waits_for {
            self.stop_waiting(draft, id);
        }
        let session = &self.request.session;
        let go = reserve(draft, session, self.node, &chosen.grants, rules, waits_for);
        HoldAnswer::Go(go)
    }

    /// The session does not wait any more. What it waited for is not needed where nobody else does.
    fn stop_waiting(&self, draft: &mut Draft, id: &str) {
        let Some(approval) = draft.state.durable.approvals.get(id).cloned() else { return };
        let mut approval = (*approval).clone();
        approval.waiters.retain(|one| one.session != self.request.session);
        let is_idle = approval.is_pending() && approval.waiters.is_empty() && !approval.is_kept;
        match Ending::superseded(Standing::Unneeded).filter(|_| is_idle) {
            Some(ending) => end(draft, &approval, ending),
            None => draft.put_approval(approval),
        }
    }

    /// What became of the approval that the session waits for; none where it is to ask anew.
    fn waited(
        &self,
        draft: &mut Draft,
        id: &str,
        chosen: &Chosen,
    ) -> Result<Option<HoldAnswer>, Refusal> {
        let Some(approval) = draft.state.durable.approvals.get(id).cloned() else {
            return Ok(None);
        };
        if !approval.waiters.iter().any(|one| self.is_waiter(one)) {
            return Err(Refusal::Bounds);
        }
        let id = Some(id);
        let answer = match approval.state {
            ApprovalState::Pending => return Ok(self.pending(draft, &approval, &chosen.missing)),
            ApprovalState::Approved => return Ok(self.granted(draft, &approval, chosen)),
            ApprovalState::Denied => {
                let ended = approval.ended.as_ref();
                let note = ended.map(|ended| ended.note.clone()).unwrap_or_default();
                self.refused(draft, RefusedCode::ApprovalDenied, id, &note)
            }
            ApprovalState::Expired => {
                let message = "nobody answered in time";
                self.refused(draft, RefusedCode::ApprovalExpired, id, message)
            }
            ApprovalState::Withdrawn => {
                let cause = approval.ended.as_ref().map(|ended| ended.cause);
                if cause == Some(EndCause::Superseded) {
                    self.stop_waiting(draft, &approval.id);
                    return Ok(None);
                }
                self.refused(draft, RefusedCode::ApprovalDenied, id, "it was withdrawn")
            }
        };
        Ok(Some(answer))
    }

    fn is_waiter(&self, one: &Waiter) -> bool {
        one.session == self.request.session && one.node == self.node
    }

    /// A pending approval: over in time or not, about these rules or not.
    fn pending(
        &self,
        draft: &mut Draft,
        approval: &Approval,
        missing: &[Arc<str>],
    ) -> Option<HoldAnswer> {
        if clock::is_over(approval.decide_by_ms, approval.answer_ms, draft.now_ms()) {
            end(draft, approval, Ending::expired());
            let message = "nobody answered in time";
            let id = Some(approval.id.as_str());
            return Some(self.refused(draft, RefusedCode::ApprovalExpired, id, message));
        }
        if asks_all(approval, missing) {
            return Some(self.pending_answer(draft, approval));
        }
        if let Some(ending) = Ending::superseded(Standing::Other) {
            end(draft, approval, ending);
        }
        self.stop_waiting(draft, &approval.id);
        None
    }

    /// An approved one whose grant does not let the session go; none where it is one of several
    /// that are needed.
    fn granted(
        &self,
        draft: &mut Draft,
        approval: &Approval,
        chosen: &Chosen,
    ) -> Option<HoldAnswer> {
        let grant_id = approval.grant.clone().unwrap_or_default();
        expire(draft, &grant_id);
        let grant = draft.state.durable.grants.get(&grant_id).cloned();
        let (code, message) = match grant.as_ref().map(|grant| grant.state) {
            Some(GrantState::Approved | GrantState::Active) => {
                let covers = grant.is_some_and(|grant| grant.covers(&self.wanted()));
                if covers || chosen.grants.contains(&grant_id) {
                    self.stop_waiting(draft, &approval.id);
                    return None;
                }
                (RefusedCode::ApprovalDenied, "it was approved for less than this request")
            }
            Some(GrantState::Spent) => {
                (RefusedCode::ApprovalSpent, "another copy of it went through")
            }
            Some(GrantState::Expired) => {
                (RefusedCode::ApprovalExpired, "it was approved and not used in time")
            }
            Some(GrantState::Revoked) | None => (RefusedCode::ApprovalDenied, "it was revoked"),
        };
        Some(self.refused(draft, code, Some(&approval.id), message))
    }

    /// Joins the approval of the same request, or asks.
    fn ask(&self, draft: &mut Draft, missing: &[Arc<str>]) -> Result<HoldAnswer, Refusal> {
        let requester = exact(&self.request.identity);
        let (connection, digest) = (&self.request.connection, &self.request.digest);
        let pending = draft.state.index.pending_with(&requester, connection, digest);
        let pending = pending.and_then(|id| draft.state.durable.approvals.get(id)).cloned();
        if let Some(approval) = pending {
            let is_over = clock::is_over(approval.decide_by_ms, approval.answer_ms, draft.now_ms());
            let breaks_glass = self.breaks_glass(&draft.state, missing);
            if !is_over && !breaks_glass && asks_all(&approval, missing) {
                return Ok(self.join(draft, &approval));
            }
            let ending = match Ending::superseded(Standing::Other).filter(|_| !is_over) {
                Some(ending) => ending,
                None => Ending::expired(),
            };
            end(draft, &approval, ending);
        }
        let question = Question {
            id: fresh_id(&draft.state, self.fresh)?,
            identity: &self.request.identity,
            connection,
            asked: Asked::Request(Box::new(asked(self.request))),
            rules: missing,
            reason: self.request.reason.clone(),
            ticket: self.request.ticket.clone(),
            break_glass: self.request.break_glass,
            waiter: Some(self.waiter()),
        };
        match open(draft, question) {
            Ok(Opened::Pending(approval)) => Ok(self.pending_answer(draft, &approval)),
            Ok(Opened::Granted(approval)) => self.go_with(draft, &approval),
            Err(NotAsked::Wanting(refusal)) => {
                let message = refusal.to_string();
                let answer = self.refused(draft, RefusedCode::ReasonRequired, None, &message);
                let rule = match refusal {
                    Refusal::ReasonRequired { rule } | Refusal::TicketRequired { rule, .. } => {
                        Some(rule)
                    }
                    // No other refusal says that something is wanting.
                    other => return Err(other),
                };
                Ok(with_rule(answer, rule.as_deref()))
            }
            Err(NotAsked::TooMany(refusal)) => {
                let message = refusal.to_string();
                Ok(self.refused(draft, RefusedCode::Overloaded, None, &message))
            }
        }
    }

    /// Whether it would go ahead at once where another copy of it waits.
    fn breaks_glass(&self, state: &State, missing: &[Arc<str>]) -> bool {
        let may = |rule: &Arc<str>| {
            let asks = state.asks_of(rule);
            asks.is_some_and(|asks| may_break_glass(asks, &self.request.identity))
        };
        self.request.break_glass && self.request.reason.is_some() && missing.iter().all(may)
    }

    fn waiter(&self) -> Waiter {
        Waiter { session: self.request.session.clone(), node: self.node.to_owned() }
    }

    /// One more copy of the same request waits.
    fn join(&self, draft: &mut Draft, approval: &Approval) -> HoldAnswer {
        if approval.waiters.len() >= WAITERS_MAX {
            let message = "too many copies of this request wait";
            let id = Some(approval.id.as_str());
            return self.refused(draft, RefusedCode::Overloaded, id, message);
        }
        let mut approval = approval.clone();
        approval.waiters.push(self.waiter());
        draft.put_approval(approval.clone());
        self.pending_answer(draft, &approval)
    }

    /// It answered itself: with what other grants give it goes at once.
    fn go_with(&self, draft: &mut Draft, approval: &str) -> Result<HoldAnswer, Refusal> {
        let identity = &self.request.identity;
        let need =
            draft.state.need(identity, &self.request.connection, &self.classified, draft.now_ms());
        let Need::Rules(rules) = need else { return Err(Refusal::Denied { rule: None }) };
        let chosen = choose(&draft.state, &self.wanted(), &rules, draft.now_ms());
        if !chosen.missing.is_empty() {
            let message = "the rules changed: send it again";
            let id = Some(approval);
            return Ok(self.refused(draft, RefusedCode::ApprovalDenied, id, message));
        }
        Ok(self.go(draft, &chosen, &rules, Some(approval.to_owned())))
    }

    fn pending_answer(&self, draft: &Draft, approval: &Approval) -> HoldAnswer {
        let waiting = || approval.requirements.iter().filter(|one| !one.is_automatic);
        HoldAnswer::Pending(Pending {
            approval: approval.id.clone(),
            url: draft.state.approval_url(&approval.id),
            hold_ms: waiting().map(|one| one.asks.hold_ms_max).min().unwrap_or(0),
            commit: waiting().all(|one| one.asks.stream == HeldStream::Commit),
            server_ms: draft.now_ms(),
        })
    }

    fn refused(
        &self,
        draft: &Draft,
        code: RefusedCode,
        approval: Option<&str>,
        message: &str,
    ) -> HoldAnswer {
        HoldAnswer::Refused(Refused {
            code,
            approval: approval.map(str::to_owned),
            url: approval.map(|id| draft.state.approval_url(id)),
            rule: None,
            message: message.to_owned(),
            server_ms: draft.now_ms(),
        })
    }
}

/// Whether an approval asks about all of these rules.
fn asks_all(approval: &Approval, rules: &[Arc<str>]) -> bool {
    rules.iter().all(|rule| approval.rules().any(|asked| *asked == **rule))
}

fn with_rule(mut answer: HoldAnswer, rule: Option<&str>) -> HoldAnswer {
    if let HoldAnswer::Refused(refused) = &mut answer {
        refused.rule = rule.map(str::to_owned);
    }
    answer
}

fn asked(request: &HoldRequest) -> AskedRequest {
    AskedRequest {
        facts: request.facts.clone(),
        method: request.method.clone(),
        target: request.target.clone(),
        digest: request.digest.clone(),
        body_bytes: request.body_bytes,
        body_sha256: request.body_sha256.clone(),
        shown: request.shown.clone(),
        peer: request.peer.clone(),
        agent: request.agent.clone(),
    }
}
