//! Approvals, each with its requirements and votes as one JSON text.

use std::sync::Arc;

use imbl::OrdMap;
use penstock_app::approvals::{Approval, ApprovalState};
use sqlx::Row as _;

use crate::{Connection, StoreError, to_row};

const TABLE: &str = "approvals";

pub(crate) async fn load(
    connection: &mut Connection,
) -> Result<OrdMap<String, Arc<Approval>>, StoreError> {
    let rows = sqlx::query("SELECT record FROM approvals").fetch_all(connection).await?;
    let record = |row: sqlx::sqlite::SqliteRow| {
        let text: &str = row.try_get("record")?;
        let record: Approval =
            serde_json::from_str(text).map_err(|_| StoreError::Damaged(TABLE))?;
        Ok((record.id.clone(), Arc::new(record)))
    };
    rows.into_iter().map(record).collect()
}

pub(crate) async fn write(
    connection: &mut Connection,
    record: &Approval,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(record).map_err(|_| StoreError::Damaged(TABLE))?;
    sqlx::query("INSERT OR REPLACE INTO approvals VALUES (?, ?, ?, ?, ?, ?)")
        .bind(&record.id)
        .bind(name(record.state))
        .bind(&record.requester.issuer)
        .bind(&record.requester.subject)
        .bind(to_row(record.asked_ms))
        .bind(text)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete(connection: &mut Connection, id: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM approvals WHERE id = ?").bind(id).execute(connection).await?;
    Ok(())
}

fn name(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Pending => "pending",
        ApprovalState::Approved => "approved",
        ApprovalState::Denied => "denied",
        ApprovalState::Expired => "expired",
        ApprovalState::Withdrawn => "withdrawn",
    }
}
