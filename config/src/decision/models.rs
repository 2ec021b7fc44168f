//! Which rules match the models of a request.

use std::collections::HashMap;

use super::bits::{Bits, intersection};
use super::hours::OpenRules;
use crate::catalogue::Classified;
use crate::glob::Glob;

/// The patterns for models of all rules.
#[derive(Debug)]
pub(super) struct ModelRules {
    /// Rules that match every model, and requests without one.
    any: Bits,
    /// Those, and rules that have some other glob.
    open: Bits,
    /// Rules by the names that they have, each list in order.
    named: HashMap<String, Vec<usize>>,
    patterns: Vec<Vec<Glob>>,
    /// The same in lower case.
    folded: Vec<Vec<Glob>>,
}

/// From which side rules are asked: they fail closed in opposite ways. Approve rules restrict like
/// deny rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Allow,
    Deny,
}

/// Rules that match a request but for its models: all of subject and connection, one of operation.
#[derive(Clone, Copy)]
pub(super) struct Reached<'p> {
    pub(super) subject: &'p Bits,
    pub(super) connection: &'p Bits,
    pub(super) operation: [Option<&'p Bits>; 2],
    /// Rules match in their hours alone.
    pub(super) open: OpenRules<'p>,
}

impl ModelRules {
    /// From the patterns of all rules, in order.
    pub(super) fn new<'r>(rules: impl ExactSizeIterator<Item = &'r [String]>) -> Self {
        let (any, open) = (Bits::new(rules.len()), Bits::new(rules.len()));
        let (patterns, folded) = (Vec::new(), Vec::new());
        let mut models = Self { any, open, named: HashMap::new(), patterns, folded };
        for (rule, patterns) in rules.enumerate() {
            let patterns: Vec<Glob> = patterns.iter().map(|pattern| Glob::new(pattern)).collect();
            for pattern in &patterns {
                if pattern.is_exact() {
                    models.named.entry(pattern.text().to_owned()).or_default().push(rule);
                    continue;
                }
                models.open.insert(rule);
                if pattern.is_any() {
                    models.any.insert(rule);
                }
            }
            let folded = patterns.iter().map(|one| Glob::new(&one.text().to_ascii_lowercase()));
            models.folded.push(folded.collect());
            models.patterns.push(patterns);
        }
        models
    }

    /// The first of the rules that are reached whose models match.
    pub(super) fn first(
        &self,
        reached: Reached<'_>,
        side: Side,
        request: &Classified,
    ) -> Option<usize> {
        let Reached { subject, connection, operation, open } = reached;
        match (&request.model, request.unnamed_model, side) {
            (Some(model), false, _)
                if request.other_models.is_empty()
                    && (side == Side::Allow || request.spellings.is_empty()) =>
            {
                self.first_of_one(reached, model)
            }
            (Some(model), false, _) => {
                intersection([subject, connection], operation).find(|rule| {
                    let mut names = request.other_models.iter().chain([model]);
                    let matches = match side {
                        Side::Allow => names.all(|name| self.matches(*rule, name)),
                        Side::Deny => {
                            names.any(|name| self.matches(*rule, name))
                                || self.matches_spelling(*rule, &request.spellings)
                        }
                    };
                    matches && open.has(*rule)
                })
            }
            (None, false, _) | (_, true, Side::Allow) => {
                let mut rules = intersection([subject, connection, &self.any], operation);
                rules.find(|rule| open.has(*rule))
            }
            (_, true, Side::Deny) => {
                intersection([subject, connection], operation).find(|rule| open.has(*rule))
            }
        }
    }

    /// The usual case: one model, found among names by its hash.
    fn first_of_one(&self, reached: Reached<'_>, model: &str) -> Option<usize> {
        let Reached { subject, connection, operation, .. } = reached;
        let named = self
            .named
            .get(model)
            .and_then(|rules| rules.iter().copied().find(|rule| reached.contains(*rule)));
        let open = intersection([subject, connection, &self.open], operation)
            .take_while(|rule| named.is_none_or(|named| *rule < named))
            .filter(|rule| self.any.contains(*rule) || self.matches(*rule, model))
            .find(|rule| reached.open.has(*rule));
        open.or(named)
    }

    /// All of the rules that are reached whose models match as those of a deny rule: in no order,
    /// some of them twice.
    pub(super) fn all(&self, reached: Reached<'_>, request: &Classified, found: &mut Vec<usize>) {
        let Reached { subject, connection, operation, open } = reached;
        let among = |rules: &Bits, found: &mut Vec<usize>, matches: &dyn Fn(usize) -> bool| {
            let rules = intersection([subject, connection, rules], operation);
            found.extend(rules.filter(|rule| matches(*rule) && open.has(*rule)));
        };
        let Some(model) = request.model.as_ref().filter(|_| !request.unnamed_model) else {
            let rules = if request.unnamed_model { subject } else { &self.any };
            return among(rules, found, &|_| true);
        };
        let names = || request.other_models.iter().chain([model]);
        let named = names().filter_map(|name| self.named.get(name)).flatten().copied();
        found.extend(named.filter(|rule| reached.contains(*rule)));
        // Rules that only a spelling matches are not found by their names.
        let rules = if request.spellings.is_empty() { &self.open } else { subject };
        among(rules, found, &|rule| {
            names().any(|name| self.matches(rule, name))
                || self.matches_spelling(rule, &request.spellings)
        });
    }

    /// Whether one rule's models cover a request as those of an allow rule.
    pub(super) fn cover(&self, rule: usize, request: &Classified) -> bool {
        let names = || request.other_models.iter().chain(&request.model);
        self.any.contains(rule)
            || (request.model.is_some()
                && !request.unnamed_model
                && names().all(|name| self.matches(rule, name)))
    }

    fn matches_spelling(&self, rule: usize, spellings: &[String]) -> bool {
        let mut patterns = self.folded.get(rule).into_iter().flatten();
        patterns.any(|pattern| spellings.iter().any(|name| pattern.matches(name)))
    }

    fn matches(&self, rule: usize, model: &str) -> bool {
        let patterns = self.patterns.get(rule);
        patterns.is_some_and(|patterns| patterns.iter().any(|pattern| pattern.matches(model)))
    }
}

impl Reached<'_> {
    fn contains(&self, rule: usize) -> bool {
        self.subject.contains(rule)
            && self.connection.contains(rule)
            && self.operation.iter().flatten().any(|bits| bits.contains(rule))
            && self.open.has(rule)
    }
}
