//! Acts: rows are only ever added.

use futures_util::TryStreamExt as _;
use penstock_app::Act;
use penstock_app::acts::{ChainError, verify};
use penstock_app::event::Actor;
use penstock_app::state::ActHead;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::{Connection, Store, StoreError, from_row, to_row};

/// Most rows of one page.
pub const PAGE_ROWS_MAX: u32 = 1_000;
/// A page ends with the row that reaches this many bytes: 4 MiB.
pub const PAGE_BYTES_MAX: usize = 4 << 20;

impl Store {
    /// Acts behind a sequence, oldest first, at most `limit`, [`PAGE_ROWS_MAX`] and about
    /// [`PAGE_BYTES_MAX`] of text; no act at all only where there is none.
    ///
    /// # Errors
    /// The database refused, or a row is damaged.
    pub async fn acts(&self, after: u64, limit: u32) -> Result<Vec<Act>, StoreError> {
        let mut rows =
            sqlx::query("SELECT * FROM acts WHERE sequence > ? ORDER BY sequence LIMIT ?")
                .bind(to_row(after))
                .bind(limit.min(PAGE_ROWS_MAX))
                .fetch(&self.pool);
        let (mut page, mut bytes) = (Vec::new(), 0_usize);
        while bytes < PAGE_BYTES_MAX
            && let Some(row) = rows.try_next().await?
        {
            let act = act(&row)?;
            bytes = bytes.saturating_add(act.before.len()).saturating_add(act.after.len());
            page.push(act);
        }
        Ok(page)
    }

    /// The end of the chain as it was after the act `sequence`; none where there is no such act.
    ///
    /// # Errors
    /// The database refused, or the row is damaged.
    pub async fn act_head_at(&self, sequence: u64) -> Result<Option<ActHead>, StoreError> {
        if sequence == 0 {
            return Ok(Some(ActHead::default()));
        }
        let row = sqlx::query("SELECT * FROM acts WHERE sequence = ?")
            .bind(to_row(sequence))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok(act(&row)?.head())).transpose()
    }

    /// Verifies the whole chain, row by row, and returns its end.
    ///
    /// # Errors
    /// The database refused. The inner error names the first act that is not as it was.
    pub async fn verify_acts(&self) -> Result<Result<ActHead, ChainError>, StoreError> {
        let mut head = ActHead::default();
        let mut rows = sqlx::query("SELECT * FROM acts ORDER BY sequence").fetch(&self.pool);
        while let Some(row) = rows.try_next().await? {
            match verify(&head, [&act(&row)?]) {
                Ok(next) => head = next,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(head))
    }
}

pub(crate) async fn head(connection: &mut Connection) -> Result<ActHead, StoreError> {
    let row = sqlx::query("SELECT * FROM acts ORDER BY sequence DESC LIMIT 1")
        .fetch_optional(connection)
        .await?;
    row.map_or_else(|| Ok(ActHead::default()), |row| Ok(act(&row)?.head()))
}

pub(crate) async fn write(connection: &mut Connection, act: &Act) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO acts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(to_row(act.sequence))
        .bind(to_row(act.at_ms))
        .bind(&act.actor.issuer)
        .bind(&act.actor.subject)
        .bind(&act.action)
        .bind(&act.object)
        .bind(&act.before)
        .bind(&act.after)
        .bind(&act.previous)
        .bind(&act.hash)
        .execute(connection)
        .await?;
    Ok(())
}

fn act(row: &SqliteRow) -> Result<Act, StoreError> {
    let actor =
        Actor { issuer: row.try_get("actor_issuer")?, subject: row.try_get("actor_subject")? };
    Ok(Act {
        sequence: from_row(row.try_get("sequence")?, "acts")?,
        at_ms: from_row(row.try_get("at_ms")?, "acts")?,
        actor,
        action: row.try_get("action")?,
        object: row.try_get("object")?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
        previous: row.try_get("previous")?,
        hash: row.try_get("hash")?,
    })
}
