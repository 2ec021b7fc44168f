//! A JSON text that comes in pieces: the arguments of a tool. Its strings are masked one by one, as
//! they stand, so that it stays JSON; a number that is masked becomes a string. What turns out to
//! be no JSON is masked as one text from there on.

use crate::event::turn::Turn;
use crate::json::{DEPTH_MAX, is_scalar};
use crate::text::Channel;

/// Longest number or word, with the white space behind it.
const SCALAR_BYTES_MAX: usize = 512;

/// What comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Value,
    FirstItem,
    FirstName,
    Name,
    Colon,
    Behind,
    /// In a string.
    String {
        is_name: bool,
    },
    /// In a number or word, or in the white space behind it.
    Scalar {
        is_over: bool,
    },
    /// This is no JSON.
    Text,
}

/// One such text.
#[derive(Clone)]
pub(crate) struct JsonText {
    at: At,
    /// The last byte of a string was a backslash that escapes what follows.
    is_after_backslash: bool,
    /// Objects and arrays that are open.
    depth: usize,
    /// Which of them are objects, the innermost last.
    objects: u64,
    /// A number or word that is not over yet.
    scalar: Vec<u8>,
    /// Of the current string.
    channel: Channel,
}

impl JsonText {
    pub(crate) fn new() -> Self {
        Self {
            at: At::Value,
            is_after_backslash: false,
            depth: 0,
            objects: 0,
            scalar: Vec::new(),
            channel: Channel::new(true),
        }
    }

    /// Bytes that are held.
    pub(crate) fn held_bytes(&self) -> usize {
        let held = self.channel.held_bytes().saturating_add(self.channel.waiting_bytes());
        held.saturating_add(self.scalar.len())
    }

    /// The next piece, whole characters; what is free is appended to `out`.
    pub(crate) fn push(&mut self, turn: &mut Turn<'_>, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = match self.at {
                At::String { is_name } => self.string(turn, rest, is_name, out),
                At::Text => {
                    turn.push(&mut self.channel, rest, out);
                    rest.len()
                }
                At::Scalar { is_over } => self.scalar(turn, rest, is_over, out),
                At::Value | At::FirstItem | At::FirstName | At::Name | At::Colon | At::Behind => {
                    self.structure(rest, out)
                }
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// The end of the text; ready for another one.
    pub(crate) fn finish(&mut self, turn: &mut Turn<'_>, out: &mut Vec<u8>) {
        if let At::Scalar { .. } = self.at {
            self.end_scalar(turn, out);
        }
        turn.finish(&mut self.channel, out);
        let scalar = std::mem::take(&mut self.scalar);
        *self = Self { scalar, ..Self::new() };
        self.scalar.clear();
    }

    /// No progress in time: what is held of a string is decided.
    pub(crate) fn stalled(&mut self, turn: &mut Turn<'_>, release: bool, out: &mut Vec<u8>) {
        turn.stalled(&mut self.channel, release, out);
    }

    fn string(
        &mut self,
        turn: &mut Turn<'_>,
        rest: &[u8],
        is_name: bool,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut length = rest.len();
        let mut is_over = false;
        for (at, byte) in rest.iter().enumerate() {
            if std::mem::take(&mut self.is_after_backslash) {
                continue;
            }
            match byte {
                b'\\' => self.is_after_backslash = true,
                b'"' => {
                    (length, is_over) = (at, true);
                    break;
                }
                _ => {}
            }
        }
        if length > 0 {
            turn.push(&mut self.channel, rest.get(..length).unwrap_or_default(), out);
        }
        if !is_over {
            return length;
        }
        turn.finish_one(&mut self.channel, is_name, out);
        self.channel = Channel::new(true);
        out.push(b'"');
        self.at = if is_name { At::Colon } else { At::Behind };
        length.saturating_add(1)
    }

    fn structure(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let Some(byte) = rest.first().copied() else { return 0 };
        let next = match (self.at, byte) {
            (at, b' ' | b'\t' | b'\n' | b'\r') => Some(at),
            (At::FirstName | At::Name, b'"') => Some(At::String { is_name: true }),
            (At::Value | At::FirstItem, b'"') => Some(At::String { is_name: false }),
            (At::Value | At::FirstItem, b'{') => self.open(true),
            (At::Value | At::FirstItem, b'[') => self.open(false),
            (At::FirstItem | At::Behind, b']') => self.close(false),
            (At::FirstName | At::Behind, b'}') => self.close(true),
            (At::Colon, b':') => Some(At::Value),
            (At::Behind, b',') if self.depth > 0 => {
                Some(if self.is_in_object() { At::Name } else { At::Value })
            }
            (At::Value | At::FirstItem, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.at = At::Scalar { is_over: false };
                return 0;
            }
            _ => None,
        };
        let Some(next) = next else {
            self.at = At::Text;
            return 0;
        };
        self.at = next;
        out.push(byte);
        1
    }

    /// A number or word may be shown once what stands behind it shows that it is one.
    fn scalar(
        &mut self,
        turn: &mut Turn<'_>,
        rest: &[u8],
        is_over: bool,
        out: &mut Vec<u8>,
    ) -> usize {
        let Some(byte) = rest.first().copied() else { return 0 };
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let is_part = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
        let is_room = self.scalar.len() < SCALAR_BYTES_MAX;
        if is_room && (is_space || (is_part && !is_over)) {
            self.scalar.push(byte);
            self.at = At::Scalar { is_over: is_over || is_space };
            return 1;
        }
        if self.depth > 0 && matches!(byte, b',' | b']' | b'}') {
            self.end_scalar(turn, out);
        } else {
            self.turn_to_text(turn, out);
        }
        0
    }

    fn turn_to_text(&mut self, turn: &mut Turn<'_>, out: &mut Vec<u8>) {
        self.at = At::Text;
        let scalar = std::mem::take(&mut self.scalar);
        turn.push(&mut self.channel, &scalar, out);
    }

    fn end_scalar(&mut self, turn: &mut Turn<'_>, out: &mut Vec<u8>) {
        let value = self.scalar.trim_ascii_end();
        if !is_scalar(value) {
            return self.turn_to_text(turn, out);
        }
        let length = value.len();
        let (value, space) = self.scalar.split_at_checked(length).unwrap_or((&self.scalar, &[]));
        scalar(turn, value, out);
        out.extend_from_slice(space);
        self.scalar.clear();
        self.at = At::Behind;
    }

    fn is_in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn open(&mut self, is_object: bool) -> Option<At> {
        if self.depth >= DEPTH_MAX {
            return None;
        }
        self.depth = self.depth.saturating_add(1);
        self.objects = self.objects << 1 | u64::from(is_object);
        Some(if is_object { At::FirstName } else { At::FirstItem })
    }

    fn close(&mut self, is_object: bool) -> Option<At> {
        if self.depth == 0 || self.is_in_object() != is_object {
            return None;
        }
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
        Some(At::Behind)
    }
}

/// Writes a number or word as it is, or as a string if it is masked.
pub(crate) fn scalar(turn: &mut Turn<'_>, value: &[u8], out: &mut Vec<u8>) -> bool {
    if turn.is_rehearsing() {
        return false;
    }
    let start = out.len();
    let mut channel = Channel::new(false);
    out.push(b'"');
    // No number or word of JSON is a name.
    turn.push_unasked(&mut channel, value, out);
    turn.finish(&mut channel, out);
    let is_masked = out.get(start.saturating_add(1)..) != Some(value);
    if is_masked {
        out.push(b'"');
    } else {
        out.truncate(start);
        out.extend_from_slice(value);
    }
    is_masked
}
