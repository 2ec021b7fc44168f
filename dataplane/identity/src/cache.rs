//! Verified tokens of one core, by the hash of the whole token; the token itself is not kept.

use std::collections::HashMap;

use crate::key::sha256;

/// SHA-256 of a whole token: two tokens that differ anywhere have different keys.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct TokenKey([u8; 32]);

/// What the gateway made of verified tokens. Bounded: a new entry takes the place of one that was
/// not used since the hand last passed it (the clock algorithm). Only what was verified may be
/// inserted, so unverified tokens cannot push anything out. Single-threaded, without locks.
pub struct TokenCache<T> {
    entries_max: usize,
    slots: Vec<Option<Slot<T>>>,
    places: HashMap<TokenKey, usize>,
    free: Vec<usize>,
    hand: usize,
}

struct Slot<T> {
    key: TokenKey,
    not_before_ms: u64,
    expires_ms: u64,
    used: bool,
    value: T,
}

impl<T> TokenCache<T> {
    /// An empty cache for at most so many entries; 0 caches nothing.
    pub fn new(entries_max: usize) -> Self {
        Self { entries_max, slots: Vec::new(), places: HashMap::new(), free: Vec::new(), hand: 0 }
    }

    /// The key of a token.
    pub fn key(token: &[u8]) -> TokenKey {
        TokenKey(sha256(token))
    }

    /// What was inserted for a token, if it counts at `now_ms` (milliseconds since the Unix epoch).
    /// An entry that has expired is removed; one that does not count yet stays.
    pub fn get(&mut self, key: &TokenKey, now_ms: u64) -> Option<&T> {
        let place = *self.places.get(key)?;
        let expired = self.slots.get(place)?.as_ref().is_none_or(|slot| now_ms >= slot.expires_ms);
        if expired {
            self.remove(key);
            return None;
        }
        let slot = self.slots.get_mut(place)?.as_mut()?;
        if now_ms < slot.not_before_ms {
            return None;
        }
        slot.used = true;
        Some(&slot.value)
    }

    /// Keeps what was made of a verified token, for as long as the token counts: times as in
    /// [`crate::Verified`]. Takes the place of what was there for the same token.
    pub fn insert(&mut self, key: TokenKey, expires_ms: u64, not_before_ms: u64, value: T) {
        self.remove(&key);
        let slot = Slot { key, not_before_ms, expires_ms, used: false, value };
        if self.places.len() >= self.entries_max && !self.evict() {
            return;
        }
        let place = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(place) {
            Some(empty) => *empty = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        self.places.insert(key, place);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.places.clear();
        self.free.clear();
        self.hand = 0;
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Removes one entry that was not used since the hand last passed; false if there is none at
    /// all. Two rounds are enough: the first clears every mark.
    fn evict(&mut self) -> bool {
        for _ in 0..self.slots.len().saturating_mul(2) {
            let place = self.hand;
            self.hand = if place >= self.slots.len().saturating_sub(1) { 0 } else { place + 1 };
            match self.slots.get_mut(place) {
                Some(Some(slot)) if slot.used => slot.used = false,
                Some(Some(slot)) => {
                    let key = slot.key;
                    self.remove(&key);
                    return true;
                }
                Some(None) | None => {}
            }
        }
        false
    }

    fn remove(&mut self, key: &TokenKey) {
        if let Some(place) = self.places.remove(key)
            && let Some(slot) = self.slots.get_mut(place)
        {
            *slot = None;
            self.free.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_never_outnumber_the_entries_that_are_allowed() {
        let mut cache = TokenCache::new(4);
        for number in 0..100_u64 {
            let key = TokenCache::<()>::key(&number.to_le_bytes());
            cache.insert(key, number + 1, 0, ());
            if number % 3 == 0 {
                assert_eq!(cache.get(&key, number + 1), None);
            }
            assert!(cache.slots.len() <= 4 && cache.free.len() <= 4);
        }
    }
}
