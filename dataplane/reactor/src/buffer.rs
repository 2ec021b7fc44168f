//! Owned, pooled buffers. A [`Block`] is unique and being filled; freezing it yields a [`Buffer`],
//! a cheap slice that can be split and passed on without a copy. A block returns to its core's pool
//! exactly once, when its last slice is dropped, and is zeroised first if any slice was marked
//! sensitive (it carried a token or a credential).
//!
//! A block lives in an `Rc` for its whole life, also while it waits in the pool: so taking and
//! returning one allocates nothing, and "the last slice" is "the count is one", without unsafe
//! code.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::{Deref, Range};
use std::rc::Rc;

use zeroize::{Zeroize, Zeroizing};

/// Bytes in a block.
pub const BLOCK_BYTES: usize = 16 * 1024;

/// Blocks that a pool keeps for the next taker (8 MiB); more go back to the allocator, so that a
/// burst does not hold its memory for ever.
const FREE_BLOCKS_MAX: usize = 512;

/// The pool of one core. Clones share it.
#[derive(Clone)]
pub struct Pool {
    shared: Rc<Shared>,
}

struct Shared {
    free: RefCell<Vec<Rc<Storage>>>,
    bytes_in_use: Cell<usize>,
    bytes_max: usize,
}

/// The memory of a block, in or out of the pool.
struct Storage {
    bytes: Box<[u8]>,
    /// Bytes that this use has filled: what there is to zeroise.
    filled: Cell<usize>,
    sensitive: Cell<bool>,
    /// Where it returns to; none while it waits there, so that pool and block never hold each
    /// other.
    pool: Option<Rc<Shared>>,
}

/// Shared ownership of a storage. The last owner to go gives it back.
#[derive(Clone)]
struct Owner {
    /// None only while it is dropped.
    storage: Option<Rc<Storage>>,
}

/// The core's budget is used up: an answer to overload, never a panic.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the buffers of this core are used up")]
pub struct Exhausted;

/// A unique block that is being filled.
pub struct Block {
    owner: Owner,
    filled: usize,
}

/// An immutable slice of a pooled block, of a static text, or of kept bytes.
#[derive(Clone)]
pub struct Buffer {
    origin: Origin,
    start: usize,
    end: usize,
}

#[derive(Clone)]
enum Origin {
    Static(&'static [u8]),
    Pooled(Owner),
    Kept(Rc<Kept>),
}

/// Bytes that wait for long, in memory of exactly their size.
struct Kept {
    bytes: Zeroizing<Vec<u8>>,
    _counted: Reservation,
}

/// Bytes of the budget that are held outside pooled blocks (a collected body's scratch copy); given
/// back on drop.
pub struct Reservation {
    pool: Rc<Shared>,
    bytes: usize,
}

impl Pool {
    /// A pool that holds at most `bytes_max` bytes in blocks and reservations together.
    pub fn new(bytes_max: usize) -> Self {
        let free = RefCell::new(Vec::new());
        let bytes_in_use = Cell::new(0);
        Self { shared: Rc::new(Shared { free, bytes_in_use, bytes_max }) }
    }

    /// An empty block. Its bytes are zero or what an earlier, not sensitive, use left in them.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn take(&self) -> Result<Block, Exhausted> {
        self.shared.count(BLOCK_BYTES)?;
        let waiting = self.shared.free.borrow_mut().pop();
        let mut storage = waiting.unwrap_or_else(|| Rc::new(Storage::new()));
        if let Some(unique) = Rc::get_mut(&mut storage) {
            unique.pool = Some(Rc::clone(&self.shared));
        }
        Ok(Block { owner: Owner { storage: Some(storage) }, filled: 0 })
    }

    /// Counts bytes held elsewhere.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, Exhausted> {
        self.shared.count(bytes)?;
        Ok(Reservation { pool: Rc::clone(&self.shared), bytes })
    }

    /// Copies bytes (at most [`BLOCK_BYTES`]) into a block of their own.
    ///
    /// # Errors
    /// The budget is used up, or there are more bytes than a block holds.
    pub fn copy(&self, bytes: &[u8]) -> Result<Buffer, Exhausted> {
        if bytes.len() > BLOCK_BYTES {
            return Err(Exhausted);
        }
        let mut block = self.take()?;
        block.append(bytes);
        Ok(block.freeze())
    }

    /// Copies bytes, of any number, into memory of exactly their size, so that what waits for long
    /// holds no block. They are zeroised at their end.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn keep(&self, bytes: &[u8]) -> Result<Buffer, Exhausted> {
        if bytes.is_empty() {
            return Ok(Buffer::default());
        }
        let counted = self.reserve(bytes.len())?;
        Ok(counted.into_buffer(bytes.to_vec()))
    }

    /// Bytes in blocks and reservations that are out now.
    pub fn bytes_in_use(&self) -> usize {
        self.shared.bytes_in_use.get()
    }

    /// The budget.
    pub fn bytes_max(&self) -> usize {
        self.shared.bytes_max
    }
}

impl Shared {
    fn count(&self, bytes: usize) -> Result<(), Exhausted> {
        let sum = self.bytes_in_use.get().checked_add(bytes).ok_or(Exhausted)?;
        if sum > self.bytes_max {
            return Err(Exhausted);
        }
        self.bytes_in_use.set(sum);
        Ok(())
    }

    fn uncount(&self, bytes: usize) {
        self.bytes_in_use.set(self.bytes_in_use.get().saturating_sub(bytes));
    }
}

impl Storage {
    fn new() -> Self {
        let bytes = vec![0; BLOCK_BYTES].into_boxed_slice();
        Self { bytes, filled: Cell::new(0), sensitive: Cell::new(false), pool: None }
    }
}

impl Owner {
    fn storage(&self) -> Option<&Storage> {
        self.storage.as_deref()
    }

    /// The bytes, if nobody else owns them.
    fn bytes_mut(&mut self) -> &mut [u8] {
        match self.storage.as_mut().and_then(Rc::get_mut) {
            Some(storage) => &mut storage.bytes,
            None => &mut [],
        }
    }

    fn mark_sensitive(&self) {
        if let Some(storage) = self.storage() {
            storage.sensitive.set(true);
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let Some(mut storage) = self.storage.take() else { return };
        let Some(last) = Rc::get_mut(&mut storage) else { return };
        let Some(pool) = last.pool.take() else { return };
        let filled = last.filled.replace(0);
        if last.sensitive.replace(false)
            && let Some(used) = last.bytes.get_mut(..filled)
        {
            used.zeroize();
        }
        pool.uncount(BLOCK_BYTES);
        let mut free = pool.free.borrow_mut();
        if free.len() < FREE_BLOCKS_MAX {
            free.push(storage);
        }
    }
}

impl Block {
    /// The part that is not filled yet.
    pub fn unfilled(&mut self) -> &mut [u8] {
        self.owner.bytes_mut().get_mut(self.filled..).unwrap_or_default()
    }

    /// Says that the next `count` bytes were filled; more than fits is cut to what fits.
    pub fn advance(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(BLOCK_BYTES);
        if let Some(storage) = self.owner.storage() {
            storage.filled.set(self.filled);
        }
    }

    /// Appends as many of `bytes` as fit; returns how many.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let room = self.unfilled();
        let count = room.len().min(bytes.len());
        if let (Some(room), Some(bytes)) = (room.get_mut(..count), bytes.get(..count)) {
            room.copy_from_slice(bytes);
        }
        self.advance(count);
        count
    }

    /// The filled part.
    pub fn filled(&self) -> &[u8] {
        self.owner
            .storage()
            .and_then(|storage| storage.bytes.get(..self.filled))
            .unwrap_or_default()
    }

    /// Ends filling.
    pub fn freeze(self) -> Buffer {
        Buffer { origin: Origin::Pooled(self.owner), start: 0, end: self.filled }
    }

    /// Zeroise all that was filled before the block returns to the pool.
    pub fn mark_sensitive(&mut self) {
        self.owner.mark_sensitive();
    }
}

impl Buffer {
    /// A static text, without a block.
    pub fn from_static(bytes: &'static [u8]) -> Self {
        Self { origin: Origin::Static(bytes), start: 0, end: bytes.len() }
    }

    /// Splits off the first `count` bytes (at most all of them) and returns them. A part that
    /// becomes empty lets go of the block.
    #[must_use]
    pub fn split_to(&mut self, count: usize) -> Self {
        let count = count.min(self.len());
        if count == self.len() {
            return std::mem::take(self);
        }
        let first = self.slice(0..count);
        self.start += count;
        first
    }

    /// A part of it; out of range is cut to what there is. An empty part holds no block.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.len());
        if range.start >= end {
            return Self::default();
        }
        let (start, end) = (self.start + range.start, self.start + end);
        Self { origin: self.origin.clone(), start, end }
    }

    /// Grows by a slice that lies directly behind it in the same block; `false` where it does not.
    pub fn join(&mut self, next: &Self) -> bool {
        let is_next = match (&self.origin, &next.origin) {
            (Origin::Pooled(block), Origin::Pooled(other)) => {
                match (block.storage(), other.storage()) {
                    (Some(block), Some(other)) => std::ptr::eq(block, other),
                    (_, _) => false,
                }
            }
            (Origin::Static(_) | Origin::Pooled(_) | Origin::Kept(_), _) => false,
        };
        let joins = is_next && self.end == next.start;
        if joins {
            self.end = next.end;
        }
        joins
    }

    /// Its bytes, to be changed in place (decrypted); `None` while another slice of the block
    /// lives, and for a static text or kept bytes.
    pub fn unique_mut(&mut self) -> Option<&mut [u8]> {
        let Origin::Pooled(owner) = &mut self.origin else { return None };
        owner.bytes_mut().get_mut(self.start..self.end).filter(|bytes| !bytes.is_empty())
    }

    /// Zeroise all that was filled before the block returns to the pool.
    pub fn mark_sensitive(&self) {
        match &self.origin {
            // What is kept is zeroised in any case.
            Origin::Static(_) | Origin::Kept(_) => {}
            Origin::Pooled(owner) => owner.mark_sensitive(),
        }
    }
}

impl Default for Buffer {
    /// No bytes, no block.
    fn default() -> Self {
        Self::from_static(&[])
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let bytes = match &self.origin {
            Origin::Static(bytes) => bytes,
            Origin::Pooled(owner) => {
                owner.storage().map(|storage| &*storage.bytes).unwrap_or_default()
            }
            Origin::Kept(kept) => &kept.bytes,
        };
        bytes.get(self.start..self.end).unwrap_or_default()
    }
}

impl Reservation {
    /// How many bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts another number of bytes from now on.
    ///
    /// # Errors
    /// The budget is used up; the number stays.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Exhausted> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.pool.count(more)?,
            None => self.pool.uncount(self.bytes.saturating_sub(bytes)),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// The bytes that it was made for, of any number, without a copy. They are zeroised at their
    /// end.
    pub fn into_buffer(self, bytes: Vec<u8>) -> Buffer {
        let end = bytes.len();
        let kept = Kept { bytes: Zeroizing::new(bytes), _counted: self };
        Buffer { origin: Origin::Kept(Rc::new(kept)), start: 0, end }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.pool.uncount(self.bytes);
    }
}

// What a buffer holds may be a secret: only sizes are ever printed.

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} of {} bytes in use)", self.bytes_in_use(), self.bytes_max())
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} of {BLOCK_BYTES} bytes filled)", self.filled)
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len())
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({} bytes)", self.bytes)
    }
}

#[cfg(test)]
mod tests;
