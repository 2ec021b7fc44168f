//! Secrets, sealed.

use std::collections::BTreeMap;

use penstock_app::state::{Sealed, StoredSecret};
use sqlx::Row as _;

use crate::{Connection, StoreError, from_row, to_row};

pub(crate) async fn load(
    connection: &mut Connection,
) -> Result<BTreeMap<String, StoredSecret>, StoreError> {
    let rows = sqlx::query("SELECT * FROM secrets").fetch_all(connection).await?;
    let secret = |row: sqlx::sqlite::SqliteRow| {
        let sealed = Sealed {
            generation: from_row(row.try_get("generation")?, "secrets")?,
            wrapped_key: row.try_get("wrapped_key")?,
            ciphertext: row.try_get("ciphertext")?,
        };
        let updated_ms = from_row(row.try_get("updated_ms")?, "secrets")?;
        let is_client_certificate = row.try_get("is_client_certificate")?;
        Ok((row.try_get("name")?, StoredSecret { sealed, is_client_certificate, updated_ms }))
    };
    rows.into_iter().map(secret).collect()
}

pub(crate) async fn write(
    connection: &mut Connection,
    name: &str,
    stored: &StoredSecret,
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?, ?, ?)")
        .bind(name)
        .bind(to_row(stored.sealed.generation))
        .bind(&stored.sealed.wrapped_key)
        .bind(&stored.sealed.ciphertext)
        .bind(to_row(stored.updated_ms))
        .bind(stored.is_client_certificate)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete(connection: &mut Connection, name: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM secrets WHERE name = ?").bind(name).execute(connection).await?;
    Ok(())
}
