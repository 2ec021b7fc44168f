//! Bodies that came encoded although nobody asked for it (RFC 9110 section 8.4): decoded step by
//! step, up to a limit, so that they can be masked.

use std::io::{self, Read as _};

use brotli_decompressor::Decompressor;
use flate2::bufread::MultiGzDecoder;
use penstock_reactor::buffer::Pool;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

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

/// Largest window of a zstd frame, in bytes.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// Memory of a decoder, in bytes, as it is counted: the largest window that one may have.
pub(crate) const DECODER_BYTES: usize = 16 << 20;

/// Decodes one body. Memory beside what comes out: at most [`DECODER_BYTES`].
pub(crate) enum Decoder<'b> {
    /// As it is.
    Identity(&'b [u8]),
    /// Gzip, of one member or more.
    Gzip(Box<MultiGzDecoder<&'b [u8]>>),
    /// Brotli.
    Brotli(Box<Decompressor<&'b [u8]>>),
    /// Zstandard, of one frame or more.
    Zstd(Box<StreamingDecoder<&'b [u8], FrameDecoder>>),
}

impl<'b> Decoder<'b> {
    /// A decoder of this body.
    ///
    /// # Errors
    /// It does not begin as it must.
    pub(crate) fn new(coding: Coding, body: &'b [u8]) -> Result<Self, Undecodable> {
        Ok(match coding {
            Coding::Identity => Self::Identity(body),
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(body))),
            Coding::Brotli => Self::Brotli(Box::new(Decompressor::new(body, 4_096))),
            Coding::Zstd => Self::Zstd(frame(body)?),
        })
    }

    /// Decodes the next part into `into`; `true` at the end.
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
        let count = self.read(&mut part).map_err(|_| Undecodable::Broken)?;
        if into.len().saturating_add(count) > bytes_max {
            return Err(Undecodable::TooLong);
        }
        into.push(pool, part.get(..count).unwrap_or_default())
            .map_err(|_| Undecodable::Exhausted)?;
        if count > 0 {
            return Ok(false);
        }
        let Self::Zstd(decoder) = self else { return Ok(true) };
        let rest: &'b [u8] = decoder.get_ref();
        if rest.is_empty() {
            return Ok(true);
        }
        *decoder = frame(rest)?;
        Ok(false)
    }

    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Identity(body) => body.read(part),
            Self::Gzip(decoder) => decoder.read(part),
            Self::Brotli(decoder) => decoder.read(part),
            Self::Zstd(decoder) => decoder.read(part),
        }
    }
}

fn frame(body: &[u8]) -> Result<Box<StreamingDecoder<&[u8], FrameDecoder>>, Undecodable> {
    let decoder = StreamingDecoder::new_with_max_window_size(body, WINDOW_BYTES_MAX);
    decoder.map(Box::new).map_err(|_| Undecodable::Broken)
}

#[cfg(test)]
pub(crate) mod tests;
