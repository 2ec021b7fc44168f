//! Where a text is cut before an analyser is asked about it. The cuts depend on the text alone, not
//! on the pieces in which it comes.

/// Longest sentence that is asked about, in bytes; a longer one is cut where words end.
pub(crate) const SENTENCE_BYTES_MAX: usize = 1 << 10;

/// Most text of a whole answer that is asked about at once, in bytes.
pub(crate) const PASSAGE_BYTES_MAX: usize = 8 << 10;

/// What a full stop may stand behind without an end of the sentence, beside initials.
const TITLES: &[&[u8]] =
    &[b"Mr", b"Mrs", b"Ms", b"Dr", b"Prof", b"St", b"Jr", b"Sr", b"Hr", b"Fr", b"Mme"];

/// How much is asked about at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    /// A sentence, as soon as it is whole.
    Sentence,
    /// As many sentences as fit.
    Passage,
}

impl Cut {
    /// Where the front of a text ends that can be asked about; none: more of it must come first.
    /// With `escapes` the text is inside a JSON string.
    pub(crate) fn end(self, text: &[u8], escapes: bool) -> Option<usize> {
        let bytes_max = match self {
            Self::Sentence => SENTENCE_BYTES_MAX,
            Self::Passage => PASSAGE_BYTES_MAX,
        };
        if self == Self::Passage && text.len() < bytes_max {
            return None;
        }
        let front = text.get(..bytes_max).unwrap_or(text);
        let mut ends = Ends { text: front, at: 0, escapes };
        let end = match self {
            Self::Sentence => ends.next(),
            Self::Passage => ends.last(),
        };
        if end.is_some() || text.len() < bytes_max {
            return end;
        }
        let words = front.iter().rposition(|byte| *byte == b' ' || *byte == b'\t');
        Some(words.map_or_else(|| whole_characters(front), |space| space.saturating_add(1)))
    }
}

/// How much of a text that was cut anywhere is whole characters; all of it where none would be.
fn whole_characters(text: &[u8]) -> usize {
    let mut length = text.len();
    for back in 1..=text.len().min(4) {
        let at = text.len().saturating_sub(back);
        match text.get(at) {
            Some(0x80..=0xbf) => {}
            Some(first) => {
                let whole = match first {
                    0xf0.. => 4,
                    0xe0.. => 3,
                    0xc0.. => 2,
                    _ => 1,
                };
                if whole > back && at > 0 {
                    length = at;
                }
                break;
            }
            None => break,
        }
    }
    length
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sign {
    Newline,
    Space,
    /// `.`
    Stop,
    /// `!` or `?`
    Mark,
    /// A sign of other scripts that ends a sentence without white space behind it.
    WideStop,
    /// What may stand between a sign that ends a sentence and white space.
    Closing,
    Other,
}

/// The ends of sentences in a text, first to last.
struct Ends<'t> {
    text: &'t [u8],
    at: usize,
    escapes: bool,
}

impl Ends<'_> {
    /// What stands at a place, and its length; none where the text ends within it.
    fn sign(&self, at: usize) -> Option<(Sign, usize)> {
        let byte = *self.text.get(at)?;
        let one = |sign| Some((sign, 1));
        match byte {
            b'\n' | b'\r' => one(Sign::Newline),
            b' ' | b'\t' => one(Sign::Space),
            b'.' => one(Sign::Stop),
            b'!' | b'?' => one(Sign::Mark),
            b'"' | b'\'' | b')' | b']' | b'*' | b'_' => one(Sign::Closing),
            b'\\' if self.escapes => {
                let sign = match self.text.get(at.saturating_add(1))? {
                    b'n' | b'r' => Sign::Newline,
                    b't' => Sign::Space,
                    b'"' => Sign::Closing,
                    _ => Sign::Other,
                };
                Some((sign, 2))
            }
            0xe3 | 0xef => {
                let wide = self.text.get(at..at.saturating_add(3))?;
                let is_stop = [b"\xe3\x80\x82".as_slice(), b"\xef\xbc\x81", b"\xef\xbc\x9f"];
                Some((if is_stop.contains(&wide) { Sign::WideStop } else { Sign::Other }, 3))
            }
            _ => one(Sign::Other),
        }
    }

    /// Whether a full stop stands behind what may be a title or an initial.
    fn is_title(&self, stop: usize) -> bool {
        let before = self.text.get(..stop).unwrap_or_default();
        let word = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let word = before.get(stop.saturating_sub(word)..).unwrap_or_default();
        matches!(word, [b'A'..=b'Z']) || TITLES.contains(&word)
    }
}

impl Iterator for Ends<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let (sign, length) = self.sign(self.at)?;
            let sign_at = self.at;
            self.at = sign_at.saturating_add(length);
            match sign {
                Sign::Newline | Sign::WideStop => return Some(self.at),
                Sign::Stop if self.is_title(sign_at) => {}
                Sign::Stop | Sign::Mark => {
                    let mut behind = self.at;
                    loop {
                        let (next, length) = self.sign(behind)?;
                        behind = behind.saturating_add(length);
                        match next {
                            Sign::Closing | Sign::Stop | Sign::Mark => {}
                            Sign::Space | Sign::Newline => {
                                self.at = behind;
                                return Some(behind);
                            }
                            Sign::WideStop | Sign::Other => break,
                        }
                    }
                }
                Sign::Space | Sign::Closing | Sign::Other => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(text: &str, escapes: bool) -> Vec<&str> {
        let mut rest = text;
        let mut found = Vec::new();
        while let Some(end) = Cut::Sentence.end(rest.as_bytes(), escapes) {
            let (sentence, behind) = rest.split_at(end);
            found.push(sentence);
            rest = behind;
        }
        found.push(rest);
        found
    }

    #[test]
    fn a_sentence_ends_at_a_sign_before_white_space_or_at_the_end_of_a_line() {
        let cases: &[(&str, &[&str])] = &[
            ("I met Jane. She left.", &["I met Jane. ", "She left."]),
            ("Really?! \"Yes.\" he said\nand", &["Really?! ", "\"Yes.\" ", "he said\n", "and"]),
            ("3.14 is v1.2.", &["3.14 is v1.2."]),
            ("Dr. J. R. Doe and Mrs. Roe. Then", &["Dr. J. R. Doe and Mrs. Roe. ", "Then"]),
            ("東京です。大阪も！はい", &["東京です。", "大阪も！", "はい"]),
            ("a\\nb", &["a\\nb"]),
        ];
        for (text, expected) in cases {
            assert_eq!(sentences(text, false), *expected, "{text}");
        }
        assert_eq!(sentences("a.\\nb \\\\n c. d", true), ["a.\\n", "b \\\\n c. ", "d"]);
    }

    #[test]
    fn what_never_ends_is_cut_where_words_end_or_characters_do() {
        let words = "word ".repeat(1_000);
        let found = sentences(&words, false);
        assert!(found.iter().all(|one| one.len() <= SENTENCE_BYTES_MAX && one.ends_with("d ")
            || one.is_empty()), "{found:?}");
        let unbroken = format!("x{}x", "é".repeat(2_000));
        let found = sentences(&unbroken, false);
        assert_eq!(found.concat(), unbroken);
        assert!(found.iter().all(|one| one.len() <= SENTENCE_BYTES_MAX));
    }

    #[test]
    fn a_passage_holds_as_many_sentences_as_fit() {
        let text = "Some words. ".repeat(1_000);
        let end = Cut::Passage.end(text.as_bytes(), false).unwrap();
        assert!(end <= PASSAGE_BYTES_MAX && end + 12 > PASSAGE_BYTES_MAX);
        assert!(text[..end].ends_with("words. "));
        assert_eq!(Cut::Passage.end(&text.as_bytes()[..8_000], false), None);
    }
}
