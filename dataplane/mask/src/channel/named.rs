//! Names that an analyser found, in a text that comes in pieces. Text that it was not asked about
//! waits here, before the channel; what it found comes in with its sentence, and is masked as what
//! rules find is.

use std::ops::Range;

use super::{Channel, REDACTED};
use crate::action;
use crate::find::Match;
use crate::profile::{Masking, Scratch};

/// What a channel keeps where an analyser is asked about its text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    /// Text that was not asked about yet.
    pub(crate) waiting: Vec<u8>,
    /// Names that are not decided yet, by their place in the channel's original text.
    names: Vec<Name>,
}

/// One name: bytes of a text, and its number among matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Name {
    pub(crate) range: Range<usize>,
    pub(crate) number: usize,
}

impl Channel {
    /// Whether the text is inside a JSON string inside a JSON text.
    pub(crate) fn has_escapes(&self) -> bool {
        self.escapes
    }

    /// Text that was not asked about yet.
    pub(crate) fn waiting(&mut self) -> &mut Vec<u8> {
        &mut self.named.get_or_insert_default().waiting
    }

    /// Bytes of it.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.named.as_ref().map_or(0, |named| named.waiting.len())
    }

    /// A further piece, and the names in it.
    pub(crate) fn push_named(
        &mut self,
        masking: &Masking,
        scratch: &mut Scratch,
        text: &[u8],
        names: &[Name],
        out: &mut Vec<u8>,
    ) {
        let base = self.original.len();
        let placed = names.iter().map(|name| {
            let Range { start, end } = name.range;
            let range = base.saturating_add(start)..base.saturating_add(end.min(text.len()));
            Name { range, number: name.number }
        });
        self.named.get_or_insert_default().names.extend(placed);
        self.push(masking, scratch, text, out);
    }

    /// The hold point with names in mind: not behind where one begins whose end is not folded.
    pub(super) fn before_names(&self, sure: usize) -> usize {
        let Some(named) = &self.named else { return sure };
        let open = named.names.iter().filter(|name| name.range.end > self.decided);
        let starts = open.map(|name| self.folded_start(name.range.start));
        starts.fold(sure, usize::min).max(self.done)
    }

    /// Adds the names that are folded to the matches.
    pub(super) fn add_names(&self, masking: &Masking, matches: &mut Vec<Match>) {
        let Some(named) = &self.named else { return };
        for name in &named.names {
            let value = self.folded_start(name.range.start).max(self.done);
            let end = self.folded_end(name.range.end.min(self.decided));
            let is_off = masking
                .profile
                .named(name.number)
                .is_some_and(|(detector, _)| masking.action(detector) == action::Action::Off);
            if value < end && !is_off {
                matches.push(Match { start: value, value, end, is_open: false, rule: name.number });
            }
        }
    }

    /// Forgets names that begin before the hold point; of one that is not folded to its end the
    /// rest stays.
    pub(super) fn forget_names(&mut self) {
        let Some(mut named) = self.named.take() else { return };
        named.names.retain_mut(|name| {
            if self.folded_start(name.range.start) >= self.done {
                return true;
            }
            name.range.start = name.range.start.max(self.decided);
            name.range.start < name.range.end
        });
        self.named = Some(named);
    }

    /// The front of the original text is gone.
    pub(super) fn move_names(&mut self, gone: usize) {
        for name in self.named.iter_mut().flat_map(|named| &mut named.names) {
            let Range { start, end } = name.range;
            name.range = start.saturating_sub(gone)..end.saturating_sub(gone);
        }
    }

    /// The text is over.
    pub(crate) fn end_names(&mut self) {
        if let Some(named) = &mut self.named {
            named.names.clear();
            named.waiting.clear();
        }
    }

    /// The first folded byte that comes from a place of the original or from behind it.
    fn folded_start(&self, original: usize) -> usize {
        self.folded_place(|index| self.folded.end_of(index) <= original)
    }

    /// Behind the last folded byte that comes from before a place of the original.
    fn folded_end(&self, original: usize) -> usize {
        self.folded_place(|index| self.folded.start_of(index) < original)
    }

    /// The first folded byte of which this does not hold; it holds of all before that one.
    fn folded_place(&self, holds: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.folded.bytes.len());
        while low < high {
            let middle = low.midpoint(high);
            if holds(middle) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low
    }

    /// Writes what stands in the place of what no rule found: a name's tag, or `***`.
    pub(super) fn replace_named(
        &mut self,
        masking: &Masking,
        scratch: &mut Scratch,
        one: &Match,
        out: &mut Vec<u8>,
    ) {
        let Some((detector, name)) = masking.profile.named(one.rule) else {
            scratch.count_masked(None);
            out.extend_from_slice(REDACTED);
            return;
        };
        scratch.count_masked(Some(detector));
        let value = self.folded.bytes.get(one.value..one.end).unwrap_or_default();
        action::write(masking.action(detector), masking.key.as_deref(), name, value, out);
    }
}
