//! Which rules concern an identity.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::bits::Bits;
use crate::documents::{Rule, Subject};
use crate::glob::{self, Glob};
use crate::identity::Identity;

/// The subjects of all rules, found by the groups of an identity.
#[derive(Debug)]
pub(super) struct Subjects {
    rules: usize,
    /// Deny rules without subjects.
    everybody: Vec<usize>,
    entries: Vec<Entry>,
    /// Entries that name a group, by its name.
    by_group: HashMap<String, Vec<usize>>,
    /// Entries that name none.
    without_group: Vec<usize>,
}

/// One entry of `subjects` or `except`, without its groups.
#[derive(Debug)]
struct Entry {
    rule: usize,
    is_except: bool,
    issuer: Option<String>,
    users: Option<Vec<Glob>>,
    /// Path and text.
    claims: Vec<(String, String)>,
}

impl Subjects {
    /// From rules that were checked.
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut subjects = Self {
            rules: rules.len(),
            everybody: Vec::new(),
            entries: Vec::new(),
            by_group: HashMap::new(),
            without_group: Vec::new(),
        };
        for (index, rule) in rules.iter().enumerate() {
            if rule.subjects.is_empty() {
                subjects.everybody.push(index);
            }
            for subject in &rule.subjects {
                subjects.add(index, false, subject);
            }
            for subject in &rule.except {
                subjects.add(index, true, subject);
            }
        }
        subjects
    }

    fn add(&mut self, rule: usize, is_except: bool, subject: &Subject) {
        let place = self.entries.len();
        match &subject.groups {
            Some(groups) => {
                for group in groups {
                    self.by_group.entry(group.clone()).or_default().push(place);
                }
            }
            None => self.without_group.push(place),
        }
        let users = subject.users.as_ref();
        self.entries.push(Entry {
            rule,
            is_except,
            issuer: subject.issuer.clone(),
            users: users.map(|users| users.iter().map(|user| Glob::new(user)).collect()),
            claims: subject.claims.clone().unwrap_or_default().into_iter().collect(),
        });
    }

    /// The rules that concern an identity: an entry of `subjects` matches, none of `except` does.
    pub(super) fn rules(&self, identity: &Identity) -> Bits {
        let mut rules = Bits::new(self.rules);
        for rule in &self.everybody {
            rules.insert(*rule);
        }
        let by_group = identity.groups.iter().filter_map(|group| self.by_group.get(group));
        let places = by_group.flatten().chain(&self.without_group);
        let matching = places
            .filter_map(|place| self.entries.get(*place))
            .filter(|entry| entry.matches(identity));
        let mut excepted = Vec::new();
        for entry in matching {
            if entry.is_except {
                excepted.push(entry.rule);
            } else {
                rules.insert(entry.rule);
            }
        }
        for rule in excepted {
            rules.remove(rule);
        }
        rules
    }
}

impl Entry {
    fn matches(&self, identity: &Identity) -> bool {
        self.issuer.as_ref().is_none_or(|issuer| *issuer == identity.issuer)
            && self
                .users
                .as_ref()
                .is_none_or(|users| users.iter().any(|user| user.matches(&identity.user)))
            && self.claims.iter().all(|(path, text)| claim_equals(&identity.claims, path, text))
    }
}

/// Whether an identity is the subject of one entry: all fields that are given hold. An entry
/// without any is nobody.
pub fn matches(subject: &Subject, identity: &Identity) -> bool {
    let Subject { issuer, users, groups, claims } = subject;
    if issuer.is_none() && users.is_none() && groups.is_none() && claims.is_none() {
        return false;
    }
    issuer.as_ref().is_none_or(|issuer| *issuer == identity.issuer)
        && users
            .as_ref()
            .is_none_or(|users| users.iter().any(|user| glob::matches(user, &identity.user)))
        && groups
            .as_ref()
            .is_none_or(|groups| groups.iter().any(|group| identity.groups.contains(group)))
        && claims.iter().flatten().all(|(path, text)| claim_equals(&identity.claims, path, text))
}

/// Whether the claim at a dotted path equals a text: a text by its bytes, a number or a boolean by
/// its JSON text; lists, objects and `null` equal nothing. A claim whose own name is the whole path
/// comes first: `https://example.com/team` is one name.
fn claim_equals(claims: &Map<String, Value>, path: &str, text: &str) -> bool {
    let value = claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, key| value.get(key))
    });
    match value {
        Some(Value::String(value)) => value == text,
        Some(Value::Number(number)) => number.to_string() == text,
        Some(Value::Bool(value)) => text == if *value { "true" } else { "false" },
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => false,
    }
}
