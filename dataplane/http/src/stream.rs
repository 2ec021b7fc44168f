//! Where a stream of events may be cut, and where the gateway may put an event of its own: just
//! behind a complete event. Nothing is parsed beyond line ends.

/// How a stream marks the end of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamKind {
    /// `text/event-stream`: an empty line; lines end in LF, CR LF or CR (HTML standard, 9.2.5).
    Sse,
    /// One JSON value a line; lines end in LF.
    Ndjson,
}

/// Follows one stream.
#[derive(Clone, Debug)]
pub struct Boundary {
    kind: StreamKind,
    /// The current line has no byte yet.
    line_is_empty: bool,
    /// The last byte was a CR, so that a LF would belong to it.
    after_carriage_return: bool,
    /// No byte has come since the last complete event.
    at_boundary: bool,
}

impl Boundary {
    /// At the start of a stream, which is a boundary.
    pub fn new(kind: StreamKind) -> Self {
        Self { kind, line_is_empty: true, after_carriage_return: false, at_boundary: true }
    }

    /// Whether every byte scanned so far belongs to a complete event: the stream may be cut here.
    pub fn is_at_boundary(&self) -> bool {
        self.at_boundary
    }

    /// Scans the next bytes of the stream; the offset just behind the last event that is complete
    /// in them, none where none is. An event that ends in CR is complete with it; the LF that may
    /// still follow belongs to that event.
    pub fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        let boundary = match self.kind {
            StreamKind::Sse => self.scan_sse(bytes),
            StreamKind::Ndjson => {
                memchr::memrchr(b'\n', bytes).map(|line_feed| line_feed.saturating_add(1))
            }
        };
        if !bytes.is_empty() {
            self.at_boundary = boundary == Some(bytes.len());
        }
        boundary
    }

    /// Scans the next bytes up to the end of the first event that is complete in them: the offset
    /// just behind it; none where none is. What stands behind it was not scanned. The LF of a CR LF
    /// whose CR came at the very end of earlier bytes, and completed an event, counts as an end of
    /// its own, at offset 1.
    pub fn first(&mut self, bytes: &[u8]) -> Option<usize> {
        let end = match self.kind {
            StreamKind::Sse => self.first_sse(bytes),
            StreamKind::Ndjson => {
                memchr::memchr(b'\n', bytes).map(|line_feed| line_feed.saturating_add(1))
            }
        };
        if !bytes.is_empty() {
            self.at_boundary = end.is_some();
        }
        end
    }

    fn first_sse(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut line_start = 0;
        for end in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            let is_line_feed = bytes.get(end) == Some(&b'\n');
            let has_text = end > line_start;
            let mut behind = end.saturating_add(1);
            line_start = behind;
            if is_line_feed && self.after_carriage_return && !has_text {
                // The second half of CR LF: no line of its own.
                self.after_carriage_return = false;
                if end == 0 && self.at_boundary {
                    return Some(behind);
                }
                continue;
            }
            let completes = self.line_is_empty && !has_text;
            self.line_is_empty = true;
            self.after_carriage_return = !is_line_feed;
            if completes {
                if self.after_carriage_return && bytes.get(behind) == Some(&b'\n') {
                    behind = behind.saturating_add(1);
                    self.after_carriage_return = false;
                }
                return Some(behind);
            }
        }
        if line_start < bytes.len() {
            self.line_is_empty = false;
            self.after_carriage_return = false;
        }
        None
    }

    fn scan_sse(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut boundary = None;
        let mut line_start = 0;
        for end in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            let is_line_feed = bytes.get(end) == Some(&b'\n');
            let has_text = end > line_start;
            let behind = end.saturating_add(1);
            line_start = behind;
            if is_line_feed && self.after_carriage_return && !has_text {
                // The second half of CR LF: no line of its own.
                self.after_carriage_return = false;
                let completes = boundary == Some(end) || (end == 0 && self.at_boundary);
                boundary = if completes { Some(behind) } else { boundary };
                continue;
            }
            if self.line_is_empty && !has_text {
                boundary = Some(behind);
            }
            self.line_is_empty = true;
            self.after_carriage_return = !is_line_feed;
        }
        if line_start < bytes.len() {
            self.line_is_empty = false;
            self.after_carriage_return = false;
        }
        boundary
    }
}

#[cfg(test)]
mod tests;
