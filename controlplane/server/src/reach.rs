//! Which addresses issuers' keys may come from, and messages go to, looked at after a name was
//! resolved: what a name says before says nothing about where it leads.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The answer of every cloud's metadata service that does not lie in a link-local range.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// What may be reached besides public addresses. Never: link-local addresses, those of metadata
/// services, and those that name no single host.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reach {
    /// This machine.
    pub(crate) loopback: bool,
    /// Private networks (RFC 1918, RFC 6598, RFC 4193).
    pub(crate) private: bool,
}

/// A name led only to addresses that may not be reached.
#[derive(Debug, thiserror::Error)]
#[error("an address that may not be reached")]
pub(crate) struct OutOfReach;

/// Whether that is why something failed.
pub(crate) fn is_out_of_reach(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source())
        .any(|error| error.is::<OutOfReach>())
}

/// A URL of ours to call: https, or http on loopback where that is allowed; without a name, a
/// password or a fragment.
pub(crate) fn url(text: &str, loopback_http: bool) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str().unwrap_or_default();
    let loopback =
        host == "localhost" || literal(&url).is_some_and(|address| address.is_loopback());
    let fits = match url.scheme() {
        "https" => !host.is_empty(),
        "http" => loopback_http && loopback,
        _ => false,
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (fits && plain).then_some(url)
}

/// The address that a URL names in place of a host name.
fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

impl Reach {
    /// What follows from the settings.
    pub(crate) fn of(development: bool, private: bool) -> Self {
        Self { loopback: development || private, private }
    }

    /// Whether a URL may be called, as far as that shows before a look-up: an address in place of a
    /// name is not looked up.
    pub(crate) fn allows_literal(self, url: &Url) -> bool {
        literal(url).is_none_or(|address| self.allows(address))
    }

    /// Whether that may be reached.
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if METADATA.contains(&address) {
            return false;
        }
        match address {
            IpAddr::V4(address) => self.allows_v4(address),
            IpAddr::V6(address) => self.allows_v6(address),
        }
    }

    fn allows_v4(self, address: Ipv4Addr) -> bool {
        let [first, second, ..] = address.octets();
        let shared = first == 100 && (64..128).contains(&second);
        if address.is_loopback() {
            self.loopback
        } else if address.is_private() || shared {
            self.private
        } else {
            // "This network", link-local, multicast, reserved and broadcast (RFC 6890).
            first != 0 && !address.is_link_local() && first < 224
        }
    }

    fn allows_v6(self, address: Ipv6Addr) -> bool {
        let [first, second, third, .., last_but_one, last] = address.segments();
        let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
        // 6to4 and NAT64 carry an IPv4 address, which counts as itself (RFC 3056, RFC 6052).
        match (first, second) {
            (0x2002, high) => return self.allows(v4(high, third).into()),
            (0x64, 0xff9b) => return self.allows(v4(last_but_one, last).into()),
            _ => {}
        }
        if address.is_loopback() {
            self.loopback
        } else if address.is_unique_local() {
            self.private
        } else {
            // Global unicast is 2000::/3 (RFC 4291); everything else is for other uses.
            (0x2000..0x4000).contains(&first)
        }
    }
}

/// Looks names up, and gives only addresses within reach. The connection goes to one of these, so
/// that no second look-up can give another answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolver(pub(crate) Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            within(reach, found)
        })
    }
}

fn within(
    reach: Reach,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
    let allowed: Vec<SocketAddr> = found.filter(|address| reach.allows(address.ip())).collect();
    if allowed.is_empty() { Err(OutOfReach.into()) } else { Ok(Box::new(allowed.into_iter())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(reach: Reach, text: &str) -> bool {
        reach.allows(text.parse().unwrap())
    }

    #[test]
    fn row_31_public_addresses_are_reached_and_special_ones_are_not() {
        let all = Reach { loopback: true, private: true };
        for public in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2002:101:101::1"] {
            assert!(allows(Reach::default(), public), "{public}");
        }
        for never in [
            "169.254.169.254",
            "169.254.1.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "192.0.0.192",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
        ] {
            assert!(!allows(all, never), "{never}");
        }
    }

    #[test]
    fn row_31_this_machine_and_private_networks_are_reached_where_that_was_said() {
        let loopback = Reach { loopback: true, private: false };
        let private = Reach { loopback: false, private: true };
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(allows(loopback, own) && !allows(private, own), "{own}");
            assert!(!allows(Reach::default(), own), "{own}");
        }
        for near in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "fc00::1"] {
            assert!(allows(private, near) && !allows(loopback, near), "{near}");
            assert!(!allows(Reach::default(), near), "{near}");
        }
    }

    #[test]
    fn row_31_a_name_that_leads_to_both_is_reached_at_its_public_addresses_alone() {
        let found = |texts: &[&str]| {
            let addresses: Vec<SocketAddr> =
                texts.iter().map(|text| text.parse().unwrap()).collect();
            within(Reach::default(), addresses.into_iter()).map(|kept| kept.count()).ok()
        };
        assert_eq!(found(&["1.1.1.1:0", "127.0.0.1:0", "169.254.169.254:0"]), Some(1));
        assert_eq!(found(&["127.0.0.1:0", "10.0.0.1:0"]), None);
        assert_eq!(found(&[]), None);
    }
}
