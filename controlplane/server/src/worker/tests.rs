//! Events that wait together: what they share, and what they don't.

use penstock_app::vault::KEY_BYTES;
use penstock_app::{Tuning, sha256_hex};
use penstock_config::documents::{Source, parse};
use sqlx::Connection as _;
use tempfile::TempDir;

use super::*;

const FIRST_RUN: &str = "
{kind: issuer, name: dev, issuer: 'http://127.0.0.1:9', audiences: [penstock]}
---
{kind: role, name: admins, role: admin, subjects: [{users: [ada]}]}
";

/// A writer that has not begun, over a database of its own.
struct Waiting {
    worker: Worker,
    handle: Handle,
    store: Store,
    folder: TempDir,
}

impl Waiting {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.db")).await.unwrap();
        store.name_cluster("test").await.unwrap();
        let state = State::new(store.load().await.unwrap(), Tuning::default());
        let (signer, _) = SnapshotSigner::generate().unwrap();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (worker, handle) = Worker::new(Parts {
            tokens: Tokens::new(&state),
            state,
            store: store.clone(),
            signer,
            master: Arc::new(MasterKey::new(Zeroizing::new([7; KEY_BYTES]))),
            fetcher: Fetcher::new(true, false).unwrap(),
        });
        Self { worker, handle, store, folder }
    }

    /// Puts a command where the writer finds it.
    fn queue(
        &self,
        command: impl FnOnce(Reply) -> Command,
    ) -> oneshot::Receiver<Result<Answer, Failure>> {
        let (reply, answer) = oneshot::channel();
        assert!(self.handle.commands.try_send(command(reply)).is_ok(), "there is room");
        answer
    }

    fn queue_event(&self, event: Event) -> oneshot::Receiver<Result<Answer, Failure>> {
        self.queue(|reply| Command::Event(Box::new(event), Some(reply)))
    }

    async fn sql(&self, text: &'static str) {
        let database = self.folder.path().join("a.db");
        let url = format!("sqlite://{}", database.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    }
}

fn first_run() -> Event {
    let source = Source { name: "first-run".into(), text: FIRST_RUN.into() };
    let documents = parse(&[source]).unwrap().into_iter().map(|placed| placed.document).collect();
    Event::FirstRun { documents }
}

fn join_file(number: usize) -> Event {
    let token_sha256 = sha256_hex(&number.to_be_bytes());
    Event::JoinFileIssued { by: Requester::System, token_sha256 }
}

fn refused() -> Event {
    Event::RemoveNode { by: Requester::System, node: "node-0".into() }
}

#[tokio::test]
async fn a_commit_that_fails_fails_every_event_of_its_group_and_leaves_the_state() {
    let mut waiting = Waiting::new().await;
    waiting.worker.handle(first_run()).await.unwrap();
    let before = waiting.handle.state();
    // The database refuses the row of the second event alone.
    waiting
        .sql(
            "CREATE TRIGGER full BEFORE INSERT ON join_tokens
             WHEN (SELECT count(*) FROM join_tokens) = 1
             BEGIN SELECT RAISE(ABORT, 'disk is full'); END;",
        )
        .await;
    let events = [join_file(1), join_file(2), refused(), join_file(3), Event::Tick];
    let answers = events.map(|event| waiting.queue_event(event));
    let first = waiting.worker.commands.recv().await.unwrap();
    waiting.worker.obey(first).await;
    for answer in answers {
        assert_eq!(answer.await.unwrap(), Err(Failure::Unavailable));
    }
    assert_eq!(waiting.handle.state(), before);
    assert_eq!(waiting.store.load().await.unwrap(), before.durable);

    waiting.sql("DROP TRIGGER full;").await;
    assert_eq!(waiting.worker.handle(join_file(1)).await, Ok(Answer::Done));
    assert_eq!(waiting.store.load().await.unwrap(), waiting.handle.state().durable);
}

#[tokio::test]
async fn a_refusal_inside_a_group_leaves_the_others_alone() {
    let mut waiting = Waiting::new().await;
    waiting.worker.handle(first_run()).await.unwrap();
    let kept = [waiting.queue_event(join_file(1)), waiting.queue_event(join_file(2))];
    let refusal = waiting.queue_event(refused());
    let last = waiting.queue_event(join_file(3));
    let first = waiting.worker.commands.recv().await.unwrap();
    waiting.worker.obey(first).await;
    for answer in kept.into_iter().chain([last]) {
        assert_eq!(answer.await.unwrap(), Ok(Answer::Done));
    }
    let expected = Err(Failure::Refused(Refusal::NotFound("node")));
    assert_eq!(refusal.await.unwrap(), expected);
    let durable = waiting.store.load().await.unwrap();
    assert_eq!(durable.join_tokens.len(), 3);
    assert_eq!(durable, waiting.handle.state().durable);
    assert_eq!(waiting.store.verify_acts().await.unwrap().map(|head| head.sequence), Ok(4));
}

#[tokio::test]
async fn an_event_sees_what_the_ones_before_it_in_its_group_did() {
    let mut waiting = Waiting::new().await;
    waiting.worker.handle(first_run()).await.unwrap();
    let joined = penstock_app::event::Joined {
        token_sha256: sha256_hex(&1_usize.to_be_bytes()),
        node: "node-1".into(),
        name: "host".into(),
        certificate_sha256: sha256_hex(b"certificate"),
    };
    let events = [join_file(1), Event::NodeJoined(joined.clone()), Event::NodeJoined(joined)];
    let [issued, once, twice] = events.map(|event| waiting.queue_event(event));
    let first = waiting.worker.commands.recv().await.unwrap();
    waiting.worker.obey(first).await;
    assert_eq!(issued.await.unwrap(), Ok(Answer::Done));
    assert_eq!(once.await.unwrap(), Ok(Answer::Done));
    assert_eq!(twice.await.unwrap(), Err(Failure::Refused(Refusal::JoinToken)));
    assert_eq!(waiting.store.load().await.unwrap(), waiting.handle.state().durable);
}

#[tokio::test]
async fn what_is_no_event_is_obeyed_in_its_turn_behind_a_group() {
    let mut waiting = Waiting::new().await;
    let started = waiting.queue_event(first_run());
    let by = Requester::System;
    let value = Zeroizing::new("sk-model".to_owned());
    let set = waiting.queue(|reply| Command::SetSecret(by, "a".into(), value, reply));
    let deleted =
        waiting.queue_event(Event::DeleteSecret { by: Requester::System, name: "a".into() });
    let first = waiting.worker.commands.recv().await.unwrap();
    waiting.worker.obey(first).await;
    assert!(started.await.unwrap().is_ok());
    assert!(set.await.unwrap().is_ok());
    assert!(!waiting.handle.state().durable.secrets.is_empty(), "the rest waits for its turn");
    tokio::spawn(waiting.worker.run());
    assert!(deleted.await.unwrap().is_ok());
    assert!(waiting.handle.state().durable.secrets.is_empty());
}

#[tokio::test]
async fn two_snapshots_of_one_group_follow_from_each_other() {
    let mut waiting = Waiting::new().await;
    waiting.worker.handle(first_run()).await.unwrap();
    let apply = |name: &str| {
        let text = format!("{{kind: role, name: {name}, role: user, subjects: [{{users: [u]}}]}}");
        Event::ApplyDocuments(penstock_app::event::Apply {
            by: Requester::System,
            sources: vec![Source { name: "a".into(), text }],
            prune: false,
            dry_run: false,
            expect_version: None,
            cut_open: false,
        })
    };
    let events = [apply("one"), apply("two")];
    let answers = events.map(|event| waiting.queue_event(event));
    let mut watched = waiting.handle.watch();
    watched.mark_unchanged();
    let first = waiting.worker.commands.recv().await.unwrap();
    waiting.worker.obey(first).await;
    for answer in answers {
        assert!(answer.await.unwrap().is_ok());
    }
    assert!(watched.has_changed().unwrap(), "who waits for a snapshot is woken");
    let state = waiting.handle.state();
    assert_eq!(state.durable.position.version, 3);
    assert_eq!(waiting.store.load().await.unwrap(), state.durable);
}
