//! The open exchanges of one core, with what is needed to decide them again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use penstock_config::catalogue::Classified;
use penstock_config::decision::Decision;
use penstock_config::identity::Identity;

use crate::decide::denial;
use crate::enforced::{Enforced, Trust};
use crate::guard::Cancel;
use crate::reason::{Denial, Reason};

/// Kept facts of an exchange that was allowed.
pub(crate) struct OpenExchange {
    /// Who asks.
    pub(crate) identity: Rc<Identity>,
    /// What it does.
    pub(crate) classified: Classified,
    /// Name of the connection.
    pub(crate) connection: Rc<str>,
    /// What its issuer was trusted for.
    pub(crate) trust: Trust,
    /// The key that its token was signed with.
    pub(crate) key_thumbprint: [u8; 32],
    /// Ends it.
    pub(crate) cancel: Cancel,
}

impl OpenExchange {
    /// Decides it again under another policy; `None`: it may go on.
    pub(crate) fn denied_by(&self, enforced: &Enforced) -> Option<Denial> {
        let nothing = || Denial {
            rule: None,
            operation: self.classified.operations.first().map_or("unknown", |one| one.name()),
            by_intent: false,
        };
        let issuer = &self.identity.issuer;
        if enforced.trust(issuer) != Some(self.trust)
            || !enforced.issuers.has_key(issuer, &self.key_thumbprint)
        {
            return Some(nothing());
        }
        let Some(connection) = enforced.policy.connection(&self.connection) else {
            return Some(nothing());
        };
        let subject = enforced.policy.subject_rules(&self.identity);
        match enforced.policy.decide(&self.identity, &subject, connection, &self.classified) {
            Decision::Allow { .. } => None,
            Decision::Deny { rule, cause } => Some(denial(rule, cause, &self.classified)),
        }
    }

    /// Ends it; `false`: something else did already.
    pub(crate) fn cancel(&self, reason: Reason) -> bool {
        self.cancel.cancel(reason)
    }
}

/// What is open on one core: exchanges that run, connections that wait.
pub(crate) struct Registry<T> {
    state: Rc<RefCell<State<T>>>,
}

struct State<T> {
    next: u64,
    open: BTreeMap<u64, Rc<T>>,
}

/// Takes its item out of the registry when dropped.
pub(crate) struct Entry<T> {
    state: Rc<RefCell<State<T>>>,
    key: u64,
}

impl<T> Registry<T> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { state: Rc::new(RefCell::new(State { next: 0, open: BTreeMap::new() })) }
    }

    /// Adds an item for as long as the entry lives.
    pub(crate) fn enter(&self, item: T) -> Entry<T> {
        let mut state = self.state.borrow_mut();
        let key = state.next;
        state.next = key.wrapping_add(1);
        state.open.insert(key, Rc::new(item));
        Entry { state: Rc::clone(&self.state), key }
    }

    /// Whether one, from the oldest on, is what `is_it` looks for.
    pub(crate) fn any(&self, is_it: impl FnMut(&Rc<T>) -> bool) -> bool {
        self.state.borrow().open.values().any(is_it)
    }

    /// Those that are open now, the oldest first.
    pub(crate) fn open(&self) -> Vec<Rc<T>> {
        self.state.borrow().open.values().cloned().collect()
    }
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        self.state.borrow_mut().open.remove(&self.key);
    }
}
