//! When the masks of connections changed, each as one JSON text.

use std::collections::BTreeMap;

use penstock_app::mask_cuts::MaskMark;
use sqlx::Row as _;

use crate::{Connection, StoreError};

const TABLE: &str = "mask_marks";

pub(crate) async fn load(
    connection: &mut Connection,
) -> Result<BTreeMap<String, MaskMark>, StoreError> {
    let rows = sqlx::query("SELECT * FROM mask_marks").fetch_all(connection).await?;
    let record = |row: sqlx::sqlite::SqliteRow| {
        let text: &str = row.try_get("record")?;
        let mark = serde_json::from_str(text).map_err(|_| StoreError::Damaged(TABLE))?;
        Ok((row.try_get("connection")?, mark))
    };
    rows.into_iter().map(record).collect()
}

pub(crate) async fn write(
    connection: &mut Connection,
    name: &str,
    mark: MaskMark,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(&mark).map_err(|_| StoreError::Damaged(TABLE))?;
    sqlx::query("INSERT OR REPLACE INTO mask_marks VALUES (?, ?)")
        .bind(name)
        .bind(text)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete(connection: &mut Connection, name: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM mask_marks WHERE connection = ?")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}
