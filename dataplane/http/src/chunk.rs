//! The chunked coding (RFC 9112 section 7.1), byte by byte over a state of a few words. Extensions
//! and trailers are checked against the grammar, bounded, and dropped: they are never forwarded.

use crate::body::{BodyError, Step, take};
use crate::text::{Backward, is_token_byte, is_value_byte};

/// Bytes of one size line, its line end included.
const LINE_BYTES_MAX: usize = 256;
/// Bytes of all extensions of one body.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;
/// Digits of a size, leading zeros included: 16 are 64 bits.
const SIZE_DIGITS_MAX: usize = 16;
/// Bytes of one chunk.
const CHUNK_BYTES_MAX: u64 = 1 << 40;
/// Bytes of all trailer fields of one body, line ends included.
const TRAILER_BYTES_MAX: usize = 64 * 1024;
/// Trailer fields of one body.
const TRAILER_COUNT_MAX: usize = 100;

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    #[default]
    Size,
    /// White space that is only legal before `;`.
    BeforeSemicolon,
    /// Behind `;`.
    ExtensionStart,
    ExtensionName,
    /// White space behind a name: `=` or `;` must follow.
    AfterName,
    /// Behind `=`.
    ValueStart,
    Value,
    Quoted,
    QuotedPair,
    AfterQuoted,
    /// Behind the CR of a size line.
    SizeLineEnd,
    Data,
    DataCarriageReturn,
    DataLineFeed,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineEnd,
    /// Behind the CR of the last, empty line.
    LastLineEnd,
    Done,
    Failed(BodyError),
}

/// Decodes one chunked body.
#[derive(Clone, Debug, Default)]
pub struct ChunkedDecoder {
    place: Place,
    /// The size as far as it was read, then what is left of the chunk.
    size: u64,
    digits: usize,
    line_bytes: usize,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailer_count: usize,
}

impl ChunkedDecoder {
    pub(crate) fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Step, BodyError> {
        match self.place {
            Place::Failed(error) => return Err(error),
            Place::Done => return Ok(Step::Done),
            _ if bytes.is_empty() => return Ok(Step::NeedMore),
            Place::Data => return Ok(self.data(bytes)),
            _ => {}
        }
        let mut skipped: usize = 0;
        for &byte in bytes {
            self.place =
                self.after(byte).inspect_err(|&error| self.place = Place::Failed(error))?;
            skipped = skipped.saturating_add(1);
            if matches!(self.place, Place::Data | Place::Done) {
                break;
            }
        }
        Ok(Step::Skip(skipped))
    }

    fn data(&mut self, bytes: &[u8]) -> Step {
        let taken = take(&mut self.size, bytes.len());
        if self.size == 0 {
            self.place = Place::DataCarriageReturn;
        }
        Step::Data(taken)
    }

    /// The place behind one byte of framing.
    fn after(&mut self, byte: u8) -> Result<Place, BodyError> {
        match self.place {
            Place::Size => {
                self.count_line_byte()?;
                self.size_byte(byte)
            }
            Place::BeforeSemicolon
            | Place::ExtensionStart
            | Place::ExtensionName
            | Place::AfterName
            | Place::ValueStart
            | Place::Value
            | Place::Quoted
            | Place::QuotedPair
            | Place::AfterQuoted => {
                self.count_line_byte()?;
                self.extension_bytes = self.extension_bytes.saturating_add(1);
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err(BodyError::ExtensionsTooLarge);
                }
                extension_byte(self.place, byte).ok_or(BodyError::BadExtension)
            }
            Place::SizeLineEnd => self.size_line_end(byte),
            Place::DataCarriageReturn if byte == b'\r' => Ok(Place::DataLineFeed),
            Place::DataLineFeed if byte == b'\n' => Ok(Place::Size),
            Place::DataCarriageReturn | Place::DataLineFeed => Err(BodyError::BadChunkEnd),
            Place::TrailerStart
            | Place::TrailerName
            | Place::TrailerValue
            | Place::TrailerLineEnd
            | Place::LastLineEnd => self.trailer_byte(byte),
            // Never asked for these: `decode` answers them itself.
            Place::Data | Place::Done => Err(BodyError::BadChunkEnd),
            Place::Failed(error) => Err(error),
        }
    }

    fn count_line_byte(&mut self) -> Result<(), BodyError> {
        self.line_bytes = self.line_bytes.saturating_add(1);
        // One place is kept for the line feed.
        if self.line_bytes < LINE_BYTES_MAX { Ok(()) } else { Err(BodyError::ChunkLineTooLong) }
    }

    fn size_byte(&mut self, byte: u8) -> Result<Place, BodyError> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            self.digits = self.digits.saturating_add(1);
            self.size = (self.size << 4) | u64::from(digit);
            // The first check keeps the shift from losing bits; the second is the bound.
            let fits = self.digits <= SIZE_DIGITS_MAX && self.size <= CHUNK_BYTES_MAX;
            return if fits { Ok(Place::Size) } else { Err(BodyError::ChunkTooLarge) };
        }
        match byte {
            _ if self.digits == 0 => Err(BodyError::BadChunkSize),
            b'\r' => Ok(Place::SizeLineEnd),
            b';' => Ok(Place::ExtensionStart),
            b' ' | b'\t' => Ok(Place::BeforeSemicolon),
            _ => Err(BodyError::BadChunkSize),
        }
    }

    fn size_line_end(&mut self, byte: u8) -> Result<Place, BodyError> {
        if byte != b'\n' {
            return Err(BodyError::BadChunkSize);
        }
        self.digits = 0;
        self.line_bytes = 0;
        Ok(if self.size == 0 { Place::TrailerStart } else { Place::Data })
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<Place, BodyError> {
        self.trailer_bytes = self.trailer_bytes.saturating_add(1);
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(BodyError::TrailersTooLarge);
        }
        match (self.place, byte) {
            (Place::TrailerStart, b'\r') => Ok(Place::LastLineEnd),
            (Place::LastLineEnd, b'\n') => Ok(Place::Done),
            (Place::TrailerStart, _) if is_token_byte(byte) => {
                self.trailer_count = self.trailer_count.saturating_add(1);
                if self.trailer_count > TRAILER_COUNT_MAX {
                    return Err(BodyError::TrailersTooLarge);
                }
                Ok(Place::TrailerName)
            }
            (Place::TrailerName, b':') => Ok(Place::TrailerValue),
            (Place::TrailerName, _) if is_token_byte(byte) => Ok(Place::TrailerName),
            (Place::TrailerValue, b'\r') => Ok(Place::TrailerLineEnd),
            (Place::TrailerValue, _) if is_value_byte(byte) => Ok(Place::TrailerValue),
            (Place::TrailerLineEnd, b'\n') => Ok(Place::TrailerStart),
            _ => Err(BodyError::BadTrailer),
        }
    }
}

/// `*( BWS ";" BWS name [ BWS "=" BWS value ] )`, where a value is a token or a quoted string.
/// White space is legal before `;` and around `=` only, so not at the end of a line.
fn extension_byte(place: Place, byte: u8) -> Option<Place> {
    let is_space = matches!(byte, b' ' | b'\t');
    match (place, byte) {
        (Place::BeforeSemicolon, b';') => Some(Place::ExtensionStart),
        (Place::BeforeSemicolon, _) if is_space => Some(Place::BeforeSemicolon),
        (Place::ExtensionStart, _) if is_space => Some(Place::ExtensionStart),
        (Place::ExtensionStart, _) if is_token_byte(byte) => Some(Place::ExtensionName),
        (Place::ExtensionName, _) if is_token_byte(byte) => Some(Place::ExtensionName),
        (Place::ExtensionName | Place::AfterName, b'=') => Some(Place::ValueStart),
        (Place::ExtensionName | Place::AfterName, b';') => Some(Place::ExtensionStart),
        (Place::ExtensionName | Place::AfterName, _) if is_space => Some(Place::AfterName),
        (Place::ValueStart, b'"') => Some(Place::Quoted),
        (Place::ValueStart, _) if is_space => Some(Place::ValueStart),
        (Place::ValueStart | Place::Value, _) if is_token_byte(byte) => Some(Place::Value),
        (Place::Quoted, b'"') => Some(Place::AfterQuoted),
        (Place::Quoted, b'\\') => Some(Place::QuotedPair),
        (Place::Quoted | Place::QuotedPair, _) if is_value_byte(byte) => Some(Place::Quoted),
        (Place::Value | Place::AfterQuoted, b';') => Some(Place::ExtensionStart),
        (Place::Value | Place::AfterQuoted, _) if is_space => Some(Place::BeforeSemicolon),
        (Place::ExtensionName | Place::Value | Place::AfterQuoted, b'\r') => {
            Some(Place::SizeLineEnd)
        }
        _ => None,
    }
}

/// What stands behind a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk and an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What stands before a chunk's data.
#[derive(Clone, Copy, Debug)]
pub struct ChunkHead(Backward);

impl AsRef<[u8]> for ChunkHead {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The size line of a chunk of `length` bytes; [`CHUNK_END`] follows the data.
///
/// For 0 it is empty: a size line of zero would end the body, so that an empty piece could forge a
/// clean end. Skip empty pieces; a body ends by [`LAST_CHUNK`] and nothing else.
pub fn chunk_head(length: usize) -> ChunkHead {
    let mut line = Backward::new();
    if length > 0 {
        line.prepend(b'\n');
        line.prepend(b'\r');
        line.prepend_number(u64::try_from(length).unwrap_or(u64::MAX), 16);
    }
    ChunkHead(line)
}

#[cfg(test)]
mod tests;
