//! What is to be told: rows that wait, were delivered, or were given up. They come in with the
//! transaction of the event that they tell of; what becomes of them is written by the delivery.

use penstock_app::outbox::{
    ChannelKind, DEAD_MAX, DELIVERED_MAX, OutboxState, Outgoing, PENDING_MAX, event_name,
    event_named,
};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::{Connection, Store, StoreError, from_row, to_row};

/// Most rows of one listing.
pub const OUTGOING_ROWS_MAX: u32 = 1_000;
/// Channels that [`Store::claim_outgoing`] can pass over.
pub const PASSED_OVER_MAX: usize = 2;
/// Why a row was given up for a newer one.
const OVERFLOW: &str = "too many messages waited";

/// Whether a row can be made due again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revivable {
    /// It is dead.
    Yes,
    /// It is not dead.
    NotDead,
    /// There is no such row.
    Unknown,
}

impl Store {
    /// Takes the row that is due for the longest time, and counts the try before it is made: who
    /// crashes tries again at `retry_ms`, and never for ever. Rows of the channels
    /// ([`Outgoing::channel_key`]) in `passed_over`, [`PASSED_OVER_MAX`] at most, stay.
    ///
    /// # Errors
    /// The database refused, or a row is damaged.
    pub async fn claim_outgoing(
        &self,
        now_ms: u64,
        retry_ms: u64,
        passed_over: &[String],
    ) -> Result<Option<Outgoing>, StoreError> {
        let [first, second] = two(passed_over);
        let row = sqlx::query(
            "UPDATE outbox SET attempts = attempts + 1, next_ms = ? WHERE sequence = (
                SELECT sequence FROM outbox
                WHERE state = 'pending' AND next_ms <= ? AND channel NOT IN (?, ?)
                ORDER BY next_ms, sequence LIMIT 1
            ) RETURNING *",
        )
        .bind(to_row(retry_ms))
        .bind(to_row(now_ms))
        .bind(first)
        .bind(second)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| outgoing(&row)).transpose()
    }

    /// When the next row is due; none where none waits.
    ///
    /// # Errors
    /// The database refused.
    pub async fn next_outgoing_ms(
        &self,
        passed_over: &[String],
    ) -> Result<Option<u64>, StoreError> {
        let [first, second] = two(passed_over);
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT min(next_ms) FROM outbox WHERE state = 'pending' AND channel NOT IN (?, ?)",
        )
        .bind(first)
        .bind(second)
        .fetch_one(&self.pool)
        .await?;
        next.map(|next| from_row(next, "outbox")).transpose()
    }

    /// The other side took a row.
    ///
    /// # Errors
    /// The database refused.
    pub async fn outgoing_delivered(&self, id: &str) -> Result<(), StoreError> {
        self.finish_outgoing(id, OutboxState::Delivered, "", DELIVERED_MAX).await
    }

    /// A row is given up.
    ///
    /// # Errors
    /// The database refused.
    pub async fn outgoing_dead(&self, id: &str, problem: &str) -> Result<(), StoreError> {
        self.finish_outgoing(id, OutboxState::Dead, problem, DEAD_MAX).await
    }

    async fn finish_outgoing(
        &self,
        id: &str,
        state: OutboxState,
        problem: &str,
        kept_max: usize,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("UPDATE outbox SET state = ?, problem = ? WHERE id = ?")
            .bind(state.name())
            .bind(problem)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        forget(&mut transaction, state, kept_max).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// A try failed, and there is a next one.
    ///
    /// # Errors
    /// The database refused.
    pub async fn outgoing_failed(
        &self,
        id: &str,
        next_ms: u64,
        problem: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE outbox SET next_ms = ?, problem = ? WHERE id = ? AND state = 'pending'",
        )
        .bind(to_row(next_ms))
        .bind(problem)
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Every row that waits for a channel ([`Outgoing::channel_key`]) is given up; how many were.
    ///
    /// # Errors
    /// The database refused.
    pub async fn channel_gone(&self, channel: &str, problem: &str) -> Result<u64, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let buried = sqlx::query(
            "UPDATE outbox SET state = 'dead', problem = ? WHERE state = 'pending' AND channel = ?",
        )
        .bind(problem)
        .bind(channel)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        forget(&mut transaction, OutboxState::Dead, DEAD_MAX).await?;
        transaction.commit().await?;
        Ok(buried)
    }

    /// Rows, newest first, at most `limit` and [`OUTGOING_ROWS_MAX`].
    ///
    /// # Errors
    /// The database refused, or a row is damaged.
    pub async fn outgoing(
        &self,
        state: Option<OutboxState>,
        limit: u32,
    ) -> Result<Vec<Outgoing>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM outbox WHERE ?1 = '' OR state = ?1 ORDER BY sequence DESC LIMIT ?2",
        )
        .bind(state.map_or("", OutboxState::name))
        .bind(limit.min(OUTGOING_ROWS_MAX))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(outgoing).collect()
    }

    /// Whether a row can be made due again.
    ///
    /// # Errors
    /// The database refused.
    pub async fn revivable(&self, id: &str) -> Result<Revivable, StoreError> {
        let found: Option<String> = sqlx::query_scalar("SELECT state FROM outbox WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        Ok(match found.as_deref() {
            None => Revivable::Unknown,
            Some("dead") => Revivable::Yes,
            Some(_) => Revivable::NotDead,
        })
    }
}

/// A dead row is due, as if it were new.
pub(crate) async fn revive(
    connection: &mut Connection,
    id: &str,
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE outbox SET state = 'pending', attempts = 0, next_ms = ?, problem = ''
         WHERE id = ? AND state = 'dead'",
    )
    .bind(to_row(now_ms))
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds a row. One that is there already was told before.
pub(crate) async fn write(
    connection: &mut Connection,
    outgoing: &Outgoing,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO outbox (id, channel, recipient, event, approval, body, created_ms, attempts,
            next_ms, state, problem)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&outgoing.id)
    .bind(outgoing.channel_key())
    .bind(&outgoing.recipient)
    .bind(event_name(outgoing.event))
    .bind(&outgoing.approval)
    .bind(&outgoing.body)
    .bind(to_row(outgoing.created_ms))
    .bind(outgoing.attempts)
    .bind(to_row(outgoing.next_ms))
    .bind(outgoing.state.name())
    .bind(&outgoing.problem)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives up the oldest rows where more than [`PENDING_MAX`] wait; how many. Questions and their
/// answers first: that glass was broken, or a grant ended, is told while anything else is left.
pub(crate) async fn bury_overflow(connection: &mut Connection) -> Result<u64, StoreError> {
    let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE state = 'pending'")
        .fetch_one(&mut *connection)
        .await?;
    let over = usize::try_from(waiting).unwrap_or_default().saturating_sub(PENDING_MAX);
    if over == 0 {
        return Ok(0);
    }
    let over = over as u64;
    let mut buried = sqlx::query(
        "UPDATE outbox SET state = 'dead', problem = ? WHERE sequence IN (
            SELECT sequence FROM outbox WHERE state = 'pending' AND event LIKE 'approval.%'
            ORDER BY sequence LIMIT ?)",
    )
    .bind(OVERFLOW)
    .bind(to_row(over))
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if buried < over {
        buried += sqlx::query(
            "UPDATE outbox SET state = 'dead', problem = ? WHERE sequence IN (
                SELECT sequence FROM outbox WHERE state = 'pending' ORDER BY sequence LIMIT ?)",
        )
        .bind(OVERFLOW)
        .bind(to_row(over.saturating_sub(buried)))
        .execute(&mut *connection)
        .await?
        .rows_affected();
    }
    forget(connection, OutboxState::Dead, DEAD_MAX).await?;
    Ok(buried)
}

/// Removes the oldest rows of a state beyond so many.
async fn forget(
    connection: &mut Connection,
    state: OutboxState,
    kept_max: usize,
) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM outbox WHERE sequence IN (
            SELECT sequence FROM outbox WHERE state = ?1
            ORDER BY sequence DESC LIMIT -1 OFFSET ?2)",
    )
    .bind(state.name())
    .bind(to_row(kept_max as u64))
    .execute(connection)
    .await?;
    Ok(())
}

fn two(passed_over: &[String]) -> [&str; 2] {
    let mut channels = passed_over.iter().map(String::as_str);
    [channels.next().unwrap_or_default(), channels.next().unwrap_or_default()]
}

fn outgoing(row: &SqliteRow) -> Result<Outgoing, StoreError> {
    let damaged = || StoreError::Damaged("outbox");
    let key: String = row.try_get("channel")?;
    let (kind, channel) = key.split_once('/').ok_or_else(damaged)?;
    let event: String = row.try_get("event")?;
    let state: String = row.try_get("state")?;
    Ok(Outgoing {
        id: row.try_get("id")?,
        kind: ChannelKind::named(kind).ok_or_else(damaged)?,
        channel: channel.to_owned(),
        recipient: row.try_get("recipient")?,
        event: event_named(&event).ok_or_else(damaged)?,
        approval: row.try_get("approval")?,
        body: row.try_get("body")?,
        created_ms: from_row(row.try_get("created_ms")?, "outbox")?,
        attempts: row.try_get("attempts")?,
        next_ms: from_row(row.try_get("next_ms")?, "outbox")?,
        state: OutboxState::named(&state).ok_or_else(damaged)?,
        problem: row.try_get("problem")?,
    })
}
