//! Memory for credentials: it is never swapped, never part of a core dump, never inherited, and is
//! zeroised when what stands in it is dropped. Where the kernel can, it hides the pages even from
//! itself and from root (`memfd_secret(2)`); else they are locked (`mlock(2)`).
//!
//! One arena of pages is carved into runs of [`GRANULE_BYTES`]. Its size never changes: when it is
//! full that is an answer. Carving takes a lock, so a reactor only reads; see [`Locked`].

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize;

use crate::machine;

/// What a run's length is a multiple of, in bytes.
pub const GRANULE_BYTES: usize = 64;

/// Smallest arena that is worth having, in bytes.
pub const ARENA_BYTES_MIN: usize = 64 * 1024;

/// How the pages of an arena are kept from others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `memfd_secret`: root, a debugger and the kernel's own direct map have no way to them.
    Hidden,
    /// `mlock`, and left out of core dumps. Root can read them while they are in use.
    Locked,
}

/// No arena: the machine does not allow it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ArenaError {
    /// The limit of locked memory is too low.
    #[error(
        "no memory can be locked for credentials: {needed_bytes} bytes are needed, the limit is \
         {limit_bytes}; raise it (ulimit -l, LimitMEMLOCK=)"
    )]
    Limit {
        /// What is needed at least.
        needed_bytes: usize,
        /// What the process may lock, bytes.
        limit_bytes: u64,
    },
    /// The system refuses for another reason.
    #[error("no memory can be locked for credentials: system error {0}")]
    System(i32),
}

/// There is no run of that length left.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the locked memory for credentials is full")]
pub struct ArenaFull;

/// Pages to carve runs from. Clones share them; they are given back with the last run.
#[derive(Clone)]
pub struct Arena(Arc<Pages>);

/// Bytes in an arena, of which this value is the only owner. They are written once, when the value
/// is made, and zeroised when it is dropped, which takes a lock for a moment: a reactor that shares
/// a value lets another thread have the last share of it.
pub struct Locked {
    pages: Arc<Pages>,
    start: usize,
    length: usize,
}

struct Pages {
    mapping: Mapping,
    kind: Kind,
    /// Runs that are free: where each begins, and its length, in bytes. No two of them touch.
    free: Mutex<BTreeMap<usize, usize>>,
}

impl Arena {
    /// An arena of `bytes_max` bytes, or of as much as the machine allows: halved until it fits,
    /// not below [`ARENA_BYTES_MIN`]. The soft limit of locked memory is raised if that helps. A
    /// machine does not hibernate while there are hidden pages.
    ///
    /// # Errors
    /// Not even the smallest one fits.
    pub fn new(bytes_max: usize) -> Result<Self, ArenaError> {
        let mut bytes = bytes_max.max(ARENA_BYTES_MIN);
        loop {
            machine::allow_locked_bytes(bytes);
            match Self::of(Kind::Hidden, bytes).or_else(|_| Self::of(Kind::Locked, bytes)) {
                Ok(arena) => return Ok(arena),
                Err(_) if bytes > ARENA_BYTES_MIN => bytes = (bytes / 2).max(ARENA_BYTES_MIN),
                Err(error) => return Err(arena_error(&error)),
            }
        }
    }

    /// An arena of that kind and size, rounded up to whole pages.
    ///
    /// # Errors
    /// The system refuses.
    pub fn of(kind: Kind, bytes: usize) -> io::Result<Self> {
        let bytes = bytes.max(1).next_multiple_of(machine::page_bytes());
        let mapping = match kind {
            Kind::Hidden => Mapping::hidden(bytes)?,
            Kind::Locked => Mapping::locked(bytes)?,
        };
        let free = Mutex::new(BTreeMap::from([(0, bytes)]));
        Ok(Self(Arc::new(Pages { mapping, kind, free })))
    }

    /// How its pages are kept.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.0.mapping.bytes
    }

    /// Bytes that are free, not necessarily in one run.
    pub fn bytes_free(&self) -> usize {
        self.0.free().values().sum()
    }

    /// A value of that length in bytes, which `write` fills; it finds zeros.
    ///
    /// # Errors
    /// There is no such run left.
    pub fn fill(&self, length: usize, write: impl FnOnce(&mut [u8])) -> Result<Locked, ArenaFull> {
        let reserved = reserved(length).ok_or(ArenaFull)?;
        let start = self.0.take(reserved).ok_or(ArenaFull)?;
        let mut locked = Locked { pages: Arc::clone(&self.0), start, length };
        write(locked.bytes_mut(length));
        Ok(locked)
    }

    /// A copy of these bytes.
    ///
    /// # Errors
    /// There is no such run left.
    pub fn copy(&self, bytes: &[u8]) -> Result<Locked, ArenaFull> {
        self.fill(bytes.len(), |room| room.copy_from_slice(bytes))
    }
}

/// What a value of a length takes up.
fn reserved(length: usize) -> Option<usize> {
    length.max(1).checked_next_multiple_of(GRANULE_BYTES)
}

fn arena_error(error: &io::Error) -> ArenaError {
    match error.raw_os_error() {
        Some(libc::ENOMEM | libc::EAGAIN | libc::EPERM) => {
            let limit_bytes = machine::locked_memory_limits().map_or(0, |limits| limits.rlim_cur);
            ArenaError::Limit { needed_bytes: ARENA_BYTES_MIN, limit_bytes }
        }
        number => ArenaError::System(number.unwrap_or(libc::EIO)),
    }
}

impl Pages {
    fn free(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        // The table is whole between two statements that could panic: there are none.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first run that is long enough.
    fn take(&self, bytes: usize) -> Option<usize> {
        let mut free = self.free();
        let (start, length) =
            free.iter().find(|(_, length)| **length >= bytes).map(|(at, length)| (*at, *length))?;
        free.remove(&start);
        if length > bytes {
            free.insert(start + bytes, length - bytes);
        }
        Some(start)
    }

    /// Joined with the runs beside it.
    fn give_back(&self, start: usize, bytes: usize) {
        let mut free = self.free();
        let (mut start, mut bytes) = (start, bytes);
        if let Some(behind) = free.remove(&(start + bytes)) {
            bytes += behind;
        }
        let before = free.range(..start).next_back().map(|(at, length)| (*at, *length));
        if let Some((at, length)) = before
            && at + length == start
        {
            start = at;
            bytes += length;
        }
        free.insert(start, bytes);
    }
}

impl Locked {
    /// All of its run, or the first bytes of it.
    fn bytes_mut(&mut self, length: usize) -> &mut [u8] {
        // A run lies within the mapping, and `length` within the run.
        debug_assert!(self.start + length <= self.pages.mapping.bytes);
        #[expect(unsafe_code, reason = "the pages come from the kernel")]
        // SAFETY: the run lies within the mapping, which lives as long as `pages`; `take` gave it
        // to this value alone, and `self` is borrowed for as long as the slice.
        unsafe {
            std::slice::from_raw_parts_mut(self.pages.mapping.at(self.start), length)
        }
    }
}

impl Deref for Locked {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        #[expect(unsafe_code, reason = "the pages come from the kernel")]
        // SAFETY: as in `bytes_mut`; nobody writes while `self` is borrowed.
        unsafe {
            std::slice::from_raw_parts(self.pages.mapping.at(self.start), self.length)
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let reserved = reserved(self.length).unwrap_or(self.length);
        // Before it is anybody else's.
        self.bytes_mut(reserved).zeroize();
        self.pages.give_back(self.start, reserved);
    }
}

/// A mapping of zeros that this value owns.
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

#[expect(unsafe_code, reason = "a pointer is neither by itself")]
// SAFETY: the pages belong to the process, not to a thread; who writes to which part of them is
// settled by `Pages::free` and by the borrows of `Locked`.
unsafe impl Send for Mapping {}

#[expect(unsafe_code, reason = "a pointer is neither by itself")]
// SAFETY: as for `Send`.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn hidden(bytes: usize) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "the standard library has no memfd_secret")]
        // SAFETY: the call takes one number and makes a descriptor.
        let result = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        let Ok(descriptor @ 0..) = i32::try_from(result) else {
            return Err(io::Error::last_os_error());
        };
        #[expect(unsafe_code, reason = "the descriptor comes from a raw system call")]
        // SAFETY: the system call just made this descriptor, and nobody else knows it.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        file.set_len(u64::try_from(bytes).map_err(io::Error::other)?)?;
        // The kernel locks these pages itself, and counts them.
        let mut mapping = Self::new(bytes, libc::MAP_SHARED, file.as_raw_fd())?;
        mapping.advise(libc::MADV_DONTFORK)?;
        mapping.touch();
        Ok(mapping)
    }

    fn locked(bytes: usize) -> io::Result<Self> {
        let mapping = Self::new(bytes, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
        mapping.advise(libc::MADV_DONTDUMP)?;
        mapping.advise(libc::MADV_DONTFORK)?;
        #[expect(unsafe_code, reason = "the standard library locks no memory")]
        // SAFETY: the range is that of the mapping.
        check(unsafe { libc::mlock(mapping.start.as_ptr().cast(), mapping.bytes) })?;
        Ok(mapping)
    }

    fn new(bytes: usize, flags: libc::c_int, descriptor: libc::c_int) -> io::Result<Self> {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        #[expect(unsafe_code, reason = "the standard library maps no memory")]
        // SAFETY: the kernel chooses the place, so nothing that is mapped is replaced.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, rights, flags, descriptor, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, bytes })
    }

    fn advise(&self, advice: libc::c_int) -> io::Result<()> {
        #[expect(unsafe_code, reason = "the standard library gives no advice on memory")]
        // SAFETY: the range is that of the mapping; what is advised changes none of its bytes.
        check(unsafe { libc::madvise(self.start.as_ptr().cast(), self.bytes, advice) })
    }

    /// Has every page now rather than when a credential comes.
    fn touch(&mut self) {
        self.all_mut().zeroize();
    }

    fn all_mut(&mut self) -> &mut [u8] {
        #[expect(unsafe_code, reason = "the pages come from the kernel")]
        // SAFETY: the range is that of the mapping, which nobody else has while `self` is borrowed
        // alone.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes)
        }
    }

    /// The place `offset` bytes behind its begin; at most its end.
    fn at(&self, offset: usize) -> *mut u8 {
        self.start.as_ptr().wrapping_add(offset.min(self.bytes))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.all_mut().zeroize();
        #[expect(unsafe_code, reason = "the standard library maps no memory")]
        // SAFETY: the range is that of the mapping, and whoever had a part of it is gone.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.bytes);
        }
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arena({} of {} bytes free)", self.bytes_free(), self.bytes())
    }
}

impl fmt::Debug for Locked {
    /// What stands in it is a secret: its length alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locked({} bytes)", self.length)
    }
}

#[cfg(test)]
mod tests;
