//! TLS as OpenSSL speaks it, against the real programs: callers of both versions, certificates that
//! are renewed, and model servers that hold, or do not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_harness::{Dev, DevOptions, Signal, eventually, signal};
use penstock_journeys::documents;
use penstock_journeys::secured::{Certificate, SecuredNode};
use penstock_journeys::tls::{OpenSsl, TlsServer};

const MODELS: &str = "/m/v1/models";

struct Stage {
    dev: Dev,
    node: SecuredNode,
    tls: OpenSsl,
    /// Of the model server.
    _certificate: Certificate,
}

impl Stage {
    fn start() -> Self {
        let mut tls = OpenSsl::start();
        let certificate = Certificate::make();
        let server = tls.serve(&TlsServer::showing(&certificate));
        let documents = documents::connection("m", "openai", &server)
            + &documents::allow("engineers", "engineers", "list");
        let dev = Dev::start(&documents);
        let node = SecuredNode::join(&dev, &certificate.authority());
        Self { dev, node, tls, _certificate: certificate }
    }

    fn token(&self) -> String {
        self.dev.token("ada", &["engineers"], &[])
    }

    /// Connects as a caller; whether a session was resumed.
    #[track_caller]
    fn connect(&mut self, id: &str, version: &str, session_of: Option<&str>) -> bool {
        let authority = self.node.certificate().authority();
        let met = self.tls.connect(id, self.node.address(), &authority, version, session_of);
        let met = met.unwrap();
        assert_eq!(met.version, format!("TLSv{version}"));
        met.resumed
    }
}

#[test]
fn callers_of_both_versions_are_served_and_resume() {
    let mut stage = Stage::start();
    let token = stage.token();
    for version in ["1.2", "1.3"] {
        let (first, second) = (format!("first {version}"), format!("second {version}"));
        assert!(!stage.connect(&first, version, None));
        assert_eq!(stage.tls.get(&first, MODELS, &token).0, 200);
        assert!(stage.connect(&second, version, Some(&first)));
        assert_eq!(stage.tls.get(&second, MODELS, &token).0, 200);
    }
    let metrics = stage.node.metrics();
    for line in [
        "penstock_accept_tls_handshakes_total{result=\"full\"} 2",
        "penstock_accept_tls_handshakes_total{result=\"resumed\"} 2",
        "penstock_upstream_tls_handshakes_total{result=\"full\"} 1",
        "penstock_accept_certificate_expiry_timestamp_seconds ",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[test]
fn a_renewed_certificate_is_shown_and_open_connections_go_on() {
    let mut stage = Stage::start();
    let token = stage.token();
    assert!(!stage.connect("open", "1.3", None));
    assert_eq!(stage.tls.get("open", MODELS, &token).0, 200);
    let folder = tempfile::tempdir().unwrap();
    let before = folder.path().join("before.pem");
    fs::copy(stage.node.certificate().authority(), &before).unwrap();

    // One that does not hold changes nothing, and is told.
    let key = stage.node.certificate().key();
    let good = fs::read(&key).unwrap();
    fs::write(&key, "no key").unwrap();
    signal(stage.node.process_id(), Signal::HUP);
    // The change may be seen before the signal, and both are told.
    let none = "penstock_accept_certificates_refused_total 0";
    eventually("a refusal", || (!stage.node.metrics().contains(none)).then_some(()));
    assert!(stage.node.stderr().contains("the certificates before stay in use"));
    assert!(!stage.connect("still", "1.2", None));
    fs::write(&key, good).unwrap();

    stage.node.certificate().replace();
    signal(stage.node.process_id(), Signal::HUP);
    let after = folder.path().join("after.pem");
    fs::copy(stage.node.certificate().authority(), &after).unwrap();
    let address = stage.node.address().to_owned();
    eventually("the new certificate", || {
        stage.tls.connect("new", &address, &after, "1.3", None).ok()
    });
    assert_eq!(stage.tls.get("new", MODELS, &token).0, 200);
    assert_eq!(stage.tls.get("open", MODELS, &token).0, 200, "an open connection goes on");
    assert!(stage.tls.connect("old", &address, &before, "1.2", None).is_err());
}

#[test]
fn a_model_server_is_verified_and_shown_the_certificate_that_it_wants() {
    let mut tls = OpenSsl::start();
    let (certificate, other) = (Certificate::make(), Certificate::make());
    let plain = tls.serve(&TlsServer::showing(&certificate));
    let wanting = tls.serve(&TlsServer::showing(&certificate).wanting(&other));
    let shown: String =
        [other.chain(), other.key()].map(|file| fs::read_to_string(file).unwrap()).concat();
    let connection = |name: &str, url: &str, authority: &Certificate, more: &str| {
        let pem = fs::read_to_string(authority.authority()).unwrap();
        let ca = serde_json::to_string(&pem).unwrap();
        format!(
            "kind: connection\nname: {name}\nprotocol: openai\nendpoints: ['{url}']\n\
             tls: {{ca: {ca}{more}}}\n---\n"
        )
    };
    let documents = [
        connection("pinned", &plain, &certificate, ""),
        connection("stranger", &plain, &other, ""),
        connection("misnamed", &plain, &certificate, ", server_name: model.test"),
        connection("wanting", &wanting, &certificate, ", client_certificate: {secret: own}"),
        connection("unshown", &wanting, &certificate, ""),
        documents::allow("engineers", "engineers", "list"),
    ];
    let dev = Dev::start_with(DevOptions {
        documents: vec![documents.concat()],
        environment: vec![("PENSTOCK_SECRET_OWN".into(), STANDARD.encode(shown))],
        ..DevOptions::default()
    });
    let node = SecuredNode::join(&dev, &certificate.authority());
    let token = dev.token("ada", &["engineers"], &[]);
    let authority = node.certificate().authority();
    tls.connect("caller", node.address(), &authority, "1.3", None).unwrap();
    for (name, expected) in
        [("pinned", 200), ("stranger", 502), ("misnamed", 502), ("wanting", 200), ("unshown", 502)]
    {
        let (status, body) = tls.get("caller", &format!("/{name}/v1/models"), &token);
        assert_eq!(status, expected, "{name}: {body}");
        assert_eq!(body.contains("upstream_tls"), status == 502, "{name}: {body}");
    }
}
