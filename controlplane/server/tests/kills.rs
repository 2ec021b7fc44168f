//! The program is killed between each step of an approval: nothing is lost, nothing happens twice.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::holds::{APPROVE_POLICY, EVE, LEA, adapter_load, go, pending, refused};
use common::issuer::{TestIssuer, TestKey};
use common::{TestNode, write_settings};
use penstock_config::hold::{EndOutcome, RefusedCode};
use penstock_config::node::JoinFile;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A control plane as a process of its own, which dies by SIGKILL alone.
struct Killed {
    issuer: TestIssuer,
    key: TestKey,
    folder: TempDir,
    child: Child,
    api: String,
    nodes: String,
    client: Client,
    node: Option<TestNode>,
}

/// A process on the state in a folder, and its first line.
fn spawn(folder: &Path) -> (Child, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock-controlplane"));
    command.arg("--config").arg(folder.join("controlplane.yaml")).arg("--development");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.env_remove("PENSTOCK_ENCRYPTION_KEY");
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"{\"secrets\":{}}\n").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

fn text(ready: &Value, name: &str) -> String {
    ready[name].as_str().unwrap().to_owned()
}

impl Killed {
    async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (issuer, key) = (TestIssuer::start().await, TestKey::new("first"));
        issuer.publish(&[&key]);
        let folder = tempfile::tempdir().unwrap();
        write_settings(folder.path(), &issuer.url);
        std::fs::create_dir(folder.path().join("state")).unwrap();
        std::fs::write(folder.path().join("state/development"), "").unwrap();
        let (child, ready) = spawn(folder.path());
        let client = Client::builder().no_proxy().build().unwrap();
        let (api, nodes) = (text(&ready, "api"), text(&ready, "nodes"));
        let mut killed = Self { issuer, key, folder, child, api, nodes, client, node: None };
        let body = json!({"sources": [{"name": "a.yaml", "text": APPROVE_POLICY}]});
        let path = "/api/v1/documents/apply";
        let (status, answer) = killed.call(("ada", &[]), Method::POST, path, &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let path = "/api/v1/nodes/join-files";
        let (_, file) = killed.call(("ada", &[]), Method::POST, path, &Value::Null).await;
        let file: JoinFile = serde_json::from_value(file).unwrap();
        killed.node = Some(TestNode::join(file).await);
        killed
    }

    /// Ends the process as power loss would, and starts another one on the same state.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (child, ready) = spawn(self.folder.path());
        self.child = child;
        (self.api, self.nodes) = (text(&ready, "api"), text(&ready, "nodes"));
        self.node.as_mut().unwrap().file.url = self.nodes.clone();
    }

    fn node(&self) -> &TestNode {
        self.node.as_ref().unwrap()
    }

    async fn call(
        &self,
        (user, groups): (&str, &[&str]),
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let token = self.issuer.token(&self.key, user, groups, "penstock-api");
        let request = self.client.request(method, format!("{}{path}", self.api));
        let reply = request.bearer_auth(token).json(body).send().await.unwrap();
        let status = reply.status();
        (status, serde_json::from_str(&reply.text().await.unwrap()).unwrap_or_default())
    }

    async fn rows(&self, path: &str) -> Vec<Value> {
        let (status, rows) = self.call(("ada", &[]), Method::GET, path, &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{rows}");
        rows.as_array().unwrap().clone()
    }

    /// How often something was done, by the chain of acts, every link of which holds.
    async fn acts(&self, action: &str) -> usize {
        let acts = self.rows("/api/v1/acts").await;
        assert!(acts.iter().all(|act| act["intact"] == true), "{acts:?}");
        acts.iter().filter(|act| act["action"] == action).count()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_each_step_an_approval_is_neither_lost_nor_used_twice() {
    let mut plane = Killed::start().await;
    let (request, copy) = (adapter_load(1, 7), adapter_load(2, 7));
    let held = pending(plane.node().hold(&request).await);
    plane.kill();
    assert_eq!(pending(plane.node().hold(&request).await).approval, held.approval);
    assert_eq!(pending(plane.node().hold(&copy).await).approval, held.approval);
    plane.kill();
    let path = format!("/api/v1/approvals/{}/approve", held.approval);
    let (status, view) = plane.call(LEA, Method::POST, &path, &json!({})).await;
    assert_eq!((status, &view["state"]), (StatusCode::OK, &json!("approved")));
    plane.kill();
    let (status, problem) = plane.call(LEA, Method::POST, &path, &json!({})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("approval_ended")));
    let gone = go(plane.node().hold(&request).await);
    plane.kill();
    let again = go(plane.node().hold(&request).await);
    assert_eq!((&again.grants, &again.approval), (&gone.grants, &gone.approval));
    assert_eq!(refused(plane.node().hold(&copy).await).code, RefusedCode::ApprovalSpent);
    plane.kill();
    assert_eq!(refused(plane.node().hold(&copy).await).code, RefusedCode::ApprovalSpent);
    assert_eq!(plane.node().end(1, EndOutcome::Ended).await, StatusCode::NO_CONTENT);
    plane.kill();
    assert_eq!(plane.node().end(1, EndOutcome::NothingSent).await, StatusCode::NO_CONTENT);

    let grants = plane.rows("/api/v1/grants").await;
    assert_eq!(grants.len(), 1);
    assert_eq!((&grants[0]["state"], &grants[0]["uses"]), (&json!("spent"), &json!(1)));
    assert_eq!(plane.rows("/api/v1/approvals").await.len(), 1);
    assert_eq!(plane.acts("grant.use").await, 1);
    let anew = pending(plane.node().hold(&adapter_load(3, 7)).await);
    assert_ne!(anew.approval, held.approval);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_many_claim_nothing_that_was_answered_is_lost() {
    const MANY: u64 = 40;
    let mut plane = Killed::start().await;
    let access = json!({
        "connection": "llama", "operations": ["adapter.load"], "minutes": 30, "uses": 5
    });
    let (status, asked) = plane.call(EVE, Method::POST, "/api/v1/access-requests", &access).await;
    assert_eq!(status, StatusCode::OK, "{asked}");
    let path = format!("/api/v1/approvals/{}/approve", asked["id"].as_str().unwrap());
    plane.call(LEA, Method::POST, &path, &json!({})).await;

    // Each claim that was answered with a use before the end of the process.
    let claimed = {
        let (node, url) = (plane.node(), format!("{}/node/v1/holds", plane.nodes));
        let claims = (0..MANY).map(|number| {
            let (url, client) = (url.clone(), node.client.clone());
            tokio::spawn(async move {
                let call = client.post(url).json(&adapter_load(number, number));
                let answer: Value = call.send().await.ok()?.json().await.ok()?;
                (answer["state"] == "go").then_some(number)
            })
        });
        let claims: Vec<_> = claims.collect();
        tokio::task::yield_now().await;
        let mut done = Vec::new();
        for claim in claims {
            done.extend(claim.await.unwrap());
            if done.len() == 2 {
                let pid = rustix::process::Pid::from_child(&plane.child);
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
        }
        done
    };
    assert!(claimed.len() <= 5, "{claimed:?}");
    plane.kill();
    let grants = plane.rows("/api/v1/grants").await;
    let uses = grants[0]["uses"].as_u64().unwrap();
    assert!(uses >= claimed.len() as u64 && uses <= 5, "{uses} of {claimed:?}");
    for number in claimed {
        go(plane.node().hold(&adapter_load(number, number)).await);
    }
    let after = plane.rows("/api/v1/grants").await;
    assert_eq!(after[0]["uses"].as_u64(), Some(uses), "asked again, it is the same use");
    assert_eq!(plane.acts("grant.use").await as u64, uses);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_outlives_the_process_and_reaches_a_node_that_was_away() {
    let mut plane = Killed::start().await;
    let held = pending(plane.node().hold(&adapter_load(1, 7)).await);
    let path = format!("/api/v1/approvals/{}/approve", held.approval);
    plane.call(LEA, Method::POST, &path, &json!({"uses": 2})).await;
    let grant = go(plane.node().hold(&adapter_load(1, 7)).await).grants.remove(0);
    let before = plane.node().all_live().await;
    let path = format!("/api/v1/grants/{grant}/revoke");
    let (status, _) = plane.call(LEA, Method::POST, &path, &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let identity = json!({"issuer": "dev", "subject": "eve"});
    plane.call(("ada", &[]), Method::POST, "/api/v1/revocations", &identity).await;
    plane.kill();
    let (_, live) = plane.node().poll(&format!("run={}&after={}", before.run, 0)).await;
    assert_eq!(live["full"], true, "another run");
    let events = live["events"].as_array().unwrap();
    assert!(events.iter().all(|event| event["event"] != "grant_live"), "{events:?}");
    assert!(events.iter().any(|event| event["event"] == "identity_revoked"), "{events:?}");
    let (status, _) = plane.call(EVE, Method::GET, "/api/v1/grants", &Value::Null).await;
    assert!(matches!(status, StatusCode::OK | StatusCode::UNAUTHORIZED));
}
