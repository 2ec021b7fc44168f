//! Counters of one core: written by that core alone with plain stores, read by the operations
//! thread, which folds all cores.

use std::sync::atomic::{AtomicU64, Ordering};

use penstock_config::node::Position;

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

    /// Replaces the number.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number.
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters of one core.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    ended: [Count; Reason::LABELS.len()],
    pub(crate) clients_open: Count,
    pub(crate) clients_accepted: Count,
    pub(crate) clients_refused: Count,
    pub(crate) exchanges_open: Count,
    pub(crate) tokens_verified: Count,
    pub(crate) tokens_cached: Count,
    pub(crate) upstream_connects: Count,
    pub(crate) upstream_reuses: Count,
    pub(crate) upstream_stirred: Count,
    pub(crate) bytes_down: Count,
    pub(crate) bytes_up: Count,
    pub(crate) log_dropped: Count,
    pub(crate) panics: Count,
    pub(crate) buffer_bytes: Count,
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
        if let Some(count) = self.ended.get(reason.index()) {
            count.add(1);
        }
    }

    /// How many exchanges ended so, by position in [`Reason::LABELS`].
    pub(crate) fn ended_by_label(&self, index: usize) -> u64 {
        self.ended.get(index).map_or(0, Count::read)
    }
}
