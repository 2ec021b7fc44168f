use std::net::TcpListener;

use futures_util::FutureExt as _;
use penstock_config::documents::{CredentialScheme, Document, Source};
use penstock_config::lease::Until;
use penstock_config::node::Position;
use penstock_config::settings::DataplaneSettings;

use super::*;

/// A node that holds `own`, for which a rule stands, and `lent`, for which a grant does. Its
/// control plane is not there.
fn leasing() -> Rc<Leasing> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let text = "listen: 127.0.0.1:0\nstate_dir: state\n".to_owned();
    let settings = DataplaneSettings::parse(&Source { name: "test".to_owned(), text });
    let node = Arc::new(Node::new(settings.expect("settings")));
    let key = rcgen::KeyPair::generate().expect("a key");
    let authority = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let control = Control::new(&url, &authority.pem(), None).expect("a client");
    let leasing = Leasing::new(node, control, "node-1".to_owned(), Safe::new().expect("memory"));
    let until = Until { ends_ms: now_ms() + 3_600_000, left_ms: 3_600_000 };
    let leases = vec![given(&leasing, "lent", Some(until)), given(&leasing, "own", None)];
    leasing.take(&mut leasing.state.borrow_mut(), 1, leases).expect("room");
    assert!(is_held(&leasing, "lent") && is_held(&leasing, "own"));
    leasing
}

fn given(leasing: &Leasing, secret: &str, until: Option<Until>) -> (Terms, Given) {
    let value = Value::new(&leasing.safe.arena, 1, b"sk-model").expect("room");
    (Terms { secret: secret.to_owned(), generation: 1, until }, Given::Value(value))
}

/// Whether cores may use it.
fn is_held(leasing: &Leasing, secret: &str) -> bool {
    leasing.node.leases.load().value(secret, 1).is_some()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// One call that nobody answers.
fn ask(leasing: &Leasing) {
    runtime().block_on(leasing.ask());
    assert!(leasing.state.borrow().due.is_some(), "it is tried again");
}

#[test]
fn a_call_that_fails_changes_nothing() {
    let leasing = leasing();
    ask(&leasing);
    assert!(is_held(&leasing, "lent") && is_held(&leasing, "own"));
}

#[test]
fn a_grant_that_ended_takes_its_credential_along_also_where_the_control_plane_is_away() {
    let leasing = leasing();
    leasing.grant_has_ended();
    ask(&leasing);
    assert!(!is_held(&leasing, "lent") && is_held(&leasing, "own"));
}

#[test]
fn without_a_word_for_too_long_nothing_is_held_for_a_grant() {
    let leasing = leasing();
    leasing.end_what_is_over();
    assert!(is_held(&leasing, "lent"));
    let silence = leasing.silence_max() + Duration::from_millis(1);
    leasing.state.borrow_mut().answered = boot_time().saturating_sub(silence);
    leasing.end_what_is_over();
    assert!(!is_held(&leasing, "lent") && is_held(&leasing, "own"));
}

#[test]
fn a_snapshot_without_rules_takes_what_rules_stood_for_along() {
    let leasing = leasing();
    leasing.settle(&snapshot("", 1));
    assert!(is_held(&leasing, "lent") && !is_held(&leasing, "own"));
}

/// A snapshot with these documents, and the generation of the secrets that it names.
fn snapshot(documents: &str, credentials_generation: u64) -> Snapshot {
    let source = Source { name: "test".to_owned(), text: documents.to_owned() };
    let (mut connections, mut rules) = (Vec::new(), Vec::new());
    for placed in penstock_config::documents::parse(&[source]).expect("documents") {
        match placed.document {
            Document::Connection(one) => connections.push(one),
            Document::Rule(one) => rules.push(one),
            other => panic!("{other:?}"),
        }
    }
    Snapshot {
        format: 1,
        cluster: String::new(),
        position: Position::default(),
        previous: String::new(),
        issued_ms: 0,
        expires_ms: 0,
        snapshot_keys: Vec::new(),
        credentials_generation,
        issuers: Vec::new(),
        connections,
        rules,
        masks: Vec::new(),
        mask_cuts: std::collections::BTreeMap::new(),
    }
}

/// `m` with the secret `own`, which a rule reaches.
const REACHED: &str = "kind: connection\nname: m\nprotocol: openai\nendpoints: [http://a]\n\
    credential: {secret: own, scheme: basic}\n---\n\
    kind: rule\nname: r\neffect: allow\nsubjects: [{users: [ada]}]\noperations: [list]\n";

/// Whether a snapshot waits for an answer, which nobody gives here.
fn waits(leasing: &Leasing, snapshot: &Snapshot) -> bool {
    runtime().block_on(async { leasing.prepare(snapshot).now_or_never().is_none() })
}

#[test]
fn a_snapshot_waits_for_an_answer_only_where_it_asks_for_something_new() {
    let leasing = leasing();
    assert!(waits(&leasing, &snapshot(REACHED, 1)), "nobody asked for `own` yet");
    let own = vec![given(&leasing, "own", None)];
    leasing.take(&mut leasing.state.borrow_mut(), 1, own).expect("room");
    assert!(!waits(&leasing, &snapshot(REACHED, 1)));
    assert!(waits(&leasing, &snapshot(REACHED, 2)), "it may have another value");
    assert!(!waits(&leasing, &snapshot(&REACHED.replace("allow", "deny"), 2)), "it takes away");
    assert!(leasing.state.borrow().due.is_some(), "and is asked about all the same");
}

#[test]
fn a_value_is_ready_for_the_scheme_of_a_snapshot_before_that_is_in_force() {
    let leasing = leasing();
    let _ = waits(&leasing, &snapshot(REACHED, 1));
    let leases = leasing.node.leases.load();
    let value = leases.value("own", 1).expect("it is held");
    assert_eq!(value.in_scheme(CredentialScheme::Basic), Some(&b"Basic c2stbW9kZWw="[..]));
}

#[test]
fn at_its_end_a_node_holds_nothing_but_its_key() {
    let leasing = leasing();
    leasing.forget();
    assert!(!is_held(&leasing, "lent") && !is_held(&leasing, "own"));
    let arena = &leasing.safe.arena;
    assert_eq!(arena.bytes() - arena.bytes_free(), 64);
}

#[test]
fn only_news_of_a_grant_that_is_not_covered_is_asked_about() {
    let leasing = leasing();
    leasing.state.borrow_mut().wanted.by_connection =
        HashMap::from([("m".to_owned(), vec!["lent".to_owned()])]);
    let asks = |connection: &str, ends_ms: u64| {
        leasing.state.borrow_mut().due = None;
        leasing.grant_is_live(connection, ends_ms);
        leasing.state.borrow().due.is_some()
    };
    assert!(!asks("other", u64::MAX), "it needs no credential");
    assert!(!asks("m", now_ms()), "it is held for longer");
    assert!(asks("m", now_ms() + 7_200_000));
}
