//! How fast one identity asks: a bucket each, in memory alone. What is asked and left at once waits
//! nowhere, but its acts and its messages stay: without this a loop would write for ever.

use imbl::{OrdMap, OrdSet};
use penstock_config::documents::ExactIdentity;

/// New approvals of one identity at once, while its bucket is full.
pub const NEW_BURST_MAX: usize = 120;
/// Then one more each so many milliseconds: 60 a minute.
pub const NEW_EVERY_MS: u64 = 1_000;
/// Most identities whose buckets are kept; past that the fullest is forgotten, which is full.
pub const COUNTED_MAX: usize = 10_000;
/// How long an empty bucket takes until it is full, in milliseconds.
const FULL_MS: u64 = NEW_EVERY_MS * NEW_BURST_MAX as u64;

/// Buckets, each as when it was looked at and when it is full from then on: a full one is the same
/// as none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    buckets: OrdMap<ExactIdentity, Bucket>,
    /// The same by when they are full: the fullest first.
    by_time: OrdSet<(u64, ExactIdentity)>,
    /// The latest time at which one was looked at.
    latest_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    at_ms: u64,
    full_ms: u64,
}

impl Bucket {
    /// How long until it is full. A clock that was set back refills nothing.
    fn lacks_ms(self, now_ms: u64) -> u64 {
        self.full_ms.saturating_sub(self.at_ms.max(now_ms))
    }
}

impl Rates {
    /// Takes one, if there is one.
    pub(crate) fn take(&mut self, who: &ExactIdentity, now_ms: u64) -> bool {
        let lacks_ms = self.buckets.get(who).map_or(0, |bucket| bucket.lacks_ms(now_ms));
        let next_ms = lacks_ms.saturating_add(NEW_EVERY_MS);
        let is_there = next_ms <= FULL_MS;
        self.put(who.clone(), now_ms, if is_there { next_ms } else { lacks_ms });
        is_there
    }

    /// Forgets what is full. Where the clock was set back, time goes on from there for every
    /// bucket.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        if now_ms < self.latest_ms {
            self.latest_ms = now_ms;
            for (who, bucket) in self.buckets.clone() {
                self.put(who, now_ms, bucket.lacks_ms(now_ms));
            }
        }
        while let Some((_, who)) = self.by_time.get_min().filter(|one| one.0 <= now_ms).cloned() {
            self.forget(&who);
        }
    }

    fn put(&mut self, who: ExactIdentity, at_ms: u64, lacks_ms: u64) {
        self.forget(&who);
        self.latest_ms = self.latest_ms.max(at_ms);
        let full_ms = at_ms.saturating_add(lacks_ms);
        self.by_time.insert((full_ms, who.clone()));
        self.buckets.insert(who, Bucket { at_ms, full_ms });
        if self.buckets.len() > COUNTED_MAX
            && let Some((_, fullest)) = self.by_time.get_min().cloned()
        {
            self.forget(&fullest);
        }
    }

    fn forget(&mut self, who: &ExactIdentity) {
        if let Some(bucket) = self.buckets.remove(who) {
            self.by_time.remove(&(bucket.full_ms, who.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> ExactIdentity {
        ExactIdentity { issuer: "dev".to_owned(), subject: name.to_owned() }
    }

    fn taken(rates: &mut Rates, name: &str, now_ms: u64) -> usize {
        (0..1_000).take_while(|_| rates.take(&who(name), now_ms)).count()
    }

    #[test]
    fn a_bucket_gives_a_burst_and_then_one_a_second_to_each_identity() {
        let mut rates = Rates::default();
        let now_ms = 1_000_000;
        assert_eq!(taken(&mut rates, "eve", now_ms), 120);
        assert_eq!(taken(&mut rates, "zoe", now_ms), 120, "everybody has their own");
        assert_eq!(taken(&mut rates, "eve", now_ms + 999), 0);
        assert_eq!(taken(&mut rates, "eve", now_ms + 60_000), 60);
        assert_eq!(taken(&mut rates, "eve", now_ms + 900_000), 120, "never more than a burst");
    }

    #[test]
    fn a_clock_that_is_set_back_refills_nothing_and_locks_nobody_out() {
        let (mut rates, now_ms) = (Rates::default(), 10_000_000);
        assert_eq!(taken(&mut rates, "eve", now_ms), 120);
        let back_ms = now_ms - 3_600_000;
        let mut refused = rates.clone();
        assert_eq!(taken(&mut refused, "eve", back_ms), 0);
        assert_eq!(taken(&mut refused, "eve", back_ms + 1_000), 1);
        // Also where what a refusal found out is not kept.
        rates.tick(back_ms);
        assert_eq!(taken(&mut rates, "eve", back_ms + 2_000), 2);
        assert!(rates.take(&who("zoe"), now_ms));
        assert_eq!(taken(&mut rates, "zoe", back_ms), 119, "nor does it empty anything");
    }

    #[test]
    fn the_table_is_bounded_and_the_fullest_bucket_is_forgotten_first() {
        let (mut rates, now_ms) = (Rates::default(), 1_000_000);
        assert_eq!(taken(&mut rates, "eve", now_ms), 120);
        for number in 0..=COUNTED_MAX {
            rates.take(&who(&format!("user-{number}")), now_ms);
        }
        assert_eq!((rates.buckets.len(), rates.by_time.len()), (COUNTED_MAX, COUNTED_MAX));
        assert!(!rates.take(&who("eve"), now_ms), "an empty one stays");
        rates.tick(now_ms + FULL_MS);
        assert!(rates.buckets.is_empty() && rates.by_time.is_empty());
    }
}
