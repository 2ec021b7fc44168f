//! Live grants, and which of them cover a request.
//!
//! A grant covers a request of its holder when the connection is the grant's, all operations match
//! its operations, and all models match its models as in an allow rule: a request that names none
//! is covered only by `*`. A grant gives nothing by itself: it satisfies the approve rules that it
//! lists, and the policy is asked each time which ones match.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::intent;
use crate::catalogue::Classified;
use crate::glob::{self, Glob};
use crate::identity::Identity;

/// Rules that grants are held against in one go: the bits of a word.
const RULES_AT_ONCE: usize = u64::BITS as usize;

/// A live grant, as far as it says what it covers. Time, uses and digest are its keeper's business.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveGrant {
    /// Its id.
    pub id: Arc<str>,
    /// Name of the holder's issuer document.
    pub issuer: String,
    /// The holder's subject.
    pub subject: String,
    /// Name of the connection, exactly.
    pub connection: String,
    /// Names or globs of operations.
    pub operations: Vec<String>,
    /// Names or globs of models.
    pub models: Vec<String>,
    /// Names of the approve rules that it satisfies.
    pub rules: Vec<Arc<str>>,
}

/// Live grants, found by holder and connection.
#[derive(Debug, Default)]
pub struct LiveGrants {
    hasher: RandomState,
    /// By the hash of issuer, subject and connection, in the order in which they came.
    places: HashMap<u64, Vec<Compiled>>,
    /// Where each grant is, by its id.
    ids: HashMap<Arc<str>, u64>,
}

#[derive(Debug)]
struct Compiled {
    grant: LiveGrant,
    operations: Vec<Glob>,
    /// Its rules, sorted.
    rules: Vec<Arc<str>>,
}

/// Whether operations and models, names or globs each, cover a request.
pub fn covers(operations: &[String], models: &[String], request: &Classified) -> bool {
    let named = |name: &str| operations.iter().any(|pattern| glob::matches(pattern, name));
    !request.operations.is_empty()
        && request.operations.iter().all(|one| named(one.name()))
        && intent::models(Some(models), request)
}

impl LiveGrants {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Adds a grant, in the place of one of the same id.
    pub fn insert(&mut self, grant: LiveGrant) {
        self.remove(&grant.id);
        let place = self.place(&grant.issuer, &grant.subject, &grant.connection);
        self.ids.insert(Arc::clone(&grant.id), place);
        let operations = grant.operations.iter().map(|pattern| Glob::new(pattern)).collect();
        let mut rules = grant.rules.clone();
        rules.sort_unstable();
        self.places.entry(place).or_default().push(Compiled { grant, operations, rules });
    }

    /// Takes a grant out; `false`: it was not there.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(place) = self.ids.remove(id) else { return false };
        if let Some(grants) = self.places.get_mut(&place) {
            grants.retain(|one| *one.grant.id != *id);
            if grants.is_empty() {
                self.places.remove(&place);
            }
        }
        true
    }

    /// The grants of an identity that cover a request on a connection, the oldest first.
    pub fn covering<'a>(
        &'a self,
        identity: &'a Identity,
        connection: &'a str,
        request: &'a Classified,
    ) -> impl Iterator<Item = &'a LiveGrant> {
        let grants = self.of_holder(identity, connection).iter();
        let held = grants.filter(|one| one.is_held_by(identity, connection));
        held.filter(|one| one.covers(request)).map(|one| &one.grant)
    }

    /// Those of the rules that no grant of the identity satisfies for this request, in their order.
    pub fn unsatisfied<'a>(
        &'a self,
        identity: &'a Identity,
        connection: &'a str,
        request: &'a Classified,
        rules: &'a [Arc<str>],
    ) -> impl Iterator<Item = &'a Arc<str>> {
        let grants = self.of_holder(identity, connection);
        rules.chunks(RULES_AT_ONCE).flat_map(move |rules| {
            let satisfied = satisfied(grants, rules, |one| {
                one.is_held_by(identity, connection) && one.covers(request)
            });
            let left = rules.iter().enumerate().filter(move |(at, _)| satisfied & (1 << at) == 0);
            left.map(|(_, rule)| rule)
        })
    }

    /// The grants at the place of a holder, seldom another's among them.
    fn of_holder(&self, identity: &Identity, connection: &str) -> &[Compiled] {
        let place = self.place(&identity.issuer, &identity.subject, connection);
        self.places.get(&place).map_or(&[], Vec::as_slice)
    }

    fn place(&self, issuer: &str, subject: &str, connection: &str) -> u64 {
        self.hasher.hash_one((issuer, subject, connection))
    }
}

/// Which of at most [`RULES_AT_ONCE`] rules grants satisfy, a bit each. What a grant lists is told
/// sooner than what it covers, and that is asked once a grant at most.
fn satisfied(grants: &[Compiled], rules: &[Arc<str>], covers: impl Fn(&Compiled) -> bool) -> u64 {
    let mut satisfied = 0_u64;
    for grant in grants {
        let mut listed = 0_u64;
        for (at, rule) in rules.iter().enumerate() {
            let bit = 1_u64 << at;
            if satisfied & bit == 0 && grant.rules.binary_search(rule).is_ok() {
                listed |= bit;
            }
        }
        if listed != 0 && covers(grant) {
            satisfied |= listed;
            if satisfied.count_ones() as usize == rules.len() {
                break;
            }
        }
    }
    satisfied
}

impl Compiled {
    fn is_held_by(&self, identity: &Identity, connection: &str) -> bool {
        self.grant.issuer == identity.issuer
            && self.grant.subject == identity.subject
            && self.grant.connection == connection
    }

    fn covers(&self, request: &Classified) -> bool {
        let named = |name: &str| self.operations.iter().any(|pattern| pattern.matches(name));
        !request.operations.is_empty()
            && request.operations.iter().all(|one| named(one.name()))
            && intent::models(Some(&self.grant.models), request)
    }
}
