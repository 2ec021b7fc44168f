//! The end of a head and the laws of its lines. `httparse` takes a bare line feed for a line end
//! and any number of empty lines before a head; this scan, which runs first, does not.

use super::{HeadLimits, Header, Span, SyntaxError};
use crate::framing::Collected;
use std::mem::MaybeUninit;

/// The most fields a head can have, whatever the limits say: the tokenizer's slots stand on the
/// stack (8 KiB).
pub const HEADER_COUNT_CAP: usize = 256;

/// Slots for the tokenizer; they are only written as far as there are fields.
pub(super) type Slots<'b> = [MaybeUninit<httparse::Header<'b>>; HEADER_COUNT_CAP];

/// Room for one head.
pub(super) fn slots<'b>() -> Slots<'b> {
    [const { MaybeUninit::uninit() }; HEADER_COUNT_CAP]
}

/// The length of the head that starts at the first byte; none while its empty line has not come.
///
/// Every refusal here is already certain from a prefix, so a head is refused as soon as the first
/// wrong line is complete. One pass of SIMD search; the number of lines is bounded.
pub(super) fn end_of_head(bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, SyntaxError> {
    let window = bytes.get(..limits.head_bytes_max).unwrap_or(bytes);
    let lines_max = limits.header_count_max.min(HEADER_COUNT_CAP).saturating_add(1);
    let mut line_start = 0;
    let mut lines: usize = 0;
    for line_feed in memchr::memchr_iter(b'\n', window) {
        let line = window.get(line_start..line_feed).unwrap_or_default();
        let Some((b'\r', text)) = line.split_last() else {
            return Err(SyntaxError::BareLineFeed);
        };
        line_start = line_feed.saturating_add(1);
        match text.first() {
            None if lines == 0 => return Err(SyntaxError::EmptyLine),
            None => return Ok(Some(line_start)),
            Some(b' ' | b'\t') => return Err(SyntaxError::FoldedLine),
            Some(_) => lines = lines.saturating_add(1),
        }
        if lines > lines_max {
            return Err(SyntaxError::TooManyFields);
        }
    }
    if bytes.len() >= limits.head_bytes_max {
        return Err(SyntaxError::HeadTooLarge);
    }
    Ok(None)
}

/// Keeps the spans of all fields and collects those that framing depends on.
pub(super) fn record<'h>(
    whole: &'h [u8],
    fields: &[httparse::Header<'h>],
    headers: &mut Vec<Header>,
) -> Result<Collected<'h>, crate::framing::FramingError> {
    let mut collected = Collected::default();
    for field in fields {
        headers.push(Header {
            name: Span::locate(whole, field.name.as_bytes()),
            value: Span::locate(whole, field.value),
        });
        collected.add(field.name, field.value)?;
    }
    Ok(collected)
}

/// What the tokenizer says of a head whose end is known: it must end there for both.
pub(super) fn agree(outcome: httparse::Result<usize>, expected: usize) -> Result<(), SyntaxError> {
    match outcome {
        Ok(httparse::Status::Complete(length)) if length == expected => Ok(()),
        Ok(httparse::Status::Complete(_) | httparse::Status::Partial) => Err(SyntaxError::LineEnd),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::agree;
    use crate::head::SyntaxError;
    use httparse::Status;

    #[test]
    fn a_head_that_ends_elsewhere_for_the_tokenizer_is_refused() {
        assert_eq!(agree(Ok(Status::Complete(9)), 9), Ok(()));
        for outcome in [Status::Complete(8), Status::Complete(10), Status::Partial] {
            assert_eq!(agree(Ok(outcome), 9), Err(SyntaxError::LineEnd));
        }
    }
}
