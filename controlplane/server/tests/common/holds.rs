//! Requests that need approval, as a node tells of them.

use penstock_config::catalogue::Risk;
use penstock_config::hold::{
    End, EndOutcome, Ends, Facts, Go, HoldAnswer, HoldRequest, Live, Pending, Refused,
};
use penstock_config::identity::Identity;
use penstock_config::node::Position;
use reqwest::StatusCode;
use serde_json::Value;

use super::TestNode;

/// A connection, and a rule under which a second person must agree to changes of adapters.
pub(crate) const APPROVE_POLICY: &str = "
kind: connection
name: llama
protocol: llamacpp
version: b11434
endpoints: [http://127.0.0.1:8080]
---
kind: rule
name: adapters
effect: approve
subjects: [{groups: [engineers]}]
operations: [adapter.*]
approval:
  reviewers: [{groups: [leads]}]
  grant: {minutes_max: 30, uses_max: 5}
";

/// Who asks.
pub(crate) const EVE: (&str, &[&str]) = ("eve", &["engineers"]);
/// Who may answer.
pub(crate) const LEA: (&str, &[&str]) = ("lea", &["leads"]);

/// A session's id from a number.
pub(crate) fn session(number: u64) -> String {
    format!("{number:032x}")
}

/// Eve's request to load an adapter. Two with the same `content` are the same request.
pub(crate) fn adapter_load(session_number: u64, content: u64) -> HoldRequest {
    let now_ms = jsonwebtoken::get_current_timestamp() * 1_000;
    HoldRequest {
        session: session(session_number),
        identity: Identity {
            issuer: "dev".into(),
            subject: EVE.0.into(),
            user: EVE.0.into(),
            groups: EVE.1.iter().map(|group| (*group).to_owned()).collect(),
            ..Identity::default()
        },
        token_issued_ms: now_ms,
        token_expires_ms: now_ms + 300_000,
        token_sha256: "ab".repeat(32),
        connection: "llama".into(),
        facts: Facts {
            operations: vec![("adapter.load".into(), Risk::High)],
            model: Some("smol".into()),
            other_models: Vec::new(),
            spellings: Vec::new(),
            unnamed_model: false,
        },
        method: "POST".into(),
        target: "/lora-adapters".into(),
        digest: format!("{content:064x}"),
        body_bytes: 17,
        body_sha256: format!("{:064x}", content + 1),
        shown: vec![("id".into(), "<b>7</b>".into())],
        reason: Some("the nightly run needs it".into()),
        ticket: None,
        break_glass: false,
        position: Position { epoch: 1, version: 2, revision: 0 },
        peer: "192.0.2.7".into(),
        agent: Some("curl/8".into()),
    }
}

/// What a hold came to.
#[track_caller]
pub(crate) fn pending(answer: HoldAnswer) -> Pending {
    match answer {
        HoldAnswer::Pending(pending) => pending,
        other => panic!("not pending: {other:?}"),
    }
}

/// See [`pending`].
#[track_caller]
pub(crate) fn go(answer: HoldAnswer) -> Go {
    match answer {
        HoldAnswer::Go(go) => go,
        other => panic!("no go: {other:?}"),
    }
}

/// See [`pending`].
#[track_caller]
pub(crate) fn refused(answer: HoldAnswer) -> Refused {
    match answer {
        HoldAnswer::Refused(refused) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

impl TestNode {
    /// What is true of a request now.
    pub(crate) async fn hold(&self, request: &HoldRequest) -> HoldAnswer {
        let url = format!("{}/node/v1/holds", self.file.url);
        let reply = self.client.post(url).json(request).send().await.unwrap();
        let status = reply.status();
        let text = reply.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// An exchange is over.
    pub(crate) async fn end(&self, session_number: u64, outcome: EndOutcome) -> StatusCode {
        let ends = Ends { ends: vec![End { session: session(session_number), outcome }] };
        self.post("ends", &serde_json::to_value(ends).unwrap()).await
    }

    /// A poll with any arguments.
    pub(crate) async fn poll(&self, query: &str) -> (StatusCode, Value) {
        let url = format!("{}/node/v1/live?{query}", self.file.url);
        let reply = self.client.get(url).send().await.unwrap();
        let status = reply.status();
        (status, serde_json::from_str(&reply.text().await.unwrap()).unwrap_or_default())
    }

    /// What came since, waiting for it as long as a node may.
    pub(crate) async fn live(&self, run: &str, after: u64) -> Live {
        let (status, live) = self.poll(&format!("run={run}&after={after}&wait_ms=2000")).await;
        assert_eq!(status, StatusCode::OK, "{live}");
        serde_json::from_value(live).unwrap()
    }

    /// Everything that is in force.
    pub(crate) async fn all_live(&self) -> Live {
        let live = self.live("", 0).await;
        assert!(live.full);
        live
    }
}
