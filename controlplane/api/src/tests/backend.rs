//! A backend in memory: the real core, tokens that are names.

mod correspondence;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use futures_util::FutureExt as _;
use penstock_app::event::{Apply, Joined};
use penstock_app::outbox::Outgoing;
use penstock_app::state::{ActHead, Sealed, StoredDocument, Version};
use penstock_app::{
    Act, Answer, Change, Durable, Effect, Event, Refusal, Requester, State, Tuning, sha256_hex,
};
use penstock_config::certificates::client_certificate;
use penstock_config::documents::{Source, parse};
use penstock_config::hold::{HoldAnswer, HoldRequest, OpenSessions};
use penstock_config::identity::Identity;
use penstock_config::node::{JoinFile, Position};
use serde_json::Value;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

use crate::backend::{ActPage, Backend, Failure, Later, NodeHeard, VersionContent};

const FIRST_RUN: &str = "
kind: issuer
name: dev
issuer: http://127.0.0.1:9000
audiences: [penstock]
---
{kind: role, name: admins, role: admin, subjects: [{users: [ada]}]}
---
{kind: role, name: operators, role: operator, subjects: [{users: [otto]}]}
---
{kind: role, name: auditors, role: auditor, subjects: [{users: [audrey]}]}
---
{kind: role, name: users, role: user, subjects: [{users: [uma]}]}
---
{kind: role, name: approvers, role: approver, subjects: [{users: [april]}]}
";

#[derive(Default)]
struct Kept {
    state: Option<Arc<State>>,
    now_ms: u64,
    fresh: u64,
    heard: BTreeMap<String, NodeHeard>,
    acts: Vec<Act>,
    versions: BTreeMap<u64, (Version, Vec<StoredDocument>)>,
    values: Vec<String>,
    broken: bool,
    messages: BTreeSet<(String, String)>,
    links: BTreeSet<(String, String)>,
    outgoing: Vec<Outgoing>,
    failures: usize,
}

/// Tokens are names of users, each behind a `+` their groups; `nobody` and what is no name fail.
pub(super) struct Memory(Mutex<Kept>);

impl Memory {
    pub(super) fn new() -> Arc<Self> {
        let durable = Durable {
            cluster: "test".into(),
            position: Position { epoch: 1, version: 0, revision: 0 },
            ..Durable::default()
        };
        let tuning = Tuning { approval_url: "https://cp.example".into(), ..Tuning::default() };
        let state = Some(Arc::new(State::new(durable, tuning).with_run("one".into())));
        let kept = Kept { state, now_ms: 1_000_000, ..Kept::default() };
        let memory = Arc::new(Self(Mutex::new(kept)));
        let source = Source { name: "first-run".into(), text: FIRST_RUN.into() };
        let documents = parse(&[source]).unwrap().into_iter().map(|p| p.document).collect();
        memory.handle(Event::FirstRun { documents }).unwrap();
        memory
    }

    /// From now on nothing can be kept.
    pub(super) fn break_store(&self) {
        self.0.lock().unwrap().broken = true;
    }

    /// Values that were set.
    pub(super) fn values(&self) -> Vec<String> {
        self.0.lock().unwrap().values.clone()
    }

    /// Edits the newest act, as somebody at the database could.
    pub(super) fn edit_newest_act(&self) {
        self.0.lock().unwrap().acts.last_mut().unwrap().object.push('x');
    }

    /// A node that joined.
    pub(super) fn join(&self, node: &str) {
        let token_sha256 = format!("token of {node}");
        let by = Requester::System;
        let issued = Event::JoinFileIssued { by, token_sha256: token_sha256.clone() };
        self.handle(issued).unwrap();
        self.handle(Event::NodeJoined(Joined {
            token_sha256,
            node: node.into(),
            name: "host".into(),
            certificate_sha256: format!("certificate of {node}"),
        }))
        .unwrap();
    }

    /// Time passes.
    pub(super) fn pass(&self, ms: u64) {
        self.0.lock().unwrap().now_ms += ms;
        self.handle(Event::Tick).unwrap();
    }

    /// What is true of a request that a node holds.
    pub(super) fn hold(&self, request: HoldRequest) -> HoldAnswer {
        let (node, fresh) = ("node-1".into(), self.fresh().unwrap());
        let answer = self.handle(Event::Hold { node, request: Box::new(request), fresh });
        let Ok(Answer::Hold(answer)) = answer else { panic!("{answer:?}") };
        answer
    }

    /// A node says what is open on it.
    pub(super) fn open(&self, sessions: OpenSessions) {
        self.handle(Event::OpenSessions { node: "node-1".into(), sessions }).unwrap();
    }

    /// A node has acted on what is live.
    pub(super) fn hear(&self, node: &str, heard: NodeHeard) {
        self.0.lock().unwrap().heard.insert(node.to_owned(), heard);
    }

    fn handle(&self, event: Event) -> Result<Answer, Failure> {
        let mut kept = self.0.lock().unwrap();
        if kept.broken {
            return Err(Failure::Unavailable);
        }
        let outcome = kept.state.clone().unwrap().apply(event, kept.now_ms)?;
        for effect in outcome.effects {
            let Effect::Persist(changes) = effect else { continue };
            for change in changes {
                match change {
                    Change::Act(act) => kept.acts.push(act),
                    Change::Version { version, documents } => {
                        kept.versions.insert(version.number, (version, documents));
                    }
                    _ => {}
                }
            }
        }
        kept.state = Some(Arc::new(outcome.state));
        Ok(outcome.answer)
    }
}

impl Backend for Memory {
    fn state(&self) -> Arc<State> {
        self.0.lock().unwrap().state.clone().unwrap()
    }

    fn identify(&self, token: &[u8]) -> Option<Identity> {
        let mut words = std::str::from_utf8(token).ok()?.split('+').map(str::to_owned);
        let user = words.next()?;
        let known = user != "nobody" && user.chars().all(|c| c.is_ascii_lowercase());
        known.then(|| Identity {
            issuer: "dev".into(),
            subject: user.clone(),
            user,
            groups: words.collect(),
            ..Identity::default()
        })
    }

    fn submit(&self, event: Event) -> Later<'_, Answer> {
        std::future::ready(self.handle(event)).boxed()
    }

    fn roll_back(&self, by: Requester, version: u64) -> Later<'_, Answer> {
        let found = self.0.lock().unwrap().versions.get(&version).cloned();
        let answer = match found {
            Some((_, documents)) => self.handle(Event::RollBack { by, version, documents }),
            None => Err(Refusal::NotFound("version").into()),
        };
        std::future::ready(answer).boxed()
    }

    fn set_secret(
        &self,
        by: Requester,
        name: String,
        value: Zeroizing<String>,
    ) -> Later<'_, Answer> {
        let generation = self.state().next_credentials_generation();
        let sealed = Sealed { generation, wrapped_key: String::new(), ciphertext: String::new() };
        let client_certificate = client_certificate(&value).map(drop);
        let answer = self.handle(Event::SetSecret { by, name, sealed, client_certificate });
        if answer.is_ok() {
            self.0.lock().unwrap().values.push(value.to_string());
        }
        std::future::ready(answer).boxed()
    }

    fn join_file(&self, by: Requester) -> Later<'_, JoinFile> {
        let token = "one-time".to_owned();
        let token_sha256 = sha256_hex(token.as_bytes());
        let file = self.handle(Event::JoinFileIssued { by, token_sha256 }).map(|_| JoinFile {
            url: "https://127.0.0.1:1".into(),
            ca_sha256: String::new(),
            ca_pem: String::new(),
            snapshot_keys: Vec::new(),
            token,
            cluster: "test".into(),
        });
        std::future::ready(file).boxed()
    }

    fn versions(&self) -> Later<'_, Vec<Version>> {
        let kept = self.0.lock().unwrap();
        let versions = kept.versions.values().rev().map(|(version, _)| version.clone());
        std::future::ready(Ok(versions.collect())).boxed()
    }

    fn version(&self, number: u64) -> Later<'_, Option<VersionContent>> {
        std::future::ready(Ok(self.0.lock().unwrap().versions.get(&number).cloned())).boxed()
    }

    fn acts(&self, after: u64) -> Later<'_, ActPage> {
        let kept = self.0.lock().unwrap();
        let before = kept.acts.iter().find(|act| act.sequence == after).map(Act::head);
        let head = if after == 0 { Some(ActHead::default()) } else { before };
        let acts = kept.acts.iter().filter(|act| act.sequence > after).cloned();
        std::future::ready(Ok((head, acts.collect()))).boxed()
    }

    fn fresh(&self) -> Result<String, Failure> {
        let mut kept = self.0.lock().unwrap();
        kept.fresh += 1;
        Ok(format!("{:020x}", kept.fresh))
    }

    fn is_working(&self) -> bool {
        !self.0.lock().unwrap().broken
    }

    fn is_connected(&self, _: &str) -> bool {
        false
    }

    fn heard(&self, node: &str) -> Option<NodeHeard> {
        self.0.lock().unwrap().heard.get(node).copied()
    }
}

/// What came back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) json: Value,
    pub(super) text: String,
}

/// Calls the interface; an empty user sends no token.
pub(super) async fn call(
    memory: &Arc<Memory>,
    user: &str,
    method: &str,
    path: &str,
    body: impl Into<Body>,
) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    if !user.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {user}"));
    }
    send(memory, request.body(body.into()).unwrap()).await
}

pub(super) async fn send(memory: &Arc<Memory>, request: Request<Body>) -> Reply {
    let router: Router = crate::router(memory.clone());
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let json = serde_json::from_str(&text).unwrap_or_default();
    Reply { status: parts.status, headers: parts.headers, json, text }
}

/// Applies a text without the interface.
pub(super) fn apply(memory: &Arc<Memory>, text: &str) {
    let sources = vec![Source { name: "a".into(), text: text.into() }];
    let by = Requester::System;
    let (prune, dry_run, expect_version, cut_open) = (false, false, None, false);
    let apply = Apply { by, sources, prune, dry_run, expect_version, cut_open };
    memory.handle(Event::ApplyDocuments(apply)).unwrap();
}
