//! The long poll for what is in force. Each answer goes to every core, also an empty one: it is
//! what says that the control plane is there. The next poll names as acted on only what every core
//! has acted on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use penstock_config::hold::{LIVE_WAIT_MS_MAX, Live};
use penstock_reactor::mailbox::SendError;
use penstock_reactor::process::boot_time;
use tokio::time::{Instant, sleep, timeout};

use super::{Desk, Heard, Plane, ROOM_EVERY};
use crate::letters::Letter;
use crate::live::LiveChange;
use crate::sync::feed::later;

/// Longest time that an answer takes beyond what it was asked to wait.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Longest pause after a poll that failed.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// How long cores may take to act on an answer before it is asked for again.
const ACT_MAX: Duration = Duration::from_secs(2);

/// Pause after everything was told anew, so that a control plane which always does is no loop.
const WHOLE_PAUSE: Duration = Duration::from_millis(50);

/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How far this node has come.
#[derive(Default)]
struct Known {
    run: String,
    sequence: u64,
}

impl<P: Plane> Desk<P> {
    /// Polls for ever. `heed` looks at each answer that counts before cores do.
    pub(super) async fn follow_live(&self, heed: impl Fn(Heard<'_>)) {
        let wait_ms = LIVE_WAIT_MS_MAX.min(self.node.settings.revocation_silence_ms_max / 4);
        let limit = Duration::from_millis(wait_ms).saturating_add(ANSWER_MAX);
        let (mut known, mut number) = (Known::default(), 0_u64);
        let mut back_off = Duration::ZERO;
        loop {
            let call = self.plane.live(&known.run, known.sequence, wait_ms);
            let answer = match timeout(limit, call).await {
                Ok(Ok(live)) => Some(live),
                Ok(Err(_)) | Err(_) => None,
            };
            number = number.saturating_add(1);
            let Some(come) = self.take(number, answer, &heed).await else {
                back_off = later(back_off).min(BACK_OFF_MAX);
                sleep(back_off).await;
                continue;
            };
            (known, back_off) = (come.0, Duration::ZERO);
            if come.1 {
                sleep(WHOLE_PAUSE).await;
            }
        }
    }

    /// Has every core act on an answer; how far this node has come then, and whether it was told
    /// everything anew. None where there is no answer that counts, or a core is behind.
    async fn take(
        &self,
        number: u64,
        live: Option<Live>,
        heed: impl Fn(Heard<'_>),
    ) -> Option<(Known, bool)> {
        let live = live?;
        let heard = boot_time();
        let known = Known { run: live.run.clone(), sequence: live.sequence };
        let heard_ms = u64::try_from(heard.as_millis()).unwrap_or(u64::MAX);
        let is_full = live.full;
        let change = {
            let change = LiveChange::new(number, heard, live.clone()).ok()?;
            heed(Heard::Live(&live));
            self.keeper.take(&change, heard);
            Arc::new(change)
        };
        self.node.live_heard_ms.store(heard_ms, Ordering::Relaxed);
        if is_full {
            // Whoever knows everything anew knows nothing of what is open here.
            self.open.borrow_mut().tell_again();
        }
        if !self.is_acted_on(&change).await {
            return None;
        }
        if is_full {
            // Every core knows everything that is revoked.
            self.node.revocations_unknown.store(false, Ordering::Release);
        }
        Some((known, is_full))
    }

    /// Hands a change to every core and waits until all have acted on it; `false`: one has not.
    async fn is_acted_on(&self, change: &Arc<LiveChange>) -> bool {
        let ends = Instant::now() + ACT_MAX;
        let mut open = Vec::with_capacity(self.letters.len());
        for (index, core) in self.letters.iter().enumerate() {
            let mut letter = Letter::Live(Arc::clone(change));
            loop {
                match core.try_send(letter) {
                    Ok(()) => {
                        open.push(index);
                        break;
                    }
                    // A core that has ended runs nothing.
                    Err(SendError::Closed(_)) => break,
                    Err(SendError::Full(_)) if Instant::now() >= ends => return false,
                    Err(SendError::Full(returned)) => letter = returned,
                }
                sleep(ROOM_EVERY).await;
            }
        }
        let has_acted = |index: &usize| {
            let core = self.counters.get(*index);
            core.is_none_or(|core| core.live_acted() >= change.number)
        };
        while !open.iter().all(has_acted) {
            if Instant::now() >= ends {
                return false;
            }
            sleep(LOOK_EVERY).await;
        }
        true
    }
}
