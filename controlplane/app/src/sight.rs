//! Who sees which approvals, grants and sessions, and the states that they are shown with.

use std::sync::Arc;

use penstock_config::hold::OpenSession;
use penstock_config::identity::Identity;

use crate::approvals::{Approval, ApprovalState, ShownState};
use crate::grants::{Grant, GrantState};
use crate::roles::{Action, allows, roles_of};
use crate::state::State;

impl State {
    /// Where people look at an approval.
    pub fn approval_url(&self, id: &str) -> String {
        format!("{}/approvals/{id}", self.tuning.approval_url)
    }

    /// An approval's state as it is shown: its own, or that of its grant. As recorded, which is
    /// behind the clock by no more than two ticks; [`Self::shown_state_at`] compares.
    pub fn shown_state(&self, approval: &Approval) -> ShownState {
        match approval.state {
            ApprovalState::Pending => ShownState::Pending,
            ApprovalState::Denied => ShownState::Denied,
            ApprovalState::Expired => ShownState::Expired,
            ApprovalState::Withdrawn => ShownState::Withdrawn,
            ApprovalState::Approved => {
                let grant = approval.grant.as_ref().and_then(|id| self.durable.grants.get(id));
                grant.map_or(ShownState::Approved, |grant| self.shown_grant_state(grant))
            }
        }
    }

    /// [`Self::shown_state`] at a time.
    pub fn shown_state_at(&self, approval: &Approval, now_ms: u64) -> ShownState {
        let grant = approval.grant.as_ref().and_then(|id| self.durable.grants.get(id));
        let is_over = match approval.state {
            ApprovalState::Pending => {
                crate::clock::is_over(approval.decide_by_ms, approval.answer_ms, now_ms)
            }
            ApprovalState::Approved => {
                grant.is_some_and(|grant| grant.is_live() && grant.is_over(now_ms))
            }
            ApprovalState::Denied | ApprovalState::Expired | ApprovalState::Withdrawn => false,
        };
        if is_over { ShownState::Expired } else { self.shown_state(approval) }
    }

    /// A grant's state as it is shown.
    pub fn shown_grant_state(&self, grant: &Grant) -> ShownState {
        match grant.state {
            GrantState::Approved => ShownState::Approved,
            GrantState::Active => ShownState::Active,
            GrantState::Spent => ShownState::Spent,
            GrantState::Expired => ShownState::Expired,
            GrantState::Revoked => ShownState::Revoked,
        }
    }

    /// Whether somebody may see an approval: by a role, as the person that asks, as somebody who
    /// may answer.
    pub fn may_see_approval(&self, identity: &Identity, approval: &Approval) -> bool {
        self.sees_all(identity, Action::ReadApprovals)
            || self.is_same_person(identity, &approval.requester)
            || self.is_reviewer(approval, identity)
    }

    /// Whether somebody may see a grant: whoever may see its approval.
    pub fn may_see_grant(&self, identity: &Identity, grant: &Grant) -> bool {
        let approval = self.durable.approvals.get(&grant.approval);
        self.sees_all(identity, Action::ReadApprovals)
            || approval.is_some_and(|approval| self.may_see_approval(identity, approval))
    }

    /// Whether somebody may see a session: by a role, or as the person whose it is.
    pub fn may_see_session(&self, identity: &Identity, session: &OpenSession) -> bool {
        let is_own = self.has_issuer(&identity.issuer)
            && self.person(identity) == self.person_of(&session.issuer, &session.subject);
        is_own || self.sees_all(identity, Action::ReadSessions)
    }

    /// Approvals that somebody may see, by id.
    pub fn lists_for<'a>(
        &'a self,
        identity: &'a Identity,
    ) -> impl Iterator<Item = &'a Arc<Approval>> {
        let sees_all = self.sees_all(identity, Action::ReadApprovals);
        let approvals = self.durable.approvals.values();
        approvals.filter(move |one| sees_all || self.may_see_approval(identity, one))
    }

    fn sees_all(&self, identity: &Identity, action: Action) -> bool {
        roles_of(self, identity).into_iter().any(|role| allows(role, action))
    }

    fn is_same_person(&self, one: &Identity, other: &Identity) -> bool {
        self.has_issuer(&one.issuer) && self.person(one) == self.person(other)
    }
}
