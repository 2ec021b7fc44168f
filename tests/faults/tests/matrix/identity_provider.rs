//! An identity provider that is down, hostile, or takes a key back.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_harness::{
    Answer, AutonomousUpstream, Dev, Message, RawClient, SigningAlgorithm, TestIssuer, documents,
    eventually, requests, wait_until,
};
use serde_json::{Value, json};

/// How an issuer answers for its keys.
#[derive(Clone)]
enum Keys {
    Good(Value),
    Raw(Vec<u8>),
    /// Takes the question and does not answer for longer than anybody waits.
    Hang,
}

type Table = Arc<Mutex<BTreeMap<String, Keys>>>;

/// Several issuers at one address, one a path.
struct Provider {
    server: AutonomousUpstream,
    table: Table,
}

impl Provider {
    fn start() -> Self {
        let table = Table::default();
        let answers = Arc::clone(&table);
        let server = AutonomousUpstream::start_with(move |request| answer(&answers, request));
        Self { server, table }
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.server.url())
    }

    fn set(&self, name: &str, keys: Keys) {
        self.table.lock().unwrap().insert(name.to_owned(), keys);
    }

    /// An issuer of that name whose one key is published.
    fn issuer(&self, name: &str, key_id: &str) -> TestIssuer {
        let issuer = TestIssuer::new(&self.url(name), key_id, SigningAlgorithm::Ed25519);
        self.set(name, Keys::Good(issuer.jwks()));
        issuer
    }
}

fn answer(table: &Table, request: &Message) -> Option<Answer> {
    let host = request.header("host").unwrap();
    let (name, rest) = request.target().trim_start_matches('/').split_once('/').unwrap();
    let url = format!("http://{host}/{name}");
    if rest == ".well-known/openid-configuration" {
        let document = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        return Some(Answer::json(&document).closing());
    }
    let keys = table.lock().unwrap().get(name).cloned().unwrap();
    Some(match keys {
        Keys::Good(keys) => Answer::json(&keys).closing(),
        Keys::Raw(bytes) => Answer::raw(bytes).closing(),
        Keys::Hang => {
            let _ = wait_until(Instant::now() + Duration::from_secs(8), || false);
            Answer::raw("").closing()
        }
    })
}

/// The connection `m`, open to engineers of these issuers.
fn documents_of(upstream: &AutonomousUpstream, issuers: &[(&str, &TestIssuer)]) -> String {
    let mut text = documents::connection("m", "openai", &upstream.url());
    let mut subjects = Vec::new();
    for (name, issuer) in issuers {
        text += &format!(
            "kind: issuer\nname: {name}\nissuer: {}\naudiences: [penstock]\n\
             groups_claim: groups\n---\n",
            issuer.url(),
        );
        subjects.push(format!("{{issuer: {name}, groups: [engineers]}}"));
    }
    text + &format!(
        "kind: rule\nname: engineers\neffect: allow\nsubjects: [{}]\noperations: [infer.*, list]\n",
        subjects.join(", "),
    )
}

/// Whether the policy on the node's disk has keys of every issuer. To ask with a token before would
/// be a reason to look for its key, and there is one such look in 30 s.
fn has_keys(dev: &Dev) -> bool {
    let file = dev.state().join("dataplane").join("snapshot.signed");
    let signed: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let payload = STANDARD.decode(signed["payload"].as_str().unwrap()).unwrap();
    let snapshot: Value = serde_json::from_slice(&payload).unwrap();
    let mut issuers = snapshot["issuers"].as_array().unwrap().iter();
    issuers.all(|issuer| issuer["keys"].as_array().is_some_and(|keys| !keys.is_empty()))
}

fn is_ready(dev: &Dev) -> bool {
    let request = "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n";
    RawClient::connect(&dev.ready().operations).exchange(request).status == 200
}

/// The product with those documents, once every issuer's tokens hold.
fn started(upstream: &AutonomousUpstream, issuers: &[(&str, &TestIssuer)]) -> Dev {
    let dev = Dev::start(&documents_of(upstream, issuers));
    eventually("the keys", || (has_keys(&dev) && is_ready(&dev)).then_some(()));
    for (_, issuer) in issuers {
        assert_eq!(status(&dev, issuer), 200);
    }
    dev
}

fn token(issuer: &TestIssuer) -> String {
    issuer.token("ada").groups(&["engineers"]).sign()
}

fn status(dev: &Dev, issuer: &TestIssuer) -> u16 {
    RawClient::connect(&dev.ready().gateway).exchange(requests::models(&token(issuer))).status
}

/// Shows the product a key that it does not know: a reason to look.
fn make_it_look(dev: &Dev, issuer: &TestIssuer) {
    let token = issuer.token("ada").groups(&["engineers"]).header("kid", "unheard-of").sign();
    let mut client = RawClient::connect(&dev.ready().gateway);
    assert_eq!(client.exchange(requests::models(&token)).status, 401);
}

fn expect_failure_in_log(dev: &Dev, name: &str) {
    let line = format!("keys of issuer {name} were not fetched");
    let log = dev.state().join("controlplane.log");
    eventually(&line, || fs::read_to_string(&log).unwrap().contains(&line).then_some(()));
}

#[test]
fn idp_down_known_keys_go_on() {
    let upstream = AutonomousUpstream::start();
    let provider = Provider::start();
    let issuer = provider.issuer("company", "k1");
    let dev = started(&upstream, &[("company", &issuer)]);
    drop(provider);
    make_it_look(&dev, &issuer);
    expect_failure_in_log(&dev, "company");
    assert_eq!(status(&dev, &issuer), 200);
    // Also through a restart of both planes: keys are part of what was proved.
    let pids = dev.pids();
    for pid in [pids.controlplane, pids.dataplane] {
        penstock_harness::signal(pid, penstock_harness::Signal::KILL);
    }
    eventually("both again", || {
        let now = dev.pids();
        let both = now.controlplane != pids.controlplane && now.dataplane != pids.dataplane;
        (both && dev.penstock(&["nodes", "list"]).code == 0).then_some(())
    });
    let address = dev.ready().gateway.trim_start_matches("http://").to_owned();
    eventually("a place to connect to", || std::net::TcpStream::connect(&address).ok());
    eventually("a policy in force", || (status(&dev, &issuer) != 503).then_some(()));
    assert_eq!(status(&dev, &issuer), 200);
}

fn ok(body: &[u8], fields: &str) -> Keys {
    let head = format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n", body.len());
    Keys::Raw([head.as_bytes(), body].concat())
}

fn many_keys() -> Vec<u8> {
    let keys: Vec<Value> = (0..10_000)
        .map(|index| json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": index.to_string()}))
        .collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

#[test]
fn jwks_empty_or_broken_is_as_idp_down() {
    let upstream = AutonomousUpstream::start();
    let provider = Provider::start();
    let elsewhere = AutonomousUpstream::start();
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}/company/keys\r\ncontent-length: 0\r\n\r\n",
        elsewhere.url().replace("127.0.0.1", "localhost"),
    );
    let metadata = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/keys\r\n\
                    content-length: 0\r\n\r\n";
    let error = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"keys\": [";
    let cases = [
        ("empty", ok(br#"{"keys":[]}"#, "")),
        ("enormous", ok(&vec![b' '; 10 << 20], "")),
        ("many", ok(&many_keys(), "")),
        ("no-json", ok(b"{\"keys\": [", "")),
        ("html", ok(b"<html>Sign in</html>", "content-type: text/html\r\n")),
        ("other-json", ok(b"[1, 2]", "")),
        ("error", Keys::Raw(error.into())),
        ("cut", Keys::Raw(cut.into())),
        ("redirect", Keys::Raw(redirect.into_bytes())),
        ("metadata", Keys::Raw(metadata.into())),
        ("hang", Keys::Hang),
    ];
    let issuers: Vec<(&str, TestIssuer)> =
        cases.iter().map(|(name, _)| (*name, provider.issuer(name, "k1"))).collect();
    let named: Vec<(&str, &TestIssuer)> = issuers.iter().map(|(name, one)| (*name, one)).collect();
    let dev = started(&upstream, &named);
    for (name, keys) in &cases {
        provider.set(name, keys.clone());
    }
    for (_, issuer) in &named {
        make_it_look(&dev, issuer);
    }
    for (name, issuer) in &named {
        expect_failure_in_log(&dev, name);
        assert_eq!(status(&dev, issuer), 200, "{name}: the last good set stays");
    }
    assert_eq!(elsewhere.connections(), 0, "no redirect is followed");
    // The control plane was not held up by any of them.
    let applied = dev.apply(&documents::connection("more", "openai", &upstream.url()));
    assert_eq!(applied.code, 0, "{}", applied.stderr);
}

#[test]
fn jwks_key_removed_its_tokens_are_401_and_its_streams_cut_within_a_second() {
    let upstream = AutonomousUpstream::start();
    upstream.set_events(10_000, Duration::from_millis(20));
    let provider = Provider::start();
    let old = provider.issuer("company", "k1");
    let dev = started(&upstream, &[("company", &old)]);
    let mut reader = RawClient::connect(&dev.ready().gateway);
    reader.send(requests::streamed_chat(&token(&old)));
    reader.read_until(b"word1 ").unwrap();
    let new = provider.issuer("company", "k2");
    eventually("the push", || (status(&dev, &new) == 200).then_some(()));
    let pushed = Instant::now();
    assert_eq!(status(&dev, &old), 401);
    let rest = reader.read_to_end().unwrap();
    assert!(pushed.elapsed() < Duration::from_secs(1), "{:?}", pushed.elapsed());
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(rest.contains("\"error\"") && rest.ends_with("0\r\n\r\n"), "{rest}");
    assert!(!rest.contains("[DONE]"), "{rest}");
}
