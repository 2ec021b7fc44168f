//! The feed of snapshots: verify, compile, publish, tell, confirm. A snapshot that does not hold is
//! refused whole, and the one in force stays.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use penstock_config::node::{NodeStatus, Position, SnapshotKey, UnknownKey, UpstreamStatus};
use penstock_config::snapshot::{Snapshot, SnapshotError, verify};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::clock::{ClockStep, ClockWatch};
use super::control::{Control, ControlError, Held};
use super::credentials::Leasing;
use super::disk::{Disk, Progress};
use super::resolve::resolve;
use super::{CoreMail, Joined, Parts};
use crate::core::{Node, Report};
use crate::counters::Counters;
use crate::endpoint::{EndpointKey, Health};
use crate::enforced::{Enforced, Target};
use crate::masking::Masks;
use crate::upstream_tls::UpstreamTlsConfigs;

/// Compiled policies that may be alive at once. Cores let an old one go at the swap and no exchange
/// holds one while it waits, so more than two mean that a core is stuck.
const LIVE_MAX: usize = 8;

/// How long a new policy waits for old ones to be let go; then it is published all the same.
const ROOM_MAX: Duration = Duration::from_secs(1);

/// Longest call that others wait for.
const STATUS_MAX: Duration = Duration::from_secs(3);

/// A status is sent this often, and whenever something changed.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// How long a new policy waits for its new names to be looked up.
const LOOK_UP_MAX: Duration = Duration::from_millis(500);

/// Names are looked up again this often.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);

/// Both clocks are compared this often.
const LOOK_AT_CLOCKS_EVERY: Duration = Duration::from_secs(1);

/// Unknown keys of one issuer are reported at most this often. Issuers are names of documents, so
/// the table is as small as the policy.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// That an analyser of a mask is away is told at most this often.
const TELL_AWAY_EVERY: Duration = Duration::from_secs(60);

/// Confirmations are kept on disk this often.
const KEEP_EVERY_MS: u64 = 60_000;

/// Why a snapshot was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Signature or form.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// For another cluster.
    #[error("it is for another cluster")]
    Cluster,
    /// Older than what was enforced.
    #[error("it is older than what was enforced before")]
    Older,
    /// Past its end.
    #[error("it has expired")]
    Expired,
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] crate::enforced::CompileError),
}

/// State of the feed.
struct Feed {
    node: Arc<Node>,
    disk: Disk,
    joined: Joined,
    cores: Vec<penstock_reactor::mailbox::MailSender<CoreMail>>,
    listen: String,
    progress: Progress,
    kept_ms: u64,
    /// Whether the policy was confirmed since the last look at the clocks.
    confirmed_meanwhile: bool,
    snapshot: Option<Snapshot>,
    digest: String,
    leasing: Rc<Leasing>,
    /// Which certificates the policy in force was compiled with: see [`Leasing::held`].
    certificates: u64,
    live: Vec<Arc<Enforced>>,
    counters: Arc<[Arc<Counters>]>,
    refused: Option<String>,
    reported: HashMap<String, Instant>,
    health: HashMap<(usize, EndpointKey), Health>,
    configs: UpstreamTlsConfigs,
    masks: Masks,
}

/// Runs until it is stopped.
pub(super) async fn run(parts: Parts, leasing: Rc<Leasing>, mut stopped: watch::Receiver<bool>) {
    let (mut feed, mut reports) = Feed::new(parts, Rc::clone(&leasing));
    let control = feed.joined.control.clone();
    feed.load().await;
    let mut poll = Box::pin(poll(control.clone(), feed.held(), Duration::ZERO));
    let mut back_off = Duration::ZERO;
    let mut next_status = Instant::now();
    let mut next_resolve = Instant::now() + RESOLVE_EVERY;
    let mut clocks = ClockWatch::new(now_ms(), Instant::now());
    let mut next_look = Instant::now() + LOOK_AT_CLOCKS_EVERY;
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            answer = &mut poll => {
                back_off = feed.polled(answer, back_off).await;
                poll = Box::pin(self::poll(control.clone(), feed.held(), back_off));
            }
            Some(report) = reports.recv() => {
                if feed.reported(report, &control) {
                    next_status = Instant::now();
                }
            }
            () = leasing.certificates_changed(feed.certificates) => feed.publish_again().await,
            () = sleep_until(next_look) => {
                feed.look(&mut clocks);
                feed.prune();
                next_look = Instant::now() + LOOK_AT_CLOCKS_EVERY;
            }
            () = sleep_until(next_status) => {
                feed.send_status(&control).await;
                next_status = Instant::now() + STATUS_EVERY;
            }
            () = sleep_until(next_resolve) => {
                feed.prune();
                if let Some(enforced) = feed.node.published.load_full() {
                    resolve(&feed.node, &enforced, true, STATUS_MAX).await;
                }
                next_resolve = Instant::now() + RESOLVE_EVERY;
            }
        }
    }
}

async fn poll(
    control: Control,
    held: Held,
    back_off: Duration,
) -> Result<Option<Vec<u8>>, ControlError> {
    sleep(back_off).await;
    control.snapshot(&held).await
}

impl Feed {
    /// Nothing is in force yet; with what cores report.
    fn new(parts: Parts, leasing: Rc<Leasing>) -> (Self, mpsc::Receiver<Report>) {
        let Parts { node, disk, joined, cores, reports, listen, counters, configs } = parts;
        let feed = Self {
            node,
            disk,
            joined,
            cores,
            listen,
            progress: Progress::default(),
            kept_ms: 0,
            confirmed_meanwhile: false,
            snapshot: None,
            digest: String::new(),
            leasing,
            certificates: 0,
            live: Vec::new(),
            counters,
            refused: None,
            reported: HashMap::new(),
            health: HashMap::new(),
            configs,
            masks: Masks::default(),
        };
        (feed, reports)
    }

    /// The position in force; what a poll asks to be newer than.
    fn position(&self) -> Position {
        self.snapshot.as_ref().map(|snapshot| snapshot.position).unwrap_or_default()
    }

    /// What a poll says that this node holds.
    fn held(&self) -> Held {
        Held { position: self.position(), digest: self.digest.clone() }
    }

    /// The last good snapshot from disk, so that a node also starts without its control plane.
    async fn load(&mut self) {
        match self.disk.progress() {
            Ok(progress) => self.progress = progress,
            Err(error) => {
                tell(&format!("how far this node was can't be read: {error}"));
                self.progress.position =
                    Position { epoch: u64::MAX, version: u64::MAX, revision: u64::MAX };
                return;
            }
        }
        self.node.confirmed_ms.store(self.progress.confirmed_ms, Ordering::Release);
        match self.disk.snapshot() {
            Ok(Some(signed)) => {
                if let Err(refused) = self.take(&signed).await {
                    self.refuse(&refused);
                }
            }
            Ok(None) => {}
            Err(error) => tell(&format!("the snapshot on disk can't be read: {error}")),
        }
    }

    /// Handles the answer of a poll; says how long to wait before the next.
    async fn polled(
        &mut self,
        answer: Result<Option<Vec<u8>>, ControlError>,
        back_off: Duration,
    ) -> Duration {
        match answer {
            Ok(newer) => {
                self.node.connected.store(true, Ordering::Relaxed);
                let Some(signed) = newer else {
                    self.confirm();
                    return Duration::ZERO;
                };
                match self.take(&signed).await {
                    Ok(()) => {
                        self.keep(&signed);
                        self.confirm();
                        Duration::ZERO
                    }
                    Err(refused) => {
                        self.refuse(&refused);
                        later(back_off)
                    }
                }
            }
            Err(ControlError::TooLarge) => {
                self.refuse(&SnapshotError::TooLarge.into());
                later(back_off)
            }
            Err(error) => {
                if self.node.connected.swap(false, Ordering::Relaxed) {
                    tell(&error.to_string());
                }
                later(back_off)
            }
        }
    }

    /// Verifies, compiles and publishes a snapshot.
    async fn take(&mut self, signed: &[u8]) -> Result<(), Refused> {
        let (snapshot, digest) = verify(&self.joined.membership.snapshot_keys, signed)?;
        if snapshot.cluster != self.joined.membership.cluster {
            return Err(Refused::Cluster);
        }
        if snapshot.position < self.progress.position {
            return Err(Refused::Older);
        }
        if snapshot.expires_ms <= now_ms() {
            return Err(Refused::Expired);
        }
        // Without credentials the policy is enforced all the same; what needs one is refused.
        self.leasing.prepare(&snapshot).await;
        self.trust(&snapshot.snapshot_keys);
        self.publish(snapshot).await?;
        self.digest = digest;
        Ok(())
    }

    /// A snapshot that holds says with which keys the next ones may be signed: so keys are
    /// replaced.
    fn trust(&mut self, keys: &[SnapshotKey]) {
        let membership = &mut self.joined.membership;
        if keys.is_empty() || keys == membership.snapshot_keys {
            return;
        }
        membership.snapshot_keys = keys.to_vec();
        if let Err(error) = self.disk.keep_trust(membership) {
            self.not_kept(&error);
        }
    }

    async fn publish(&mut self, snapshot: Snapshot) -> Result<(), Refused> {
        let (leases, certificates) = self.leasing.held();
        let Self { configs, masks, .. } = self;
        let (enforced, problems) = Enforced::compile(&snapshot, &leases, configs, masks)?;
        drop(leases);
        self.certificates = certificates;
        for problem in problems {
            tell(&problem);
        }
        let enforced = Arc::new(enforced);
        self.make_room().await;
        // New names only, and not for long: the periodic look-up finds what this does not.
        resolve(&self.node, &enforced, false, LOOK_UP_MAX).await;
        self.live.push(Arc::clone(&enforced));
        self.node.published.store(Some(enforced));
        self.progress.position = snapshot.position;
        self.leasing.settle(&snapshot);
        self.snapshot = Some(snapshot);
        for core in &self.cores {
            // A full mailbox holds the same message already.
            let _ = core.try_send(CoreMail::Published);
        }
        Ok(())
    }

    /// Waits until fewer than [`LIVE_MAX`] policies are alive, for a moment: a revocation must
    /// never wait for a reader.
    async fn make_room(&mut self) {
        let ends = Instant::now() + ROOM_MAX;
        self.prune();
        while self.live.len() >= LIVE_MAX && Instant::now() < ends {
            sleep(Duration::from_millis(20)).await;
            self.prune();
        }
        if self.live.len() >= LIVE_MAX {
            tell("a core does not let old policies go");
        }
    }

    /// Drops policies that nobody else holds: here, never on a reactor.
    fn prune(&mut self) {
        self.live.retain(|enforced| Arc::strong_count(enforced) > 1);
        self.masks.prune();
    }

    /// Compiles the snapshot in force again, since certificates for model servers came or went.
    async fn publish_again(&mut self) {
        let Some(snapshot) = self.snapshot.clone() else {
            self.certificates = self.leasing.held().1;
            return;
        };
        if let Err(refused) = self.publish(snapshot).await {
            self.certificates = self.leasing.held().1;
            self.refuse(&refused);
        }
        // A certificate that went is not to be kept for a policy that might ask for it again.
        self.configs.forget_before();
    }

    fn confirm(&mut self) {
        let now = now_ms();
        self.node.confirmed_ms.store(now, Ordering::Release);
        self.confirmed_meanwhile = true;
        self.progress.confirmed_ms = now;
        if now.saturating_sub(self.kept_ms) > KEEP_EVERY_MS {
            self.keep_progress();
        }
    }

    fn keep(&mut self, signed: &[u8]) {
        self.progress.confirmed_ms = now_ms();
        // The position first: a crash in between leaves a node that waits for its control plane,
        // not one that goes back.
        self.keep_progress();
        if let Err(error) = self.disk.keep_snapshot(signed) {
            self.not_kept(&error);
        }
    }

    fn keep_progress(&mut self) {
        match self.disk.keep_progress(&self.progress) {
            Ok(()) => self.kept_ms = self.progress.confirmed_ms,
            Err(error) => self.not_kept(&error),
        }
    }

    /// A node that can't keep what it enforces might go back after a restart: its status says so.
    fn not_kept(&mut self, error: &std::io::Error) {
        let what = format!("what is enforced can't be kept on disk: {error}");
        tell(&what);
        self.refused = Some(what);
    }

    fn look(&mut self, clocks: &mut ClockWatch) {
        let wall_ms = now_ms();
        let confirmed_meanwhile = std::mem::take(&mut self.confirmed_meanwhile);
        let Some(step) = clocks.look(wall_ms, Instant::now()) else { return };
        match step {
            ClockStep::Ahead(ms) => tell(&format!("the clock was set ahead by {} s", ms / 1_000)),
            ClockStep::Back(ms) => tell(&format!("the clock was set back by {} s", ms / 1_000)),
        }
        self.node.clock_stepped(step, wall_ms, confirmed_meanwhile);
    }

    fn refuse(&mut self, refused: &Refused) {
        self.node.snapshots_refused.fetch_add(1, Ordering::Relaxed);
        let why = refused.to_string();
        tell(&format!("a snapshot was refused: {why}"));
        self.refused = Some(why);
    }

    /// Takes a core's report; `true` when a status is due at once.
    fn reported(&mut self, report: Report, control: &Control) -> bool {
        match report {
            Report::Enforces => self.is_enforced(),
            Report::AnalyzerAway { mask, outcome } => {
                let now = Instant::now();
                // No issuer has such a name.
                let key = format!("mask/{mask}");
                let last = self.reported.get(&key);
                if last.is_none_or(|last| now.duration_since(*last) > TELL_AWAY_EVERY) {
                    self.reported.insert(key, now);
                    let why = outcome.label();
                    tell(&format!("the analyser of mask {mask} does not answer: {why}"));
                }
                false
            }
            Report::LeaseWanted => {
                self.leasing.refresh();
                false
            }
            Report::Endpoint { core, key, health } => {
                self.health.insert((core, key), health);
                true
            }
            Report::UnknownKey(key) => {
                let now = Instant::now();
                let last = self.reported.get(&key.issuer);
                if last.is_none_or(|last| now.duration_since(*last) > REPORT_EVERY) {
                    self.reported.insert(key.issuer.clone(), now);
                    tokio::spawn(report_key(control.clone(), key));
                }
                false
            }
        }
    }

    /// Every endpoint of the policy in force: down where it is for some core, up where it is for
    /// one.
    fn upstreams(&mut self) -> Vec<UpstreamStatus> {
        let Some(enforced) = self.node.published.load_full() else { return Vec::new() };
        let mut all = Vec::new();
        for upstream in enforced.upstreams() {
            for target in &upstream.endpoints {
                all.push(UpstreamStatus {
                    connection: upstream.document.name.clone(),
                    endpoint: target.authority.clone(),
                    state: self.health_of(&target.key()).as_str().to_owned(),
                });
            }
        }
        let mut keys = HashSet::new();
        let targets = enforced.upstreams().iter().flat_map(|upstream| &upstream.endpoints);
        keys.extend(targets.map(Target::key));
        self.health.retain(|(_, key), _| keys.contains(key));
        all
    }

    fn health_of(&self, key: &EndpointKey) -> Health {
        let seen = || self.health.iter().filter(|((_, known), _)| known == key);
        let is = |health: Health| seen().any(|(_, known)| *known == health);
        if is(Health::Down) {
            Health::Down
        } else if is(Health::Up) {
            Health::Up
        } else {
            Health::Unknown
        }
    }

    async fn send_status(&mut self, control: &Control) {
        let status = NodeStatus {
            cores: self.counters.iter().map(|core| core.position()).collect(),
            enforced_at_ms: self
                .counters
                .iter()
                .map(|one| one.enforced_at_ms.read())
                .max()
                .unwrap_or(0),
            upstreams: self.upstreams(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            listen: self.listen.clone(),
            refused: self.refused.clone().or_else(|| self.leasing.problem()),
        };
        // What could not be told goes with the next status.
        if tokio::time::timeout(STATUS_MAX, control.status(&status))
            .await
            .is_ok_and(|told| told.is_ok())
        {
            self.refused = None;
        }
    }

    /// Whether every core enforces what was published last.
    fn is_enforced(&self) -> bool {
        self.counters.iter().all(|core| core.position() == self.position())
    }
}

/// The control plane limits how often it fetches; a report that is lost comes again with the next
/// token.
async fn report_key(control: Control, key: UnknownKey) {
    let _ = control.unknown_key(&key).await;
}

/// 0.2 s, doubled up to 10 s, with jitter so that nodes do not come back all at once.
pub(super) fn later(back_off: Duration) -> Duration {
    let next =
        back_off.saturating_mul(2).clamp(Duration::from_millis(200), Duration::from_secs(10));
    let mut random = [0];
    let _ = aws_lc_rs::rand::fill(&mut random);
    next.mul_f64(0.75 + f64::from(random[0]) / 512.0)
}

pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// One line for the operator.
pub(super) fn tell(line: &str) {
    // Where even this can't be written, as on a full disk, there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "penstock-dataplane: {line}");
}
