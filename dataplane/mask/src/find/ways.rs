//! The ways to the places where a match may begin.

use memchr::memchr_iter;

use super::{Search, begins_with, gate};
use crate::automaton::GaveUp;
use crate::channel::Place;
use crate::places::may_begin;
use crate::profile::{
    Anchor, Anchors, Before, Group, Led, Literal, Others, Runs, Tells, Tokens, Told, Ways,
};
use crate::rule::CONTEXT_BYTES;

/// A text shorter than this is looked through by pairs of bytes; calling the fast engine costs
/// more.
const SHORT_BYTES: usize = 192;

impl Search<'_> {
    pub(super) fn all_ways(&mut self, ways: &Ways) -> Result<(), GaveUp> {
        let Place { from, before } = self.place;
        let lists = &mut self.scratch.lists;
        lists.anchored.clear();
        let is_short = before.saturating_sub(from) < SHORT_BYTES;
        for told in lists.told.each() {
            told.clear();
            if is_short {
                // Looking for words would cost more than what they save.
                told.push((from, before));
            }
        }
        if let Some(led) = &ways.led {
            self.led(led, is_short)?;
        }
        self.tokens(&ways.tokens)?;
        if let Some(near) = &ways.near {
            self.near(near)?;
        }
        if let Some(runs) = &ways.runs {
            self.runs(runs)?;
        }
        if let Some(anchors) = &ways.anchors {
            self.anchors(anchors, is_short)?;
        }
        if let Some(others) = &ways.others {
            self.others(others)?;
        }
        Ok(())
    }

    /// Matches that begin with a literal; and where words and anchors stand.
    fn led(&mut self, led: &Led, is_short: bool) -> Result<(), GaveUp> {
        let mut found = std::mem::take(&mut self.scratch.lists.found);
        found.clear();
        if is_short {
            self.led_by_pairs(led, &mut found);
        } else {
            self.led_by_literals(led, &mut found);
        }
        let mut result = Ok(());
        for (index, start) in found.iter().copied() {
            if !self.place.has(start) {
                continue;
            }
            let rules = led.fronts.get(index).map_or(&[][..], |front| front.rules.as_slice());
            for rule in rules {
                result = result.and_then(|()| self.try_rule(*rule, start).map(|_| ()));
            }
        }
        self.scratch.lists.found = found;
        result
    }

    fn led_by_literals(&mut self, led: &Led, found: &mut Vec<(usize, usize)>) {
        let first = self.place.from.saturating_sub(CONTEXT_BYTES);
        let text = self.text;
        let region = text.get(first..).unwrap_or_default();
        let lists = &mut self.scratch.lists;
        let Some(scratch) = &mut self.scratch.literals else { return };
        led.literals.find(scratch, region, &mut |index, end| {
            let end = first.saturating_add(end);
            match led.kinds.get(index) {
                Some(Literal::Front { bytes, tells }) => {
                    let start = end.saturating_sub(*bytes);
                    found.push((index, start));
                    note_word(text, (start, end), *tells, &mut lists.told);
                }
                Some(Literal::Word { bytes, tells }) => {
                    let start = end.saturating_sub(*bytes);
                    note_word(text, (start, end), *tells, &mut lists.told);
                }
                Some(Literal::Anchor { bytes, index }) => {
                    lists.anchored.push((*index, end.saturating_sub(*bytes)));
                }
                None => {}
            }
        });
        for told in lists.told.each() {
            if !told.is_sorted() {
                told.sort_unstable();
            }
        }
    }

    fn led_by_pairs(&self, led: &Led, found: &mut Vec<(usize, usize)>) {
        for start in self.place.from..self.place.before {
            let (Some(first), Some(second)) =
                (self.byte(start), self.byte(start.saturating_add(1)))
            else {
                continue;
            };
            let alike = led.pairs.of(first, second);
            if alike.is_empty() {
                continue;
            }
            let here = self.text.get(start..).unwrap_or_default();
            let ignores = |index: &usize| led.fronts.get(*index).is_some_and(|one| one.ignore_case);
            let (exact, ignoring) = alike.split_at(alike.partition_point(|index| !ignores(index)));
            let each = [(exact, false), (ignoring, true)];
            let there = each.iter().filter_map(|(list, case)| front_of(led, list, here, *case));
            found.extend(there.map(|index| (index, start)));
        }
    }

    /// Matches that begin at the start of a word with a digit near, or at a sign before digits.
    fn tokens(&mut self, tokens: &Tokens) -> Result<(), GaveUp> {
        if tokens.plain.is_none() && tokens.told.is_none() {
            return Ok(());
        }
        let mut window = 0;
        for start in gate::DigitStarts::new(self.text, self.place) {
            if let Some(group) = &tokens.plain {
                self.try_group(group, start)?;
            }
            if let Some(group) = &tokens.told
                && is_told(&self.scratch.lists.told.tokens, start, &mut window)
            {
                self.try_group(group, start)?;
            }
        }
        Ok(())
    }

    /// Matches behind words.
    fn near(&mut self, near: &Group) -> Result<(), GaveUp> {
        let told = std::mem::take(&mut self.scratch.lists.told.near);
        let mut result = Ok(());
        let mut next = self.place.from;
        for (from, to) in told.iter().copied() {
            for start in next.max(from)..to.min(self.place.before) {
                result = result.and_then(|()| self.try_group(near, start));
            }
            next = next.max(to);
        }
        self.scratch.lists.told.near = told;
        result
    }

    /// Matches that begin with a long run.
    fn runs(&mut self, runs: &Runs) -> Result<(), GaveUp> {
        let text = self.text;
        let mut window = 0;
        let mut found = gate::LongRuns::new(text, self.place.from, runs);
        while let Some((begin, end)) = found.next_run() {
            if begin >= self.place.before {
                break;
            }
            let last = end.saturating_sub(runs.bytes_min);
            for start in begin..=last.min(self.place.before.saturating_sub(1)) {
                let before = start.checked_sub(1).and_then(|index| self.byte(index));
                if before.is_some_and(|before| runs.not_before.has(before)) {
                    continue;
                }
                let is_told = is_told(&self.scratch.lists.told.runs, start, &mut window);
                for group in runs.groups.iter().filter(|group| is_told || !group.is_told) {
                    self.try_group(group, start)?;
                }
            }
        }
        Ok(())
    }

    /// Every rule of a group, from a place on.
    fn try_group(&mut self, group: &Group, start: usize) -> Result<(), GaveUp> {
        let before = start.checked_sub(1).and_then(|index| self.byte(index));
        if before.is_some_and(|before| group.not_before.has(before))
            || !group.candidates.may_begin(self.text.get(start..).unwrap_or_default())
        {
            return Ok(());
        }
        let found = &mut self.scratch.lists.found;
        let Some(cache) = self.scratch.groups.get_mut(group.cache) else { return Err(GaveUp) };
        found.clear();
        let walked = group.automaton.forward(cache, None, self.text, start, |here| {
            found.extend(here.patterns().map(|pattern| (pattern, here.at)));
            true
        })?;
        // Those that were found are sorted and tried, one by one.
        let count = self.scratch.lists.found.len();
        self.spend(walked.saturating_add(count.saturating_mul(2)))?;
        if count == 0 {
            return Ok(());
        }
        let mut found = std::mem::take(&mut self.scratch.lists.found);
        found.sort_unstable();
        let mut result = Ok(());
        for ends in found.chunk_by(|(one, _), (other, _)| one == other) {
            let pattern = ends.first().map_or(0, |(pattern, _)| *pattern);
            let Some(rule) = group.rules.get(pattern) else { continue };
            let places = ends.iter().map(|(_, end)| *end);
            result = result.and_then(|()| self.try_ends(*rule, start, places));
        }
        self.scratch.lists.found = found;
        result
    }

    /// Matches with a rare literal in their middle.
    fn anchors(&mut self, anchors: &Anchors, is_short: bool) -> Result<(), GaveUp> {
        let text = self.text;
        let from = self.place.from;
        for anchor in &anchors.list {
            if let [byte] = anchor.literal.as_slice() {
                let rest = text.get(from..).unwrap_or_default();
                for found in memchr_iter(*byte, rest) {
                    self.anchored(anchors, anchor, from.saturating_add(found))?;
                }
            } else if is_short {
                // Also where one lies across another.
                let mut next = from;
                while let Some(found) = text.get(next..).and_then(|rest| anchor.finder.find(rest)) {
                    let at = next.saturating_add(found);
                    next = at.saturating_add(1);
                    self.anchored(anchors, anchor, at)?;
                }
            }
        }
        let anchored = std::mem::take(&mut self.scratch.lists.anchored);
        let mut result = Ok(());
        for (index, at) in anchored.iter().copied().filter(|(_, at)| *at >= from) {
            if let Some(anchor) = anchors.list.get(index) {
                result = result.and_then(|()| self.anchored(anchors, anchor, at));
            }
        }
        self.scratch.lists.anchored = anchored;
        result
    }

    /// Matches whose anchor stands at a place.
    fn anchored(&mut self, anchors: &Anchors, anchor: &Anchor, at: usize) -> Result<(), GaveUp> {
        let here = self.text.get(at..).unwrap_or_default();
        for head in anchor.heads.iter().filter(|head| may_begin(&head.tail, here)) {
            let lowest = at.saturating_sub(head.bytes_max).max(self.place.from);
            let starts = &mut self.scratch.lists.starts;
            starts.clear();
            match &head.before {
                Before::Nothing => starts.push(at),
                Before::Run(run) => {
                    let before = self.text.get(lowest..at).unwrap_or_default();
                    let walked = run.starts(before, |count| starts.push(at.saturating_sub(count)));
                    self.spend(walked.saturating_add(1))?;
                }
                Before::Pattern(pattern) => {
                    let Some(cache) = &mut self.scratch.heads else { return Err(GaveUp) };
                    let range = (lowest, at);
                    let note = |start| starts.push(start);
                    let heads = &anchors.heads;
                    let walked = heads.backward(cache, Some(*pattern), self.text, range, note)?;
                    self.spend(walked.saturating_add(1))?;
                }
            }
            if !self.scratch.lists.starts.is_empty() {
                self.try_starts(head.rule)?;
            }
        }
        Ok(())
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
        let Place { from, before } = self.place;
        let Some(cache) = &mut self.scratch.others else { return Err(GaveUp) };
        let mut found = std::mem::take(&mut self.scratch.lists.found);
        found.clear();
        let mut result = others.begins.starts(cache, self.text, from, |here| {
            if here.at < before {
                found.extend(here.patterns().map(|pattern| (pattern, here.at)));
            }
        });
        for (pattern, start) in found.iter().copied() {
            let rule = others.rules.get(pattern).copied().unwrap_or(0);
            result = result.and_then(|()| self.try_rule(rule, start).map(|_| ()));
        }
        self.scratch.lists.found = found;
        result
    }
}

/// Which of some fronts a text begins with; they are in their order, and none begins like another.
fn front_of(led: &Led, list: &[usize], text: &[u8], ignore_case: bool) -> Option<usize> {
    let bytes = |index: &usize| led.fronts.get(*index).map_or(&[][..], |front| &front.bytes);
    let folded = |byte: &u8| if ignore_case { byte.to_ascii_lowercase() } else { *byte };
    let up_to_text = |index: &usize| bytes(index).iter().copied().le(text.iter().map(folded));
    let last = list.get(list.partition_point(up_to_text).checked_sub(1)?)?;
    begins_with(text, (bytes(last), ignore_case)).then_some(*last)
}

/// Matches may begin behind a word. Words come in the order of their ends, nearly.
fn note_word(text: &[u8], (start, end): (usize, usize), tells: Tells, told: &mut Told) {
    let before = start.checked_sub(1).and_then(|index| text.get(index));
    if before.is_some_and(u8::is_ascii_alphabetic) {
        return;
    }
    let to = start.saturating_add(CONTEXT_BYTES).saturating_add(1);
    let Told { tokens, near, runs } = told;
    let each = [(tells.tokens, tokens), (tells.near, near), (tells.runs, runs)];
    for (_, told) in each.into_iter().filter(|(tells, _)| *tells) {
        match told.last_mut() {
            Some(last) if end <= last.1 && end >= last.0 => last.1 = last.1.max(to),
            Some(_) | None => told.push((end, to)),
        }
    }
}

/// Whether a word stands before a place; places are asked about in their order.
fn is_told(told: &[(usize, usize)], start: usize, window: &mut usize) -> bool {
    while told.get(*window).is_some_and(|(_, to)| *to <= start) {
        *window = window.saturating_add(1);
    }
    told.get(*window).is_some_and(|(from, _)| *from <= start)
}
