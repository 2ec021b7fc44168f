//! What nodes act on at once, as a log that may be cut (see `penstock_config::hold`).

use imbl::Vector;
use penstock_config::hold::{Live, LiveEvent};

use crate::draft::Draft;
use crate::grants::Grant;
use crate::state::State;

/// Most events that are kept; a node that is further behind gets everything that is in force.
pub const EVENTS_MAX: usize = 10_000;

/// The newest events of one life of the process. In memory only: another run starts anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveLog {
    /// Names this life of the process; empty where it has no name, and then nobody knows it.
    run: String,
    /// Sequence of the newest event; 0 before the first.
    sequence: u64,
    /// The newest ones, oldest first, without a gap.
    events: Vector<LiveEvent>,
}

impl LiveLog {
    fn push(&mut self, event: LiveEvent) {
        self.sequence = self.sequence.saturating_add(1);
        self.events.push_back(event);
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }

    /// Events behind `after`, where all of them are kept.
    fn since(&self, run: &str, after: u64) -> Option<Vec<LiveEvent>> {
        let behind = usize::try_from(self.sequence.checked_sub(after)?).ok()?;
        let skipped = self.events.len().checked_sub(behind)?;
        let known = !self.run.is_empty() && self.run == run;
        known.then(|| self.events.skip(skipped).into_iter().collect())
    }
}

impl State {
    /// Names this life of the process.
    pub fn live_run(&self) -> &str {
        &self.live.run
    }

    /// The state in a life of the process that has this name: random, and never used before.
    #[must_use]
    pub fn with_run(mut self, run: String) -> Self {
        self.live = LiveLog { run, ..LiveLog::default() };
        self
    }

    /// Sequence of the newest event that nodes act on.
    pub fn live_sequence(&self) -> u64 {
        self.live.sequence
    }

    /// What a node that knows `run` up to `after` is told: what came since, or everything that is
    /// in force. Grants in force are those that may be used and those that something runs under: an
    /// exchange under any other one is to be cut.
    pub fn live(&self, run: &str, after: u64, now_ms: u64) -> Live {
        let since = self.live.since(run, after);
        let full = since.is_none();
        Live {
            run: self.live.run.clone(),
            sequence: self.live.sequence,
            full,
            events: since.unwrap_or_else(|| self.in_force(now_ms)),
            server_ms: now_ms,
        }
    }

    fn in_force(&self, now_ms: u64) -> Vec<LiveEvent> {
        let revoked = self.durable.revocations.keys().zip(self.durable.revocations.values());
        let mut events: Vec<LiveEvent> = revoked.map(|(key, one)| key.event(one)).collect();
        let grants = self.index.live_grants();
        let in_force = grants.filter_map(|id| self.durable.grants.get(id));
        let in_force = in_force.filter(|grant| !grant.is_live() || !grant.is_over(now_ms));
        events.extend(in_force.map(|grant| live(grant)));
        events
    }
}

/// A grant as nodes hear of it.
fn live(grant: &Grant) -> LiveEvent {
    LiveEvent::GrantLive {
        id: grant.id.clone(),
        connection: grant.connection.clone(),
        ends_ms: grant.ends_at_latest_ms(),
    }
}

impl Draft {
    /// Tells nodes.
    pub(crate) fn tell(&mut self, event: LiveEvent) {
        self.state.live.push(event);
    }

    /// Tells nodes that a grant may be used, or when it ends now.
    pub(crate) fn tell_live(&mut self, grant: &Grant) {
        self.tell(live(grant));
    }
}
