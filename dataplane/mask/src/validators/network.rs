//! Addresses of machines.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An IPv4 address, with or without a prefix length.
pub fn ipv4(value: &[u8]) -> bool {
    let mut parts = value.splitn(2, |byte| *byte == b'/');
    let address = parts.next().unwrap_or_default();
    let is_prefix = parts.next().is_none_or(|length| super::number(length) <= 32);
    is_prefix && str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv4Addr>().is_ok())
}

/// An IPv6 address, with or without a zone or a prefix length; of a short one only `::1`.
pub fn ipv6(value: &[u8]) -> bool {
    let address = value.split(|byte| matches!(byte, b'/' | b'%')).next().unwrap_or_default();
    let digits = address.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
    (digits >= 4 || address == b"::1")
        && address.iter().any(u8::is_ascii_digit)
        && str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// A hardware address: neither all zero nor broadcast.
pub fn mac(value: &[u8]) -> bool {
    let mut hex = value.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let first = hex.next().map(u8::to_ascii_lowercase);
    hex.any(|byte| Some(byte.to_ascii_lowercase()) != first)
}

/// The same with a letter: digits and dots alone are a number.
pub fn mac_with_letter(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_alphabetic) && mac(value)
}
