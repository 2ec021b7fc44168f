//! Waiting for a condition instead of sleeping.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// Looks at a condition until it holds, or until the deadline; tells whether it held.
#[must_use]
pub fn wait_until(deadline: Instant, mut condition: impl FnMut() -> bool) -> bool {
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        // tidy: the pause between two looks at a condition
        std::thread::sleep(INTERVAL);
    }
}

/// Waits until there is a value, [`crate::PATIENCE`] at most.
#[track_caller]
pub fn eventually<T>(what: &str, mut value: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    let held = wait_until(Instant::now() + crate::PATIENCE, || {
        found = value();
        found.is_some()
    });
    match found {
        Some(found) if held => found,
        Some(_) | None => panic!("never came: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_to_hold_is_seen() {
        let mut looks = 0;
        let deadline = Instant::now() + Duration::from_secs(10);
        assert!(wait_until(deadline, || {
            looks += 1;
            looks == 3
        }));
    }

    #[test]
    fn a_condition_that_never_holds_ends_at_the_deadline() {
        let began = Instant::now();
        assert!(!wait_until(began + Duration::from_millis(30), || false));
        assert!(began.elapsed() >= Duration::from_millis(30));
    }
}
