use super::*;

const ONE: &str = "certificates: [{chain_file: a, key_file: b}]";

/// Settings with `tls: {…}` in their third line.
fn with_tls(members: &str) -> String {
    format!("{DATAPLANE}tls: {{{members}}}\n")
}

fn read(members: &str) -> DataplaneTls {
    let settings = DataplaneSettings::parse(&source(&with_tls(members))).expect("settings");
    settings.tls.expect("tls")
}

/// The only problem's hint.
fn hint(members: &str) -> String {
    let found = DataplaneSettings::parse(&source(&with_tls(members))).expect_err("refused");
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].hint.clone().unwrap_or_default()
}

#[test]
fn no_client_is_asked_for_a_certificate_by_default() {
    let expected = DataplaneTls {
        certificates: vec![files("a", "b")],
        client_certificates: ClientCertificates::None,
    };
    assert_eq!(read(ONE), expected);
    assert_eq!(read(&format!("{ONE}, client_certificates: none")), expected);
}

#[test]
fn client_certificates_come_with_the_authority_that_issues_them() {
    let asked = |word| format!("{ONE}, client_certificates: {word}, client_ca_file: c");
    let ca_file = std::path::PathBuf::from("c");
    let expected = ClientCertificates::Optional { ca_file: ca_file.clone() };
    assert_eq!(read(&asked("optional")).client_certificates, expected);
    let expected = ClientCertificates::Required { ca_file };
    assert_eq!(read(&asked("required")).client_certificates, expected);
}

#[test]
fn client_certificates_without_an_authority_are_refused() {
    for word in ["optional", "required"] {
        let members = format!("{ONE}, client_certificates: {word}");
        let expected = "3:74: client certificates need `client_ca_file`";
        assert_eq!(dataplane(&with_tls(&members)), [expected]);
        assert!(hint(&members).contains("PEM"));
    }
}

#[test]
fn an_authority_for_certificates_that_nobody_is_asked_for_is_refused() {
    for members in [
        format!("{ONE}, client_ca_file: c"),
        format!("{ONE}, client_ca_file: c, client_certificates: none"),
    ] {
        let expected = "3:69: an authority, and no client is asked for a certificate";
        assert_eq!(dataplane(&with_tls(&members)), [expected]);
        assert!(hint(&members).contains("client_certificates: required"));
    }
}

#[test]
fn there_are_1_to_64_certificates() {
    assert_eq!(dataplane(&with_tls("")), ["3:6: missing key `certificates`"]);
    assert_eq!(dataplane(&with_tls("certificates: []")), ["3:21: an empty list"]);
    let many = |count| {
        let list = vec!["{chain_file: a, key_file: b}"; count].join(", ");
        with_tls(&format!("certificates: [{list}]"))
    };
    assert_eq!(dataplane(&many(64)), Vec::<String>::new());
    assert_eq!(dataplane(&many(65)), ["3:21: more than 64 certificates"]);
}

#[test]
fn a_certificate_is_a_chain_and_its_key() {
    let found = dataplane(&with_tls("certificates: [{chain_file: a}, {key_file: b}]"));
    assert_eq!(found, ["3:22: missing key `key_file`", "3:39: missing key `chain_file`"]);
    let members = "certificates: [{chain_file: a, key_file: b, certificate_file: c}]";
    assert_eq!(hint(members), "write `chain_file`");
}

#[test]
fn an_unknown_word_or_key_of_tls_is_refused() {
    let members = format!("{ONE}, client_certificates: requierd");
    assert_eq!(dataplane(&with_tls(&members)), ["3:74: unknown value `requierd`"]);
    assert_eq!(hint(&members), "did you mean `required`?");
    let members = format!("{ONE}, alpn: [h2]");
    assert_eq!(dataplane(&with_tls(&members)), ["3:53: unknown key `alpn`"]);
}
