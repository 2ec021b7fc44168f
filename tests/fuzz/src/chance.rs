//! Choices that an input makes itself, and inputs made long.

/// Bytes that a short input is repeated to: a cost that grows with the square is minutes there.
const LONG_BYTES: usize = 256 << 10;

/// One short input in so many is also tried long.
const LONG_ONE_IN: usize = 256;

/// A sequence of numbers that the input alone decides.
pub(crate) struct Chance(u64);

impl Chance {
    /// Starts from all bytes of the input (FNV-1a).
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mix =
            |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    /// A number from 0 up to `limit`, `limit` included (SplitMix64).
    pub(crate) fn up_to(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % (limit + 1)
    }

    /// Flips one bit, where there is one.
    pub(crate) fn flip_bit(&mut self, bytes: &mut [u8]) {
        let bit = self.up_to(7);
        let at = self.up_to(bytes.len());
        if let Some(byte) = bytes.get_mut(at % bytes.len().max(1)) {
            *byte ^= 1 << bit;
        }
    }

    /// At most `count` offsets into `length` bytes, both ends possible, in order.
    pub(crate) fn cuts(&mut self, count: usize, length: usize) -> Vec<usize> {
        let mut cuts: Vec<usize> = (0..count).map(|_| self.up_to(length)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }
}

/// Now and then, a short input over and over, so that the engine's limit on time and memory sees
/// what a few bytes can cost.
pub(crate) fn made_long(bytes: &[u8]) -> Option<Vec<u8>> {
    let chosen = Chance::of(bytes).up_to(LONG_ONE_IN - 1) == 0;
    let is_short = (1..=64).contains(&bytes.len());
    (chosen && is_short).then(|| bytes.repeat(LONG_BYTES / bytes.len()))
}
