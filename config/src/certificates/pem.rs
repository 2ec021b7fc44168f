//! PEM (RFC 7468) in memory that is wiped: a block may hold a private key.

use super::*;

/// One block.
pub(super) struct Block<'t> {
    /// What stands behind `BEGIN`.
    pub(super) label: &'t str,
    /// Its content.
    pub(super) der: Zeroizing<Vec<u8>>,
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Characters of base64 on a line (RFC 7468 section 2).
const LINE_CHARACTERS: usize = 64;

/// The blocks of a text, in their order.
pub(super) fn blocks(text: &str) -> Result<Vec<Block<'_>>, PemError> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once(BEGIN) {
        let (block, after) = block_at(begun).ok_or(PemError::Pem)?;
        blocks.push(block);
        rest = after;
    }
    Ok(blocks)
}

/// The block whose label comes next, and what follows it.
fn block_at(begun: &str) -> Option<(Block<'_>, &str)> {
    let (label, body) = begun.split_once(DASHES)?;
    let (body, end) = body.split_once(END)?;
    let after = end.strip_prefix(label)?.strip_prefix(DASHES)?;
    Some((Block { label, der: decode(body)? }, after))
}

/// Base64 with white space in it.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    // Of full size from the start: a buffer that grew would leave copies behind.
    let mut packed = Zeroizing::new(Vec::with_capacity(text.len()));
    packed.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(packed.len())]);
    let length = STANDARD.decode_slice(packed.as_slice(), &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// A block as text.
pub(super) fn block(label: &str, der: &[u8]) -> String {
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    for (index, character) in STANDARD.encode(der).chars().enumerate() {
        if index > 0 && index.is_multiple_of(LINE_CHARACTERS) {
            text.push('\n');
        }
        text.push(character);
    }
    text.push('\n');
    text.push_str(END);
    text.push_str(label);
    text.push_str(DASHES);
    text.push('\n');
    text
}
