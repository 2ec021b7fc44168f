//! Sets of rules, one bit a rule, in the order of the rules.

/// A set of fixed size, with a second one above it that tells which of its words are not empty: an
/// intersection visits only words that all of its sets have.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    words: Box<[u64]>,
    filled: Box<[u64]>,
}

impl Bits {
    /// An empty set with room for `size` rules.
    pub(super) fn new(size: usize) -> Self {
        let words = size.div_ceil(64);
        let empty = |words: usize| vec![0; words].into_boxed_slice();
        Self { words: empty(words), filled: empty(words.div_ceil(64)) }
    }

    pub(super) fn insert(&mut self, index: usize) {
        let word = index / 64;
        if let (Some(bits), Some(filled)) =
            (self.words.get_mut(word), self.filled.get_mut(word / 64))
        {
            *bits |= bit(index);
            *filled |= bit(word);
        }
    }

    pub(super) fn remove(&mut self, index: usize) {
        if let Some(bits) = self.words.get_mut(index / 64) {
            *bits &= !bit(index);
        }
    }

    pub(super) fn contains(&self, index: usize) -> bool {
        self.word(index / 64) & bit(index) != 0
    }

    /// A word; beyond the end an empty one.
    fn word(&self, index: usize) -> u64 {
        self.words.get(index).copied().unwrap_or(0)
    }

    /// 64 words, one bit each; set where the word may have a bit.
    fn filled(&self, index: usize) -> u64 {
        self.filled.get(index).copied().unwrap_or(0)
    }
}

/// Rules that are in all of `all` and in one of `either`, lowest first.
pub(super) fn intersection<const N: usize>(
    all: [&Bits; N],
    either: [Option<&Bits>; 2],
) -> impl Iterator<Item = usize> {
    let words = all.first().map_or(0, |bits| bits.filled.len());
    let meet = move |word_of: fn(&Bits, usize) -> u64, index: usize| {
        let either = either.iter().flatten().fold(0, |word, bits| word | word_of(bits, index));
        all.iter().fold(either, |word, bits| word & word_of(bits, index))
    };
    (0..words)
        .flat_map(move |index| indexes(index, meet(Bits::filled, index)))
        .flat_map(move |index| indexes(index, meet(Bits::word, index)))
}

/// Indexes of the bits of one word, lowest first.
fn indexes(word: usize, mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = usize::try_from(bits.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
        bits &= bits.wrapping_sub(1);
        word.checked_mul(64)?.checked_add(lowest)
    })
}

fn bit(index: usize) -> u64 {
    1 << (index % 64)
}
