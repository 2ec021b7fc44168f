//! What this node holds, and until when. In: what the control plane gave, the clocks. Out: what
//! cores may use. Pure but for the locked memory in which values stand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use penstock_config::lease::{HeldSecret, Terms, Until};
use penstock_reactor::locked::Arena;

use crate::leases::{Leased, Leases, Value};

/// One look at both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// Wall clock, milliseconds since the Unix epoch.
    pub(super) wall_ms: u64,
    /// Time that also goes on while the machine sleeps, and that nobody sets.
    pub(super) boot: Duration,
}

/// What an answer gave for one lease.
pub(super) enum Given {
    /// A value.
    Value(Value),
    /// The value that is here already.
    Before,
    /// A value for which there is no locked memory left.
    NoRoom,
}

/// What became of an answer.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Taken {
    /// Secrets that did not fit into locked memory.
    pub(super) refused: usize,
    /// A value that was here when the call began is gone: it is to be asked for again.
    pub(super) is_short: bool,
}

/// The answer knows older secrets than an answer before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Older;

/// All that is held, by name of the secret.
#[derive(Default)]
pub(super) struct Holding {
    held: BTreeMap<String, Held>,
    /// Generation of the secrets in the last answer.
    generation: u64,
}

struct Held {
    leased: Leased,
    /// None: an allow rule stands for it.
    end: Option<End>,
}

/// The end of a lease that stands for a grant. The earlier of the two counts.
#[derive(Clone, Copy)]
struct End {
    wall_ms: u64,
    boot: Duration,
}

impl End {
    fn of(until: Until, clocks: Clocks) -> Self {
        let boot = clocks.boot.saturating_add(Duration::from_millis(until.left_ms));
        Self { wall_ms: until.ends_ms, boot }
    }

    fn left(self, clocks: Clocks) -> Duration {
        let by_wall = Duration::from_millis(self.wall_ms.saturating_sub(clocks.wall_ms));
        by_wall.min(self.boot.saturating_sub(clocks.boot))
    }
}

impl Holding {
    /// What the node tells that it has.
    pub(super) fn have(&self) -> Vec<HeldSecret> {
        let held = self.held.iter().map(|(secret, held)| HeldSecret {
            secret: secret.clone(),
            generation: held.leased.generation(),
        });
        held.collect()
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes an answer: the whole of what may be held. `enforced`: the generation of the documents
    /// in force.
    ///
    /// # Errors
    /// The answer is older than one before; nothing changes.
    pub(super) fn take(
        &mut self,
        generation: u64,
        leases: Vec<(Terms, Given)>,
        enforced: u64,
        clocks: Clocks,
    ) -> Result<Taken, Older> {
        if generation < self.generation {
            return Err(Older);
        }
        self.generation = generation;
        let mut before = std::mem::take(&mut self.held);
        let mut taken = Taken::default();
        for (terms, given) in leases {
            let had = before.remove(&terms.secret).map(|held| held.leased);
            let leased = match (given, had) {
                (Given::Value(value), Some(mut leased)) => {
                    leased.replace(value, enforced);
                    leased
                }
                (Given::Value(value), None) => Leased::new(value),
                (Given::Before, Some(leased)) if leased.generation() == terms.generation => leased,
                (Given::Before, _) => {
                    taken.is_short = true;
                    continue;
                }
                (Given::NoRoom, _) => {
                    taken.refused = taken.refused.saturating_add(1);
                    continue;
                }
            };
            let end = terms.until.map(|until| End::of(until, clocks));
            self.held.insert(terms.secret, Held { leased, end });
        }
        Ok(taken)
    }

    /// Lets go of leases that are over; whether there was one.
    pub(super) fn end(&mut self, clocks: Clocks) -> bool {
        self.keep(|held| held.end.is_none_or(|end| !end.left(clocks).is_zero()))
    }

    /// Lets go of all leases that stand for a grant; whether there was one.
    pub(super) fn end_granted(&mut self) -> bool {
        self.keep(|held| held.end.is_none())
    }

    /// Lets go of what neither these rules' secrets nor a grant stands for; whether there was such.
    pub(super) fn keep_standing(&mut self, standing: &BTreeSet<&str>) -> bool {
        let before = self.held.len();
        self.held.retain(|secret, held| held.end.is_some() || standing.contains(secret.as_str()));
        self.held.len() != before
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }

    fn keep(&mut self, mut keeps: impl FnMut(&Held) -> bool) -> bool {
        let before = self.held.len();
        self.held.retain(|_, held| keeps(held));
        self.held.len() != before
    }

    /// Whether some lease stands for a grant.
    pub(super) fn has_granted(&self) -> bool {
        self.held.values().any(|held| held.end.is_some())
    }

    /// Whether a secret is held up to that time at least, milliseconds since the Unix epoch.
    pub(super) fn covers(&self, secret: &str, ends_ms: u64) -> bool {
        let held = self.held.get(secret);
        held.is_some_and(|held| held.end.is_none_or(|end| end.wall_ms >= ends_ms))
    }

    /// When the next lease ends.
    pub(super) fn next_end(&self, clocks: Clocks) -> Option<Duration> {
        self.held.values().filter_map(|held| held.end).map(|end| end.left(clocks)).min()
    }

    /// Whether some value goes with no documents any more, now that these are in force.
    pub(super) fn outlives(&self, enforced: u64) -> bool {
        self.held.values().any(|held| held.leased.outlives(enforced))
    }

    /// Lets go of such values.
    pub(super) fn forget_before(&mut self, enforced: u64) {
        for held in self.held.values_mut().filter(|held| held.leased.outlives(enforced)) {
            held.leased.forget_before();
        }
    }

    /// Makes these secrets ready for the scheme `basic`; how many did not fit.
    pub(super) fn prepare_basic(&mut self, secrets: &BTreeSet<String>, arena: &Arena) -> usize {
        let wanted = self.held.iter_mut().filter(|(secret, _)| secrets.contains(*secret));
        let prepared = wanted.map(|(_, held)| held.leased.prepare_basic(arena));
        prepared.filter(Result::is_err).count()
    }

    /// Which values of these secrets are held.
    pub(super) fn generations_of(&self, secrets: &BTreeSet<String>) -> Vec<HeldSecret> {
        let mut have = self.have();
        have.retain(|one| secrets.contains(&one.secret));
        have
    }

    /// What cores may use.
    pub(super) fn published(&self) -> Leases {
        let leases = self.held.iter().map(|(secret, held)| (secret.clone(), held.leased.clone()));
        Leases::new(leases.collect())
    }
}

#[cfg(test)]
mod tests;
