//! One exchange's stream of events, masked event by event. Each event leaves as it comes, with the
//! text that is free; what is held goes with a later event of its text, or in an event of our own
//! before the one that ends it.

mod lines;
mod live;
mod rehearsal;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use penstock_config::documents::Unreadable;
use penstock_http::stream::StreamKind;

use crate::analysis::{Analysis, Cut};
use crate::event::turn::Turn;
use crate::event::{Mode, Rewrite, Source, Step, Text, Unmaskable};
use crate::json::Read;
use crate::stream::lines::{Content, Lines};
use crate::stream::live::{EventParts, Lives};
use crate::stream::rehearsal::Rehearsal;
use crate::surface::{self, Surface};
use crate::text::{Masking, Scratch};
use crate::whole::Field;

/// Largest event, in bytes: 1 MiB.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// Most texts of one stream at a time: a channel of a choice, a tool's arguments.
pub const TEXTS_MAX: usize = 256;

/// Most that is kept of them where each event may tell all of a text again, in bytes: 1 MiB, as one
/// event could tell.
const PREVIOUS_BYTES_MAX: usize = EVENT_BYTES_MAX;

/// What a mask's document says beside its rules.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What is done with what can't be read.
    pub unreadable: Unreadable,
    /// Whether text that was held for too long goes through; otherwise it becomes `***`.
    pub stalled_release: bool,
    /// Members of whole answers that are masked whatever they hold.
    pub fields: Arc<[Field]>,
}

/// What comes next with an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Read,
    Plan,
    Rehearse,
    Tell,
    Act,
}

/// One exchange's stream.
pub struct StreamMask {
    masking: Masking,
    masked: u64,
    work: Work,
    analysis: Option<Box<Analysis>>,
}

/// All but the mask.
struct Work {
    terms: Terms,
    kind: StreamKind,
    lines: Lines,
    rewrite: Rewrite,
    lives: Lives,
    nowhere: Text,
    stage: Stage,
    rehearsal: Rehearsal,
    /// Whether the last event has its end.
    is_complete: bool,
    /// What had been written before this event.
    written: usize,
}

impl StreamMask {
    /// At the start of a stream.
    pub fn new(masking: Masking, terms: Terms, surface: Surface, kind: StreamKind) -> Self {
        let table = surface::response(surface);
        let work = Work {
            kind,
            lines: Lines::default(),
            rewrite: Rewrite::new(table, Mode::Stream, terms.unreadable),
            lives: Lives::new(kind, table.table.is_numbered),
            nowhere: Text::plain(),
            stage: Stage::Read,
            rehearsal: Rehearsal::default(),
            is_complete: true,
            written: 0,
            terms,
        };
        Self { masking, masked: 0, work, analysis: None }
    }

    /// The same; its mask's analyser, if it has one, is asked about its texts: after [`Step::More`]
    /// and [`Self::ask_stalled`] there may be questions of [`Self::analysis`], which must be
    /// answered, or given up, before it goes on.
    #[must_use]
    pub fn asking(mut self) -> Self {
        self.analysis = Analysis::new(&self.masking, Cut::Sentence);
        self
    }

    /// What its analyser is asked.
    pub fn analysis(&mut self) -> Option<&mut Analysis> {
        self.analysis.as_deref_mut()
    }

    /// One whole event with its end, at most [`EVENT_BYTES_MAX`] long; what goes in its place is
    /// appended to `out`. At the end of the body also what is left of an event without its end.
    ///
    /// # Errors
    ///
    /// What can't be masked: nothing of the event, and of what was written for it, may go on, and
    /// the stream is over.
    pub fn event(
        &mut self,
        scratch: &mut Scratch,
        event: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Unmaskable> {
        if let Some(analysis) = &mut self.analysis {
            analysis.begin();
        }
        self.work.begin(event, out, self.analysis.is_some())?;
        self.more(scratch, event, out)
    }

    /// Goes on with an event after [`Step::More`]: at most 16 KiB of text are scanned between two
    /// returns. `out` must still hold what was written for the event.
    ///
    /// # Errors
    ///
    /// As [`StreamMask::event`].
    pub fn more(
        &mut self,
        scratch: &mut Scratch,
        event: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Unmaskable> {
        let before = scratch.masked();
        let mut turn = Turn::new(&self.masking, scratch).asking(self.analysis.as_deref_mut());
        let step = self.work.advance(&mut turn, event, out);
        self.masked = self.masked.saturating_add(scratch.masked().saturating_sub(before));
        self.answered(step?)
    }

    /// The end of the body: everything that is held is told. Again after [`Step::More`].
    ///
    /// # Errors
    ///
    /// As [`StreamMask::event`].
    pub fn end(&mut self, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<Step, Unmaskable> {
        let before = scratch.masked();
        let mut turn = Turn::new(&self.masking, scratch).asking(self.analysis.as_deref_mut());
        let step = self.work.end(&mut turn, out);
        self.masked = self.masked.saturating_add(scratch.masked().saturating_sub(before));
        self.answered(step?)
    }

    /// What came of it, unless text could not be asked about that must be.
    fn answered(&self, step: Step) -> Result<Step, Unmaskable> {
        let is_refused = self.analysis.as_ref().is_some_and(|analysis| analysis.is_refused());
        if is_refused && step != Step::More { Err(Unmaskable::Unanswered) } else { Ok(step) }
    }

    /// Before [`Self::stalled`]: what must be asked for that.
    pub fn ask_stalled(&mut self, scratch: &mut Scratch) {
        let Some(analysis) = self.analysis.as_deref_mut() else { return };
        analysis.begin();
        analysis.rehearse(true);
        let mut turn = Turn::new(&self.masking, scratch).asking(Some(&mut *analysis));
        self.work.lives.clone().stalled(false, &mut turn, &mut Vec::new());
        analysis.rehearse(false);
    }

    /// No progress in time, between two events: what is held is decided, and told in events of our
    /// own.
    pub fn stalled(&mut self, scratch: &mut Scratch, out: &mut Vec<u8>) {
        let release = self.work.terms.stalled_release;
        let before = scratch.masked();
        let mut turn = Turn::new(&self.masking, scratch).asking(self.analysis.as_deref_mut());
        self.work.lives.stalled(release, &mut turn, out);
        self.masked = self.masked.saturating_add(scratch.masked().saturating_sub(before));
    }

    /// Whether text is held.
    pub fn holds_text(&self) -> bool {
        self.work.lives.hold_text()
    }

    /// Bytes of text that are held.
    pub fn held_bytes(&self) -> usize {
        self.work.lives.held_bytes()
    }

    /// Values masked so far.
    pub fn masked(&self) -> u64 {
        self.masked
    }
}

impl Work {
    fn begin(&mut self, event: &[u8], out: &[u8], asks: bool) -> Result<(), Unmaskable> {
        if event.len() > EVENT_BYTES_MAX {
            return Err(Unmaskable::EventTooLarge);
        }
        self.rewrite.clear();
        self.lives.begin();
        self.written = out.len();
        self.is_complete = matches!(event.last(), Some(b'\n' | b'\r'));
        self.stage = match self.lines.read(self.kind, event, self.terms.unreadable)? {
            Content::Nothing => Stage::Act,
            Content::End => {
                self.rewrite.plan.end_all();
                self.lives.mark(&self.rewrite.plan);
                if asks { Stage::Rehearse } else { Stage::Tell }
            }
            Content::Data => Stage::Read,
        };
        Ok(())
    }

    fn advance(
        &mut self,
        turn: &mut Turn<'_>,
        event: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Unmaskable> {
        let data = self.lines.data.clone();
        if self.stage == Stage::Read {
            let all = self.lines.anew.as_deref().unwrap_or(event);
            match self.rewrite.read(all.get(data.clone()).unwrap_or_default()) {
                Ok(Read::Done) => self.stage = Stage::Plan,
                Ok(Read::More) => return Ok(Step::More),
                Err(error) => return self.unreadable(error),
            }
            self.lines.flatten();
        }
        let Self { lines, rewrite, lives, nowhere, stage, rehearsal, .. } = self;
        let all = lines.anew.as_deref().unwrap_or(event);
        let source = Source { all, json_start: data.start, json_end: data.end };
        if *stage == Stage::Plan {
            let mut assign = |key, role, act| lives.assign(key, role, act);
            if rewrite.plan(source.json(), &mut assign)? == Read::More {
                return Ok(Step::More);
            }
            lives.mark(&rewrite.plan);
            *stage = if turn.asks() { Stage::Rehearse } else { Stage::Tell };
        }
        if *stage == Stage::Rehearse {
            let mut parts = EventParts { lives, head: &lines.head, nowhere };
            if !rehearsal.go_through(rewrite, &source, &mut parts, turn)? {
                return Ok(Step::More);
            }
            *stage = Stage::Tell;
        }
        if *stage == Stage::Tell {
            if !lives.tell(turn, out) {
                return Ok(Step::More);
            }
            *stage = Stage::Act;
        }
        let mut parts = EventParts { lives, head: &lines.head, nowhere };
        if rewrite.act(&source, &mut parts, turn, out)? == Read::More {
            return Ok(Step::More);
        }
        if lives.previous_bytes() > PREVIOUS_BYTES_MAX {
            return Err(Unmaskable::TooManyTexts);
        }
        if !rewrite.is_changed && !lines.is_changed && out.len() == self.written {
            return Ok(Step::Unchanged);
        }
        rewrite.copy_rest(&source, out);
        Ok(Step::Written)
    }

    /// Data that is not JSON.
    fn unreadable(&self, error: Unmaskable) -> Result<Step, Unmaskable> {
        match self.terms.unreadable {
            Unreadable::Refuse => Err(error),
            Unreadable::Strip => Ok(Step::Written),
            Unreadable::Pass => Ok(Step::Unchanged),
        }
    }

    fn end(&mut self, turn: &mut Turn<'_>, out: &mut Vec<u8>) -> Result<Step, Unmaskable> {
        if !self.is_complete && self.lives.hold_text() {
            out.extend_from_slice(match self.kind {
                StreamKind::Sse => b"\n\n",
                StreamKind::Ndjson => b"\n",
            });
        }
        let is_begun = matches!(self.stage, Stage::Rehearse | Stage::Tell);
        if !std::mem::replace(&mut self.is_complete, true) || !is_begun {
            self.rewrite.clear();
            self.lives.begin();
            self.rewrite.plan.end_all();
            self.lives.mark(&self.rewrite.plan);
            self.stage = if turn.asks() { Stage::Rehearse } else { Stage::Tell };
        }
        if self.stage == Stage::Rehearse {
            let Self { lines, rewrite, lives, nowhere, rehearsal, .. } = self;
            let mut parts = EventParts { lives, head: &lines.head, nowhere };
            let nothing = Source { all: &[], json_start: 0, json_end: 0 };
            if !rehearsal.go_through(rewrite, &nothing, &mut parts, turn)? {
                return Ok(Step::More);
            }
            self.stage = Stage::Tell;
        }
        if !self.lives.tell(turn, out) {
            return Ok(Step::More);
        }
        Ok(if out.is_empty() { Step::Unchanged } else { Step::Written })
    }
}
