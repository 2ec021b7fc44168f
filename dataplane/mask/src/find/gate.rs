//! Where matches with a digit near their front may begin: text without digits is passed over, a
//! block at a time.

use crate::channel::Place;
use crate::profile::TOKEN_DIGIT_WITHIN;

/// Bytes that are passed over at once.
const BLOCK_BYTES: usize = 64;

/// Starts at one run of digits, in their order: of it, of the words before it, and of signs.
pub(super) type Starts = [Option<usize>; TOKEN_DIGIT_WITHIN];

/// Runs of digits in a text, each with the places where a match that has them may begin.
pub(super) struct Digits<'a> {
    text: &'a [u8],
    place: Place,
    at: usize,
    /// Behind it a run's match would begin too late.
    end: usize,
}

impl<'a> Digits<'a> {
    pub(super) fn new(text: &'a [u8], place: Place) -> Self {
        let end = place.before.saturating_add(TOKEN_DIGIT_WITHIN).min(text.len());
        Self { text, place, at: place.from, end }
    }

    /// The starts at the next run, in their order.
    pub(super) fn next_starts(&mut self) -> Option<Starts> {
        let run = self.next_run()?;
        let mut end = run;
        while end < self.end && self.is(end, |byte| byte.is_ascii_digit()) {
            end = end.saturating_add(1);
        }
        self.at = end.max(run.saturating_add(1));
        Some(self.starts(run))
    }

    /// Where the next run of digits begins. One that goes on from before the place counts too: the
    /// byte before it decides what may begin there.
    fn next_run(&mut self) -> Option<usize> {
        while self.at < self.end {
            let rest = self.text.get(self.at..self.end)?;
            let block = rest.get(..BLOCK_BYTES).unwrap_or(rest);
            // Without a branch, so that the compiler makes vector instructions of it.
            if block.iter().fold(false, |any, byte| any | byte.is_ascii_digit()) {
                let within = block.iter().position(u8::is_ascii_digit)?;
                return Some(self.at.saturating_add(within));
            }
            self.at = self.at.saturating_add(block.len());
        }
        None
    }

    fn starts(&self, run: usize) -> Starts {
        let mut starts = [None; TOKEN_DIGIT_WITHIN];
        let before = TOKEN_DIGIT_WITHIN.saturating_sub(1);
        let lowest = run.saturating_sub(before).max(self.place.from);
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric();
        for (slot, at) in starts.iter_mut().zip(lowest..=run) {
            let begins_word = self.is(at, is_letter)
                && !at.checked_sub(1).is_some_and(|before| self.is(before, is_letter));
            let is_sign = self.is(at, |byte| byte == b'+' || byte == b'(');
            if begins_word || is_sign || at == run {
                *slot = Some(at);
            }
        }
        starts
    }

    fn is(&self, index: usize, test: impl Fn(u8) -> bool) -> bool {
        self.text.get(index).is_some_and(|byte| test(*byte))
    }
}
