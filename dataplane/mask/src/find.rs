//! Where values are, in a text that is all there: every match that begins before the hold point.
//!
//! Each group of rules has its own way to the places where a match may begin: literals that it
//! begins with, the start of a word with a digit, a word before it, a long run, a rare literal in
//! its middle, or an automaton over the whole text. From there one way leads on: the rule's own
//! parts, its guards, its check.

mod gate;
mod ways;

pub(crate) use gate::{RUN_WORD_BYTES, beside_min};

use std::cmp::Reverse;

use crate::action::Action;
use crate::automaton::GaveUp;
use crate::channel::Place;
use crate::pattern::Front;
use crate::places::may_begin;
use crate::profile::{Compiled, Masking, Scratch};
use crate::rule::{CONTEXT_BYTES, Guard, SHORT_WORD_BYTES};

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
    /// Where its value ends; of one that goes on, where its front does.
    pub(crate) end: usize,
    /// Whether its front decides, and what follows belongs to it.
    pub(crate) is_open: bool,
    pub(crate) rule: usize,
}

impl Match {
    /// The leftmost value first; of several there one that goes on, then the longest, then the one
    /// whose rule is first.
    pub(crate) fn order(&self) -> (usize, bool, Reverse<usize>, usize) {
        (self.value, !self.is_open, Reverse(self.end), self.rule)
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
    let mut search = Search { masking, scratch, text, place, steps_left };
    search.all_ways(&masking.profile.ways)
}

impl Search<'_> {
    fn byte(&self, index: usize) -> Option<u8> {
        self.text.get(index).copied()
    }

    fn spend(&mut self, steps: usize) -> Result<(), GaveUp> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(GaveUp)?;
        Ok(())
    }

    /// Whether a match of a rule may begin at a place, by what can be seen at once.
    fn may_match(&self, rule: &Compiled, start: usize) -> bool {
        let here = self.text.get(start..).unwrap_or_default();
        let begins = |literal: &Front| begins_with(here, (&literal.bytes, literal.ignore_case));
        may_stand_behind(&rule.rule.before, self.text, start)
            && may_begin(&rule.places, here)
            && rule.literal.as_ref().is_none_or(begins)
            && self.masking.action(rule.detector) != Action::Off
    }

    /// Looks whether a rule matches from a place on. `true`: it does, with the longest value that
    /// its pattern has there.
    fn try_rule(&mut self, rule: usize, start: usize) -> Result<bool, GaveUp> {
        let masking = self.masking;
        let Some(compiled) = masking.profile.rules.get(rule) else { return Ok(false) };
        if !self.may_match(compiled, start) {
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
        Ok(best.is_some_and(|best| self.note(rule, compiled, start, best)) && is_longest)
    }

    /// Puts a rule's match from a place on into the list, where the ends of its pattern from there
    /// are known, in their order. With a lead or a trail they are no ends of its value: that is
    /// walked again.
    fn try_ends(
        &mut self,
        rule: usize,
        start: usize,
        ends: impl DoubleEndedIterator<Item = usize>,
    ) -> Result<(), GaveUp> {
        let masking = self.masking;
        let Some(compiled) = masking.profile.rules.get(rule) else { return Ok(()) };
        if compiled.lead.is_some() || compiled.trail.is_some() {
            return self.try_rule(rule, start).map(|_| ());
        }
        if self.may_match(compiled, start)
            && let Some(end) = self.longest(compiled, start, ends)?
        {
            self.note(rule, compiled, start, (start, end));
        }
        Ok(())
    }

    /// Puts a match into the list, if a word stands before it where one must.
    fn note(
        &mut self,
        rule: usize,
        compiled: &Compiled,
        start: usize,
        (value, end): (usize, usize),
    ) -> bool {
        if !has_context(compiled, self.text, start) {
            return false;
        }
        let is_open = compiled.rule.run.is_some();
        self.scratch.matches.push(Match { start, value, end, is_open, rule });
        true
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
        let walked = self.ends(compiled.value, value, &mut ends);
        let found = walked.and_then(|()| self.longest(compiled, value, ends.iter().copied()));
        if let Ok(Some(end)) = found {
            *is_longest &= ends.last() == Some(&end);
        }
        self.scratch.lists.ends = ends;
        found
    }

    /// The last of some ends of a value, with which it is one.
    fn longest(
        &mut self,
        compiled: &Compiled,
        value: usize,
        ends: impl DoubleEndedIterator<Item = usize>,
    ) -> Result<Option<usize>, GaveUp> {
        for end in ends.rev() {
            let bytes = self.text.get(value..end).unwrap_or_default();
            if self.goes_on(compiled, end)? && (compiled.rule.is_valid)(bytes) {
                return Ok(Some(end));
            }
        }
        Ok(None)
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
        let walked = parts.forward(cache, Some(trail), text, end, |here| {
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
        let walked = parts.forward(cache, Some(part), self.text, from, |here| {
            ends.push(here.at);
            true
        })?;
        self.spend(walked.saturating_add(1))
    }
}

/// Whether a text begins with a literal, in lower case where case does not count.
fn begins_with(text: &[u8], (literal, ignore_case): (&[u8], bool)) -> bool {
    text.get(..literal.len()).is_some_and(|front| {
        if ignore_case { front.eq_ignore_ascii_case(literal) } else { front == literal }
    })
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

/// Whether one of its words stands before a match of a rule.
fn has_context(compiled: &Compiled, text: &[u8], start: usize) -> bool {
    let words = compiled.rule.context;
    if words.is_empty() {
        return true;
    }
    let from = start.saturating_sub(CONTEXT_BYTES);
    let mut before = from.checked_sub(1).and_then(|index| text.get(index)).copied();
    let around = text.get(from..start).unwrap_or_default();
    around.iter().enumerate().any(|(at, byte)| {
        let is_first = before.is_none_or(|before| !before.is_ascii_alphabetic());
        before = Some(*byte);
        let here = around.get(at..).unwrap_or_default();
        is_first
            && compiled.words_first.has(*byte)
            && words.iter().any(|word| is_word(here, word.as_bytes()))
    })
}

/// Whether a text begins with a context word.
fn is_word(text: &[u8], word: &[u8]) -> bool {
    let mut rest = text.iter();
    for (at, letter) in word.iter().enumerate() {
        let is_last = at.saturating_add(1) == word.len();
        let here = rest.as_slice().first().copied();
        let (is_like, is_taken) = match (letter, here) {
            (b' ', Some(byte)) if is_last && word.len() > SHORT_WORD_BYTES => {
                (!byte.is_ascii_alphabetic(), true)
            }
            (b' ', Some(byte)) if !is_last => (true, matches!(byte, b' ' | b'_' | b'-')),
            (letter, Some(byte)) => (byte.eq_ignore_ascii_case(letter), true),
            (_, None) => (false, true),
        };
        if !is_like {
            return false;
        }
        if is_taken {
            rest.next();
        }
    }
    true
}
