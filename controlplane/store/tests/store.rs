//! The database keeps what the core's state says, all of it or nothing.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

#[path = "../../app/tests/common/mod.rs"]
mod common;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use common::{FIRST_RUN, POLICY, World, admin, documents, operator};
use penstock_app::event::Joined;
use penstock_app::state::{KeySource, Sealed};
use penstock_app::{Event, State, Tuning};
use penstock_config::certificates::PemError;
use penstock_store::{PAGE_BYTES_MAX, Store, StoreError};
use sqlx::Connection as _;

/// A world whose state a store keeps.
struct Kept {
    world: World,
    store: Store,
}

impl Kept {
    async fn open(path: &Path) -> Self {
        let store = Store::open(path).await.unwrap();
        store.name_cluster("test").await.unwrap();
        let mut world = World::empty();
        world.state = State::new(store.load().await.unwrap(), Tuning::default());
        Self { world, store }
    }

    /// One event, kept.
    async fn send(&mut self, event: Event) {
        self.world.changes.clear();
        self.world.send(event).unwrap();
        self.store.commit(&self.world.changes).await.unwrap();
    }

    async fn everything(&mut self) {
        self.send(Event::FirstRun { documents: documents(FIRST_RUN) }).await;
        self.world.changes.clear();
        self.world.apply(operator(), POLICY).unwrap();
        self.store.commit(&self.world.changes).await.unwrap();
        for name in ["a", "b", "a"] {
            let sealed = Sealed {
                generation: self.world.state.next_credentials_generation(),
                wrapped_key: "wrapped".into(),
                ciphertext: format!("of {name}"),
            };
            let client_certificate = if name == "a" { Ok(()) } else { Err(PemError::Base64) };
            let by = admin();
            self.send(Event::SetSecret { by, name: name.into(), sealed, client_certificate }).await;
        }
        self.send(Event::DeleteSecret { by: admin(), name: "b".into() }).await;
        let key = serde_json::json!({"kid": "a", "kty": "OKP"});
        self.send(Event::KeysFetched {
            issuer: "dev".into(),
            source: KeySource { issuer: "http://127.0.0.1:9000".into(), jwks_uri: None },
            keys: vec![key.as_object().unwrap().clone()],
        })
        .await;
        for token in ["t", "u", "v"] {
            let token_sha256 = token.to_owned();
            self.send(Event::JoinFileIssued { by: admin(), token_sha256 }).await;
        }
        for (token, node) in [("t", "node-1"), ("v", "node-2")] {
            self.send(Event::NodeJoined(Joined {
                token_sha256: token.into(),
                node: node.into(),
                name: "host".into(),
                certificate_sha256: format!("certificate of {node}"),
            }))
            .await;
        }
        self.send(Event::RemoveNode { by: admin(), node: "node-2".into() }).await;
    }
}

impl Kept {
    /// A connection whose mask changes twice, the first time with a cut, and one that is gone.
    async fn masks(&mut self) {
        let connection = |name: &str, mask: &str| {
            format!(
                "---\nkind: connection\nname: {name}\nprotocol: openai\nendpoints: [http://m]\n\
                 mask: {mask}\n"
            )
        };
        let mask = |name: &str, detector: &str| {
            format!("---\nkind: mask\nname: {name}\ndetectors: [{detector}]\n")
        };
        let both = connection("one", "pii") + &connection("two", "pii");
        for (detector, cut_open) in [("US_SSN", false), ("IBAN_CODE", true), ("US_SSN", false)] {
            let text = format!("{both}{}", mask("pii", detector));
            self.world.changes.clear();
            self.world.apply_with(operator(), &text, |apply| apply.cut_open = cut_open).unwrap();
            self.store.commit(&self.world.changes).await.unwrap();
        }
        let key = penstock_app::state::DocumentKey::new("connection", "two").unwrap();
        self.send(Event::DeleteDocument { by: operator(), key }).await;
        assert_eq!(self.world.state.durable.mask_marks.len(), 2);
    }
}

/// Another program at the same database.
async fn by_hand(path: &Path, sql: &'static str) -> Result<(), sqlx::Error> {
    let url = format!("sqlite://{}", path.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await?;
    sqlx::raw_sql(sql).execute(&mut connection).await?;
    connection.close().await
}

#[tokio::test]
async fn a_reload_gives_back_what_was_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut kept = Kept::open(&path).await;
    kept.everything().await;
    kept.masks().await;
    assert_eq!(kept.store.load().await.unwrap(), kept.world.state.durable);
    kept.store.close().await;
    let again = Store::open(&path).await.unwrap();
    assert_eq!(again.load().await.unwrap(), kept.world.state.durable);
    assert_eq!(again.verify_acts().await.unwrap(), Ok(kept.world.state.durable.act_head.clone()));
}

#[tokio::test]
async fn old_versions_stay_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = Kept::open(&folder.path().join("a.db")).await;
    kept.everything().await;
    let versions = kept.store.versions(10).await.unwrap();
    let numbers: Vec<u64> = versions.iter().map(|version| version.number).collect();
    assert_eq!(numbers, [2, 1]);
    for number in numbers {
        let found = kept.store.version(number).await.unwrap().unwrap();
        assert_eq!(found, kept.world.versions[&number]);
    }
    assert_eq!(kept.store.version(3).await.unwrap(), None);
}

#[tokio::test]
async fn a_commit_that_fails_half_way_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut kept = Kept::open(&path).await;
    kept.everything().await;
    let before = kept.store.load().await.unwrap();
    by_hand(
        &path,
        "CREATE TRIGGER disk_is_full BEFORE INSERT ON acts
             BEGIN SELECT RAISE(ABORT, 'disk is full'); END;",
    )
    .await
    .unwrap();
    kept.world.changes.clear();
    kept.world.apply(operator(), &POLICY.replace("list]", "embed]")).unwrap();
    assert!(kept.world.changes.len() > 2);
    assert!(matches!(kept.store.commit(&kept.world.changes).await, Err(StoreError::Database(_))));
    assert_eq!(kept.store.load().await.unwrap(), before);
}

#[tokio::test]
async fn an_act_is_neither_edited_nor_deleted_and_one_that_was_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut kept = Kept::open(&path).await;
    kept.everything().await;
    assert!(by_hand(&path, "UPDATE acts SET object = 'x' WHERE sequence = 2;").await.is_err());
    assert!(by_hand(&path, "DELETE FROM acts WHERE sequence = 2;").await.is_err());
    let forced = "DROP TRIGGER acts_stay; UPDATE acts SET object = 'x' WHERE sequence = 2;";
    by_hand(&path, forced).await.unwrap();
    assert!(kept.store.verify_acts().await.unwrap().is_err());
}

#[tokio::test]
async fn a_page_of_acts_is_bounded_in_bytes_and_the_pages_are_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = Kept::open(&folder.path().join("a.db")).await;
    kept.everything().await;
    // Each of these acts holds the text of one of these documents before and after.
    let users = format!("{}, ", "u".repeat(2_000)).repeat(600);
    for number in 0..8 {
        let rule = format!(
            "kind: rule\nname: large-{number}\neffect: deny\nsubjects: [{{users: [{users}u]}}]\n"
        );
        kept.world.changes.clear();
        kept.world.apply(operator(), &rule).unwrap();
        kept.store.commit(&kept.world.changes).await.unwrap();
    }
    let (mut after, mut pages) = (0, 0);
    loop {
        let page = kept.store.acts(after, 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        let bytes: usize = page.iter().map(|act| act.before.len() + act.after.len()).sum();
        assert!(bytes < PAGE_BYTES_MAX + 2_000_000, "{bytes}");
        (after, pages) = (last.sequence, pages + 1);
    }
    assert!(pages >= 2, "{pages}");
    let head = kept.world.state.durable.act_head.clone();
    assert_eq!(after, head.sequence);
    assert_eq!(kept.store.verify_acts().await.unwrap(), Ok(head));
}

#[tokio::test]
async fn secrets_of_an_earlier_version_are_no_client_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut kept = Kept::open(&path).await;
    kept.everything().await;
    kept.store.close().await;
    let back = "
        ALTER TABLE secrets DROP COLUMN is_client_certificate;
        DROP TABLE approvals; DROP TABLE grants; DROP TABLE uses; DROP TABLE revocations;
        DROP TABLE outbox; DROP TABLE links; DROP TABLE messages; DROP TABLE mask_marks;
        PRAGMA user_version = 1;";
    by_hand(&path, back).await.unwrap();
    let again = Store::open(&path).await.unwrap();
    let secrets = again.load().await.unwrap().secrets;
    assert_eq!(secrets.len(), kept.world.state.durable.secrets.len());
    assert!(secrets.values().all(|stored| !stored.is_client_certificate));
}

#[tokio::test]
async fn a_cluster_keeps_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Kept::open(&folder.path().join("a.db")).await;
    kept.store.name_cluster("other").await.unwrap();
    assert_eq!(kept.store.load().await.unwrap().cluster, "test");
}

#[tokio::test]
async fn only_the_owner_may_read_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = Kept::open(&folder.path().join("a.db")).await;
    kept.everything().await;
    let mut files = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let metadata = entry.unwrap().metadata().unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600);
        files += 1;
    }
    assert!(files >= 2, "the database and its log");
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    Kept::open(&path).await.store.close().await;
    by_hand(&path, "PRAGMA user_version = 99;").await.unwrap();
    assert!(matches!(Store::open(&path).await, Err(StoreError::Newer { found: 99, .. })));
}
