//! Certificates that have expired: a model server's, and the node's own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use penstock_faults::{Authority, GOOD_UNTIL, World, code, issuer_document, usual};
use penstock_harness::{AutonomousUpstream, Signal, documents, eventually, signal};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// A year that is over.
const OVER: i32 = 2_020;

/// Takes connections, and shakes hands on each, as long as the test lasts.
fn shakes_hands(config: Arc<ServerConfig>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        }
    });
    format!("https://{address}")
}

#[test]
fn certificate_of_an_upstream_expired_is_502_upstream_tls() {
    let authority = Authority::new();
    let expired = shakes_hands(authority.server_config(OVER));
    let good = shakes_hands(authority.server_config(GOOD_UNTIL));
    let ca = serde_json::to_string(&authority.certificate_pem()).unwrap();
    let behind = |url: &str| {
        let connection = documents::connection("m", "openai", url);
        let connection = connection.replace("---\n", &format!("tls: {{ca: {ca}}}\n---\n"));
        issuer_document() + &connection + &documents::allow("all", "engineers", "infer.*")
    };
    let world = World::start_with(&behind(&expired), "");
    let response = world.chat();
    assert_eq!((response.status, code(&response).as_str()), (502, "upstream_tls"));
    world.node.expect_ended("upstream_tls", 1);
    // It was the certificate, and nothing else.
    world.publish(&behind(&good));
    assert_eq!(code(&world.chat()), "upstream_reset");
    let handshakes = |result: &str| {
        world.node.metric("penstock_upstream_tls_handshakes_total", &format!("\"{result}\""))
    };
    assert_eq!((handshakes("certificate"), handshakes("full")), (1, 1));
}

/// The certificate that the node shows.
fn shown(world: &World, authority: &Authority) -> Option<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    let pem = authority.certificate_pem();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(world.node.gateway()).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).ok()?;
    }
    Some(connection.peer_certificates()?.first()?.to_vec())
}

/// Puts a certificate where the node reads it; its bytes.
fn put(folder: &Path, authority: &Authority, until_year: i32) -> Vec<u8> {
    let (certificate, key) = authority.issue(until_year);
    fs::write(folder.join("chain.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    certificate.der().to_vec()
}

#[test]
fn certificate_of_ones_own_expired_is_refused_at_load_and_the_old_one_stays() {
    const REFUSED: &str = "penstock_accept_certificates_refused_total";
    let upstream = AutonomousUpstream::start();
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let first = put(folder.path(), &authority, GOOD_UNTIL);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let settings = format!(
        "tls: {{certificates: [{{chain_file: {}, key_file: {}}}]}}\n",
        file("chain.pem"),
        file("key.pem"),
    );
    let world = World::start_with(&usual(&upstream.url()), &settings);
    assert_eq!(shown(&world, &authority), Some(first.clone()));
    let expiry = world.node.metric("penstock_accept_certificate_expiry_timestamp_seconds", "");
    assert!(expiry > 3_000_000_000, "{expiry}");
    put(folder.path(), &authority, OVER);
    signal(world.node.id(), Signal::HUP);
    eventually("the refusal", || (world.node.metric(REFUSED, "") > 0).then_some(()));
    assert_eq!(shown(&world, &authority), Some(first));
    let second = put(folder.path(), &authority, GOOD_UNTIL);
    signal(world.node.id(), Signal::HUP);
    eventually("the new one", || (shown(&world, &authority)? == second).then_some(()));
}
