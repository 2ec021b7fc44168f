//! The few calls of Vectorscan that finding literals takes, made safe.
//!
//! In: literals, texts. Out: where literals end. Never: patterns with classes, streaming mode (this
//! release gives wrong answers there), a panic inside a callback from C.
#![expect(unsafe_code, reason = "calls a library written in C++; each call says why it is sound")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use vectorscan_rs_sys as sys;

use crate::literals::{LITERAL_BYTES_MAX, Literal, LiteralsError};

/// Longest text of one scan; the library counts in 32 bits.
const TEXT_BYTES_MAX: usize = 1 << 30;

/// Texts up to this length are copied for the byte behind them.
const COPIED_BYTES_MAX: usize = 1 << 10;

/// What is scanned again at the end of a longer text, beside the length of a literal.
const TAIL_BYTES: usize = 64;

const SUCCESS: c_int = sys::HS_SUCCESS as c_int;

/// A compiled set of literals, in block mode.
#[derive(Debug)]
pub(crate) struct Database {
    handle: NonNull<sys::hs_database_t>,
    longest: usize,
}

// SAFETY: a database is plain memory of its own, which belongs to no thread.
unsafe impl Send for Database {}
// SAFETY: a compiled database is never written; the library lets any number of threads scan with
// it, each with a scratch of its own.
unsafe impl Sync for Database {}

/// A database and the memory of one scan at a time.
#[derive(Debug)]
pub(crate) struct Scanner {
    database: Arc<Database>,
    scratch: NonNull<sys::hs_scratch_t>,
    padded: Vec<u8>,
    found: Found,
}

// SAFETY: a scratch belongs to no thread; `scan` takes the scanner exclusively, so that it never
// serves two scans at once.
unsafe impl Send for Scanner {}

/// The end of a literal.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct End {
    /// Of the literal in its list.
    pub(crate) index: u32,
    /// In the text.
    pub(crate) end: u32,
}

/// What a scan has found.
#[derive(Debug, Default)]
struct Found {
    ends: Vec<End>,
    /// Where the scanned part begins in the text.
    base: u32,
    /// Length of the scanned part without the byte behind it.
    length: u32,
    /// There was no memory for more.
    is_full: bool,
}

/// The scan came to no end: what it found may not be all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Incomplete;

impl Database {
    /// Compiles literals, each of 1 to [`LITERAL_BYTES_MAX`] bytes; at least one.
    pub(crate) fn new(list: &[Literal]) -> Result<Self, LiteralsError> {
        // SAFETY: takes nothing and asks the processor only.
        if unsafe { sys::hs_valid_platform() } != SUCCESS {
            return Err(LiteralsError::Unavailable);
        }
        let count = c_uint::try_from(list.len())
            .map_err(|_| LiteralsError::Compile("too many literals".to_owned()))?;
        let texts: Vec<*const c_char> = list.iter().map(|one| one.bytes.as_ptr().cast()).collect();
        let lengths: Vec<usize> = list.iter().map(|one| one.bytes.len()).collect();
        let ids: Vec<c_uint> = (0..count).collect();
        let flags: Vec<c_uint> = list
            .iter()
            .map(|one| if one.ignore_case { sys::HS_FLAG_CASELESS } else { 0 })
            .collect();
        let mut handle = ptr::null_mut();
        let mut error = ptr::null_mut();
        // SAFETY: the four arrays have `count` elements and live until the call returns; each text
        // is as long as its length says; no platform means this one; both results are places of
        // our own. The library keeps none of the pointers.
        let status = unsafe {
            sys::hs_compile_lit_multi(
                texts.as_ptr(),
                flags.as_ptr(),
                ids.as_ptr(),
                lengths.as_ptr(),
                count,
                sys::HS_MODE_BLOCK,
                ptr::null(),
                &raw mut handle,
                &raw mut error,
            )
        };
        match NonNull::new(handle) {
            Some(handle) if status == SUCCESS => {
                let longest = lengths.iter().copied().max().unwrap_or(0).min(LITERAL_BYTES_MAX);
                Ok(Self { handle, longest })
            }
            Some(_) | None => Err(LiteralsError::Compile(message(error))),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: the handle came from a successful compilation and is freed once, here; scanners
        // hold the database by `Arc`, so none is left.
        let _status = unsafe { sys::hs_free_database(self.handle.as_ptr()) };
    }
}

/// What a compilation says went wrong; frees it.
fn message(error: *mut sys::hs_compile_error_t) -> String {
    // SAFETY: the library sets null or an error that is valid until it is freed below.
    let Some(found) = (unsafe { error.as_ref() }) else { return "unknown".to_owned() };
    let text = if found.message.is_null() {
        "unknown".to_owned()
    } else {
        // SAFETY: the message is a text that ends with a NUL, valid as long as its error.
        unsafe { CStr::from_ptr(found.message) }.to_string_lossy().into_owned()
    };
    // SAFETY: the error came from the library, is freed once, and nothing borrows from it any more.
    let _status = unsafe { sys::hs_free_compile_error(error) };
    text
}

impl Scanner {
    /// The memory for scans with a database; `None`: there is too little.
    pub(crate) fn new(database: &Arc<Database>) -> Option<Self> {
        let mut scratch = ptr::null_mut();
        // SAFETY: the database is alive; a scratch of null asks for a new one, at a place of our
        // own.
        let status = unsafe { sys::hs_alloc_scratch(database.handle.as_ptr(), &raw mut scratch) };
        let scratch = NonNull::new(scratch).filter(|_| status == SUCCESS)?;
        Some(Self {
            database: Arc::clone(database),
            scratch,
            padded: Vec::with_capacity(COPIED_BYTES_MAX.saturating_add(1)),
            found: Found::default(),
        })
    }

    /// Whether it scans with this database.
    pub(crate) fn is_of(&self, database: &Arc<Database>) -> bool {
        Arc::ptr_eq(&self.database, database)
    }

    /// Where literals end in a text, some perhaps twice, in any order.
    ///
    /// A byte always stands behind the last one that counts: without it this release may miss what
    /// ends there.
    pub(crate) fn scan(&mut self, text: &[u8]) -> Result<&[End], Incomplete> {
        self.found.ends.clear();
        if text.len() <= COPIED_BYTES_MAX {
            self.scan_padded(text, 0)?;
        } else {
            self.scan_part(text, text.len(), 0)?;
            let tail = self.database.longest.saturating_add(TAIL_BYTES);
            let start = text.len().saturating_sub(tail);
            self.scan_padded(text.get(start..).unwrap_or_default(), start)?;
        }
        Ok(&self.found.ends)
    }

    fn scan_padded(&mut self, text: &[u8], base: usize) -> Result<(), Incomplete> {
        let mut padded = std::mem::take(&mut self.padded);
        padded.clear();
        padded.extend_from_slice(text);
        padded.push(0);
        let done = self.scan_part(&padded, text.len(), base);
        self.padded = padded;
        done
    }

    /// Scans a part of a text that begins at `base`; ends behind its first `length` bytes don't
    /// count.
    fn scan_part(&mut self, part: &[u8], length: usize, base: usize) -> Result<(), Incomplete> {
        if part.len() > TEXT_BYTES_MAX || base > TEXT_BYTES_MAX {
            return Err(Incomplete);
        }
        let bytes = c_uint::try_from(part.len()).map_err(|_| Incomplete)?;
        self.found.length = u32::try_from(length).map_err(|_| Incomplete)?;
        self.found.base = u32::try_from(base).map_err(|_| Incomplete)?;
        self.found.is_full = false;
        let context: *mut Found = &raw mut self.found;
        // SAFETY: the database is alive, held by `self`; the scratch was made for it and serves no
        // other scan, as `self` is borrowed exclusively; `part` is `bytes` long and isn't kept;
        // the context is what `on_end` takes it for, and nothing else touches it meanwhile.
        let status = unsafe {
            sys::hs_scan(
                self.database.handle.as_ptr(),
                part.as_ptr().cast(),
                bytes,
                0,
                self.scratch.as_ptr(),
                Some(on_end),
                context.cast(),
            )
        };
        if status == SUCCESS && !self.found.is_full { Ok(()) } else { Err(Incomplete) }
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        // SAFETY: the scratch came from a successful allocation, no scan is under way, and it is
        // freed once, here.
        let _status = unsafe { sys::hs_free_scratch(self.scratch.as_ptr()) };
    }
}

/// Called for each end of a literal. Nothing in it panics: memory is asked for, not assumed.
///
/// # Safety
/// `context` is a valid [`Found`] that nothing else uses during the call.
unsafe extern "C" fn on_end(
    id: c_uint,
    _from: c_ulonglong,
    to: c_ulonglong,
    _flags: c_uint,
    context: *mut c_void,
) -> c_int {
    const GO_ON: c_int = 0;
    const STOP: c_int = 1;
    // SAFETY: `scan_part` passes its own `Found`, which lives and is left alone until the scan
    // ends.
    let found = unsafe { &mut *context.cast::<Found>() };
    let Ok(end) = u32::try_from(to) else { return GO_ON };
    if end > found.length {
        return GO_ON;
    }
    if found.ends.len() == found.ends.capacity() && found.ends.try_reserve(64).is_err() {
        found.is_full = true;
        return STOP;
    }
    found.ends.push(End { index: id, end: found.base.saturating_add(end) });
    GO_ON
}

#[cfg(test)]
mod tests;
