//! What does not hold any more: identities, tokens, sessions. Key and row are JSON texts.

use std::sync::Arc;

use imbl::OrdMap;
use penstock_app::revocations::{Revocation, RevocationKey};
use sqlx::Row as _;

use crate::{Connection, StoreError, to_row};

const TABLE: &str = "revocations";

pub(crate) async fn load(
    connection: &mut Connection,
) -> Result<OrdMap<RevocationKey, Arc<Revocation>>, StoreError> {
    let rows = sqlx::query("SELECT key, record FROM revocations").fetch_all(connection).await?;
    let damaged = |_| StoreError::Damaged(TABLE);
    let record = |row: sqlx::sqlite::SqliteRow| {
        let key: RevocationKey = serde_json::from_str(row.try_get("key")?).map_err(damaged)?;
        let record: Revocation = serde_json::from_str(row.try_get("record")?).map_err(damaged)?;
        Ok((key, Arc::new(record)))
    };
    rows.into_iter().map(record).collect()
}

pub(crate) async fn write(
    connection: &mut Connection,
    key: &RevocationKey,
    record: &Revocation,
) -> Result<(), StoreError> {
    let damaged = |_| StoreError::Damaged(TABLE);
    sqlx::query("INSERT OR REPLACE INTO revocations VALUES (?, ?, ?)")
        .bind(text(key)?)
        .bind(to_row(record.at_ms))
        .bind(serde_json::to_string(record).map_err(damaged)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete(
    connection: &mut Connection,
    key: &RevocationKey,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM revocations WHERE key = ?")
        .bind(text(key)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// The same key is always the same text: its members stand in the order of their declaration.
fn text(key: &RevocationKey) -> Result<String, StoreError> {
    serde_json::to_string(key).map_err(|_| StoreError::Damaged(TABLE))
}
