//! The last signed snapshot: the next one names its hash, and nodes get its very bytes after a
//! restart.

use penstock_app::state::SignedSnapshot;
use penstock_config::node::Position;
use sqlx::Row as _;

use crate::{Connection, StoreError, from_row, to_row};

pub(crate) async fn load(
    connection: &mut Connection,
) -> Result<Option<SignedSnapshot>, StoreError> {
    let found = sqlx::query("SELECT * FROM snapshots").fetch_optional(connection).await?;
    let Some(row) = found else { return Ok(None) };
    let number = |column| from_row(row.try_get(column)?, "snapshots");
    let bytes: &[u8] = row.try_get("bytes")?;
    Ok(Some(SignedSnapshot {
        position: Position {
            epoch: number("epoch")?,
            version: number("version")?,
            revision: number("revision")?,
        },
        issued_ms: number("issued_ms")?,
        expires_ms: number("expires_ms")?,
        sha256: row.try_get("sha256")?,
        signer: row.try_get("signer")?,
        bytes: bytes.into(),
    }))
}

pub(crate) async fn write(
    connection: &mut Connection,
    signed: &SignedSnapshot,
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO snapshots VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(to_row(signed.position.epoch))
        .bind(to_row(signed.position.version))
        .bind(to_row(signed.position.revision))
        .bind(to_row(signed.issued_ms))
        .bind(to_row(signed.expires_ms))
        .bind(&signed.sha256)
        .bind(&signed.signer)
        .bind(&*signed.bytes)
        .execute(connection)
        .await?;
    Ok(())
}
