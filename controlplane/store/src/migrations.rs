//! The database's format: one SQL text a step, each run once and never changed afterwards.

use crate::{Connection, StoreError};

/// Each step ends by saying its own number.
const STEPS: [&str; 5] = [
    "
BEGIN IMMEDIATE;
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    cluster TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    credentials_generation INTEGER NOT NULL
) STRICT;
CREATE TABLE versions (
    version INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor_issuer TEXT NOT NULL,
    actor_subject TEXT NOT NULL,
    summary TEXT NOT NULL,
    documents TEXT NOT NULL
) STRICT;
CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    wrapped_key TEXT NOT NULL,
    ciphertext TEXT NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE issuer_keys (
    issuer TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    keys TEXT NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE join_tokens (
    token_sha256 TEXT PRIMARY KEY,
    expires_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    certificate_sha256 TEXT NOT NULL UNIQUE,
    joined_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    issued_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    signer TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE acts (
    sequence INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor_issuer TEXT NOT NULL,
    actor_subject TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE TRIGGER acts_stay BEFORE UPDATE ON acts
    BEGIN SELECT RAISE(ABORT, 'an act is never edited'); END;
CREATE TRIGGER acts_remain BEFORE DELETE ON acts
    BEGIN SELECT RAISE(ABORT, 'an act is never deleted'); END;
PRAGMA user_version = 1;
COMMIT;
",
    "
BEGIN IMMEDIATE;
ALTER TABLE secrets ADD COLUMN is_client_certificate INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 2;
COMMIT;
",
    "
BEGIN IMMEDIATE;
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    asked_ms INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    approval TEXT NOT NULL,
    state TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    granted_ms INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE TABLE uses (
    session TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE TABLE revocations (
    key TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
PRAGMA user_version = 3;
COMMIT;
",
    "
BEGIN IMMEDIATE;
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    event TEXT NOT NULL,
    approval TEXT NOT NULL,
    body TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    problem TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (state, next_ms, sequence, channel);
CREATE INDEX outbox_order ON outbox (state, sequence);
CREATE TABLE links (
    key_sha256 TEXT PRIMARY KEY,
    approval TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX links_end ON links (expires_ms);
CREATE TABLE messages (
    webhook TEXT NOT NULL,
    id TEXT NOT NULL,
    forget_ms INTEGER NOT NULL,
    PRIMARY KEY (webhook, id)
) STRICT;
CREATE INDEX messages_end ON messages (forget_ms);
PRAGMA user_version = 4;
COMMIT;
",
    "
BEGIN IMMEDIATE;
CREATE TABLE mask_marks (
    connection TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;
PRAGMA user_version = 5;
COMMIT;
",
];

/// Runs the steps that the database has not seen.
pub(crate) async fn run(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let done = usize::try_from(found).unwrap_or_default();
    for step in STEPS.into_iter().skip(done) {
        sqlx::raw_sql(step).execute(&mut *connection).await?;
    }
    Ok(())
}
