//! The log: one line of JSON an event, on standard error. Never a token, a secret, a body.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// How much a line matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// Something happened.
    Info,
    /// Something did not work, and will be tried again.
    Warning,
    /// Something does not work.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Writes a line: `event` is a constant for programs, `text` is for people.
pub fn line(level: Level, event: &'static str, text: &str) {
    let line = serde_json::json!({
        "at_ms": now_ms(),
        "level": level.name(),
        "event": event,
        "text": text,
    });
    // Where even the log can't be written there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The time, in milliseconds since the Unix epoch; 0 before it.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// An error with all of its sources, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
