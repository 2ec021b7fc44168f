//! Keys of one object: which of them servers would take for one another.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use super::JsonError;

/// Objects with up to this many keys, none longer than [`PAIRWISE_BYTES_MAX`], are compared pair by
/// pair; the others are hashed under a random key, so that nobody can choose what collides.
const PAIRWISE_KEYS_MAX: usize = 16;

/// Longer keys could share a long beginning that each pair is compared over.
const PAIRWISE_BYTES_MAX: usize = 64;

/// Bytes of a folded key that are hashed at a time.
const HASHED_BYTES: usize = 64;

/// Finds keys that stand twice. Keeps its room from object to object: nothing is allocated a key.
#[derive(Default)]
pub(super) struct KeyCheck<'t> {
    exact: HashSet<&'t str>,
    folded: HashSet<Folded<'t>>,
}

/// A key that equals all that a server of Go's takes for it.
struct Folded<'t>(&'t str);

impl<'t> KeyCheck<'t> {
    /// Refuses keys of one object that are equal, with `fold` also those equal but for case.
    pub(super) fn check(&mut self, keys: &[&'t str], fold: bool) -> Result<(), JsonError> {
        let is_small = keys.len() <= PAIRWISE_KEYS_MAX
            && keys.iter().all(|key| key.len() <= PAIRWISE_BYTES_MAX);
        let is_twice = if is_small {
            has_pair(keys, fold)
        } else if fold {
            self.folded.clear();
            self.folded.reserve(keys.len());
            !keys.iter().all(|key| self.folded.insert(Folded(key)))
        } else {
            self.exact.clear();
            self.exact.reserve(keys.len());
            !keys.iter().all(|key| self.exact.insert(key))
        };
        if is_twice { Err(JsonError::DuplicateKey) } else { Ok(()) }
    }
}

fn has_pair(keys: &[&str], fold: bool) -> bool {
    let equal = |a: &str, b: &str| if fold { folds_to(a, b) } else { a == b };
    let mut rest = keys;
    while let Some((key, behind)) = rest.split_first() {
        if behind.iter().any(|other| equal(key, other)) {
            return true;
        }
        rest = behind;
    }
    false
}

impl PartialEq for Folded<'_> {
    fn eq(&self, other: &Self) -> bool {
        folds_to(self.0, other.0)
    }
}

impl Eq for Folded<'_> {}

impl Hash for Folded<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut chunk = [0; HASHED_BYTES];
        // The same chunks as below, where each letter is a byte.
        if self.0.is_ascii() {
            for piece in self.0.as_bytes().chunks(HASHED_BYTES) {
                let folded = chunk.get_mut(..piece.len()).unwrap_or_default();
                folded.copy_from_slice(piece);
                folded.make_ascii_lowercase();
                state.write(folded);
            }
            return;
        }
        let mut used: usize = 0;
        for letter in folded(self.0) {
            let room = chunk.get_mut(used..).unwrap_or_default();
            if room.len() < letter.len_utf8() {
                state.write(chunk.get(..used).unwrap_or_default());
                used = 0;
            }
            let room = chunk.get_mut(used..).unwrap_or_default();
            used = used.saturating_add(letter.encode_utf8(room).len());
        }
        if used > 0 {
            state.write(chunk.get(..used).unwrap_or_default());
        }
    }
}

/// Whether Go's decoder would take `key` for `wanted`.
pub(super) fn folds_to(key: &str, wanted: &str) -> bool {
    folded(key).eq(folded(wanted))
}

/// Whether Go's decoder would take the beginning of `key` for `prefix`.
pub(super) fn begins_folded(key: &str, prefix: &str) -> bool {
    let mut letters = folded(key);
    folded(prefix).all(|wanted| letters.next() == Some(wanted))
}

/// As Go's decoder folds: ASCII letters, and the two letters beyond ASCII that fold to one (the
/// Kelvin sign and the long s).
fn folded(key: &str) -> impl Iterator<Item = char> {
    key.chars().map(|letter| match letter {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        _ => letter.to_ascii_lowercase(),
    })
}
