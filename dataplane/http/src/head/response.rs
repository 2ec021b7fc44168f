//! An upstream's response head (RFC 9112 sections 4 to 6). An upstream is not trusted more than a
//! caller: a response with two readings would hand one caller's answer to another.

use super::lines::{agree, end_of_head, record, slots};
use super::{HeadLimits, Header, ResponseError, Version};
use super::{Named, values_of};
use crate::fields::passes_down;
use crate::framing::{Collected, Framing};

/// How a response's body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body: an answer to HEAD, 1xx, 204 or 304, whatever its fields announce.
    #[default]
    None,
    /// That many bytes; may be 0.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// The body ends with the connection.
    UntilClose,
}

/// A response's head as spans into the bytes that were parsed; used again like
/// [`super::RequestHead`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// 100 to 599, never 101.
    pub status: u16,
    /// The version.
    pub version: Version,
    /// All fields in order, framing fields included.
    pub headers: Vec<Header>,
    /// How the body ends.
    pub framing: ResponseFraming,
    /// Whether the connection may serve another request once the body is over: HTTP/1.1, a body
    /// with an end of its own, no `Connection: close`, and no body announced where none may follow.
    pub keep_alive: bool,
}

impl ResponseHead {
    /// An empty one, to parse into.
    pub fn new() -> Self {
        Self::default()
    }

    /// Values of all fields of that name, in order; `head` is what was parsed.
    pub fn find<'h>(
        &self,
        head: &'h [u8],
        lower_case_name: &str,
    ) -> impl Iterator<Item = &'h [u8]> {
        values_of(&self.headers, head, lower_case_name)
    }

    /// Name and value of the fields that go to the caller: those that [`passes_down`] lets through
    /// and that no `Connection` field names.
    pub fn passing_down<'h>(&self, head: &'h [u8]) -> impl Iterator<Item = (&'h [u8], &'h [u8])> {
        let named = Named::collect(&self.headers, head);
        self.headers.iter().filter_map(move |header| {
            let name = header.name.of(head);
            let passes = passes_down(name) && !named.has(name);
            passes.then(|| (name, header.value.of(head)))
        })
    }

    /// Everything that status and fields say together.
    fn settle(
        &mut self,
        to_head_request: bool,
        fields: &Collected<'_>,
    ) -> Result<(), ResponseError> {
        // Checked also where no body follows: nonsense there is nonsense.
        let framing = fields.framing(self.version)?;
        let mut unfinished = false;
        self.framing = match (self.status, framing) {
            (101, _) => return Err(ResponseError::UnexpectedUpgrade),
            (100..=199, _) if fields.announces_body() => return Err(ResponseError::InterimBody),
            (100..=199, _) => ResponseFraming::None,
            (204, Framing::Length(1..) | Framing::Chunked) => {
                unfinished = true;
                ResponseFraming::None
            }
            (204 | 304, _) => ResponseFraming::None,
            (200..=599, _) if to_head_request => ResponseFraming::None,
            (200..=599, Framing::None) => ResponseFraming::UntilClose,
            (200..=599, Framing::Length(length)) => ResponseFraming::Length(length),
            (200..=599, Framing::Chunked) => ResponseFraming::Chunked,
            (0..=99 | 600.., _) => return Err(ResponseError::Status),
        };
        self.keep_alive = self.version == Version::Http11
            && self.framing != ResponseFraming::UntilClose
            && !fields.close
            && !unfinished;
        Ok(())
    }
}

/// Parses the response head at the front of `bytes`.
///
/// `Ok(None)`: more bytes are needed. `Ok(Some(n))`: the first `n` bytes were the head. Interim
/// responses (1xx) come out as heads of their own without a body; bounding their number is the
/// caller's. It keeps no state: call it again with the bytes grown.
///
/// # Errors
/// As [`super::parse_request`], and 101; nothing of `bytes` may reach anybody then.
pub fn parse_response(
    bytes: &[u8],
    limits: &HeadLimits,
    to_head_request: bool,
    into: &mut ResponseHead,
) -> Result<Option<usize>, ResponseError> {
    into.headers.clear();
    let Some(length) = end_of_head(bytes, limits)? else { return Ok(None) };
    let head = bytes.get(..length).unwrap_or_default();

    let mut slots = slots();
    let mut tokens = httparse::Response::new(&mut []);
    let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut tokens,
        head,
        &mut slots,
    );
    agree(outcome, length)?;
    into.status = tokens.code.unwrap_or_default();
    into.version = if tokens.version == Some(1) { Version::Http11 } else { Version::Http10 };
    let fields = record(bytes, tokens.headers, &mut into.headers)?;
    into.settle(to_head_request, &fields)?;
    Ok(Some(length))
}

#[cfg(test)]
mod tests;
