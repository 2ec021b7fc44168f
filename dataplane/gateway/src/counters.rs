//! Counters of one core: written by that core alone with plain stores, read by the operations
//! thread, which folds all cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use penstock_config::node::Position;
use penstock_tls::Failure;

use crate::limits::Limit;
use crate::masking::{AnalyzerOutcome, MaskCounts};
use crate::reason::Reason;

/// A number that one core writes and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Adds. One writer: a load and a store, no locked instruction.
    pub(crate) fn add(&self, amount: u64) {
        self.0.store(self.read().wrapping_add(amount), Ordering::Relaxed);
    }

    /// Takes away.
    pub(crate) fn subtract(&self, amount: u64) {
        self.0.store(self.read().wrapping_sub(amount), Ordering::Relaxed);
    }

    /// Replaces the number by a larger one.
    pub(crate) fn raise(&self, value: u64) {
        if value > self.read() {
            self.set(value);
        }
    }

    /// Replaces the number.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number.
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One number for each place of a table.
#[derive(Debug)]
struct Table<const PLACES: usize>([Count; PLACES]);

impl<const PLACES: usize> Default for Table<PLACES> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

/// TLS handshakes of one side, by how they ended.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    full: Count,
    resumed: Count,
    failed: Table<{ Failure::LABELS.len() }>,
}

impl Handshakes {
    /// Counts one that was done.
    pub(crate) fn done(&self, resumed: bool) {
        if resumed { self.resumed.add(1) } else { self.full.add(1) }
    }

    /// Counts one that failed.
    pub(crate) fn failed(&self, failure: Failure) {
        if let Some(count) = self.failed.0.get(failure.index()) {
            count.add(1);
        }
    }

    /// How many ended how.
    pub(crate) fn by_result(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let done = [("full", self.full.read()), ("resumed", self.resumed.read())];
        let failed = Failure::LABELS.into_iter().zip(self.failed.0.iter().map(Count::read));
        done.into_iter().chain(failed)
    }
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HoldOutcome {
    /// Under grants.
    Granted,
    /// Rules allow it meanwhile.
    Allowed,
    /// A reviewer, or a rule, said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Another copy went through.
    Spent,
    /// Its time on the connection was over.
    Pending,
    /// The caller left.
    Withdrawn,
    /// The control plane is away, or something else of ours.
    Unavailable,
    /// It could not be held: a reason is missing, the body was not what it said, and the like.
    Refused,
}

impl HoldOutcome {
    /// Their labels, in order.
    pub(crate) const LABELS: [&'static str; 9] = [
        "granted",
        "allowed",
        "denied",
        "expired",
        "spent",
        "pending",
        "withdrawn",
        "unavailable",
        "refused",
    ];

    /// That of a reason.
    pub(crate) fn of(reason: Option<&Reason>) -> Self {
        match reason {
            Some(Reason::ApprovalDenied(_) | Reason::Denied(_) | Reason::PolicyChanged(_)) => {
                Self::Denied
            }
            Some(Reason::ApprovalExpired(_)) => Self::Expired,
            Some(Reason::ApprovalSpent(_)) => Self::Spent,
            Some(Reason::ApprovalPending(_)) => Self::Pending,
            Some(Reason::ClientGone | Reason::ClientStalled) => Self::Withdrawn,
            Some(reason) if reason.status() >= 500 => Self::Unavailable,
            Some(_) | None => Self::Refused,
        }
    }
}

/// All counters of one core.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    ended: Table<{ Reason::LABELS.len() }>,
    limits: Table<{ Limit::ALL.len() }>,
    pub(crate) tls_accepted: Handshakes,
    pub(crate) tls_connected: Handshakes,
    pub(crate) clients_open: Count,
    pub(crate) clients_accepted: Count,
    pub(crate) clients_refused: Count,
    pub(crate) exchanges_open: Count,
    pub(crate) tokens_verified: Count,
    pub(crate) tokens_cached: Count,
    pub(crate) upstream_connects: Count,
    pub(crate) upstream_reuses: Count,
    pub(crate) upstream_stirred: Count,
    pub(crate) upstream_retries: Count,
    pub(crate) upstream_retries_refused: Count,
    pub(crate) upstream_probes: Count,
    pub(crate) upstream_probes_failed: Count,
    pub(crate) upstream_waiting: Count,
    pub(crate) accepts_failed: Count,
    pub(crate) bytes_down: Count,
    pub(crate) bytes_up: Count,
    pub(crate) log_dropped: Count,
    pub(crate) panics: Count,
    pub(crate) buffer_bytes: Count,
    holds: Table<{ HoldOutcome::LABELS.len() }>,
    /// Requests that wait for an approval.
    pub(crate) holds_open: Count,
    /// How long those that do not wait any more did, in microseconds.
    pub(crate) hold_wait_us: Count,
    /// Values that were masked, by connection and detector; the list is replaced whole.
    pub(crate) masked: ArcSwap<Vec<Arc<MaskCounts>>>,
    /// Bytes of text that were looked at for values to mask.
    pub(crate) mask_scanned_bytes: Count,
    /// Events of streams that went through a mask.
    pub(crate) mask_events: Count,
    /// Bytes of text that were held after each of those, all together.
    pub(crate) mask_held_bytes: Count,
    /// The most that one stream held after an event.
    pub(crate) mask_held_bytes_max: Count,
    analyzer_asked: Table<{ AnalyzerOutcome::LABELS.len() }>,
    /// How long questions to analysers took, in microseconds.
    pub(crate) analyzer_us: Count,
    /// How long text was held at most while nothing came, in milliseconds.
    pub(crate) mask_hold_ms_max: Count,
    /// Exchanges that were cut by what the control plane said was over.
    pub(crate) live_cuts: Count,
    /// Revocations in force.
    pub(crate) live_revocations: Count,
    /// Number of the last [`crate::live::LiveChange`] that the core has acted on.
    live_acted: AtomicU64,
    /// What the core enforces: version and revision of its position, epoch in between.
    pub(crate) epoch: Count,
    pub(crate) version: Count,
    pub(crate) revision: Count,
    /// Since when, milliseconds since the Unix epoch.
    pub(crate) enforced_at_ms: Count,
}

impl Counters {
    /// What the core enforces.
    pub(crate) fn position(&self) -> Position {
        Position {
            epoch: self.epoch.read(),
            version: self.version.read(),
            revision: self.revision.read(),
        }
    }

    /// Counts the end of an exchange.
    pub(crate) fn ended(&self, reason: &Reason) {
        if let Some(count) = self.ended.0.get(reason.index()) {
            count.add(1);
        }
        if let Some(limit) = reason.limit() {
            self.reached(limit);
        }
    }

    /// Counts what a limit ended or refused.
    pub(crate) fn reached(&self, limit: Limit) {
        let known = Limit::ALL.iter().zip(&self.limits.0);
        for (_, count) in known.filter(|(known, _)| **known == limit) {
            count.add(1);
        }
    }

    /// Counts the end of a hold.
    pub(crate) fn held(&self, outcome: HoldOutcome, waited: Duration) {
        if let Some(count) = self.holds.0.get(outcome as usize) {
            count.add(1);
        }
        self.hold_wait_us.add(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many holds ended how.
    pub(crate) fn holds_by_outcome(&self) -> impl Iterator<Item = (&'static str, u64)> {
        HoldOutcome::LABELS.into_iter().zip(self.holds.0.iter().map(Count::read))
    }

    /// Counts a question to an analyser.
    pub(crate) fn analyzer_asked(&self, outcome: AnalyzerOutcome, took: Duration) {
        if let Some(count) = self.analyzer_asked.0.get(outcome as usize) {
            count.add(1);
        }
        self.analyzer_us.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many questions to analysers ended how.
    pub(crate) fn analyzer_by_outcome(&self) -> impl Iterator<Item = (&'static str, u64)> {
        AnalyzerOutcome::LABELS.into_iter().zip(self.analyzer_asked.0.iter().map(Count::read))
    }

    /// The core has acted on everything up to this change.
    pub(crate) fn set_live_acted(&self, number: u64) {
        // What was done before is done for whoever reads it.
        self.live_acted.store(number, Ordering::Release);
    }

    /// Up to which change the core has acted.
    pub(crate) fn live_acted(&self) -> u64 {
        self.live_acted.load(Ordering::Acquire)
    }

    /// How often each limit was reached, by its key.
    pub(crate) fn limits_reached(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Limit::ALL.iter().zip(&self.limits.0).map(|(limit, count)| (limit.key(), count.read()))
    }

    /// How many exchanges ended so, by position in [`Reason::LABELS`].
    pub(crate) fn ended_by_label(&self, index: usize) -> u64 {
        self.ended.0.get(index).map_or(0, Count::read)
    }
}
