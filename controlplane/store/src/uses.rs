//! Sessions that took a use of a grant, or that are over, each as one JSON text.

use std::sync::Arc;

use imbl::OrdMap;
use penstock_app::grants::Use;
use sqlx::Row as _;

use crate::{Connection, StoreError, to_row};

const TABLE: &str = "uses";

pub(crate) async fn load(
    connection: &mut Connection,
) -> Result<OrdMap<String, Arc<Use>>, StoreError> {
    let rows = sqlx::query("SELECT record FROM uses").fetch_all(connection).await?;
    let record = |row: sqlx::sqlite::SqliteRow| {
        let text: &str = row.try_get("record")?;
        let record: Use = serde_json::from_str(text).map_err(|_| StoreError::Damaged(TABLE))?;
        Ok((record.session.clone(), Arc::new(record)))
    };
    rows.into_iter().map(record).collect()
}

pub(crate) async fn write(connection: &mut Connection, record: &Use) -> Result<(), StoreError> {
    let text = serde_json::to_string(record).map_err(|_| StoreError::Damaged(TABLE))?;
    sqlx::query("INSERT OR REPLACE INTO uses VALUES (?, ?, ?)")
        .bind(&record.session)
        .bind(to_row(record.at_ms))
        .bind(text)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete(connection: &mut Connection, session: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM uses WHERE session = ?").bind(session).execute(connection).await?;
    Ok(())
}
