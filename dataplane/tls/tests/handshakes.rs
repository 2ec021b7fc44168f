//! Handshakes: who is let in, who is refused, and by which class.

#![allow(unreachable_pub, reason = "helpers of several test programs")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use penstock_reactor::memory::{Direction, Link};
use penstock_reactor::network::{Network as _, Receiver as _, Sender as _, Stream as _};
use penstock_tls::{
    Authorities, AuthoritiesError, Certificate, CertificateError, ClientCertificates, ClientTls,
    Distrust, Failure, ServerTls, SetupError, Tickets,
};
use rustls::AlertDescription;
use rustls::version::{TLS12, TLS13};

/// A link on which everything comes in pieces of so many bytes.
fn cut_to(bytes: usize) -> Link {
    let direction =
        Direction { send_bytes_max: bytes, receive_bytes_max: bytes, ..Direction::default() };
    Link { inbound: direction.clone(), outbound: direction, ..Link::default() }
}

#[test]
fn both_versions_work_however_the_bytes_are_cut() {
    let setting = Setting::new();
    for version in [&TLS12, &TLS13] {
        for bytes in [1, 2, 3, 5, 7, 64, 1000, usize::MAX] {
            let mut stage = Stage::new(bytes as u64);
            let mut config = setting.raw_config(&[version]);
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            let (accepted, mut client, met) =
                RawClient::meet(&mut stage, &setting.server, config, cut_to(bytes));
            met.unwrap();
            assert_eq!(client.tls.protocol_version(), Some(version.version));
            assert_eq!(client.tls.alpn_protocol(), Some(&b"http/1.1"[..]));
            let (mut receiver, mut sender) = accepted.unwrap().split();
            stage
                .simulation
                .run_until(async {
                    client.write(b"a question").await;
                    assert_eq!(read_exactly(&mut receiver, 10).await, b"a question");
                    send(&mut sender, &[b"an ", b"answer"]).await.unwrap();
                    assert_eq!(client.read_exactly(9).await, b"an answer");
                })
                .unwrap();
            assert_eq!(stage.pool_bytes(), 0, "an idle connection holds no buffer");
        }
    }
}

#[test]
fn both_our_sides_meet_on_the_roughest_link() {
    let setting = Setting::new();
    for seed in 0..40 {
        let mut stage = Stage::new(seed);
        let (server, client) = stage.secured(&setting, Link::rough());
        drop((server, client));
        assert_eq!(stage.pool_bytes(), 0);
    }
}

#[test]
fn a_session_is_resumed_also_by_a_configuration_that_was_loaded_anew() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let resumed = |stage: &mut Stage, server: &ServerTls| {
        let (accepted, connected) = stage.attempt(server, &setting.client, Link::default());
        let (accepted, connected) = (accepted.unwrap(), connected.unwrap());
        assert_eq!(accepted.is_resumed(), connected.is_resumed());
        let resumed = connected.is_resumed();
        // Tickets come behind the handshake.
        let (mut receiver, _sender) = connected.split();
        assert!(receiver.is_quiet());
        resumed
    };
    assert!(!resumed(&mut stage, &setting.server));
    assert!(resumed(&mut stage, &setting.server));
    let certificate = setting.authority.issue(&["gateway.test"]).load();
    let reloaded =
        ServerTls::new(&[certificate], &ClientCertificates::None, &setting.tickets).unwrap();
    assert!(resumed(&mut stage, &reloaded));
}

#[test]
fn a_session_from_before_does_not_stand_in_for_a_client_certificate() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    for _ in 0..2 {
        let (_server, client) = stage.secured(&setting, Link::default());
        assert!(client.split().0.is_quiet(), "its tickets came");
    }
    let required = ClientCertificates::Required(setting.authority.authorities());
    let certificate = setting.authority.issue(&["gateway.test"]).load();
    let stricter = ServerTls::new(&[certificate], &required, &setting.tickets).unwrap();
    let (accepted, _) = stage.attempt(&stricter, &setting.client, Link::default());
    assert_eq!(accepted.unwrap_err(), Failure::CertificateMissing);
}

#[test]
fn a_client_that_offers_protocols_without_http_1_1_is_refused_by_alert() {
    let setting = Setting::new();
    for version in [&TLS12, &TLS13] {
        let mut stage = Stage::new(1);
        let mut config = setting.raw_config(&[version]);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (accepted, _, met) =
            RawClient::meet(&mut stage, &setting.server, config, Link::default());
        assert_eq!(accepted.unwrap_err(), Failure::Alpn);
        assert!(met.unwrap_err().contains("NoApplicationProtocol"));
    }
}

#[test]
fn certificates_are_chosen_by_name_and_the_first_one_is_the_default() {
    let setting = Setting::new();
    let pairs = [&["first.test"][..], &["second.test"], &["*.wild.test"]];
    let certificates: Vec<Certificate> =
        pairs.iter().map(|names| setting.authority.issue(names).load()).collect();
    let server =
        ServerTls::new(&certificates, &ClientCertificates::None, &setting.tickets).unwrap();
    let authorities = setting.authority.authorities();
    for (name, expected) in [
        ("first.test", Ok(())),
        ("SECOND.test", Ok(())),
        ("a.wild.test", Ok(())),
        ("b.a.wild.test", Err(Failure::Certificate(Distrust::Name))),
        ("other.test", Err(Failure::Certificate(Distrust::Name))),
        ("127.0.0.1", Err(Failure::Certificate(Distrust::Name))),
    ] {
        let mut stage = Stage::new(1);
        let client = ClientTls::new(&authorities, name, None).unwrap();
        let (_, connected) = stage.attempt(&server, &client, Link::default());
        assert_eq!(connected.map(drop), expected, "{name}");
    }
}

#[test]
fn a_server_is_verified_by_authority_name_and_address() {
    let setting = Setting::new();
    let stranger = Authority::new().authorities();
    let ours = setting.authority.authorities();
    for (authorities, name, expected) in [
        (&ours, "127.0.0.1", Ok(())),
        (&ours, "[::1]", Err(Failure::Certificate(Distrust::Name))),
        (&ours, "other.test", Err(Failure::Certificate(Distrust::Name))),
        (&stranger, "gateway.test", Err(Failure::Certificate(Distrust::Issuer))),
    ] {
        let mut stage = Stage::new(1);
        let client = ClientTls::new(authorities, name, None).unwrap();
        let (accepted, connected) = stage.attempt(&setting.server, &client, Link::default());
        assert_eq!(connected.map(drop), expected, "{name}");
        // The server's side of TLS 1.3 learns it by the alert.
        if expected.is_err() {
            assert!(matches!(accepted.unwrap_err(), Failure::Refused(_)));
        }
    }
    assert!(matches!(ClientTls::new(&ours, "a name", None), Err(SetupError::ServerName)));
}

#[test]
fn client_certificates_are_asked_for_as_configured() {
    let setting = Setting::new();
    let trusted = Authority::new();
    let (ours, foreign) = (trusted.issue(&["caller"]), Authority::new().issue(&["caller"]));
    let plain = || setting.raw_config(rustls::DEFAULT_VERSIONS);
    let certificate = setting.authority.issue(&["gateway.test"]).load();
    let optional = ClientCertificates::Optional(trusted.authorities());
    let required = ClientCertificates::Required(trusted.authorities());
    let issuer = Err(Failure::Certificate(Distrust::Issuer));
    for (clients, config, expected) in [
        (&optional, plain(), Ok(())),
        (&optional, setting.raw_config_with(&ours), Ok(())),
        (&optional, setting.raw_config_with(&foreign), issuer),
        (&required, plain(), Err(Failure::CertificateMissing)),
        (&required, setting.raw_config_with(&ours), Ok(())),
        (&required, setting.raw_config_with(&foreign), issuer),
    ] {
        let server =
            ServerTls::new(std::slice::from_ref(&certificate), clients, &setting.tickets).unwrap();
        let mut stage = Stage::new(1);
        let (accepted, ..) = RawClient::meet(&mut stage, &server, config, Link::default());
        assert_eq!(accepted.map(drop), expected);
    }
}

#[test]
fn our_client_shows_its_certificate_and_learns_that_it_was_refused() {
    let setting = Setting::new();
    let trusted = Authority::new();
    let required = ClientCertificates::Required(trusted.authorities());
    let certificate = setting.authority.issue(&["gateway.test"]).load();
    let server = ServerTls::new(&[certificate], &required, &setting.tickets).unwrap();
    let ours = Arc::new(trusted.issue(&["gateway"]).certified_key());
    let authorities = setting.authority.authorities();
    let shown = ClientTls::new(&authorities, "gateway.test", Some(&ours)).unwrap();
    let mut stage = Stage::new(1);
    let (accepted, _) = stage.attempt(&server, &shown, Link::default());
    accepted.unwrap();
    // In TLS 1.3 the refusal comes after our side of the handshake.
    let (accepted, connected) = stage.attempt(&server, &setting.client, Link::default());
    assert_eq!(accepted.unwrap_err(), Failure::CertificateMissing);
    let (mut receiver, _sender) = connected.unwrap().split();
    let (bytes, end) = stage.simulation.run_until(read_all(&mut receiver)).unwrap();
    assert!(bytes.is_empty() && end.is_err());
    let alert = AlertDescription::CertificateRequired;
    assert_eq!(receiver.failure(), Some(Failure::Refused(alert)));
}

#[test]
fn what_is_not_tls_is_told_at_once() {
    let setting = Setting::new();
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: gateway.test\r\n\r\n"[..],
        b"\x16\x03\x01\xff\xff a record that claims to be too long",
        b"\x80\x2e\x01\x00\x02 SSL 2",
        &[0; 100],
    ] {
        let mut stage = Stage::new(1);
        let (stream, mut peer) = stage.network.connected(cut_to(3));
        let network = stage.network.clone();
        let accept = penstock_tls::accept(&network, stream, &setting.server, TIME_MAX);
        let both = async { futures_util::future::join(accept, peer.write(bytes)).await };
        let (accepted, _) = stage.simulation.run_until(both).unwrap();
        assert_eq!(accepted.unwrap_err(), Failure::NotTls);
        assert!(stage.simulation.now() < TIME_MAX);
        assert_eq!(stage.pool_bytes(), 0);
    }
}

#[test]
fn every_single_byte_that_is_changed_in_a_handshake_ends_in_an_error() {
    let setting = Setting::new();
    let hello = {
        let mut stage = Stage::new(1);
        let (_, peer) = stage.network.connected(Link::default());
        let config = Arc::new(setting.raw_config(rustls::DEFAULT_VERSIONS));
        let mut client = RawClient::new(&config, peer);
        let _ = &mut stage;
        client.take_ciphertext()
    };
    for index in 0..hello.len() {
        let mut stage = Stage::new(index as u64);
        let (stream, mut peer) = stage.network.connected(Link::default());
        let mut changed = hello.clone();
        changed[index] ^= 0x55;
        let network = stage.network.clone();
        let server = setting.server.clone();
        let accept =
            async { penstock_tls::accept(&network, stream, &server, TIME_MAX).await.map(drop) };
        let write = async {
            let _ = peer.write(&changed).await;
            peer.finish();
            let _ = peer.read_to_end().await;
        };
        let both = async { futures_util::future::join(accept, write).await };
        let (accepted, ()) = stage.simulation.run_until(both).unwrap();
        assert!(accepted.is_err());
        assert_eq!(stage.pool_bytes(), 0);
    }
}

#[test]
fn a_slow_handshake_ends_at_its_limit() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let (stream, mut peer) = stage.network.connected(Link::default());
    let network = stage.network.clone();
    let drip = async {
        // A record that says it is long, a byte a second.
        for byte in [22, 3, 1, 0x20, 0].into_iter().chain([1; 8192]) {
            if peer.write(&[byte]).await.is_err() {
                break;
            }
            network.sleep(Duration::from_secs(1)).await;
        }
    };
    let accept = penstock_tls::accept(&network, stream, &setting.server, TIME_MAX);
    let both = async { futures_util::future::join(accept, drip).await };
    let (accepted, ()) = stage.simulation.run_until(both).unwrap();
    assert_eq!(accepted.unwrap_err(), Failure::Timeout);
    assert_eq!(stage.pool_bytes(), 0);
}

#[test]
fn a_handshake_without_end_is_too_long_whatever_its_records() {
    let setting = Setting::new();
    for payload in [1_u16, 4096, 16_384] {
        let mut stage = Stage::new(1);
        let (stream, mut peer) = stage.network.connected(Link::default());
        let network = stage.network.clone();
        let flood = async {
            // The head of a message of nearly 64 KiB, then what it consists of.
            peer.write(&[22, 3, 1, 0, 4, 1, 0, 0xff, 0xf0]).await.unwrap();
            let mut record = vec![22, 3, 1];
            record.extend_from_slice(&payload.to_be_bytes());
            record.resize(5 + usize::from(payload), 0);
            while peer.write(&record).await.is_ok() {}
        };
        let accept = penstock_tls::accept(&network, stream, &setting.server, TIME_MAX);
        let both = async { futures_util::future::join(accept, flood).await };
        let (accepted, ()) = stage.simulation.run_until(both).unwrap();
        assert_eq!(accepted.unwrap_err(), Failure::TooLong);
        assert_eq!(stage.pool_bytes(), 0);
    }
}

#[test]
fn what_could_not_serve_is_refused_when_it_is_loaded() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(&["one.test"]), authority.issue(&["other.test"]));
    let load = |chain: &str, key: &str| {
        Certificate::from_pem(chain.as_bytes(), key.as_bytes(), now()).map(drop)
    };
    assert_eq!(load(&one.chain, &other.key), Err(CertificateError::Mismatch));
    assert_eq!(load("", &one.key), Err(CertificateError::NoCertificate));
    assert_eq!(load("nonsense", &one.key), Err(CertificateError::NoCertificate));
    assert_eq!(load(&one.chain, ""), Err(CertificateError::NoKey));
    assert_eq!(load(&one.chain, &one.chain), Err(CertificateError::NoKey));
    assert_eq!(load(&one.chain[..one.chain.len() / 2], &one.key), Err(CertificateError::NotPem));
    let over = authority.issue_with(&["one.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    assert_eq!(load(&over.chain, &over.key), Err(CertificateError::Expired));
    let later = authority.issue_with(&["one.test"], |params| {
        params.not_before = rcgen::date_time_ymd(2090, 1, 1);
    });
    assert_eq!(load(&later.chain, &later.key), Err(CertificateError::NotYetValid));
    let both = format!("{}{}", one.key, one.chain);
    assert_eq!(load(&both, &both), Ok(()));
    assert_eq!(Authorities::from_pem(b"").map(drop), Err(AuthoritiesError::NoCertificate));
}

#[test]
fn the_earliest_expiry_is_told() {
    let authority = Authority::new();
    let until = |year| {
        let pair = authority.issue_with(&["one.test"], |params| {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
        });
        pair.load()
    };
    let certificates = [until(2080), until(2070), until(2090)];
    let tickets = Tickets::new().unwrap();
    let server = ServerTls::new(&certificates, &ClientCertificates::None, &tickets).unwrap();
    assert_eq!(server.expires(), Duration::from_secs(3_155_760_000));
    assert!(matches!(
        ServerTls::new(&[], &ClientCertificates::None, &tickets),
        Err(SetupError::NoCertificate)
    ));
}

#[test]
fn a_peer_that_leaves_in_a_handshake_is_seen() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let (stream, mut peer) = stage.network.connected(Link::default());
    let network = stage.network.clone();
    let leave = async {
        peer.write(&[22, 3, 1]).await.unwrap();
        peer.finish();
    };
    let accept = penstock_tls::accept(&network, stream, &setting.server, TIME_MAX);
    let both = async { futures_util::future::join(accept, leave).await };
    let (accepted, ()) = stage.simulation.run_until(both).unwrap();
    assert_eq!(accepted.unwrap_err(), Failure::Closed);
}

#[test]
fn a_failed_stream_sends_nothing_more() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let (server, client) = stage.secured(&setting, Link::default());
    let (mut receiver, mut sender) = server.split();
    let (_client_receiver, mut client_sender) = client.split();
    client_sender.abort();
    let (_, end) = stage.simulation.run_until(read_all(&mut receiver)).unwrap();
    assert!(end.is_err());
    let sent = stage.simulation.run_until(send(&mut sender, &[b"late"])).unwrap();
    assert!(sent.is_err());
    assert!(stage.simulation.run_until(send(&mut client_sender, &[b"late"])).unwrap().is_err());
}
