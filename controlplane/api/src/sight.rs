//! What a caller sees of approvals, grants and sessions: found out once a call, so that a listing
//! asks for no roles row by row.

use penstock_app::approvals::Approval;
use penstock_app::grants::Grant;
use penstock_app::{Action, Requester, State, authorise};
use penstock_config::approval_rules::PersonKey;
use penstock_config::hold::OpenSession;
use penstock_config::identity::Identity;

/// The eyes of one caller.
pub(crate) struct Sight<'a> {
    state: &'a State,
    /// None of the control plane itself, which sees everything.
    caller: Option<(&'a Identity, PersonKey)>,
    sees_all: bool,
}

impl<'a> Sight<'a> {
    /// Of somebody who sees everything of a kind where a role allows that.
    pub(crate) fn new(state: &'a State, by: &'a Requester, all: Action) -> Self {
        let caller = match by {
            Requester::System => None,
            Requester::Identity(identity) => {
                Some((&**identity, state.person_of(&identity.issuer, &identity.subject)))
            }
        };
        Self { state, caller, sees_all: authorise(state, by, all).is_ok() }
    }

    /// An approval of theirs, or one that they may answer.
    pub(crate) fn sees_approval(&self, approval: &Approval) -> bool {
        let requester = &approval.requester;
        self.sees_all
            || self.is_own(&requester.issuer, &requester.subject)
            || self.may_answer(approval)
    }

    /// A grant of theirs, or of an approval that they may answer.
    pub(crate) fn sees_grant(&self, grant: &Grant) -> bool {
        let approval = self.state.durable.approvals.get(&grant.approval);
        self.sees_all
            || self.is_own(&grant.owner.issuer, &grant.owner.subject)
            || approval.is_some_and(|approval| self.may_answer(approval))
    }

    /// A session of theirs.
    pub(crate) fn sees_session(&self, session: &OpenSession) -> bool {
        self.sees_all || self.is_own(&session.issuer, &session.subject)
    }

    /// Whether their answer to an approval would count.
    pub(crate) fn may_answer(&self, approval: &Approval) -> bool {
        let caller = self.caller.as_ref();
        caller.is_some_and(|(identity, _)| self.state.may_answer(approval, identity))
    }

    /// Theirs, under whichever of their identities.
    fn is_own(&self, issuer: &str, subject: &str) -> bool {
        let caller = self.caller.as_ref();
        caller.is_some_and(|(_, person)| *person == self.state.person_of(issuer, subject))
    }
}
