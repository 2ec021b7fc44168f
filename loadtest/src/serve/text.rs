//! Text cut into pieces of the size that tokenizers make: a word with the space before it, long
//! words in several pieces. The pieces of a text, put together, are the text.

/// What is said when nothing else is asked for.
pub(crate) const DEFAULT: &str = "A penstock is the gated channel that controls the flow of water \
to a turbine: nothing reaches the machine except through the gate.";

/// Most characters of one piece.
const PIECE_CHARACTERS_MAX: usize = 8;

/// Pieces of a text, in order.
pub(crate) struct Pieces<'a> {
    text: &'a str,
    rest: &'a str,
    cycle: bool,
}

impl<'a> Pieces<'a> {
    /// The pieces of the text, once.
    pub(crate) fn once(text: &'a str) -> Self {
        Self { text, rest: text, cycle: false }
    }

    /// The pieces of the text again and again, with a space before each further round.
    pub(crate) fn cycle(text: &'a str) -> Self {
        Self { text, rest: text, cycle: true }
    }
}

impl Iterator for Pieces<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut piece = String::new();
        if self.rest.is_empty() {
            if !self.cycle || self.text.is_empty() {
                return None;
            }
            self.rest = self.text;
            piece.push(' ');
        }
        let (head, rest) = self.rest.split_at(piece_end(self.rest));
        self.rest = rest;
        piece.push_str(head);
        Some(piece)
    }
}

/// Where the first piece of a text ends: before the next white space that follows something else.
fn piece_end(text: &str) -> usize {
    let mut in_word = false;
    for (count, (at, character)) in text.char_indices().enumerate() {
        if count == PIECE_CHARACTERS_MAX || (in_word && character.is_whitespace()) {
            return at;
        }
        in_word |= !character.is_whitespace();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT, PIECE_CHARACTERS_MAX, Pieces};

    #[test]
    fn the_pieces_of_a_text_put_together_are_the_text() {
        for text in [
            DEFAULT,
            " leading",
            "trailing ",
            "a  b\n\nc",
            "donaudampfschifffahrt",
            "日本語のテキストです。",
        ] {
            assert_eq!(Pieces::once(text).collect::<String>(), text);
        }
    }

    #[test]
    fn no_piece_is_longer_than_a_token_would_be() {
        for piece in Pieces::once("internationalisation of everything, everywhere") {
            assert!((1..=PIECE_CHARACTERS_MAX).contains(&piece.chars().count()), "{piece:?}");
        }
    }

    #[test]
    fn a_further_round_begins_with_a_space() {
        assert_eq!(Pieces::cycle("a b").take(5).collect::<String>(), "a b a b a");
    }
}
