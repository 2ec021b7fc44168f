//! The open exchanges of one core, with what is needed to decide them again, and to end those that
//! were revoked.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use penstock_config::catalogue::Classified;
use penstock_config::decision::{Decision, DenyCause};
use penstock_config::hold::OpenSession;
use penstock_config::node::Position;

use crate::core::Known;
use crate::decide::denial;
use crate::enforced::Enforced;
use crate::grants::Granted;
use crate::guard::Cancel;
use crate::live::LiveChange;
use crate::reason::{Denial, Reason};
use crate::session::SessionId;
use crate::waiting::Waiting;

/// Kept facts of an exchange that is held or was allowed.
pub(crate) struct OpenExchange {
    /// Its session.
    pub(crate) session: SessionId,
    /// Who asks, and what that was verified with.
    pub(crate) known: Rc<Known>,
    /// What it does.
    pub(crate) classified: Classified,
    /// Name of the connection.
    pub(crate) connection: Rc<str>,
    /// The rule that decided.
    pub(crate) rule: Option<Arc<str>>,
    /// When its head had come, milliseconds since the Unix epoch.
    pub(crate) begun_ms: u64,
    /// The caller's address.
    pub(crate) peer: IpAddr,
    /// Ends it.
    pub(crate) cancel: Cancel,
    /// By what it is here.
    pub(crate) standing: RefCell<Standing>,
    /// When it ends with its caller's token, milliseconds since the Unix epoch; `u64::MAX`: it does
    /// not.
    pub(crate) token_ends_ms: Cell<u64>,
    /// The policy that said what of it is masked; none while it is held: that is said by the policy
    /// in force when it goes on.
    pub(crate) began_under: OnceCell<Rc<Position>>,
}

/// By what right an exchange is open.
pub(crate) enum Standing {
    /// Rules allow it.
    Allowed,
    /// It waits for an approval.
    Held(Rc<Waiting>),
    /// It runs under grants.
    Granted(Rc<Granted>),
}

impl OpenExchange {
    /// Decides it again under another policy, at a time of the wall clock; `None`: it may go on.
    /// One that waits is told where something else holds for it now.
    pub(crate) fn denied_by(&self, enforced: &Enforced, now_ms: u64) -> Option<Denial> {
        let nothing = || Denial {
            rule: None,
            operation: self.classified.operations.first().map_or("unknown", |one| one.name()),
            by_intent: false,
            wants_approval: false,
        };
        let issuer = &self.known.identity.issuer;
        if enforced.trust(issuer) != Some(self.known.trust)
            || !enforced.issuers.has_key(issuer, &self.known.key_thumbprint)
        {
            return Some(nothing());
        }
        let Some(connection) = enforced.policy.connection(&self.connection) else {
            return Some(nothing());
        };
        let (identity, classified) = (&self.known.identity, &self.classified);
        let subject = enforced.policy.subject_rules(identity);
        match enforced.policy.decide(identity, &subject, connection, classified, now_ms) {
            Decision::Allow { .. } => {
                self.tell_held(|_| true);
                None
            }
            Decision::Approve { rules, .. } => match &*self.standing.borrow() {
                Standing::Held(waiting) => {
                    waiting.policy(!waiting.has_rules(&rules));
                    None
                }
                Standing::Granted(granted) if granted.covers(&rules) => None,
                Standing::Granted(_) | Standing::Allowed => {
                    let rule = rules.into_iter().next();
                    let denial = denial(rule, DenyCause::Rule, classified);
                    Some(Denial { wants_approval: true, ..denial })
                }
            },
            Decision::Deny { rule, cause } => Some(denial(rule, cause, classified)),
        }
    }

    /// Whether it began under other masks than its connection has now, and is to end for that.
    pub(crate) fn is_cut_by_masks(&self, enforced: &Enforced) -> bool {
        match (self.began_under.get(), enforced.mask_cut(&self.connection)) {
            (Some(began), Some(cut)) => **began < cut,
            (None, _) | (_, None) => false,
        }
    }

    fn tell_held(&self, other: impl Fn(&Waiting) -> bool) {
        if let Standing::Held(waiting) = &*self.standing.borrow() {
            waiting.policy(other(waiting));
        }
    }

    /// Why it ends by what the control plane says; `None`: it goes on. One that waits asks again
    /// where its approval may have been decided.
    pub(crate) fn ended_by(&self, change: &LiveChange) -> Option<Reason> {
        if change.kills(&self.session) {
            return Some(Reason::SessionKilled);
        }
        if change.revokes(&self.known.marks) {
            return Some(Reason::Revoked);
        }
        match &*self.standing.borrow() {
            Standing::Allowed => None,
            Standing::Held(waiting) => {
                if change.may_have_decided(waiting.approval().as_deref()) {
                    waiting.ask_again();
                }
                None
            }
            Standing::Granted(granted) => {
                let ended = change.ends(&granted.grants, granted.server_ms);
                ended.then_some(Reason::GrantEnded)
            }
        }
    }

    /// Why its time is over, by clocks that may have been set or have gone on while the machine
    /// slept; `None`: it is not.
    pub(crate) fn is_over(&self, wall_ms: u64, boot: Duration) -> Option<Reason> {
        if wall_ms >= self.token_ends_ms.get() {
            return Some(Reason::TokenEnded);
        }
        match &*self.standing.borrow() {
            Standing::Granted(granted) => {
                granted.left(wall_ms, boot).is_zero().then_some(Reason::GrantEnded)
            }
            Standing::Allowed | Standing::Held(_) => None,
        }
    }

    /// Whether it is here only as long as the control plane says so.
    pub(crate) fn rests_on_live(&self) -> bool {
        match &*self.standing.borrow() {
            Standing::Allowed => false,
            Standing::Held(_) | Standing::Granted(_) => true,
        }
    }

    /// Whether it waits for an approval.
    pub(crate) fn is_held(&self) -> bool {
        matches!(&*self.standing.borrow(), Standing::Held(_))
    }

    /// Ends it; `false`: something else did already.
    pub(crate) fn cancel(&self, reason: Reason) -> bool {
        self.cancel.cancel(reason)
    }

    /// What is said of it to whoever operates the system.
    pub(crate) fn summary(&self) -> OpenSession {
        let identity = &self.known.identity;
        let (grants, approval) = match &*self.standing.borrow() {
            Standing::Allowed => (Vec::new(), None),
            Standing::Held(waiting) => {
                (Vec::new(), waiting.approval().map(|id| String::from(&*id)))
            }
            Standing::Granted(granted) => (granted.grants.to_vec(), granted.approval.clone()),
        };
        OpenSession {
            session: self.session.as_str().to_owned(),
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            user: identity.user.clone(),
            connection: String::from(&*self.connection),
            operations: self
                .classified
                .operations
                .iter()
                .map(|one| one.name().to_owned())
                .collect(),
            model: self.classified.model.clone(),
            rule: self.rule.as_deref().map(str::to_owned),
            grants,
            approval,
            begun_ms: self.begun_ms,
            peer: self.peer.to_string(),
        }
    }
}

/// What is open on one core: exchanges that run, connections that wait.
pub(crate) struct Registry<T> {
    state: Rc<RefCell<State<T>>>,
}

struct State<T> {
    next: u64,
    changes: u64,
    open: BTreeMap<u64, Rc<T>>,
}

/// Takes its item out of the registry when dropped.
pub(crate) struct Entry<T> {
    state: Rc<RefCell<State<T>>>,
    key: u64,
    item: Rc<T>,
}

impl<T> Registry<T> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let state = State { next: 0, changes: 0, open: BTreeMap::new() };
        Self { state: Rc::new(RefCell::new(state)) }
    }

    /// Adds an item for as long as the entry lives.
    pub(crate) fn enter(&self, item: T) -> Entry<T> {
        let item = Rc::new(item);
        let mut state = self.state.borrow_mut();
        let key = state.next;
        state.next = key.wrapping_add(1);
        state.changes = state.changes.wrapping_add(1);
        state.open.insert(key, Rc::clone(&item));
        Entry { state: Rc::clone(&self.state), key, item }
    }

    /// Whether one, from the oldest on, is what `is_it` looks for.
    pub(crate) fn any(&self, is_it: impl FnMut(&Rc<T>) -> bool) -> bool {
        self.state.borrow().open.values().any(is_it)
    }

    /// Those that are open now, the oldest first.
    pub(crate) fn open(&self) -> Vec<Rc<T>> {
        self.state.borrow().open.values().cloned().collect()
    }

    /// The newest ones, the newest first, and how many there are in all.
    pub(crate) fn newest(&self, most: usize) -> (Vec<Rc<T>>, usize) {
        let state = self.state.borrow();
        (state.open.values().rev().take(most).cloned().collect(), state.open.len())
    }

    /// A number that changes when what is open does.
    pub(crate) fn changes(&self) -> u64 {
        self.state.borrow().changes
    }
}

impl<T> Entry<T> {
    /// Something about the item changed.
    pub(crate) fn touch(&self) {
        let mut state = self.state.borrow_mut();
        state.changes = state.changes.wrapping_add(1);
    }
}

impl<T> std::ops::Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        let mut state = self.state.borrow_mut();
        state.changes = state.changes.wrapping_add(1);
        state.open.remove(&self.key);
    }
}
