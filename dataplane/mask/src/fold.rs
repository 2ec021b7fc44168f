//! The text in which values are looked for, with the way back to the original.
//!
//! A value may be written so that a reader sees it and a pattern does not: in full-width letters,
//! with invisible characters inside, as `&#64;`. The fold undoes that, character by character, in
//! one pass from left to right: what was decoded is not decoded again. Matches are found in the
//! folded text and cut from the original.
//!
//! It never waits for more than [`UNDECIDED_BYTES_MAX`] and is otherwise blind to how a text is cut
//! into pieces.
//!
//! Letters that look like ASCII ones become those only in a word that has Latin letters: behind a
//! Latin letter at once (also across `.`, `@`, `_` and `-`), at the front of a word if a Latin
//! letter follows nothing but look-alikes and digits within the bytes it may wait for. A value that
//! is wholly written in another alphabet is not caught, nor one whose front is longer than that,
//! nor one that goes on behind a letter without a Latin twin. Raised and encircled digits become
//! digits where two stand together: one alone is an exponent, a footnote or a number of a list. Not
//! undone: letters spelled out or set apart by spaces, emphasis inside a value, base64, a reference
//! without its `;`, a second level of any encoding.
//!
//! A text of which most can't be seen is not folded for ever: see [`UNSEEN_BYTES_MAX`].

mod folded;
mod table;
#[cfg(test)]
mod tests;
mod unit;

pub use folded::Folded;
use table::Meaning;
use unit::Unit;

use crate::widest::widest;

/// Most bytes at the end of a text that wait for what follows.
pub const UNDECIDED_BYTES_MAX: usize = 32;

/// Most bytes of the original that become nothing: above it the fold stops, and who holds the text
/// must decide it. Each folded byte makes up for [`FOLDED_BYTE_IS_WORTH`] of them.
pub const UNSEEN_BYTES_MAX: usize = 2048;

/// More than what any usual encoding writes for one character.
const FOLDED_BYTE_IS_WORTH: usize = 8;

/// What stands behind a text that is folded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Behind {
    /// More of it.
    More,
    /// More of it, but nobody waits for it: letters are decided by what is there. What may be the
    /// front of an escape is not: the rest of it would be something else without it.
    Silence,
    /// Nothing.
    Nothing,
}

/// The fold of one text that comes in pieces: what must be known of the pieces before.
#[derive(Clone, Copy, Debug)]
pub struct Folder {
    /// Bytes of the original that became nothing, less what folded bytes made up for.
    unseen: usize,
    is_flooded: bool,
    /// The text is inside a JSON string inside a JSON text.
    escapes: bool,
    word: Word,
    digit: Digit,
}

/// What the word so far is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word {
    /// No letter yet.
    Start,
    /// The letter before is an ASCII one, or was taken for one.
    Latin,
    /// The letter before is another one.
    Other,
}

/// What digit stands directly before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Digit {
    None,
    /// A usual one, or a raised one that stays.
    Plain,
    /// A raised one that became a digit.
    Raised,
}

/// What is written for one unit.
enum Step {
    Verbatim,
    Nothing,
    Byte(u8),
    Letters(&'static [u8]),
    Character(char),
}

impl Step {
    /// Bytes of the folded text.
    #[inline]
    fn length(&self, original: usize) -> usize {
        match self {
            Self::Verbatim => original,
            Self::Nothing => 0,
            Self::Byte(_) => 1,
            Self::Letters(letters) => letters.len(),
            Self::Character(character) => character.len_utf8(),
        }
    }
}

impl Folder {
    /// At the beginning of a text. With `escapes` it is inside a JSON string inside a JSON text:
    /// `\n`, `\"` and their like are decoded as well.
    pub fn new(escapes: bool) -> Self {
        let (word, digit) = (Word::Start, Digit::None);
        Self { unseen: 0, is_flooded: false, escapes, word, digit }
    }

    /// Whether the fold stopped since the text holds too much that can't be seen; from there it
    /// goes on with the next call.
    pub fn take_flood(&mut self) -> bool {
        std::mem::take(&mut self.is_flooded)
    }

    /// Counts what became of a part of the original.
    #[inline]
    fn count(&mut self, original: usize, folded: usize) {
        let worth = folded.saturating_mul(FOLDED_BYTE_IS_WORTH);
        self.unseen = self.unseen.saturating_add(original).saturating_sub(worth);
        if self.unseen > UNSEEN_BYTES_MAX {
            (self.unseen, self.is_flooded) = (0, true);
        }
    }

    /// Folds `original` (UTF-8, whole characters), which stands at the offset `base` of the
    /// original, and appends it to `into`. Returns how many of its bytes are decided: the others
    /// (at most [`UNDECIDED_BYTES_MAX`]) must be given again with what follows them. Where nothing
    /// follows all is decided, unless [`Self::take_flood`] says otherwise.
    pub fn fold(
        &mut self,
        original: &[u8],
        base: usize,
        behind: Behind,
        into: &mut Folded,
    ) -> usize {
        into.begin(base);
        let mut copied = 0;
        let mut at = 0_usize;
        while let Some(rest @ [_, ..]) = original.get(at..) {
            let plain = if rest.first().is_some_and(|first| is_special(*first)) {
                0
            } else {
                plain_length(rest)
            };
            if plain > 0 {
                self.note_run(rest.get(..plain).unwrap_or_default());
                self.count(plain, plain);
                at = at.saturating_add(plain);
                continue;
            }
            let is_last = behind == Behind::Nothing;
            let Some(unit) = unit::next(rest, self.escapes, is_last) else { break };
            let Some(step) = self.step(rest, unit, behind != Behind::More) else { break };
            let after = at.saturating_add(unit.length);
            self.count(unit.length, step.length(unit.length));
            if !matches!(step, Step::Verbatim) {
                into.copy(
                    original.get(copied..at).unwrap_or_default(),
                    base.saturating_add(copied),
                );
                let span = base.saturating_add(at)..base.saturating_add(after);
                match step {
                    Step::Verbatim | Step::Nothing => {}
                    Step::Byte(byte) => into.push(&[byte], span),
                    Step::Letters(letters) => into.push(letters, span),
                    Step::Character(character) => {
                        into.push(character.encode_utf8(&mut [0; 4]).as_bytes(), span);
                    }
                }
                copied = after;
            }
            at = after;
            if self.is_flooded {
                break;
            }
        }
        into.copy(original.get(copied..at).unwrap_or_default(), base.saturating_add(copied));
        at
    }

    /// What becomes of the unit at the front of `rest`; `None`: undecided.
    #[inline]
    fn step(&mut self, rest: &[u8], unit: Unit, is_end: bool) -> Option<Step> {
        let kept = match unit.character {
            Some(character) if !unit.is_verbatim => Step::Character(character),
            Some(_) | None => Step::Verbatim,
        };
        Some(match unit.meaning {
            Meaning::Drop => Step::Nothing,
            Meaning::Ascii(byte) => {
                self.note_byte(byte);
                Step::Byte(byte)
            }
            Meaning::Ligature(index) => {
                (self.word, self.digit) = (Word::Latin, Digit::None);
                Step::Letters(table::ligature(index))
            }
            Meaning::Lookalike(letter) => {
                let is_latin = match self.word {
                    Word::Latin => true,
                    Word::Other => false,
                    Word::Start => self.ahead(rest, 0, is_end, turns_latin)?,
                };
                self.word = if is_latin { Word::Latin } else { Word::Other };
                self.digit = Digit::None;
                if is_latin { Step::Byte(letter) } else { kept }
            }
            Meaning::Raised(digit) => {
                let is_digit = match self.digit {
                    Digit::Raised => true,
                    Digit::Plain => false,
                    Digit::None => self.ahead(rest, unit.length, is_end, is_raised)?,
                };
                self.digit = if is_digit { Digit::Raised } else { Digit::Plain };
                if is_digit { Step::Byte(digit) } else { kept }
            }
            Meaning::Keep => {
                match unit.character {
                    Some(character) if character.is_ascii() => self.note_byte(character as u8),
                    Some(character) if table::is_letter(character) => {
                        (self.word, self.digit) = (Word::Other, Digit::None);
                    }
                    Some(_) | None => (self.word, self.digit) = (Word::Start, Digit::None),
                }
                kept
            }
        })
    }

    /// Asks unit after unit of a text, from an offset on, until one answers. No answer within the
    /// bytes that may wait is a no.
    fn ahead(
        &self,
        text: &[u8],
        from: usize,
        is_end: bool,
        answer: fn(&Unit) -> Option<bool>,
    ) -> Option<bool> {
        let mut at = from;
        while at < UNDECIDED_BYTES_MAX {
            let rest = text.get(at..).unwrap_or_default();
            if rest.is_empty() && is_end {
                return Some(false);
            }
            let Some(unit) = unit::next(rest, self.escapes, is_end) else {
                // It would end too late, whatever follows.
                return if text.len() > UNDECIDED_BYTES_MAX { Some(false) } else { None };
            };
            at = at.saturating_add(unit.length);
            if at > UNDECIDED_BYTES_MAX {
                break;
            }
            let answer = answer(&unit);
            if answer.is_some() {
                return answer;
            }
        }
        Some(false)
    }

    fn note_byte(&mut self, byte: u8) {
        self.digit = if byte.is_ascii_digit() { Digit::Plain } else { Digit::None };
        self.word = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Word::Latin,
            b'0'..=b'9' => self.word,
            _ if joins(byte) && self.word == Word::Latin => Word::Latin,
            _ => Word::Start,
        };
    }

    /// As [`Self::note_byte`] for each byte.
    fn note_run(&mut self, run: &[u8]) {
        let is_digit = run.last().is_some_and(u8::is_ascii_digit);
        self.digit = if is_digit { Digit::Plain } else { Digit::None };
        let mut has_joint = false;
        for byte in run.iter().rev() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' => {
                    self.word = Word::Latin;
                    return;
                }
                b'0'..=b'9' => {}
                _ if joins(*byte) => has_joint = true,
                _ => {
                    self.word = Word::Start;
                    return;
                }
            }
        }
        if has_joint && self.word == Word::Other {
            self.word = Word::Start;
        }
    }
}

/// Whether a word of Latin letters goes on behind it.
fn joins(byte: u8) -> bool {
    matches!(byte, b'.' | b'@' | b'_' | b'-')
}

/// Whether a word that begins with look-alikes has Latin letters.
fn turns_latin(unit: &Unit) -> Option<bool> {
    match (unit.meaning, unit.character) {
        (Meaning::Drop | Meaning::Lookalike(_) | Meaning::Raised(_), _) => None,
        (Meaning::Ligature(_), _) => Some(true),
        (Meaning::Ascii(byte), _) if byte.is_ascii_digit() => None,
        (Meaning::Ascii(byte), _) => Some(byte.is_ascii_alphabetic()),
        (Meaning::Keep, Some(character)) if character.is_ascii_digit() => None,
        (Meaning::Keep, Some(character)) => Some(character.is_ascii_alphabetic()),
        (Meaning::Keep, None) => Some(false),
    }
}

/// Whether a raised digit stands beside another one.
fn is_raised(unit: &Unit) -> Option<bool> {
    match unit.meaning {
        Meaning::Drop => None,
        Meaning::Raised(_) => Some(true),
        Meaning::Keep | Meaning::Ascii(_) | Meaning::Lookalike(_) | Meaning::Ligature(_) => {
            Some(false)
        }
    }
}

/// Whether a byte is of a character outside ASCII or may begin an escape.
#[inline]
fn is_special(byte: u8) -> bool {
    // Without a branch, so that the compiler makes vector instructions of it.
    (byte >= 0x80) | (byte == b'&') | (byte == b'%') | (byte == b'\\')
}

widest! {
    /// How many bytes at the front are not special.
    fn plain_length(text: &[u8]) -> usize {
        const BLOCK: usize = 32;
        let mut length = 0_usize;
        for block in text.chunks(BLOCK) {
            if block.iter().fold(false, |any, byte| any | is_special(*byte)) {
                let plain = block.iter().take_while(|byte| !is_special(**byte)).count();
                return length.saturating_add(plain);
            }
            length = length.saturating_add(block.len());
        }
        length
    }
}

/// A whole text as a reader sees it, however much of it can't be seen.
pub fn seen(text: &[u8], escapes: bool) -> Folded {
    let mut into = Folded::default();
    let mut folder = Folder::new(escapes);
    let mut decided = 0;
    loop {
        let rest = text.get(decided..).unwrap_or_default();
        decided = decided.saturating_add(folder.fold(rest, decided, Behind::Nothing, &mut into));
        if !folder.take_flood() {
            return into;
        }
    }
}
