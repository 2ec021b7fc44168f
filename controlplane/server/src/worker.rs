//! The one writer. It owns the state: an event goes through the core, its changes into a
//! transaction, and only then is the outcome in force, published, and answered. Events that wait
//! together share one transaction: a thousand requests that are held at once cost a few writes to
//! the disk, not a thousand.

mod group;
mod once;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_api::Failure;
use penstock_api::correspondence::{OnceAnswer, OnceOnly, Retried};
use penstock_app::state::{KeySource, Sealed};
use penstock_app::vault::{self, MasterKey, SealRandom};
use penstock_app::{Answer, Event, Refusal, Requester, State};
use penstock_config::certificates::client_certificate;
use penstock_config::documents::Issuer;
use penstock_config::lease::{MASK_KEY, MASK_KEY_BYTES};
use penstock_config::node::Position;
use penstock_config::snapshot::SnapshotSigner;
use penstock_store::Store;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use zeroize::Zeroizing;

use self::group::{Group, Signing};
use crate::fetch::Fetcher;
use crate::log::{self, Level, now_ms};
use crate::random;
use crate::tokens::Tokens;

/// Events that wait at most; more wait outside.
const QUEUE_MAX: usize = 256;
/// Most events of one transaction: all that can wait.
const GROUP_MAX: usize = QUEUE_MAX;
/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(500);

type ReplyOf<T> = oneshot::Sender<Result<T, Failure>>;
type Reply = ReplyOf<Answer>;

/// What the writer is asked for.
pub(crate) enum Command {
    /// Answer an event.
    Event(Box<Event>, Option<Reply>),
    /// Put an old version in force.
    RollBack(Requester, u64, Reply),
    /// Seal a value and keep it.
    SetSecret(Requester, String, Zeroizing<String>, Reply),
    /// Answer an event if what it rests on can be used.
    Once(OnceOnly, Box<Event>, ReplyOf<OnceAnswer>),
    /// Make a message that was given up due again.
    Retry(Requester, String, ReplyOf<Retried>),
}

/// The writer's address. Copies share it.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    states: watch::Receiver<Arc<State>>,
    live: watch::Receiver<u64>,
    bell: Arc<Notify>,
}

/// What the writer works with.
pub(crate) struct Worker {
    state: Arc<State>,
    store: Store,
    signing: Signing,
    master: Arc<MasterKey>,
    tokens: Tokens,
    fetcher: Fetcher,
    states: watch::Sender<Arc<State>>,
    live: watch::Sender<u64>,
    bell: Arc<Notify>,
    commands: mpsc::Receiver<Command>,
    /// For what fetches find out. Weak, so that the writer ends when nobody else can ask.
    own: mpsc::WeakSender<Command>,
    /// Documents that were found to need no key that is not there.
    looked_at: Position,
}

/// What a [`Worker`] is made of.
pub(crate) struct Parts {
    pub(crate) state: State,
    pub(crate) store: Store,
    pub(crate) signer: SnapshotSigner,
    pub(crate) master: Arc<MasterKey>,
    pub(crate) tokens: Tokens,
    pub(crate) fetcher: Fetcher,
}

impl Handle {
    /// The state in force.
    pub(crate) fn state(&self) -> Arc<State> {
        self.states.borrow().clone()
    }

    /// Tells of new states: of snapshots, keys, and nodes that were removed.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.states.clone()
    }

    /// Tells of the newest sequence that nodes act on, when it moved: once a transaction, however
    /// many events that has.
    pub(crate) fn watch_live(&self) -> watch::Receiver<u64> {
        self.live.clone()
    }

    /// Rings where messages to deliver were written.
    pub(crate) fn bell(&self) -> Arc<Notify> {
        self.bell.clone()
    }

    /// Whether the writer lives.
    pub(crate) fn is_working(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Hands over an event and waits until it is persisted.
    pub(crate) async fn submit(&self, event: Event) -> Result<Answer, Failure> {
        self.ask(|reply| Command::Event(Box::new(event), Some(reply))).await
    }

    /// Hands over an event if there is room; nobody waits for it.
    pub(crate) fn mention(&self, event: Event) {
        // A full queue means that the writer is busy: whoever mentioned this will do so again.
        let _ = self.commands.try_send(Command::Event(Box::new(event), None));
    }

    /// Asks for something and waits for the answer.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(ReplyOf<T>) -> Command,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Failure::Unavailable)?;
        answer.await.map_err(|_| Failure::Unavailable)?
    }
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> (Self, Handle) {
        let Parts { state, store, signer, master, tokens, fetcher } = parts;
        let state = Arc::new(state);
        let (states, watched) = watch::channel(state.clone());
        let (live, heard) = watch::channel(state.live_sequence());
        let (sender, commands) = mpsc::channel(QUEUE_MAX);
        let bell = Arc::new(Notify::new());
        let handle =
            Handle { commands: sender.clone(), states: watched, live: heard, bell: bell.clone() };
        let signing = Signing::new(signer);
        let own = sender.downgrade();
        let worker = Self {
            state,
            store,
            signing,
            master,
            tokens,
            fetcher,
            states,
            live,
            bell,
            commands,
            own,
            looked_at: Position::default(),
        };
        (worker, handle)
    }

    /// Works until every [`Handle`] is gone.
    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                _ = ticks.tick() => {
                    let _ = self.handle(Event::Tick).await;
                    self.make_mask_key().await;
                }
            }
        }
    }

    async fn obey(&mut self, first: Command) {
        let mut next = Some(first);
        while let Some(command) = next.take() {
            let (answer, reply) = match command {
                Command::Event(event, reply) => {
                    next = self.obey_events(*event, reply).await;
                    continue;
                }
                Command::RollBack(by, version, reply) => (self.roll_back(by, version).await, reply),
                Command::SetSecret(by, name, value, reply) => {
                    (self.set_secret(by, name, &value).await, reply)
                }
                Command::Once(once, event, reply) => {
                    // Who asked may have left; what was done stays done.
                    let _ = reply.send(self.once(once, *event).await);
                    continue;
                }
                Command::Retry(by, id, reply) => {
                    let _ = reply.send(self.retry(by, id).await);
                    continue;
                }
            };
            // Who asked may have left; what was done stays done.
            let _ = reply.send(answer);
        }
    }

    /// Answers an event and those that wait behind it, in one transaction: all of them, up to the
    /// first command that is something else, which is given back.
    async fn obey_events(&mut self, event: Event, reply: Option<Reply>) -> Option<Command> {
        let mut group = Group::new(&self.state);
        let mut answers = vec![(group.admit(&self.signing, event, now_ms()), reply)];
        let mut other = None;
        while answers.len() < GROUP_MAX {
            match self.commands.try_recv() {
                Ok(Command::Event(event, reply)) => {
                    answers.push((group.admit(&self.signing, *event, now_ms()), reply));
                }
                Ok(command) => {
                    other = Some(command);
                    break;
                }
                Err(_) => break,
            }
        }
        let kept = self.put_in_force(group).await;
        self.make_mask_key().await;
        for (answer, reply) in answers {
            if let Some(reply) = reply {
                // Where nothing was kept, a refusal too may rest on what was not.
                let _ = reply.send(kept.clone().and(answer));
            }
        }
        other
    }

    async fn roll_back(&mut self, by: Requester, version: u64) -> Result<Answer, Failure> {
        let found = self.store.version(version).await.map_err(|error| unavailable(&error))?;
        let (_, documents) = found.ok_or(Refusal::NotFound("version"))?;
        self.handle(Event::RollBack { by, version, documents }).await
    }

    async fn set_secret(
        &mut self,
        by: Requester,
        name: String,
        value: &Zeroizing<String>,
    ) -> Result<Answer, Failure> {
        let sealed = self.seal(&name, value)?;
        let client_certificate = client_certificate(value).map(drop);
        self.handle(Event::SetSecret { by, name, sealed, client_certificate }).await
    }

    /// Makes the cluster's mask key as soon as documents in force need it. Where that fails, nodes
    /// refuse what they would hash, and the next tick tries again.
    async fn make_mask_key(&mut self) {
        if self.state.durable.position == self.looked_at || !self.state.lacks_mask_key() {
            self.looked_at = self.state.durable.position;
            return;
        }
        let Ok(random) = random::bytes::<MASK_KEY_BYTES>() else { return };
        let value = Zeroizing::new(STANDARD.encode(*random));
        if let Ok(sealed) = self.seal(MASK_KEY, &value) {
            // What went wrong is told where it did.
            let _ = self.handle(Event::MaskKeyMade { sealed }).await;
        }
    }

    /// Seals a value for the next generation of the secrets.
    fn seal(&self, name: &str, value: &str) -> Result<Sealed, Failure> {
        let random = random::bytes().map_err(|error| {
            log::line(Level::Error, "random", &error);
            Failure::Unavailable
        })?;
        let generation = self.state.next_credentials_generation();
        let random = SealRandom::new(&random);
        vault::seal(&self.master, name, generation, value.as_bytes(), random).map_err(|error| {
            log::line(Level::Error, "seal", &error.to_string());
            Failure::Unavailable
        })
    }

    /// One event in a transaction of its own.
    async fn handle(&mut self, event: Event) -> Result<Answer, Failure> {
        let mut group = Group::new(&self.state);
        let answer = group.admit(&self.signing, event, now_ms())?;
        self.put_in_force(group).await?;
        Ok(answer)
    }

    /// Writes what a group changes, and only then makes it the state, tells who waits, and begins
    /// what follows from it. Where the store fails nothing of it happened.
    async fn put_in_force(&mut self, group: Group) -> Result<(), Failure> {
        let Group { state, changes, extras, fetches, is_published, is_worth_waking } = group;
        if !changes.is_empty() || !extras.is_empty() {
            let written = self.store.commit_with(&changes, &extras).await;
            tell_of_buried(written.map_err(|error| unavailable(&error))?);
        }
        self.state = Arc::new(state);
        if is_published {
            self.tokens.follow(&self.state);
        }
        self.states.send_if_modified(|state| {
            state.clone_from(&self.state);
            is_worth_waking
        });
        let newest = self.state.live_sequence();
        self.live.send_if_modified(|sequence| std::mem::replace(sequence, newest) != newest);
        if !extras.is_empty() {
            self.bell.notify_one();
        }
        for (issuer, source) in fetches {
            self.fetch(&issuer, source);
        }
        Ok(())
    }

    /// Fetches an issuer's keys beside the writer; what comes of it is an event.
    fn fetch(&self, name: &str, source: KeySource) {
        let Some(issuer) = self.state.issuers().find(|issuer| issuer.name == name).cloned() else {
            return;
        };
        let (fetcher, own) = (self.fetcher.clone(), self.own.clone());
        tokio::spawn(async move {
            let event = fetched(&fetcher, issuer, source).await;
            if let Some(own) = own.upgrade() {
                // The writer that asked may have ended.
                let _ = own.send(Command::Event(Box::new(event), None)).await;
            }
        });
    }
}

async fn fetched(fetcher: &Fetcher, document: Issuer, source: KeySource) -> Event {
    let issuer = document.name.clone();
    match fetcher.fetch(&document).await {
        Ok(keys) => Event::KeysFetched { issuer, source, keys },
        Err(error) => {
            let text = format!("keys of issuer {issuer} were not fetched: {error}");
            log::line(Level::Warning, "keys_failed", &text);
            let jitter = random::bytes::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes) % 1_001);
            Event::KeysFailed { issuer, source, problem: error.to_string(), jitter }
        }
    }
}

fn tell_of_buried(messages: u64) {
    if messages > 0 {
        let text = format!("{messages} messages are given up, since too many wait");
        log::line(Level::Error, "outbox_full", &text);
    }
}

/// The caller learns that the store failed; the log says why.
pub(crate) fn unavailable(error: &dyn std::error::Error) -> Failure {
    log::line(Level::Error, "store_failed", &log::chain(error));
    Failure::Unavailable
}
