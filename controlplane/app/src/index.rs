//! What is looked up on every hold, derived from what is durable: made anew after a start, and kept
//! in step by the few functions here, the only ones that change approvals, grants, sessions and
//! revocations. All parts are shared between states, so an event costs what it changes.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use penstock_config::documents::ExactIdentity;

use crate::approvals::{Approval, ENDED_MS_MAX};
use crate::draft::Draft;
use crate::event::Change;
use crate::grants::{ENDED_USE_MS_MAX, ENDED_USES_MAX, Grant, LOST_USE_MS, Use};
use crate::revocations::{Revocation, RevocationKey};
use crate::state::{Durable, State};

/// Requester, connection and digest of a request that waits.
type PendingKey = (ExactIdentity, String, String);

/// What falls due by itself.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Due {
    /// Nobody answers it any more, or nobody justified it.
    Approval(String),
    /// Its time is over.
    Grant(String),
    /// A session is forgotten, or its node said nothing.
    Use(String),
    /// No token lives that it is about.
    Revocation(RevocationKey),
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Index {
    /// Held requests that wait, each by its digest.
    pending_digests: OrdMap<PendingKey, String>,
    /// All that is pending.
    pending: OrdSet<String>,
    /// How much of it is whose.
    pending_of: OrdMap<ExactIdentity, usize>,
    /// What somebody asked, by the time of asking.
    asked: OrdMap<ExactIdentity, OrdSet<(u64, String)>>,
    /// Grants that may be used, as recorded.
    usable: OrdMap<(ExactIdentity, String), OrdSet<String>>,
    /// Grants that may be used or that something runs under.
    in_force: OrdSet<String>,
    /// The same by owner.
    in_force_of: OrdMap<ExactIdentity, OrdSet<String>>,
    /// What runs under a grant.
    running: OrdMap<String, OrdSet<String>>,
    /// How many sessions run under grants.
    running_count: usize,
    /// Which approval a session waits for, or waited for.
    waiters: OrdMap<String, String>,
    /// Reviews that are open, by approval.
    reviews: OrdSet<String>,
    /// The same by requester.
    reviews_of: OrdMap<ExactIdentity, OrdSet<String>>,
    /// What falls due, and when.
    due: OrdSet<(u64, Due)>,
    /// Approvals that are over, with their grants, and since when.
    over: OrdMap<String, u64>,
    /// The same by time.
    over_since: OrdSet<(u64, String)>,
    /// Sessions that are over.
    ended_uses: OrdSet<(u64, String)>,
}

impl Index {
    /// From what the store keeps.
    pub(crate) fn new(durable: &Durable) -> Self {
        let mut index = Self::default();
        for one in durable.uses.values() {
            index.swap_use(None, Some(one));
        }
        for grant in durable.grants.values() {
            index.swap_grant(None, Some(grant));
        }
        for approval in durable.approvals.values() {
            index.swap_approval(None, Some(approval));
            index.settle(durable, &approval.id);
        }
        for (key, one) in &durable.revocations {
            index.swap_revocation(key, None, Some(one));
        }
        index
    }

    /// The pending approval of this very request.
    pub(crate) fn pending_with(
        &self,
        requester: &ExactIdentity,
        connection: &str,
        digest: &str,
    ) -> Option<&String> {
        let key = (requester.clone(), connection.to_owned(), digest.to_owned());
        self.pending_digests.get(&key)
    }

    /// How much is pending in all.
    pub(crate) fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// How much somebody has pending.
    pub(crate) fn pending_count_of(&self, requester: &ExactIdentity) -> usize {
        self.pending_of.get(requester).copied().unwrap_or(0)
    }

    /// What is pending behind an id, in the order of ids.
    pub(crate) fn pending_behind(&self, id: &str) -> impl Iterator<Item = &String> {
        self.pending.range(behind(id)..)
    }

    /// What somebody asked, the newest first.
    pub(crate) fn asked_by(&self, requester: &ExactIdentity) -> impl Iterator<Item = &String> {
        self.asked.get(requester).into_iter().flat_map(|asked| asked.iter().rev().map(|(_, id)| id))
    }

    /// Grants of somebody on a connection that may be used, as recorded.
    pub(crate) fn usable(
        &self,
        owner: &ExactIdentity,
        connection: &str,
    ) -> impl Iterator<Item = &String> {
        let key = (owner.clone(), connection.to_owned());
        self.usable.get(&key).into_iter().flatten()
    }

    /// Grants that may be used or that something runs under, as recorded.
    pub(crate) fn live_grants(&self) -> impl Iterator<Item = &String> {
        self.in_force.iter()
    }

    /// The same behind an id, in the order of ids.
    pub(crate) fn live_grants_behind(&self, id: &str) -> impl Iterator<Item = &String> {
        self.in_force.range(behind(id)..)
    }

    /// How many of them there are.
    pub(crate) fn live_grants_count(&self) -> usize {
        self.in_force.len()
    }

    /// Those of somebody.
    pub(crate) fn live_grants_of(&self, owner: &ExactIdentity) -> impl Iterator<Item = &String> {
        self.in_force_of.get(owner).into_iter().flatten()
    }

    /// How many of them somebody has.
    pub(crate) fn live_grants_count_of(&self, owner: &ExactIdentity) -> usize {
        self.in_force_of.get(owner).map_or(0, OrdSet::len)
    }

    /// Sessions that run under a grant.
    pub(crate) fn running_under(&self, grant: &str) -> impl Iterator<Item = &String> {
        self.running.get(grant).into_iter().flatten()
    }

    /// How many sessions run under grants.
    pub(crate) fn running_count(&self) -> usize {
        self.running_count
    }

    /// The approval that a session waits for, or waited for.
    pub(crate) fn waits_for(&self, session: &str) -> Option<&String> {
        self.waiters.get(session)
    }

    /// How many reviews are open.
    pub(crate) fn reviews_count(&self) -> usize {
        self.reviews.len()
    }

    /// How many reviews of somebody are open.
    pub(crate) fn reviews_count_of(&self, requester: &ExactIdentity) -> usize {
        self.reviews_of.get(requester).map_or(0, OrdSet::len)
    }

    /// The earliest things that are due, at most `count`.
    pub(crate) fn due(&self, now_ms: u64, count: usize) -> Vec<Due> {
        let due = self.due.iter().take_while(|(at_ms, _)| *at_ms <= now_ms);
        due.take(count).map(|(_, due)| due.clone()).collect()
    }

    /// Approvals that are not kept any more, at most `count`: over for too long, or the oldest of
    /// too many.
    pub(crate) fn outdated(&self, now_ms: u64, over_max: usize, count: usize) -> Vec<String> {
        let excess = self.over_since.len().saturating_sub(over_max);
        let is_old = |at_ms: u64| at_ms.saturating_add(ENDED_MS_MAX) <= now_ms;
        let over = self.over_since.iter().enumerate();
        let outdated = over.take_while(|(index, (at_ms, _))| *index < excess || is_old(*at_ms));
        outdated.take(count).map(|(_, (_, id))| id.clone()).collect()
    }

    fn swap_approval(&mut self, old: Option<&Approval>, new: Option<&Approval>) {
        if let Some(old) = old {
            self.remove_approval(old);
        }
        if let Some(new) = new {
            self.add_approval(new);
        }
    }

    fn remove_approval(&mut self, old: &Approval) {
        let requester = old.requester_id();
        if old.is_pending() {
            self.pending.remove(&old.id);
            if let Some(digest) = old.digest() {
                let key = (requester.clone(), old.connection.clone(), digest.to_owned());
                self.pending_digests.remove(&key);
            }
            let left = self.pending_count_of(&requester).saturating_sub(1);
            if left == 0 {
                self.pending_of.remove(&requester);
            } else {
                self.pending_of.insert(requester.clone(), left);
            }
        }
        for waiter in &old.waiters {
            if self.waiters.get(&waiter.session) == Some(&old.id) {
                self.waiters.remove(&waiter.session);
            }
        }
        remove_from(&mut self.asked, &requester, &(old.asked_ms, old.id.clone()));
        self.reviews.remove(&old.id);
        remove_from(&mut self.reviews_of, &requester, &old.id);
        if let Some(at_ms) = approval_due(old) {
            self.due.remove(&(at_ms, Due::Approval(old.id.clone())));
        }
    }

    fn add_approval(&mut self, new: &Approval) {
        let requester = new.requester_id();
        if new.is_pending() {
            self.pending.insert(new.id.clone());
            if let Some(digest) = new.digest() {
                let key = (requester.clone(), new.connection.clone(), digest.to_owned());
                self.pending_digests.insert(key, new.id.clone());
            }
            let count = self.pending_count_of(&requester).saturating_add(1);
            self.pending_of.insert(requester.clone(), count);
        }
        for waiter in &new.waiters {
            self.waiters.insert(waiter.session.clone(), new.id.clone());
        }
        add_to(&mut self.asked, requester.clone(), (new.asked_ms, new.id.clone()));
        if new.break_glass.as_ref().is_some_and(|review| review.closed.is_none()) {
            self.reviews.insert(new.id.clone());
            add_to(&mut self.reviews_of, requester, new.id.clone());
        }
        if let Some(at_ms) = approval_due(new) {
            self.due.insert((at_ms, Due::Approval(new.id.clone())));
        }
    }

    fn swap_grant(&mut self, old: Option<&Grant>, new: Option<&Grant>) {
        if let Some(old) = old {
            let key = (old.owner.clone(), old.connection.clone());
            remove_from(&mut self.usable, &key, &old.id);
            self.in_force.remove(&old.id);
            remove_from(&mut self.in_force_of, &old.owner, &old.id);
            if let Some(at_ms) = grant_due(old) {
                self.due.remove(&(at_ms, Due::Grant(old.id.clone())));
            }
        }
        if let Some(new) = new {
            if new.is_live() {
                let key = (new.owner.clone(), new.connection.clone());
                add_to(&mut self.usable, key, new.id.clone());
            }
            if new.ended.is_none() {
                self.in_force.insert(new.id.clone());
                add_to(&mut self.in_force_of, new.owner.clone(), new.id.clone());
            }
            if let Some(at_ms) = grant_due(new) {
                self.due.insert((at_ms, Due::Grant(new.id.clone())));
            }
        }
    }

    fn swap_use(&mut self, old: Option<&Use>, new: Option<&Use>) {
        if let Some(old) = old {
            self.due.remove(&(use_due(old), Due::Use(old.session.clone())));
            if old.outcome.is_some() {
                self.ended_uses.remove(&(old.at_ms, old.session.clone()));
            } else {
                self.running_count = self.running_count.saturating_sub(1);
                for grant in &old.grants {
                    remove_from(&mut self.running, grant, &old.session);
                }
            }
        }
        if let Some(new) = new {
            self.due.insert((use_due(new), Due::Use(new.session.clone())));
            if new.outcome.is_some() {
                self.ended_uses.insert((new.at_ms, new.session.clone()));
            } else {
                self.running_count = self.running_count.saturating_add(1);
                for grant in &new.grants {
                    add_to(&mut self.running, grant.clone(), new.session.clone());
                }
            }
        }
    }

    fn swap_revocation(
        &mut self,
        key: &RevocationKey,
        old: Option<&Revocation>,
        new: Option<&Revocation>,
    ) {
        if let Some(old) = old {
            self.due.remove(&(old.forget_ms, Due::Revocation(key.clone())));
        }
        if let Some(new) = new {
            self.due.insert((new.forget_ms, Due::Revocation(key.clone())));
        }
    }

    /// Finds out anew whether an approval is over, its grant and its review with it.
    fn settle(&mut self, durable: &Durable, approval: &str) {
        if let Some(at_ms) = self.over.remove(approval) {
            self.over_since.remove(&(at_ms, approval.to_owned()));
        }
        let Some(record) = durable.approvals.get(approval) else { return };
        let grant = record.grant.as_ref().and_then(|grant| durable.grants.get(grant));
        if let Some(at_ms) = over_since(record, grant.map(|grant| &**grant)) {
            self.over.insert(approval.to_owned(), at_ms);
            self.over_since.insert((at_ms, approval.to_owned()));
        }
    }
}

/// The least text behind an id.
fn behind(id: &str) -> String {
    if id.is_empty() { String::new() } else { format!("{id}\0") }
}

fn add_to<K: Clone + Ord, V: Clone + Ord>(map: &mut OrdMap<K, OrdSet<V>>, key: K, value: V) {
    let mut set = map.get(&key).cloned().unwrap_or_default();
    set.insert(value);
    map.insert(key, set);
}

fn remove_from<K: Clone + Ord, V: Clone + Ord>(map: &mut OrdMap<K, OrdSet<V>>, key: &K, value: &V) {
    let Some(set) = map.get_mut(key) else { return };
    set.remove(value);
    if set.is_empty() {
        map.remove(key);
    }
}

fn approval_due(approval: &Approval) -> Option<u64> {
    let unjustified = approval
        .break_glass
        .as_ref()
        .filter(|review| review.justification.is_none() && !review.is_overdue)
        .filter(|review| review.closed.is_none());
    if approval.is_pending() {
        Some(approval.decide_by_ms)
    } else {
        unjustified.map(|review| review.justify_by_ms)
    }
}

fn grant_due(grant: &Grant) -> Option<u64> {
    grant.is_live().then(|| grant.ends_ms.unwrap_or(grant.use_by_ms))
}

fn use_due(one: &Use) -> u64 {
    if one.outcome.is_some() {
        one.at_ms.saturating_add(ENDED_USE_MS_MAX)
    } else {
        one.ends_ms.saturating_add(LOST_USE_MS)
    }
}

/// Since when nothing happens to an approval any more; none while something may.
fn over_since(approval: &Approval, grant: Option<&Grant>) -> Option<u64> {
    let ended_ms = approval.ended.as_ref()?.at_ms;
    let grant_ms = match grant {
        Some(grant) => grant.ended.as_ref()?.at_ms,
        None => 0,
    };
    let review_ms = match &approval.break_glass {
        Some(review) => review.closed.as_ref()?.at_ms,
        None => 0,
    };
    Some(ended_ms.max(grant_ms).max(review_ms))
}

impl State {
    /// Whether what is looked up is what is kept: simulations ask.
    pub fn index_holds(&self) -> bool {
        self.index == Index::new(&self.durable)
    }
}

impl Draft {
    /// Keeps an approval that is new or changed.
    pub(crate) fn put_approval(&mut self, approval: Approval) {
        let new = Arc::new(approval);
        let State { durable, index, .. } = &mut self.state;
        let old = durable.approvals.insert(new.id.clone(), new.clone());
        index.swap_approval(old.as_deref(), Some(&new));
        index.settle(durable, &new.id);
        self.change(Change::ApprovalSet(new));
    }

    /// Keeps a grant that is new or changed.
    pub(crate) fn put_grant(&mut self, grant: Grant) {
        let new = Arc::new(grant);
        let State { durable, index, .. } = &mut self.state;
        let old = durable.grants.insert(new.id.clone(), new.clone());
        index.swap_grant(old.as_deref(), Some(&new));
        index.settle(durable, &new.approval);
        self.change(Change::GrantSet(new));
    }

    /// Keeps a session; of those that are over the oldest go when there are too many.
    pub(crate) fn put_use(&mut self, one: Use) {
        let new = Arc::new(one);
        let State { durable, index, .. } = &mut self.state;
        let old = durable.uses.insert(new.session.clone(), new.clone());
        index.swap_use(old.as_deref(), Some(&new));
        let is_full = index.ended_uses.len() > ENDED_USES_MAX;
        let oldest = index.ended_uses.iter().next().filter(|_| is_full);
        let oldest = oldest.map(|(_, session)| session.clone());
        self.change(Change::UseSet(new));
        if let Some(oldest) = oldest {
            self.delete_use(&oldest);
        }
    }

    /// Forgets an approval with its grant.
    pub(crate) fn delete_approval(&mut self, id: &str) {
        let State { durable, index, .. } = &mut self.state;
        let Some(old) = durable.approvals.remove(id) else { return };
        index.swap_approval(Some(&old), None);
        index.settle(durable, id);
        let grant = old.grant.as_ref().and_then(|grant| durable.grants.remove(grant));
        if let Some(grant) = &grant {
            index.swap_grant(Some(grant), None);
        }
        self.change(Change::ApprovalDeleted(id.to_owned()));
        if let Some(grant) = grant {
            self.change(Change::GrantDeleted(grant.id.clone()));
        }
    }

    /// Forgets a session.
    pub(crate) fn delete_use(&mut self, session: &str) {
        let State { durable, index, .. } = &mut self.state;
        let Some(old) = durable.uses.remove(session) else { return };
        index.swap_use(Some(&old), None);
        self.change(Change::UseDeleted(session.to_owned()));
    }

    /// Keeps a revocation.
    pub(crate) fn put_revocation(&mut self, key: RevocationKey, one: Revocation) {
        let new = Arc::new(one);
        let State { durable, index, .. } = &mut self.state;
        let old = durable.revocations.insert(key.clone(), new.clone());
        index.swap_revocation(&key, old.as_deref(), Some(&new));
        self.change(Change::Revoked(key, new));
    }

    /// Forgets a revocation.
    pub(crate) fn delete_revocation(&mut self, key: &RevocationKey) {
        let State { durable, index, .. } = &mut self.state;
        let Some(old) = durable.revocations.remove(key) else { return };
        index.swap_revocation(key, Some(&old), None);
        self.change(Change::RevocationDeleted(key.clone()));
    }
}
