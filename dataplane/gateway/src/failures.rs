//! Tokens that fail, by address: verifying one costs tens of microseconds, and whoever sends bad
//! ones without end is told to wait. Only failures count, so callers with good tokens never notice.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::addresses::origin;

/// Failures that an address may have at once.
const BURST: u32 = 100;

/// Time after which one more is forgiven.
const FORGIVEN_EVERY: Duration = Duration::from_millis(50);

/// Addresses that are remembered; when there are more, the half with the least to forgive goes.
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
        by_address.get(&origin(address)).is_none_or(|bucket| bucket.at(now).failures < BURST)
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, address: IpAddr, now: Duration) {
        let address = origin(address);
        let mut by_address = self.by_address.borrow_mut();
        if by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&address) {
            make_room(&mut by_address, now);
        }
        let bucket = by_address.entry(address).or_insert(Bucket { failures: 0, since: now });
        *bucket = bucket.at(now);
        bucket.failures = bucket.failures.saturating_add(1);
    }
}

/// Those that are forgiven go first, then the half that failed least: whoever comes with many
/// addresses forgives those that were told to wait last of all.
fn make_room(by_address: &mut HashMap<IpAddr, Bucket>, now: Duration) {
    by_address.retain(|_, bucket| bucket.at(now).failures > 0);
    if by_address.len() < ADDRESSES_MAX {
        return;
    }
    let mut by_failures: Vec<(u32, IpAddr)> =
        by_address.iter().map(|(address, bucket)| (bucket.at(now).failures, *address)).collect();
    by_failures.sort_unstable();
    for (_, address) in by_failures.iter().take(ADDRESSES_MAX / 2) {
        by_address.remove(address);
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

    #[test]
    fn a_flood_of_addresses_forgives_nobody_who_was_told_to_wait() {
        let failures = Failures::default();
        let bad = [127, 0, 0, 1].into();
        for _ in 0..BURST {
            failures.failed(bad, Duration::ZERO);
        }
        for address in 0..3 * u32::try_from(ADDRESSES_MAX).unwrap() {
            failures.failed(IpAddr::from(address.to_be_bytes()), Duration::ZERO);
        }
        assert!(!failures.may_try(bad, Duration::ZERO));
    }

    #[test]
    fn addresses_of_one_network_of_64_bits_fail_together() {
        let failures = Failures::default();
        for last in 0..BURST {
            failures.failed(format!("2001:db8:0:1::{last:x}").parse().unwrap(), Duration::ZERO);
        }
        let at_once = |text: &str| failures.may_try(text.parse().unwrap(), Duration::ZERO);
        assert!(!at_once("2001:db8:0:1:ffff::1"));
        assert!(at_once("2001:db8:0:2::1"));
    }
}
