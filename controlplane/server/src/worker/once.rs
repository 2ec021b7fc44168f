//! Answers that rest on something that counts once, and messages that are sent again: each in one
//! transaction with what it stands for. The writer is the only one, so that nothing comes between
//! the look and the use.

use penstock_api::Failure;
use penstock_api::correspondence::{OnceAnswer, OnceOnly, Retried};
use penstock_app::{Event, Requester};
use penstock_store::{Extra, Once, Revivable};

use super::group::Group;
use super::{Worker, unavailable};
use crate::log::now_ms;
use crate::notify::{LINK_LIFETIME_MS, WINDOW_MS};

/// How long a message's id is kept: as long as its time can hold, from the earliest to the latest
/// moment, and once more for a clock that is set back.
const MESSAGE_MS: u64 = 4 * WINDOW_MS;

/// Whether something can be used.
enum Usable {
    Yes(Once),
    No,
    TooMany,
}

impl Worker {
    /// Answers an event if what it rests on can be used. A message is used whatever the answer is;
    /// a link by an answer that counts alone.
    pub(super) async fn once(
        &mut self,
        once: OnceOnly,
        event: Event,
    ) -> Result<OnceAnswer, Failure> {
        let now_ms = now_ms();
        let used = match self.usable(once, now_ms).await? {
            Usable::Yes(used) => used,
            Usable::No => return Ok(OnceAnswer::NotUsable),
            Usable::TooMany => return Ok(OnceAnswer::TooMany),
        };
        let mut group = Group::new(&self.state);
        match group.admit(&self.signing, event, now_ms) {
            Ok(answer) => {
                group.extras.push(Extra::Once(used));
                self.put_in_force(group).await?;
                Ok(OnceAnswer::Used(answer))
            }
            Err(refused @ Failure::Refused(_)) => {
                if matches!(used, Once::Message { .. }) {
                    let kept = self.store.commit_with(&[], &[Extra::Once(used)]).await;
                    kept.map_err(|error| unavailable(&error))?;
                }
                Err(refused)
            }
            Err(Failure::Unavailable) => Err(Failure::Unavailable),
        }
    }

    async fn usable(&self, once: OnceOnly, now_ms: u64) -> Result<Usable, Failure> {
        match once {
            OnceOnly::Link { key_sha256, approval } => {
                let link = self.store.link(&key_sha256).await;
                let link = link.map_err(|error| unavailable(&error))?;
                let holds = link.is_some_and(|(of, expires_ms)| {
                    let left_ms = expires_ms.checked_sub(now_ms).filter(|left| *left > 0);
                    // One that lasts longer than a link can is of a clock that was set back.
                    of == approval && left_ms.is_some_and(|left| left <= LINK_LIFETIME_MS)
                });
                Ok(if holds { Usable::Yes(Once::Link { key_sha256 }) } else { Usable::No })
            }
            OnceOnly::Message { webhook, id } => {
                let room = self.store.has_room_for_message(&webhook, now_ms).await;
                let known = self.store.is_message_known(&webhook, &id).await;
                if known.map_err(|error| unavailable(&error))? {
                    return Ok(Usable::No);
                }
                if !room.map_err(|error| unavailable(&error))? {
                    return Ok(Usable::TooMany);
                }
                let forget_ms = now_ms.saturating_add(MESSAGE_MS);
                Ok(Usable::Yes(Once::Message { webhook, id, forget_ms }))
            }
        }
    }

    /// Makes a message that was given up due again; who did so is an act.
    pub(super) async fn retry(&mut self, by: Requester, id: String) -> Result<Retried, Failure> {
        match self.store.revivable(&id).await.map_err(|error| unavailable(&error))? {
            Revivable::Yes => {}
            Revivable::NotDead => return Ok(Retried::NotDead),
            Revivable::Unknown => return Ok(Retried::Unknown),
        }
        let now_ms = now_ms();
        let mut group = Group::new(&self.state);
        let event = Event::RetryNotification { by, id: id.clone() };
        group.admit(&self.signing, event, now_ms)?;
        group.extras.push(Extra::Revived { id, now_ms });
        self.put_in_force(group).await?;
        Ok(Retried::Due)
    }
}
