//! The bound on a body's tokens, before any memory is taken for them.

use std::{mem, slice};

use super::{JsonError, TOKENS_MAX};

/// Refuses a body with more tokens than [`TOKENS_MAX`]: names, values and punctuation, counted as
/// the parser will count them, or higher where the text is no JSON.
pub(super) fn check(body: &[u8]) -> Result<(), JsonError> {
    // A token has a byte at least: most bodies need no look.
    if body.len() <= TOKENS_MAX {
        return Ok(());
    }
    let mut tokens: usize = 0;
    let mut in_atom = false;
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        let is_blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let is_mark = matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"');
        let was_in_atom = mem::replace(&mut in_atom, !is_blank & !is_mark);
        tokens = tokens.saturating_add(usize::from(is_mark | (in_atom & !was_in_atom)));
        match byte {
            b'"' => skip_text(&mut bytes),
            // Outside a text it is no JSON, and the parser could take a quote behind it for none.
            b'\\' => return Err(JsonError::Syntax),
            _ => {}
        }
        if tokens > TOKENS_MAX {
            return Err(JsonError::TooMany);
        }
    }
    Ok(())
}

/// Goes on to what follows the end of a text, whose opening quote is gone. Byte by byte: a text of
/// nothing but escapes must not cost more than another.
fn skip_text(bytes: &mut slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}
