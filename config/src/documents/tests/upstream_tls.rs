use super::*;

const SECURE: &str = "kind: connection
name: vllm
protocol: openai
endpoints: [https://models.internal:8443/base, \"https://[::1]\"]
";

fn connection(text: &str) -> Connection {
    match document(text) {
        Document::Connection(connection) => connection,
        other => panic!("not a connection: {other:?}"),
    }
}

/// A connection with members of `tls` in its fifth line.
fn with_tls(members: &str) -> String {
    format!("{SECURE}tls: {{{members}}}\n")
}

/// A connection with a PEM text in a literal block.
fn with_ca(pem: &str) -> String {
    let lines: Vec<String> = pem.lines().map(|line| format!("    {line}\n")).collect();
    format!("{SECURE}tls:\n  ca: |\n{}", lines.concat())
}

#[test]
fn https_endpoints_are_verified_by_the_nodes_own_list_under_their_own_names() {
    let read = connection(SECURE);
    assert_eq!(read.tls, Some(UpstreamTls::default()));
    let ports: Vec<u16> = read.endpoints.iter().map(|endpoint| endpoint.port).collect();
    assert_eq!(ports, [8443, 443]);
    let urls: Vec<String> = read.endpoint_urls().collect();
    assert_eq!(urls, ["https://models.internal:8443/base", "https://[::1]:443"]);
    assert_eq!(connection(&with_tls("")).tls, Some(UpstreamTls::default()));
}

#[test]
fn an_http_connection_has_no_tls() {
    let read = connection(CONNECTION);
    assert_eq!(read.tls, None);
    assert_eq!(read.endpoint_urls().collect::<Vec<_>>(), ["http://127.0.0.1:8080"]);
}

#[test]
fn every_key_of_tls_is_read() {
    let ca = authority("ca");
    let text = format!(
        "{}  server_name: GPU.internal\n  client_certificate: {{secret: a}}\n",
        with_ca(&ca)
    );
    let expected = UpstreamTls {
        ca: Some(ca),
        server_name: Some("gpu.internal".into()),
        client_certificate: Some(ClientCertificate { secret: "a".into() }),
    };
    assert_eq!(connection(&text).tls, Some(expected));
}

#[test]
fn an_authority_is_kept_without_what_stands_around_it() {
    let (one, two) = (authority("one"), authority("two"));
    let kept = connection(&with_ca(&format!("# Issuer: us\n{one}\n# another\n{two}")));
    assert_eq!(kept.tls.and_then(|tls| tls.ca), Some(format!("{one}{two}")));
}

#[test]
fn a_connection_with_tls_is_written_as_people_write_it() {
    let ca = authority("ca");
    let indented = ca.replace('\n', "\n    ");
    let text = format!("{}  client_certificate: {{secret: a}}\n", with_ca(&ca));
    let written = to_yaml(&document(&text));
    let expected = format!(
        "  - \"https://[::1]:443\"\ntls:\n  ca: |\n    {}\n  client_certificate: {{secret: a}}\n",
        indented.trim_end()
    );
    assert!(written.contains(&expected), "{written}");
    assert!(!to_yaml(&document(SECURE)).contains("tls"));
}

#[test]
fn http_and_https_endpoints_in_one_connection_are_refused() {
    for (endpoints, column) in [
        ("[https://a, http://b]", 24),
        ("[http://a, https://b, https://c]", 23),
        ("[http://a:443, https://a:443]", 27),
    ] {
        let text = format!(
            "kind: connection\nname: a\nprotocol: openai\nendpoints: {endpoints}\ntls: {{}}\n"
        );
        let expected = format!("4:{column}: `http://` and `https://` endpoints in one connection");
        assert_eq!(problems(&text), [expected], "{endpoints}");
        assert!(hint(&text).contains("clear text"), "{}", hint(&text));
    }
}

#[test]
fn tls_without_https_endpoints_is_refused() {
    for tls in ["{}", "{server_name: a}"] {
        let text = format!("{CONNECTION}tls: {tls}\n");
        assert_eq!(problems(&text), ["6:6: `tls` without `https://` endpoints"]);
        assert!(hint(&text).contains("https://"));
    }
}

#[test]
fn a_key_that_would_switch_verification_off_is_refused_and_names_ca() {
    for key in [
        "insecure",
        "verify",
        "insecure_skip_verify",
        "skip_verify",
        "verify_hostname",
        "tls_verify",
        "check_hostname",
        "trust_all",
        "allow_self_signed",
    ] {
        let text = with_tls(&format!("{key}: false"));
        assert_eq!(problems(&text), [format!("5:7: unknown key `{key}`")]);
        let hint = hint(&text);
        assert!(hint.starts_with("verification can't be switched off"), "{key}: {hint}");
        assert!(hint.contains("`ca`"), "{key}: {hint}");
    }
}

#[test]
fn a_file_of_authorities_is_no_key_of_a_document() {
    for key in ["ca_file", "ca_pem", "root_ca"] {
        let text = with_tls(&format!("{key}: /etc/ca.pem"));
        assert_eq!(problems(&text), [format!("5:7: unknown key `{key}`")]);
        assert!(hint(&text).contains("`ca: |`"), "{}", hint(&text));
    }
    assert_eq!(hint(&with_tls("server_nam: a")), "did you mean `server_name`?");
}

#[test]
fn an_authority_that_is_no_certificate_is_refused() {
    let good = authority("good");
    let bad = good.replace("MII", "MIA");
    assert_ne!(bad, good);
    for (pem, message) in [
        ("/etc/ssl/ca.pem".to_owned(), "no certificate"),
        ("-----BEGIN CERTIFICATE-----".to_owned(), "not PEM: a block is damaged"),
        (bad.clone(), "certificate 1 is not a valid one"),
        (format!("{good}{bad}"), "certificate 2 is not a valid one"),
    ] {
        assert_eq!(problems(&with_ca(&pem)), [format!("7:5: {message}")]);
    }
    assert_eq!(problems(&with_tls("ca: \"\"")), ["5:11: no certificate"]);
    for long in ["x".repeat(65_537), "é".repeat(32_769)] {
        let long = format!("{SECURE}tls: {{ca: {long}}}\n");
        assert_eq!(problems(&long), ["5:11: longer than 65536 bytes"]);
    }
}

#[test]
fn a_private_key_never_gets_into_a_document() {
    let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let text = with_ca(&format!("{}{key}", authority("good")));
    let found = parse_one(&text).expect_err("refused");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "a private key where only certificates belong");
    let line = key.lines().nth(1).expect("base64");
    assert!(!found[0].to_string().contains(line));
}

#[test]
fn a_server_name_is_a_dns_name_or_an_address() {
    for name in ["models.internal", "10.0.0.1", "\"::1\"", "a-b.example.com"] {
        assert_eq!(problems(&with_tls(&format!("server_name: {name}"))), [""; 0], "{name}");
    }
    for name in ["\"a b\"", "\"*.example.com\"", "\"[::1]\"", "a:443", "\"https://a\"", "ä.de"] {
        let expected = "5:20: not a name that a certificate can be issued for";
        assert_eq!(problems(&with_tls(&format!("server_name: {name}"))), [expected], "{name}");
    }
}

#[test]
fn a_host_that_no_certificate_can_be_issued_for_needs_a_server_name() {
    let text = SECURE.replace("models.internal", &"a".repeat(64));
    assert_eq!(problems(&text), ["4:12: a host that no certificate can be issued for"]);
    assert!(hint(&text).contains("server_name"));
    assert_eq!(problems(&format!("{text}tls: {{server_name: models.internal}}\n")), [""; 0]);
}

#[test]
fn a_client_certificate_names_a_secret_and_never_repeats_what_may_be_one() {
    let text = with_tls("client_certificate: {secret: LS0tLS1CRUdJTi}");
    assert_eq!(problems(&text), ["5:36: not a name"]);
    let shown = parse_one(&text).expect_err("refused")[0].to_string();
    assert!(!shown.contains("LS0tLS"), "{shown}");
    let missing = with_tls("client_certificate: {}");
    assert_eq!(problems(&missing), ["5:27: missing key `secret`"]);
    let more = with_tls("client_certificate: {secret: a, key: b}");
    assert_eq!(problems(&more), ["5:39: unknown key `key`"]);
}

#[test]
fn a_connection_knows_all_secrets_that_it_needs() {
    let text = with_tls("client_certificate: {secret: shown}");
    let text = format!("{text}credential: {{secret: key, scheme: bearer}}\n");
    let read = connection(&text);
    assert_eq!(read.secrets().collect::<Vec<_>>(), ["key", "shown"]);
    assert_eq!(read.client_certificate_secret(), Some("shown"));
    assert_eq!(connection(CONNECTION).secrets().count(), 0);
}

#[test]
fn a_connection_of_an_earlier_version_is_read_as_one_without_tls() {
    let json = serde_json::to_value(document(CONNECTION)).expect("JSON");
    assert!(json.get("tls").is_none(), "{json}");
    assert_eq!(serde_json::from_value::<Document>(json).expect("read"), document(CONNECTION));
}
