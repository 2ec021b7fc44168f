use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_config::documents::{Document, Source, parse};

use super::*;
use crate::leases::tests::leases;

/// The only connection of a text, and one secret.
fn parts(text: &str, secret: Option<&str>) -> (Connection, Leases) {
    let source = Source { name: "test".to_owned(), text: text.to_owned() };
    let placed = parse(&[source]).expect("documents");
    let Some(Document::Connection(connection)) = placed.first().map(|one| &one.document) else {
        panic!("no connection")
    };
    let leases = secret.map(|value| leases("own", 1, value)).unwrap_or_default();
    (connection.clone(), leases)
}

/// The connection, compiled.
fn upstream(text: &str, secret: Option<&str>) -> (Upstream, Vec<String>) {
    let (connection, leases) = parts(text, secret);
    let certificate = ClientCertificate::compile(&connection, &leases, 1);
    let mut configs = UpstreamTlsConfigs::new(None).expect("no file is named");
    let mut problems = Vec::new();
    let compiled = Upstream::compile(&connection, &certificate, None, &mut configs, &mut problems);
    (compiled.unwrap_or_else(|error| panic!("{error}")), problems)
}

/// A connection with these members behind its endpoints.
fn document(endpoints: &str, more: &str) -> String {
    format!("kind: connection\nname: a\nprotocol: openai\nendpoints: [{endpoints}]\n{more}")
}

fn shown(secret: Option<&str>) -> ClientCertificate {
    let tls = "tls: {client_certificate: {secret: own}}\n";
    let (connection, leases) = parts(&document("https://a", tls), secret);
    ClientCertificate::compile(&connection, &leases, 1)
}

#[test]
fn a_client_certificate_is_decoded_with_its_key() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(["gateway".to_owned()]).expect("a name");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let secret = STANDARD.encode(format!("{}{}", certificate.pem(), key.serialize_pem()));
    let ClientCertificate::Held(held, _) = shown(Some(&secret)) else { panic!("not held") };
    assert_eq!(held.cert, [certificate.der().clone()]);
    held.keys_match().expect("its key");
}

#[test]
fn a_client_certificate_that_is_not_there_or_is_none_is_missing() {
    for secret in [None, Some(""), Some("sk-model"), Some("bm8gcGVt")] {
        assert!(matches!(shown(secret), ClientCertificate::Missing), "{secret:?}");
    }
}

#[test]
fn a_connection_that_names_no_client_certificate_has_none() {
    for endpoints in ["http://a", "https://a"] {
        let (connection, leases) = parts(&document(endpoints, ""), Some("x"));
        let shown = ClientCertificate::compile(&connection, &leases, 1);
        assert!(matches!(shown, ClientCertificate::None));
    }
}

#[test]
fn the_port_of_the_scheme_is_left_out_of_host() {
    let authorities = |endpoints: &str| -> Vec<String> {
        let (compiled, _) = upstream(&document(endpoints, ""), None);
        compiled.endpoints.into_iter().map(|target| target.authority).collect()
    };
    assert_eq!(authorities("https://a, https://a:80, https://a:8443"), ["a", "a:80", "a:8443"]);
    assert_eq!(authorities("http://a, http://a:443, \"http://[::1]\""), ["a", "a:443", "[::1]"]);
}

#[test]
fn a_secured_endpoint_is_never_in_clear_text_whatever_is_missing() {
    let tls = "tls: {client_certificate: {secret: own}}\n";
    let (compiled, _) = upstream(&document("https://a", tls), None);
    assert!(matches!(compiled.endpoints[0].security, Security::NoCertificate));
    let (compiled, _) = upstream(&document("http://a", ""), None);
    assert!(compiled.endpoints[0].security.is_clear());
}

#[test]
fn an_analyser_elsewhere_is_reached_over_verified_tls_alone() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(["ca".to_owned()]).expect("a name");
    let authority = parameters.self_signed(&key).expect("a certificate");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), authority.pem()).expect("written");
    let mut configs = UpstreamTlsConfigs::new(Some(file.path())).expect("authorities");
    let mut masks = Masks::default();
    let mut compiled = |url: &str| {
        let text = format!("kind: mask\nname: pii\nanalyzer: {{url: \"{url}\"}}\n");
        let placed = parse(&[Source { name: "test".to_owned(), text }]).expect("documents");
        let Some(Document::Mask(mask)) = placed.first().map(|one| &one.document) else {
            panic!("no mask")
        };
        let mask = masks.of(mask).expect("a mask");
        let (connection, _) = parts(&document("http://a", ""), None);
        let none = ClientCertificate::None;
        let mut problems = Vec::new();
        let upstream =
            Upstream::compile(&connection, &none, Some(mask), &mut configs, &mut problems);
        assert_eq!(problems, [] as [String; 0]);
        upstream.unwrap_or_else(|error| panic!("{error}"))
    };
    let secured = compiled("https://ner.example.com/base");
    let target = secured.targets().nth(1).expect("the analyser");
    assert_eq!(
        (target.authority.as_str(), &*target.endpoint.base_path),
        ("ner.example.com", "/base")
    );
    assert!(matches!(target.security, Security::Tls(_)));
    let clear = compiled("http://127.0.0.1:5002");
    let target = clear.analyzer.as_ref().expect("the analyser");
    assert!(target.security.is_clear() && target.authority == "127.0.0.1:5002");
}
