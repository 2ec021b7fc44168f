//! Versions of the documents, each with the whole set.

use penstock_app::event::Actor;
use penstock_app::state::{StoredDocument, Version};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::{Connection, Store, StoreError, from_row, to_row};

impl Store {
    /// The newest versions, newest first, at most `limit`.
    ///
    /// # Errors
    /// The database refused, or a row is damaged.
    pub async fn versions(&self, limit: u32) -> Result<Vec<Version>, StoreError> {
        let rows = sqlx::query(
            "SELECT version, at_ms, actor_issuer, actor_subject, summary
             FROM versions ORDER BY version DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(version).collect()
    }

    /// One version with its documents.
    ///
    /// # Errors
    /// The database refused, or the row is damaged.
    pub async fn version(
        &self,
        number: u64,
    ) -> Result<Option<(Version, Vec<StoredDocument>)>, StoreError> {
        let row = sqlx::query("SELECT * FROM versions WHERE version = ?")
            .bind(to_row(number))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok((version(&row)?, documents(&row)?))).transpose()
    }
}

pub(crate) async fn newest_documents(
    connection: &mut Connection,
) -> Result<Vec<StoredDocument>, StoreError> {
    let row = sqlx::query("SELECT documents FROM versions ORDER BY version DESC LIMIT 1")
        .fetch_optional(connection)
        .await?;
    row.map_or_else(|| Ok(Vec::new()), |row| documents(&row))
}

pub(crate) async fn write(
    connection: &mut Connection,
    row: &Version,
    documents: &[StoredDocument],
) -> Result<(), StoreError> {
    let text = serde_json::to_string(documents).map_err(|_| StoreError::Damaged("versions"))?;
    sqlx::query("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?)")
        .bind(to_row(row.number))
        .bind(to_row(row.at_ms))
        .bind(&row.actor.issuer)
        .bind(&row.actor.subject)
        .bind(&row.summary)
        .bind(text)
        .execute(connection)
        .await?;
    Ok(())
}

fn version(row: &SqliteRow) -> Result<Version, StoreError> {
    let actor =
        Actor { issuer: row.try_get("actor_issuer")?, subject: row.try_get("actor_subject")? };
    Ok(Version {
        number: from_row(row.try_get("version")?, "versions")?,
        at_ms: from_row(row.try_get("at_ms")?, "versions")?,
        actor,
        summary: row.try_get("summary")?,
    })
}

fn documents(row: &SqliteRow) -> Result<Vec<StoredDocument>, StoreError> {
    let text: &str = row.try_get("documents")?;
    serde_json::from_str(text).map_err(|_| StoreError::Damaged("versions"))
}
