//! Tokens that fail, by address: verifying one costs tens of microseconds, and whoever sends bad
//! ones without end is told to wait. Only failures count, so callers with good tokens never notice.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Failures that an address may have at once.
const BURST: u32 = 100;

/// Time after which one more is forgiven.
const FORGIVEN_EVERY: Duration = Duration::from_millis(50);

/// Addresses that are remembered; when there are more, those with the least to forgive go.
const ADDRESSES_MAX: usize = 4_096;

/// Failures of one core's callers.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    by_address: RefCell<HashMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    failures: u32,
    since: Duration,
}

impl Bucket {
    fn at(self, now: Duration) -> Self {
        let passed = now.saturating_sub(self.since).as_millis() / FORGIVEN_EVERY.as_millis();
        let forgiven = u32::try_from(passed).unwrap_or(u32::MAX);
        if forgiven == 0 {
            return self;
        }
        let since = self.since.saturating_add(FORGIVEN_EVERY.saturating_mul(forgiven));
        Self { failures: self.failures.saturating_sub(forgiven), since }
    }
}

impl Failures {
    /// Whether another token of this address is verified.
    pub(crate) fn may_try(&self, address: IpAddr, now: Duration) -> bool {
        let by_address = self.by_address.borrow();
        by_address.get(&address).is_none_or(|bucket| bucket.at(now).failures < BURST)
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, address: IpAddr, now: Duration) {
        let mut by_address = self.by_address.borrow_mut();
        if by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&address) {
            by_address.retain(|_, bucket| bucket.at(now).failures >= BURST / 2);
            if by_address.len() >= ADDRESSES_MAX {
                by_address.clear();
            }
        }
        let bucket = by_address.entry(address).or_insert(Bucket { failures: 0, since: now });
        *bucket = bucket.at(now);
        bucket.failures = bucket.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_only_fails_is_told_to_wait_and_is_forgiven_with_time() {
        let failures = Failures::default();
        let (bad, good) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let now = Duration::from_secs(1);
        for _ in 0..BURST {
            assert!(failures.may_try(bad, now));
            failures.failed(bad, now);
        }
        assert!(!failures.may_try(bad, now));
        assert!(failures.may_try(good, now));
        assert!(failures.may_try(bad, now + FORGIVEN_EVERY));
    }

    #[test]
    fn a_flood_of_addresses_is_remembered_within_a_bound() {
        let failures = Failures::default();
        for address in 0..3 * u32::try_from(ADDRESSES_MAX).unwrap() {
            failures.failed(IpAddr::from(address.to_be_bytes()), Duration::ZERO);
        }
        assert!(failures.by_address.borrow().len() <= ADDRESSES_MAX);
    }
}
