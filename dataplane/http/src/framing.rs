//! Fields that say where a message ends and who reads it, collected from one head. Law: they are
//! consumed here; no rewriting code ever sees or writes them (RFC 9112 section 6).

use crate::head::Version;
use crate::text::{is_token, list};

/// Elements of all `Connection` fields of one head together, empty ones included. A client sends
/// one or two; each is compared with every field that goes on.
pub(crate) const CONNECTION_ELEMENTS_MAX: usize = 32;

/// How a request's body is delimited.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Framing {
    /// Neither length nor coding: no body.
    #[default]
    None,
    /// That many bytes; may be 0.
    Length(u64),
    /// The chunked coding.
    Chunked,
}

/// Why the framing of a message is refused, in either direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", self.text())]
pub enum FramingError {
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 section 6.3 item 3).
    BothLengths,
    /// A second `Content-Length`, or a list in one; refused also when all are equal.
    RepeatedLength,
    /// Not digits only: empty, signed, hexadecimal, quoted, with white space inside.
    BadLength,
    /// Digits, but above 2^63 - 1.
    LengthTooLarge,
    /// A second `Transfer-Encoding`.
    RepeatedCoding,
    /// Not a list of codings in which `chunked` stands at most once, and last.
    BadCoding,
    /// A coding other than `chunked`.
    UnsupportedCoding,
    /// A transfer coding in HTTP/1.0, which has none (RFC 9112 section 6.1).
    CodingInHttp10,
    /// `Connection` is not a list of field names.
    BadConnection,
    /// More than 32 elements in all `Connection` fields together.
    LongConnection,
    /// `Connection` names a field that the gateway itself reads or writes.
    ProtectedField,
    /// A second `Content-Type` or `Content-Encoding`: two readings of one body.
    RepeatedContentField,
}

impl FramingError {
    /// The error in words; never bytes that came.
    pub fn text(self) -> &'static str {
        match self {
            Self::BothLengths => "content-length and transfer-encoding in one head",
            Self::RepeatedLength => "more than one content-length",
            Self::BadLength => "content-length is not a number",
            Self::LengthTooLarge => "content-length is too large",
            Self::RepeatedCoding => "more than one transfer-encoding",
            Self::BadCoding => "transfer-encoding cannot be read in one way only",
            Self::UnsupportedCoding => "transfer coding is not supported",
            Self::CodingInHttp10 => "transfer-encoding in http/1.0",
            Self::BadConnection => "connection is not a list of names",
            Self::LongConnection => "connection has too many elements",
            Self::ProtectedField => "connection names a field that is not its to remove",
            Self::RepeatedContentField => "content-type or content-encoding more than once",
        }
    }

    /// The status that refuses a request.
    pub fn status(self) -> u16 {
        match self {
            Self::LengthTooLarge => 413,
            Self::UnsupportedCoding => 501,
            Self::BothLengths
            | Self::RepeatedLength
            | Self::BadLength
            | Self::RepeatedCoding
            | Self::BadCoding
            | Self::CodingInHttp10
            | Self::BadConnection
            | Self::LongConnection
            | Self::ProtectedField
            | Self::RepeatedContentField => 400,
        }
    }

    /// Whether two recipients could find two different messages in the same bytes.
    pub fn is_ambiguous(self) -> bool {
        match self {
            Self::BothLengths
            | Self::RepeatedLength
            | Self::RepeatedCoding
            | Self::BadCoding
            | Self::CodingInHttp10
            | Self::ProtectedField
            | Self::RepeatedContentField => true,
            Self::BadLength
            | Self::LengthTooLarge
            | Self::UnsupportedCoding
            | Self::BadConnection
            | Self::LongConnection => false,
        }
    }
}

/// A field that may stand once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Once<'h> {
    #[default]
    Absent,
    One(&'h [u8]),
    Many,
}

impl<'h> Once<'h> {
    fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Self::Absent => Self::One(value),
            Self::One(_) | Self::Many => Self::Many,
        };
    }
}

/// The fields of one head that its framing and its reading depend on.
#[derive(Debug, Default)]
pub(crate) struct Collected<'h> {
    pub(crate) host: Once<'h>,
    pub(crate) expect: Once<'h>,
    length: Once<'h>,
    coding: Once<'h>,
    content_type: Once<'h>,
    content_encoding: Once<'h>,
    /// `Connection: close` stood there.
    pub(crate) close: bool,
    /// Elements of all `Connection` fields so far.
    connection_elements: usize,
}

impl<'h> Collected<'h> {
    /// Takes note of one field.
    pub(crate) fn add(&mut self, name: &str, value: &'h [u8]) -> Result<(), FramingError> {
        let slot = match name.len() {
            4 if name.eq_ignore_ascii_case("host") => &mut self.host,
            6 if name.eq_ignore_ascii_case("expect") => &mut self.expect,
            10 if name.eq_ignore_ascii_case("connection") => return self.add_connection(value),
            12 if name.eq_ignore_ascii_case("content-type") => &mut self.content_type,
            14 if name.eq_ignore_ascii_case("content-length") => &mut self.length,
            16 if name.eq_ignore_ascii_case("content-encoding") => &mut self.content_encoding,
            17 if name.eq_ignore_ascii_case("transfer-encoding") => &mut self.coding,
            _ => return Ok(()),
        };
        slot.add(value);
        Ok(())
    }

    /// Empty elements are legal in a list (RFC 9110 section 5.6.1.2).
    fn add_connection(&mut self, value: &[u8]) -> Result<(), FramingError> {
        for element in list(value) {
            self.connection_elements = self.connection_elements.saturating_add(1);
            if self.connection_elements > CONNECTION_ELEMENTS_MAX {
                return Err(FramingError::LongConnection);
            }
            if element.is_empty() {
                continue;
            }
            if !is_token(element) {
                return Err(FramingError::BadConnection);
            }
            if is_protected(element) {
                return Err(FramingError::ProtectedField);
            }
            self.close |= element.eq_ignore_ascii_case(b"close");
        }
        Ok(())
    }

    /// Whether any body is announced, whatever the status or method makes of it.
    pub(crate) fn announces_body(&self) -> bool {
        !matches!((self.length, self.coding), (Once::Absent, Once::Absent))
    }

    /// The one reading of length and coding, or none.
    pub(crate) fn framing(&self, version: Version) -> Result<Framing, FramingError> {
        if matches!((self.content_type, self.content_encoding), (Once::Many, _) | (_, Once::Many)) {
            return Err(FramingError::RepeatedContentField);
        }
        match (self.length, self.coding) {
            (Once::Absent, Once::Absent) => Ok(Framing::None),
            (Once::One(length), Once::Absent) => content_length(length).map(Framing::Length),
            (Once::Many, Once::Absent) => Err(FramingError::RepeatedLength),
            (Once::One(_) | Once::Many, Once::One(_) | Once::Many) => {
                Err(FramingError::BothLengths)
            }
            (Once::Absent, Once::One(_) | Once::Many) if version == Version::Http10 => {
                Err(FramingError::CodingInHttp10)
            }
            (Once::Absent, Once::One(coding)) => transfer_coding(coding),
            (Once::Absent, Once::Many) => Err(FramingError::RepeatedCoding),
        }
    }
}

/// Fields that `Connection` may not name: framing, what the caller proves itself with, and what a
/// decision reads (RFC 9110 section 7.6.1 forbids naming end-to-end fields).
fn is_protected(name: &[u8]) -> bool {
    const PROTECTED: [&str; 8] = [
        "host",
        "expect",
        "content-length",
        "transfer-encoding",
        "content-type",
        "content-encoding",
        "authorization",
        "x-api-key",
    ];
    PROTECTED.iter().any(|protected| name.eq_ignore_ascii_case(protected.as_bytes()))
        || name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"penstock-"))
}

/// `1*DIGIT` (RFC 9110 section 8.6). Digits are checked first: `str::parse` alone takes `+5`.
fn content_length(value: &[u8]) -> Result<u64, FramingError> {
    if value.contains(&b',') {
        return Err(FramingError::RepeatedLength);
    }
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(FramingError::BadLength);
    }
    // 2^63 - 1: a peer that counts in signed numbers reads the same.
    let length = str::from_utf8(value).ok().and_then(|digits| digits.parse::<i64>().ok());
    length.and_then(|length| u64::try_from(length).ok()).ok_or(FramingError::LengthTooLarge)
}

/// Exactly `chunked`. The rest is refused in two ways: codings that we do not have (501), and lists
/// that no two recipients must read alike (RFC 9112 section 6.1, 6.3 item 4).
fn transfer_coding(value: &[u8]) -> Result<Framing, FramingError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let last = list(value).last().unwrap_or_default();
    let chunked = list(value).filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count();
    let in_order = chunked == 0 || (chunked == 1 && last.eq_ignore_ascii_case(b"chunked"));
    if in_order && list(value).all(is_token) {
        Err(FramingError::UnsupportedCoding)
    } else {
        Err(FramingError::BadCoding)
    }
}
