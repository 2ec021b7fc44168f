//! The lines of one event: where its JSON stands, and whether the others may go on.

use std::ops::Range;

use penstock_config::documents::Unreadable;
use penstock_http::stream::StreamKind;

use crate::event::Unmaskable;

/// Longest value of `event`, `id` and `retry`, in bytes.
const TOKEN_BYTES_MAX: usize = 64;

/// What an event holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Content {
    /// Nothing: white space, comments.
    Nothing,
    /// `[DONE]`.
    End,
    /// A text that should be JSON.
    Data,
}

/// An event, taken apart.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The event in one piece, where it must be written anew: several lines of data, comments that
    /// may not go on.
    pub(super) anew: Option<Vec<u8>>,
    spare: Vec<u8>,
    /// Where the data stands, in `anew` or else in the event.
    pub(super) data: Range<usize>,
    /// Whether lines were left out.
    pub(super) is_changed: bool,
    /// What an event of our own begins with.
    pub(super) head: Vec<u8>,
}

/// U+FEFF in UTF-8, which a stream may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Lines {
    /// Takes an event apart.
    pub(super) fn read(
        &mut self,
        kind: StreamKind,
        event: &[u8],
        unreadable: Unreadable,
    ) -> Result<Content, Unmaskable> {
        if let Some(anew) = self.anew.take() {
            self.spare = anew;
        }
        self.is_changed = false;
        self.head.clear();
        match kind {
            StreamKind::Ndjson => Ok(self.read_line(event)),
            StreamKind::Sse => self.read_event(event, unreadable),
        }
    }

    fn read_line(&mut self, event: &[u8]) -> Content {
        let lead = event.len().saturating_sub(event.trim_ascii_start().len());
        let text = event.trim_ascii();
        self.data = lead..lead.saturating_add(text.len());
        if text.is_empty() { Content::Nothing } else { Content::Data }
    }

    fn read_event(&mut self, event: &[u8], unreadable: Unreadable) -> Result<Content, Unmaskable> {
        let mut data_lines: usize = 0;
        let mut is_clean = true;
        for line in lines(event) {
            match line_kind(event.get(line.clone()).unwrap_or_default()) {
                Line::Empty | Line::KeepAlive => {}
                Line::Event => {
                    self.head.extend_from_slice(event.get(line).unwrap_or_default());
                    self.head.push(b'\n');
                }
                Line::Token => {}
                Line::Data(value) => {
                    data_lines = data_lines.saturating_add(1);
                    self.data = line.start.saturating_add(value)..line.end;
                }
                Line::Comment => is_clean = false,
                Line::Unknown => match unreadable {
                    Unreadable::Refuse => return Err(Unmaskable::Lines),
                    Unreadable::Strip => is_clean = false,
                    Unreadable::Pass => {}
                },
            }
        }
        self.head.extend_from_slice(b"data: ");
        if data_lines > 1 || !is_clean {
            self.is_changed = !is_clean;
            self.join(event, unreadable, data_lines > 0);
        }
        if data_lines == 0 {
            return Ok(Content::Nothing);
        }
        let whole = self.anew.as_deref().unwrap_or(event);
        let text = whole.get(self.data.clone()).unwrap_or_default().trim_ascii();
        Ok(match text {
            b"" => Content::Nothing,
            b"[DONE]" => Content::End,
            _ => Content::Data,
        })
    }

    /// Makes one line of several lines of data, once they are known to be JSON: its strings hold no
    /// line feed, and elsewhere a space says the same.
    pub(super) fn flatten(&mut self) {
        let Some(anew) = &mut self.anew else { return };
        for byte in anew.get_mut(self.data.clone()).unwrap_or_default() {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }

    /// Writes the event in one piece: lines that may go on, one line of data.
    fn join(&mut self, event: &[u8], unreadable: Unreadable, has_data: bool) {
        let mut anew = std::mem::take(&mut self.spare);
        anew.clear();
        for line in lines(event) {
            let text = event.get(line).unwrap_or_default();
            match line_kind(text) {
                Line::Event | Line::Token | Line::KeepAlive => {
                    anew.extend_from_slice(text);
                    anew.push(b'\n');
                }
                Line::Comment => anew.extend_from_slice(b":\n"),
                Line::Unknown if unreadable == Unreadable::Pass => {
                    anew.extend_from_slice(text);
                    anew.push(b'\n');
                }
                Line::Empty | Line::Data(_) | Line::Unknown => {}
            }
        }
        if has_data {
            anew.extend_from_slice(b"data: ");
            let start = anew.len();
            for line in lines(event) {
                let text = event.get(line).unwrap_or_default();
                if let Line::Data(value) = line_kind(text) {
                    anew.extend_from_slice(text.get(value..).unwrap_or_default());
                    anew.push(b'\n');
                }
            }
            anew.pop();
            self.data = start..anew.len();
            anew.push(b'\n');
        }
        anew.push(b'\n');
        self.anew = Some(anew);
    }
}

enum Line {
    Empty,
    /// Data, and where its value begins.
    Data(usize),
    Event,
    /// `id`, `retry`.
    Token,
    KeepAlive,
    Comment,
    Unknown,
}

fn line_kind(line: &[u8]) -> Line {
    let marked = line.strip_prefix(BYTE_ORDER_MARK);
    let skipped = if marked.is_some() { BYTE_ORDER_MARK.len() } else { 0 };
    let line = marked.unwrap_or(line);
    if line.is_empty() {
        return Line::Empty;
    }
    let colon = line.iter().position(|byte| *byte == b':');
    let name = line.get(..colon.unwrap_or(line.len())).unwrap_or_default();
    let value = line.get(name.len().saturating_add(1)..).unwrap_or_default();
    let space = usize::from(value.first() == Some(&b' '));
    let value = value.get(space..).unwrap_or_default();
    match name {
        b"data" => {
            let start = name.len().saturating_add(1).saturating_add(space);
            Line::Data(skipped.saturating_add(start.min(line.len())))
        }
        b"event" if is_token(value) => Line::Event,
        b"id" if is_token(value) => Line::Token,
        b"retry" if value.iter().all(u8::is_ascii_digit) && is_token(value) => Line::Token,
        b"" if is_keep_alive(value) => Line::KeepAlive,
        b"" => Line::Comment,
        _ => Line::Unknown,
    }
}

fn is_token(value: &[u8]) -> bool {
    value.len() <= TOKEN_BYTES_MAX
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:".contains(byte))
}

/// Comments that servers send to keep a connection alive, and nothing more: one with the time in it
/// goes on without.
fn is_keep_alive(value: &[u8]) -> bool {
    let words: [&[u8]; 6] =
        [b"", b"ping", b"keep-alive", b"keepalive", b"heartbeat", b"OPENROUTER PROCESSING"];
    words.contains(&value)
}

/// The lines of an event, without their ends.
fn lines(event: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= event.len() {
            return None;
        }
        let rest = event.get(at..)?;
        let found = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = at..at.saturating_add(found);
        let is_pair = rest.get(found..).is_some_and(|end| end.starts_with(b"\r\n"));
        at = line.end.saturating_add(if is_pair { 2 } else { 1 });
        Some(line)
    })
}
