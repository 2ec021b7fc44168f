//! The bound on a body's tokens, before any memory is taken for them.

use super::{JsonError, TOKENS_MAX};

/// Refuses a body with more tokens than [`TOKENS_MAX`]: names, values and punctuation, counted as
/// the parser will count them, or higher where the text is no JSON.
pub(super) fn check(body: &[u8]) -> Result<(), JsonError> {
    // A token has a byte at least: most bodies need no look.
    if body.len() <= TOKENS_MAX {
        return Ok(());
    }
    let mut tokens: usize = 0;
    let mut starts_token = true;
    let mut rest = body;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let counts = match byte {
            b'"' => {
                rest = behind_text(behind);
                true
            }
            b'{' | b'}' | b'[' | b']' | b':' | b',' => true,
            b' ' | b'\t' | b'\r' | b'\n' => false,
            // Outside a text it is no JSON, and the parser could take a quote behind it for none.
            b'\\' => return Err(JsonError::Syntax),
            _ => {
                if starts_token {
                    tokens = tokens.saturating_add(1);
                }
                starts_token = false;
                continue;
            }
        };
        starts_token = true;
        if counts {
            tokens = tokens.saturating_add(1);
        }
        if tokens > TOKENS_MAX {
            return Err(JsonError::TooMany);
        }
    }
    Ok(())
}

/// What follows the end of a text, whose opening quote is gone.
fn behind_text(text: &[u8]) -> &[u8] {
    for quote in memchr::memchr_iter(b'"', text) {
        let inside = text.get(..quote).unwrap_or_default();
        let escapes = inside.iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes.is_multiple_of(2) {
            return text.get(quote.saturating_add(1)..).unwrap_or_default();
        }
    }
    &[]
}
