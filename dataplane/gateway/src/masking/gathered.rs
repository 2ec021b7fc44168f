//! Bytes in one piece, whose memory counts as buffers of the core do.

use penstock_reactor::buffer::{BLOCK_BYTES, Buffer, Exhausted, Pool, Reservation};

/// Memory that is kept for the next bytes.
const KEPT_BYTES: usize = BLOCK_BYTES;

/// Gathered bytes. Their memory is zeroised when it is freed, as all of the process's is.
#[derive(Default)]
pub(crate) struct Gathered {
    bytes: Vec<u8>,
    counted: Option<Reservation>,
}

impl Gathered {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The core's buffers are used up.
    pub(crate) fn push(&mut self, pool: &Pool, bytes: &[u8]) -> Result<(), Exhausted> {
        let needed = self.bytes.len().saturating_add(bytes.len());
        if needed > self.bytes.capacity() {
            let capacity = needed.max(self.bytes.capacity().saturating_mul(2));
            // Counted before it is there, and while it is copied both are.
            self.count(pool, capacity.saturating_add(self.bytes.len()))?;
            self.bytes.reserve_exact(capacity.saturating_sub(self.bytes.len()));
            self.count(pool, self.bytes.capacity())?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Lets somebody append, and counts what that took.
    ///
    /// # Errors
    /// The core's buffers are used up.
    pub(crate) fn write<T>(
        &mut self,
        pool: &Pool,
        write: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> Result<T, Exhausted> {
        let before = self.bytes.capacity();
        let written = write(&mut self.bytes);
        if self.bytes.capacity() != before || self.counted.is_none() {
            self.count(pool, self.bytes.capacity())?;
        }
        Ok(written)
    }

    /// Forgets the bytes and keeps memory for a few others.
    pub(crate) fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES {
            *self = Self::default();
        } else {
            self.bytes.clear();
        }
    }

    /// The bytes as a buffer, without a copy.
    ///
    /// # Errors
    /// The core's buffers are used up.
    pub(crate) fn into_buffer(mut self, pool: &Pool) -> Result<Buffer, Exhausted> {
        self.count(pool, self.bytes.capacity())?;
        Ok(self.counted.map_or_else(Buffer::default, |counted| counted.into_buffer(self.bytes)))
    }

    fn count(&mut self, pool: &Pool, bytes: usize) -> Result<(), Exhausted> {
        match &mut self.counted {
            Some(counted) => counted.resize(bytes),
            None => {
                self.counted = Some(pool.reserve(bytes)?);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_counts_until_its_last_byte_is_gone() {
        let pool = Pool::new(1 << 20);
        let mut gathered = Gathered::default();
        for piece in 0..100_u8 {
            gathered.push(&pool, &[piece; 1_000]).unwrap();
        }
        assert!(pool.bytes_in_use() >= 100_000 && pool.bytes_in_use() <= 200_000);
        gathered.write(&pool, |out| out.extend_from_slice(&[1; 300_000])).unwrap();
        assert!(pool.bytes_in_use() >= 400_000);
        let buffer = gathered.into_buffer(&pool).unwrap();
        assert_eq!((buffer.len(), buffer[1_000]), (400_000, 1));
        drop(buffer);
        assert_eq!(pool.bytes_in_use(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let pool = Pool::new(10_000);
        let mut gathered = Gathered::default();
        assert!(gathered.push(&pool, &[0; 10_001]).is_err());
        gathered.push(&pool, &[0; 4_000]).unwrap();
        assert!(gathered.push(&pool, &[0; 4_000]).is_err(), "both copies count");
        drop(gathered);
        assert_eq!(pool.bytes_in_use(), 0);
    }

    #[test]
    fn memory_for_a_few_bytes_is_kept_and_more_is_not() {
        let pool = Pool::new(1 << 20);
        let mut gathered = Gathered::default();
        gathered.push(&pool, &[0; 100]).unwrap();
        gathered.clear();
        assert!(gathered.is_empty() && pool.bytes_in_use() >= 100);
        gathered.push(&pool, &[0; 100_000]).unwrap();
        gathered.clear();
        assert_eq!((gathered.len(), pool.bytes_in_use()), (0, 0));
    }
}
