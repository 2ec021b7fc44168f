//! One logical text that comes in pieces: a choice's answer, its reasoning, a tool's arguments.
//!
//! What is before the hold point is final: no match that is found later begins there, since its
//! beginning would have been held. So nothing is taken back, and nothing is held but what may
//! still become a value, or grow into one.

pub(crate) mod named;

use crate::action::{self, REDACTED};
use crate::find::{self, Match};
use crate::fold::{Behind, Folded, Folder};
use crate::profile::{Masking, Scratch};
use crate::rule::CONTEXT_BYTES;
use crate::run::OpenRun;

/// Bytes of the folded text that stay known before what is held: for words around a value, with one
/// for the letter before such a word, and guards.
const KNOWN_BYTES: usize = CONTEXT_BYTES + 8;

/// Bytes that are kept before they are moved out, so that this is seldom done.
const DONE_BYTES_MAX: usize = 256;

/// Bytes of each of its lists that a channel keeps when small pieces come, and what they are
/// together.
const KEPT_LENGTH: usize = 512;
const KEPT_BYTES_MAX: usize = 6 * KEPT_LENGTH;

/// Where matches may begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// From here on.
    pub(crate) from: usize,
    /// Before here.
    pub(crate) before: usize,
}

impl Place {
    pub(crate) fn has(self, start: usize) -> bool {
        (self.from..self.before).contains(&start)
    }
}

/// What a piece came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pushed {
    /// Whether what was written differs from the piece.
    pub changed: bool,
}

/// One text.
#[derive(Clone, Debug)]
pub struct Channel {
    folder: Folder,
    /// What came, from some place before what is held on.
    original: Vec<u8>,
    /// How much of it is folded.
    decided: usize,
    /// How much of it was written, or left out for good.
    sent: usize,
    folded: Folded,
    /// The hold point: what is before it, in the folded text, is final.
    done: usize,
    /// Up to here, in the folded text, stands a run whose tag was written.
    covered: usize,
    /// From and to of what was redacted in the folded text since nothing came for too long.
    doubted: (usize, usize),
    /// Runs that may go on with the next byte, one of each kind.
    open: Vec<OpenRun>,
    /// Whether what was written since the last piece began is that piece.
    is_verbatim: bool,
    escapes: bool,
    /// What an analyser has to do with it.
    named: Option<Box<named::Named>>,
    trace: Option<Trace>,
}

/// How far a piece is decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Until {
    /// As far as nothing that comes can change it.
    Sure,
    /// To its end.
    End,
    /// To its end; what might have become a value goes out as `***`, or as it is. What comes may
    /// still be the rest of one.
    Stalled { release: bool },
    /// To its end; what might have become a value goes out as `***`, and is forgotten.
    Flooded,
}

impl Channel {
    /// At the beginning of a text. With `escapes` it is inside a JSON string inside a JSON text.
    pub fn new(escapes: bool) -> Self {
        Self {
            folder: Folder::new(escapes),
            original: Vec::new(),
            decided: 0,
            sent: 0,
            folded: Folded::default(),
            done: 0,
            covered: 0,
            doubted: (0, 0),
            open: Vec::new(),
            is_verbatim: true,
            escapes,
            named: None,
            trace: None,
        }
    }

    /// Appends to `out` what of the text is free with a further piece of it (UTF-8, whole
    /// characters, at most 16 KiB).
    pub fn push(
        &mut self,
        masking: &Masking,
        scratch: &mut Scratch,
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> Pushed {
        let was_empty = self.held_bytes() == 0;
        self.is_verbatim = true;
        self.shrink(text.len());
        self.original.extend_from_slice(text);
        self.advance(masking, scratch, Until::Sure, out);
        Pushed { changed: !(was_empty && self.is_verbatim && self.held_bytes() == 0) }
    }

    /// The end of the text: everything that is held is decided and written.
    pub fn finish(
        &mut self,
        masking: &Masking,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Pushed {
        let before = out.len();
        self.advance(masking, scratch, Until::End, out);
        let changed = out.len() != before;
        let Self { original, folded, .. } = self;
        original.clear();
        folded.clear();
        self.folder = Folder::new(self.escapes);
        (self.decided, self.sent, self.done, self.covered) = (0, 0, 0, 0);
        self.doubted = (0, 0);
        self.open.clear();
        Pushed { changed }
    }

    /// Nothing came for too long: what is held is decided as at the end, but what may still be the
    /// beginning of a value is written as `***`, or as it is with `release`. The text may go on.
    /// What may be the front of an escape is held all the same, unless it is released.
    pub fn stalled(
        &mut self,
        masking: &Masking,
        scratch: &mut Scratch,
        release: bool,
        out: &mut Vec<u8>,
    ) -> Pushed {
        let before = out.len();
        self.advance(masking, scratch, Until::Stalled { release }, out);
        Pushed { changed: out.len() != before }
    }

    /// Bytes of the original that are held.
    pub fn held_bytes(&self) -> usize {
        self.original.len().saturating_sub(self.sent)
    }

    fn advance(
        &mut self,
        masking: &Masking,
        scratch: &mut Scratch,
        until: Until,
        out: &mut Vec<u8>,
    ) {
        // What can't be seen is not held without end: what may still become a value is redacted.
        let behind = match until {
            Until::Sure => Behind::More,
            Until::Stalled { release: false } => Behind::Silence,
            Until::End | Until::Stalled { release: true } | Until::Flooded => Behind::Nothing,
        };
        while self.fold(behind) {
            self.decide(masking, scratch, Until::Flooded, out);
        }
        self.decide(masking, scratch, until, out);
    }

    /// Folds what came; `true`: up to a place where all of it must be decided.
    fn fold(&mut self, behind: Behind) -> bool {
        let new = self.original.get(self.decided..).unwrap_or_default();
        let decided = self.folder.fold(new, self.decided, behind, &mut self.folded);
        self.decided = self.decided.saturating_add(decided);
        self.folder.take_flood()
    }

    fn decide(
        &mut self,
        masking: &Masking,
        scratch: &mut Scratch,
        until: Until,
        out: &mut Vec<u8>,
    ) {
        let is_end = until != Until::Sure;
        self.run_on();
        let length = self.folded.bytes.len();
        scratch.count_scanned(length.saturating_sub(self.done));
        let sure = if until == Until::End { length } else { self.sure(masking, scratch) };
        let before = if is_end { length } else { sure };
        if before <= self.done && !is_end {
            // What was dropped before it is nobody's.
            self.clean(before, length, &mut false, out);
            self.tidy();
            return;
        }
        let place = Place { from: self.done, before };
        let before = match find::find(masking, scratch, &self.folded.bytes, place) {
            Ok(()) => {
                self.add_names(masking, &mut scratch.matches);
                settle(&mut scratch.matches, before)
            }
            Err(_) => self.take_whole(scratch, before),
        };
        // What a stalled text may still become begins here.
        let doubtful = match until {
            Until::Stalled { release: false } | Until::Flooded => sure,
            Until::Sure | Until::End | Until::Stalled { release: true } => length,
        };
        self.write(masking, scratch, (before, doubtful), out);
        self.done = before;
        if until == (Until::Stalled { release: false }) && sure < before {
            // What was redacted stays known: the rest of a value belongs to it.
            let (known, to) = self.doubted;
            let from = if to > sure { known } else { sure.max(self.covered) };
            self.doubted = (from, before);
            self.cover(before);
            self.done = sure;
        }
        self.forget_names();
        self.tidy();
    }

    /// The hold point: before the longest end of the text that may still become a match.
    fn sure(&self, masking: &Masking, scratch: &mut Scratch) -> usize {
        let text = &self.folded.bytes;
        let point = masking.profile.holds.point(&mut scratch.holds, text, self.done);
        let mut sure = self.before_names(point);
        // Not within a character, nor within what one character was folded to.
        while sure > self.done
            && sure < text.len()
            && self.folded.start_of(sure) == self.folded.start_of(sure.saturating_sub(1))
        {
            sure = sure.saturating_sub(1);
        }
        sure
    }

    /// The text can't be looked through: all of it is taken for a value, beside those that were
    /// found. What begins in it and is not decided yet goes on from it.
    fn take_whole(&self, scratch: &mut Scratch, before: usize) -> usize {
        let (value, end) = (self.done, self.folded.bytes.len());
        scratch.matches.push(Match { start: value, value, end, is_open: false, rule: usize::MAX });
        scratch.matches.retain(|one| one.start < before);
        before
    }

    /// Open runs take what follows them.
    fn run_on(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let rest = self.folded.bytes.get(self.covered..).unwrap_or_default();
        let mut most = 0;
        self.open.retain_mut(|open| {
            let taken = open.take(rest);
            most = most.max(taken);
            taken == rest.len()
        });
        self.cover_run(self.covered.saturating_add(most));
    }

    /// Everything up to a place is part of a run that may go on, with what was dropped behind it.
    fn cover_run(&mut self, end: usize) {
        self.cover(end);
        let sent = self.original_at(end);
        if sent > self.sent {
            self.sent = sent;
            self.is_verbatim = false;
        }
    }

    /// Everything up to a place of the folded text is part of a run.
    fn cover(&mut self, end: usize) {
        if end > self.covered {
            self.covered = end;
            self.is_verbatim = false;
            if let Some(last) = end.checked_sub(1) {
                self.sent = self.sent.max(self.folded.end_of(last));
            }
            let sent = self.sent;
            if let Some(trace) = &mut self.trace
                && let Some(finding) = trace.found.last_mut()
            {
                finding.range.end = trace.gone.saturating_add(sent);
            }
        }
    }

    fn write(
        &mut self,
        masking: &Masking,
        scratch: &mut Scratch,
        (before, doubtful): (usize, usize),
        out: &mut Vec<u8>,
    ) {
        let mut matches = std::mem::take(&mut scratch.matches);
        matches.sort_unstable_by_key(Match::order);
        let mut is_redacted = false;
        for one in matches.drain(..) {
            if one.value >= self.covered {
                self.clean(one.value, doubtful, &mut is_redacted, out);
                self.replace(masking, scratch, &one, out);
            } else if one.end > self.covered
                && (self.doubted.0..self.doubted.1).contains(&one.value)
            {
                // Its front was redacted before it was known.
                let detector = masking.profile.rules.get(one.rule).map(|rule| rule.detector);
                scratch.count_masked(detector);
                self.doubted = (0, 0);
            }
            self.cover(one.end);
            self.open_run(masking, &one);
        }
        scratch.matches = matches;
        self.clean(before, doubtful, &mut is_redacted, out);
    }

    /// Writes the clean text up to a place of the folded text.
    fn clean(&mut self, to: usize, doubtful: usize, is_redacted: &mut bool, out: &mut Vec<u8>) {
        let sure = self.original_at(to.min(doubtful));
        if let Some(text) = self.original.get(self.sent..sure) {
            out.extend_from_slice(text);
        }
        self.sent = self.sent.max(sure);
        let end = self.original_at(to);
        if end > self.sent {
            self.is_verbatim = false;
            if !std::mem::replace(is_redacted, true) {
                out.extend_from_slice(REDACTED);
            }
            self.sent = end;
        }
    }

    /// Where a place of the folded text is in the original.
    fn original_at(&self, index: usize) -> usize {
        if index >= self.folded.bytes.len() { self.decided } else { self.folded.start_of(index) }
    }

    fn replace(
        &mut self,
        masking: &Masking,
        scratch: &mut Scratch,
        one: &Match,
        out: &mut Vec<u8>,
    ) {
        self.is_verbatim = false;
        let Some(compiled) = masking.profile.rules.get(one.rule) else {
            return self.replace_named(masking, scratch, one, out);
        };
        scratch.count_masked(Some(compiled.detector));
        if let Some(trace) = &mut self.trace {
            let start = trace.gone.saturating_add(self.folded.start_of(one.value));
            let detector = std::sync::Arc::clone(&compiled.rule.detector);
            trace.found.push(Finding { range: start..start, detector });
        }
        let action = match masking.action(compiled.detector) {
            // What the front decides has no end yet.
            action::Action::KeepLast(_) | action::Action::Hash | action::Action::Surrogate
                if compiled.rule.run.is_some() =>
            {
                action::Action::Replace
            }
            action => action,
        };
        let value = self.folded.bytes.get(one.value..one.end).unwrap_or_default();
        action::write(action, masking.key.as_deref(), &compiled.rule.detector, value, out);
    }

    /// A rule whose front decides takes what follows its value.
    fn open_run(&mut self, masking: &Masking, one: &Match) {
        let Some(compiled) = masking.profile.rules.get(one.rule) else { return };
        let Some(run) = compiled.rule.run else { return };
        let mut open = OpenRun::new(run);
        let rest = self.folded.bytes.get(one.end..).unwrap_or_default();
        let taken = open.take(rest);
        let goes_on = taken == rest.len();
        self.cover_run(one.end.saturating_add(taken));
        if goes_on {
            self.open.retain(|known| !known.is_like(run));
            self.open.push(open);
        }
    }

    /// Gives back what a large piece took, once small ones come.
    fn shrink(&mut self, piece: usize) {
        let kept = self.original.capacity().saturating_add(self.folded.kept_bytes());
        if kept > KEPT_BYTES_MAX && self.original.len().saturating_add(piece) < KEPT_LENGTH {
            self.original.shrink_to(KEPT_LENGTH);
            self.folded.shrink_to(KEPT_LENGTH);
        }
    }

    /// Lets go of what is done, but for what must stay known.
    fn tidy(&mut self) {
        if self.done <= DONE_BYTES_MAX {
            return;
        }
        let count = self.done.saturating_sub(KNOWN_BYTES);
        let original = self.folded.start_of(count);
        self.folded.drain_front(count, original);
        self.original.drain(..original.min(self.original.len()));
        if let Some(trace) = &mut self.trace {
            trace.gone = trace.gone.saturating_add(original);
        }
        self.move_names(original);
        self.done = self.done.saturating_sub(count);
        self.covered = self.covered.saturating_sub(count);
        let (from, to) = self.doubted;
        self.doubted = (from.saturating_sub(count), to.saturating_sub(count));
        self.decided = self.decided.saturating_sub(original);
        self.sent = self.sent.saturating_sub(original);
    }
}

/// Leaves only matches that can be written before a place; returns it, or an earlier one: a value
/// behind it whose match begins before it waits with what stands before it.
fn settle(matches: &mut Vec<Match>, mut before: usize) -> usize {
    loop {
        let waits = matches.iter().filter(|one| one.start < before && one.value >= before);
        let Some(earlier) = waits.map(|one| one.start).min() else { break };
        before = earlier;
    }
    matches.retain(|one| one.start < before);
    before
}

/// A run of a whole text, and what it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Bytes of the text.
    pub range: std::ops::Range<usize>,
    /// The detector that names it.
    pub detector: std::sync::Arc<str>,
}

/// Most bytes that are given to a channel at once.
pub const PUSH_BYTES_MAX: usize = 16 << 10;

/// Pieces of a text of at most [`PUSH_BYTES_MAX`], cut between characters.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, behind) = rest.split_at_checked(rest.floor_char_boundary(PUSH_BYTES_MAX))?;
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A whole text, masked.
pub fn mask_text(masking: &Masking, scratch: &mut Scratch, text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut channel = Channel::new(false);
    for piece in pieces(text) {
        channel.push(masking, scratch, piece.as_bytes(), &mut out);
    }
    channel.finish(masking, scratch, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// What of a whole text would be masked, and why.
pub fn findings(masking: &Masking, scratch: &mut Scratch, text: &str) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut channel = Channel::new(false);
    channel.trace = Some(Trace::default());
    for piece in pieces(text) {
        channel.push(masking, scratch, piece.as_bytes(), &mut out);
        out.clear();
    }
    channel.advance(masking, scratch, Until::End, &mut out);
    channel.trace.map(|trace| trace.found).unwrap_or_default()
}

/// What was found so far, for those who ask.
#[derive(Clone, Debug, Default)]
struct Trace {
    /// Bytes of the text that are not kept any more.
    gone: usize,
    found: Vec<Finding>,
}

#[cfg(test)]
mod tests;
