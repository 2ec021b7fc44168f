//! A whole control plane with an issuer, in the test's own process.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod holds;
pub(crate) mod issuer;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use issuer::{TestIssuer, TestKey};
use penstock_config::documents::Source;
use penstock_config::lease::{HeldSecret, LeaseAnswer, LeaseRequest, Terms, key_pair};
use penstock_config::node::{JoinAnswer, JoinFile, JoinRequest, Position};
use penstock_config::settings::ControlplaneSettings;
use penstock_config::snapshot::{Snapshot, verify};
use penstock_server::{Options, Server, start};
use reqwest::{Certificate, Client, Identity, Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A connection and a rule for it.
pub(crate) const POLICY: &str = "
kind: connection
name: llama
protocol: llamacpp
version: b11434
endpoints: [http://127.0.0.1:8080]
credential: {secret: llama-key, scheme: bearer}
---
kind: rule
name: engineers-infer
effect: allow
subjects: [{groups: [engineers]}]
operations: [infer.*, list]
";

/// A running control plane; `ada` is its administrator.
pub(crate) struct TestControlplane {
    pub(crate) issuer: TestIssuer,
    pub(crate) key: TestKey,
    pub(crate) folder: TempDir,
    pub(crate) server: Option<Server>,
    pub(crate) api: String,
    client: Client,
}

/// A data plane that joined.
pub(crate) struct TestNode {
    pub(crate) file: JoinFile,
    pub(crate) id: String,
    pub(crate) client: Client,
}

/// Settings and the first-run file in a folder.
pub(crate) fn write_settings(folder: &Path, issuer: &str) -> std::path::PathBuf {
    let first_run = format!(
        "kind: issuer\nname: dev\nissuer: {issuer}\naudiences: [penstock]\n---\n\
         kind: role\nname: administrators\nrole: admin\nsubjects: [{{users: [ada]}}]\n"
    );
    std::fs::write(folder.join("first-run.yaml"), first_run).unwrap();
    let folder_text = folder.display();
    let settings = format!(
        "listen: 127.0.0.1:0\nnodes_listen: 127.0.0.1:0\nstate_dir: {folder_text}/state\n\
         first_run_file: {folder_text}/first-run.yaml\n"
    );
    let path = folder.join("controlplane.yaml");
    std::fs::write(&path, settings).unwrap();
    path
}

pub(crate) fn options(folder: &Path, issuer: &str) -> Options {
    let path = write_settings(folder, issuer);
    let text = std::fs::read_to_string(path).unwrap();
    let source = Source { name: "controlplane.yaml".into(), text };
    let mut options = Options::new(ControlplaneSettings::parse(&source).unwrap());
    // The issuer is on this machine.
    options.development = true;
    // Every report of an unknown key id fetches: tests do not wait.
    options.tuning.unknown_key_interval_ms = 0;
    options
}

/// Waits, within bounds, until something holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            // tidy: the pause between two looks at a condition
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), wait).await.is_ok(), "never: {what}");
}

impl TestControlplane {
    pub(crate) async fn start() -> Self {
        let issuer = TestIssuer::start().await;
        let key = TestKey::new("first");
        issuer.publish(&[&key]);
        let folder = tempfile::tempdir().unwrap();
        let server = start(options(folder.path(), &issuer.url)).await.unwrap();
        let api = server.api_url().to_owned();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { issuer, key, folder, server: Some(server), api, client }
    }

    /// Stops and starts again on the same state.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(|_| {}).await;
    }

    /// The same with other settings.
    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(&mut Options)) {
        self.server.take().unwrap().stop().await;
        let mut options = options(self.folder.path(), &self.issuer.url);
        change(&mut options);
        let server = start(options).await.unwrap();
        self.api = server.api_url().to_owned();
        self.server = Some(server);
    }

    pub(crate) fn token(&self, key: &TestKey, user: &str, audience: &str) -> String {
        self.issuer.token(key, user, &[], audience)
    }

    /// A call by somebody with groups.
    pub(crate) async fn call_as(
        &self,
        (user, groups): (&str, &[&str]),
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let token = self.issuer.token(&self.key, user, groups, "penstock-api");
        self.call_with(&token, method, path, body).await
    }

    /// A call with any token.
    pub(crate) async fn call_with(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let request = self.client.request(method, format!("{}{path}", self.api));
        let reply = request.bearer_auth(token).json(body).send().await.unwrap();
        let status = reply.status();
        let text = reply.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// A call by the administrator.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let token = self.token(&self.key, "ada", "penstock-api");
        self.call_with(&token, method, path, body).await
    }

    pub(crate) async fn apply(&self, text: &str) -> (StatusCode, Value) {
        let body = json!({"sources": [{"name": "a.yaml", "text": text}]});
        self.call(Method::POST, "/api/v1/documents/apply", &body).await
    }

    pub(crate) async fn set_secret(&self, name: &str, value: &str) {
        let body = json!({"value": value});
        let (status, _) = self.call(Method::PUT, &format!("/api/v1/secrets/{name}"), &body).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }

    pub(crate) async fn join_file(&self) -> JoinFile {
        let (status, file) =
            self.call(Method::POST, "/api/v1/nodes/join-files", &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{file}");
        serde_json::from_value(file).unwrap()
    }

    pub(crate) async fn join(&self) -> TestNode {
        TestNode::join(self.join_file().await).await
    }
}

/// A client that trusts the file's authority alone, with a certificate or without.
pub(crate) fn node_client(file: &JoinFile, identity: Option<&str>) -> Client {
    let ca = Certificate::from_pem(file.ca_pem.as_bytes()).unwrap();
    let mut builder = Client::builder().no_proxy().tls_certs_only([ca]);
    if let Some(pem) = identity {
        builder = builder.identity(Identity::from_pem(pem.as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

/// Asks to join with a fresh key; gives back the answer and the key, PEM.
pub(crate) async fn ask_to_join(file: &JoinFile) -> (Response, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    let csr_pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let request = JoinRequest { token: file.token.clone(), csr_pem, name: "host-1".into() };
    let call = node_client(file, None).post(format!("{}/node/v1/join", file.url)).json(&request);
    (call.send().await.unwrap(), key.serialize_pem())
}

impl TestNode {
    pub(crate) async fn join(file: JoinFile) -> Self {
        let (reply, key) = ask_to_join(&file).await;
        assert_eq!(reply.status(), StatusCode::OK);
        let answer: JoinAnswer = reply.json().await.unwrap();
        let client = node_client(&file, Some(&format!("{}{key}", answer.certificate_pem)));
        Self { file, id: answer.node, client }
    }

    /// Asks for a snapshot that is newer than what the node has.
    pub(crate) async fn ask(&self, held: Position, wait_ms: u64) -> Response {
        self.ask_holding(held, "", wait_ms).await
    }

    /// The same, by a node that says which snapshot it has of that position.
    pub(crate) async fn ask_holding(&self, held: Position, holds: &str, wait_ms: u64) -> Response {
        let Position { epoch, version, revision } = held;
        let position = format!("epoch={epoch}&version={version}&revision={revision}");
        let query = format!("{position}&holds={holds}&wait_ms={wait_ms}");
        let url = format!("{}/node/v1/snapshot?{query}", self.file.url);
        self.client.get(url).send().await.unwrap()
    }

    /// The newest snapshot, verified, with the hash of its payload.
    pub(crate) async fn snapshot(&self) -> (Snapshot, String) {
        let reply = self.ask(Position::default(), 0).await;
        assert_eq!(reply.status(), StatusCode::OK);
        verify(&self.file.snapshot_keys, &reply.bytes().await.unwrap()).unwrap()
    }

    /// The answer to a node that has a public key, and these secrets already; as it came, and read.
    pub(crate) async fn ask_for_leases(
        &self,
        public_key: &str,
        have: Vec<HeldSecret>,
    ) -> (String, LeaseAnswer) {
        let request = LeaseRequest { public_key: public_key.to_owned(), have };
        let url = format!("{}/node/v1/leases", self.file.url);
        let reply = self.client.post(url).json(&request).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(reply.headers()["cache-control"], "no-store");
        let text = reply.text().await.unwrap();
        let answer = serde_json::from_str(&text).unwrap();
        (text, answer)
    }

    /// Everything that the node may have, opened, with the generation of the secrets.
    pub(crate) async fn leases(&self) -> (u64, Vec<(Terms, String)>) {
        let (public, private) = key_pair().unwrap();
        let (_, answer) = self.ask_for_leases(&public, Vec::new()).await;
        let leases = answer.open(&private, &self.id).unwrap().map(|lease| {
            let (terms, value) = lease.unwrap();
            (terms.clone(), String::from_utf8(value.unwrap().to_vec()).unwrap())
        });
        (answer.generation, leases.collect())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> StatusCode {
        let url = format!("{}/node/v1/{path}", self.file.url);
        self.client.post(url).json(body).send().await.unwrap().status()
    }
}
