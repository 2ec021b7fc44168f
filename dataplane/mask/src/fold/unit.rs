//! The next unit of a text: a character, or what is written for one.

use super::table::{Meaning, meaning};

/// What one step of the fold reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// Bytes of the original.
    pub(super) length: usize,
    /// The character; `None`: a byte that is none.
    pub(super) character: Option<char>,
    pub(super) meaning: Meaning,
    /// It stands there itself: nothing was decoded.
    pub(super) is_verbatim: bool,
}

/// How a text begins.
#[derive(Clone, Copy, Debug)]
enum Escape {
    /// With what is written for this character, in so many bytes.
    Whole(char, usize),
    /// With what may still become an escape.
    Open,
    /// With none.
    None,
}

/// References by name that stand for an ASCII character or for one that is folded to one (HTML,
/// 13.5).
const NAMES: &[(&[u8], char)] = &[
    (b"Tab", '\t'),
    (b"NewLine", '\n'),
    (b"excl", '!'),
    (b"quot", '"'),
    (b"QUOT", '"'),
    (b"num", '#'),
    (b"dollar", '$'),
    (b"percnt", '%'),
    (b"amp", '&'),
    (b"AMP", '&'),
    (b"apos", '\''),
    (b"lpar", '('),
    (b"rpar", ')'),
    (b"ast", '*'),
    (b"midast", '*'),
    (b"plus", '+'),
    (b"comma", ','),
    (b"period", '.'),
    (b"sol", '/'),
    (b"colon", ':'),
    (b"semi", ';'),
    (b"lt", '<'),
    (b"LT", '<'),
    (b"equals", '='),
    (b"gt", '>'),
    (b"GT", '>'),
    (b"quest", '?'),
    (b"commat", '@'),
    (b"lsqb", '['),
    (b"lbrack", '['),
    (b"bsol", '\\'),
    (b"rsqb", ']'),
    (b"rbrack", ']'),
    (b"Hat", '^'),
    (b"lowbar", '_'),
    (b"UnderBar", '_'),
    (b"grave", '`'),
    (b"DiacriticalGrave", '`'),
    (b"lcub", '{'),
    (b"lbrace", '{'),
    (b"verbar", '|'),
    (b"vert", '|'),
    (b"VerticalLine", '|'),
    (b"rcub", '}'),
    (b"rbrace", '}'),
    (b"nbsp", '\u{a0}'),
    (b"NonBreakingSpace", '\u{a0}'),
    (b"ensp", '\u{2002}'),
    (b"emsp", '\u{2003}'),
    (b"thinsp", '\u{2009}'),
    (b"shy", '\u{ad}'),
    (b"zwnj", '\u{200c}'),
    (b"zwj", '\u{200d}'),
    (b"ZeroWidthSpace", '\u{200b}'),
    (b"hyphen", '-'),
    (b"dash", '-'),
    (b"ndash", '\u{2013}'),
    (b"mdash", '\u{2014}'),
    (b"minus", '\u{2212}'),
];

/// The unit at the front of a text that is not empty; `None`: undecided before more of it comes.
#[inline]
pub(super) fn next(text: &[u8], escapes: bool, is_end: bool) -> Option<Unit> {
    let first = *text.first()?;
    let escape = match first {
        b'&' => reference(text),
        b'%' => bytes(text, b"%"),
        b'\\' => backslash(text, escapes),
        _ => Escape::None,
    };
    match escape {
        Escape::Whole(character, length) => Some(decoded(character, length)),
        Escape::Open if !is_end => None,
        Escape::Open | Escape::None => Some(plain(text, first)),
    }
}

fn decoded(character: char, length: usize) -> Unit {
    let meaning = match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() => Meaning::Ascii(byte),
        Ok(_) | Err(_) => meaning(character),
    };
    Unit { length, character: Some(character), meaning, is_verbatim: false }
}

#[inline]
fn plain(text: &[u8], first: u8) -> Unit {
    let (character, meaning, length) = if first.is_ascii() {
        (Some(char::from(first)), Meaning::Keep, 1)
    } else {
        match character(text) {
            Some((character, length)) => (Some(character), meaning(character), length),
            None => (None, Meaning::Keep, 1),
        }
    };
    Unit { length, character, meaning, is_verbatim: true }
}

/// The character that a text begins with and its length in UTF-8.
#[inline]
fn character(text: &[u8]) -> Option<(char, usize)> {
    let (code, length) = match *text {
        [lead @ 0xc2..=0xdf, a, ..] if is_continuation(a) => {
            (u32::from(lead & 0x1f) << 6 | u32::from(a & 0x3f), 2)
        }
        [lead @ 0xe0..=0xef, a, b, ..] if is_continuation(a) && is_continuation(b) => {
            let upper = u32::from(lead & 0x0f) << 12;
            (upper | u32::from(a & 0x3f) << 6 | u32::from(b & 0x3f), 3)
        }
        [lead @ 0xf0..=0xf4, a, b, c, ..]
            if is_continuation(a) && is_continuation(b) && is_continuation(c) =>
        {
            let upper = u32::from(lead & 0x07) << 18 | u32::from(a & 0x3f) << 12;
            (upper | u32::from(b & 0x3f) << 6 | u32::from(c & 0x3f), 4)
        }
        _ => return None,
    };
    let character = char::from_u32(code)?;
    (character.len_utf8() == length).then_some((character, length))
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// `&#64;`, `&#x40;`, `&commat;`.
fn reference(text: &[u8]) -> Escape {
    let body = text.get(1..).unwrap_or_default();
    if let Some(number) = body.strip_prefix(b"#") {
        return match number.strip_prefix(b"x").or_else(|| number.strip_prefix(b"X")) {
            Some(digits) => numeric(digits, 16, 3),
            None => numeric(number, 10, 2),
        };
    }
    for (name, character) in NAMES {
        match body.strip_prefix(*name) {
            Some([b';', ..]) => return Escape::Whole(*character, name.len().saturating_add(2)),
            Some([]) => return Escape::Open,
            Some(_) => {}
            None if name.starts_with(body) => return Escape::Open,
            None => {}
        }
    }
    Escape::None
}

/// Most digits of a numeric reference: leading zeros are allowed for.
const REFERENCE_DIGITS_MAX: usize = 8;

fn numeric(text: &[u8], radix: u32, front: usize) -> Escape {
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let count = text.iter().take(REFERENCE_DIGITS_MAX).take_while(is_digit).count();
    match text.get(count) {
        None => Escape::Open,
        Some(b';') => match number(text.get(..count).unwrap_or_default(), radix) {
            Some(character) => {
                Escape::Whole(character, front.saturating_add(count).saturating_add(1))
            }
            None => Escape::None,
        },
        Some(_) => Escape::None,
    }
}

fn number(digits: &[u8], radix: u32) -> Option<char> {
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    char::from_u32(code).filter(|character| *character != '\0')
}

/// `%40`, `\x40`: a byte, or the bytes of one character in UTF-8, each written so.
fn bytes(text: &[u8], introducer: &[u8]) -> Escape {
    let step = introducer.len().saturating_add(2);
    let mut utf8 = [0; 4];
    let mut wanted = 1;
    let mut have = 0_usize;
    for (place, part) in utf8.iter_mut().zip(text.chunks(step)) {
        let digits = match part.strip_prefix(introducer) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => digits,
            None if introducer.starts_with(part) => return Escape::Open,
            Some(_) | None => return Escape::None,
        };
        let Ok(digits) = <[u8; 2]>::try_from(digits) else { return Escape::Open };
        *place = hex(&digits) as u8;
        if have == 0 {
            wanted = match *place {
                1..0x80 => 1,
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => return Escape::None,
            };
        }
        have = have.saturating_add(1);
        if have == wanted {
            break;
        }
    }
    if have < wanted {
        return Escape::Open;
    }
    match std::str::from_utf8(utf8.get(..wanted).unwrap_or_default())
        .map(|text| text.chars().next())
    {
        Ok(Some(character)) => Escape::Whole(character, wanted.saturating_mul(step)),
        Ok(None) | Err(_) => Escape::None,
    }
}

/// The value of at most four hexadecimal digits.
fn hex(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |value: u16, digit| {
        value << 4 | char::from(*digit).to_digit(16).unwrap_or_default() as u16
    })
}

/// `\x40`, `\u0040`, `\_`, and with `escapes` what else a JSON string may hold (RFC 8259 section
/// 7).
fn backslash(text: &[u8], escapes: bool) -> Escape {
    let Some(next) = text.get(1) else { return Escape::Open };
    match (next, escapes) {
        (b'x', _) => bytes(text, b"\\x"),
        (b'u', _) => unicode(text),
        (b'n', true) => Escape::Whole('\n', 2),
        (b't', true) => Escape::Whole('\t', 2),
        (b'r', true) => Escape::Whole('\r', 2),
        (b'b', true) => Escape::Whole('\u{8}', 2),
        (b'f', true) => Escape::Whole('\u{c}', 2),
        (byte, _) if byte.is_ascii_punctuation() => Escape::Whole(char::from(*byte), 2),
        _ => Escape::None,
    }
}

/// `\u0040`, and two such for one character outside the first plane.
fn unicode(text: &[u8]) -> Escape {
    match code_unit(text) {
        CodeUnit::Open => Escape::Open,
        CodeUnit::None => Escape::None,
        CodeUnit::Whole(0) => Escape::None,
        CodeUnit::Whole(high @ 0xd800..=0xdbff) => {
            match code_unit(text.get(6..).unwrap_or_default()) {
                CodeUnit::Open => Escape::Open,
                CodeUnit::None => Escape::None,
                CodeUnit::Whole(low) => match char::decode_utf16([high, low]).next() {
                    Some(Ok(character)) => Escape::Whole(character, 12),
                    Some(Err(_)) | None => Escape::None,
                },
            }
        }
        CodeUnit::Whole(unit) => match char::from_u32(u32::from(unit)) {
            Some(character) => Escape::Whole(character, 6),
            None => Escape::None,
        },
    }
}

enum CodeUnit {
    Whole(u16),
    Open,
    None,
}

fn code_unit(text: &[u8]) -> CodeUnit {
    let written = text.get(..text.len().min(6)).unwrap_or_default();
    match written.strip_prefix(b"\\u") {
        Some(digits) if !digits.iter().all(u8::is_ascii_hexdigit) => CodeUnit::None,
        Some(digits) if digits.len() == 4 => CodeUnit::Whole(hex(digits)),
        None if !b"\\u".starts_with(written) => CodeUnit::None,
        Some(_) | None => CodeUnit::Open,
    }
}
