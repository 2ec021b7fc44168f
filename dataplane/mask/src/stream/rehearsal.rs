//! An event that is gone through once only to find out what an analyser must be asked.

use crate::event::turn::Turn;
use crate::event::{Rewrite, Source, Unmaskable};
use crate::json::Read;
use crate::stream::live::{EventParts, Lives};

/// Memory that is kept for what the next event writes.
const KEPT_BYTES: usize = 4 << 10;

/// How far that came.
#[derive(Default)]
pub(super) struct Rehearsal {
    /// The stream's texts as they were before.
    kept: Option<Lives>,
    is_over: bool,
    /// What was written meanwhile, which nobody reads.
    unread: Vec<u8>,
}

impl Rehearsal {
    /// Goes through the event; whether that is done, and everything is answered. Texts are then as
    /// they were before.
    pub(super) fn go_through(
        &mut self,
        rewrite: &mut Rewrite,
        source: &Source<'_>,
        parts: &mut EventParts<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<bool, Unmaskable> {
        if !self.is_over {
            if self.kept.is_none() {
                turn.spend(parts.lives.copy_bytes());
                self.kept = Some(parts.lives.clone());
            }
            turn.rehearse(true);
            let gone = self.go_on(rewrite, source, parts, turn);
            turn.rehearse(false);
            self.unread.clear();
            self.unread.shrink_to(KEPT_BYTES);
            if !gone? {
                return Ok(false);
            }
            if let Some(kept) = self.kept.take() {
                *parts.lives = kept;
            }
            rewrite.rewind();
            self.is_over = true;
        }
        if turn.is_asking() {
            return Ok(false);
        }
        self.is_over = false;
        Ok(true)
    }

    fn go_on(
        &mut self,
        rewrite: &mut Rewrite,
        source: &Source<'_>,
        parts: &mut EventParts<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<bool, Unmaskable> {
        if !parts.lives.tell(turn, &mut self.unread) {
            return Ok(false);
        }
        Ok(rewrite.act(source, parts, turn, &mut self.unread)? == Read::Done)
    }
}
