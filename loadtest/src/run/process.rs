//! What the kernel says about this thread and about a process that is measured.

use std::path::PathBuf;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What a process had used at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct Usage {
    /// CPU time of all its threads, living and ended.
    pub(super) user_us: u64,
    pub(super) system_us: u64,
    /// Resident memory.
    pub(super) rss_bytes: u64,
}

impl Usage {
    /// Reads `/proc/PID/stat` (proc_pid_stat(5), fields 14, 15 and 24).
    pub(super) fn of(process: u32) -> std::io::Result<Self> {
        let path = PathBuf::from(format!("/proc/{process}/stat"));
        let text = std::fs::read_to_string(path)?;
        let unreadable = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        let page_bytes = rustix::param::page_size() as u64;
        let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
        parse(&text, tick_us, page_bytes).ok_or_else(unreadable)
    }

    /// What was used since `before`; memory is as it is now.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            user_us: self.user_us.saturating_sub(before.user_us),
            system_us: self.system_us.saturating_sub(before.system_us),
            rss_bytes: self.rss_bytes,
        }
    }

    pub(super) fn cpu_us(self) -> u64 {
        self.user_us + self.system_us
    }
}

fn parse(stat: &str, tick_us: u64, page_bytes: u64) -> Option<Usage> {
    // The name may hold spaces and parentheses; the last parenthesis ends it.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Usage {
        user_us: field(14)? * tick_us,
        system_us: field(15)? * tick_us,
        rss_bytes: field(24)? * page_bytes,
    })
}

/// CPU time of this thread, which is all that load costs on this side.
pub(super) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 25 17 0 0 20 0 3 0 99 12345 50 0";
        let usage = Usage { user_us: 250_000, system_us: 170_000, rss_bytes: 50 * 4096 };
        assert_eq!(parse(stat, 10_000, 4096), Some(usage));
        assert_eq!(parse("7 (a) S 1", 10_000, 4096), None);
    }

    #[test]
    fn this_process_can_be_read() {
        assert!(Usage::of(std::process::id()).unwrap().rss_bytes > 0);
    }
}
