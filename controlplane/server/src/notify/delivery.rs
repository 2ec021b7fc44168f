//! The delivery: takes rows that are due, some at a time, sends them, and writes what became of
//! them. At least once: who gets a message twice tells by its id.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_app::outbox::{ChannelKind, JITTER_MAX, Outgoing, next_try_ms};
use penstock_app::state::DocumentKey;
use penstock_app::vault::{self, MasterKey};
use penstock_config::documents::{Document, Mail, Webhook};
use penstock_store::{PASSED_OVER_MAX, Store, StoreError};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use super::mail::{Letter, Mailer};
use super::message;
use super::post::{PostError, Poster};
use super::signature::Keys;
use crate::log::{self, Level, now_ms};
use crate::random;
use crate::worker::Handle;

/// Messages that are sent at a time.
const AT_ONCE_MAX: usize = 8;
/// Of one channel: one that is slow leaves room for the others. No more than [`PASSED_OVER_MAX`]
/// channels can have as many.
const AT_ONCE_OF_CHANNEL_MAX: usize = AT_ONCE_MAX / (PASSED_OVER_MAX + 1) + 1;
/// When a try counts as failed whose end nobody saw: longer than any takes.
const LOST_TRY_MS: u64 = 60_000;
/// Longest sleep between two looks.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// After the store failed.
const STORE_SLEEP: Duration = Duration::from_secs(5);

/// What the delivery works with. Copies share it.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) handle: Handle,
    pub(crate) store: Store,
    pub(crate) master: Arc<MasterKey>,
    pub(crate) poster: Poster,
    /// None where the settings name no mail server.
    pub(crate) mailer: Option<Mailer>,
}

/// What became of a try.
enum Outcome {
    Delivered,
    /// Worth another try.
    Failed(String),
    /// Not worth one.
    Dead(String),
    /// The other side wants no more.
    Gone(String),
}

/// Tries that are being made.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    channels: HashMap<Id, String>,
}

impl UnderWay {
    /// Channels with as many tries as one may have.
    fn full(&self) -> Vec<String> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for channel in self.channels.values() {
            let count = counts.entry(channel).or_default();
            *count = count.saturating_add(1);
        }
        let full = counts.into_iter().filter(|(_, count)| *count >= AT_ONCE_OF_CHANNEL_MAX);
        full.map(|(channel, _)| channel.to_owned()).collect()
    }

    fn has_room(&self) -> bool {
        self.channels.len() < AT_ONCE_MAX
    }

    /// Waits for the end of one; never where there is none.
    async fn ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => drop(self.channels.remove(&id)),
            Some(Err(error)) => {
                log::line(Level::Error, "delivery_failed", &error.to_string());
                self.channels.remove(&error.id());
            }
            None => std::future::pending().await,
        }
    }
}

impl Delivery {
    /// Delivers until `stop` turns true. Tries that are being made then are made again after the
    /// next start.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let bell = self.handle.bell();
        let mut under_way = UnderWay::default();
        loop {
            let sleep = self.begin(&mut under_way, now_ms()).await.unwrap_or_else(|error| {
                log::line(Level::Error, "store_failed", &log::chain(&error));
                STORE_SLEEP
            });
            tokio::select! {
                () = under_way.ended() => {}
                () = bell.notified() => {}
                () = tokio::time::sleep(sleep) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Begins what is due and has room; how long until something else is.
    async fn begin(&self, under_way: &mut UnderWay, now_ms: u64) -> Result<Duration, StoreError> {
        while under_way.has_room() {
            let full = under_way.full();
            let retry_ms = now_ms.saturating_add(LOST_TRY_MS);
            let Some(row) = self.store.claim_outgoing(now_ms, retry_ms, &full).await? else {
                let next_ms = self.store.next_outgoing_ms(&full).await?.unwrap_or(u64::MAX);
                let wait = Duration::from_millis(next_ms.saturating_sub(now_ms).max(1));
                return Ok(wait.min(SLEEP_MAX));
            };
            let (delivery, channel) = (self.clone(), row.channel_key());
            let task = under_way.tasks.spawn(async move { delivery.deliver(row, now_ms).await });
            under_way.channels.insert(task.id(), channel);
        }
        Ok(SLEEP_MAX)
    }

    /// Everything that is due at a time, one after the other; how many.
    #[cfg(test)]
    pub(super) async fn deliver_due(&self, now_ms: u64) -> usize {
        let mut count = 0;
        while let Some(row) =
            self.store.claim_outgoing(now_ms, now_ms + LOST_TRY_MS, &[]).await.unwrap()
        {
            self.deliver(row, now_ms).await;
            count += 1;
        }
        count
    }

    /// Makes one try and writes what became of it.
    async fn deliver(&self, row: Outgoing, now_ms: u64) {
        let outcome = self.attempt(&row, now_ms).await;
        let written = match outcome {
            Outcome::Delivered => self.store.outgoing_delivered(&row.id).await,
            Outcome::Failed(problem) => self.failed(&row, &problem, now_ms).await,
            Outcome::Dead(problem) => self.dead(&row, &problem).await,
            Outcome::Gone(problem) => self.gone(&row, &problem).await,
        };
        if let Err(error) = written {
            // The row is due again after a while.
            log::line(Level::Error, "store_failed", &log::chain(&error));
        }
    }

    async fn failed(&self, row: &Outgoing, problem: &str, now_ms: u64) -> Result<(), StoreError> {
        let jitter = random::bytes::<2>()
            .map_or(0, |bytes| u16::from_be_bytes(*bytes) % JITTER_MAX.saturating_add(1));
        match next_try_ms(row.attempts, now_ms, jitter) {
            Some(next_ms) => {
                if row.attempts == 1 {
                    let text = format!("{} was not delivered yet: {problem}", row.id);
                    log::line(Level::Warning, "notification_failed", &text);
                }
                self.store.outgoing_failed(&row.id, next_ms, problem).await
            }
            None => self.dead(row, problem).await,
        }
    }

    async fn dead(&self, row: &Outgoing, problem: &str) -> Result<(), StoreError> {
        let text = format!("{} is not delivered: {problem}", row.id);
        log::line(Level::Error, "notification_dead", &text);
        self.store.outgoing_dead(&row.id, problem).await
    }

    async fn gone(&self, row: &Outgoing, problem: &str) -> Result<(), StoreError> {
        self.dead(row, problem).await?;
        let others = self.store.channel_gone(&row.channel_key(), problem).await?;
        let text = format!("{others} more messages for {} are given up", row.channel_key());
        log::line(Level::Error, "channel_gone", &text);
        Ok(())
    }

    async fn attempt(&self, row: &Outgoing, now_ms: u64) -> Outcome {
        let key = DocumentKey { kind: row.kind.name(), name: row.channel.clone() };
        let state = self.handle.state();
        let document = state.durable.documents.get(&key).map(|stored| &stored.document);
        match (row.kind, document) {
            (ChannelKind::Webhook, Some(Document::Webhook(webhook))) => {
                self.post(webhook, row, now_ms).await
            }
            (ChannelKind::Mail, Some(Document::Mail(mail))) => self.mail(mail, row, now_ms).await,
            (ChannelKind::Webhook | ChannelKind::Mail, _) => {
                Outcome::Dead("its document is not in force any more".to_owned())
            }
        }
    }

    async fn post(&self, webhook: &Webhook, row: &Outgoing, now_ms: u64) -> Outcome {
        let keys = match self.keys(&webhook.secret) {
            Ok(keys) => keys,
            Err(problem) => return Outcome::Failed(problem),
        };
        match self.poster.post(&webhook.url, &keys, &row.id, now_ms, &row.body).await {
            Ok(()) => Outcome::Delivered,
            Err(error @ PostError::Gone) => Outcome::Gone(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// The signing keys in a secret.
    pub(crate) fn keys(&self, secret: &str) -> Result<Keys, String> {
        let state = self.handle.state();
        let stored = state.durable.secrets.get(secret);
        let stored = stored.ok_or_else(|| format!("secret {secret} is not set"))?;
        let value = vault::open(&self.master, secret, &stored.sealed)
            .map_err(|error| format!("secret {secret}: {error}"))?;
        Keys::read(&value).map_err(|error| format!("secret {secret}: {error}"))
    }

    async fn mail(&self, mail: &Mail, row: &Outgoing, now_ms: u64) -> Outcome {
        if !mail.to.contains(&row.recipient) {
            return Outcome::Dead("its recipient is not in the document any more".to_owned());
        }
        let Some(mailer) = &self.mailer else {
            return Outcome::Failed("the settings name no mail server: `smtp`".to_owned());
        };
        let text = match self.text(row, now_ms).await {
            Ok(text) => text,
            Err(problem) => return Outcome::Failed(problem),
        };
        let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
        let letter = Letter { to: &row.recipient, subject, text: text.to_owned(), id: &row.id };
        match mailer.send(letter).await {
            Ok(()) => Outcome::Delivered,
            Err(error) if error.is_final() => Outcome::Dead(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Subject and text of a mail. Where the approval waits for an answer it gets a link with a key
    /// of its own, which is written nowhere else: each try has a new one.
    async fn text(&self, row: &Outgoing, now_ms: u64) -> Result<String, String> {
        let state = self.handle.state();
        let approval = state.durable.approvals.get(&row.approval);
        let Some(approval) = approval.filter(|approval| approval.is_pending()) else {
            return Ok(row.body.clone());
        };
        let key = super::link::new_key()?;
        let expires_ms = now_ms.saturating_add(super::link::LIFETIME_MS);
        let kept = self.store.keep_link(&key.sha256(), &approval.id, expires_ms, now_ms).await;
        kept.map_err(|error| log::chain(&error))?;
        Ok(message::with_link(&row.body, &state.approval_url(&approval.id), &key))
    }
}
