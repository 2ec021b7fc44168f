//! Pure evaluation: every matching rule counts, deny over approve over allow over nothing, and
//! nothing is denied.
//!
//! A rule matches a request when its subjects, connections, operations and models do, in its hours:
//!
//! - *Operations.* A request can be several at once. A deny rule matches when it names any of them;
//!   an approve rule does the same. Each of them needs an allow rule, not necessarily the same one,
//!   or an approve rule that matches, names it and covers the models: once satisfied, that counts
//!   as allow. In an allow rule a glob
//!   reaches neither `unknown` nor an operation whose risk in this request is critical (see
//!   [`Classified::operation_risks`]): such a one must be named.
//! - *Models.* An allow rule matches when all models of the request match, and a request that names
//!   none only with `*`. A deny rule matches when any model matches, also by another spelling that
//!   the server takes for it ([`Classified::spellings`]); and one for particular models
//!   also matches a request that concerns a model without naming it
//!   ([`Classified::unnamed_model`]), or it could be evaded by leaving the name to the server. An
//!   approve rule matches as a deny rule does, and covers models as an allow rule does: who may
//!   agree to one model does not agree to another one beside it.
//! - *Intent.* What a token was asked for narrows: the request must fit one of its accesses wholly.
//!
//! The answer names the first deny rule that matches, else all approve rules that do, else the
//! first rule that allows the riskiest operation; rules are in the order of the hand-over.
//!
//! Compiled, a rule is one bit: subjects become a set of bits once a token, connections and
//! operations once a policy, and a request intersects them. Only bits that survive ask for models.

mod bits;
mod compile;
mod grants;
mod hours;
mod intent;
mod models;
mod subjects;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use bits::{Bits, intersection};
use hours::{OpenRules, RuleHours};
use models::{ModelRules, Reached, Side};
use subjects::Subjects;

use crate::catalogue::{Classified, Operation, Risk};
use crate::documents::{Connection, Issuer, Rule};
use crate::identity::Identity;

pub use grants::{LiveGrant, LiveGrants, covers};
pub use subjects::matches as subject_matches;

/// All rules, compiled for lookup. Immutable; shared by all cores.
#[derive(Debug)]
pub struct Policy {
    /// Tells the [`SubjectRules`] of one policy from those of another.
    serial: u64,
    names: Vec<Arc<str>>,
    subjects: Subjects,
    connections: Vec<ConnectionRules>,
    connection_names: HashMap<String, ConnectionIndex>,
    /// The allow and approve rules.
    giving: Bits,
    /// Whether there is an approve rule.
    has_approve: bool,
    /// Rules under which nothing outlives the caller's token.
    end_with_token: Bits,
    hours: RuleHours,
    /// By [`Operation::index`].
    operations: Vec<OperationRules>,
    models: ModelRules,
}

/// The rules that reach one connection.
#[derive(Debug)]
struct ConnectionRules {
    name: String,
    rules: Bits,
}

/// The rules that reach one operation.
#[derive(Debug)]
struct OperationRules {
    deny: Bits,
    /// Approve rules that name it or whose glob matches it.
    approve: Bits,
    /// Allow rules that name it.
    allow_named: Bits,
    /// Allow rules whose glob matches it.
    allow_glob: Bits,
}

/// The rules that concern one identity under one policy; kept beside a cached token. Under another
/// policy they reach nothing, and everything is denied.
#[derive(Clone, Debug)]
pub struct SubjectRules {
    serial: u64,
    rules: Bits,
}

/// Index of a connection in a policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectionIndex(pub u32);

/// The answer to one request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// It may pass; the rule that says so.
    Allow {
        /// Name of the rule.
        rule: Arc<str>,
        /// Whether what runs ends when the caller's token does.
        end_with_token: bool,
    },
    /// It may pass once each of these rules is satisfied.
    Approve {
        /// Names of all approve rules that match, in their order; at least one.
        rules: Vec<Arc<str>>,
        /// Whether what runs then ends when the caller's token does.
        end_with_token: bool,
    },
    /// It may not.
    Deny {
        /// Name of the rule that denies; none where no rule allows.
        rule: Option<Arc<str>>,
        /// Why.
        cause: DenyCause,
    },
}

/// Why a decision denies; of several causes the first one here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DenyCause {
    /// A deny rule matches.
    Rule,
    /// No rule allows one of the operations (its index in `Classified::operations`).
    NoRule(usize),
    /// The token's own intent does not cover it.
    Intent,
}

/// The rules that concern one identity on one connection.
#[derive(Clone, Copy)]
struct Scope<'p> {
    subject: &'p Bits,
    connection: &'p Bits,
    open: OpenRules<'p>,
}

impl Policy {
    /// Compiles documents that [`crate::documents::check_references`] accepted.
    ///
    /// # Errors
    /// A reference or pattern that does not hold: the snapshot is refused whole.
    pub fn compile(
        issuers: &[Issuer],
        connections: &[Connection],
        rules: &[Rule],
    ) -> Result<Self, String> {
        compile::compile(issuers, connections, rules)
    }

    /// The connection of that name.
    pub fn connection(&self, name: &str) -> Option<ConnectionIndex> {
        self.connection_names.get(name).copied()
    }

    /// The rules whose subjects match, computed once for a token.
    pub fn subject_rules(&self, identity: &Identity) -> SubjectRules {
        SubjectRules { serial: self.serial, rules: self.subjects.rules(identity) }
    }

    /// Whether some allow or approve rule names the identity on this connection, at whatever hours;
    /// otherwise it is answered as an unknown one.
    pub fn visible(&self, subject: &SubjectRules, connection: ConnectionIndex) -> bool {
        self.scope(subject, connection, 0).is_some_and(|(_, scope)| {
            intersection([scope.subject, scope.connection], [Some(&self.giving), None])
                .next()
                .is_some()
        })
    }

    /// Decides one request at a time, in milliseconds since the Unix epoch.
    pub fn decide(
        &self,
        identity: &Identity,
        subject: &SubjectRules,
        connection: ConnectionIndex,
        request: &Classified,
        now_ms: u64,
    ) -> Decision {
        let Some((name, scope)) = self.scope(subject, connection, now_ms) else {
            return no_rule(0);
        };
        if let Some(rule) = self.denying(scope, request) {
            return Decision::Deny { rule: Some(self.name(rule)), cause: DenyCause::Rule };
        }
        let approving = self.approving(scope, request);
        let ends = |rule: usize| self.end_with_token.contains(rule);
        let mut end_with_token = approving.iter().any(|rule| ends(*rule));
        let mut deciding: Option<(Risk, usize)> = None;
        for (index, operation) in request.operations.iter().enumerate() {
            let risk = request.operation_risks.get(index).copied().unwrap_or(Risk::Critical);
            let Some(rule) = self.allowing(scope, *operation, risk, request) else {
                if self.would_allow(&approving, *operation, request) {
                    continue;
                }
                return no_rule(index);
            };
            end_with_token |= ends(rule);
            if deciding.is_none_or(|(known, _)| risk > known) {
                deciding = Some((risk, rule));
            }
        }
        if deciding.is_none() && approving.is_empty() {
            return no_rule(0);
        }
        if !intent::covers(identity.intent.as_ref(), name, request) {
            return Decision::Deny { rule: None, cause: DenyCause::Intent };
        }
        match deciding {
            Some((_, rule)) if approving.is_empty() => {
                Decision::Allow { rule: self.name(rule), end_with_token }
            }
            Some(_) | None => {
                let rules = approving.into_iter().map(|rule| self.name(rule)).collect();
                Decision::Approve { rules, end_with_token }
            }
        }
    }

    /// The connection's name and the rules to choose from; none under another policy.
    fn scope<'p>(
        &'p self,
        subject: &'p SubjectRules,
        connection: ConnectionIndex,
        now_ms: u64,
    ) -> Option<(&'p str, Scope<'p>)> {
        let connection = self.connections.get(usize::try_from(connection.0).ok()?)?;
        let open = self.hours.at(now_ms);
        let scope = Scope { subject: &subject.rules, connection: &connection.rules, open };
        (subject.serial == self.serial).then_some((connection.name.as_str(), scope))
    }

    /// The first deny rule that matches any of the operations.
    fn denying(&self, scope: Scope<'_>, request: &Classified) -> Option<usize> {
        let rules = request.operations.iter().filter_map(|one| self.operations.get(one.index()));
        let first = |rules: &OperationRules| {
            let reached = scope.reached([Some(&rules.deny), None]);
            self.models.first(reached, Side::Deny, request)
        };
        rules.filter_map(first).min()
    }

    /// All approve rules that match any of the operations, in order.
    fn approving(&self, scope: Scope<'_>, request: &Classified) -> Vec<usize> {
        let mut found = Vec::new();
        if !self.has_approve {
            return found;
        }
        for operation in &request.operations {
            if let Some(rules) = self.operations.get(operation.index()) {
                let reached = scope.reached([Some(&rules.approve), None]);
                self.models.all(reached, request, &mut found);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether one of the approve rules that match allows one operation once it is satisfied.
    fn would_allow(&self, approving: &[usize], operation: Operation, request: &Classified) -> bool {
        let Some(rules) = self.operations.get(operation.index()) else { return false };
        let names_it = |rule: usize| rules.approve.contains(rule);
        approving.iter().any(|rule| names_it(*rule) && self.models.cover(*rule, request))
    }

    /// The first allow rule that matches one operation.
    fn allowing(
        &self,
        scope: Scope<'_>,
        operation: Operation,
        risk: Risk,
        request: &Classified,
    ) -> Option<usize> {
        let rules = self.operations.get(operation.index())?;
        let by_name_only = risk >= Risk::Critical || operation == Operation::UNKNOWN;
        let globs = (!by_name_only).then_some(&rules.allow_glob);
        let reached = scope.reached([Some(&rules.allow_named), globs]);
        self.models.first(reached, Side::Allow, request)
    }

    fn name(&self, rule: usize) -> Arc<str> {
        self.names.get(rule).cloned().unwrap_or_default()
    }
}

impl<'p> Scope<'p> {
    fn reached(self, operation: [Option<&'p Bits>; 2]) -> Reached<'p> {
        let Self { subject, connection, open } = self;
        Reached { subject, connection, operation, open }
    }
}

fn no_rule(operation: usize) -> Decision {
    Decision::Deny { rule: None, cause: DenyCause::NoRule(operation) }
}
