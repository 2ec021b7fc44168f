//! Heads of requests and responses: `httparse` finds the tokens, everything that they mean is
//! decided here. A head that is not understood in exactly one way is an error, never repaired.

mod errors;
mod lines;
mod request;
mod response;

use crate::framing::CONNECTION_ELEMENTS_MAX;
pub use crate::framing::{Framing, FramingError};
pub use errors::{HeadError, ResponseError, SyntaxError};
pub use lines::HEADER_COUNT_CAP;
pub use request::{Form, Method, RequestHead, parse_request};
pub use response::{ResponseFraming, ResponseHead, parse_response};

/// Bounds of one head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head, its last empty line and one leading empty line included.
    pub head_bytes_max: usize,
    /// Fields; more than [`HEADER_COUNT_CAP`] counts as that.
    pub header_count_max: usize,
    /// Bytes of a request's target.
    pub target_bytes_max: usize,
}

/// A range of bytes in the slice that was parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset just behind the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes; empty where the span does not fit the slice.
    pub fn of<'b>(&self, head: &'b [u8]) -> &'b [u8] {
        head.get(self.start..self.end).unwrap_or_default()
    }

    /// Where `part`, a piece of `whole`, lies.
    fn locate(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        Self { start, end: start.saturating_add(part.len()) }
    }
}

/// One field, as it came; the value without white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// A token, in any case.
    pub name: Span,
    /// Bytes without controls; may be empty, may hold bytes from 0x80 on.
    pub value: Span,
}

/// The version of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no transfer codings, and the connection ends with the answer.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// Values of all fields of that name, in order.
fn values_of<'h>(headers: &[Header], head: &'h [u8], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.of(head).eq_ignore_ascii_case(name.as_bytes()))
        .map(|header| header.value.of(head))
}

/// The fields that the `Connection` fields of one head name: they end at this hop.
struct Named<'h> {
    /// The framing refuses a head with more.
    names: [&'h [u8]; CONNECTION_ELEMENTS_MAX],
}

impl<'h> Named<'h> {
    fn collect(headers: &[Header], head: &'h [u8]) -> Self {
        let mut names = [&[][..]; CONNECTION_ELEMENTS_MAX];
        let elements = values_of(headers, head, "connection").flat_map(crate::text::list);
        for (slot, element) in names.iter_mut().zip(elements) {
            *slot = element;
        }
        Self { names }
    }

    fn has(&self, name: &[u8]) -> bool {
        self.names.iter().any(|named| named.eq_ignore_ascii_case(name))
    }
}
