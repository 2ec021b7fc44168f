//! The process itself: what it gives away, what it may open, and the signals that it takes.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Keeps the memory of the process to itself, since it holds keys and credentials: no core dumps,
/// not readable by a debugger or through `/proc` by other processes of the same user, no new
/// privileges through `exec`. Holds for this thread and those that it starts from now on: call it
/// early in `main`.
///
/// # Errors
/// The operating system refuses one of them.
pub fn harden() -> io::Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    #[expect(unsafe_code, reason = "the standard library knows no resource limits")]
    // SAFETY: the kernel reads one `rlimit`.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) })?;
    control(libc::PR_SET_DUMPABLE, 0)?;
    control(libc::PR_SET_NO_NEW_PRIVS, 1)
}

fn control(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    let unused: libc::c_ulong = 0;
    #[expect(unsafe_code, reason = "the standard library has no prctl")]
    // SAFETY: these options take numbers only.
    check(unsafe { libc::prctl(option, value, unused, unused, unused) })
}

/// Raises the number of descriptors that the process may open to what it is allowed; returns it.
///
/// # Errors
/// The operating system refuses.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    #[expect(unsafe_code, reason = "the standard library knows no resource limits")]
    // SAFETY: the kernel writes one `rlimit` to a place of that size.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limits) })?;
    limits.rlim_cur = limits.rlim_max;
    #[expect(unsafe_code, reason = "the standard library knows no resource limits")]
    // SAFETY: the kernel reads one `rlimit`.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limits) })?;
    Ok(limits.rlim_cur)
}

/// Time since the machine started, the time that it slept included (`CLOCK_BOOTTIME`). Nobody can
/// set it, and a machine that wakes up finds it later.
pub fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A signal that asks the process for something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// `SIGTERM`: from a service manager, to end.
    Terminate,
    /// `SIGINT`: from the keyboard, to end.
    Interrupt,
    /// `SIGHUP`: to read its files again.
    Hangup,
}

/// These signals, taken out of their default way of ending the process at once.
pub struct Signals {
    set: libc::sigset_t,
}

impl Signals {
    /// Blocks the signals in this thread and in those that it starts from now on: call it
    /// first in `main`, before any thread.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn block() -> io::Result<Self> {
        let set = signal_set();
        #[expect(unsafe_code, reason = "the standard library has no signal masks")]
        // SAFETY: the set is initialised; a null pointer says that the old mask is not wanted.
        let number = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if number == 0 { Ok(Self { set }) } else { Err(io::Error::from_raw_os_error(number)) }
    }

    /// Blocks this thread until a signal comes. Each call takes one.
    ///
    /// # Errors
    /// The operating system refuses to wait.
    pub fn wait(&self) -> io::Result<Signal> {
        let mut signal = 0;
        #[expect(unsafe_code, reason = "the standard library does not wait for signals")]
        // SAFETY: the set is initialised, and the kernel writes one number.
        let number = unsafe { libc::sigwait(&self.set, &mut signal) };
        match (number, signal) {
            (0, libc::SIGINT) => Ok(Signal::Interrupt),
            (0, libc::SIGHUP) => Ok(Signal::Hangup),
            (0, _) => Ok(Signal::Terminate),
            (number, _) => Err(io::Error::from_raw_os_error(number)),
        }
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

fn signal_set() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    #[expect(unsafe_code, reason = "a signal set is made by the C library")]
    // SAFETY: the pointer leads to a place of the size of a set; `sigemptyset` cannot fail then.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
    }
    #[expect(unsafe_code, reason = "a signal set is made by the C library")]
    // SAFETY: the set was initialised just now.
    let mut set = unsafe { set.assume_init() };
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        #[expect(unsafe_code, reason = "a signal set is filled by the C library")]
        // SAFETY: the set is initialised, and the numbers are those of signals.
        unsafe {
            libc::sigaddset(&mut set, signal);
        }
    }
    set
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardened_process_gives_nothing_away() {
        harden().unwrap();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let fields: Vec<&str> = core.split_whitespace().collect();
        assert_eq!(fields[4..6], ["0", "0"]);
        assert_eq!(ask(libc::PR_GET_DUMPABLE), 0);
        assert_eq!(ask(libc::PR_GET_NO_NEW_PRIVS), 1);
    }

    fn ask(option: libc::c_int) -> libc::c_int {
        let unused: libc::c_ulong = 0;
        #[expect(unsafe_code, reason = "the standard library has no prctl")]
        // SAFETY: these options take numbers only.
        unsafe {
            libc::prctl(option, unused, unused, unused, unused)
        }
    }

    #[test]
    fn the_boot_time_goes_on_and_is_not_behind_the_time_awake() {
        let awake = || Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
        let before = awake();
        let (first, second) = (boot_time(), boot_time());
        assert!(first >= before && second >= first);
    }

    #[test]
    fn the_descriptor_limit_is_raised_to_what_is_allowed() {
        let limit = raise_descriptor_limit().unwrap();
        assert_eq!(raise_descriptor_limit().unwrap(), limit);
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let fields: Vec<&str> = files.split_whitespace().collect();
        assert_eq!(fields[3..5], [limit.to_string(), limit.to_string()]);
    }

    #[test]
    fn each_signal_is_taken_once_and_told_apart() {
        let signals = Signals::block().unwrap();
        for (number, signal) in [
            (libc::SIGINT, Signal::Interrupt),
            (libc::SIGTERM, Signal::Terminate),
            (libc::SIGHUP, Signal::Hangup),
        ] {
            #[expect(unsafe_code, reason = "the standard library sends no signals")]
            // SAFETY: the signal goes to this thread, where it is blocked.
            unsafe {
                libc::raise(number);
            }
            assert_eq!(signals.wait().unwrap(), signal);
        }
    }
}
