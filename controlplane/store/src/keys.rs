//! The last good keys of each issuer.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_app::state::IssuerKeys;
use sqlx::Row as _;

use crate::{Connection, StoreError, from_row, to_row};

const TABLE: &str = "issuer_keys";

pub(crate) async fn load(
    connection: &mut Connection,
) -> Result<BTreeMap<String, IssuerKeys>, StoreError> {
    let rows = sqlx::query("SELECT * FROM issuer_keys").fetch_all(connection).await?;
    let damaged = |_| StoreError::Damaged(TABLE);
    let keys = |row: sqlx::sqlite::SqliteRow| {
        let held = IssuerKeys {
            source: serde_json::from_str(row.try_get("source")?).map_err(damaged)?,
            keys: Arc::new(serde_json::from_str(row.try_get("keys")?).map_err(damaged)?),
            changed_ms: from_row(row.try_get("changed_ms")?, TABLE)?,
        };
        Ok((row.try_get("issuer")?, held))
    };
    rows.into_iter().map(keys).collect()
}

pub(crate) async fn write(
    connection: &mut Connection,
    issuer: &str,
    held: &IssuerKeys,
) -> Result<(), StoreError> {
    let damaged = |_| StoreError::Damaged(TABLE);
    sqlx::query("INSERT OR REPLACE INTO issuer_keys VALUES (?, ?, ?, ?)")
        .bind(issuer)
        .bind(serde_json::to_string(&held.source).map_err(damaged)?)
        .bind(serde_json::to_string(&*held.keys).map_err(damaged)?)
        .bind(to_row(held.changed_ms))
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete(connection: &mut Connection, issuer: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM issuer_keys WHERE issuer = ?")
        .bind(issuer)
        .execute(connection)
        .await?;
    Ok(())
}
