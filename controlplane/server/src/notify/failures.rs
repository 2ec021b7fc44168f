//! Failed answers by address: past a number a minute they are told so, and no longer logged one by
//! one. An answer that holds always passes, so nobody who shares an address with a forger is
//! locked out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Failures of one address within [`WINDOW_MS`] before it is told to wait.
const FAILURES_MAX: u32 = 20;
/// In milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Most addresses that are counted. Beyond them all others count as one.
const ADDRESSES_MAX: usize = 4_096;

/// Counts failures.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<IpAddr, Window>>);

#[derive(Clone, Copy)]
struct Window {
    begun_ms: u64,
    count: u32,
}

impl Failures {
    /// Counts one more; whether these are too many of late.
    pub(crate) fn are_too_many(&self, address: IpAddr, now_ms: u64) -> bool {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = network(address);
        if windows.len() >= ADDRESSES_MAX && !windows.contains_key(&key) {
            windows.retain(|_, window| window.is_open(now_ms));
            if windows.len() >= ADDRESSES_MAX {
                key = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        let window = windows.entry(key).or_insert(Window { begun_ms: now_ms, count: 0 });
        if !window.is_open(now_ms) {
            *window = Window { begun_ms: now_ms, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        window.count > FAILURES_MAX
    }
}

impl Window {
    /// A clock that was set back begins a new one.
    fn is_open(self, now_ms: u64) -> bool {
        now_ms.checked_sub(self.begun_ms).is_some_and(|age| age < WINDOW_MS)
    }
}

/// The address, or of IPv6 its /64, which is one customer's.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_fails_twenty_times_a_minute_before_it_is_told_to_wait() {
        let failures = Failures::default();
        for _ in 0..20 {
            assert!(!failures.are_too_many(address("192.0.2.1"), 1_000));
        }
        assert!(failures.are_too_many(address("192.0.2.1"), 60_999));
        assert!(!failures.are_too_many(address("192.0.2.2"), 60_999), "another address");
        assert!(!failures.are_too_many(address("192.0.2.1"), 61_000), "another minute");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let failures = Failures::default();
        for last in 0..20 {
            let one = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last));
            assert!(!failures.are_too_many(one, 1_000));
        }
        assert!(failures.are_too_many(address("2001:db8:0:1:ffff::1"), 1_000));
        assert!(!failures.are_too_many(address("2001:db8:0:2::1"), 1_000));
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let failures = Failures::default();
        for number in 0..10_000_u32 {
            failures.are_too_many(IpAddr::V4(number.into()), 1_000);
        }
        assert!(failures.0.lock().unwrap().len() <= ADDRESSES_MAX + 1);
        assert!(failures.are_too_many(address("203.0.113.9"), 1_000), "all others are one");
        failures.are_too_many(address("203.0.113.9"), 100_000);
        assert_eq!(failures.0.lock().unwrap().len(), 1, "what is over is forgotten");
    }
}
