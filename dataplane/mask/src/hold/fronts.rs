//! Literals that matches begin with, whole or in part, near the end of a text.

use crate::pattern::Front;
use crate::rule::ByteSet;

/// Bytes of a literal by which it is looked up; its rest is compared.
const LOOKED_UP_MAX: usize = 16;

/// Literals of rules: each match of a rule has one of its own at its beginning, or is one.
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
    ends: Option<Box<Ends>>,
}

/// What is looked up by the bytes up to a node.
#[derive(Debug, Default)]
struct Ends {
    /// Rules that begin with them, each with whether it begins only where a word does.
    rules: Vec<(usize, bool)>,
    /// The rests of literals that begin with them, in their order: of those that begin anywhere,
    /// and of those that begin only where a word does.
    literals: [Vec<Rest>; 2],
}

/// What of a literal is not looked up.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Rest {
    bytes: Box<[u8]>,
    /// Whether what stands behind the literal decides.
    is_guarded: bool,
}

impl Fronts {
    pub(super) fn new() -> Self {
        let tries = [Trie::new(false), Trie::new(true)];
        Self { all: Firsts::new(), anywhere: Firsts::new(), tries }
    }

    /// Literals that the matches of a rule begin with.
    pub(super) fn add_rule(&mut self, rule: usize, list: &[Front], at_word_start: bool) {
        for front in list {
            // One that begins with another one of the rule says nothing more.
            let is_said = list.iter().any(|other| {
                other.ignore_case == front.ignore_case
                    && other.bytes.len() < front.bytes.len()
                    && front.bytes.starts_with(&other.bytes)
            });
            if !is_said {
                self.add(front, at_word_start, |ends, _| ends.rules.push((rule, at_word_start)));
            }
        }
    }

    /// A literal that the matches of a rule are.
    pub(super) fn add_literal(&mut self, literal: &Front, at_word_start: bool, is_guarded: bool) {
        self.add(literal, at_word_start, |ends, rest| {
            let [anywhere, at_start] = &mut ends.literals;
            let list = if at_word_start { at_start } else { anywhere };
            list.push(Rest { bytes: rest.into(), is_guarded });
        });
    }

    /// Puts literals into their order, when all are there.
    pub(super) fn sort(&mut self) {
        let nodes = self.tries.iter_mut().flat_map(|trie| &mut trie.nodes);
        for ends in nodes.filter_map(|node| node.ends.as_mut()) {
            ends.literals.iter_mut().for_each(|list| list.sort_unstable());
        }
    }

    fn add(&mut self, front: &Front, at_word_start: bool, note: impl FnOnce(&mut Ends, &[u8])) {
        self.all.add(front);
        if !at_word_start {
            self.anywhere.add(front);
        }
        let [exact, ignoring_case] = &mut self.tries;
        let trie = if front.ignore_case { ignoring_case } else { exact };
        let (looked_up, rest) = front.bytes.split_at(front.bytes.len().min(LOOKED_UP_MAX));
        if let Some(node) = trie.grow(looked_up, at_word_start) {
            note(node.ends.get_or_insert_default(), rest);
        }
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

    /// Where a literal ends.
    fn grow(&mut self, literal: &[u8], at_word_start: bool) -> Option<&mut Node> {
        let mut here = 0;
        for byte in literal {
            let free = self.nodes.len();
            let node = self.nodes.get_mut(here)?;
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
        self.nodes.get_mut(here)
    }

    /// Whether a text is a part of a literal, or is one behind which something decides, or begins
    /// with one of a rule that `is_held` is true for.
    fn has(&self, text: &[u8], begins_word: bool, mut is_held: impl FnMut(usize) -> bool) -> bool {
        let Some(mut node) = self.nodes.first() else { return false };
        for (at, byte) in text.iter().enumerate() {
            let byte = self.folded(*byte);
            let next = node.next.iter().find(|(known, _)| *known == byte);
            let Some(next) = next.and_then(|(_, next)| self.nodes.get(*next)) else { return false };
            node = next;
            let Some(ends) = &node.ends else { continue };
            let rest = text.get(at.saturating_add(1)..).unwrap_or_default();
            let [anywhere, at_start] = &ends.literals;
            if self.is_part(anywhere, rest) || (begins_word && self.is_part(at_start, rest)) {
                return true;
            }
            let mut here = ends.rules.iter().filter(|(_, at_start)| begins_word || !at_start);
            if here.any(|(rule, _)| is_held(*rule)) {
                return true;
            }
        }
        !node.next.is_empty() && (begins_word || node.goes_on_anywhere)
    }

    /// Whether a text is a part of one of some literals' rests, or one behind which something
    /// decides.
    fn is_part(&self, rests: &[Rest], text: &[u8]) -> bool {
        let folded = || text.iter().map(|byte| self.folded(*byte));
        let first = rests.partition_point(|rest| rest.bytes.iter().copied().lt(folded()));
        let behind = rests.get(first..).unwrap_or_default().iter();
        let mut like = behind.take_while(|rest| {
            rest.bytes.len() >= text.len()
                && rest.bytes.iter().copied().zip(folded()).all(|(a, b)| a == b)
        });
        like.any(|rest| rest.is_guarded || rest.bytes.len() > text.len())
    }

    fn folded(&self, byte: u8) -> u8 {
        if self.ignore_case { byte.to_ascii_lowercase() } else { byte }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern;

    fn fronts() -> Fronts {
        let of = |pattern: &str| pattern::fronts(&pattern::parse(pattern).unwrap()).unwrap();
        let mut fronts = Fronts::new();
        fronts.add_rule(0, &of(r"AKIA|\(0"), true);
        fronts.add_rule(1, &of("(?i:pass(?:word:)?)"), false);
        fronts.sort();
        fronts
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
            ("passw", None),
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
        assert_eq!(asked, [(0, 0), (1, 11), (0, 21)]);
        assert_eq!(fronts.first(text, 0, |rule, _| rule == 1), Some(11));
        assert_eq!(fronts.first(text, 12, |_, _| true), Some(21));
    }

    #[test]
    fn where_the_text_begins_within_a_word_that_is_known() {
        assert_eq!(fronts().first(b"xAKI", 1, |_, _| true), None);
        assert_eq!(fronts().first(b"-AKI", 1, |_, _| true), Some(1));
    }
}
