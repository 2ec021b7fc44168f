//! What counts once: keys in the links of mails, and ids of messages that were answered. Each is
//! used in the transaction of the event that it stands for, or not at all.

use sqlx::Row as _;

use crate::{Connection, Store, StoreError, from_row, to_row};

/// Most keys that are kept; beyond them the oldest do not hold any more.
pub const LINKS_MAX: u64 = 100_000;
/// Most ids of one webhook that are kept at a time: within its window no more are taken.
pub const MESSAGES_MAX: u64 = 10_000;

/// A key that a mail brought, or the id of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Once {
    /// The key of a link.
    Link {
        /// SHA-256 of the key, hex.
        key_sha256: String,
    },
    /// A message of a webhook.
    Message {
        /// Name of the webhook's document.
        webhook: String,
        /// Its `webhook-id`.
        id: String,
        /// When it can be forgotten, since its time is over: milliseconds since the Unix epoch.
        forget_ms: u64,
    },
}

impl Store {
    /// Keeps a key for one approval until `expires_ms`.
    ///
    /// # Errors
    /// The database refused.
    pub async fn keep_link(
        &self,
        key_sha256: &str,
        approval: &str,
        expires_ms: u64,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "DELETE FROM links WHERE expires_ms <= ?1 OR key_sha256 IN (
                SELECT key_sha256 FROM links ORDER BY expires_ms DESC LIMIT -1 OFFSET ?2)",
        )
        .bind(to_row(now_ms))
        .bind(to_row(LINKS_MAX - 1))
        .execute(&mut *transaction)
        .await?;
        sqlx::query("INSERT INTO links (key_sha256, approval, expires_ms) VALUES (?, ?, ?)")
            .bind(key_sha256)
            .bind(approval)
            .bind(to_row(expires_ms))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The approval that an unused key is for, and until when; none where there is no such key.
    ///
    /// # Errors
    /// The database refused, or the row is damaged.
    pub async fn link(&self, key_sha256: &str) -> Result<Option<(String, u64)>, StoreError> {
        let row = sqlx::query("SELECT approval, expires_ms FROM links WHERE key_sha256 = ?")
            .bind(key_sha256)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            Ok((row.try_get("approval")?, from_row(row.try_get("expires_ms")?, "links")?))
        })
        .transpose()
    }

    /// Whether a message of that id was answered within its time.
    ///
    /// # Errors
    /// The database refused.
    pub async fn is_message_known(&self, webhook: &str, id: &str) -> Result<bool, StoreError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM messages WHERE webhook = ? AND id = ?")
                .bind(webhook)
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.is_some())
    }

    /// Forgets messages whose time is over, and says whether there is room for one more of this
    /// webhook.
    ///
    /// # Errors
    /// The database refused.
    pub async fn has_room_for_message(
        &self,
        webhook: &str,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        sqlx::query("DELETE FROM messages WHERE forget_ms <= ?")
            .bind(to_row(now_ms))
            .execute(&self.pool)
            .await?;
        let known: i64 = sqlx::query_scalar("SELECT count(*) FROM messages WHERE webhook = ?")
            .bind(webhook)
            .fetch_one(&self.pool)
            .await?;
        Ok(from_row(known, "messages")? < MESSAGES_MAX)
    }
}

/// Uses it up.
pub(crate) async fn write(connection: &mut Connection, once: &Once) -> Result<(), StoreError> {
    match once {
        Once::Link { key_sha256 } => {
            let used = sqlx::query("DELETE FROM links WHERE key_sha256 = ?")
                .bind(key_sha256)
                .execute(connection)
                .await?;
            if used.rows_affected() != 1 {
                return Err(StoreError::Damaged("links"));
            }
        }
        // The same one a second time is refused by the primary key, and the transaction with it.
        Once::Message { webhook, id, forget_ms } => {
            sqlx::query("INSERT INTO messages (webhook, id, forget_ms) VALUES (?, ?, ?)")
                .bind(webhook)
                .bind(id)
                .bind(to_row(*forget_ms))
                .execute(connection)
                .await?;
        }
    }
    Ok(())
}
