//! Addresses in documents and settings: a strict subset of `http` and `https` URLs, so that no two
//! readers can take one differently (RFC 3986; no user information, no fragment, no escapes).

use std::net::Ipv6Addr;

/// Longest address, in bytes.
const ADDRESS_BYTES_MAX: usize = 2048;

/// Longest host name, in bytes (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// The parts of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Address<'t> {
    /// `https`.
    pub(crate) secure: bool,
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub(crate) host: &'t str,
    /// The port, where one is written.
    pub(crate) port: Option<u16>,
    /// From the first `/`; may be empty.
    pub(crate) path: &'t str,
    /// What follows `?`.
    pub(crate) query: Option<&'t str>,
}

impl<'t> Address<'t> {
    /// Parses an address; the error says what is wrong.
    pub(crate) fn parse(text: &'t str) -> Result<Self, &'static str> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err("longer than 2048 bytes");
        }
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("begins with neither `https://` nor `http://`"),
        };
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if !is_path(path) || query.is_some_and(|query| !query.bytes().all(is_query_byte)) {
            return Err("a path or query with characters that are not accepted");
        }
        let (host, port) = split_authority(authority)?;
        Ok(Self { secure, host, port, path, query })
    }

    /// Whether the host can only be this machine: `127.0.0.1`, `[::1]` or `localhost`.
    pub(crate) fn is_loopback(&self) -> bool {
        matches!(self.host, "127.0.0.1" | "::1" | "localhost")
    }
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(crate) fn split_authority(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("an IPv6 address without its `]`")?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err("not an IPv6 address between the brackets");
        }
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err("something between `]` and the path"),
        }
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        if !is_host(host) {
            return Err("not a host: letters, digits, `-`, `.` and `_`");
        }
        (host, port)
    };
    Ok((host, port.map(parse_port).transpose()?))
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        Ok(_) | Err(_) => Err("not a port: 1 to 65535"),
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= HOST_BYTES_MAX
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && host.split('.').all(|label| !label.is_empty() && !label.starts_with('-'))
}

/// Empty, or segments that no reader normalises: no dots alone, none empty but the last.
fn is_path(path: &str) -> bool {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let dots = matches!(segment, "." | "..");
        if dots || (segment.is_empty() && !last) || !segment.bytes().all(is_path_byte) {
            return false;
        }
    }
    true
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~@:+,=".contains(&byte)
}

fn is_query_byte(byte: u8) -> bool {
    is_path_byte(byte) || b"/&".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_falls_into_its_parts() {
        let address = Address::parse("https://id.example.com/realms/a?x=1").expect("an address");
        assert!(address.secure && !address.is_loopback());
        assert_eq!((address.host, address.port), ("id.example.com", None));
        assert_eq!((address.path, address.query), ("/realms/a", Some("x=1")));
        let address = Address::parse("http://[::1]:8080").expect("an address");
        assert!(!address.secure && address.is_loopback());
        assert_eq!((address.host, address.port, address.path), ("::1", Some(8080), ""));
    }

    #[test]
    fn an_address_with_two_readings_is_refused() {
        for text in [
            "",
            "ftp://a",
            "HTTP://a",
            "//a",
            "http:/a",
            "http://",
            "http:///x",
            "http://a:0",
            "http://a:",
            "http://a:+80",
            "http://a:65536",
            "http://u:p@a",
            "http://u@a",
            "http://a\\@b",
            "http://a#b",
            "http://a/x#b",
            "http://a/../b",
            "http://a/.",
            "http://a//b",
            "http://a/%2e%2e/b",
            "http://a/x;y",
            "http://a b",
            "http://a/b c",
            "http://ä",
            "http://a..b",
            "http://-a",
            "http://[::1",
            "http://[::1]x",
            "http://[fe80::1%25eth0]",
            "http://[127.0.0.1]",
            "http://::1",
            "http://a\r\nb",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_the_exact_loopback_hosts_count_as_loopback() {
        for text in ["http://127.0.0.1", "http://localhost:9/x", "http://[::1]/"] {
            assert!(Address::parse(text).is_ok_and(|address| address.is_loopback()), "{text}");
        }
        for text in [
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://127.1",
            "http://2130706433",
            "http://0.0.0.0",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(Address::parse(text).is_ok_and(|address| !address.is_loopback()), "{text}");
        }
    }
}
