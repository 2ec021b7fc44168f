//! Literals that matches begin with, whole or in part, near the end of a text.

use crate::pattern::Front;
use crate::rule::ByteSet;

/// Literals of rules: each match of a rule has one of its own at its beginning.
#[derive(Debug)]
pub(super) struct Fronts {
    /// Of all.
    all: Firsts,
    /// Of those that begin anywhere, not only where a word does.
    anywhere: Firsts,
    /// As they are written, and in lower case.
    tries: [Trie; 2],
}

/// What some literals begin with: a filter that lets through every one, and little else.
#[derive(Debug)]
struct Firsts {
    bytes: ByteSet,
    /// By a hash of the first three bytes, in either case.
    triples: Box<[u64; 1024]>,
}

/// Literals by their bytes, from a root on.
#[derive(Debug)]
struct Trie {
    nodes: Vec<Node>,
    ignore_case: bool,
}

/// A beginning of literals.
#[derive(Debug, Default)]
struct Node {
    /// What follows, and where.
    next: Vec<(u8, usize)>,
    /// Whether longer ones may begin anywhere.
    goes_on_anywhere: bool,
    /// Rules of the literal that ends here, each with whether it begins only where a word does.
    rules: Vec<(usize, bool)>,
}

impl Fronts {
    /// Of rules: their literals, and whether they begin only where a word does.
    pub(super) fn new<'a>(rules: impl Iterator<Item = (&'a [Front], bool)>) -> Self {
        let tries = [Trie::new(false), Trie::new(true)];
        let mut fronts = Self { all: Firsts::new(), anywhere: Firsts::new(), tries };
        for (rule, (list, at_word_start)) in rules.enumerate() {
            for front in list {
                fronts.all.add(front);
                if !at_word_start {
                    fronts.anywhere.add(front);
                }
                let [exact, ignoring_case] = &mut fronts.tries;
                let trie = if front.ignore_case { ignoring_case } else { exact };
                trie.add(&front.bytes, rule, at_word_start);
            }
        }
        fronts
    }

    /// The first place, not before one, from which on the text is a part of a literal, or where a
    /// literal of a rule stands that `is_held` is true for, there.
    pub(super) fn first(
        &self,
        text: &[u8],
        not_before: usize,
        mut is_held: impl FnMut(usize, usize) -> bool,
    ) -> Option<usize> {
        let mut before = not_before.checked_sub(1).and_then(|index| text.get(index)).copied();
        let mut rest = text.get(not_before..).unwrap_or_default();
        while let Some((byte, behind)) = rest.split_first() {
            let begins_word = before.is_none_or(|before| !ByteSet::WORD.has(before));
            let firsts = if begins_word { &self.all } else { &self.anywhere };
            if firsts.may_begin(rest) {
                let at = text.len().saturating_sub(rest.len());
                let mut has = |trie: &Trie| trie.has(rest, begins_word, |rule| is_held(rule, at));
                if self.tries.iter().any(&mut has) {
                    return Some(at);
                }
            }
            before = Some(*byte);
            rest = behind;
        }
        None
    }
}

impl Firsts {
    fn new() -> Self {
        Self { bytes: ByteSet::NONE, triples: Box::new([0; 1024]) }
    }

    fn add(&mut self, front: &Front) {
        let [first, second, behind @ ..] = front.bytes.as_slice() else { return };
        self.bytes = self.bytes.with(*first);
        if front.ignore_case {
            self.bytes = self.bytes.with(first.to_ascii_uppercase());
        }
        let thirds = behind.first().map_or(0..=u8::MAX, |third| *third..=*third);
        for third in thirds {
            let (word, bit) = place([*first, *second, third]);
            if let Some(word) = self.triples.get_mut(word) {
                *word |= 1 << bit;
            }
        }
    }

    /// Whether a text may begin with one, or be a part of one.
    #[inline]
    fn may_begin(&self, text: &[u8]) -> bool {
        match text {
            [first, second, third, ..] => {
                let (word, bit) = place([*first, *second, *third]);
                self.triples.get(word).is_some_and(|word| word >> bit & 1 != 0)
            }
            [first, ..] => self.bytes.has(*first),
            [] => false,
        }
    }
}

/// Word and bit of a hash of three bytes, which letters have in either case.
#[inline]
fn place([first, second, third]: [u8; 3]) -> (usize, u32) {
    let bytes = u32::from_le_bytes([first, second, third, 0]) | 0x20_20_20;
    let hash = bytes.wrapping_mul(0x9e37_79b1) >> 16;
    ((hash >> 6) as usize, hash & 63)
}

impl Trie {
    fn new(ignore_case: bool) -> Self {
        Self { nodes: vec![Node::default()], ignore_case }
    }

    fn add(&mut self, literal: &[u8], rule: usize, at_word_start: bool) {
        let mut here = 0;
        for byte in literal {
            let free = self.nodes.len();
            let Some(node) = self.nodes.get_mut(here) else { return };
            node.goes_on_anywhere |= !at_word_start;
            here = match node.next.iter().find(|(known, _)| known == byte) {
                Some((_, next)) => *next,
                None => {
                    node.next.push((*byte, free));
                    self.nodes.push(Node::default());
                    free
                }
            };
        }
        if let Some(node) = self.nodes.get_mut(here) {
            node.rules.push((rule, at_word_start));
        }
    }

    /// Whether a text is a part of a literal, or begins with one of a rule that `is_held` is true
    /// for.
    fn has(&self, text: &[u8], begins_word: bool, mut is_held: impl FnMut(usize) -> bool) -> bool {
        let Some(mut node) = self.nodes.first() else { return false };
        for byte in text {
            let byte = if self.ignore_case { byte.to_ascii_lowercase() } else { *byte };
            let next = node.next.iter().find(|(known, _)| *known == byte);
            let Some(next) = next.and_then(|(_, next)| self.nodes.get(*next)) else { return false };
            node = next;
            let mut here = node.rules.iter().filter(|(_, at_start)| begins_word || !at_start);
            if here.any(|(rule, _)| is_held(*rule)) {
                return true;
            }
        }
        !node.next.is_empty() && (begins_word || node.goes_on_anywhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern;

    fn fronts() -> Fronts {
        let of = |pattern: &str| pattern::fronts(&pattern::parse(pattern).unwrap()).unwrap();
        let rules = [(of(r"AKIA|\(0"), true), (of("(?i:pass(?:word:)?)"), false)];
        Fronts::new(rules.iter().map(|(list, at_start)| (list.as_slice(), *at_start)))
    }

    #[test]
    fn a_part_of_a_literal_at_the_end_is_held_and_no_other_text() {
        let fronts = fronts();
        for (text, place) in [
            ("", None),
            ("a", None),
            ("an A", Some(3)),
            ("an AK", Some(3)),
            ("an AKI", Some(3)),
            ("an AKIA", None),
            ("an AKx", None),
            ("an aki", None),
            ("xAKI", None),
            ("(", Some(0)),
            ("a (0", None),
            ("xp", Some(1)),
            ("com-PAS", Some(4)),
            ("passw", Some(0)),
            ("pass word", None),
        ] {
            assert_eq!(fronts.first(text.as_bytes(), 0, |_, _| false), place, "{text}");
        }
    }

    #[test]
    fn rules_are_asked_at_each_place_where_a_literal_of_theirs_stands() {
        let fronts = fronts();
        let mut asked = Vec::new();
        let text = b"AKIA xAKIA Password: (0 x(0,";
        let first = fronts.first(text, 0, |rule, at| {
            asked.push((rule, at));
            false
        });
        assert_eq!(first, None);
        assert_eq!(asked, [(0, 0), (1, 11), (1, 11), (0, 21)]);
        assert_eq!(fronts.first(text, 0, |rule, _| rule == 1), Some(11));
        assert_eq!(fronts.first(text, 12, |_, _| true), Some(21));
    }

    #[test]
    fn where_the_text_begins_within_a_word_that_is_known() {
        assert_eq!(fronts().first(b"xAKI", 1, |_, _| true), None);
        assert_eq!(fronts().first(b"-AKI", 1, |_, _| true), Some(1));
    }
}
