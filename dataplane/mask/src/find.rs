//! Where values are, in a text that is all there: every match that begins before the hold point.
//!
//! Each group of rules has its own way to the places where a match may begin: literals that it
//! begins with, the start of a word with a digit, a rare literal in its middle, or an automaton
//! over the whole text. From there one way leads on: the rule's own parts, its guards, its check.

mod gate;

use std::cmp::Reverse;

use crate::automaton::GaveUp;
use crate::channel::Place;
use crate::profile::{Anchors, Compiled, Led, Masking, Others, Profile, Scratch, Tokens};
use crate::rule::{CONTEXT_BYTES, Guard};

/// A text shorter than this is looked through by pairs of bytes; calling the fast engine costs
/// more.
const SHORT_BYTES: usize = 192;

/// Steps of automata for each byte of a text, and for any text: what takes more is not looked
/// through to its end, and is redacted whole.
const STEPS_PER_BYTE: usize = 256;
const STEPS_FREE: usize = 1 << 16;

/// One match.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Match {
    /// Where it begins: before what stands before the value.
    pub(crate) start: usize,
    /// Where its value begins.
    pub(crate) value: usize,
    /// Where its value ends.
    pub(crate) end: usize,
    pub(crate) rule: usize,
}

impl Match {
    /// The leftmost value first; of several there the longest, then the one whose rule is first.
    pub(crate) fn order(&self) -> (usize, Reverse<usize>, usize) {
        (self.value, Reverse(self.end), self.rule)
    }
}

/// One search.
struct Search<'a> {
    masking: &'a Masking,
    scratch: &'a mut Scratch,
    text: &'a [u8],
    place: Place,
    steps_left: usize,
}

/// Puts every match that begins within the place into the scratch's list, in no order, some perhaps
/// twice.
///
/// # Errors
/// An automaton gave up, or it would take too long: the text must be taken for a value whole.
pub(crate) fn find(
    masking: &Masking,
    scratch: &mut Scratch,
    text: &[u8],
    place: Place,
) -> Result<(), GaveUp> {
    scratch.matches.clear();
    let fresh = text.len().saturating_sub(place.from);
    let steps_left = fresh.saturating_mul(STEPS_PER_BYTE).saturating_add(STEPS_FREE);
    let profile: &Profile = &masking.profile;
    let mut search = Search { masking, scratch, text, place, steps_left };
    if let Some(led) = &profile.led {
        search.led(led)?;
    }
    if let Some(tokens) = &profile.tokens {
        search.tokens(tokens)?;
    }
    if let Some(anchors) = &profile.anchors {
        search.anchors(anchors)?;
    }
    if let Some(others) = &profile.others {
        search.others(others)?;
    }
    Ok(())
}

impl Search<'_> {
    fn byte(&self, index: usize) -> Option<u8> {
        self.text.get(index).copied()
    }

    fn spend(&mut self, steps: usize) -> Result<(), GaveUp> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(GaveUp)?;
        Ok(())
    }

    /// Matches that begin with a literal.
    fn led(&mut self, led: &Led) -> Result<(), GaveUp> {
        let Place { from, before } = self.place;
        let longest = before.saturating_add(led.bytes_max).min(self.text.len());
        let region = self.text.get(from..longest).unwrap_or_default();
        let mut found = std::mem::take(&mut self.scratch.lists.found);
        found.clear();
        if region.len() < SHORT_BYTES {
            for start in from..before {
                let (Some(first), Some(second)) =
                    (self.byte(start), self.byte(start.saturating_add(1)))
                else {
                    continue;
                };
                for front in led.pairs.of(first, second) {
                    let bytes = led.fronts.get(*front).map(|(bytes, _)| bytes.as_slice());
                    let here = self.text.get(start..).unwrap_or_default();
                    if bytes.is_some_and(|bytes| begins_with(here, bytes)) {
                        found.push((*front, start));
                    }
                }
            }
        } else if let Some(mut scratch) = self.scratch.literals.take() {
            led.literals.find(&mut scratch, region, &mut |front, end| {
                let length = led.fronts.get(front).map_or(0, |(bytes, _)| bytes.len());
                found.push((front, from.saturating_add(end).saturating_sub(length)));
            });
            self.scratch.literals = Some(scratch);
        }
        let mut result = Ok(());
        for (front, start) in &found {
            if *start >= before {
                continue;
            }
            let rules = led.fronts.get(*front).map_or(&[][..], |(_, rules)| rules.as_slice());
            for rule in rules {
                result = result.and_then(|()| self.try_rule(*rule, *start).map(|_| ()));
            }
        }
        self.scratch.lists.found = found;
        result
    }

    /// Matches that begin at the start of a word with a digit near, or at a sign before digits.
    fn tokens(&mut self, tokens: &Tokens) -> Result<(), GaveUp> {
        let mut last = None;
        let mut gate = gate::Digits::new(self.text, self.place);
        while let Some(starts) = gate.next_starts() {
            for start in starts.into_iter().flatten() {
                if last.is_none_or(|last| start > last) && self.place.has(start) {
                    last = Some(start);
                    self.try_tokens(tokens, start)?;
                }
            }
        }
        Ok(())
    }

    fn try_tokens(&mut self, tokens: &Tokens, start: usize) -> Result<(), GaveUp> {
        let Some(mut cache) = self.scratch.tokens.take() else { return Err(GaveUp) };
        let mut found = std::mem::take(&mut self.scratch.lists.found);
        found.clear();
        let walked = tokens.automaton.forward(&mut cache, None, true, self.text, start, |here| {
            for pattern in here.patterns() {
                let rule = tokens.rules.get(pattern).copied().unwrap_or(0);
                if !found.contains(&(rule, 0)) {
                    found.push((rule, 0));
                }
            }
            true
        });
        self.scratch.tokens = Some(cache);
        let mut result = walked.and_then(|steps| self.spend(steps));
        for (rule, _) in &found {
            result = result.and_then(|()| self.try_rule(*rule, start).map(|_| ()));
        }
        self.scratch.lists.found = found;
        result
    }

    /// Matches with a rare literal in their middle.
    fn anchors(&mut self, anchors: &Anchors) -> Result<(), GaveUp> {
        let text = self.text;
        let from = self.place.from;
        for (literal, heads) in &anchors.literals {
            // Also where one lies across another.
            let mut next = from;
            while let Some(found) = text.get(next..).and_then(|rest| literal.find(rest)) {
                let at = next.saturating_add(found);
                next = at.saturating_add(1);
                for head in heads {
                    let Some(pattern) = head.pattern else {
                        if self.place.has(at) {
                            self.try_rule(head.rule, at)?;
                        }
                        continue;
                    };
                    let lowest = at.saturating_sub(head.bytes_max).max(from);
                    self.starts(anchors, pattern, (lowest, at))?;
                    self.try_starts(head.rule)?;
                }
            }
        }
        Ok(())
    }

    /// Where heads begin that end before an anchor.
    fn starts(
        &mut self,
        anchors: &Anchors,
        pattern: usize,
        range: (usize, usize),
    ) -> Result<(), GaveUp> {
        let Some(mut cache) = self.scratch.heads.take() else { return Err(GaveUp) };
        let starts = &mut self.scratch.lists.starts;
        starts.clear();
        let walked = anchors.heads.backward(&mut cache, Some(pattern), self.text, range, |start| {
            starts.push(start);
        });
        self.scratch.heads = Some(cache);
        walked.and_then(|steps| self.spend(steps.saturating_add(1)))
    }

    /// From each start of the list, the leftmost first, until nothing is left that a later one
    /// could add.
    fn try_starts(&mut self, rule: usize) -> Result<(), GaveUp> {
        let mut starts = std::mem::take(&mut self.scratch.lists.starts);
        let mut result = Ok(());
        for start in starts.drain(..).rev() {
            if result.is_err() || !self.place.has(start) {
                continue;
            }
            match self.try_rule(rule, start) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => result = Err(error),
            }
        }
        starts.clear();
        self.scratch.lists.starts = starts;
        result
    }

    /// Matches that can begin and end anywhere.
    fn others(&mut self, others: &Others) -> Result<(), GaveUp> {
        let Some(mut cache) = self.scratch.others.take() else { return Err(GaveUp) };
        let Place { from, before } = self.place;
        let mut found = std::mem::take(&mut self.scratch.lists.found);
        found.clear();
        let walked = others.begins.starts(&mut cache, self.text, from, |here| {
            if here.at < before {
                found.extend(here.patterns().map(|pattern| (pattern, here.at)));
            }
        });
        self.scratch.others = Some(cache);
        let mut result = walked;
        for (pattern, start) in found.iter().copied() {
            let rule = others.rules.get(pattern).copied().unwrap_or(0);
            result = result.and_then(|()| self.try_rule(rule, start).map(|_| ()));
        }
        self.scratch.lists.found = found;
        result
    }

    /// Looks whether a rule matches from a place on. `true`: it does, with the longest value that
    /// its pattern has there.
    fn try_rule(&mut self, rule: usize, start: usize) -> Result<bool, GaveUp> {
        let masking = self.masking;
        let Some(compiled) = masking.profile.rules.get(rule) else { return Ok(false) };
        let is_off = masking.action(compiled.detector) == crate::action::Action::Off;
        if is_off || !may_stand_behind(&compiled.rule.before, self.text, start) {
            return Ok(false);
        }
        let mut values = std::mem::take(&mut self.scratch.lists.values);
        values.clear();
        let mut result = match compiled.lead {
            None => {
                values.push(start);
                Ok(())
            }
            Some(lead) => self.ends(lead, start, &mut values),
        };
        let mut best: Option<(usize, usize)> = None;
        let mut is_longest = true;
        for value in values.iter().copied() {
            let found = result.and_then(|()| self.value(compiled, value, &mut is_longest));
            result = found.map(|_| ());
            let length = best.map_or(0, |(value, end)| end.saturating_sub(value));
            if let Ok(Some(end)) = found
                && end.saturating_sub(value) > length
            {
                best = Some((value, end));
            }
        }
        self.scratch.lists.values = values;
        result?;
        let Some((value, end)) = best else { return Ok(false) };
        if !has_context(compiled.rule.context, self.text, start) {
            return Ok(false);
        }
        self.scratch.matches.push(Match { start, value, end, rule });
        Ok(is_longest)
    }

    /// The end of the longest value from a place on.
    fn value(
        &mut self,
        compiled: &Compiled,
        value: usize,
        is_longest: &mut bool,
    ) -> Result<Option<usize>, GaveUp> {
        let mut ends = std::mem::take(&mut self.scratch.lists.ends);
        ends.clear();
        let mut result = self.ends(compiled.value, value, &mut ends);
        let mut best = None;
        for (index, end) in ends.iter().rev().enumerate() {
            if result.is_err() {
                break;
            }
            let bytes = self.text.get(value..*end).unwrap_or_default();
            match self.goes_on(compiled, *end) {
                Ok(true) if (compiled.rule.is_valid)(bytes) => {
                    best = Some(*end);
                    *is_longest &= index == 0;
                    break;
                }
                Ok(_) => {}
                Err(error) => result = Err(error),
            }
        }
        self.scratch.lists.ends = ends;
        result.map(|()| best)
    }

    /// Whether what must stand behind a value does.
    fn goes_on(&mut self, compiled: &Compiled, end: usize) -> Result<bool, GaveUp> {
        self.spend(1)?;
        let after = &compiled.rule.after;
        let Some(trail) = compiled.trail else {
            return Ok(may_stand_before(after, self.text, end));
        };
        let (text, mut holds) = (self.text, false);
        let parts = &self.masking.profile.parts;
        let cache = &mut self.scratch.parts;
        let walked = parts.forward(cache, Some(trail), true, text, end, |here| {
            holds = may_stand_before(after, text, here.at);
            !holds
        })?;
        self.spend(walked)?;
        Ok(holds)
    }

    /// Every place where a part that begins at a place ends.
    fn ends(&mut self, part: usize, from: usize, ends: &mut Vec<usize>) -> Result<(), GaveUp> {
        let parts = &self.masking.profile.parts;
        let cache = &mut self.scratch.parts;
        let walked = parts.forward(cache, Some(part), true, self.text, from, |here| {
            ends.push(here.at);
            true
        })?;
        self.spend(walked.saturating_add(1))
    }
}

fn begins_with(text: &[u8], lower_case: &[u8]) -> bool {
    text.get(..lower_case.len()).is_some_and(|front| front.eq_ignore_ascii_case(lower_case))
}

/// Whether a match may begin at a place, by what stands before it.
fn may_stand_behind(guard: &Guard, text: &[u8], start: usize) -> bool {
    let near = start.checked_sub(1).and_then(|index| text.get(index)).copied();
    let far = start.checked_sub(2).and_then(|index| text.get(index)).copied();
    allows(guard, near, far)
}

/// Whether a match may end at a place, by what stands behind it.
fn may_stand_before(guard: &Guard, text: &[u8], end: usize) -> bool {
    allows(guard, text.get(end).copied(), text.get(end.saturating_add(1)).copied())
}

fn allows(guard: &Guard, near: Option<u8>, far: Option<u8>) -> bool {
    let Some(near) = near else { return true };
    if guard.not.has(near) {
        return false;
    }
    match (guard.not_pair, far) {
        (Some((byte, set)), Some(far)) => near != byte || !set.has(far),
        (Some(_), None) | (None, _) => true,
    }
}

/// Whether one of the words stands before a match.
fn has_context(words: &[&str], text: &[u8], start: usize) -> bool {
    if words.is_empty() {
        return true;
    }
    let from = start.saturating_sub(CONTEXT_BYTES);
    (from..start).any(|at| {
        let here = text.get(at..start).unwrap_or_default();
        let is_first = at
            .checked_sub(1)
            .and_then(|index| text.get(index))
            .is_none_or(|byte| !byte.is_ascii_alphabetic());
        is_first && words.iter().any(|word| begins_with(here, word.as_bytes()))
    })
}
