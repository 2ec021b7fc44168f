//! `penstock-dataplane --config FILE`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::values::{DAY_MS, check_apart, listen, path};
use super::{DataplaneLimits, DataplaneSettings, tls};
use crate::address::split_authority;
use crate::reader::{Fields, Keys, Reader};

const KEYS: Keys = Keys::known(&[
    "listen",
    "operations_listen",
    "state_dir",
    "join_file",
    "access_log",
    "cores",
    "hosts",
    "snapshot_staleness_ms_max",
    "revocation_silence_ms_max",
    "tls",
    "upstream_ca_file",
    "limits",
]);

impl DataplaneLimits {
    /// Every key of `limits`.
    pub const KEYS: &[&str] = &[
        "head_bytes_max",
        "header_count_max",
        "target_bytes_max",
        "tls_handshake_ms_max",
        "head_ms_max",
        "keep_alive_ms_max",
        "body_gap_ms_max",
        "send_stall_ms_max",
        "connect_ms_max",
        "first_byte_ms_max",
        "stream_gap_ms_max",
        "stream_comment_ms",
        "connections_per_core_max",
        "connections_per_address_max",
        "requests_per_connection_max",
        "buffer_bytes_per_core_max",
        "upstream_idle_per_endpoint_max",
        "upstream_requests_per_endpoint_max",
        "upstream_queue_max",
        "upstream_queue_ms_max",
        "upstream_probe_ms",
        "holds_per_core_max",
        "drain_ms_max",
    ];
}

const LIMIT_KEYS: Keys = Keys::known(DataplaneLimits::KEYS);

const OPERATIONS_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9440);

/// Five times the longest wait for what was revoked.
const REVOCATION_SILENCE_MS: u64 = 10_000;

/// A head fits one buffer of the pool.
const HEAD_BYTES_MAX: usize = 16_384;

pub(super) fn read(value: Reader<'_>) -> Option<DataplaneSettings> {
    let fields = value.mapping(&KEYS)?;
    let callers = fields.required("listen", listen);
    let operations_listen = fields.or("operations_listen", OPERATIONS_LISTEN, listen);
    let state_dir = fields.required("state_dir", path);
    let join_file = fields.optional("join_file", path);
    let access_log = fields.or("access_log", PathBuf::from("-"), path);
    let cores = fields.or("cores", 0, |value| value.integer(0..=1024));
    let hosts = fields.or("hosts", Vec::new(), |value| value.list(0, host));
    let staleness =
        fields.or("snapshot_staleness_ms_max", DAY_MS, |value| value.integer(1..=30 * DAY_MS));
    let silence = fields.or("revocation_silence_ms_max", REVOCATION_SILENCE_MS, |value| {
        value.integer(1_000..=600_000)
    });
    let tls = fields.optional("tls", tls::read);
    let upstream_ca_file = fields.optional("upstream_ca_file", path);
    let limits = fields.or("limits", DataplaneLimits::default(), limits);
    check_apart(fields, ("listen", callers), ("operations_listen", operations_listen));
    Some(DataplaneSettings {
        listen: callers?,
        operations_listen: operations_listen?,
        state_dir: state_dir?,
        join_file: join_file?,
        access_log: access_log?,
        cores: u16::try_from(cores?).ok()?,
        hosts: hosts?,
        snapshot_staleness_ms_max: staleness?,
        revocation_silence_ms_max: silence?,
        tls: tls?,
        upstream_ca_file: upstream_ca_file?,
        limits: limits?,
    })
}

/// `host` or `host:port`, as a `Host` field has it (RFC 9110 section 7.2), in lower case.
fn host(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    match split_authority(text) {
        Ok(_) => Some(text.to_ascii_lowercase()),
        Err(reason) => value.problem("not a host", reason),
    }
}

impl Default for DataplaneLimits {
    fn default() -> Self {
        Self {
            head_bytes_max: HEAD_BYTES_MAX,
            header_count_max: 100,
            target_bytes_max: 8_192,
            tls_handshake_ms_max: 10_000,
            head_ms_max: 10_000,
            keep_alive_ms_max: 75_000,
            body_gap_ms_max: 30_000,
            send_stall_ms_max: 60_000,
            connect_ms_max: 2_000,
            first_byte_ms_max: 120_000,
            stream_gap_ms_max: 300_000,
            stream_comment_ms: 15_000,
            connections_per_core_max: 16_384,
            connections_per_address_max: 4_096,
            requests_per_connection_max: 10_000,
            buffer_bytes_per_core_max: 268_435_456,
            upstream_idle_per_endpoint_max: 64,
            upstream_requests_per_endpoint_max: 1_024,
            upstream_queue_max: 1_024,
            upstream_queue_ms_max: 5_000,
            upstream_probe_ms: 10_000,
            holds_per_core_max: 10_000,
            drain_ms_max: 600_000,
        }
    }
}

/// A size from 1 (or another minimum) up.
fn size(fields: Fields<'_>, key: &str, default: usize, least: u64, most: u64) -> Option<usize> {
    fields.or(key, default, |value| usize::try_from(value.integer(least..=most)?).ok())
}

/// A time from 1 millisecond to a day.
fn time_ms(fields: Fields<'_>, key: &str, default: u64) -> Option<u64> {
    fields.or(key, default, |value| value.integer(1..=DAY_MS))
}

/// A time up to a day; 0 is never.
fn time_or_never(fields: Fields<'_>, key: &str, default: u64) -> Option<u64> {
    fields.or(key, default, |value| value.integer(0..=DAY_MS))
}

fn limits(value: Reader<'_>) -> Option<DataplaneLimits> {
    let fields = value.mapping(&LIMIT_KEYS)?;
    let default = DataplaneLimits::default();
    let head_bytes_max =
        size(fields, "head_bytes_max", default.head_bytes_max, 512, HEAD_BYTES_MAX as u64);
    let header_count_max = size(fields, "header_count_max", default.header_count_max, 8, 256);
    let target_bytes_max =
        size(fields, "target_bytes_max", default.target_bytes_max, 64, HEAD_BYTES_MAX as u64);
    let connections =
        size(fields, "connections_per_core_max", default.connections_per_core_max, 1, 1 << 20);
    let per_address = size(
        fields,
        "connections_per_address_max",
        default.connections_per_address_max,
        1,
        1 << 20,
    );
    let requests =
        fields.or("requests_per_connection_max", default.requests_per_connection_max, |value| {
            value.integer(1..=1_000_000_000)
        });
    let buffers = size(
        fields,
        "buffer_bytes_per_core_max",
        default.buffer_bytes_per_core_max,
        1 << 20,
        1 << 40,
    );
    let holds = size(fields, "holds_per_core_max", default.holds_per_core_max, 0, 1 << 20);
    let times = times(fields, &default);
    let upstream = upstream(fields, times.as_ref().unwrap_or(&default));
    times?;
    Some(DataplaneLimits {
        head_bytes_max: head_bytes_max?,
        header_count_max: header_count_max?,
        target_bytes_max: target_bytes_max?,
        connections_per_core_max: connections?,
        connections_per_address_max: per_address?,
        requests_per_connection_max: requests?,
        buffer_bytes_per_core_max: buffers?,
        holds_per_core_max: holds?,
        ..upstream?
    })
}

/// How much goes to one upstream at a time; the other limits stay as they are.
fn upstream(fields: Fields<'_>, others: &DataplaneLimits) -> Option<DataplaneLimits> {
    let count = |key: &str, default: usize, most: u64| size(fields, key, default, 0, most);
    let idle =
        count("upstream_idle_per_endpoint_max", others.upstream_idle_per_endpoint_max, 65_536);
    let queue = count("upstream_queue_max", others.upstream_queue_max, 1 << 20);
    let queue_ms = time_ms(fields, "upstream_queue_ms_max", others.upstream_queue_ms_max);
    let running = fields.or(
        "upstream_requests_per_endpoint_max",
        others.upstream_requests_per_endpoint_max,
        |value| u32::try_from(value.integer(1..=1 << 20)?).ok(),
    );
    let probe_ms = time_or_never(fields, "upstream_probe_ms", others.upstream_probe_ms);
    Some(DataplaneLimits {
        upstream_idle_per_endpoint_max: idle?,
        upstream_requests_per_endpoint_max: running?,
        upstream_queue_max: queue?,
        upstream_queue_ms_max: queue_ms?,
        upstream_probe_ms: probe_ms?,
        ..others.clone()
    })
}

/// The limits that are times; the others stay as they are.
fn times(fields: Fields<'_>, default: &DataplaneLimits) -> Option<DataplaneLimits> {
    let tls_handshake_ms_max =
        time_ms(fields, "tls_handshake_ms_max", default.tls_handshake_ms_max);
    let head_ms_max = time_ms(fields, "head_ms_max", default.head_ms_max);
    let keep_alive_ms_max = time_ms(fields, "keep_alive_ms_max", default.keep_alive_ms_max);
    let body_gap_ms_max = time_ms(fields, "body_gap_ms_max", default.body_gap_ms_max);
    let send_stall_ms_max = time_ms(fields, "send_stall_ms_max", default.send_stall_ms_max);
    let connect_ms_max = time_ms(fields, "connect_ms_max", default.connect_ms_max);
    let first_byte_ms_max = time_ms(fields, "first_byte_ms_max", default.first_byte_ms_max);
    let stream_gap_ms_max = time_ms(fields, "stream_gap_ms_max", default.stream_gap_ms_max);
    let stream_comment_ms = time_or_never(fields, "stream_comment_ms", default.stream_comment_ms);
    let drain_ms_max = time_ms(fields, "drain_ms_max", default.drain_ms_max);
    Some(DataplaneLimits {
        tls_handshake_ms_max: tls_handshake_ms_max?,
        head_ms_max: head_ms_max?,
        keep_alive_ms_max: keep_alive_ms_max?,
        body_gap_ms_max: body_gap_ms_max?,
        send_stall_ms_max: send_stall_ms_max?,
        connect_ms_max: connect_ms_max?,
        first_byte_ms_max: first_byte_ms_max?,
        stream_gap_ms_max: stream_gap_ms_max?,
        stream_comment_ms: stream_comment_ms?,
        drain_ms_max: drain_ms_max?,
        ..default.clone()
    })
}
