//! Addresses of machines.

use super::{BESIDE_GROUPS, BESIDE_NUMBER, Detector, pattern};
use crate::rule::{ByteSet, Guard};
use crate::validators;

/// All that may be an address; what it is says the validator.
const IPV6: &str = concat!(
    r"(?:[0-9A-Fa-f]{0,4}:){2,8}(?:[0-9A-Fa-f]{1,4}|[0-9]{1,3}(?:\.",
    r"[0-9]{1,3}){3})?(?:%[A-Za-z0-9]{1,16})?(?:/[0-9]{1,3})?"
);

static DETECTORS: &[Detector] = &[
    Detector {
        name: "IP_ADDRESS",
        about: "addresses of IPv4 and IPv6",
        default: true,
        patterns: &[
            pattern(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:/[0-9]{1,2})?")
                .before(BESIDE_NUMBER)
                .after(BESIDE_NUMBER)
                .valid(validators::ipv4),
            pattern(IPV6).before(BESIDE_GROUPS).after(BESIDE_GROUPS).valid(validators::ipv6),
            pattern(IPV6)
                .lead(concat!(
                    r"(?i:address|addr|ip|ipv6|inet6|host|source|src|from|client|",
                    r"remote|node|server|peer):"
                ))
                .after(BESIDE_GROUPS)
                .valid(validators::ipv6),
        ],
        positives: &[
            "from «10.1.2.3»",
            "at «2001:db8::1» up",
            "net «192.168.0.0/16».",
            "http://[«fe80::1ff:fe23:4567:890a%eth0»]:80/",
            "ip=«13d:40a6:b640:062:bcc0:fd77:af49:529»",
            "source:«::ffff:192.0.2.128»",
            "«81.42.254.142»:8080 down",
            "at «1:2:3:4:5:6:7::» too",
        ],
        near_misses: &[
            "1.2.3.4.5",
            "516.83.230.817",
            "at 12:30:45",
            "std::vec::Vec",
            "00:1a:2b:3c:4d:5e",
            "a[1::2]",
            "v1.2.3.4",
            "10:20:30:40",
            "::",
        ],
    },
    Detector {
        name: "MAC_ADDRESS",
        about: "hardware addresses",
        default: true,
        patterns: &[
            pattern(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")
                .before(BESIDE_GROUPS)
                .after(BESIDE_GROUPS)
                .valid(validators::mac),
            pattern(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")
                .lead(r"(?i:mac|ether|hwaddr|bssid|lladdr|addr|address):")
                .after(BESIDE_GROUPS)
                .valid(validators::mac),
            pattern(r"[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}")
                .before(Guard::not(ByteSet::BASE64URL))
                .after(Guard::not(ByteSet::BASE64URL))
                .valid(validators::mac),
            pattern(r"[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}")
                .before(BESIDE_NUMBER)
                .after(BESIDE_NUMBER)
                .valid(validators::mac_with_letter),
        ],
        positives: &[
            "«00:1a:2b:3c:4d:5e»",
            "mac:«AB:20:4D:5F:E7:62» up",
            "iface «7B-98-07-4A-83-83».",
            "Cisco «001a.2b3c.4d5e»",
        ],
        near_misses: &[
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
            "1234.5678.9012",
            "12-34-56-78-90-12-34",
        ],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
