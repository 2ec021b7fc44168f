//! Whole answers, and what callers send: masked step by step, all or nothing.

mod field;
mod question;

#[cfg(test)]
mod tests;

use penstock_config::documents::Unreadable;

pub use field::Field;
pub use question::unmaskable_request;

use crate::analysis::{Analysis, Cut};
use crate::event::turn::Turn;
use crate::event::{Mode, NoParts, Rewrite, Source, Step, Text, Unmaskable};
use crate::json::{Read, whole_characters};
use crate::stream::Terms;
use crate::surface::{self, Surface};
use crate::text::{Masking, Scratch};

/// What a body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Media {
    /// `application/json` and its kin.
    Json,
    /// `text/plain`: one text.
    Text,
}

/// Which way a body goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// To the model server.
    Request,
    /// To the caller.
    Response,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Read,
    Plan,
    Rehearse,
    Act,
    RehearseText { from: usize },
    Text { from: usize },
}

/// One whole body.
pub struct WholeMask {
    masking: Masking,
    terms: Terms,
    direction: Direction,
    rewrite: Rewrite,
    parts: NoParts,
    stage: Stage,
    masked: u64,
    written: Option<usize>,
    piece: Vec<u8>,
    analysis: Option<Box<Analysis>>,
}

impl WholeMask {
    /// For one body.
    pub fn new(
        masking: Masking,
        terms: Terms,
        surface: Surface,
        media: Media,
        direction: Direction,
    ) -> Self {
        let table = match direction {
            Direction::Request => surface::request(),
            Direction::Response => surface::response(surface),
        };
        Self {
            masking,
            direction,
            rewrite: Rewrite::new(table, Mode::Whole, terms.unreadable),
            parts: NoParts { text: Text::plain() },
            stage: match media {
                Media::Json => Stage::Read,
                Media::Text => Stage::Text { from: 0 },
            },
            masked: 0,
            written: None,
            piece: Vec::new(),
            terms,
            analysis: None,
        }
    }

    /// The same; its mask's analyser, if it has one, is asked about its texts: after [`Step::More`]
    /// there may be questions of [`Self::analysis`], which must be answered, or given up, before it
    /// goes on.
    #[must_use]
    pub fn asking(mut self) -> Self {
        self.analysis = Analysis::new(&self.masking, Cut::Passage);
        if let (Some(_), Stage::Text { from }) = (&self.analysis, self.stage) {
            self.stage = Stage::RehearseText { from };
        }
        self
    }

    /// What its analyser is asked.
    pub fn analysis(&mut self) -> Option<&mut Analysis> {
        self.analysis.as_deref_mut()
    }

    /// Goes on with the body; at most 16 KiB of text are scanned between two returns. What goes in
    /// its place is appended to `out`, which must still hold it after [`Step::More`].
    ///
    /// # Errors
    ///
    /// What can't be masked: nothing of the body, and of what was written, may go on.
    pub fn step(
        &mut self,
        scratch: &mut Scratch,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Unmaskable> {
        let before = scratch.masked();
        let masking = self.masking.clone();
        let mut analysis = self.analysis.take();
        let mut turn = Turn::new(&masking, scratch).asking(analysis.as_deref_mut());
        let step = match self.stage {
            Stage::RehearseText { from } => self.rehearse_text(&mut turn, from, body),
            Stage::Text { from } => self.text(&mut turn, from, body, out),
            Stage::Read | Stage::Plan | Stage::Rehearse | Stage::Act => {
                self.json(&mut turn, body, out)
            }
        };
        self.analysis = analysis;
        self.masked = self.masked.saturating_add(scratch.masked().saturating_sub(before));
        let is_refused = self.analysis.as_ref().is_some_and(|analysis| analysis.is_refused());
        match step? {
            Step::Unchanged | Step::Written if is_refused => Err(Unmaskable::Unanswered),
            step => Ok(step),
        }
    }

    /// Values masked so far.
    pub fn masked(&self) -> u64 {
        self.masked
    }

    fn json(
        &mut self,
        turn: &mut Turn<'_>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Unmaskable> {
        let source = Source { all: body, json_start: 0, json_end: body.len() };
        if self.stage == Stage::Read {
            if self.rewrite.read(body)? == Read::More {
                return Ok(Step::More);
            }
            if self.direction == Direction::Response {
                let Rewrite { tree, plan, .. } = &mut self.rewrite;
                field::find(&self.terms.fields, tree, body, &mut plan.fields);
            }
            self.stage = Stage::Plan;
        }
        if self.stage == Stage::Plan {
            let mut assign = |_, _, _| Err(Unmaskable::TooManyTexts);
            if self.rewrite.plan(body, &mut assign)? == Read::More {
                return Ok(Step::More);
            }
            self.stage = if turn.asks() { Stage::Rehearse } else { Stage::Act };
        }
        if self.stage == Stage::Rehearse {
            turn.rehearse(true);
            let gone = self.rewrite.act(&source, &mut self.parts, turn, &mut self.piece);
            turn.rehearse(false);
            self.piece.clear();
            if gone? == Read::Done {
                self.rewrite.rewind();
                self.stage = Stage::Act;
            }
            return Ok(Step::More);
        }
        if self.rewrite.act(&source, &mut self.parts, turn, out)? == Read::More {
            return Ok(Step::More);
        }
        if !self.rewrite.is_changed {
            return Ok(Step::Unchanged);
        }
        self.rewrite.copy_rest(&source, out);
        Ok(Step::Written)
    }

    /// Goes through a text to find out what must be asked.
    fn rehearse_text(
        &mut self,
        turn: &mut Turn<'_>,
        mut from: usize,
        body: &[u8],
    ) -> Result<Step, Unmaskable> {
        turn.rehearse(true);
        while from < body.len() && !turn.is_over() {
            let rest = body.get(from..).unwrap_or_default();
            let length = whole_characters(rest, turn.piece_bytes());
            let piece = rest.get(..length).unwrap_or_default();
            self.parts.text.push(turn, piece, &mut self.piece);
            from = from.saturating_add(length);
        }
        self.stage = Stage::RehearseText { from };
        if from >= body.len() {
            self.parts.text.finish(turn, &mut self.piece);
            self.stage = Stage::Text { from: 0 };
        }
        turn.rehearse(false);
        Ok(Step::More)
    }

    fn text(
        &mut self,
        turn: &mut Turn<'_>,
        mut from: usize,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Unmaskable> {
        let written = *self.written.get_or_insert(out.len());
        while from < body.len() {
            if turn.is_over() {
                self.stage = Stage::Text { from };
                return Ok(Step::More);
            }
            let rest = body.get(from..).unwrap_or_default();
            let length = whole_characters(rest, turn.piece_bytes());
            let piece = rest.get(..length).unwrap_or_default();
            if std::str::from_utf8(piece).is_err() {
                out.truncate(written);
                return self.no_text();
            }
            self.piece.clear();
            self.parts.text.push(turn, piece, &mut self.piece);
            out.extend_from_slice(&self.piece);
            from = from.saturating_add(length);
        }
        self.stage = Stage::Text { from };
        self.piece.clear();
        self.parts.text.finish(turn, &mut self.piece);
        out.extend_from_slice(&self.piece);
        if out.get(written..) == Some(body) {
            out.truncate(written);
            return Ok(Step::Unchanged);
        }
        Ok(Step::Written)
    }

    fn no_text(&self) -> Result<Step, Unmaskable> {
        match self.terms.unreadable {
            Unreadable::Refuse => Err(Unmaskable::Encoding),
            Unreadable::Strip => Ok(Step::Written),
            Unreadable::Pass => Ok(Step::Unchanged),
        }
    }
}
