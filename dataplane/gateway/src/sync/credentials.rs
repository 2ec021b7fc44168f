//! Credentials: asked for, opened, kept in locked memory and forgotten in time. What the control
//! plane does not list any more is gone from this node with the answer; a lease that stands for a
//! grant also goes at its own end, and when the control plane was not heard for too long.
//!
//! All of it runs on the sync thread. What cores read is published whole ([`crate::leases`]); a set
//! that was replaced is kept here until no core reads it, so that values are zeroised here.

mod holding;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use penstock_config::documents::Connection;
use penstock_config::lease::{
    HeldSecret, LeaseAnswer, LeaseError, LeaseRequest, Terms, key_pair, standing,
};
use penstock_config::snapshot::Snapshot;
use penstock_reactor::locked::{Arena, ArenaError, ArenaFull, Locked};
use penstock_reactor::process::boot_time;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use self::holding::{Clocks, Given, Holding};
use super::control::{Control, ControlError};
use super::feed::{later, now_ms, tell};
use crate::core::Node;
use crate::leases::{Leases, Value, in_basic};

/// Locked memory for credentials, in bytes: every secret that a control plane may have (10,000) if
/// none is longer than 185 bytes, or 127 of the longest (16 KiB). What does not fit is refused.
const ARENA_BYTES: usize = 2 * 1024 * 1024;

/// Longest call.
const ASK_MAX: Duration = Duration::from_secs(3);

/// Leases that stand for grants are asked for again this often at least: that a grant was spent is
/// told by their absence alone.
const RENEW_EVERY_MAX: Duration = Duration::from_secs(5);

/// And this often at most, where one of them ends soon.
const RENEW_EVERY_MIN: Duration = Duration::from_millis(500);

/// How long cores may go on with a value that goes with older documents, once newer ones are
/// published: twice what a core may be behind.
const BEFORE_KEPT: Duration = Duration::from_secs(2);

/// How soon a set that a core was still reading is looked at again.
const PRUNE_EVERY: Duration = Duration::from_millis(5);

/// Clocks are looked at this often while something may end by them: they can be set, and the
/// machine can sleep.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// And this often where nothing may.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// What this start of the node keeps credentials with: locked memory and a key pair.
#[derive(Debug)]
pub(super) struct Safe {
    arena: Arena,
    public_key: String,
    private_key: Locked,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum SafeError {
    /// The machine locks no memory.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// The machine's cryptography does not work.
    #[error(transparent)]
    KeyPair(#[from] LeaseError),
    /// There is not even room for the key.
    #[error(transparent)]
    Full(#[from] ArenaFull),
}

/// Why the credentials stay what they are.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("the control plane gave no leases in time")]
    Timeout,
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error("the control plane's secrets are older than those that it gave before")]
    Older,
    #[error(
        "{refused} credentials do not fit into the {bytes} bytes of locked memory: requests that \
         need one are refused"
    )]
    Full { refused: usize, bytes: usize },
}

/// The credentials of this node. Shared by what runs on the sync thread.
pub(super) struct Leasing {
    node: Arc<Node>,
    control: Control,
    id: String,
    safe: Safe,
    state: RefCell<State>,
    wake: Notify,
    ended: Notify,
    certificates: Notify,
}

#[derive(Default)]
struct State {
    wanted: Wanted,
    holding: Holding,
    /// When the last answer came, by [`boot_time`].
    answered: Duration,
    /// When to ask next; none: there is no reason to.
    due: Option<Instant>,
    /// Calls that began, and calls that ended, whatever came of them. There is one at a time.
    calls: (u64, u64),
    /// Generation of the last answer, and secrets that a rule stood for then, with or without a
    /// value.
    known: (u64, BTreeSet<String>),
    /// A grant ended since the last call began: without an answer no lease may stand for one.
    is_strict: bool,
    back_off: Duration,
    /// Since when some value goes with no documents in force.
    outlived: Option<Instant>,
    /// Sets that were replaced and that a core may be reading.
    retired: Vec<Arc<Leases>>,
    /// What was wrong at the last call, where that needs somebody.
    problem: Option<String>,
    /// The certificates among what is held, and a count of their changes.
    certificates: (Vec<HeldSecret>, u64),
}

/// What the snapshot in force asks for, by name of the secret.
#[derive(Default)]
struct Wanted {
    by_connection: HashMap<String, Vec<String>>,
    standing: BTreeSet<String>,
    basic: BTreeSet<String>,
    certificates: BTreeSet<String>,
}

impl Wanted {
    fn of(snapshot: &Snapshot) -> Self {
        let connections = &snapshot.connections;
        let secrets = |one: &Connection| {
            let secrets: Vec<_> = one.secrets().map(str::to_owned).collect();
            (!secrets.is_empty()).then(|| (one.name.clone(), secrets))
        };
        let certificates = connections.iter().filter_map(Connection::client_certificate_secret);
        let standing = standing(connections, &snapshot.rules, &snapshot.masks);
        Self {
            by_connection: connections.iter().filter_map(secrets).collect(),
            standing: standing.into_iter().map(str::to_owned).collect(),
            basic: in_basic(connections).map(str::to_owned).collect(),
            certificates: certificates.map(str::to_owned).collect(),
        }
    }
}

impl Safe {
    /// Locks memory and makes a key pair, which is never on disk.
    ///
    /// # Errors
    /// The machine does not allow it.
    pub(super) fn new() -> Result<Self, SafeError> {
        let arena = Arena::new(ARENA_BYTES)?;
        if arena.bytes() < ARENA_BYTES {
            let bytes = arena.bytes();
            tell(&format!("only {bytes} bytes of memory can be locked for credentials"));
        }
        let (public_key, private_key) = key_pair()?;
        let private_key = arena.copy(&private_key)?;
        Ok(Self { arena, public_key, private_key })
    }
}

impl Leasing {
    /// Holds nothing yet. `id`: the node's.
    pub(super) fn new(node: Arc<Node>, control: Control, id: String, safe: Safe) -> Rc<Self> {
        Rc::new(Self {
            node,
            control,
            id,
            safe,
            state: RefCell::default(),
            wake: Notify::new(),
            ended: Notify::new(),
            certificates: Notify::new(),
        })
    }

    /// Keeps leases up to date; never ends.
    pub(super) async fn run(&self) {
        loop {
            let next = self.next_look();
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(next) => {}
            }
            self.end_what_is_over();
            let due = self.state.borrow().due;
            if due.is_some_and(|due| due <= Instant::now()) {
                self.ask().await;
            }
        }
    }

    /// A snapshot is about to be published: has what it asks for, if that can be had. One that asks
    /// for nothing new does not wait: it may take something away.
    pub(super) async fn prepare(&self, snapshot: &Snapshot) {
        let (is_concerned, lacks, next) = {
            let state = &mut *self.state.borrow_mut();
            state.wanted = Wanted::of(snapshot);
            // What does not fit is counted with the next answer.
            let _ = state.holding.prepare_basic(&state.wanted.basic, &self.safe.arena);
            self.publish(state);
            let State { wanted, holding, known: (generation, known), calls, .. } = &*state;
            // The mask key stands for no connection's own secret.
            let wants = !(wanted.by_connection.is_empty() && wanted.standing.is_empty());
            let is_concerned = wants || !holding.is_empty();
            let is_newer = *generation < snapshot.credentials_generation;
            let lacks = is_newer || !wanted.standing.is_subset(known);
            (is_concerned, lacks && !wanted.standing.is_empty(), calls.0 + 1)
        };
        if is_concerned {
            self.refresh();
        }
        if lacks {
            // The next call to begin knows of the snapshot; one that is under way may not.
            let answered = async {
                while self.state.borrow().calls.1 < next {
                    self.ended.notified().await;
                }
            };
            let _ = timeout(ASK_MAX, answered).await;
        }
    }

    /// A snapshot was published: what none of its rules stands for goes, also where the control
    /// plane could not be asked.
    pub(super) fn settle(&self, snapshot: &Snapshot) {
        let standing = standing(&snapshot.connections, &snapshot.rules, &snapshot.masks);
        let state = &mut *self.state.borrow_mut();
        if state.holding.keep_standing(&standing) {
            self.publish(state);
            // A grant may stand for it.
            state.due = Some(Instant::now());
        }
        // A value may go with no documents any more.
        self.wake.notify_one();
    }

    /// What is held now, to compile a snapshot with, and a number that each change of a certificate
    /// changes.
    pub(super) fn held(&self) -> (Arc<Leases>, u64) {
        (self.node.leases.load_full(), self.state.borrow().certificates.1)
    }

    /// Waits until certificates are not those any more that a number stands for: the snapshot in
    /// force is to be compiled again. Dropping the future loses nothing.
    pub(super) async fn certificates_changed(&self, known: u64) {
        while self.state.borrow().certificates.1 == known {
            self.certificates.notified().await;
        }
    }

    /// A grant is live on a connection up to a time, milliseconds since the Unix epoch.
    pub(super) fn grant_is_live(&self, connection: &str, ends_ms: u64) {
        let is_news = {
            let state = self.state.borrow();
            let secrets = state.wanted.by_connection.get(connection);
            secrets.is_some_and(|secrets| {
                !secrets.iter().all(|secret| state.holding.covers(secret, ends_ms))
            })
        };
        if is_news {
            self.refresh();
        }
    }

    /// A grant ended before its time.
    pub(super) fn grant_has_ended(&self) {
        let has_granted = self.state.borrow().holding.has_granted();
        if has_granted {
            self.state.borrow_mut().is_strict = true;
            self.refresh();
        }
    }

    /// An exchange under a grant is over: that may have been the last use.
    pub(super) fn use_has_ended(&self) {
        let has_granted = self.state.borrow().holding.has_granted();
        if has_granted {
            self.refresh();
        }
    }

    /// Asks as soon as can be.
    pub(super) fn refresh(&self) {
        self.state.borrow_mut().due = Some(Instant::now());
        self.wake.notify_one();
    }

    /// What is wrong, for whoever operates the node.
    pub(super) fn problem(&self) -> Option<String> {
        self.state.borrow().problem.clone()
    }

    /// Forgets everything: the node ends.
    pub(super) fn forget(&self) {
        let state = &mut *self.state.borrow_mut();
        state.holding.clear();
        self.publish(state);
    }

    /// One call, and what follows from it. Only [`Self::run`] makes calls.
    async fn ask(&self) {
        {
            let state = &mut *self.state.borrow_mut();
            state.due = None;
            state.calls.0 += 1;
        }
        let result = self.call().await;
        let state = &mut *self.state.borrow_mut();
        state.calls.1 += 1;
        self.ended.notify_one();
        let renew_every = self.renew_every();
        match result {
            Ok(()) => {
                (state.back_off, state.problem) = (Duration::ZERO, None);
                if state.due.is_none() && state.holding.has_granted() {
                    // Before the first of them ends: the control plane may know a later end.
                    let end = state.holding.next_end(clocks()).unwrap_or(renew_every);
                    let early = (end / 2).max(RENEW_EVERY_MIN);
                    state.due = Some(Instant::now() + renew_every.min(early));
                }
            }
            Err(error) => {
                state.fail(&error);
                // After a grant's end, nothing stands for a grant but what the control plane says.
                if std::mem::take(&mut state.is_strict) && state.holding.end_granted() {
                    self.publish(state);
                }
                let granted = state.holding.has_granted();
                let wait = if granted { state.back_off.min(renew_every) } else { state.back_off };
                state.due = Some(Instant::now() + wait);
            }
        }
    }

    async fn call(&self) -> Result<(), AskError> {
        let have = self.state.borrow().holding.have();
        // A grant that ends while the call is under way may still be in its answer.
        let was_strict = std::mem::take(&mut self.state.borrow_mut().is_strict);
        let public_key = self.safe.public_key.clone();
        let request = LeaseRequest { public_key, have };
        let answer = match timeout(ASK_MAX, self.control.leases(&request)).await {
            Ok(Ok(answer)) => self.open(&answer).map(|leases| (answer.generation, leases)),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(AskError::Timeout),
        };
        let state = &mut *self.state.borrow_mut();
        let taken = answer.and_then(|(generation, leases)| self.take(state, generation, leases));
        state.is_strict |= was_strict && taken.is_err();
        taken
    }

    /// Every lease of an answer with its value in locked memory, or nothing of it.
    fn open(&self, answer: &LeaseAnswer) -> Result<Vec<(Terms, Given)>, AskError> {
        let mut leases = Vec::with_capacity(answer.leases.len());
        for lease in answer.open(&self.safe.private_key, &self.id)? {
            let (terms, value) = lease?;
            let given = match value {
                None => Given::Before,
                Some(value) => match Value::new(&self.safe.arena, terms.generation, &value) {
                    Ok(value) => Given::Value(value),
                    Err(ArenaFull) => Given::NoRoom,
                },
            };
            leases.push((terms.clone(), given));
        }
        Ok(leases)
    }

    fn take(
        &self,
        state: &mut State,
        generation: u64,
        leases: Vec<(Terms, Given)>,
    ) -> Result<(), AskError> {
        let clocks = clocks();
        let taken = state.holding.take(generation, leases, self.enforced_generation(), clocks);
        let taken = taken.map_err(|_| AskError::Older)?;
        state.answered = clocks.boot;
        state.known = (generation, state.wanted.standing.clone());
        if taken.is_short {
            state.due = Some(Instant::now());
        }
        let arena = &self.safe.arena;
        let refused = taken.refused + state.holding.prepare_basic(&state.wanted.basic, arena);
        self.publish(state);
        if refused == 0 { Ok(()) } else { Err(AskError::Full { refused, bytes: arena.bytes() }) }
    }

    /// The generation of the documents in force.
    fn enforced_generation(&self) -> u64 {
        let enforced = self.node.published.load();
        enforced.as_ref().map_or(0, |enforced| enforced.credentials_generation)
    }

    /// Lets cores use what is held, and nothing else.
    fn publish(&self, state: &mut State) {
        let leases = Arc::new(state.holding.published());
        state.retired.push(self.node.leases.swap(leases));
        state.prune();
        let certificates = state.holding.generations_of(&state.wanted.certificates);
        if certificates != state.certificates.0 {
            state.certificates = (certificates, state.certificates.1.wrapping_add(1));
            self.certificates.notify_one();
        }
    }

    fn end_what_is_over(&self) {
        let enforced = self.enforced_generation();
        let clocks = clocks();
        let state = &mut *self.state.borrow_mut();
        let mut is_less = state.holding.end(clocks);
        if clocks.boot.saturating_sub(state.answered) > self.silence_max() {
            is_less |= state.holding.end_granted();
        }
        if state.holding.outlives(enforced) {
            let since = *state.outlived.get_or_insert_with(Instant::now);
            if since.elapsed() >= BEFORE_KEPT {
                state.holding.forget_before(enforced);
                is_less = true;
            }
        } else {
            state.outlived = None;
        }
        if is_less {
            self.publish(state);
        }
        state.prune();
    }

    /// When something is to be done without anybody asking for it.
    fn next_look(&self) -> Instant {
        let state = self.state.borrow();
        let mut next = IDLE_MAX;
        if state.holding.has_granted() || state.holding.outlives(self.enforced_generation()) {
            next = LOOK_EVERY;
        }
        if let Some(end) = state.holding.next_end(clocks()) {
            next = next.min(end);
        }
        if !state.retired.is_empty() {
            next = PRUNE_EVERY;
        }
        let next = Instant::now() + next;
        state.due.map_or(next, |due| due.min(next))
    }

    /// How long a lease stands for a grant without a word from the control plane.
    fn silence_max(&self) -> Duration {
        Duration::from_millis(self.node.settings.revocation_silence_ms_max)
    }

    fn renew_every(&self) -> Duration {
        (self.silence_max() / 2).min(RENEW_EVERY_MAX)
    }
}

impl State {
    /// Says once what needs somebody. That the control plane can't be reached is said elsewhere.
    fn fail(&mut self, error: &AskError) {
        self.back_off = later(self.back_off);
        let problem = match error {
            AskError::Control(ControlError::Unreachable) | AskError::Timeout => return,
            AskError::Control(_) | AskError::Lease(_) | AskError::Older | AskError::Full { .. } => {
                error.to_string()
            }
        };
        if self.problem.as_ref() != Some(&problem) {
            tell(&format!("credentials: {problem}"));
            self.problem = Some(problem);
        }
    }

    /// Drops sets that no core reads any more: here, so that what is over is zeroised here.
    fn prune(&mut self) {
        self.retired.retain(|leases| Arc::strong_count(leases) > 1);
    }
}

fn clocks() -> Clocks {
    Clocks { wall_ms: now_ms(), boot: boot_time() }
}

#[cfg(test)]
mod tests;
