//! One question to an analyser, and the way from its answer back to the texts that it holds.

use std::ops::Range;

use aws_lc_rs::digest::{SHA256, digest};

use crate::fold::Folded;

/// What stands between two texts of one question.
const BETWEEN: &str = "\n\n";

/// A digest of a text, which stands for it.
pub(super) type Key = [u8; 32];

/// The key of a text.
pub(super) fn key(text: &[u8], escapes: bool) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(digest(&SHA256, text).as_ref());
    // Two readings of one text are two texts.
    if let Some(first) = key.first_mut() {
        *first ^= u8::from(escapes);
    }
    key
}

/// Longest word of a protocol, in bytes.
const WORD_BYTES_MAX: usize = 32;

/// Whether a text is one word as names of members and reasons are: `tool_calls`. Nobody is asked
/// about such.
pub(crate) fn is_word(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    text.len() <= WORD_BYTES_MAX && text.iter().all(is_part)
}

/// Whether a text can hold a name at all: two letters side by side, or what letters may be written
/// as.
pub(super) fn may_name(text: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte >= 0x80;
    let is_pair = |pair: &[u8]| pair.iter().all(is_letter);
    text.windows(2).any(is_pair) || text.iter().any(|byte| matches!(byte, b'&' | b'%' | b'\\'))
}

/// Whether what a reader sees has letters for a name: two side by side, or one beyond ASCII.
pub(super) fn has_letters(seen: &[u8]) -> bool {
    let mut is_behind_letter = false;
    String::from_utf8_lossy(seen).chars().any(|one| {
        let is_letter = one.is_alphabetic();
        let is_pair = std::mem::replace(&mut is_behind_letter, is_letter) && is_letter;
        is_pair || (is_letter && !one.is_ascii())
    })
}

/// What an analyser is asked.
#[derive(Clone, Debug, Default)]
pub struct Question {
    text: String,
    parts: Vec<Part>,
}

/// One text of a question.
#[derive(Clone, Debug)]
struct Part {
    key: Key,
    /// Its place in the question, in bytes.
    place: Range<usize>,
    /// The way back to the text as it came; none where it stands in the question as it came.
    folded: Option<Folded>,
}

/// Names in the texts of a question, in their order: bytes of each text as it came, and which
/// entities they are.
pub(super) type Placed = Vec<Vec<(Range<usize>, usize)>>;

/// A name that an analyser found in a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Found {
    /// Which of the entities that were asked for: its index among [`super::Analysis::entities`].
    pub entity: usize,
    /// Where it begins, in Unicode code points of the question's text.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Why an answer can't be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unusable {
    /// It names what is not there, or nothing was asked.
    Void,
    /// It has more names than are kept. That may be up to the text.
    TooMuch,
}

impl Question {
    /// What is to be analysed.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.parts.iter().map(|part| &part.key)
    }

    /// Asks about a text as well: by what a reader sees of it, or as it came where that is no
    /// UTF-8.
    pub(super) fn add(&mut self, key: Key, text: &[u8], folded: Folded) {
        if !self.parts.is_empty() {
            self.text.push_str(BETWEEN);
        }
        let start = self.text.len();
        let folded = match std::str::from_utf8(&folded.bytes) {
            Ok(seen) => {
                self.text.push_str(seen);
                (!folded.is_identity()).then_some(folded)
            }
            Err(_) => {
                self.text.push_str(&String::from_utf8_lossy(text));
                None
            }
        };
        self.parts.push(Part { key, place: start..self.text.len(), folded });
    }

    /// The names of an answer, each in its text.
    ///
    /// # Errors
    ///
    /// The answer names what is not there, or more than `names_max`, a name counted once for each
    /// text in which a part of it lies.
    pub(super) fn placed(&self, found: &[Found], names_max: usize) -> Result<Placed, Unusable> {
        let mut bounds: Vec<usize> = found.iter().flat_map(|one| [one.start, one.end]).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let mut bytes = Vec::with_capacity(bounds.len());
        let mut places = self.text.char_indices().map(|(at, _)| at).chain([self.text.len()]);
        let mut passed = 0_usize;
        for bound in &bounds {
            let place = bound.checked_sub(passed).and_then(|skipped| places.nth(skipped));
            bytes.push(place.ok_or(Unusable::Void)?);
            passed = bound.saturating_add(1);
        }
        let byte = |bound: usize| bytes.get(bounds.binary_search(&bound).ok()?).copied();
        let mut placed = vec![Vec::new(); self.parts.len()];
        let mut left = names_max;
        for one in found {
            let bounds = byte(one.start).zip(byte(one.end));
            let (start, end) = bounds.filter(|(start, end)| start < end).ok_or(Unusable::Void)?;
            let first = self.parts.partition_point(|part| part.place.end <= start);
            let parts = self.parts.iter().zip(&mut placed).skip(first);
            for (part, names) in parts.take_while(|(part, _)| part.place.start < end) {
                let within = start.max(part.place.start)..end.min(part.place.end);
                left = left.checked_sub(1).ok_or(Unusable::TooMuch)?;
                names.push((part.original(&within), one.entity));
            }
        }
        Ok(placed)
    }
}

impl Part {
    fn original(&self, within: &Range<usize>) -> Range<usize> {
        let moved = |at: usize| at.saturating_sub(self.place.start);
        let part = moved(within.start)..moved(within.end);
        self.folded.as_ref().map_or(part.clone(), |folded| folded.span(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::seen;

    fn question(texts: &[&str]) -> Question {
        let mut question = Question::default();
        for text in texts {
            question.add(
                key(text.as_bytes(), false),
                text.as_bytes(),
                seen(text.as_bytes(), false),
            );
        }
        question
    }

    fn found(start: usize, end: usize) -> Found {
        Found { entity: 0, start, end }
    }

    #[test]
    fn code_points_of_an_answer_become_bytes_of_the_text_as_it_came() {
        let text = "Zoé, J\u{200b}ane &amp; Ｂob";
        let question = question(&[text]);
        assert_eq!(question.text(), "Zoé, Jane & Bob");
        let placed = question.placed(&[found(0, 3), found(5, 9), found(12, 15)], 3).unwrap();
        let names: Vec<_> = placed[0].iter().map(|(range, _)| &text[range.clone()]).collect();
        assert_eq!(names, ["Zoé", "J\u{200b}ane", "Ｂob"]);
    }

    #[test]
    fn a_text_without_two_letters_side_by_side_is_no_question_unless_it_is_encoded() {
        for text in ["", "1. 2, 3", "- a *", "x = 5"] {
            assert!(!may_name(text.as_bytes()), "{text}");
        }
        for text in ["Jo", "王明", "&#74;&#111;", "%4A%6F", r"\u004a\u006f", "J\u{200b}o"] {
            assert!(may_name(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_name_across_two_texts_is_in_both() {
        let question = question(&["I am Jane", "Doe and"]);
        assert_eq!(question.text(), "I am Jane\n\nDoe and");
        let placed = question.placed(&[found(5, 14)], 2).unwrap();
        assert_eq!(placed, [[(5..9, 0)], [(0..3, 0)]]);
        assert_eq!(question.placed(&[found(5, 14)], 1), Err(Unusable::TooMuch));
    }

    #[test]
    fn offsets_that_lie_void_the_answer() {
        let question = question(&["Zoé"]);
        for (start, end) in [(0, 4), (2, 2), (3, 1), (4, 5), (usize::MAX, usize::MAX)] {
            let placed = question.placed(&[found(start, end)], 9);
            assert_eq!(placed, Err(Unusable::Void), "{start}..{end}");
        }
        assert_eq!(question.placed(&[], 0), Ok(vec![Vec::new()]));
        assert_eq!(question.placed(&[found(0, 3)], 1), Ok(vec![vec![(0..4, 0)]]));
    }

    #[test]
    fn escapes_of_json_are_undone_before_an_analyser_reads_them() {
        let text = br"Zo\u00e9\nis \u0022it\u0022";
        let mut question = Question::default();
        question.add(key(text, true), text, seen(text, true));
        assert!(question.text().starts_with("Zoé"), "{}", question.text());
        let placed = question.placed(&[found(0, 3)], 1).unwrap();
        assert_eq!(placed, [[(0..8, 0)]]);
    }
}
