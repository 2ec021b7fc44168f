//! Where matches with a digit near their front may begin, and where long runs are: other text is
//! passed over, a block at a time.

use crate::channel::Place;
use crate::profile::{Runs, TOKEN_DIGIT_WITHIN};
use crate::widest::widest;

/// Bytes that are looked at together: a bit each of a word of the machine.
const BLOCK_BYTES: usize = u64::BITS as usize;

/// Where matches with a digit near their front may begin: at the start of a run of digits, of a
/// word before one, and at signs.
pub(super) struct DigitStarts<'a> {
    text: &'a [u8],
    place: Place,
    /// The first digit that was not looked at stands here or later.
    at: usize,
    /// Behind it a match with a digit would begin too late.
    end: usize,
    /// Starts that were found, from `window` on.
    bits: u64,
    window: usize,
    /// Starts before it were told.
    told: usize,
}

impl<'a> DigitStarts<'a> {
    pub(super) fn new(text: &'a [u8], place: Place) -> Self {
        let end = place.before.saturating_add(TOKEN_DIGIT_WITHIN).min(text.len());
        Self { text, place, at: place.from, end, bits: 0, window: 0, told: place.from }
    }

    /// Where the next digit stands.
    fn next_digit(&self) -> Option<usize> {
        let rest = self.text.get(self.at..self.end)?;
        first_digit(rest).map(|within| self.at.saturating_add(within))
    }

    /// Finds the starts at the runs that begin from a digit on, up to the end of a window.
    fn look(&mut self, digit: usize) {
        self.window = digit.saturating_sub(TOKEN_DIGIT_WITHIN);
        let to = self.window.saturating_add(BLOCK_BYTES).min(self.end);
        self.at = to;
        let text = self.text.get(self.window..to).unwrap_or_default();
        let from = |index: usize| u64::MAX.checked_shl(bit(index, self.window)).unwrap_or(0);
        // A run that goes on from before the place counts too: the byte before it decides what may
        // begin there.
        let (digits, alphanumerics, signs) = kinds(text);
        let digits = digits & from(self.place.from);
        let runs = digits & !(digits << 1) & from(digit);
        let words = alphanumerics & !(alphanumerics << 1);
        // Up to seven bytes before each run.
        const { assert!(TOKEN_DIGIT_WITHIN == 8, "what the shifts below add up to") };
        let near = runs | runs >> 1;
        let near = near | near >> 2;
        let near = near | near >> 4;
        self.bits = ((words | signs) & near | runs) & from(self.told) & !from(self.place.before);
    }
}

impl Iterator for DigitStarts<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            let digit = self.next_digit()?;
            self.look(digit);
        }
        let start = self.window.saturating_add(self.bits.trailing_zeros() as usize);
        self.bits &= self.bits.wrapping_sub(1);
        self.told = start.saturating_add(1);
        Some(start)
    }
}

/// Which bit of a window a byte has.
fn bit(index: usize, window: usize) -> u32 {
    u32::try_from(index.saturating_sub(window)).unwrap_or(u32::MAX)
}

/// A bit for each byte of a window, the first one lowest.
#[inline]
fn bits(window: &[u8], test: impl Fn(u8) -> bool) -> u64 {
    // Each bit of the factor moves one byte's lowest bit to its place in the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut marks = [0_u8; BLOCK_BYTES];
    for (mark, byte) in marks.iter_mut().zip(window) {
        *mark = u8::from(test(*byte));
    }
    let (words, _) = marks.as_chunks::<8>();
    let gathered = words.iter().map(|word| u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56);
    gathered.rev().fold(0, |all, bits| all << 8 | bits)
}

widest! {
    /// The digits of a window, its digits and letters, and its signs before numbers.
    fn kinds(window: &[u8]) -> (u64, u64, u64) {
        let digits = bits(window, |byte| byte.is_ascii_digit());
        let letters = bits(window, |byte| (byte | 0x20).wrapping_sub(b'a') < 26);
        let signs = bits(window, |byte| (byte == b'+') | (byte == b'('));
        (digits, digits | letters, signs)
    }
}

widest! {
    /// Where the first digit of a text stands.
    fn first_digit(text: &[u8]) -> Option<usize> {
        let mut passed = 0_usize;
        for block in text.chunks(BLOCK_BYTES) {
            // Without a branch, so that the compiler makes vector instructions of it.
            if block.iter().fold(false, |any, byte| any | byte.is_ascii_digit()) {
                let within = bits(block, |byte| byte.is_ascii_digit()).trailing_zeros();
                return Some(passed.saturating_add(within as usize));
            }
            passed = passed.saturating_add(block.len());
        }
        None
    }
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
        let within = first_word(rest, self.runs.beside_min)?;
        Some(self.at.saturating_add(within))
    }
}

widest! {
    /// Where the first eight bytes of a text stand that may all be in a run, with enough beside
    /// them that may.
    fn first_word(text: &[u8], enough: u32) -> Option<usize> {
        let (mut at, mut before) = (0_usize, 0_u64);
        for block in text.chunks(BLOCK_BYTES) {
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
#[inline]
fn may_run(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') <= 0x7f - b'a';
    let is_digit = byte.wrapping_sub(b'+') <= b'9' - b'+';
    is_letter | is_digit | (byte == b'=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DigitStarts, LongRuns, RUN_WORD_BYTES, beside_min};
    use crate::channel::Place;
    use crate::profile::{Runs, TOKEN_DIGIT_WITHIN};
    use crate::rule::ByteSet;
    use crate::widest::tests::both_ways;

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
            // What is in no run at all, and what is in others.
            for (offset, filler) in (0..70).flat_map(|offset| [(offset, " "), (offset, "-/=")]) {
                let front: String = filler.chars().cycle().take(offset).collect();
                for length in [bytes_min, bytes_min + 1, bytes_min + 9] {
                    let text = format!("{front}{} it is", "a".repeat(length));
                    let mut found = LongRuns::new(text.as_bytes(), 0, &runs);
                    let expected = Some((offset, offset + length));
                    assert_eq!(found.next_run(), expected, "{bytes_min} {offset} {length}");
                    assert_eq!(found.next_run(), None);
                }
                let short = format!("{front}{} it", "a".repeat(bytes_min - 1));
                let found = both_ways(|| LongRuns::new(short.as_bytes(), 0, &runs).next_run());
                assert_eq!(found, [None, None], "{bytes_min} {short}");
            }
        }
    }

    /// The same, looked at place by place.
    fn starts_by_hand(text: &[u8], place: Place) -> Vec<usize> {
        let is = |at: usize, test: fn(&u8) -> bool| text.get(at).is_some_and(test);
        let is_run = |at: usize| {
            is(at, u8::is_ascii_digit) && (at == place.from || !is(at - 1, u8::is_ascii_digit))
        };
        let begins = |at: usize| {
            let is_word = is(at, u8::is_ascii_alphanumeric)
                && (at == 0 || !is(at - 1, u8::is_ascii_alphanumeric));
            is_word || is(at, |byte| b"+(".contains(byte))
        };
        let starts = (place.from..place.before)
            .filter(|at| is_run(*at) || begins(*at) && (*at..at + TOKEN_DIGIT_WITHIN).any(is_run));
        starts.collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn matches_with_a_digit_begin_where_looking_byte_by_byte_says(
            text in "([0-9]|[a-c +(-]|[A-Z]|[/:@`é]|\\[|\\{|[a-z ]{1,40}|[0-9]{1,70}){0,40}",
            from in 0_usize..200,
            before in 0_usize..400,
        ) {
            let text = text.as_bytes();
            let before = before.min(text.len());
            let place = Place { from: from.min(before), before };
            let by_hand = starts_by_hand(text, place);
            let found = both_ways(|| DigitStarts::new(text, place).collect::<Vec<_>>());
            prop_assert_eq!(found, [by_hand.clone(), by_hand]);
        }
    }
}
