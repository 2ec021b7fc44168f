//! The one writer. It owns the state: an event goes through the core, its changes into one
//! transaction, and only then is the outcome in force, published, and answered.

use std::sync::Arc;
use std::time::Duration;

use penstock_api::Failure;
use penstock_app::state::{KeySource, SignedSnapshot};
use penstock_app::vault::{self, MasterKey, SealRandom};
use penstock_app::{Answer, Change, Effect, Event, Refusal, Requester, State};
use penstock_config::certificates::client_certificate;
use penstock_config::documents::Issuer;
use penstock_config::node::SnapshotKey;
use penstock_config::snapshot::{Snapshot, SnapshotError, SnapshotSigner, verify};
use penstock_store::Store;
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use crate::fetch::Fetcher;
use crate::log::{self, Level, now_ms};
use crate::random;
use crate::tokens::Tokens;

/// Events that wait at most; more wait outside.
const QUEUE_MAX: usize = 256;
/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(500);

type Reply = oneshot::Sender<Result<Answer, Failure>>;

/// What the writer is asked for.
pub(crate) enum Command {
    /// Answer an event.
    Event(Box<Event>, Option<Reply>),
    /// Put an old version in force.
    RollBack(Requester, u64, Reply),
    /// Seal a value and keep it.
    SetSecret(Requester, String, Zeroizing<String>, Reply),
}

/// The writer's address. Copies share it.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    states: watch::Receiver<Arc<State>>,
}

/// What the writer works with.
pub(crate) struct Worker {
    state: Arc<State>,
    store: Store,
    signer: SnapshotSigner,
    public: SnapshotKey,
    master: Arc<MasterKey>,
    tokens: Tokens,
    fetcher: Fetcher,
    states: watch::Sender<Arc<State>>,
    commands: mpsc::Receiver<Command>,
    /// For what fetches find out. Weak, so that the writer ends when nobody else can ask.
    own: mpsc::WeakSender<Command>,
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

    /// Tells of each new state.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.states.clone()
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
    pub(crate) async fn ask(
        &self,
        command: impl FnOnce(Reply) -> Command,
    ) -> Result<Answer, Failure> {
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
        let (sender, commands) = mpsc::channel(QUEUE_MAX);
        let handle = Handle { commands: sender.clone(), states: watched };
        let public = signer.public();
        let own = sender.downgrade();
        let worker =
            Self { state, store, signer, public, master, tokens, fetcher, states, commands, own };
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
                }
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        let (answer, reply) = match command {
            Command::Event(event, reply) => (self.handle(*event).await, reply),
            Command::RollBack(by, version, reply) => {
                (self.roll_back(by, version).await, Some(reply))
            }
            Command::SetSecret(by, name, value, reply) => {
                (self.set_secret(by, name, &value).await, Some(reply))
            }
        };
        if let Some(reply) = reply {
            // Who asked may have left; what was done stays done.
            let _ = reply.send(answer);
        }
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
        let random = random::bytes().map_err(|error| {
            log::line(Level::Error, "random", &error);
            Failure::Unavailable
        })?;
        let generation = self.state.next_credentials_generation();
        let random = SealRandom::new(&random);
        let sealed = vault::seal(&self.master, &name, generation, value.as_bytes(), random)
            .map_err(|error| {
                log::line(Level::Error, "seal", &error.to_string());
                Failure::Unavailable
            })?;
        let client_certificate = client_certificate(value).map(drop);
        self.handle(Event::SetSecret { by, name, sealed, client_certificate }).await
    }

    /// One event, from the core to its effects.
    pub(crate) async fn handle(&mut self, event: Event) -> Result<Answer, Failure> {
        let outcome = self.state.apply(event, now_ms())?;
        let mut next = outcome.state;
        let (mut changes, mut snapshot, mut fetches) = (Vec::new(), None, Vec::new());
        for effect in outcome.effects {
            match effect {
                Effect::Persist(rows) => changes.extend(rows),
                Effect::Publish(unsigned) => snapshot = Some(unsigned),
                Effect::FetchKeys { issuer, source } => fetches.push((issuer, source)),
            }
        }
        if let Some(snapshot) = &snapshot {
            changes.push(self.sign(&mut next, snapshot)?);
        }
        if !changes.is_empty() {
            self.store.commit(&changes).await.map_err(|error| unavailable(&error))?;
        }
        // Who waits for a newer snapshot or for keys is woken by these, and by a node's removal.
        let worth_waking = snapshot.is_some()
            || next.fetches != self.state.fetches
            || next.durable.nodes.len() < self.state.durable.nodes.len();
        self.state = Arc::new(next);
        if snapshot.is_some() {
            self.tokens.follow(&self.state);
        }
        self.states.send_if_modified(|state| {
            state.clone_from(&self.state);
            worth_waking
        });
        for (issuer, source) in fetches {
            self.fetch(&issuer, source);
        }
        Ok(outcome.answer)
    }

    fn sign(&self, next: &mut State, snapshot: &Snapshot) -> Result<Change, Failure> {
        Ok(next.signed(signed(&self.signer, &self.public, snapshot)?))
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

/// Signs a snapshot as nodes will verify it.
fn signed(
    signer: &SnapshotSigner,
    public: &SnapshotKey,
    snapshot: &Snapshot,
) -> Result<SignedSnapshot, Failure> {
    let bytes = signer.sign(snapshot);
    let (_, sha256) =
        verify(std::slice::from_ref(public), &bytes).map_err(|error| match error {
            SnapshotError::TooLarge => Failure::Refused(Refusal::SnapshotTooLarge),
            SnapshotError::Malformed
            | SnapshotError::UnknownKey
            | SnapshotError::Signature
            | SnapshotError::Format => {
                log::line(Level::Error, "sign", &error.to_string());
                Failure::Unavailable
            }
        })?;
    Ok(SignedSnapshot {
        position: snapshot.position,
        issued_ms: snapshot.issued_ms,
        expires_ms: snapshot.expires_ms,
        sha256,
        signer: public.id.clone(),
        bytes: bytes.into(),
    })
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

/// The caller learns that the store failed; the log says why.
pub(crate) fn unavailable(error: &dyn std::error::Error) -> Failure {
    log::line(Level::Error, "store_failed", &log::chain(error));
    Failure::Unavailable
}

#[cfg(test)]
mod tests {
    use penstock_config::node::Position;
    use penstock_config::snapshot::SIGNED_BYTES_MAX;

    use super::*;

    #[test]
    fn a_snapshot_that_no_node_would_take_is_refused_as_too_large() {
        let (signer, _) = SnapshotSigner::generate().unwrap();
        let snapshot = Snapshot {
            format: 1,
            cluster: "c".repeat(SIGNED_BYTES_MAX / 4 * 3),
            position: Position { epoch: 1, version: 1, revision: 0 },
            previous: String::new(),
            issued_ms: 1,
            expires_ms: 2,
            snapshot_keys: Vec::new(),
            credentials_generation: 0,
            issuers: Vec::new(),
            connections: Vec::new(),
            rules: Vec::new(),
        };
        let refused = signed(&signer, &signer.public(), &snapshot);
        assert_eq!(refused, Err(Failure::Refused(Refusal::SnapshotTooLarge)));
    }
}
