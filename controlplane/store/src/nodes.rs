//! Nodes that joined, and the tokens of join files that may still be used.

use std::collections::BTreeMap;

use penstock_app::state::{JoinToken, Node};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::{Connection, StoreError, from_row, to_row};

pub(crate) async fn load(
    connection: &mut Connection,
) -> Result<BTreeMap<String, Node>, StoreError> {
    let rows = sqlx::query("SELECT * FROM nodes").fetch_all(connection).await?;
    let node = |row: SqliteRow| {
        let node = Node {
            name: row.try_get("name")?,
            certificate_sha256: row.try_get("certificate_sha256")?,
            joined_ms: from_row(row.try_get("joined_ms")?, "nodes")?,
        };
        Ok((row.try_get("id")?, node))
    };
    rows.into_iter().map(node).collect()
}

pub(crate) async fn write(
    connection: &mut Connection,
    id: &str,
    node: &Node,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO nodes VALUES (?, ?, ?, ?)")
        .bind(id)
        .bind(&node.name)
        .bind(&node.certificate_sha256)
        .bind(to_row(node.joined_ms))
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete(connection: &mut Connection, id: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM nodes WHERE id = ?").bind(id).execute(connection).await?;
    Ok(())
}

pub(crate) async fn load_join_tokens(
    connection: &mut Connection,
) -> Result<BTreeMap<String, JoinToken>, StoreError> {
    let rows = sqlx::query("SELECT * FROM join_tokens").fetch_all(connection).await?;
    let token = |row: SqliteRow| {
        let expires_ms = from_row(row.try_get("expires_ms")?, "join_tokens")?;
        Ok((row.try_get("token_sha256")?, JoinToken { expires_ms }))
    };
    rows.into_iter().map(token).collect()
}

pub(crate) async fn write_join_token(
    connection: &mut Connection,
    token_sha256: &str,
    token: &JoinToken,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO join_tokens VALUES (?, ?)")
        .bind(token_sha256)
        .bind(to_row(token.expires_ms))
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete_join_token(
    connection: &mut Connection,
    token_sha256: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM join_tokens WHERE token_sha256 = ?")
        .bind(token_sha256)
        .execute(connection)
        .await?;
    Ok(())
}
