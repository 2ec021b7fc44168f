//! Where an answer's body ends: by length, by chunks (RFC 9112 section 7.1), or with the
//! connection. Written anew here, so that a gateway's mistake is not hidden by the same mistake in
//! its witness.

use super::failure::Failure;

/// Largest chunk, in bytes.
const CHUNK_BYTES_MAX: u64 = 1 << 40;
/// Longest chunk extension or trailer line, in bytes.
const LINE_BYTES_MAX: usize = 16 << 10;

/// How a body is framed, and how far it has been read.
#[derive(Debug, PartialEq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

#[derive(Debug, PartialEq)]
pub(super) enum Chunked {
    /// In the size: its value, and how many digits it had.
    Size(u64, u8),
    /// After the size, up to the line's end.
    Extension(u64, usize),
    Data(u64),
    /// Between the data and the next size: how many bytes of CR LF were seen.
    DataEnd(u8),
    /// After the last chunk: bytes in this line, in all lines.
    Trailer(usize, usize),
    Done,
}

impl Framing {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked::Size(0, 0))
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Done))
    }

    /// Hands the body's bytes in `input` to `sink`. Returns how many bytes of the input belong to
    /// this answer: all of them, as long as it is not done.
    pub(super) fn feed(
        &mut self,
        input: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        match self {
            Self::UntilClose => sink(input).map(|()| input.len()),
            Self::Length(left) => {
                let here = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= here as u64;
                sink(&input[..here]).map(|()| here)
            }
            Self::Chunked(chunked) => {
                let mut at = 0;
                while at < input.len() && *chunked != Chunked::Done {
                    at += chunked.step(&input[at..], &mut sink)?;
                }
                Ok(at)
            }
        }
    }
}

impl Chunked {
    /// One step over an input that is not empty; returns how many bytes it took.
    fn step(
        &mut self,
        input: &[u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let byte = input[0];
        *self = match *self {
            Self::Data(left) => {
                let here = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                sink(&input[..here])?;
                let left = left - here as u64;
                *self = if left == 0 { Self::DataEnd(0) } else { Self::Data(left) };
                return Ok(here);
            }
            Self::Size(size, digits) => match (char::from(byte).to_digit(16), digits) {
                (Some(digit), 0..16) if size < CHUNK_BYTES_MAX => {
                    Self::Size(size * 16 + u64::from(digit), digits + 1)
                }
                (None, 1..) if byte == b'\r' || byte == b';' => Self::Extension(size, 0),
                _ => return Err(Failure::Malformed),
            },
            Self::Extension(0, _) if byte == b'\n' => Self::Trailer(0, 0),
            Self::Extension(size, _) if byte == b'\n' => Self::Data(size),
            Self::Extension(size, length) if length < LINE_BYTES_MAX => {
                Self::Extension(size, length + 1)
            }
            Self::DataEnd(0) if byte == b'\r' => Self::DataEnd(1),
            Self::DataEnd(1) if byte == b'\n' => Self::Size(0, 0),
            Self::Trailer(0, _) if byte == b'\n' => Self::Done,
            Self::Trailer(_, all) if byte == b'\n' => Self::Trailer(0, all),
            Self::Trailer(line, all) if byte == b'\r' => Self::Trailer(line, all),
            Self::Trailer(line, all) if all < LINE_BYTES_MAX => Self::Trailer(line + 1, all + 1),
            _ => return Err(Failure::Malformed),
        };
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"5;a=b\r\nhello\r\nb\r\n, wide\r\nwor\r\n2\r\nld\r\n0\r\nx: y\r\n\r\n";

    fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Failure> {
        let mut framing = Framing::chunked();
        let mut body = Vec::new();
        for piece in pieces {
            let taken = framing.feed(piece, |bytes| {
                body.extend_from_slice(bytes);
                Ok(())
            })?;
            assert_eq!(taken, piece.len());
        }
        Ok((body, framing.is_done()))
    }

    #[test]
    fn a_chunked_body_is_the_same_however_it_is_cut() {
        for cut in 0..BODY.len() {
            let (head, tail) = BODY.split_at(cut);
            let (body, done) = read(&[head, tail]).unwrap();
            assert_eq!((body.as_slice(), done), (&b"hello, wide\r\nworld"[..], true), "{cut}");
        }
    }

    #[test]
    fn a_body_without_its_last_chunk_is_not_done() {
        assert_eq!(read(&[&BODY[..BODY.len() - 1]]).map(|(_, done)| done), Ok(false));
    }

    #[test]
    fn bytes_after_an_answer_do_not_belong_to_it() {
        let mut framing = Framing::Length(3);
        assert_eq!(framing.feed(b"abcdef", |_| Ok(())), Ok(3));
        assert!(framing.is_done());
        let mut framing = Framing::chunked();
        assert_eq!(framing.feed(b"1\r\na\r\n0\r\n\r\nHTTP", |_| Ok(())), Ok(11));
        assert!(framing.is_done());
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bytes in [&b"\r\n"[..], b"g\r\n", b"-1\r\n", b"1\r\nab", b"fffffffffffffffff\r\n"] {
            assert_eq!(read(&[bytes]), Err(Failure::Malformed), "{bytes:?}");
        }
    }
}
