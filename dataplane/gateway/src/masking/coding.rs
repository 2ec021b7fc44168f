//! Bodies that came encoded although nobody asked for it (RFC 9110 section 8.4): decoded step by
//! step, up to a limit, so that they can be masked.

use std::io::{self, BufRead, ErrorKind, Read};

use brotli_decompressor::Decompressor;
use flate2::bufread::MultiGzDecoder;
use penstock_reactor::buffer::Pool;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::gathered::Gathered;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Coding {
    /// Not at all.
    Identity,
    /// `gzip` (RFC 1952).
    Gzip,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878), with a window of at most 8 MiB (RFC 9659).
    Zstd,
}

impl Coding {
    /// That of these `content-encoding` fields; none: one that can't be decoded here, or several.
    pub(crate) fn of<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<Self> {
        let mut found = Self::Identity;
        for name in
            values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
        {
            let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
            let coding = if name.is_empty() || is("identity") {
                continue;
            } else if is("gzip") || is("x-gzip") {
                Self::Gzip
            } else if is("br") {
                Self::Brotli
            } else if is("zstd") {
                Self::Zstd
            } else {
                return None;
            };
            if std::mem::replace(&mut found, coding) != Self::Identity {
                return None;
            }
        }
        Some(found)
    }
}

/// Why a body can't be decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Undecodable {
    /// It is not what it says.
    Broken,
    /// It is longer than the limit.
    TooLong,
    /// The core's buffers are used up.
    Exhausted,
}

/// Most of what comes out of one step, in bytes.
const STEP_BYTES: usize = 16 * 1024;

/// Most of gzip and of brotli that goes into one step, in bytes: what comes out of empty members
/// and blocks is nothing, however many there are.
const STEP_INPUT_BYTES: usize = 4 * 1024;

/// Largest window of a zstd frame, in bytes.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// Memory of a decoder, in bytes, as it is counted: the largest window that one may have.
pub(crate) const DECODER_BYTES: usize = 16 << 20;

/// A body of which one step reads a part.
pub(crate) struct Portion<'b> {
    rest: &'b [u8],
    /// What this step may still read, in bytes.
    left: usize,
}

impl Read for Portion<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Portion<'_> {
    /// Empty at the end of the body alone.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 && !self.rest.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = self.left.min(self.rest.len());
        Ok(self.rest.get(..length).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
        self.left = self.left.saturating_sub(count);
    }
}

/// Decodes one body. Memory beside what comes out: at most [`DECODER_BYTES`].
pub(crate) enum Decoder<'b> {
    /// As it is.
    Identity(&'b [u8]),
    /// Gzip, of one member or more.
    Gzip(Box<MultiGzDecoder<Portion<'b>>>),
    /// Brotli.
    Brotli(Box<Decompressor<Portion<'b>>>),
    /// Zstandard, of one frame or more: the frame that it is at, and what of the body is left.
    Zstd(Box<FrameDecoder>, &'b [u8]),
}

impl<'b> Decoder<'b> {
    /// A decoder of this body.
    ///
    /// # Errors
    /// It does not begin as it must.
    pub(crate) fn new(coding: Coding, mut body: &'b [u8]) -> Result<Self, Undecodable> {
        let portion = Portion { rest: body, left: 0 };
        Ok(match coding {
            Coding::Identity => Self::Identity(body),
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(portion))),
            Coding::Brotli => Self::Brotli(Box::new(Decompressor::new(portion, STEP_INPUT_BYTES))),
            Coding::Zstd => Self::Zstd(frame(&mut body)?, body),
        })
    }

    /// Decodes the next part into `into`; `true` at the end. It reads at most 4 KiB of gzip or
    /// brotli, or one block of zstd (128 KiB).
    ///
    /// # Errors
    /// It can't be decoded, or is longer than `bytes_max`.
    pub(crate) fn step(
        &mut self,
        pool: &Pool,
        into: &mut Gathered,
        bytes_max: usize,
    ) -> Result<bool, Undecodable> {
        let mut part = [0; STEP_BYTES];
        let count = match self.read(&mut part) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(_) => return Err(Undecodable::Broken),
        };
        if into.len().saturating_add(count) > bytes_max {
            return Err(Undecodable::TooLong);
        }
        into.push(pool, part.get(..count).unwrap_or_default())
            .map_err(|_| Undecodable::Exhausted)?;
        if count > 0 {
            return Ok(false);
        }
        let Self::Zstd(decoder, rest) = self else { return Ok(true) };
        if decoder.is_finished() {
            if rest.is_empty() {
                return Ok(true);
            }
            *decoder = frame(rest)?;
        }
        Ok(false)
    }

    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Identity(body) => body.read(part),
            Self::Gzip(decoder) => {
                decoder.get_mut().left = STEP_INPUT_BYTES;
                decoder.read(part)
            }
            Self::Brotli(decoder) => {
                decoder.get_mut().left = STEP_INPUT_BYTES;
                decoder.read(part)
            }
            Self::Zstd(decoder, rest) => {
                if decoder.can_collect() == 0 && !decoder.is_finished() {
                    let one = BlockDecodingStrategy::UptoBlocks(1);
                    // Whatever it is, it is no reason to come again.
                    decoder.decode_blocks(rest, one).map_err(|_| ErrorKind::InvalidData)?;
                }
                decoder.read(part)
            }
        }
    }
}

/// The next frame of what is left.
fn frame(rest: &mut &[u8]) -> Result<Box<FrameDecoder>, Undecodable> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW_BYTES_MAX);
    decoder.init(rest).map_err(|_| Undecodable::Broken)?;
    Ok(Box::new(decoder))
}

#[cfg(test)]
pub(crate) mod tests;
