//! How the body of a value goes on whose front alone decides.

use crate::rule::{RUN_BYTES_MAX, Run};

/// A run that may go on with the next byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenRun {
    run: Run,
    bytes_left: usize,
    line: Line,
}

/// Where in a PEM block it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Line {
    Body,
    /// So many dashes before `END`.
    Dashes(u8),
    /// In `END … KEY`.
    Label,
    /// So many dashes behind it.
    Closing(u8),
}

/// Dashes on either side of a label (RFC 7468 section 3).
const DASHES: u8 = 5;

impl OpenRun {
    pub(crate) fn new(run: Run) -> Self {
        Self { run, bytes_left: RUN_BYTES_MAX, line: Line::Body }
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
            Run::Pem => part.iter().take_while(|byte| self.line.goes_on(**byte)).count(),
        };
        self.bytes_left = self.bytes_left.saturating_sub(taken);
        taken
    }
}

impl Line {
    fn goes_on(&mut self, byte: u8) -> bool {
        let next = match (*self, byte) {
            (Self::Body, b'-') => Self::Dashes(1),
            (Self::Body, byte) if is_body(byte) => Self::Body,
            (Self::Dashes(count), b'-') if count < DASHES => Self::Dashes(count.saturating_add(1)),
            (Self::Dashes(DASHES) | Self::Label, b' ' | b'A'..=b'Z' | b'0'..=b'9') => Self::Label,
            (Self::Label, b'-') => Self::Closing(1),
            (Self::Closing(count), b'-') if count < DASHES => {
                Self::Closing(count.saturating_add(1))
            }
            (Self::Body | Self::Dashes(_) | Self::Label | Self::Closing(_), _) => return false,
        };
        *self = next;
        true
    }
}

/// Base64 in lines, also with their ends written out.
fn is_body(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'+' | b'/' | b'=' | b'\r' | b'\n' | b' ' | b'\t' | b'\\')
}
