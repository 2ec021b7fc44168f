//! What goes into the transaction of an event beside the core's own changes: the core knows what is
//! told, not how it travels.

use penstock_app::Change;
use penstock_app::outbox::Outgoing;
use sqlx::Connection as _;

use crate::once::{self, Once};
use crate::{Connection, Store, StoreError, outbox};

/// One of these.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Extra {
    /// A message to deliver.
    Outgoing(Outgoing),
    /// Something that counts once is used.
    Once(Once),
    /// A dead message is due again.
    Revived {
        /// Its id.
        id: String,
        /// The time, milliseconds since the Unix epoch.
        now_ms: u64,
    },
}

impl Store {
    /// [`Store::commit`] with more than the core's changes: all of it, or nothing. Returns how many
    /// messages were given up because too many wait.
    ///
    /// # Errors
    /// The database refused, or something was used before; nothing is written.
    pub async fn commit_with(
        &self,
        changes: &[Change],
        extras: &[Extra],
    ) -> Result<u64, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let written = write_all(&mut connection, changes, extras).await;
        if written.is_err() {
            // Where a disk is full SQLite ends the transaction by itself, and a connection that
            // does not know begins no other one: a new connection takes its place.
            connection.close_on_drop();
        }
        written
    }
}

async fn write_all(
    connection: &mut Connection,
    changes: &[Change],
    extras: &[Extra],
) -> Result<u64, StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for change in changes {
        crate::write(&mut transaction, change).await?;
    }
    let mut more_wait = false;
    for extra in extras {
        match extra {
            Extra::Outgoing(outgoing) => outbox::write(&mut transaction, outgoing).await?,
            Extra::Once(once) => once::write(&mut transaction, once).await?,
            Extra::Revived { id, now_ms } => {
                outbox::revive(&mut transaction, id, *now_ms).await?;
            }
        }
        more_wait |= !matches!(extra, Extra::Once(_));
    }
    let buried = if more_wait { outbox::bury_overflow(&mut transaction).await? } else { 0 };
    transaction.commit().await?;
    Ok(buried)
}
