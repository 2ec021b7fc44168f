//! Where matches with a digit near their front may begin, and where long runs are: other text is
//! passed over, a block at a time.

use crate::channel::Place;
use crate::profile::{Runs, TOKEN_DIGIT_WITHIN};

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
                return first_digit(block).map(|within| self.at.saturating_add(within));
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

/// The first digit, eight bytes at a time.
fn first_digit(text: &[u8]) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let (words, _) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // A digit is 0x30 to 0x39: without its 0x30, adding 0x76 does not reach the highest bit.
        let value = word ^ (0x30 * EACH);
        let other = ((value & (0x7f * EACH)).wrapping_add(0x76 * EACH) | value) & (0x80 * EACH);
        let digits = other ^ (0x80 * EACH);
        if digits != 0 {
            let within = (digits.trailing_zeros() / 8) as usize;
            return Some(index.saturating_mul(8).saturating_add(within));
        }
    }
    let seen = words.len().saturating_mul(8);
    let rest = text.get(seen..)?;
    rest.iter().position(u8::is_ascii_digit).map(|within| seen.saturating_add(within))
}

/// Bytes at an offset that is a multiple of this that each long run has.
pub(crate) const RUN_WORD_BYTES: usize = 8;

/// How many bytes of a run of a length stand beside one of its whole words, eight at most to each
/// side, at whatever offset it begins: of the word that has most of them.
pub(crate) fn beside_min(bytes: usize) -> u32 {
    let most = |offset: usize| {
        let end = offset.saturating_add(bytes);
        let words = offset.div_ceil(RUN_WORD_BYTES)..end / RUN_WORD_BYTES;
        let beside = words.map(|word| {
            let start = word.saturating_mul(RUN_WORD_BYTES);
            let before = start.saturating_sub(offset).min(RUN_WORD_BYTES);
            let behind = end.saturating_sub(start).saturating_sub(RUN_WORD_BYTES);
            before.saturating_add(behind.min(RUN_WORD_BYTES))
        });
        beside.max().unwrap_or(0)
    };
    let least = (0..RUN_WORD_BYTES).map(most).min().unwrap_or(0);
    u32::try_from(least).unwrap_or(0)
}

/// Long runs in a text, with the bytes of their set only.
pub(super) struct LongRuns<'a> {
    text: &'a [u8],
    runs: &'a Runs,
    at: usize,
}

impl<'a> LongRuns<'a> {
    pub(super) fn new(text: &'a [u8], from: usize, runs: &'a Runs) -> Self {
        Self { text, runs, at: from }
    }

    /// From and to of the next run that is long enough; where it began before the text's part that
    /// is looked through, from there.
    pub(super) fn next_run(&mut self) -> Option<(usize, usize)> {
        let is_in = |byte: &u8| self.runs.bytes.has(*byte);
        loop {
            let low = self.at;
            let word = self.next_word()?;
            let before = self.text.get(low..word)?;
            let begin = word.saturating_sub(before.iter().rev().take_while(|b| is_in(b)).count());
            let behind = self.text.get(word..)?;
            let end = word.saturating_add(behind.iter().take_while(|b| is_in(b)).count());
            // What may be in some run and is in none of these is passed over at once.
            let outside = behind.iter().take_while(|byte| !is_in(byte)).count();
            self.at = end.max(word.saturating_add(outside));
            if end.saturating_sub(begin) >= self.runs.bytes_min {
                return Some((begin, end));
            }
        }
    }

    /// Where the next eight bytes stand that may all be in a run, with enough beside them.
    fn next_word(&self) -> Option<usize> {
        let rest = self.text.get(self.at..)?;
        let enough = self.runs.beside_min;
        let (mut at, mut before) = (self.at, 0_u64);
        for block in rest.chunks(BLOCK_BYTES) {
            // Without a branch, so that the compiler makes vector instructions of it.
            let mut marks = [0_u8; BLOCK_BYTES];
            for (mark, byte) in marks.iter_mut().zip(block) {
                *mark = if may_run(*byte) { u8::MAX } else { 0 };
            }
            let (words, _) = marks.as_chunks::<RUN_WORD_BYTES>();
            for (index, word) in words.iter().enumerate() {
                let word = u64::from_le_bytes(*word);
                if word == u64::MAX {
                    // What the next block begins with is not known yet.
                    let behind = words.get(index.saturating_add(1));
                    let behind = behind.map_or(u64::MAX, |word| u64::from_le_bytes(*word));
                    let beside = before.leading_ones().saturating_add(behind.trailing_ones()) / 8;
                    if beside >= enough {
                        return Some(at.saturating_add(index.saturating_mul(RUN_WORD_BYTES)));
                    }
                }
                before = word;
            }
            at = at.saturating_add(block.len());
        }
        None
    }
}

/// Whether a byte may be in a run: a superset of what any rule has, in three comparisons.
fn may_run(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') <= 0x7f - b'a';
    let is_digit = byte.wrapping_sub(b'+') <= b'9' - b'+';
    is_letter | is_digit | (byte == b'=')
}

#[cfg(test)]
mod tests {
    use super::{LongRuns, RUN_WORD_BYTES, beside_min};
    use crate::profile::Runs;
    use crate::rule::ByteSet;

    #[test]
    fn a_long_run_is_found_at_every_offset_and_a_shorter_one_is_none() {
        for bytes_min in 2 * RUN_WORD_BYTES - 1..70 {
            let runs = Runs {
                groups: Vec::new(),
                not_before: ByteSet::NONE,
                bytes: ByteSet::ALPHANUMERIC,
                bytes_min,
                beside_min: beside_min(bytes_min),
            };
            for offset in 0..70 {
                for length in [bytes_min, bytes_min + 1, bytes_min + 9] {
                    let text = format!("{}{} it is", " ".repeat(offset), "a".repeat(length));
                    let mut found = LongRuns::new(text.as_bytes(), 0, &runs);
                    let expected = Some((offset, offset + length));
                    assert_eq!(found.next_run(), expected, "{bytes_min} {offset} {length}");
                    assert_eq!(found.next_run(), None);
                }
                let short = format!("{}{} it", " ".repeat(offset), "a".repeat(bytes_min - 1));
                assert_eq!(LongRuns::new(short.as_bytes(), 0, &runs).next_run(), None);
            }
        }
    }
}
