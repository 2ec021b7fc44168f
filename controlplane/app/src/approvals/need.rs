//! Which rules a request needs, by the policy in force and not by the one that a node had; and who
//! may say what about an approval.

use std::sync::Arc;

use penstock_config::approval_rules::{
    Approver, PersonKey, Persons, auto_approved, may_answer, may_break_glass, satisfied,
};
use penstock_config::catalogue::{Classified, Operation};
use penstock_config::decision::{Decision, Policy};
use penstock_config::documents::{
    Approval as Asks, Connection, Document, EXCHANGE_ISSUER, ExactIdentity, exchange_issuer,
};
use penstock_config::identity::Identity;

use super::{Approval, AskedAccess, CastVote, Requirement, Vote};
use crate::grants::Grant;
use crate::state::{DocumentKey, Durable, State};

/// Documents in force in the form in which decisions are made: compiled once a version.
#[derive(Clone, Debug)]
pub struct Compiled(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// None where a reference does not hold, which no document in force has: then nothing passes.
    policy: Option<Policy>,
    persons: Persons,
}

impl PartialEq for Compiled {
    /// Of one set of documents.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Compiled {
    /// From the documents in force.
    pub(crate) fn new(durable: &Durable) -> Self {
        let (mut issuers, mut connections, mut rules) = (Vec::new(), Vec::new(), Vec::new());
        let (mut persons, mut exchange) = (Vec::new(), None);
        for stored in durable.documents.values() {
            match &stored.document {
                Document::Issuer(issuer) => issuers.push(issuer.clone()),
                Document::Connection(connection) => connections.push(connection.clone()),
                Document::Rule(rule) => rules.push(rule.clone()),
                Document::Person(person) => persons.push(person),
                Document::Role(_)
                | Document::Webhook(_)
                | Document::Mail(_)
                | Document::Mask(_) => {}
                // The control plane is an issuer as well then, once however many there are.
                Document::Workload(_) => exchange = Some(exchange_issuer("")),
            }
        }
        issuers.extend(exchange);
        let policy = Policy::compile(&issuers, &connections, &rules).ok();
        Self(Arc::new(Parts { policy, persons: Persons::new(persons) }))
    }
}

/// What a request needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// Nothing: it is allowed.
    Nothing,
    /// It may not pass; the rule that denies, where one does.
    Denied(Option<Arc<str>>),
    /// Each of these rules must be satisfied.
    Rules(Vec<Arc<str>>),
}

/// What becomes of a pending approval under the rules of now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// It asks what must be asked.
    Holds,
    /// Nothing must be asked any more.
    Unneeded,
    /// What it is about is denied.
    Forbidden,
    /// Something else must be asked.
    Other,
    /// Its connection, or the issuer of its requester, is gone.
    Orphaned,
}

impl State {
    /// Whether an issuer of that name vouches for anybody: its document is in force, or it is the
    /// control plane itself, while there is a workload.
    pub(crate) fn has_issuer(&self, name: &str) -> bool {
        let is_own = name == EXCHANGE_ISSUER && self.workloads().next().is_some();
        is_own || self.document("issuer", name).is_some()
    }

    fn document(&self, kind: &'static str, name: &str) -> Option<&Document> {
        let key = DocumentKey { kind, name: name.to_owned() };
        self.durable.documents.get(&key).map(|stored| &stored.document)
    }

    /// The connection of that name.
    pub(crate) fn connection_named(&self, name: &str) -> Option<&Connection> {
        self.document("connection", name)?.as_connection()
    }

    /// What a rule in force asks for; none where it is gone or asks nobody.
    pub(crate) fn asks_of(&self, rule: &str) -> Option<&Asks> {
        self.document("rule", rule)?.as_rule()?.approval.as_ref()
    }

    /// Who an identity is.
    pub fn person_of(&self, issuer: &str, subject: &str) -> PersonKey {
        self.compiled.0.persons.key(issuer, subject)
    }

    /// Who somebody with a token is.
    pub(crate) fn person(&self, identity: &Identity) -> PersonKey {
        self.person_of(&identity.issuer, &identity.subject)
    }

    /// All identities of the person of an identity that a document links; none where none does.
    pub(crate) fn linked(&self, identity: &Identity) -> impl Iterator<Item = &ExactIdentity> {
        let document = match self.person(identity) {
            PersonKey::Person(name) => self.document("person", &name),
            PersonKey::Identity(_) => None,
        };
        document.and_then(Document::as_person).into_iter().flat_map(|person| &person.identities)
    }

    /// What a request needs now.
    pub(crate) fn need(
        &self,
        identity: &Identity,
        connection: &str,
        request: &Classified,
        now_ms: u64,
    ) -> Need {
        let Some(policy) = &self.compiled.0.policy else { return Need::Denied(None) };
        let Some(index) = policy.connection(connection) else { return Need::Denied(None) };
        if !self.has_issuer(&identity.issuer) {
            return Need::Denied(None);
        }
        let subject = policy.subject_rules(identity);
        match policy.decide(identity, &subject, index, request, now_ms) {
            Decision::Allow { .. } => Need::Nothing,
            Decision::Approve { rules, .. } => Need::Rules(rules),
            Decision::Deny { rule, .. } => Need::Denied(rule),
        }
    }

    /// What access ahead of time needs now. A glob of models is asked about as it is written: what
    /// a rule's glob says of its text it says of all that it stands for. Rules for particular
    /// models that it may reach must agree as well; one that denies some of them is asked at each
    /// use.
    pub(crate) fn need_of_access(
        &self,
        identity: &Identity,
        connection: &str,
        access: &AskedAccess,
        now_ms: u64,
    ) -> Need {
        let Some(mut request) = access.classified() else { return Need::Denied(None) };
        let strict = self.need(identity, connection, &request, now_ms);
        if matches!(strict, Need::Denied(_)) || !access.has_globs() {
            return strict;
        }
        request.unnamed_model = true;
        match self.need(identity, connection, &request, now_ms) {
            Need::Rules(all) => {
                let Need::Rules(mut rules) = strict else { return Need::Rules(all) };
                let more = all.into_iter().filter(|rule| !rules.contains(rule));
                let more: Vec<Arc<str>> = more.collect();
                rules.extend(more);
                Need::Rules(rules)
            }
            Need::Nothing | Need::Denied(_) => strict,
        }
    }

    /// What becomes of a pending approval under the rules of now.
    pub(crate) fn standing(&self, approval: &Approval, now_ms: u64) -> Standing {
        let requester = &approval.requester;
        if !self.has_issuer(&requester.issuer)
            || self.connection_named(&approval.connection).is_none()
        {
            return Standing::Orphaned;
        }
        let (need, missing) = match &approval.asked {
            super::Asked::Request(request) => {
                let Some(classified) = request.facts.classified() else {
                    return Standing::Forbidden;
                };
                let need = self.need(requester, &approval.connection, &classified, now_ms);
                let wanted = crate::grants::Wanted {
                    identity: requester,
                    connection: &approval.connection,
                    request: &classified,
                    digest: &request.digest,
                };
                let missing = match &need {
                    Need::Rules(rules) => {
                        crate::grants::choose(self, &wanted, rules, now_ms).missing
                    }
                    Need::Nothing | Need::Denied(_) => Vec::new(),
                };
                (need, missing)
            }
            super::Asked::Access(access) => {
                let need = self.need_of_access(requester, &approval.connection, access, now_ms);
                let missing = match &need {
                    Need::Rules(rules) => rules.clone(),
                    Need::Nothing | Need::Denied(_) => Vec::new(),
                };
                (need, missing)
            }
        };
        match need {
            Need::Nothing => Standing::Unneeded,
            Need::Denied(_) => Standing::Forbidden,
            Need::Rules(_) if missing.is_empty() => Standing::Unneeded,
            Need::Rules(rules) => {
                let asks = |rule: &Arc<str>| approval.rules().any(|asked| *asked == **rule);
                let is_needed = |asked: &str| rules.iter().any(|rule| **rule == *asked);
                if missing.iter().all(asks) && approval.rules().all(is_needed) {
                    Standing::Holds
                } else {
                    Standing::Other
                }
            }
        }
    }

    /// What a requirement asks for now; what it asked for where its rule is gone.
    pub(crate) fn asks_now<'a>(&'a self, requirement: &'a Requirement) -> &'a Asks {
        self.asks_of(&requirement.rule).unwrap_or(&requirement.asks)
    }

    /// Whether somebody's answer to an approval would be one, but for being the requester's. An
    /// issuer that is not in force vouches for nobody.
    pub(crate) fn is_reviewer(&self, approval: &Approval, identity: &Identity) -> bool {
        let may = |one: &Requirement| may_answer(self.asks_now(one), identity);
        self.has_issuer(&identity.issuer) && approval.requirements.iter().any(may)
    }

    /// Whether somebody may answer an approval: a reviewer by the rules of now, and another person
    /// than whoever asks.
    pub fn may_answer(&self, approval: &Approval, identity: &Identity) -> bool {
        self.person(identity) != self.person(&approval.requester)
            && self.is_reviewer(approval, identity)
    }

    /// Whether a vote counts for nothing because its identity was revoked when it was cast or
    /// later.
    pub fn is_vote_revoked(&self, cast: &CastVote) -> bool {
        let revoked_ms = self.identity_revoked_ms(&cast.by.issuer, &cast.by.subject);
        revoked_ms.is_some_and(|revoked_ms| cast.at_ms <= revoked_ms)
    }

    /// Whether the votes, with the groups that each voter had then, satisfy what a rule asks for.
    pub(crate) fn votes_satisfy(&self, approval: &Approval, asks: &Asks) -> bool {
        let requester = self.person(&approval.requester);
        let counts = |vote: &&CastVote| !vote.is_late && !self.is_vote_revoked(vote);
        let yes = approval.votes.iter().filter(counts);
        let yes = yes.filter(|vote| matches!(vote.vote, Vote::Approve { .. }));
        let people: Vec<(&Identity, PersonKey)> =
            yes.map(|vote| (&vote.by, self.person(&vote.by))).collect();
        let approvers: Vec<Approver<'_>> =
            people.iter().map(|(identity, person)| Approver { identity, person }).collect();
        satisfied(asks, &requester, &approvers)
    }

    /// Whether what made a grant satisfies a rule as it is now. Votes are counted again: who is one
    /// person may have changed, and so may the rule.
    pub(crate) fn still_satisfies(&self, grant: &Grant, rule: &str, identity: &Identity) -> bool {
        let Some(asks) = self.asks_of(rule) else { return false };
        let Some(approval) = self.durable.approvals.get(&grant.approval) else { return false };
        let Some(asked) = approval.requirements.iter().find(|one| one.rule == rule) else {
            return false;
        };
        let is_same = asked.asks == *asks;
        let fits = |minutes_max: u64| {
            is_same || (grant.minutes <= minutes_max && grant.uses_max <= asks.grant.uses_max)
        };
        if grant.is_break_glass {
            let minutes_max = asks.break_glass.as_ref().map_or(0, |one| one.minutes_max);
            return may_break_glass(asks, identity) && fits(minutes_max);
        }
        let answered = if asked.is_automatic {
            is_same || auto_approved(asks, identity, grant.granted_ms)
        } else {
            self.votes_satisfy(approval, asks)
        };
        answered && fits(asks.grant.minutes_max)
    }
}

impl AskedAccess {
    /// One request that would do all of it; none where an operation is not known.
    fn classified(&self) -> Option<Classified> {
        let operations: Option<Vec<Operation>> =
            self.operations.iter().map(|name| Operation::named(name)).collect();
        let operations = operations.filter(|operations| !operations.is_empty())?;
        let risk = operations.iter().map(|one| one.default_risk()).max()?;
        let mut models = self.models.iter().cloned();
        let mut request = Classified::new(&operations, risk, models.next().as_deref());
        for (known, operation) in request.operation_risks.iter_mut().zip(&operations) {
            *known = operation.default_risk();
        }
        request.other_models = models.collect();
        Some(request)
    }

    fn has_globs(&self) -> bool {
        self.models.iter().any(|model| model.contains('*'))
    }
}
