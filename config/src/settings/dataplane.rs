//! `penstock-dataplane --config FILE`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::values::{DAY_MS, check_apart, listen, path};
use super::{DataplaneLimits, DataplaneSettings};
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
    "limits",
]);

const LIMIT_KEYS: Keys = Keys::known(&[
    "head_bytes_max",
    "header_count_max",
    "target_bytes_max",
    "head_ms_max",
    "keep_alive_ms_max",
    "body_gap_ms_max",
    "send_stall_ms_max",
    "connect_ms_max",
    "first_byte_ms_max",
    "stream_gap_ms_max",
    "connections_per_core_max",
    "requests_per_connection_max",
    "buffer_bytes_per_core_max",
    "upstream_idle_per_endpoint_max",
    "drain_ms_max",
]);

const OPERATIONS_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9440);

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
            head_ms_max: 10_000,
            keep_alive_ms_max: 75_000,
            body_gap_ms_max: 30_000,
            send_stall_ms_max: 60_000,
            connect_ms_max: 2_000,
            first_byte_ms_max: 120_000,
            stream_gap_ms_max: 300_000,
            connections_per_core_max: 16_384,
            requests_per_connection_max: 10_000,
            buffer_bytes_per_core_max: 268_435_456,
            upstream_idle_per_endpoint_max: 64,
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
    let idle = size(
        fields,
        "upstream_idle_per_endpoint_max",
        default.upstream_idle_per_endpoint_max,
        0,
        65_536,
    );
    let times = times(fields, &default);
    Some(DataplaneLimits {
        head_bytes_max: head_bytes_max?,
        header_count_max: header_count_max?,
        target_bytes_max: target_bytes_max?,
        connections_per_core_max: connections?,
        requests_per_connection_max: requests?,
        buffer_bytes_per_core_max: buffers?,
        upstream_idle_per_endpoint_max: idle?,
        ..times?
    })
}

/// The limits that are times; the others stay as they are.
fn times(fields: Fields<'_>, default: &DataplaneLimits) -> Option<DataplaneLimits> {
    let head_ms_max = time_ms(fields, "head_ms_max", default.head_ms_max);
    let keep_alive_ms_max = time_ms(fields, "keep_alive_ms_max", default.keep_alive_ms_max);
    let body_gap_ms_max = time_ms(fields, "body_gap_ms_max", default.body_gap_ms_max);
    let send_stall_ms_max = time_ms(fields, "send_stall_ms_max", default.send_stall_ms_max);
    let connect_ms_max = time_ms(fields, "connect_ms_max", default.connect_ms_max);
    let first_byte_ms_max = time_ms(fields, "first_byte_ms_max", default.first_byte_ms_max);
    let stream_gap_ms_max = time_ms(fields, "stream_gap_ms_max", default.stream_gap_ms_max);
    let drain_ms_max = time_ms(fields, "drain_ms_max", default.drain_ms_max);
    Some(DataplaneLimits {
        head_ms_max: head_ms_max?,
        keep_alive_ms_max: keep_alive_ms_max?,
        body_gap_ms_max: body_gap_ms_max?,
        send_stall_ms_max: send_stall_ms_max?,
        connect_ms_max: connect_ms_max?,
        first_byte_ms_max: first_byte_ms_max?,
        stream_gap_ms_max: stream_gap_ms_max?,
        drain_ms_max: drain_ms_max?,
        ..default.clone()
    })
}
