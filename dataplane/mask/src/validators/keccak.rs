//! Keccak-256 as Ethereum uses it: the padding of before FIPS 202.

const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// Where the lane goes that is carried, and by how many bits it is turned: steps rho and pi.
const MOVES: [(usize, u32); 24] = [
    (10, 1),
    (7, 3),
    (11, 6),
    (17, 10),
    (18, 15),
    (3, 21),
    (5, 28),
    (16, 36),
    (8, 45),
    (21, 55),
    (24, 2),
    (4, 14),
    (15, 27),
    (23, 41),
    (19, 56),
    (13, 8),
    (12, 25),
    (2, 43),
    (20, 62),
    (14, 18),
    (22, 39),
    (9, 61),
    (6, 20),
    (1, 44),
];

/// The hash of a text of at most 135 bytes, which is one block; of a longer one, of its front.
#[allow(clippy::indexing_slicing, reason = "indices are below 25, of 25 lanes")]
pub(super) fn keccak_256(text: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 136];
    let length = text.len().min(135);
    block[..length].copy_from_slice(&text[..length]);
    block[length] ^= 0x01;
    block[135] ^= 0x80;
    let mut lanes = [0_u64; 25];
    for (lane, bytes) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
        *lane = u64::from_le_bytes(*bytes);
    }
    for constant in ROUNDS {
        let column = |x: usize| (0..5).fold(0, |sum, y| sum ^ lanes[x + 5 * y]);
        let columns: [u64; 5] = std::array::from_fn(column);
        for (index, lane) in lanes.iter_mut().enumerate() {
            let x = index % 5;
            *lane ^= columns[(x + 4) % 5] ^ columns[(x + 1) % 5].rotate_left(1);
        }
        let mut carried = lanes[1];
        for (to, bits) in MOVES {
            carried = std::mem::replace(&mut lanes[to], carried.rotate_left(bits));
        }
        for row in 0..5 {
            let old: [u64; 5] = std::array::from_fn(|x| lanes[row * 5 + x]);
            for x in 0..5 {
                lanes[row * 5 + x] = old[x] ^ (!old[(x + 1) % 5] & old[(x + 2) % 5]);
            }
        }
        lanes[0] ^= constant;
    }
    let mut hash = [0; 32];
    for (bytes, lane) in hash.as_chunks_mut::<8>().0.iter_mut().zip(lanes) {
        *bytes = lane.to_le_bytes();
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::keccak_256;

    #[test]
    fn the_empty_text_has_the_hash_that_ethereum_publishes() {
        let hash = keccak_256(b"").map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hash, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    }
}
