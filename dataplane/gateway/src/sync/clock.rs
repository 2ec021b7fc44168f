//! Steps of the wall clock, seen against the monotonic one, which nobody can set.

use tokio::time::Instant;

/// A difference from here on is a step, in milliseconds; less is drift, and the leeway of times
/// covers it.
const STEP_MS_MIN: u64 = 60_000;

/// What both clocks said at the last look.
#[derive(Debug)]
pub(super) struct ClockWatch {
    wall_ms: u64,
    monotonic: Instant,
}

/// The wall clock was set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClockStep {
    /// Ahead, by so many milliseconds.
    Ahead(u64),
    /// Back, by so many milliseconds.
    Back(u64),
}

impl ClockWatch {
    /// A first look.
    pub(super) fn new(wall_ms: u64, monotonic: Instant) -> Self {
        Self { wall_ms, monotonic }
    }

    /// Another look.
    pub(super) fn look(&mut self, wall_ms: u64, monotonic: Instant) -> Option<ClockStep> {
        let passed = monotonic.saturating_duration_since(self.monotonic).as_millis();
        let expected = self.wall_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        *self = Self::new(wall_ms, monotonic);
        let (ahead, back) = (wall_ms.saturating_sub(expected), expected.saturating_sub(wall_ms));
        if ahead >= STEP_MS_MIN {
            Some(ClockStep::Ahead(ahead))
        } else if back >= STEP_MS_MIN {
            Some(ClockStep::Back(back))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_time_alone_does_not_explain_is_a_step() {
        let began = Instant::now();
        let mut watch = ClockWatch::new(1_000_000, began);
        let later = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(watch.look(1_001_000, later(1)), None);
        assert_eq!(watch.look(4_602_000, later(2)), Some(ClockStep::Ahead(3_600_000)));
        assert_eq!(watch.look(4_603_000, later(3)), None, "it is told once");
        assert_eq!(watch.look(1_004_000, later(4)), Some(ClockStep::Back(3_600_000)));
        assert_eq!(watch.look(8_204_000, later(7_204)), None, "a process that stood still");
        assert_eq!(watch.look(8_244_000, later(7_205)), None, "drift");
    }
}
