//! How often something may happen within a minute, by key, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts begin anew after this.
const WINDOW: Duration = Duration::from_secs(60);
/// Keys that are counted by themselves.
const KEYS_MAX: usize = 10_000;

/// Counts of this minute.
pub(super) struct Rates<K> {
    key_max: u32,
    counts: Mutex<Counts<K>>,
}

struct Counts<K> {
    began: Instant,
    by_key: HashMap<K, u32>,
    /// All keys that came when [`KEYS_MAX`] others were there, together.
    others: u32,
}

impl<K: Eq + Hash> Rates<K> {
    /// So many times a minute a key; those for which there is no room, together, ten times that.
    pub(super) fn new(key_max: u32, now: Instant) -> Self {
        let counts = Counts { began: now, by_key: HashMap::new(), others: 0 };
        Self { key_max, counts: Mutex::new(counts) }
    }

    /// How long a key has to wait that has used up its times; none where it has not.
    pub(super) fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let left = counts.follow(now);
        let is_full = counts.by_key.len() >= KEYS_MAX;
        let exhausted = match counts.by_key.get(key) {
            Some(count) => *count >= self.key_max,
            None => is_full && counts.others >= self.key_max.saturating_mul(10),
        };
        exhausted.then_some(left)
    }

    /// It happened once more.
    pub(super) fn count(&self, key: K, now: Instant) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.follow(now);
        let is_full = counts.by_key.len() >= KEYS_MAX;
        let count = match counts.by_key.get_mut(&key) {
            Some(count) => count,
            None if is_full => &mut counts.others,
            None => counts.by_key.entry(key).or_default(),
        };
        *count = count.saturating_add(1);
    }
}

impl<K> Counts<K> {
    /// Begins anew where it is time, and says how long until the next time.
    fn follow(&mut self, now: Instant) -> Duration {
        let gone = now.saturating_duration_since(self.began);
        if gone < WINDOW {
            return WINDOW.saturating_sub(gone);
        }
        self.began = now;
        self.by_key = HashMap::new();
        self.others = 0;
        WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_waits_once_its_times_are_used_up_and_another_does_not() {
        let now = Instant::now();
        let rates = Rates::new(3, now);
        for _ in 0..3 {
            assert_eq!(rates.wait(&"a", now), None);
            rates.count("a", now);
        }
        assert_eq!(rates.wait(&"a", now), Some(WINDOW));
        assert_eq!(rates.wait(&"b", now), None);
        let almost = now + WINDOW - Duration::from_secs(1);
        assert_eq!(rates.wait(&"a", almost), Some(Duration::from_secs(1)));
        assert_eq!(rates.wait(&"a", now + WINDOW), None);
    }

    #[test]
    fn more_keys_than_there_is_room_for_share_one_count() {
        let now = Instant::now();
        let rates = Rates::new(1, now);
        (0..KEYS_MAX).for_each(|key| rates.count(key, now));
        assert_eq!(rates.wait(&KEYS_MAX, now), None);
        (0..10).for_each(|more| rates.count(KEYS_MAX + more, now));
        assert_eq!(rates.wait(&(2 * KEYS_MAX), now), Some(WINDOW));
        let counts = rates.counts.lock().unwrap();
        assert_eq!((counts.by_key.len(), counts.others), (KEYS_MAX, 10));
    }
}
