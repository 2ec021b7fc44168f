//! The one place where ciphertext is kept: a record that did not come in one piece, and what the
//! library still needs of records before it (a handshake message that spans several). It exists
//! only while there is such a thing, is counted in the core's budget, and zeroised: parts of it are
//! decrypted in place.

use penstock_reactor::buffer::{Buffer, Exhausted, Pool, Reservation};
use zeroize::Zeroizing;

use crate::framing::{HEADER_BYTES, Measured, measure};

/// Ciphertext that waits for more.
pub(crate) struct Gathered {
    bytes: Zeroizing<Vec<u8>>,
    /// Bytes in front that were handed to the library, which still needs them.
    retained: usize,
    reservation: Reservation,
}

impl Gathered {
    /// With room for so many bytes.
    pub(crate) fn new(pool: &Pool, capacity: usize) -> Result<Self, Exhausted> {
        let reservation = pool.reserve(capacity)?;
        let bytes = Zeroizing::new(Vec::with_capacity(capacity));
        Ok(Self { bytes, retained: 0, reservation })
    }

    /// What the library did not let go of.
    pub(crate) fn of_retained(pool: &Pool, retained: &[u8]) -> Result<Self, Exhausted> {
        let mut gathered = Self::new(pool, retained.len())?;
        gathered.bytes.extend_from_slice(retained);
        gathered.retained = retained.len();
        Ok(gathered)
    }

    /// How the part that the library has not seen divides; at most one record and its rest.
    pub(crate) fn measured(&self) -> Measured {
        measure(self.bytes.get(self.retained..).unwrap_or_default())
    }

    /// Takes from `received` what the record lacks, or all there is. On an error nothing was taken.
    pub(crate) fn take(&mut self, received: &mut Buffer, pool: &Pool) -> Result<(), Exhausted> {
        // Twice: a header says how long its record is.
        for _ in 0..2 {
            let measured = self.measured();
            if measured.whole > 0 || measured.broken {
                return Ok(());
            }
            // Nothing of a record yet: its header first.
            let begun = self.bytes.len() > self.retained;
            let missing = if begun { measured.missing } else { HEADER_BYTES };
            self.make_room(missing, pool)?;
            let part = received.split_to(missing);
            self.bytes.extend_from_slice(&part);
        }
        Ok(())
    }

    fn make_room(&mut self, count: usize, pool: &Pool) -> Result<(), Exhausted> {
        let capacity = self.bytes.len().saturating_add(count);
        if capacity <= self.reservation.bytes() {
            return Ok(());
        }
        // Of a message in many records, not every one moves what is there.
        let capacity = capacity.saturating_add(self.retained);
        let reservation = pool.reserve(capacity)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        bytes.extend_from_slice(&self.bytes);
        self.bytes = bytes;
        self.reservation = reservation;
        Ok(())
    }

    /// What the library has seen and still needs.
    pub(crate) fn retained_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.retained).unwrap_or_default()
    }

    /// All of it, for the library.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Bytes that are held.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Drops what the library is done with; the rest it still needs. Whether anything is left.
    pub(crate) fn consume(&mut self, count: usize) -> bool {
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        self.retained = self.bytes.len();
        !self.bytes.is_empty()
    }
}
