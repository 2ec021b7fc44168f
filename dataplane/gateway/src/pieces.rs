//! Bytes that wait, in as few blocks as it takes: a small piece is copied together with its
//! neighbours, so that what comes in crumbs does not hold a block for each.

use penstock_reactor::buffer::{BLOCK_BYTES, Block, Buffer, Exhausted, Pool};

/// A piece smaller than this is copied: what waits holds at most twice its length, and a block.
const COPY_BELOW: usize = BLOCK_BYTES / 2;

/// Waiting bytes, in order.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    whole: Vec<Buffer>,
    open: Option<Block>,
    length: usize,
}

impl Pieces {
    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// The core's buffers are used up.
    pub(crate) fn add(&mut self, pool: &Pool, mut piece: Buffer) -> Result<(), Exhausted> {
        self.length = self.length.saturating_add(piece.len());
        if piece.len() >= COPY_BELOW {
            self.close();
            self.whole.push(piece);
            return Ok(());
        }
        while !piece.is_empty() {
            let mut block = match self.open.take() {
                Some(block) => block,
                None => pool.take()?,
            };
            // What is copied may be what was marked.
            block.mark_sensitive();
            let taken = block.append(&piece);
            drop(piece.split_to(taken));
            self.open = Some(block);
            if taken == 0 {
                self.close();
            }
        }
        Ok(())
    }

    /// Takes all of it.
    pub(crate) fn take(&mut self) -> Vec<Buffer> {
        self.close();
        self.length = 0;
        std::mem::take(&mut self.whole)
    }

    fn close(&mut self) {
        if let Some(block) = self.open.take() {
            self.whole.push(block.freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crumbs_hold_hardly_more_than_their_length() {
        let pool = Pool::new(64 * BLOCK_BYTES);
        let mut pieces = Pieces::default();
        for crumb in 0..3 * BLOCK_BYTES {
            let byte = [u8::try_from(crumb % 251).unwrap()];
            pieces.add(&pool, pool.copy(&byte).unwrap()).unwrap();
        }
        assert_eq!(pieces.len(), 3 * BLOCK_BYTES);
        assert!(pool.bytes_in_use() <= 4 * BLOCK_BYTES, "{}", pool.bytes_in_use());
        let bytes: Vec<u8> = pieces.take().iter().flat_map(|piece| piece.to_vec()).collect();
        assert!(bytes.iter().enumerate().all(|(index, byte)| usize::from(*byte) == index % 251));
    }

    #[test]
    fn order_holds_between_crumbs_and_whole_blocks() {
        let pool = Pool::new(64 * BLOCK_BYTES);
        let mut pieces = Pieces::default();
        let large = vec![b'x'; COPY_BELOW];
        for piece in [&b"a"[..], &large, b"b", b"c"] {
            pieces.add(&pool, pool.copy(piece).unwrap()).unwrap();
        }
        let bytes: Vec<u8> = pieces.take().iter().flat_map(|piece| piece.to_vec()).collect();
        assert_eq!(bytes, [b"a", large.as_slice(), b"bc"].concat());
    }
}
