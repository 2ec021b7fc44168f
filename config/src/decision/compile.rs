//! From documents to sets of bits. What documents must hold is checked once more: a snapshot that
//! does not is refused whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bits::Bits;
use super::hours::RuleHours;
use super::models::ModelRules;
use super::subjects::Subjects;
use super::{ConnectionIndex, ConnectionRules, OperationRules, Policy};
use crate::approval_rules;
use crate::catalogue::Operation;
use crate::documents::{Connection, Effect, Issuer, Rule, Subject};
use crate::glob::{self, is_exact};

/// Numbers the policies of this process, so that facts about one are not used with another.
static SERIAL: AtomicU64 = AtomicU64::new(0);

pub(super) fn compile(
    issuers: &[Issuer],
    connections: &[Connection],
    rules: &[Rule],
) -> Result<Policy, String> {
    let known: HashSet<&str> = connections.iter().map(|one| one.name.as_str()).collect();
    let mut names = HashSet::new();
    for rule in rules {
        check(issuers, &known, rule).map_err(|problem| format!("rule {}: {problem}", rule.name))?;
        if !names.insert(rule.name.as_str()) {
            return Err(format!("rule {}: the name stands twice", rule.name));
        }
    }
    let those = |which: fn(&Rule) -> bool| {
        let mut bits = Bits::new(rules.len());
        let indexes = rules.iter().enumerate().filter(|(_, rule)| which(rule));
        indexes.for_each(|(index, _)| bits.insert(index));
        bits
    };
    let (connections, connection_names) = connection_rules(connections, rules)?;
    Ok(Policy {
        serial: SERIAL.fetch_add(1, Ordering::Relaxed),
        names: rules.iter().map(|rule| Arc::from(rule.name.as_str())).collect(),
        subjects: Subjects::new(rules),
        connections,
        connection_names,
        giving: those(|rule| rule.effect != Effect::Deny),
        has_approve: rules.iter().any(|rule| rule.effect == Effect::Approve),
        end_with_token: those(|rule| rule.end_with_token),
        hours: RuleHours::new(rules)?,
        operations: Operation::all().map(|operation| operation_rules(operation, rules)).collect(),
        models: ModelRules::new(rules.iter().map(|rule| rule.models.as_slice())),
    })
}

fn connection_rules(
    connections: &[Connection],
    rules: &[Rule],
) -> Result<(Vec<ConnectionRules>, HashMap<String, ConnectionIndex>), String> {
    let mut compiled = Vec::with_capacity(connections.len());
    let mut names = HashMap::with_capacity(connections.len());
    for connection in connections {
        let name = &connection.name;
        let index = u32::try_from(compiled.len()).map_err(|_| "too many connections")?;
        if names.insert(name.clone(), ConnectionIndex(index)).is_some() {
            return Err(format!("connection {name}: the name stands twice"));
        }
        let mut reaching = Bits::new(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            if rule.connections.iter().any(|pattern| glob::matches(pattern, name)) {
                reaching.insert(index);
            }
        }
        compiled.push(ConnectionRules { name: name.clone(), rules: reaching });
    }
    Ok((compiled, names))
}

fn operation_rules(operation: Operation, rules: &[Rule]) -> OperationRules {
    let empty = || Bits::new(rules.len());
    let mut compiled = OperationRules {
        deny: empty(),
        approve: empty(),
        allow_named: empty(),
        allow_glob: empty(),
    };
    for (index, rule) in rules.iter().enumerate() {
        let matching = |pattern: &&String| glob::matches(pattern, operation.name());
        match rule.effect {
            Effect::Deny => {
                if rule.operations.is_empty() || rule.operations.iter().any(|p| matching(&p)) {
                    compiled.deny.insert(index);
                }
            }
            Effect::Approve => {
                if rule.operations.iter().any(|p| matching(&p)) {
                    compiled.approve.insert(index);
                }
            }
            Effect::Allow => {
                for pattern in rule.operations.iter().filter(matching) {
                    if is_exact(pattern) {
                        compiled.allow_named.insert(index);
                    } else {
                        compiled.allow_glob.insert(index);
                    }
                }
            }
        }
    }
    compiled
}

fn check(issuers: &[Issuer], connections: &HashSet<&str>, rule: &Rule) -> Result<(), String> {
    let is_deny = rule.effect == Effect::Deny;
    if !is_deny && rule.subjects.is_empty() {
        return Err("an allow or approve rule needs subjects".to_owned());
    }
    if !is_deny && rule.operations.is_empty() {
        return Err("an allow or approve rule needs operations".to_owned());
    }
    if is_deny && rule.end_with_token {
        return Err("nothing runs under a deny rule".to_owned());
    }
    if (rule.effect == Effect::Approve) != rule.approval.is_some() {
        return Err("an approve rule, and no other one, has an approval".to_owned());
    }
    if let Some(approval) = &rule.approval {
        approval_rules::check(approval)?;
        approval.subjects().try_for_each(|entry| check_subject(issuers, entry))?;
    }
    if rule.connections.is_empty() || rule.models.is_empty() {
        return Err("connections and models must not be empty".to_owned());
    }
    for name in rule.connections.iter().filter(|name| is_exact(name)) {
        if !connections.contains(name.as_str()) {
            return Err(format!("there is no connection `{name}`"));
        }
    }
    for pattern in &rule.operations {
        if !Operation::all().any(|operation| glob::matches(pattern, operation.name())) {
            return Err(format!("there is no operation `{pattern}`"));
        }
    }
    rule.subjects.iter().chain(&rule.except).try_for_each(|entry| check_subject(issuers, entry))
}

fn check_subject(issuers: &[Issuer], subject: &Subject) -> Result<(), String> {
    let Subject { issuer, users, groups, claims } = subject;
    let lists = [users.as_ref().map(Vec::len), groups.as_ref().map(Vec::len)];
    let lists = lists.into_iter().chain([claims.as_ref().map(|claims| claims.len())]);
    if lists.clone().any(|length| length == Some(0)) {
        return Err("a list in a subject is empty".to_owned());
    }
    let is_empty = issuer.is_none() && lists.flatten().next().is_none();
    match issuer {
        _ if is_empty => Err("a subject is empty".to_owned()),
        Some(name) if !issuers.iter().any(|issuer| issuer.name == *name) => {
            Err(format!("there is no issuer `{name}`"))
        }
        Some(_) => Ok(()),
        None if issuers.len() > 1 => {
            Err("a subject needs its issuer, as there is more than one".to_owned())
        }
        None => Ok(()),
    }
}
