//! One session: one request and its response under one decision. What is known of it grows stage by
//! stage, and all of it goes into the access log, whichever way the exchange ends.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use penstock_config::catalogue::{Classified, Risk};
use penstock_config::documents::Protocol;
use penstock_config::identity::Identity;

use crate::grants::Granted;

/// Facts about one exchange.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Its id: 32 hex digits.
    pub(crate) id: SessionId,
    /// When its head had come: wall clock since the Unix epoch.
    pub(crate) begun_wall: Duration,
    /// The same on the monotonic clock.
    pub(crate) begun: Duration,
    /// Method, once it was understood.
    pub(crate) method: &'static str,
    /// Path below the connection, once it was understood.
    pub(crate) path: String,
    /// Connection, once the caller may know it.
    pub(crate) connection: Option<Rc<str>>,
    /// What the connection speaks: the shape of our own answers.
    pub(crate) protocol: Option<Protocol>,
    /// Who asks.
    pub(crate) identity: Option<Rc<Identity>>,
    /// What it does.
    pub(crate) classified: Option<Classified>,
    /// The rule that decided.
    pub(crate) rule: Option<Arc<str>>,
    /// Whether the decision was to allow.
    pub(crate) allowed: bool,
    /// Whether it needed an approval.
    pub(crate) held: bool,
    /// The approval that it waited for, or that its grants came from.
    pub(crate) approval: Option<String>,
    /// What it was granted.
    pub(crate) granted: Option<Rc<Granted>>,
    /// Status that the caller got, or would have got had it not been told another one before; 0 for
    /// none.
    pub(crate) status: u16,
    /// What the caller was told before the status was known.
    pub(crate) told: Option<u16>,
    /// Bytes of the request's body.
    pub(crate) bytes_up: u64,
    /// Bytes of the answer's body.
    pub(crate) bytes_down: u64,
    /// Values that were masked, in both directions; none where no mask applied.
    pub(crate) masked: Option<u64>,
    /// From the head to the first byte of the model's answer.
    pub(crate) first_byte: Option<Duration>,
    /// The endpoint that served it.
    pub(crate) endpoint: Option<String>,
}

impl Session {
    /// The operation that callers are told: the first one.
    pub(crate) fn operation(&self) -> &'static str {
        self.classified
            .as_ref()
            .and_then(|classified| classified.operations.first())
            .map_or("unknown", |operation| operation.name())
    }

    /// The risk of the request.
    pub(crate) fn risk(&self) -> Option<Risk> {
        self.classified.as_ref().map(|classified| classified.risk)
    }
}

/// 128 random bits as hex digits.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct SessionId([u8; 32]);

impl SessionId {
    /// From 16 random bytes.
    pub(crate) fn new(random: [u8; 16]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(random) {
            for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
            }
        }
        Self(text)
    }

    /// From its text: 32 lower-case hex digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 32] = text.as_bytes().try_into().ok()?;
        let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        digits.iter().all(is_digit).then_some(Self(digits))
    }

    /// Its text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}
