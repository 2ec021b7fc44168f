//! Strings and scalars of JSON: where they end, what they say, how a text is written as one.

use super::{JsonError, Kind};

/// Length of the string at the start of `text`, its quotes included, and whether a backslash is in
/// it.
pub(super) fn string_length(text: &[u8]) -> Result<(usize, bool), JsonError> {
    let mut at: usize = 1;
    let mut is_escaped = false;
    let mut high_bits = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let (words, tail) = rest.as_chunks::<8>();
        let mut plain: usize = 0;
        let mut is_found = false;
        for word in words {
            let word = u64::from_le_bytes(*word);
            let special = special(word);
            if special != 0 {
                let length = special.trailing_zeros() / 8;
                high_bits |= word & !(u64::MAX.wrapping_shl(length.saturating_mul(8)));
                plain = plain.saturating_add(length as usize);
                is_found = true;
                break;
            }
            high_bits |= word;
            plain = plain.saturating_add(8);
        }
        if !is_found {
            let length = tail.iter().position(|byte| needs_escape(*byte));
            let length = length.ok_or(JsonError::Syntax)?;
            high_bits |= tail.iter().take(length).fold(0, |bits, byte| bits | u64::from(*byte));
            plain = plain.saturating_add(length);
        }
        at = at.saturating_add(plain);
        match text.get(at) {
            Some(b'"') => break,
            Some(b'\\') => {}
            _ => return Err(JsonError::Syntax),
        }
        is_escaped = true;
        let length = escape_length(text.get(at..).unwrap_or_default())?;
        at = at.saturating_add(length);
    }
    let is_ascii = high_bits & HIGH_BITS == 0;
    let inside = text.get(1..at).unwrap_or_default();
    if !is_ascii && std::str::from_utf8(inside).is_err() {
        return Err(JsonError::Encoding);
    }
    Ok((at.saturating_add(1), is_escaped))
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = LOW_BITS << 7;

/// The high bit of the first byte that is a quote, a backslash or a control character; bits of
/// bytes behind it mean nothing.
fn special(word: u64) -> u64 {
    let below =
        |word: u64, least: u64| word.wrapping_sub(LOW_BITS.wrapping_mul(least)) & !word & HIGH_BITS;
    let equal = |byte: u8| below(word ^ LOW_BITS.wrapping_mul(u64::from(byte)), 1);
    equal(b'"') | equal(b'\\') | below(word, 0x20)
}

/// Length of the escape at the start of `text`; a surrogate pair is one.
fn escape_length(text: &[u8]) -> Result<usize, JsonError> {
    match text.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') => {
            let unit = unit(text).ok_or(JsonError::Syntax)?;
            match unit {
                0xd800..=0xdbff => {
                    let low = text.get(6..).and_then(unit_escape).ok_or(JsonError::Surrogate)?;
                    let is_low = (0xdc00..=0xdfff).contains(&low);
                    if is_low { Ok(12) } else { Err(JsonError::Surrogate) }
                }
                0xdc00..=0xdfff => Err(JsonError::Surrogate),
                0..=0xd7ff | 0xe000..=0xffff => Ok(6),
            }
        }
        _ => Err(JsonError::Syntax),
    }
}

fn unit_escape(text: &[u8]) -> Option<u16> {
    text.starts_with(b"\\u").then(|| unit(text)).flatten()
}

/// The UTF-16 code unit of `\uXXXX`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.get(2..6)?;
    digits.iter().try_fold(0_u16, |unit, byte| {
        let digit = u16::try_from(char::from(*byte).to_digit(16)?).ok()?;
        Some(unit << 4 | digit)
    })
}

/// What stands at the start of `text` if it is no string, object or array, and its length.
pub(super) fn scalar_length(text: &[u8]) -> Result<(Kind, usize), JsonError> {
    for (word, kind) in [
        (b"true".as_slice(), Kind::True),
        (b"false".as_slice(), Kind::False),
        (b"null".as_slice(), Kind::Null),
    ] {
        if text.starts_with(word) {
            return Ok((kind, word.len()));
        }
    }
    number_length(text).map(|length| (Kind::Number, length)).ok_or(JsonError::Syntax)
}

fn number_length(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b'-'));
    match text.get(at)? {
        b'0' => at = at.saturating_add(1),
        b'1'..=b'9' => at = digits_end(text, at)?,
        _ => return None,
    }
    if text.get(at) == Some(&b'.') {
        at = digits_end(text, at.saturating_add(1))?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at = at.saturating_add(1);
        if let Some(b'+' | b'-') = text.get(at) {
            at = at.saturating_add(1);
        }
        at = digits_end(text, at)?;
    }
    Some(at)
}

/// Where the digits from `at` on end; at least one must be there.
fn digits_end(text: &[u8], at: usize) -> Option<usize> {
    let digits = text.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| at.saturating_add(digits))
}

/// Decodes a string's inside from `from` on, whole characters, and about `bytes_max` bytes at most;
/// returns where it stopped. The text must have been read as a string before.
pub(crate) fn decode(raw: &[u8], from: usize, bytes_max: usize, into: &mut Vec<u8>) -> usize {
    let mut at = from;
    let mut left = bytes_max;
    while at < raw.len() && left > 0 {
        let rest = raw.get(at..).unwrap_or_default();
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        if plain > 0 {
            let taken = whole_characters(rest, plain.min(left));
            into.extend_from_slice(rest.get(..taken).unwrap_or_default());
            at = at.saturating_add(taken);
            left = left.saturating_sub(taken);
            continue;
        }
        let (character, length) = escape(rest);
        let mut buffer = [0; 4];
        into.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        at = at.saturating_add(length);
        left = left.saturating_sub(character.len_utf8());
    }
    at
}

/// The largest length up to `wanted` that cuts no character; at least one character.
pub(crate) fn whole_characters(text: &[u8], wanted: usize) -> usize {
    let is_boundary = |at: usize| text.get(at).is_none_or(|byte| byte & 0xc0 != 0x80);
    let mut at = wanted.min(text.len());
    while at > 0 && !is_boundary(at) {
        at = at.saturating_sub(1);
    }
    if at > 0 {
        return at;
    }
    let mut at = 1.min(text.len());
    while !is_boundary(at) {
        at = at.saturating_add(1);
    }
    at
}

fn escape(text: &[u8]) -> (char, usize) {
    let character = match text.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(text),
        Some(byte) => char::from(*byte),
        None => char::REPLACEMENT_CHARACTER,
    };
    (character, 2)
}

fn unicode_escape(text: &[u8]) -> (char, usize) {
    let Some(high) = unit(text) else { return (char::REPLACEMENT_CHARACTER, 2) };
    if let Some(character) = char::from_u32(high.into()) {
        return (character, 6);
    }
    let low = text.get(6..).and_then(unit_escape).unwrap_or_default();
    let (high, low) = (u32::from(high & 0x3ff), u32::from(low & 0x3ff));
    let character = char::from_u32((high << 10 | low).saturating_add(0x1_0000));
    (character.unwrap_or(char::REPLACEMENT_CHARACTER), 12)
}

/// Writes a text as the inside of a string: only what must be escaped is.
pub(crate) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(found) = rest.iter().position(|byte| needs_escape(*byte)) {
        let (plain, tail) = rest.split_at_checked(found).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else { return };
        write_escape(*byte, out);
        rest = tail;
    }
    out.extend_from_slice(rest);
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |value: u8| if value < 10 { b'0' | value } else { value.wrapping_add(87) };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
