//! The cluster's id, the newest position, the generation of the secrets: one row.

use penstock_config::node::Position;
use sqlx::Row as _;

use crate::{Connection, StoreError, from_row, to_row};

#[derive(Default)]
pub(crate) struct Meta {
    pub(crate) cluster: String,
    pub(crate) position: Position,
    pub(crate) credentials_generation: u64,
}

pub(crate) async fn name_cluster(
    connection: &mut Connection,
    cluster: &str,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO meta VALUES (1, ?, 1, 0, 0, 0) ON CONFLICT (id) DO NOTHING")
        .bind(cluster)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn load(connection: &mut Connection) -> Result<Meta, StoreError> {
    let found = sqlx::query("SELECT * FROM meta").fetch_optional(connection).await?;
    let Some(row) = found else { return Ok(Meta::default()) };
    let number = |column| from_row(row.try_get(column)?, "meta");
    Ok(Meta {
        cluster: row.try_get("cluster")?,
        position: Position {
            epoch: number("epoch")?,
            version: number("version")?,
            revision: number("revision")?,
        },
        credentials_generation: number("credentials_generation")?,
    })
}

pub(crate) async fn write(
    connection: &mut Connection,
    position: Position,
    credentials_generation: u64,
) -> Result<(), StoreError> {
    let written = sqlx::query(
        "UPDATE meta SET epoch = ?, version = ?, revision = ?, credentials_generation = ?",
    )
    .bind(to_row(position.epoch))
    .bind(to_row(position.version))
    .bind(to_row(position.revision))
    .bind(to_row(credentials_generation))
    .execute(connection)
    .await?;
    if written.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Damaged("meta")) }
}
