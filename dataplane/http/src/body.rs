//! Which bytes are body. The decoder looks at the front of what has come and says what it is; it
//! never copies and can go on at any split.

use crate::chunk::ChunkedDecoder;
use crate::framing::Framing;
use crate::head::ResponseFraming;

/// What the front of the bytes is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// So many bytes (at least 1) of framing: drop them. Incomplete lines are absorbed too.
    Skip(usize),
    /// So many bytes (at least 1) of body.
    Data(usize),
    /// The body is over; nothing of the bytes belongs to it.
    Done,
    /// The body goes on and the bytes were empty.
    NeedMore,
}

/// Why a body is refused. No later byte of the connection may be read after it; where the head is
/// out already, the other side is reset, never ended cleanly.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", self.text())]
pub enum BodyError {
    /// Not `1*HEXDIG` directly followed by an extension or CR LF (RFC 9112 section 7.1).
    BadChunkSize,
    /// Above 2^40 bytes, or more than 16 digits.
    ChunkTooLarge,
    /// Not the grammar of RFC 9112 section 7.1.1.
    BadExtension,
    /// A size line above 256 bytes.
    ChunkLineTooLong,
    /// More than 16 KiB of extensions in one body.
    ExtensionsTooLarge,
    /// Something else than CR LF behind a chunk's data.
    BadChunkEnd,
    /// A trailer field that is malformed; folds and bare line ends included.
    BadTrailer,
    /// More than 100 trailer fields or 64 KiB of them.
    TrailersTooLarge,
    /// The peer ended its side before the body was over.
    Truncated,
}

impl BodyError {
    /// The error in words; never bytes that came.
    pub fn text(self) -> &'static str {
        match self {
            Self::BadChunkSize => "a chunk size is malformed",
            Self::ChunkTooLarge => "a chunk is too large",
            Self::BadExtension => "a chunk extension is malformed",
            Self::ChunkLineTooLong => "a chunk size line is too long",
            Self::ExtensionsTooLarge => "too many chunk extensions",
            Self::BadChunkEnd => "a chunk does not end where its size says",
            Self::BadTrailer => "a trailer field is malformed",
            Self::TrailersTooLarge => "the trailer section is too large",
            Self::Truncated => "the body ends too early",
        }
    }

    /// The status that refuses a request; for a response it is always 502.
    pub fn status(self) -> u16 {
        match self {
            Self::ChunkTooLarge | Self::ChunkLineTooLong | Self::ExtensionsTooLarge => 413,
            Self::TrailersTooLarge => 431,
            Self::BadChunkSize
            | Self::BadExtension
            | Self::BadChunkEnd
            | Self::BadTrailer
            | Self::Truncated => 400,
        }
    }

    /// Whether two recipients could end the body at two places.
    pub fn is_ambiguous(self) -> bool {
        match self {
            Self::BadChunkSize | Self::BadExtension | Self::BadChunkEnd | Self::BadTrailer => true,
            Self::ChunkTooLarge
            | Self::ChunkLineTooLong
            | Self::ExtensionsTooLarge
            | Self::TrailersTooLarge
            | Self::Truncated => false,
        }
    }
}

/// Decodes one body.
#[derive(Clone, Debug)]
pub enum BodyDecoder {
    /// No body.
    Empty,
    /// So many bytes are still to come.
    Length(u64),
    /// The chunked coding.
    Chunked(ChunkedDecoder),
    /// All that comes, until the peer ends its side.
    UntilClose {
        /// It has.
        ended: bool,
    },
}

impl BodyDecoder {
    /// For a request's body.
    pub fn request(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Empty,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(ChunkedDecoder::default()),
        }
    }

    /// For a response's body.
    pub fn response(framing: ResponseFraming) -> Self {
        match framing {
            ResponseFraming::None => Self::Empty,
            ResponseFraming::Length(length) => Self::Length(length),
            ResponseFraming::Chunked => Self::Chunked(ChunkedDecoder::default()),
            ResponseFraming::UntilClose => Self::UntilClose { ended: false },
        }
    }

    /// Says what the front of `bytes` is, and counts it as consumed: the caller goes on behind the
    /// `Skip` or `Data`. Work is linear in what is consumed.
    ///
    /// # Errors
    /// Only the chunked coding has any; the same error comes again for whatever follows.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Step, BodyError> {
        match self {
            Self::Empty | Self::Length(0) | Self::UntilClose { ended: true } => Ok(Step::Done),
            Self::Chunked(chunked) => chunked.decode(bytes),
            Self::Length(_) | Self::UntilClose { ended: false } if bytes.is_empty() => {
                Ok(Step::NeedMore)
            }
            Self::Length(left) => Ok(Step::Data(take(left, bytes.len()))),
            Self::UntilClose { ended: false } => Ok(Step::Data(bytes.len())),
        }
    }

    /// The peer has ended its side.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] unless the body was over, or ends in just this way.
    pub fn finish(&mut self) -> Result<(), BodyError> {
        if let Self::UntilClose { ended } = self {
            *ended = true;
        }
        if self.is_done() { Ok(()) } else { Err(BodyError::Truncated) }
    }

    /// Whether the body is over.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
            Self::UntilClose { ended } => *ended,
        }
    }

    /// Bytes of body still to come, where they are known.
    pub fn remaining_length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose { .. } => None,
        }
    }
}

/// Takes up to `available` bytes off what is left, and says how many.
pub(crate) fn take(left: &mut u64, available: usize) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
    *left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
    taken
}

#[cfg(test)]
mod tests {
    use super::{BodyDecoder, BodyError, Step};
    use crate::framing::Framing;
    use crate::head::ResponseFraming;

    #[test]
    fn a_body_of_a_known_length_ends_at_its_last_byte_and_not_behind_it() {
        let mut body = BodyDecoder::request(Framing::Length(5));
        assert_eq!(body.decode(b""), Ok(Step::NeedMore));
        assert_eq!(body.decode(b"he"), Ok(Step::Data(2)));
        assert_eq!(body.remaining_length(), Some(3));
        assert!(!body.is_done());
        assert_eq!(body.decode(b"lloGET / HTTP/1.1"), Ok(Step::Data(3)));
        assert!(body.is_done());
        assert_eq!(body.decode(b"GET / HTTP/1.1"), Ok(Step::Done));
        assert_eq!(body.finish(), Ok(()));
    }

    #[test]
    fn no_body_and_a_length_of_zero_are_done_at_once() {
        for framing in [Framing::None, Framing::Length(0)] {
            let mut body = BodyDecoder::request(framing);
            assert!(body.is_done());
            assert_eq!(body.decode(b""), Ok(Step::Done));
            assert_eq!(body.decode(b"x"), Ok(Step::Done));
        }
        assert!(BodyDecoder::response(ResponseFraming::None).is_done());
    }

    #[test]
    fn a_body_that_ends_with_the_connection_is_whole_only_then() {
        let mut body = BodyDecoder::response(ResponseFraming::UntilClose);
        assert_eq!(body.decode(b"abc"), Ok(Step::Data(3)));
        assert_eq!(body.remaining_length(), None);
        assert!(!body.is_done());
        assert_eq!(body.finish(), Ok(()));
        assert!(body.is_done());
        assert_eq!(body.decode(b"abc"), Ok(Step::Done));
    }

    #[test]
    fn a_peer_that_ends_early_leaves_a_truncated_body() {
        let mut length = BodyDecoder::response(ResponseFraming::Length(3));
        assert_eq!(length.decode(b"ab"), Ok(Step::Data(2)));
        assert_eq!(length.finish(), Err(BodyError::Truncated));

        let mut chunked = BodyDecoder::response(ResponseFraming::Chunked);
        assert_eq!(chunked.decode(b"2\r\n"), Ok(Step::Skip(3)));
        assert_eq!(chunked.decode(b"ab"), Ok(Step::Data(2)));
        assert_eq!(chunked.decode(b"\r\n0\r\n"), Ok(Step::Skip(5)));
        assert_eq!(chunked.finish(), Err(BodyError::Truncated));
    }
}
