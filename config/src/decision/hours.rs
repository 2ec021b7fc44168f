//! Which rules match only at some hours.

use super::bits::Bits;
use crate::documents::Rule;
use crate::hours::Span;

/// The hours of all rules.
#[derive(Debug)]
pub(super) struct RuleHours {
    /// Rules that have some.
    timed: Bits,
    /// The hours of each of them, in the order of the rules.
    spans: Vec<(usize, Vec<Span>)>,
}

/// The hours of rules at one time.
#[derive(Clone, Copy)]
pub(super) struct OpenRules<'p> {
    hours: &'p RuleHours,
    now_ms: u64,
}

impl RuleHours {
    /// From the rules, in order.
    ///
    /// # Errors
    /// Hours that name no zone, or no time of a day.
    pub(super) fn new(rules: &[Rule]) -> Result<Self, String> {
        let mut hours = Self { timed: Bits::new(rules.len()), spans: Vec::new() };
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| !rule.when.is_empty()) {
            let spans: Result<Vec<Span>, String> = rule.when.iter().map(Span::new).collect();
            let spans = spans.map_err(|problem| format!("rule {}: {problem}", rule.name))?;
            hours.timed.insert(index);
            hours.spans.push((index, spans));
        }
        Ok(hours)
    }

    /// What of them is open at a time, in milliseconds since the Unix epoch.
    pub(super) fn at(&self, now_ms: u64) -> OpenRules<'_> {
        OpenRules { hours: self, now_ms }
    }

    fn hold(&self, rule: usize, now_ms: u64) -> bool {
        let place = self.spans.binary_search_by_key(&rule, |(index, _)| *index);
        let spans = place.ok().and_then(|place| self.spans.get(place));
        spans.is_some_and(|(_, spans)| spans.iter().any(|span| span.holds(now_ms)))
    }
}

impl OpenRules<'_> {
    /// Whether the rule has no hours, or it is one of them. A policy without hours is not asked
    /// for more than that.
    pub(super) fn has(self, rule: usize) -> bool {
        let Self { hours, now_ms } = self;
        hours.spans.is_empty() || !hours.timed.contains(rule) || hours.hold(rule, now_ms)
    }
}
