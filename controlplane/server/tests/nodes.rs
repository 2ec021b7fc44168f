//! The node protocol over mutual TLS on loopback.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{POLICY, TestControlplane, TestNode, ask_to_join, eventually, node_client};
use penstock_config::lease::{HELD_MAX, HeldSecret, LeaseAnswer, Terms, key_pair};
use penstock_config::node::{JoinFile, Position};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A connection that shows the secret `own` to its servers.
const SHOWS_OWN: &str = "
kind: connection
name: vllm
protocol: openai
endpoints: [https://models.internal]
tls: {client_certificate: {secret: own}}
---
kind: rule
name: engineers-list
effect: allow
subjects: [{groups: [engineers]}]
operations: [list]
";

/// A connection that is reached by approval alone.
const HELD: &str = "
kind: connection
name: adapters
protocol: vllm
endpoints: [http://127.0.0.1:8081]
credential: {secret: held-key, scheme: bearer}
---
kind: rule
name: adapters-need-approval
effect: approve
subjects: [{groups: [engineers]}]
connections: [adapters]
operations: [adapter.*]
approval: {reviewers: [{groups: [leads]}]}
";

/// A poll by a node that has nothing.
const SNAPSHOT: &str = "snapshot?epoch=0&version=0&revision=0";

fn status() -> Value {
    json!({
        "cores": [
            {"epoch": 1, "version": 2, "revision": 0},
            {"epoch": 1, "version": 1, "revision": 1}
        ],
        "enforced_at_ms": 1,
        "upstreams": [{"connection": "llama", "endpoint": "127.0.0.1:8080", "state": "up"}],
        "program": "0.1.0",
        "listen": "127.0.0.1:4000",
        "refused": "a lower version"
    })
}

#[tokio::test]
async fn a_node_joins_and_gets_a_signed_snapshot_of_what_is_in_force() {
    let controlplane = TestControlplane::start().await;
    assert_eq!(controlplane.apply(POLICY).await.0, StatusCode::OK);
    let node = controlplane.join().await;
    let (snapshot, sha256) = node.snapshot().await;
    assert_eq!(snapshot.cluster, node.file.cluster);
    assert_eq!((snapshot.position.epoch, snapshot.position.version), (1, 2));
    assert_eq!((snapshot.connections.len(), snapshot.rules.len()), (1, 1));
    assert_eq!(snapshot.issuers[0].keys[0]["kid"], "first");
    assert!(snapshot.expires_ms > snapshot.issued_ms);

    controlplane.apply(&POLICY.replace("list]", "embed]")).await;
    let (next, _) = node.snapshot().await;
    assert_eq!(next.previous, sha256);
    assert!(next.position > snapshot.position);
}

#[tokio::test]
async fn a_join_token_works_once() {
    let controlplane = TestControlplane::start().await;
    let file = controlplane.join_file().await;
    let node = TestNode::join(file.clone()).await;
    assert_eq!(ask_to_join(&file).await.0.status(), StatusCode::FORBIDDEN);
    let made_up = JoinFile { token: "0".repeat(64), ..file };
    assert_eq!(ask_to_join(&made_up).await.0.status(), StatusCode::FORBIDDEN);
    let (_, nodes) = controlplane.call(Method::GET, "/api/v1/nodes", &Value::Null).await;
    assert_eq!(nodes.as_array().unwrap().len(), 1);
    assert_eq!(nodes[0]["id"], node.id.as_str());
}

#[tokio::test]
async fn every_call_but_join_needs_the_certificate_of_a_node() {
    let controlplane = TestControlplane::start().await;
    let file = controlplane.join_file().await;
    let stranger = node_client(&file, None);
    let snapshot = format!("{}/node/v1/{SNAPSHOT}", file.url);
    assert_eq!(stranger.get(snapshot).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    for path in ["leases", "status", "unknown-key"] {
        let call = stranger.post(format!("{}/node/v1/{path}", file.url)).json(&json!({}));
        assert_eq!(call.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_in_the_handshake() {
    let controlplane = TestControlplane::start().await;
    let other = TestControlplane::start().await;
    let file = controlplane.join_file().await;
    let (reply, key) = ask_to_join(&other.join_file().await).await;
    let answer: penstock_config::node::JoinAnswer = reply.json().await.unwrap();
    let client = node_client(&file, Some(&format!("{}{key}", answer.certificate_pem)));
    let url = format!("{}/node/v1/{SNAPSHOT}", file.url);
    assert!(client.get(url).send().await.is_err());
}

#[tokio::test]
async fn a_control_plane_of_another_authority_is_refused_by_the_node() {
    let controlplane = TestControlplane::start().await;
    let other = TestControlplane::start().await;
    let file = controlplane.join_file().await;
    let url = other.join_file().await.url;
    let wrong = JoinFile { url, ..file };
    let call = node_client(&wrong, None).post(format!("{}/node/v1/join", wrong.url));
    assert!(call.json(&json!({})).send().await.is_err());
}

#[tokio::test]
async fn a_waiting_node_is_woken_by_a_change() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    let held = node.snapshot().await.0.position;
    let waiting = node.ask(held, 30_000);
    let change = async {
        eventually("the node waits", || async { is_connected(&controlplane).await }).await;
        controlplane.apply(POLICY).await
    };
    let began = std::time::Instant::now();
    let (reply, _) = tokio::join!(waiting, change);
    assert_eq!(reply.status(), StatusCode::OK);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "woken, not timed out");
}

/// A certificate with its key as a secret holds them, and the base64 lines of the key's PEM.
fn client_certificate() -> (String, Vec<String>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(["gateway".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap().pem();
    let key = key.serialize_pem();
    let lines = key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect();
    (STANDARD.encode(format!("{certificate}{key}")), lines)
}

#[tokio::test]
async fn a_client_certificate_reaches_a_node_as_a_credential_does_and_never_in_a_snapshot() {
    let controlplane = TestControlplane::start().await;
    let (secret, key) = client_certificate();
    controlplane.set_secret("own", &secret).await;
    let (status, answer) = controlplane.apply(SHOWS_OWN).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let node = controlplane.join().await;
    let (snapshot, _) = node.snapshot().await;
    assert_eq!(snapshot.connections[0].client_certificate_secret(), Some("own"));
    let (generation, leases) = node.leases().await;
    assert_eq!(generation, snapshot.credentials_generation);
    assert_eq!((leases.len(), &leases[0].1), (1, &secret));
    let snapshot = serde_json::to_string(&snapshot).unwrap();
    assert!(!snapshot.contains(&secret) && key.iter().all(|line| !snapshot.contains(line)));
}

#[tokio::test]
async fn a_value_that_is_no_client_certificate_is_refused_without_a_word_of_it() {
    let controlplane = TestControlplane::start().await;
    assert_eq!(controlplane.apply(SHOWS_OWN).await.0, StatusCode::OK);
    let (good, _) = client_certificate();
    let (other, _) = client_certificate();
    let mixed = [good, other].map(|one| String::from_utf8(STANDARD.decode(one).unwrap()).unwrap());
    let end = "-----END CERTIFICATE-----";
    let (_, other_key) = mixed[1].split_once(end).unwrap();
    let (certificate, _) = mixed[0].split_once(end).unwrap();
    let mixed = STANDARD.encode(format!("{certificate}{end}{other_key}"));
    for (value, why) in [
        ("sk-very-secret", "not one line of base64"),
        ("c2stdmVyeS1zZWNyZXQ=", "no certificate"),
        (mixed.as_str(), "the private key does not belong to the first certificate"),
    ] {
        let body = json!({"value": value});
        let (status, problem) = controlplane.call(Method::PUT, "/api/v1/secrets/own", &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem["code"], "invalid_secret");
        assert!(problem["detail"].as_str().unwrap().ends_with(why), "{problem}");
        assert!(!problem.to_string().contains(value));
    }
    let (_, secrets) = controlplane.call(Method::GET, "/api/v1/secrets", &Value::Null).await;
    assert_eq!(secrets, json!([]));
}

async fn is_connected(controlplane: &TestControlplane) -> bool {
    let (_, nodes) = controlplane.call(Method::GET, "/api/v1/nodes", &Value::Null).await;
    nodes[0]["connected"] == true
}

#[tokio::test]
async fn a_node_that_has_the_newest_is_told_so_and_one_that_is_ahead_is_not_confirmed() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    let held = node.snapshot().await.0.position;
    assert_eq!(node.ask(held, 0).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(node.ask(held, 50).await.status(), StatusCode::NO_CONTENT);
    let ahead = Position { epoch: held.epoch + 1, ..held };
    assert_eq!(node.ask(ahead, 0).await.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_node_with_another_snapshot_of_the_same_position_is_not_confirmed() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    let (snapshot, sha256) = node.snapshot().await;
    let held = snapshot.position;
    assert_eq!(node.ask_holding(held, &sha256, 0).await.status(), StatusCode::NO_CONTENT);
    let reply = node.ask_holding(held, &"0".repeat(64), 0).await;
    assert_eq!(reply.status(), StatusCode::CONFLICT);
    let problem: Value = reply.json().await.unwrap();
    assert_eq!(problem["code"], "node_diverged");
}

#[tokio::test]
async fn a_removed_node_is_refused_at_once_also_where_it_waits() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    let held = node.snapshot().await.0.position;
    let path = format!("/api/v1/nodes/{}", node.id);
    let waiting = node.ask(held, 30_000);
    let removal = async {
        eventually("the node waits", || async { is_connected(&controlplane).await }).await;
        controlplane.call(Method::DELETE, &path, &Value::Null).await.0
    };
    let began = std::time::Instant::now();
    let (reply, removed) = tokio::join!(waiting, removal);
    assert_eq!(removed, StatusCode::NO_CONTENT);
    assert_eq!(reply.status(), StatusCode::FORBIDDEN);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "woken, not timed out");
    assert_eq!(node.ask(held, 0).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(node.post("status", &status()).await, StatusCode::FORBIDDEN);
    let (public_key, _) = key_pair().unwrap();
    let leases = node.post("leases", &json!({"public_key": public_key})).await;
    assert_eq!(leases, StatusCode::FORBIDDEN);
    let (_, nodes) = controlplane.call(Method::GET, "/api/v1/nodes", &Value::Null).await;
    assert_eq!(nodes, json!([]));
}

#[tokio::test]
async fn a_next_snapshot_key_reaches_the_nodes_that_joined_before() {
    let mut controlplane = TestControlplane::start().await;
    let mut node = controlplane.join().await;
    let before = node.snapshot().await.0;
    assert_eq!(before.snapshot_keys, node.file.snapshot_keys);
    let next = controlplane.folder.path().join("next.key");
    controlplane.restart_with(|options| options.settings.snapshot_key_next_file = Some(next)).await;
    node.file.url = controlplane.server.as_ref().unwrap().nodes_url().to_owned();
    let after = node.snapshot().await.0;
    assert!(after.position > before.position);
    assert_eq!((after.snapshot_keys.len(), &after.snapshot_keys[0]), (2, &before.snapshot_keys[0]));
}

#[tokio::test]
async fn strangers_have_little_room_and_take_none_of_the_nodes() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    let file = controlplane.join_file().await;
    let mut strangers = Vec::new();
    let mut refused = false;
    for _ in 0..80 {
        let stranger = node_client(&file, None);
        let call = stranger.get(format!("{}/node/v1/{SNAPSHOT}", file.url)).send().await;
        refused |= call.is_err();
        strangers.push((stranger, call));
    }
    assert!(refused, "every stranger was served");
    assert_eq!(node.ask(Position::default(), 0).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_to_join_is_small() {
    let controlplane = TestControlplane::start().await;
    let file = controlplane.join_file().await;
    let padding = " ".repeat(20_000);
    let call = node_client(&file, None).post(format!("{}/node/v1/join", file.url));
    let body = format!("{padding}{}", json!({"token": file.token, "csr_pem": "", "name": "a"}));
    let reply = call.header("content-type", "application/json").body(body).send().await.unwrap();
    let problem: Value = reply.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("the body"), "{problem}");
}

#[tokio::test]
async fn a_node_gets_the_secrets_of_connections_that_allow_rules_reach_and_no_others() {
    let controlplane = TestControlplane::start().await;
    let policy = POLICY.replace("operations:", "connections: [llama]\noperations:");
    assert_eq!(controlplane.apply(&policy).await.0, StatusCode::OK);
    controlplane.set_secret("llama-key", "sk-model").await;
    controlplane.set_secret("other", "sk-other").await;
    assert_eq!(controlplane.apply(HELD).await.0, StatusCode::OK);
    controlplane.set_secret("held-key", "sk-held").await;
    let node = controlplane.join().await;
    let (generation, leases) = node.leases().await;
    assert_eq!(generation, node.snapshot().await.0.credentials_generation);
    let terms = Terms { secret: "llama-key".to_owned(), generation: 1, until: None };
    assert_eq!(leases, [(terms, "sk-model".to_owned())]);
}

#[tokio::test]
async fn leases_are_sealed_for_one_node_and_one_start_of_it() {
    let controlplane = TestControlplane::start().await;
    controlplane.apply(POLICY).await;
    let value = "sk-model-credential-4711";
    controlplane.set_secret("llama-key", value).await;
    let node = controlplane.join().await;
    let (public, private) = key_pair().unwrap();
    let (text, answer) = node.ask_for_leases(&public, Vec::new()).await;
    assert!(!text.contains(value) && !text.contains(&STANDARD.encode(value)));
    let opens = |answer: &LeaseAnswer, private: &[u8], node: &str| {
        answer.open(private, node).is_ok_and(|mut leases| leases.all(|lease| lease.is_ok()))
    };
    assert!(opens(&answer, &private, &node.id));
    let (_, of_another_start) = key_pair().unwrap();
    assert!(!opens(&answer, &of_another_start, &node.id));
    let other = controlplane.join().await;
    assert!(!opens(&answer, &private, &other.id));
    let mut later = answer;
    later.generation += 1;
    assert!(!opens(&later, &private, &node.id), "tampered with");
}

#[tokio::test]
async fn a_value_that_a_node_has_is_not_sent_again_until_it_is_another() {
    let controlplane = TestControlplane::start().await;
    controlplane.apply(POLICY).await;
    controlplane.set_secret("llama-key", "sk-one").await;
    let node = controlplane.join().await;
    let (public, private) = key_pair().unwrap();
    let had = vec![HeldSecret { secret: "llama-key".to_owned(), generation: 1 }];
    let (_, answer) = node.ask_for_leases(&public, had.clone()).await;
    let (terms, value) = answer.open(&private, &node.id).unwrap().next().unwrap().unwrap();
    assert_eq!((terms.generation, value.is_none()), (1, true));
    controlplane.set_secret("llama-key", "sk-two").await;
    let (_, answer) = node.ask_for_leases(&public, had).await;
    let (terms, value) = answer.open(&private, &node.id).unwrap().next().unwrap().unwrap();
    assert_eq!((terms.generation, value.unwrap().as_slice()), (2, &b"sk-two"[..]));
}

#[tokio::test]
async fn a_request_for_leases_is_within_bounds_and_names_a_key() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    for key in ["", "AAAA", &STANDARD.encode([0; 32])] {
        let status = node.post("leases", &json!({"public_key": key})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{key}");
    }
    let (key, _) = key_pair().unwrap();
    let one = json!({"secret": "a", "generation": 1});
    let many = vec![one; HELD_MAX + 1];
    let status = node.post("leases", &json!({"public_key": key, "have": many})).await;
    assert!(status.is_client_error(), "{status}");
}

#[tokio::test]
async fn what_a_node_says_of_itself_is_shown() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    assert_eq!(node.post("status", &status()).await, StatusCode::NO_CONTENT);
    assert_eq!(node.post("status", &json!({"cores": 1})).await, StatusCode::BAD_REQUEST);
    let (_, nodes) = controlplane.call(Method::GET, "/api/v1/nodes", &Value::Null).await;
    let row = &nodes[0];
    assert_eq!((&row["name"], &row["connected"]), (&json!("host-1"), &json!(true)));
    assert_eq!(row["cores"], status()["cores"]);
    assert_eq!(row["position"], json!({"epoch": 1, "version": 1, "revision": 1}));
    assert_eq!(row["upstreams"], status()["upstreams"]);
    assert_eq!(row["refused"], "a lower version");
    drop(node);
    eventually("the node is gone", || async { !is_connected(&controlplane).await }).await;
}

#[tokio::test]
async fn a_node_and_its_snapshot_survive_a_restart() {
    let mut controlplane = TestControlplane::start().await;
    controlplane.apply(POLICY).await;
    controlplane.set_secret("llama-key", "sk-model").await;
    let mut node = controlplane.join().await;
    let before = node.snapshot().await;
    controlplane.restart().await;
    node.file.url = controlplane.server.as_ref().unwrap().nodes_url().to_owned();
    assert_eq!(node.snapshot().await, before);
    assert_eq!(node.leases().await.1[0].1, "sk-model");
}
