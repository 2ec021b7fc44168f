//! Open connections of one core, by the address that they come from. Only addresses with an open
//! connection are remembered, so the map is never larger than the number of connections.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

type Open = Rc<RefCell<HashMap<IpAddr, usize>>>;

/// Where open connections come from.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    open: Open,
}

/// One connection that counts, for as long as it lives.
pub(crate) struct Counted {
    open: Open,
    origin: IpAddr,
}

impl Addresses {
    /// Counts a connection; none if its address has `most` already.
    pub(crate) fn enter(&self, address: IpAddr, most: usize) -> Option<Counted> {
        let origin = origin(address);
        let mut open = self.open.borrow_mut();
        let count = open.get(&origin).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        open.insert(origin, count.saturating_add(1));
        Some(Counted { open: Rc::clone(&self.open), origin })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.open.borrow_mut();
        match open.get_mut(&self.origin) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(open.remove(&self.origin)),
        }
    }
}

/// Whoever has one IPv6 address has its whole /64, so that is what counts.
pub(crate) fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_connections_and_no_more_until_one_ends() {
        let addresses = Addresses::default();
        let first = addresses.enter(address("192.0.2.1"), 2);
        let second = addresses.enter(address("192.0.2.1"), 2);
        assert!(first.is_some() && second.is_some());
        assert!(addresses.enter(address("::ffff:192.0.2.1"), 2).is_none(), "the same address");
        assert!(addresses.enter(address("192.0.2.2"), 2).is_some());
        drop(first);
        assert!(addresses.enter(address("192.0.2.1"), 2).is_some());
    }

    #[test]
    fn addresses_of_one_network_of_64_bits_count_together() {
        let addresses = Addresses::default();
        let _first = addresses.enter(address("2001:db8:0:1::1"), 1).unwrap();
        assert!(addresses.enter(address("2001:db8:0:1:ffff::2"), 1).is_none());
        assert!(addresses.enter(address("2001:db8:0:2::1"), 1).is_some());
    }

    #[test]
    fn an_address_without_a_connection_is_forgotten() {
        let addresses = Addresses::default();
        for bits in 0..10_000 {
            drop(addresses.enter(IpAddr::from(u32::to_be_bytes(bits)), 1));
        }
        assert!(addresses.open.borrow().is_empty());
    }
}
