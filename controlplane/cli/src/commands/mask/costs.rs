//! What a mask costs on a text: what a stream of it would hold back, and how fast it is masked.

use std::time::{Duration, Instant};

use penstock_mask::channel::{Channel, PUSH_BYTES_MAX};
use penstock_mask::profile::Masking;
use serde_json::{Value, json};

/// Characters of a piece, about as many as a token has.
pub(super) const PIECE_CHARACTERS: usize = 4;
/// The text is repeated to this many bytes, so that the beginning of a channel does not count.
const RUN_BYTES_MIN: usize = 256 << 10;
/// How long is measured.
const MEASURED: Duration = Duration::from_millis(200);

/// Characters held after each piece, in order of size.
struct Held(Vec<usize>);

/// All of it; nothing for an empty text.
pub(super) fn of(masking: &Masking, text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    let held = held(masking, text);
    json!({
        "piece_characters": PIECE_CHARACTERS,
        "held_characters_mean": two_digits(held.mean()),
        "held_characters_p99": held.percentile(99),
        "held_characters_max": held.percentile(100),
        "pieces_at_once_share": two_digits(held.share_of_none()),
        "megabytes_per_second": two_digits(megabytes_per_second(masking, text)),
        "engine": masking.profile.engine(),
    })
}

fn held(masking: &Masking, text: &str) -> Held {
    let (mut scratch, mut channel) = (masking.profile.scratch(), Channel::new(false));
    let (mut out, mut held, mut given) = (Vec::new(), Vec::new(), 0);
    for piece in pieces(text, |_, characters| characters == PIECE_CHARACTERS) {
        out.clear();
        channel.push(masking, &mut scratch, piece.as_bytes(), &mut out);
        given += piece.len();
        let seen = text.get(..given).unwrap_or(text);
        held.push(last_characters(seen, channel.held_bytes()));
    }
    held.sort_unstable();
    Held(held)
}

/// How many characters begin in the last bytes of a text.
fn last_characters(text: &str, bytes: usize) -> usize {
    let from = text.len().saturating_sub(bytes);
    text.char_indices().rev().take_while(|(start, _)| *start >= from).count()
}

/// Cuts a text between characters, before each one with which a piece would be too long:
/// `is_full(bytes, characters)` of what a piece has already.
fn pieces(text: &str, is_full: impl Fn(usize, usize) -> bool) -> Vec<&str> {
    let (mut pieces, mut start, mut characters) = (Vec::new(), 0, 0);
    for (at, _) in text.char_indices() {
        if at > start && is_full(at - start, characters) {
            pieces.extend(text.get(start..at));
            (start, characters) = (at, 0);
        }
        characters += 1;
    }
    pieces.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    pieces
}

fn megabytes_per_second(masking: &Masking, text: &str) -> f64 {
    let repeated = format!("{text}\n").repeat(RUN_BYTES_MIN.div_ceil(text.len() + 1));
    let turns = pieces(&repeated, |bytes, _| bytes > PUSH_BYTES_MAX - char::MAX.len_utf8());
    let mut scratch = masking.profile.scratch();
    let mut out = Vec::with_capacity(repeated.len() * 2);
    let mut run = || {
        let mut channel = Channel::new(false);
        out.clear();
        for turn in &turns {
            channel.push(masking, &mut scratch, turn.as_bytes(), &mut out);
        }
        channel.finish(masking, &mut scratch, &mut out);
    };
    // The first run fills the caches, as the first answers of a gateway do.
    run();
    let (began, mut bytes) = (Instant::now(), 0);
    while began.elapsed() < MEASURED {
        run();
        bytes += repeated.len();
    }
    bytes as f64 / began.elapsed().as_secs_f64() / 1e6
}

fn two_digits(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

impl Held {
    fn mean(&self) -> f64 {
        self.0.iter().sum::<usize>() as f64 / self.0.len().max(1) as f64
    }

    /// The smallest figure that so many of a hundred do not exceed.
    fn percentile(&self, percent: usize) -> usize {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(0)
    }

    fn share_of_none(&self) -> f64 {
        let none = self.0.iter().filter(|held| **held == 0).count();
        none as f64 / self.0.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_whole_characters_and_nothing_is_lost() {
        let text = "ab\u{e9}d\u{1f600}fghi";
        let found = pieces(text, |_, characters| characters == 4);
        assert_eq!(found, ["ab\u{e9}d", "\u{1f600}fgh", "i"]);
        assert_eq!(pieces(text, |bytes, _| bytes > 2).concat(), text);
        assert!(pieces("", |_, _| true).is_empty());
    }

    #[test]
    fn a_percentile_is_a_figure_that_occurred() {
        let held = Held((0..=199).collect());
        assert_eq!((held.percentile(99), held.percentile(100)), (197, 199));
        assert_eq!(Held(vec![7]).percentile(99), 7);
        assert_eq!(Held(vec![0, 0, 0, 8]).share_of_none(), 0.75);
        assert_eq!(Held(vec![0, 0, 0, 8]).mean(), 2.0);
    }

    #[test]
    fn held_bytes_are_told_in_characters() {
        assert_eq!(last_characters("ab\u{e9}d", 3), 2);
        assert_eq!(last_characters("ab", 9), 2);
        assert_eq!(last_characters("ab", 0), 0);
    }
}
