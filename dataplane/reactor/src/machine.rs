//! What the machine lets a reactor do, asked before the first one is made: rings, locked memory,
//! processors. In: nothing. Out: a figure, or the error to print. glommio answers some of these
//! with a panic, so they are asked here first.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::thread;

use crate::cores::StartError;

/// Entries of each of the three submission rings of a core; the completion rings hold twice as
/// many.
pub(crate) const RING_ENTRIES: u16 = 512;

/// Locked memory that a core needs, in bytes. Three rings of [`RING_ENTRIES`] and glommio's
/// smallest slab took 350 KiB (Linux 6.18; before 6.14 rings do not count); glommio itself asks for
/// a limit of 512 KiB. So the usual limit of 8 MiB carries 16 cores.
pub(crate) const LOCKED_BYTES_PER_CORE: u64 = 512 * 1024;

/// `struct io_uring_params` as 32-bit words; `features` is the sixth.
const PARAMETER_WORDS: usize = 30;
const FEATURES_WORD: usize = 5;

/// A feature of Linux 5.11 (`IORING_FEAT_EXT_ARG`): older kernels lack operations that glommio
/// uses.
const FEATURE_EXTENDED_ARGUMENTS: u32 = 1 << 8;

/// Checks that the process may make rings, and that the kernel knows what is needed.
pub(crate) fn check_rings() -> Result<(), StartError> {
    let mut parameters = [0_u32; PARAMETER_WORDS];
    #[expect(unsafe_code, reason = "the standard library makes no rings")]
    // SAFETY: the parameters are as large as `struct io_uring_params` and aligned like it; the
    // kernel writes nothing else.
    let result = unsafe {
        libc::syscall(libc::SYS_io_uring_setup, u32::from(RING_ENTRIES), parameters.as_mut_ptr())
    };
    let Ok(descriptor @ 0..) = i32::try_from(result) else {
        return Err(ring_error(&io::Error::last_os_error()));
    };
    #[expect(unsafe_code, reason = "the descriptor comes from a raw system call")]
    // SAFETY: the system call just made this descriptor, and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    let features = parameters.get(FEATURES_WORD).copied().unwrap_or_default();
    if features & FEATURE_EXTENDED_ARGUMENTS == 0 {
        return Err(StartError::KernelTooOld);
    }
    Ok(())
}

/// What a failure to make a ring means.
pub(crate) fn ring_error(error: &io::Error) -> StartError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => StartError::RingsForbidden,
        Some(libc::ENOMEM) => {
            let limit_bytes = locked_memory_limits().map_or(0, |limits| limits.rlim_cur);
            StartError::LockedMemory { needed_bytes: LOCKED_BYTES_PER_CORE, limit_bytes }
        }
        number => StartError::System { what: "make a ring", number: number.unwrap_or(libc::EIO) },
    }
}

/// Raises the soft limit of locked memory to what `cores` need, as far as the process may.
///
/// Only a limit below what glommio insists on is an error here: whether the rings count, and what
/// other processes of the same user hold, shows when they are made.
pub(crate) fn allow_locked_memory(cores: usize) -> Result<(), StartError> {
    let needed_bytes = locked_bytes(cores);
    let mut limits = locked_memory_limits().map_err(limit_error)?;
    if limits.rlim_cur < needed_bytes {
        let rlim_max = limits.rlim_max.max(needed_bytes);
        let privileged = libc::rlimit { rlim_cur: needed_bytes, rlim_max };
        if set_locked_memory_limits(&privileged).is_err() {
            let rlim_cur = limits.rlim_max.min(needed_bytes);
            let usual = libc::rlimit { rlim_cur, rlim_max: limits.rlim_max };
            set_locked_memory_limits(&usual).map_err(limit_error)?;
        }
        limits = locked_memory_limits().map_err(limit_error)?;
    }
    let limit_bytes = limits.rlim_cur;
    if limit_bytes < LOCKED_BYTES_PER_CORE {
        return Err(StartError::LockedMemory { needed_bytes, limit_bytes });
    }
    Ok(())
}

/// Raises the soft limit of locked memory to so many bytes, if it is below and that is possible;
/// what is locked then says whether it was enough.
pub(crate) fn allow_locked_bytes(bytes: usize) {
    let Ok(mut limits) = locked_memory_limits() else { return };
    let wanted = u64::try_from(bytes).unwrap_or(u64::MAX).min(limits.rlim_max);
    if limits.rlim_cur < wanted {
        limits.rlim_cur = wanted;
        // Where it is refused, the limit stays, and what is locked is refused.
        let _ = set_locked_memory_limits(&limits);
    }
}

/// Bytes in a page of memory.
pub(crate) fn page_bytes() -> usize {
    #[expect(unsafe_code, reason = "the standard library does not know the size of a page")]
    // SAFETY: the call reads nothing but the number.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4_096)
}

/// Locked memory that so many cores need, in bytes.
pub(crate) fn locked_bytes(cores: usize) -> u64 {
    LOCKED_BYTES_PER_CORE.saturating_mul(cores as u64)
}

pub(crate) fn locked_memory_limits() -> io::Result<libc::rlimit> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    #[expect(unsafe_code, reason = "the standard library knows no resource limits")]
    // SAFETY: the kernel writes one `rlimit` to a place of that size.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limits) };
    if result == 0 { Ok(limits) } else { Err(io::Error::last_os_error()) }
}

fn set_locked_memory_limits(limits: &libc::rlimit) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the standard library knows no resource limits")]
    // SAFETY: the kernel reads one `rlimit`.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, limits) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn limit_error(error: io::Error) -> StartError {
    let number = error.raw_os_error().unwrap_or(libc::EIO);
    StartError::System { what: "read or raise the limit of locked memory", number }
}

/// Processors for `cores` reactors, one each (0: as many as this process may use).
pub(crate) fn processors(cores: usize) -> Result<Vec<usize>, StartError> {
    let mut allowed = allowed_processors().map_err(|error| StartError::System {
        what: "ask for the processors",
        number: error.raw_os_error().unwrap_or(libc::EIO),
    })?;
    if cores > allowed.len() {
        return Err(StartError::TooFewProcessors { cores, processors: allowed.len() });
    }
    // A container's share may be smaller than its set of processors.
    let share = thread::available_parallelism().map_or(1, usize::from);
    allowed.truncate(if cores == 0 { share } else { cores });
    Ok(allowed)
}

/// Numbers of the processors that this thread may run on.
fn allowed_processors() -> io::Result<Vec<usize>> {
    const WORD_BITS: usize = u64::BITS as usize;
    // Room for 8192 processors, more than a kernel is built for.
    let mut words = [0_u64; 128];
    #[expect(
        unsafe_code,
        reason = "the standard library gives the number of processors, not which"
    )]
    // SAFETY: the kernel writes at most the given number of bytes, the size of `words`.
    let result = unsafe {
        libc::sched_getaffinity(
            0,
            size_of_val(&words),
            words.as_mut_ptr().cast::<libc::cpu_set_t>(),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let bits = words.iter().enumerate().flat_map(|(index, word)| {
        (0..WORD_BITS)
            .filter(move |bit| word >> bit & 1 == 1)
            .map(move |bit| index * WORD_BITS + bit)
    });
    Ok(bits.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_makes_rings() {
        assert_eq!(check_rings(), Ok(()));
    }

    #[test]
    fn a_refused_ring_names_what_may_refuse_it() {
        for number in [libc::EPERM, libc::ENOSYS] {
            let error = ring_error(&io::Error::from_raw_os_error(number));
            assert_eq!(error, StartError::RingsForbidden);
            let text = error.to_string();
            assert!(
                text.contains("kernel.io_uring_disabled") && text.contains("seccomp"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_ring_without_memory_names_the_limit_and_what_to_set() {
        let text = ring_error(&io::Error::from_raw_os_error(libc::ENOMEM)).to_string();
        assert!(text.contains("524288") && text.contains("ulimit -l"), "{text}");
        assert!(text.contains("LimitMEMLOCK"), "{text}");
    }

    #[test]
    fn processors_are_those_that_the_process_may_use() {
        let all = processors(0).unwrap();
        assert_eq!(all.len(), usize::from(thread::available_parallelism().unwrap()));
        assert_eq!(processors(1).unwrap(), all[..1]);
        let too_many = allowed_processors().unwrap().len() + 1;
        let error = processors(too_many).unwrap_err();
        assert!(matches!(error, StartError::TooFewProcessors { cores, .. } if cores == too_many));
    }

    #[test]
    fn sixteen_cores_fit_into_the_usual_limit_of_locked_memory() {
        assert_eq!(locked_bytes(16), 8 * 1024 * 1024);
        assert_eq!(locked_bytes(usize::MAX), u64::MAX);
    }
}
