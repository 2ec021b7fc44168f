//! A world around the core: it persists, signs and keeps what a store would keep.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;

use penstock_app::event::{Apply, ApplyReport};
use penstock_app::notify::Notification;
use penstock_app::state::{DocumentKey, SignedSnapshot, StoredDocument, Version};
use penstock_app::{
    Act, Answer, Change, Durable, Effect, Event, Refusal, Requester, State, Tuning, sha256_hex,
};
use penstock_config::documents::{Document, Source, parse};
use penstock_config::identity::Identity;
use penstock_config::node::Position;
use penstock_config::snapshot::{Snapshot, SnapshotSigner};

/// What the first run puts in force: an issuer and its administrators.
pub(crate) const FIRST_RUN: &str = "
kind: issuer
name: dev
issuer: http://127.0.0.1:9000
audiences: [penstock]
---
kind: role
name: administrators
role: admin
subjects: [{groups: [admins]}]
---
kind: role
name: operators
role: operator
subjects: [{groups: [operators]}]
";

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

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now_ms: u64,
    pub(crate) acts: Vec<Act>,
    pub(crate) versions: BTreeMap<u64, (Version, Vec<StoredDocument>)>,
    pub(crate) published: Vec<Snapshot>,
    pub(crate) fetches: Vec<String>,
    pub(crate) changes: Vec<Change>,
    pub(crate) told: Vec<Notification>,
    pub(crate) signer: SnapshotSigner,
}

impl World {
    pub(crate) fn empty() -> Self {
        let durable = Durable {
            cluster: "test".into(),
            position: Position { epoch: 1, version: 0, revision: 0 },
            ..Durable::default()
        };
        Self {
            state: State::new(durable, Tuning::default()),
            now_ms: 1_000_000,
            acts: Vec::new(),
            versions: BTreeMap::new(),
            published: Vec::new(),
            fetches: Vec::new(),
            changes: Vec::new(),
            told: Vec::new(),
            signer: SnapshotSigner::generate().unwrap().0,
        }
    }

    /// After the first run.
    pub(crate) fn new() -> Self {
        let mut world = Self::empty();
        world.send(Event::FirstRun { documents: documents(FIRST_RUN) }).unwrap();
        world
    }

    pub(crate) fn send(&mut self, event: Event) -> Result<Answer, Refusal> {
        let outcome = self.state.apply(event, self.now_ms)?;
        let mut next = outcome.state;
        for effect in outcome.effects {
            match effect {
                Effect::Persist(changes) => self.persist(changes),
                Effect::Publish(snapshot) => {
                    let bytes = self.signer.sign(&snapshot);
                    let change = next.signed(SignedSnapshot {
                        position: snapshot.position,
                        issued_ms: snapshot.issued_ms,
                        expires_ms: snapshot.expires_ms,
                        sha256: sha256_hex(&bytes),
                        signer: self.signer.public().id,
                        bytes: bytes.into(),
                    });
                    self.changes.push(change);
                    self.published.push(*snapshot);
                }
                Effect::FetchKeys { issuer, .. } => self.fetches.push(issuer),
                Effect::Notify(told) => self.told.push(*told),
            }
        }
        self.state = next;
        Ok(outcome.answer)
    }

    fn persist(&mut self, changes: Vec<Change>) {
        for change in &changes {
            match change {
                Change::Act(act) => self.acts.push(act.clone()),
                Change::Version { version, documents } => {
                    let row = (version.clone(), documents.clone());
                    self.versions.insert(version.number, row);
                }
                _ => {}
            }
        }
        self.changes.extend(changes);
    }

    pub(crate) fn apply(&mut self, by: Requester, text: &str) -> Result<ApplyReport, Refusal> {
        self.apply_with(by, text, |_| {})
    }

    pub(crate) fn apply_with(
        &mut self,
        by: Requester,
        text: &str,
        change: impl FnOnce(&mut Apply),
    ) -> Result<ApplyReport, Refusal> {
        let mut apply = Apply {
            by,
            sources: vec![source(text)],
            prune: false,
            dry_run: false,
            expect_version: None,
            cut_open: false,
        };
        change(&mut apply);
        match self.send(Event::ApplyDocuments(apply))? {
            Answer::Applied(report) => Ok(report),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn roll_back(&mut self, by: Requester, version: u64) -> Result<Answer, Refusal> {
        let documents = self.versions[&version].1.clone();
        self.send(Event::RollBack { by, version, documents })
    }

    pub(crate) fn version(&self) -> u64 {
        self.state.durable.position.version
    }

    pub(crate) fn has(&self, kind: &str, name: &str) -> bool {
        self.state.durable.documents.contains_key(&DocumentKey::new(kind, name).unwrap())
    }
}

pub(crate) fn source(text: &str) -> Source {
    Source { name: "test.yaml".into(), text: text.into() }
}

pub(crate) fn documents(text: &str) -> Vec<Document> {
    parse(&[source(text)]).unwrap().into_iter().map(|placed| placed.document).collect()
}

pub(crate) fn identity(user: &str, groups: &[&str]) -> Identity {
    Identity {
        issuer: "dev".into(),
        subject: user.into(),
        user: user.into(),
        groups: groups.iter().map(|group| (*group).into()).collect(),
        ..Identity::default()
    }
}

pub(crate) fn requester(user: &str, groups: &[&str]) -> Requester {
    Requester::Identity(Box::new(identity(user, groups)))
}

pub(crate) fn admin() -> Requester {
    requester("ada", &["admins"])
}

pub(crate) fn operator() -> Requester {
    requester("otto", &["operators"])
}
