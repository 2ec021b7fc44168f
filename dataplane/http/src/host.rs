//! The value of `Host`: `uri-host [ ":" port ]` (RFC 9110 section 7.2), read narrowly.

use std::net::Ipv6Addr;

/// DNS allows 253 bytes for a name; brackets and port come on top.
const HOST_BYTES_MAX: usize = 262;

/// Whether the bytes are one authority: a name of letters, digits, `-`, `_` and `.`, an IPv4
/// address, or an IPv6 address in brackets, each with or without a port from 1 to 65535.
///
/// RFC 3986 allows more in a name (escapes, `,`, `;`, `=` and others). No name in DNS needs them,
/// and each is read in two ways by somebody: lists, userinfo, paths and queries are refused here.
pub fn is_valid_host(value: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(value) else { return false };
    if text.len() > HOST_BYTES_MAX {
        return false;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    match text.split_once(':') {
        None => is_name(text),
        Some((name, port)) => is_name(name) && is_port(port),
    }
}

/// Labels that are not empty; one dot at the end is the root of DNS.
fn is_name(name: &str) -> bool {
    name.strip_suffix('.').unwrap_or(name).split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

/// Digits only: `str::parse` alone would take `+80`.
fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::is_valid_host;

    #[test]
    fn names_and_addresses_with_and_without_a_port_are_hosts() {
        for host in [
            "gateway.test",
            "GATEWAY.test:443",
            "gateway.test.",
            "model_server:8000",
            "a",
            "127.0.0.1:65535",
            "[::1]",
            "[2001:db8::1]:8080",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_valid_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn lists_userinfo_paths_and_bad_ports_are_no_hosts() {
        for host in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:99999",
            "a:+80",
            "a:8 0",
            "a:80:80",
            "a@b",
            "a:b@c",
            "a/b",
            "a?b",
            "a#",
            "a\\b",
            "a,b",
            "a, b",
            "a b",
            "a;b",
            "a%2eb",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[::1]:0",
            "[::g]",
            "[fe80::1%eth0]",
            "[v1.a]",
            "[]",
            "a\u{fc}.test",
            "http://a",
            "a\t",
            "a\0",
        ] {
            assert!(!is_valid_host(host.as_bytes()), "{host:?}");
        }
        assert!(!is_valid_host(b"\xff"));
        assert!(!is_valid_host("a".repeat(263).as_bytes()));
    }
}
