mod people;
mod tls;

use super::*;

const DATAPLANE: &str = "listen: 127.0.0.1:8080\nstate_dir: state\n";
const CONTROLPLANE: &str =
    "listen: 127.0.0.1:8081\nnodes_listen: 127.0.0.1:9443\nstate_dir: state\n";

fn source(text: &str) -> Source {
    Source { name: "settings.yaml".into(), text: text.into() }
}

fn lines<T>(result: Result<T, Vec<Diagnostic>>) -> Vec<String> {
    let found = result.err().unwrap_or_default();
    found.iter().map(|one| format!("{}:{}: {}", one.line, one.column, one.message)).collect()
}

/// Problems of data-plane settings, as `line:column: message`.
fn dataplane(text: &str) -> Vec<String> {
    lines(DataplaneSettings::parse(&source(text)))
}

fn files(chain: &str, key: &str) -> CertificateFiles {
    CertificateFiles { chain_file: chain.into(), key_file: key.into() }
}

/// Problems of control-plane settings.
fn controlplane(text: &str) -> Vec<String> {
    lines(ControlplaneSettings::parse(&source(text)))
}

#[test]
fn the_data_plane_has_the_documented_defaults() {
    let settings = DataplaneSettings::parse(&source(DATAPLANE)).expect("settings");
    let expected = DataplaneSettings {
        listen: ([127, 0, 0, 1], 8080).into(),
        operations_listen: ([127, 0, 0, 1], 9440).into(),
        state_dir: "state".into(),
        join_file: None,
        access_log: "-".into(),
        cores: 0,
        hosts: Vec::new(),
        snapshot_staleness_ms_max: 86_400_000,
        revocation_silence_ms_max: 10_000,
        tls: None,
        upstream_ca_file: None,
        limits: DataplaneLimits {
            head_bytes_max: 16_384,
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
        },
    };
    assert_eq!(settings, expected);
}

#[test]
fn the_control_plane_has_the_documented_defaults() {
    let settings = ControlplaneSettings::parse(&source(CONTROLPLANE)).expect("settings");
    let expected = ControlplaneSettings {
        listen: ([127, 0, 0, 1], 8081).into(),
        nodes_listen: ([127, 0, 0, 1], 9443).into(),
        nodes_url: None,
        state_dir: "state".into(),
        snapshot_key_file: "state/snapshot.key".into(),
        snapshot_key_next_file: None,
        encryption_key_file: "state/encryption.key".into(),
        first_run_file: None,
        tls: None,
        snapshot_lifetime_ms: 604_800_000,
        jwks_refresh_ms: 300_000,
        issuer_private_addresses: false,
        webhook_private_addresses: false,
        approval_url: None,
        smtp: None,
        sign_in: None,
    };
    assert_eq!(settings, expected);
}

#[test]
fn every_key_of_the_data_plane_is_read() {
    let text = "listen: \"[::1]:1\"\noperations_listen: 127.0.0.1:2\nstate_dir: ../a b\n\
                join_file: j\naccess_log: /var/log/a\ncores: 3\n\
                hosts: [Gw.Example.com:8443, \"[::1]\"]\n\
                snapshot_staleness_ms_max: 4\nupstream_ca_file: roots.pem\n\
                revocation_silence_ms_max: 1021\n\
                tls:\n  certificates:\n  - {chain_file: a.pem, key_file: a.key}\n  \
                - {chain_file: b.pem, key_file: b.key}\n  \
                client_certificates: required\n  client_ca_file: clients.pem\n\
                limits:\n  tls_handshake_ms_max: 1000\n  head_bytes_max: 1001\n  \
                header_count_max: 102\n  target_bytes_max: 1003\n  head_ms_max: 1004\n  \
                keep_alive_ms_max: 1005\n  body_gap_ms_max: 1006\n  send_stall_ms_max: 1007\n  \
                connect_ms_max: 1008\n  first_byte_ms_max: 1009\n  stream_gap_ms_max: 1010\n  \
                connections_per_core_max: 1011\n  requests_per_connection_max: 1012\n  \
                buffer_bytes_per_core_max: 2000013\n  upstream_idle_per_endpoint_max: 0\n  \
                drain_ms_max: 1015\n  stream_comment_ms: 0\n  \
                connections_per_address_max: 1016\n  upstream_requests_per_endpoint_max: 1017\n  \
                upstream_queue_max: 0\n  upstream_queue_ms_max: 1019\n  upstream_probe_ms: 0\n  \
                holds_per_core_max: 0\n";
    let expected = DataplaneSettings {
        listen: "[::1]:1".parse().expect("an address"),
        operations_listen: ([127, 0, 0, 1], 2).into(),
        state_dir: "../a b".into(),
        join_file: Some("j".into()),
        access_log: "/var/log/a".into(),
        cores: 3,
        hosts: vec!["gw.example.com:8443".into(), "[::1]".into()],
        snapshot_staleness_ms_max: 4,
        revocation_silence_ms_max: 1_021,
        tls: Some(DataplaneTls {
            certificates: vec![files("a.pem", "a.key"), files("b.pem", "b.key")],
            client_certificates: ClientCertificates::Required { ca_file: "clients.pem".into() },
        }),
        upstream_ca_file: Some("roots.pem".into()),
        limits: DataplaneLimits {
            head_bytes_max: 1001,
            header_count_max: 102,
            target_bytes_max: 1003,
            tls_handshake_ms_max: 1000,
            head_ms_max: 1004,
            keep_alive_ms_max: 1005,
            body_gap_ms_max: 1006,
            send_stall_ms_max: 1007,
            connect_ms_max: 1008,
            first_byte_ms_max: 1009,
            stream_gap_ms_max: 1010,
            stream_comment_ms: 0,
            connections_per_core_max: 1011,
            connections_per_address_max: 1016,
            requests_per_connection_max: 1012,
            buffer_bytes_per_core_max: 2_000_013,
            upstream_idle_per_endpoint_max: 0,
            upstream_requests_per_endpoint_max: 1_017,
            upstream_queue_max: 0,
            upstream_queue_ms_max: 1_019,
            upstream_probe_ms: 0,
            holds_per_core_max: 0,
            drain_ms_max: 1015,
        },
    };
    assert_eq!(DataplaneSettings::parse(&source(text)), Ok(expected));
}

#[test]
fn every_key_of_the_control_plane_is_read() {
    let text = "listen: 0.0.0.0:1\nnodes_listen: 0.0.0.0:2\nnodes_url: https://cp.example.com:2/\n\
                state_dir: s\nsnapshot_key_file: a\nsnapshot_key_next_file: b\n\
                encryption_key_file: c\nfirst_run_file: d\n\
                tls: {certificate_file: e, key_file: f}\nsnapshot_lifetime_ms: 5\n\
                jwks_refresh_ms: 6\nissuer_private_addresses: allow\n\
                webhook_private_addresses: allow\napproval_url: https://cp.example.com/\n\
                smtp: {url: \"smtps://mail.example.com\", from: a@example.com, username: b, \
                password_file: g, ca_file: h}\n\
                sign_in: {issuer: company, client_id: page, scopes: [openid, groups]}\n";
    let expected = ControlplaneSettings {
        listen: ([0, 0, 0, 0], 1).into(),
        nodes_listen: ([0, 0, 0, 0], 2).into(),
        nodes_url: Some("https://cp.example.com:2".into()),
        state_dir: "s".into(),
        snapshot_key_file: "a".into(),
        snapshot_key_next_file: Some("b".into()),
        encryption_key_file: "c".into(),
        first_run_file: Some("d".into()),
        tls: Some(TlsFiles { certificate_file: "e".into(), key_file: "f".into() }),
        snapshot_lifetime_ms: 5,
        jwks_refresh_ms: 6,
        issuer_private_addresses: true,
        webhook_private_addresses: true,
        approval_url: Some("https://cp.example.com".into()),
        smtp: Some(SmtpSettings {
            tls: SmtpTls::FromTheStart,
            host: "mail.example.com".into(),
            port: 465,
            from: "a@example.com".into(),
            username: Some("b".into()),
            password_file: Some("g".into()),
            ca_file: Some("h".into()),
        }),
        sign_in: Some(SignInSettings {
            issuer: "company".into(),
            client_id: "page".into(),
            scopes: vec!["openid".into(), "groups".into()],
        }),
    };
    assert_eq!(ControlplaneSettings::parse(&source(text)), Ok(expected));
}

#[test]
fn missing_keys_are_all_named() {
    assert_eq!(dataplane("{}"), ["1:1: missing key `listen`", "1:1: missing key `state_dir`"]);
    let keys = ["listen", "nodes_listen", "state_dir"];
    assert_eq!(controlplane("{}"), keys.map(|key| format!("1:1: missing key `{key}`")));
}

#[test]
fn an_empty_file_a_list_and_two_documents_are_refused() {
    assert_eq!(dataplane("# nothing\n"), ["1:1: no settings"]);
    assert_eq!(dataplane("- a\n"), ["1:1: expected a mapping, found a list"]);
    let two = format!("{DATAPLANE}---\n{DATAPLANE}");
    assert_eq!(dataplane(&two), ["4:1: a second document"]);
    assert_eq!(dataplane("a: [\n").len(), 1);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let text = format!("{DATAPLANE}acces_log: a\nlimits: {{head_byte_max: 1}}\n");
    assert_eq!(
        dataplane(&text),
        ["3:1: unknown key `acces_log`", "4:10: unknown key `head_byte_max`"]
    );
    let found = DataplaneSettings::parse(&source(&text)).expect_err("refused");
    assert_eq!(found[0].hint.as_deref(), Some("did you mean `access_log`?"));
    assert_eq!(found[1].hint.as_deref(), Some("did you mean `head_bytes_max`?"));
    let text = format!("{CONTROLPLANE}tls: {{certificate_file: a, key_file: b, ca: c}}\n");
    assert_eq!(controlplane(&text), ["4:41: unknown key `ca`"]);
    assert_eq!(
        dataplane(&format!("{DATAPLANE}cores: 1\ncores: 2\n")),
        ["4:1: duplicate key `cores`"]
    );
}

#[test]
fn an_address_to_listen_on_is_an_ip_address_and_a_port() {
    for address in
        ["8080", "localhost:8080", "127.0.0.1", "127.0.0.1:65536", "\"[::1\"", "http://a"]
    {
        let text = DATAPLANE.replace("127.0.0.1:8080", address);
        let found = dataplane(&text);
        assert_eq!(found.len(), 1, "{address}");
        assert!(found[0].starts_with("1:9: "), "{found:?}");
    }
    assert_eq!(dataplane(&DATAPLANE.replace("8080", "0")), Vec::<String>::new());
}

#[test]
fn two_listeners_cannot_share_an_address() {
    let text = format!("{DATAPLANE}operations_listen: 127.0.0.1:8080\n");
    assert_eq!(dataplane(&text), ["3:20: the same address as `listen`"]);
    let by_default = DATAPLANE.replace("8080", "9440");
    assert_eq!(dataplane(&by_default), ["1:1: the same address as `listen`"]);
    let text = CONTROLPLANE.replace("9443", "8081");
    assert_eq!(controlplane(&text), ["2:15: the same address as `listen`"]);
    let chosen = CONTROLPLANE.replace("9443", "0").replace("8081", "0");
    assert_eq!(controlplane(&chosen), Vec::<String>::new());
}

#[test]
fn the_api_beyond_this_machine_needs_tls() {
    let text = CONTROLPLANE.replace("127.0.0.1:8081", "0.0.0.0:8081");
    assert_eq!(controlplane(&text), ["1:9: an address beyond this machine needs `tls`"]);
    let text = CONTROLPLANE.replace("127.0.0.1:8081", "\"[2001:db8::1]:8081\"");
    assert_eq!(controlplane(&text), ["1:9: an address beyond this machine needs `tls`"]);
    let secure = format!("{text}tls: {{certificate_file: a, key_file: b}}\n");
    assert_eq!(controlplane(&secure), Vec::<String>::new());
    let half = format!("{text}tls: {{certificate_file: a}}\n");
    assert_eq!(controlplane(&half), ["4:6: missing key `key_file`"]);
}

#[test]
fn nodes_need_an_address_that_they_can_dial() {
    let text = CONTROLPLANE.replace("127.0.0.1:9443", "0.0.0.0:9443");
    assert_eq!(controlplane(&text), ["2:15: nodes cannot dial an unspecified address"]);
    for url in ["http://a:9443", "https://a/path", "https://a?b", "https://u@a", "a:9443"] {
        let text = format!("{CONTROLPLANE}nodes_url: {url}\n");
        let found = controlplane(&text);
        assert_eq!(found.len(), 1, "{url}");
        assert!(found[0].starts_with("4:12: not "), "{found:?}");
    }
}

#[test]
fn the_next_snapshot_key_is_another_file() {
    let text = format!("{CONTROLPLANE}snapshot_key_next_file: state/snapshot.key\n");
    assert_eq!(controlplane(&text), ["4:25: the same file as `snapshot_key_file`"]);
}

#[test]
fn a_head_fits_one_buffer() {
    let text = format!("{DATAPLANE}limits: {{head_bytes_max: 16385}}\n");
    assert_eq!(dataplane(&text), ["3:26: out of range"]);
}

#[test]
fn no_time_or_size_is_zero_or_beyond_reason() {
    let limits = [
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
        "connections_per_core_max",
        "connections_per_address_max",
        "requests_per_connection_max",
        "buffer_bytes_per_core_max",
        "upstream_requests_per_endpoint_max",
        "upstream_queue_ms_max",
        "drain_ms_max",
    ];
    for limit in limits {
        for number in ["0", "-1", "18446744073709551615", "99999999999999999999999"] {
            let text = format!("{DATAPLANE}limits:\n  {limit}: {number}\n");
            let expected = format!("4:{}: out of range", limit.len() + 5);
            assert_eq!(dataplane(&text), [expected], "{limit} {number}");
        }
    }
    for (key, number) in [
        ("cores", "1025"),
        ("snapshot_staleness_ms_max", "0"),
        ("revocation_silence_ms_max", "999"),
        ("revocation_silence_ms_max", "600001"),
    ] {
        let text = format!("{DATAPLANE}{key}: {number}\n");
        assert_eq!(dataplane(&text), [format!("3:{}: out of range", key.len() + 3)]);
    }
    for key in ["snapshot_lifetime_ms", "jwks_refresh_ms"] {
        let text = format!("{CONTROLPLANE}{key}: 0\n");
        assert_eq!(controlplane(&text), [format!("4:{}: out of range", key.len() + 3)]);
    }
}

#[test]
fn a_path_is_not_empty_and_has_no_nul() {
    assert_eq!(dataplane(&DATAPLANE.replace("state\n", "\"\"\n")), ["2:12: empty text"]);
    let text = DATAPLANE.replace("state\n", "\"a\\0b\"\n");
    assert_eq!(dataplane(&text), ["2:12: a path with a NUL character"]);
}

#[test]
fn a_host_is_a_host_with_or_without_a_port() {
    let text = format!("{DATAPLANE}hosts: [\"a b\", http://a, \"a:0\", \"\"]\n");
    let found = dataplane(&text);
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(found[0], "3:9: not a host");
}

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let text = "listen: x\ncores: -1\nhosts: 5\nlimits: {head_ms_max: 0, no: 1}\n";
    let found = dataplane(text);
    let places: Vec<_> = found.iter().map(|line| line.split(": ").next().unwrap_or("")).collect();
    assert_eq!(places, ["1:1", "1:9", "2:8", "3:8", "4:23", "4:26"]);
}
