//! When each token of an answer is due, and how many there are.

use std::time::Duration;

use serde::Deserialize;

use super::text::Pieces;

/// Longest wait before the first token, in milliseconds.
const FIRST_TOKEN_MS_MAX: u64 = 600_000;
/// Longest gap between two tokens, in milliseconds.
const GAP_MS_MAX: u64 = 60_000;
/// Most tokens of one answer.
const TOKENS_MAX: u64 = 1_000_000;

/// Why a schedule is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScheduleError {
    #[error("{name} is {value}, more than {max}")]
    TooLarge { name: &'static str, value: u64, max: u64 },
    #[error("tokens is 0: an answer has at least one")]
    NoTokens,
    #[error("the text is empty")]
    NoText,
    #[error("{0:?} is not one of first_token_ms=N, gap_ms=N, tokens=N")]
    Header(String),
}

/// Timing and text of one answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    first_token_ms: u64,
    gap_ms: u64,
    tokens: Option<u64>,
    text: String,
}

/// What one request changes: the body field `simulate`, or the header `x-simulate`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    first_token_ms: Option<u64>,
    gap_ms: Option<u64>,
    tokens: Option<u64>,
    text: Option<String>,
}

impl Changes {
    /// Reads `first_token_ms=5,gap_ms=1,tokens=8`.
    pub(crate) fn parse(header: &str) -> Result<Self, ScheduleError> {
        let mut changes = Self::default();
        for item in header.split(',').map(str::trim) {
            let refused = || ScheduleError::Header(item.to_owned());
            let (name, value) = item.split_once('=').ok_or_else(refused)?;
            let value = Some(value.parse().map_err(|_| refused())?);
            match name {
                "first_token_ms" => changes.first_token_ms = value,
                "gap_ms" => changes.gap_ms = value,
                "tokens" => changes.tokens = value,
                _ => return Err(refused()),
            }
        }
        Ok(changes)
    }
}

impl Schedule {
    /// A schedule within the limits of this file.
    pub(crate) fn new(
        first_token_ms: u64,
        gap_ms: u64,
        tokens: Option<u64>,
        text: String,
    ) -> Result<Self, ScheduleError> {
        at_most("first_token_ms", first_token_ms, FIRST_TOKEN_MS_MAX)?;
        at_most("gap_ms", gap_ms, GAP_MS_MAX)?;
        at_most("tokens", tokens.unwrap_or(1), TOKENS_MAX)?;
        if tokens == Some(0) {
            return Err(ScheduleError::NoTokens);
        }
        if text.is_empty() {
            return Err(ScheduleError::NoText);
        }
        Ok(Self { first_token_ms, gap_ms, tokens, text })
    }

    /// This schedule with what a request changes.
    pub(crate) fn with(&self, changes: Changes) -> Result<Self, ScheduleError> {
        // A text of the request's own is said once, whatever the number of tokens was before.
        let tokens = match changes.text {
            Some(_) => changes.tokens,
            None => changes.tokens.or(self.tokens),
        };
        Self::new(
            changes.first_token_ms.unwrap_or(self.first_token_ms),
            changes.gap_ms.unwrap_or(self.gap_ms),
            tokens,
            changes.text.unwrap_or_else(|| self.text.clone()),
        )
    }

    /// The answer's tokens, at most `limit` of them, and whether the limit cut it short.
    pub(crate) fn answer(&self, limit: Option<u64>) -> (Vec<String>, bool) {
        let wanted = self.tokens.unwrap_or_else(|| Pieces::once(&self.text).count() as u64);
        let count = limit.map_or(wanted, |limit| limit.min(wanted));
        let take = usize::try_from(count).unwrap_or(usize::MAX);
        (Pieces::cycle(&self.text).take(take).collect(), count < wanted)
    }

    /// When the token of this index is due, counted from the request. Due times are absolute, so
    /// that a late token does not make all later ones late.
    pub(crate) fn due(&self, index: u64) -> Duration {
        let gaps = self.gap_ms.saturating_mul(index);
        Duration::from_millis(self.first_token_ms.saturating_add(gaps))
    }
}

fn at_most(name: &'static str, value: u64, max: u64) -> Result<(), ScheduleError> {
    if value > max { Err(ScheduleError::TooLarge { name, value, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Changes, Schedule};

    fn schedule() -> Schedule {
        Schedule::new(50, 10, None, "one two three".to_owned()).unwrap()
    }

    #[test]
    fn each_token_is_due_at_an_absolute_time() {
        assert_eq!(schedule().due(0), Duration::from_millis(50));
        assert_eq!(schedule().due(3), Duration::from_millis(80));
    }

    #[test]
    fn a_header_changes_only_what_it_names() {
        let changed = schedule().with(Changes::parse("gap_ms=1, tokens=5").unwrap()).unwrap();
        assert_eq!(changed, Schedule::new(50, 1, Some(5), "one two three".to_owned()).unwrap());
    }

    #[test]
    fn a_header_that_is_not_understood_is_refused() {
        for header in ["", "gap=1", "gap_ms", "gap_ms=-1", "gap_ms=1;tokens=2"] {
            assert!(Changes::parse(header).is_err(), "{header}");
        }
    }

    #[test]
    fn a_schedule_beyond_its_limits_is_refused() {
        for header in ["first_token_ms=600001", "gap_ms=60001", "tokens=1000001", "tokens=0"] {
            assert!(schedule().with(Changes::parse(header).unwrap()).is_err(), "{header}");
        }
    }

    #[test]
    fn an_answer_is_the_text_once_or_as_many_tokens_as_asked() {
        assert_eq!(schedule().answer(None).0.concat(), "one two three");
        let five = schedule().with(Changes::parse("tokens=5").unwrap()).unwrap();
        assert_eq!(five.answer(None).0.concat(), "one two three one two");
    }

    #[test]
    fn a_limit_below_the_answer_cuts_it_short_and_says_so() {
        assert_eq!(schedule().answer(Some(2)), (vec!["one".to_owned(), " two".to_owned()], true));
        assert!(!schedule().answer(Some(3)).1);
    }
}
