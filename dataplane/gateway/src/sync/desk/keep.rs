//! What was revoked is kept on disk, so that a node which starts without its control plane lets
//! nobody in again. It is written when it changed, once a second at most, and at the end.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::live::{LiveChange, LiveState, Revocations};
use crate::sync::Disk;
use crate::sync::feed::tell;

/// How soon it is written again.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// What is revoked, and what of that stands on disk.
pub(super) struct Keeper {
    disk: Disk,
    /// The same as a core knows, bounded in the same way.
    known: LiveState,
    /// None where that can't be read.
    kept: RefCell<Option<Revocations>>,
    changed: Notify,
    has_changed: Cell<bool>,
    has_failed: Cell<bool>,
}

impl Keeper {
    /// `kept`: what stands on disk, where that can be read.
    pub(super) fn new(disk: Disk, kept: Option<&Revocations>) -> Self {
        Self {
            disk,
            known: kept.map(LiveState::knowing).unwrap_or_default(),
            kept: RefCell::new(kept.cloned()),
            changed: Notify::new(),
            has_changed: Cell::new(false),
            has_failed: Cell::new(false),
        }
    }

    /// Takes what an answer says.
    pub(super) fn take(&self, change: &LiveChange, now: Duration) {
        if change.may_revoke() {
            self.known.take(change, now);
            self.has_changed.set(true);
            self.changed.notify_one();
        }
    }

    /// Writes for ever.
    pub(super) async fn run(&self) {
        loop {
            if !self.has_changed.get() {
                self.changed.notified().await;
            }
            self.finish();
            sleep(KEEP_EVERY).await;
        }
    }

    /// Writes what has changed. What can't be written is tried again.
    pub(super) fn finish(&self) {
        if !self.has_changed.replace(false) {
            return;
        }
        let known = self.known.known();
        if self.kept.borrow().as_ref() == Some(&known) {
            return;
        }
        match self.disk.keep_revocations(&known) {
            Ok(()) => {
                *self.kept.borrow_mut() = Some(known);
                self.has_failed.set(false);
            }
            Err(error) => {
                self.has_changed.set(true);
                if !self.has_failed.replace(true) {
                    tell(&format!("what was revoked can't be kept on disk: {error}"));
                }
            }
        }
    }
}
