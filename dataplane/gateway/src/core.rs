//! What one core owns. Nothing here is touched by another thread except the counters, which others
//! read, and the published policy, which is swapped whole.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use penstock_config::decision::SubjectRules;
use penstock_config::identity::Identity;
use penstock_config::node::UnknownKey;
use penstock_config::settings::DataplaneSettings;
use penstock_identity::TokenCache;
use penstock_reactor::network::Network;
use penstock_tls::ServerTls;
use tokio::sync::mpsc;

use crate::access_log::LogQueue;
use crate::addresses::Addresses;
use crate::counters::Counters;
use crate::endpoint::{EndpointKey, Endpoints, Health};
use crate::enforced::{CoreView, Published, PublishedAddresses, Trust};
use crate::failures::Failures;
use crate::grants::Ends;
use crate::guard::Cancel;
use crate::leases::PublishedLeases;
use crate::letters::DeskMail;
use crate::limits::Limit;
use crate::live::{LiveState, Marks, Revocations};
use crate::masking::{AnalyzerOutcome, CoreMasks};
use crate::pool::Pool;
use crate::reason::Reason;
use crate::registry::{OpenExchange, Registry};
use crate::retries::Retries;
use crate::session::SessionId;
use crate::shares::Bytes;
use crate::sync::ClockStep;
use crate::waiting::Waitings;

/// State that all threads of the node see: atomics and swapped pointers only.
pub(crate) struct Node {
    /// Settings of the process.
    pub(crate) settings: DataplaneSettings,
    /// The policy in force.
    pub(crate) published: Published,
    /// Credentials that may be used.
    pub(crate) leases: PublishedLeases,
    /// Addresses of host names.
    pub(crate) addresses: PublishedAddresses,
    /// What callers meet, where the settings have `tls`.
    pub(crate) tls: arc_swap::ArcSwapOption<ServerTls>,
    /// Somebody asked to have the files of `tls` read again.
    pub(crate) reload: tokio::sync::Notify,
    /// Changes of those files that were refused.
    pub(crate) certificates_refused: AtomicU64,
    /// When the control plane last confirmed the policy: wall clock, milliseconds.
    pub(crate) confirmed_ms: AtomicU64,
    /// Whether the process is about to end.
    pub(crate) draining: AtomicBool,
    /// Whether the control plane answered the last call.
    pub(crate) connected: AtomicBool,
    /// Snapshots that were refused.
    pub(crate) snapshots_refused: AtomicU64,
    /// How often the wall clock was set.
    pub(crate) clock_steps: AtomicU64,
    /// Access log lines that could not be written.
    pub(crate) log_lost: Arc<AtomicU64>,
    /// What was revoked when the node last ran.
    pub(crate) revocations: Revocations,
    /// Whether that can't be known: nothing is enforced until the control plane has said it anew.
    pub(crate) revocations_unknown: AtomicBool,
    /// When the control plane last said what is in force: boot time, milliseconds; 0 for never.
    pub(crate) live_heard_ms: AtomicU64,
}

impl Node {
    /// Nothing is in force yet.
    pub(crate) fn new(settings: DataplaneSettings) -> Self {
        Self {
            settings,
            published: Published::empty(),
            leases: PublishedLeases::default(),
            addresses: PublishedAddresses::default(),
            tls: arc_swap::ArcSwapOption::empty(),
            reload: tokio::sync::Notify::new(),
            certificates_refused: AtomicU64::new(0),
            confirmed_ms: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            snapshots_refused: AtomicU64::new(0),
            clock_steps: AtomicU64::new(0),
            log_lost: Arc::default(),
            revocations: Revocations::default(),
            revocations_unknown: AtomicBool::new(false),
            live_heard_ms: AtomicU64::new(0),
        }
    }

    /// The wall clock was set. The age of the last confirmation stays what it was when the clock
    /// went back; when it went ahead, the machine may have slept as long, and the age grows.
    /// `confirmed_meanwhile`: whether the policy was confirmed since the clock was last known to be
    /// as before. Then it was before the step if that lies ahead of the clock now, else after it.
    pub(crate) fn clock_stepped(&self, step: ClockStep, wall_ms: u64, confirmed_meanwhile: bool) {
        self.clock_steps.fetch_add(1, Ordering::Relaxed);
        match step {
            ClockStep::Ahead(_) => {}
            ClockStep::Back(back_ms) => {
                let confirmed = self.confirmed_ms.load(Ordering::Acquire);
                if !confirmed_meanwhile || confirmed > wall_ms {
                    self.confirmed_ms.store(confirmed.saturating_sub(back_ms), Ordering::Release);
                }
            }
        }
    }

    /// Whether the last confirmation is too old, or lies in the future by more than a minute.
    pub(crate) fn is_stale(&self, wall_ms: u64) -> bool {
        let confirmed = self.confirmed_ms.load(Ordering::Acquire);
        wall_ms.saturating_sub(confirmed) > self.settings.snapshot_staleness_ms_max
            || confirmed.saturating_sub(wall_ms) > 60_000
    }
}

/// What a core tells the sync thread.
#[derive(Debug)]
pub(crate) enum Report {
    /// A core enforces another position from now on; its counters say which.
    Enforces,
    /// An endpoint does well or badly from now on.
    Endpoint {
        /// Index of the core that says so.
        core: usize,
        /// Which.
        key: EndpointKey,
        /// How it does.
        health: Health,
    },
    /// The analyser of a mask does not answer.
    AnalyzerAway {
        /// The mask.
        mask: String,
        /// What came of a question.
        outcome: AnalyzerOutcome,
    },
    /// A request may go and lacks the credential that goes with it.
    LeaseWanted,
    /// A token names a key that no issuer document's key set has.
    UnknownKey(UnknownKey),
}

/// A verified token and what follows from it under the policy in force.
#[derive(Debug)]
pub(crate) struct Known {
    /// Who it is.
    pub(crate) identity: Rc<Identity>,
    /// The rules that concern it.
    pub(crate) rules: SubjectRules,
    /// What its issuer's document said that the identity rests on.
    pub(crate) trust: Trust,
    /// The key that its token was signed with (RFC 7638).
    pub(crate) key_thumbprint: [u8; 32],
    /// What a revocation may name of it.
    pub(crate) marks: Marks,
    /// When the token ends, leeway included.
    pub(crate) expires_ms: u64,
    /// Which of this core's policies it was verified under.
    pub(crate) generation: u64,
}

/// The policy in force on this core; cloning it touches no count that another core touches.
pub(crate) type InForce = Rc<CoreView>;

/// One core.
pub(crate) struct Core<N: Network> {
    /// Connections, time, tasks, buffers.
    pub(crate) network: N,
    /// What all threads see.
    pub(crate) node: Arc<Node>,
    /// Which of the node's cores this is.
    pub(crate) seat: usize,
    /// Counters of this core.
    pub(crate) counters: Arc<Counters>,
    /// Kept connections to upstreams.
    pub(crate) pool: Pool<N>,
    /// How endpoints do.
    pub(crate) endpoints: Endpoints,
    /// Exchanges that run.
    pub(crate) registry: Registry<OpenExchange>,
    /// Connections that wait for a request.
    pub(crate) idle: Registry<Cancel>,
    /// Connections whose handshake is under way.
    pub(crate) handshakes: Registry<Cancel>,
    /// Verified tokens.
    pub(crate) tokens: RefCell<TokenCache<Rc<Known>>>,
    /// Where access log lines go.
    pub(crate) log: LogQueue,
    /// Where reports to the sync thread go.
    pub(crate) reports: mpsc::Sender<Report>,
    /// Where questions about approvals go.
    pub(crate) desk: mpsc::Sender<DeskMail>,
    /// Ends of held and granted exchanges that are to be told.
    pub(crate) ends: Rc<Ends>,
    /// Requests that wait for an approval.
    pub(crate) waitings: Waitings,
    /// What those keep.
    pub(crate) held_bytes: Rc<Bytes>,
    /// What was revoked and what has ended.
    pub(crate) live: LiveState,
    /// What masks keep.
    pub(crate) masks: CoreMasks,
    /// Tokens that failed, by address.
    pub(crate) failures: Failures,
    /// Where its open connections come from.
    pub(crate) addresses: Addresses,
    in_force: RefCell<Option<InForce>>,
    generation: Cell<u64>,
    behind_since: Cell<Option<Duration>>,
    random: Cell<u64>,
    told: RefCell<HashMap<EndpointKey, Health>>,
    /// How far the registry was when open sessions were told last.
    pub(crate) sessions_told: Cell<Option<u64>>,
}

/// Verified tokens kept a core.
const TOKENS_MAX: usize = 4_096;

/// How long a core may be behind the published policy.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// How much of the buffer budget may be used before idle connections are closed, before new
/// requests are refused, and before no connection is accepted.
const SHED_IDLE_PERCENT: usize = 80;
const REFUSE_PERCENT: usize = 90;
const STOP_ACCEPTING_PERCENT: usize = 95;

/// Exchanges decided again between two yields.
const REDECIDE_SLICE: usize = 64;

impl<N: Network> Core<N> {
    /// A core without a policy.
    pub(crate) fn new(
        network: N,
        node: Arc<Node>,
        seat: usize,
        counters: Arc<Counters>,
        log: LogQueue,
        reports: mpsc::Sender<Report>,
        desk: mpsc::Sender<DeskMail>,
    ) -> Self {
        let limits = &node.settings.limits;
        let probe_every = Duration::from_millis(limits.upstream_probe_ms);
        let endpoints = Endpoints::new(limits.upstream_requests_per_endpoint_max, probe_every);
        let live = LiveState::knowing(&node.revocations);
        let revocations = u64::try_from(live.revocations()).unwrap_or(u64::MAX);
        counters.live_revocations.set(revocations);
        let held_bytes = Rc::new(Bytes::new(network.pool().bytes_max()));
        Self {
            held_bytes,
            pool: Pool::new(network.clone(), limits.upstream_idle_per_endpoint_max),
            network,
            node,
            seat,
            counters,
            endpoints,
            registry: Registry::new(),
            idle: Registry::new(),
            handshakes: Registry::new(),
            tokens: RefCell::new(TokenCache::new(TOKENS_MAX)),
            log,
            reports,
            ends: Rc::new(Ends::new(desk.clone())),
            desk,
            waitings: Waitings::default(),
            live,
            masks: CoreMasks::default(),
            failures: Failures::default(),
            addresses: Addresses::default(),
            in_force: RefCell::new(None),
            generation: Cell::new(0),
            behind_since: Cell::new(None),
            random: Cell::new(seed()),
            told: RefCell::new(HashMap::new()),
            sessions_told: Cell::new(None),
        }
    }

    /// The policy in force.
    ///
    /// # Errors
    /// None yet, expired, or not confirmed for too long; or what was revoked is not known.
    pub(crate) fn in_force(&self) -> Result<InForce, Reason> {
        let wall_ms = self.wall_ms();
        if self.node.is_stale(wall_ms) || self.node.revocations_unknown.load(Ordering::Acquire) {
            return Err(Reason::PolicyStale);
        }
        match self.in_force.borrow().as_ref() {
            Some(enforced) if wall_ms < enforced.expires_ms && self.keeps_up(enforced) => {
                Ok(Rc::clone(enforced))
            }
            Some(_) | None => Err(Reason::PolicyStale),
        }
    }

    /// Whether the policy is the published one, or was a second ago. A core that lost its mail must
    /// not go on under an old policy.
    fn keeps_up(&self, enforced: &CoreView) -> bool {
        let published = self.node.published.load();
        if published.as_ref().is_some_and(|published| enforced.is(published)) {
            self.behind_since.set(None);
            return true;
        }
        let now = self.network.now();
        let since = self.behind_since.get().unwrap_or(now);
        self.behind_since.set(Some(since));
        now.saturating_sub(since) <= BEHIND_MAX
    }

    /// Counts the policies that this core has taken.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Wall clock in milliseconds.
    pub(crate) fn wall_ms(&self) -> u64 {
        u64::try_from(self.network.wall().as_millis()).unwrap_or(u64::MAX)
    }

    /// Boot time.
    pub(crate) fn boot(&self) -> Duration {
        self.network.boot()
    }

    /// Whether so much of the buffer budget is used that no new exchange begins: what is left is
    /// for those that run, which are never shed first.
    pub(crate) fn is_short_of_buffers(&self) -> bool {
        self.uses_more_than(REFUSE_PERCENT)
    }

    /// Whether connections are accepted: not when there is hardly room for the heads of those that
    /// are there already. They wait in the kernel meanwhile.
    pub(crate) fn is_accepting(&self) -> bool {
        !self.uses_more_than(STOP_ACCEPTING_PERCENT)
    }

    pub(crate) fn uses_more_than(&self, percent: usize) -> bool {
        let pool = self.network.pool();
        pool.bytes_in_use() > pool.bytes_max() / 100 * percent
    }

    /// Closes what only waits, when buffers get short: kept connections to model servers and
    /// handshakes, which hold some; where there is none of them, connections of callers between two
    /// requests.
    fn shed_idle(&self) {
        if !self.uses_more_than(SHED_IDLE_PERCENT) {
            return;
        }
        for _ in 0..self.pool.shed() {
            self.counters.reached(Limit::Buffers);
        }
        let handshakes = self.handshakes.open();
        let waiting = if handshakes.is_empty() { self.idle.open() } else { handshakes };
        for one in waiting {
            if one.cancel(Reason::NO_BUFFERS) {
                self.counters.reached(Limit::Buffers);
            }
        }
    }

    /// A connection was refused because the core has too many: the next one gets the place of one
    /// that only waits.
    pub(crate) fn make_room(&self) {
        self.counters.clients_refused.add(1);
        self.counters.reached(Limit::Connections);
        let reason = || Reason::Overloaded(Limit::Connections);
        if !self.handshakes.any(|oldest| oldest.cancel(reason())) {
            self.idle.any(|oldest| oldest.cancel(reason()));
        }
    }

    /// Whether a request may be tried again, out of its connection's tries; if so, that is counted.
    pub(crate) fn may_try_again(&self, retries: &Retries) -> bool {
        let may = retries.may_try(self.network.now());
        let count = if may {
            &self.counters.upstream_retries
        } else {
            &self.counters.upstream_retries_refused
        };
        count.add(1);
        may
    }

    /// The limits of the settings.
    pub(crate) fn limits(&self) -> &penstock_config::settings::DataplaneLimits {
        &self.node.settings.limits
    }

    /// A new session's id.
    pub(crate) fn session_id(&self) -> SessionId {
        let mut random = [0; 16];
        // Without random bytes the id is all zero: it names nothing and gives nothing away.
        let _ = aws_lc_rs::rand::fill(&mut random);
        SessionId::new(random)
    }

    /// Two numbers to choose endpoints by: xorshift64 (Marsaglia 2003), seeded by the system.
    /// Nothing secret rests on them.
    pub(crate) fn choice(&self) -> [usize; 2] {
        let mut word = self.random.get();
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        self.random.set(word);
        let half = |bits: u64| usize::try_from(bits & 0xffff_ffff).unwrap_or(0);
        [half(word), half(word >> 32)]
    }

    /// Takes the published policy, forgets tokens verified under the old one, decides every open
    /// exchange again and cuts those that are now denied, or that run under masks which are not to
    /// go on, then says that it is enforced. Exchanges that open meanwhile were decided under it:
    /// nothing waits between the look at the policy in force and the registry.
    pub(crate) async fn refresh(&self) {
        let Some(enforced) = self.node.published.load_full() else { return };
        let now = self.network.now();
        let enforced: InForce = Rc::new(CoreView::new(enforced, &self.endpoints, &self.masks, now));
        let counts = self.masks.all_counts(|connection| enforced.masks_connection(connection));
        self.counters.masked.store(Arc::new(counts));
        let position = enforced.position;
        *self.in_force.borrow_mut() = Some(Rc::clone(&enforced));
        self.generation.set(self.generation().wrapping_add(1));
        self.tokens.borrow_mut().clear();
        self.pool.forget_unless(|id| enforced.has_tls(id));
        let open = self.registry.open();
        for slice in open.chunks(REDECIDE_SLICE) {
            for exchange in slice {
                if let Some(denial) = exchange.denied_by(&enforced, self.wall_ms()) {
                    exchange.cancel(Reason::PolicyChanged(denial));
                } else if exchange.is_cut_by_masks(&enforced) {
                    exchange.cancel(Reason::MaskChanged);
                }
            }
            self.network.yield_now().await;
        }
        self.counters.epoch.set(position.epoch);
        self.counters.version.set(position.version);
        self.counters.revision.set(position.revision);
        self.counters.enforced_at_ms.set(self.wall_ms());
        // A nudge; the counters say it in any case.
        let _ = self.reports.try_send(Report::Enforces);
    }

    /// What is done every second: idle upstream connections that are too old are closed, and gauges
    /// are set.
    pub(crate) fn tick(&self) {
        self.pool.expire(self.network.now());
        self.shed_idle();
        let in_use = self.network.pool().bytes_in_use();
        self.counters.buffer_bytes.set(u64::try_from(in_use).unwrap_or(u64::MAX));
        let waiting = u64::try_from(self.endpoints.waiting()).unwrap_or(u64::MAX);
        self.counters.upstream_waiting.set(waiting);
        self.tell_health();
        self.look_at_grants();
    }

    /// Reports endpoints whose health changed since it was last reported.
    fn tell_health(&self) {
        self.endpoints.forget_unused();
        let mut told = self.told.borrow_mut();
        let now = self.endpoints.health();
        told.retain(|key, _| now.iter().any(|(known, _)| known == key));
        for (key, health) in now {
            if told.get(&key) == Some(&health) {
                continue;
            }
            let report = Report::Endpoint { core: self.seat, key: key.clone(), health };
            if self.reports.try_send(report).is_ok() {
                told.insert(key, health);
            }
        }
    }

    /// Cuts every open exchange, the end of a drain; how many went on until now.
    pub(crate) fn cut_all(&self, reason: &Reason) -> usize {
        let open = self.registry.open();
        open.iter().filter(|exchange| exchange.cancel(reason.clone())).count()
    }

    /// How long the core lets a drain take.
    pub(crate) fn drain_limit(&self) -> Duration {
        Duration::from_millis(self.limits().drain_ms_max)
    }
}

/// A seed that is never zero.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_le_bytes(bytes) | 1
}
