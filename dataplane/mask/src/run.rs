//! How the body of a value goes on whose front alone decides.

use crate::rule::{RUN_BYTES_MAX, Run};

/// A run that may go on with the next byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenRun {
    run: Run,
    bytes_left: usize,
    line: Line,
    /// Whether the lines of a PEM block may still be headers.
    has_headers: bool,
}

/// Where in a PEM block it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Line {
    /// At the beginning of a line, where a header may stand.
    Start,
    /// In what may be a header's name.
    Name,
    /// So many bytes behind a header's name.
    Header(u8),
    Body,
    /// Behind a backslash, which may begin the end of a line written out; in a header, with its
    /// bytes so far.
    Backslash(Option<u8>),
    /// So many dashes before `END`; with one, perhaps in a header's name.
    Dashes(u8),
    /// In `END … KEY`.
    Label,
    /// So many dashes behind it.
    Closing(u8),
}

/// Dashes on either side of a label (RFC 7468 section 3).
const DASHES: u8 = 5;

/// Longest header behind its name, in bytes: `DEK-Info` (RFC 1421 section 4.6) and `Version`
/// (RFC 4880 section 6.2) are shorter.
const HEADER_BYTES_MAX: u8 = 200;

impl OpenRun {
    pub(crate) fn new(run: Run) -> Self {
        Self { run, bytes_left: RUN_BYTES_MAX, line: Line::Body, has_headers: true }
    }

    /// Whether it takes what a later one of a kind takes as well.
    pub(crate) fn is_like(&self, run: Run) -> bool {
        self.run == run
    }

    /// How many bytes at the front of a text belong to it; with all of them it may go on.
    pub(crate) fn take(&mut self, text: &[u8]) -> usize {
        let most = text.len().min(self.bytes_left);
        let part = text.get(..most).unwrap_or_default();
        let taken = match self.run {
            Run::Class(set) => part.iter().take_while(|byte| set.has(**byte)).count(),
            Run::Pem => part.iter().take_while(|byte| self.goes_on(**byte)).count(),
        };
        self.bytes_left = self.bytes_left.saturating_sub(taken);
        taken
    }
}

impl OpenRun {
    /// Whether a byte is part of a PEM block.
    fn goes_on(&mut self, byte: u8) -> bool {
        let Some(next) = self.line.next(byte, self.has_headers) else { return false };
        // They stand before the first line of the body, or before an empty line.
        self.has_headers &= match (self.line, next) {
            (Line::Start, Line::Start) => byte != b'\n',
            (Line::Body, Line::Body) => byte.is_ascii_whitespace(),
            (Line::Backslash(None), Line::Body) => byte == b'r',
            (Line::Start | Line::Name | Line::Dashes(1), Line::Name)
            | (Line::Name, Line::Header(_) | Line::Dashes(1))
            | (Line::Body, Line::Start | Line::Backslash(_))
            | (Line::Header(_) | Line::Backslash(_), _) => true,
            _ => false,
        };
        self.line = next;
        true
    }
}

impl Line {
    fn next(self, byte: u8, has_headers: bool) -> Option<Self> {
        let end = if has_headers { Self::Start } else { Self::Body };
        let next = match (self, byte) {
            (Self::Start | Self::Name | Self::Header(_) | Self::Body, b'\n')
            | (Self::Backslash(_), b'n') => end,
            (Self::Start | Self::Name | Self::Body, b'\\') => Self::Backslash(None),
            (Self::Header(count), b'\\') => Self::Backslash(Some(count)),
            (Self::Header(count) | Self::Backslash(Some(count)), _) if count < HEADER_BYTES_MAX => {
                Self::Header(count.saturating_add(1))
            }
            (Self::Name, b':') => Self::Header(0),
            (Self::Start, b'\r' | b' ' | b'\t') => Self::Start,
            (Self::Start, b'a'..=b'z' | b'A'..=b'Z') if has_headers => Self::Name,
            (Self::Name | Self::Dashes(1), byte) if has_headers && byte.is_ascii_alphanumeric() => {
                Self::Name
            }
            (Self::Start | Self::Name | Self::Body | Self::Backslash(None), b'-') => {
                Self::Dashes(1)
            }
            (Self::Start | Self::Name | Self::Body | Self::Backslash(None), byte)
                if is_body(byte) =>
            {
                Self::Body
            }
            (Self::Dashes(count), b'-') if count < DASHES => Self::Dashes(count.saturating_add(1)),
            (Self::Dashes(DASHES) | Self::Label, b' ' | b'A'..=b'Z' | b'0'..=b'9') => Self::Label,
            (Self::Label, b'-') => Self::Closing(1),
            (Self::Closing(count), b'-') if count < DASHES => {
                Self::Closing(count.saturating_add(1))
            }
            _ => return None,
        };
        Some(next)
    }
}

/// Base64 in lines, also with their ends written out.
fn is_body(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'+' | b'/' | b'=' | b'\r' | b'\n' | b' ' | b'\t' | b'\\')
}
