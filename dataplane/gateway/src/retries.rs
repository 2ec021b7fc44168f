//! How often a core tries requests to one connection again: a tenth of them, and three a second in
//! any case. A dead model server gets no more than that on top of what callers ask for, and takes
//! nothing from other connections.

use std::cell::Cell;
use std::time::Duration;

/// Thousandths of a try that each request earns.
const PER_REQUEST: u32 = 100;

/// Thousandths of a try that each millisecond earns: three tries a second.
const PER_MILLISECOND: u32 = 3;

/// Thousandths that are kept at most, and there at the start: thirty tries.
const CREDIT_MAX: u32 = 30_000;

/// What one try costs.
const TRY: u32 = 1_000;

/// The tries of one connection on one core.
#[derive(Debug)]
pub(crate) struct Retries {
    credit: Cell<u32>,
    since: Cell<Duration>,
}

impl Default for Retries {
    /// All credit is there.
    fn default() -> Self {
        Self { credit: Cell::new(CREDIT_MAX), since: Cell::new(Duration::ZERO) }
    }
}

impl Retries {
    /// A request is sent for the first time.
    pub(crate) fn requested(&self) {
        self.earn(PER_REQUEST);
    }

    /// Whether one may be tried again; if so, that is counted.
    pub(crate) fn may_try(&self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.since.get()).as_millis();
        self.since.set(now);
        self.earn(u32::try_from(passed).unwrap_or(u32::MAX).saturating_mul(PER_MILLISECOND));
        let left = self.credit.get().checked_sub(TRY);
        if let Some(left) = left {
            self.credit.set(left);
        }
        left.is_some()
    }

    fn earn(&self, credit: u32) {
        self.credit.set(self.credit.get().saturating_add(credit).min(CREDIT_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(retries: &Retries, now: Duration) -> usize {
        (0..1_000).take_while(|_| retries.may_try(now)).count()
    }

    fn spent() -> Retries {
        let retries = Retries::default();
        assert_eq!(tries(&retries, Duration::ZERO), 30);
        retries
    }

    #[test]
    fn three_tries_a_second_are_always_there() {
        let retries = spent();
        assert_eq!(tries(&retries, Duration::from_secs(1)), 3);
        assert_eq!(tries(&retries, Duration::from_secs(3)), 6);
        assert_eq!(tries(&retries, Duration::from_secs(10_000)), 30);
    }

    #[test]
    fn ten_requests_earn_one_try() {
        let retries = spent();
        for _ in 0..99 {
            retries.requested();
        }
        assert_eq!(tries(&retries, Duration::ZERO), 9);
    }
}
