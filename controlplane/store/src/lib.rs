//! The store: one SQLite database. In: changes of the pure core, one transaction an event. Out: the
//! durable state, old versions, acts. Never: a decision, a secret in clear text, or an act without
//! the change that it is about.

mod acts;
mod approvals;
mod extra;
mod grants;
mod keys;
mod mask_marks;
mod meta;
mod migrations;
mod nodes;
mod once;
mod outbox;
mod revocations;
mod secrets;
mod snapshots;
mod uses;
mod versions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use penstock_app::{Change, Durable};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub use acts::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};
pub use extra::Extra;
pub use once::{LINKS_MAX, MESSAGES_MAX, Once};
pub use outbox::{OUTGOING_ROWS_MAX, PASSED_OVER_MAX, Revivable};

/// A transaction or a single connection of the store.
type Connection = sqlx::SqliteConnection;

/// Why the store did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused; the source says why.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The database's file or folder can't be used.
    #[error("the database's file can't be used")]
    File(#[from] std::io::Error),
    /// A row that this program did not write.
    #[error("a row of `{0}` is damaged")]
    Damaged(&'static str),
    /// A newer program wrote the database.
    #[error("the database has format {found}, this program knows up to {known}")]
    Newer {
        /// Format of the database.
        found: i64,
        /// Newest format that this program knows.
        known: i64,
    },
}

/// The database. Copies share it.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens a database, makes it when it is missing (readable by its owner alone), and brings it
    /// to this program's format. Every commit is on the disk before it is answered.
    ///
    /// # Errors
    /// The file can't be used, or a newer program wrote it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
            .await?;
        migrations::run(&mut *pool.acquire().await?).await?;
        Ok(Self { pool })
    }

    /// Closes the database; every copy of this store is closed with it.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Gives a new database its cluster's id; one that has an id keeps it.
    ///
    /// # Errors
    /// The database refused.
    pub async fn name_cluster(&self, cluster: &str) -> Result<(), StoreError> {
        meta::name_cluster(&mut *self.pool.acquire().await?, cluster).await
    }

    /// The durable state as the last commit left it.
    ///
    /// # Errors
    /// The database refused, or a row is damaged.
    pub async fn load(&self) -> Result<Durable, StoreError> {
        let mut connection = self.pool.begin().await?;
        let meta = meta::load(&mut connection).await?;
        let newest = versions::newest_documents(&mut connection).await?;
        let documents = newest
            .into_iter()
            .map(|stored| (penstock_app::state::DocumentKey::of(&stored.document), stored));
        Ok(Durable {
            cluster: meta.cluster,
            position: meta.position,
            credentials_generation: meta.credentials_generation,
            documents: Arc::new(documents.collect()),
            secrets: Arc::new(secrets::load(&mut connection).await?),
            keys: Arc::new(keys::load(&mut connection).await?),
            join_tokens: Arc::new(nodes::load_join_tokens(&mut connection).await?),
            nodes: Arc::new(nodes::load(&mut connection).await?),
            approvals: approvals::load(&mut connection).await?,
            grants: grants::load(&mut connection).await?,
            uses: uses::load(&mut connection).await?,
            revocations: revocations::load(&mut connection).await?,
            mask_marks: Arc::new(mask_marks::load(&mut connection).await?),
            act_head: acts::head(&mut connection).await?,
            snapshot: snapshots::load(&mut connection).await?,
        })
    }

    /// Writes the changes of one event: all of them, or none.
    ///
    /// # Errors
    /// The database refused; nothing is written.
    pub async fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.commit_with(changes, &[]).await.map(drop)
    }
}

async fn write(connection: &mut Connection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Position { position, credentials_generation } => {
            meta::write(connection, *position, *credentials_generation).await
        }
        Change::Version { version, documents } => {
            versions::write(connection, version, documents).await
        }
        Change::SecretSet(name, stored) => secrets::write(connection, name, stored).await,
        Change::SecretDeleted(name) => secrets::delete(connection, name).await,
        Change::KeysSet(issuer, keys) => keys::write(connection, issuer, keys).await,
        Change::KeysDeleted(issuer) => keys::delete(connection, issuer).await,
        Change::JoinTokenSet(hash, token) => nodes::write_join_token(connection, hash, token).await,
        Change::JoinTokenDeleted(hash) => nodes::delete_join_token(connection, hash).await,
        Change::NodeSet(id, node) => nodes::write(connection, id, node).await,
        Change::NodeDeleted(id) => nodes::delete(connection, id).await,
        Change::MaskMarkSet(name, mark) => mask_marks::write(connection, name, *mark).await,
        Change::MaskMarkDeleted(name) => mask_marks::delete(connection, name).await,
        Change::ApprovalSet(approval) => approvals::write(connection, approval).await,
        Change::ApprovalDeleted(id) => approvals::delete(connection, id).await,
        Change::GrantSet(grant) => grants::write(connection, grant).await,
        Change::GrantDeleted(id) => grants::delete(connection, id).await,
        Change::UseSet(one) => uses::write(connection, one).await,
        Change::UseDeleted(session) => uses::delete(connection, session).await,
        Change::Revoked(key, one) => revocations::write(connection, key, one).await,
        Change::RevocationDeleted(key) => revocations::delete(connection, key).await,
        Change::Signed(signed) => snapshots::write(connection, signed).await,
        Change::Act(act) => acts::write(connection, act).await,
    }
}

/// Makes an empty file that its owner alone may read; the database's other files take on its mode.
fn make_private(path: &Path) -> Result<(), std::io::Error> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A number as the database keeps it. Times, versions and generations never come near the limit.
fn to_row(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as it was.
fn from_row(number: i64, table: &'static str) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged(table))
}
