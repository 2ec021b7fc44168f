//! Which bytes may stand at each of the first places of a pattern's matches: a test of a few bytes
//! that a place must pass before an automaton is asked.

use regex_syntax::hir::{Hir, HirKind, Repetition};

use crate::pattern::bytes_of;
use crate::rule::ByteSet;

/// Places that are known at most.
pub(crate) const PLACES_MAX: usize = 64;

/// The bytes that may stand at each of the first places: as many as every match has, at most
/// [`PLACES_MAX`].
pub(crate) fn places(hir: &Hir) -> Vec<ByteSet> {
    let mut sets = [ByteSet::NONE; PLACES_MAX];
    walk(hir, 1, &mut sets);
    let count = hir.properties().minimum_len().unwrap_or(0);
    sets.into_iter().take(count).collect()
}

/// Notes the bytes of a part that may begin at each of the places whose bit is set; returns where
/// it may end. What lies behind the last place is left out.
fn walk(hir: &Hir, starts: u64, sets: &mut [ByteSet; PLACES_MAX]) -> u64 {
    if starts == 0 {
        return 0;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => starts,
        HirKind::Literal(literal) => literal.0.iter().fold(starts, |starts, byte| {
            note(ByteSet::NONE.with(*byte), starts, sets);
            starts << 1
        }),
        HirKind::Class(class) => {
            let set = bytes_of(class).fold(ByteSet::NONE, ByteSet::with);
            let bytes_max = hir.properties().maximum_len().unwrap_or(1);
            // A class of characters is one to four bytes, each perhaps any of them.
            (0..bytes_max)
                .fold((starts, 0), |(starts, ends), _| {
                    note(set, starts, sets);
                    (starts << 1, ends | starts << 1)
                })
                .1
        }
        HirKind::Capture(capture) => walk(&capture.sub, starts, sets),
        HirKind::Repetition(repetition) => repeat(repetition, starts, sets),
        HirKind::Alternation(parts) => {
            parts.iter().fold(0, |ends, part| ends | walk(part, starts, sets))
        }
        HirKind::Concat(parts) => {
            parts.iter().fold(starts, |starts, part| walk(part, starts, sets))
        }
    }
}

fn repeat(repetition: &Repetition, starts: u64, sets: &mut [ByteSet; PLACES_MAX]) -> u64 {
    let mut now = starts;
    for _ in 0..repetition.min {
        let next = walk(&repetition.sub, now, sets);
        if next == now {
            break;
        }
        now = next;
    }
    let mut ends = now;
    let mut count = repetition.min;
    while now != 0 && repetition.max.is_none_or(|max| count < max) {
        // Where it may end already, what follows is known.
        now = walk(&repetition.sub, now, sets) & !ends;
        ends |= now;
        count = count.saturating_add(1);
    }
    ends
}

fn note(set: ByteSet, starts: u64, sets: &mut [ByteSet; PLACES_MAX]) {
    for (place, known) in sets.iter_mut().enumerate() {
        if starts >> place & 1 == 1 {
            *known = known.union(set);
        }
    }
}

/// Whether a text has at its front, place by place, what a match has there.
#[inline]
pub(crate) fn may_begin(sets: &[ByteSet], text: &[u8]) -> bool {
    text.len() >= sets.len() && sets.iter().zip(text).all(|(set, byte)| set.has(*byte))
}

/// Bits for rules: with more of them, some share one.
const BITS: usize = 64;

/// Which of several rules may begin with the bytes that stand somewhere, all at once.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// Place by place, the rules that may have a byte there.
    places: Vec<[u64; 256]>,
}

impl Candidates {
    /// Of rules, by what may stand at their first places.
    pub(crate) fn new<'a>(rules: impl Iterator<Item = &'a [ByteSet]>, places_max: usize) -> Self {
        let mut places = vec![[0; 256]; places_max];
        for (rule, sets) in rules.enumerate() {
            let bit = 1 << (rule % BITS);
            for (index, place) in places.iter_mut().enumerate() {
                let set = sets.get(index).copied().unwrap_or(ByteSet::NONE.not());
                for (byte, rules) in (0..=u8::MAX).zip(place) {
                    *rules |= if set.has(byte) { bit } else { 0 };
                }
            }
        }
        Self { places }
    }

    /// Whether one of them may begin here. Near the end of a text: perhaps.
    #[inline]
    pub(crate) fn may_begin(&self, text: &[u8]) -> bool {
        let mut rules = u64::MAX;
        self.places.iter().zip(text).all(|(place, byte)| {
            rules &= place.get(usize::from(*byte)).copied().unwrap_or(0);
            rules != 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::parse;

    #[test]
    fn candidates_are_those_rules_that_may_have_all_of_the_first_bytes() {
        let rules: Vec<_> =
            (0..BITS + 2).map(|rule| of(&format!("k{rule:02}-[a-z]{{9}}"))).collect();
        let candidates = Candidates::new(rules.iter().map(Vec::as_slice), 6);
        for (text, may_begin) in [
            ("k00-abcdefghi", true),
            ("k65-abcdefghi", true),
            ("k66-abcdefghi", false),
            ("k00-aBcdefghi", false),
            ("x00-abcdefghi", false),
            ("k6", true),
            ("k7", false),
            ("", true),
        ] {
            assert_eq!(candidates.may_begin(text.as_bytes()), may_begin, "{text}");
        }
        // What stands behind the places of a short rule is not its own.
        let short = of("zz");
        let candidates = Candidates::new(std::iter::once(short.as_slice()), 6);
        assert!(candidates.may_begin(b"zzAAAA") && !candidates.may_begin(b"zAAAAA"));
    }

    fn of(pattern: &str) -> Vec<ByteSet> {
        places(&parse(pattern).unwrap())
    }

    #[test]
    fn each_place_has_what_any_match_has_there() {
        let sets = of("ab?[0-9]{2}");
        assert_eq!(sets.len(), 3);
        let expected = [ByteSet::NONE.with(b'a'), ByteSet::DIGITS.with(b'b'), ByteSet::DIGITS];
        assert_eq!(sets, expected);
    }

    #[test]
    fn a_repeat_is_followed_as_far_as_places_are_known() {
        let sets = of("(?:a|bc){1,200}x");
        assert_eq!(sets.len(), 2);
        assert_eq!(sets[1], ByteSet::NONE.with_each(b"abcx"));
        assert_eq!(of("[ab]{100}").len(), PLACES_MAX);
    }

    #[test]
    fn a_text_that_is_too_short_begins_no_match() {
        let sets = of("key-[0-9]{4}");
        assert!(may_begin(&sets, b"key-1234"));
        assert!(!may_begin(&sets, b"key-123"));
        assert!(!may_begin(&sets, b"key-12a4"));
    }
}
