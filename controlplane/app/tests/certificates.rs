//! Connections over TLS: their authorities, and secrets that hold a client certificate.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use common::{World, admin, operator};
use penstock_app::state::Sealed;
use penstock_app::{Answer, Event, Refusal, surface};
use penstock_config::certificates::PemError;
use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::Document;

/// Shows the secret `shown` to its servers.
const SECURE: &str = "kind: connection
name: vllm
protocol: openai
endpoints: [https://models.internal]
tls: {client_certificate: {secret: shown}}
";

const ALLOW: &str = "kind: rule
name: engineers-list
effect: allow
subjects: [{groups: [engineers]}]
operations: [list]
";

/// Verifies its servers by the nodes' own list.
const PLAIN: &str = "kind: connection
name: vllm
protocol: openai
endpoints: [https://models.internal]
";

/// Sends the secret `shown` to its servers in a header.
const SENDING: &str = "kind: connection
name: vllm
protocol: openai
endpoints: [https://models.internal]
credential: {secret: shown, scheme: bearer}
";

fn set(
    world: &mut World,
    name: &str,
    client_certificate: Result<(), PemError>,
) -> Result<Answer, Refusal> {
    let generation = world.state.next_credentials_generation();
    let sealed = Sealed { generation, wrapped_key: "a".into(), ciphertext: "b".into() };
    world.send(Event::SetSecret { by: operator(), name: name.into(), sealed, client_certificate })
}

fn problems(refused: Result<impl Sized, Refusal>) -> Vec<Diagnostic> {
    match refused.err() {
        Some(Refusal::Invalid(problems)) => problems,
        other => panic!("not refused for its documents: {other:?}"),
    }
}

#[test]
fn a_client_certificate_is_a_secret_that_nodes_need() {
    let mut world = World::new();
    set(&mut world, "shown", Ok(())).unwrap();
    world.apply(operator(), SECURE).unwrap();
    assert!(world.state.leases(0).is_empty(), "no rule reaches the connection");
    world.apply(operator(), ALLOW).unwrap();
    let names: Vec<&str> = world.state.leases(0).iter().map(|one| one.secret).collect();
    assert_eq!(names, ["shown"]);
    assert_eq!(world.state.connections_with_secret("shown").collect::<Vec<_>>(), ["vllm"]);
}

#[test]
fn a_connection_whose_client_certificate_is_another_secret_is_refused() {
    let mut world = World::new();
    set(&mut world, "shown", Err(PemError::Base64)).unwrap();
    let version = world.version();
    let found = problems(world.apply(operator(), &format!("# c\n{SECURE}")));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "secret `shown` of connection `vllm` is no client certificate");
    assert_eq!(found[0].line, 2);
    assert!(found[0].hint.as_ref().unwrap().contains("base64 -w0 | penstock secret set shown"));
    assert_eq!(world.version(), version);
    set(&mut world, "shown", Ok(())).unwrap();
    world.apply(operator(), SECURE).unwrap();
}

#[test]
fn a_client_certificate_that_is_not_there_yet_is_a_warning() {
    let mut world = World::new();
    let report = world.apply(operator(), SECURE).unwrap();
    let messages: Vec<&str> = report.warnings.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, ["secret `shown` of connection `vllm` has no value"]);
}

#[test]
fn a_secret_that_a_connection_shows_cannot_become_something_else() {
    let mut world = World::new();
    world.apply(operator(), SECURE).unwrap();
    let refused = set(&mut world, "shown", Err(PemError::OtherKey));
    let expected =
        Refusal::ClientCertificate { connection: "vllm".into(), error: PemError::OtherKey };
    assert_eq!(refused, Err(expected));
    assert!(!world.state.durable.secrets.contains_key("shown"));
    set(&mut world, "shown", Ok(())).unwrap();
    set(&mut world, "other", Err(PemError::OtherKey)).unwrap();
}

#[test]
fn a_client_certificate_is_never_sent_as_a_credential() {
    let mut world = World::new();
    set(&mut world, "shown", Ok(())).unwrap();
    let found = problems(world.apply(operator(), SENDING));
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("the credential of connection `vllm`, is a client certif"));
    assert!(found[0].hint.as_ref().unwrap().contains("{client_certificate: {secret: shown}}"));
    set(&mut world, "shown", Err(PemError::Base64)).unwrap();
    world.apply(operator(), SENDING).unwrap();
    let refused = set(&mut world, "shown", Ok(()));
    assert_eq!(refused, Err(Refusal::SentInHeader { connection: "vllm".into() }));
    set(&mut world, "other", Ok(())).unwrap();
}

#[test]
fn no_roll_back_brings_back_a_client_certificate_that_is_none_any_more() {
    let mut world = World::new();
    set(&mut world, "shown", Ok(())).unwrap();
    let version = world.apply(operator(), SECURE).unwrap().version;
    let key = penstock_app::state::DocumentKey::new("connection", "vllm").unwrap();
    world.send(Event::DeleteDocument { by: admin(), key }).unwrap();
    set(&mut world, "shown", Err(PemError::NoCertificate)).unwrap();
    let documents = world.versions[&version].1.clone();
    let found = problems(world.send(Event::RollBack { by: admin(), version, documents }));
    assert_eq!(found[0].file, "<in force>");
    assert_eq!(found[0].message, "secret `shown` of connection `vllm` is no client certificate");
}

#[test]
fn an_authority_whose_time_is_over_is_a_warning() {
    let mut world = World::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(["ca".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2001, 9, 9);
    let pem = parameters.self_signed(&key).unwrap().pem();
    let lines: Vec<String> = pem.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("{PLAIN}tls:\n  ca: |\n{}", lines.concat());
    world.now_ms = 999_993_600_000;
    assert_eq!(world.apply(operator(), &text).unwrap().warnings, []);
    world.now_ms += 1;
    let report = world.apply(operator(), &text).unwrap();
    let messages: Vec<&str> = report.warnings.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, ["certificate 1 of `ca` of connection `vllm` has expired"]);
}

#[test]
fn a_connection_over_tls_is_shown_as_it_can_be_applied_again() {
    for text in [PLAIN, SECURE] {
        let mut world = World::new();
        world.apply(operator(), text).unwrap();
        let connection = world.state.connections().next().unwrap().clone();
        let shown = surface::value(&Document::Connection(connection));
        assert_eq!(shown["endpoints"][0], "https://models.internal:443");
        let version = world.version();
        assert_eq!(world.apply(operator(), &shown.to_string()).unwrap().version, version);
    }
}
