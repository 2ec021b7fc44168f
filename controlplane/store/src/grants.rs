//! Grants, each as one JSON text.

use std::sync::Arc;

use imbl::OrdMap;
use penstock_app::grants::{Grant, GrantState};
use sqlx::Row as _;

use crate::{Connection, StoreError, to_row};

const TABLE: &str = "grants";

pub(crate) async fn load(
    connection: &mut Connection,
) -> Result<OrdMap<String, Arc<Grant>>, StoreError> {
    let rows = sqlx::query("SELECT record FROM grants").fetch_all(connection).await?;
    let record = |row: sqlx::sqlite::SqliteRow| {
        let text: &str = row.try_get("record")?;
        let record: Grant = serde_json::from_str(text).map_err(|_| StoreError::Damaged(TABLE))?;
        Ok((record.id.clone(), Arc::new(record)))
    };
    rows.into_iter().map(record).collect()
}

pub(crate) async fn write(connection: &mut Connection, record: &Grant) -> Result<(), StoreError> {
    let text = serde_json::to_string(record).map_err(|_| StoreError::Damaged(TABLE))?;
    sqlx::query("INSERT OR REPLACE INTO grants VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(&record.id)
        .bind(&record.approval)
        .bind(name(record.state))
        .bind(&record.owner.issuer)
        .bind(&record.owner.subject)
        .bind(to_row(record.granted_ms))
        .bind(text)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete(connection: &mut Connection, id: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM grants WHERE id = ?").bind(id).execute(connection).await?;
    Ok(())
}

fn name(state: GrantState) -> &'static str {
    match state {
        GrantState::Approved => "approved",
        GrantState::Active => "active",
        GrantState::Spent => "spent",
        GrantState::Expired => "expired",
        GrantState::Revoked => "revoked",
    }
}
