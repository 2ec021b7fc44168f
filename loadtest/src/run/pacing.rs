//! When each request is meant to start, and a timer that is finer than a millisecond.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// How arrivals follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Arrivals {
    /// All gaps are the same
    Constant,
    /// Gaps are independent of each other, as when many people come by themselves
    Poisson,
}

/// The intended starts of requests, as offsets from the beginning. The same seed gives the same
/// schedule.
#[derive(Clone)]
pub(super) struct Schedule {
    arrivals: Arrivals,
    rate: f64,
    random: u64,
    count: u64,
    poisson_s: f64,
}

impl Schedule {
    /// `rate` is in requests a second, and above 0.
    pub(super) fn new(arrivals: Arrivals, rate: f64, seed: u64) -> Self {
        Self { arrivals, rate, random: seed, count: 0, poisson_s: 0.0 }
    }

    /// SplitMix64, as a number above 0 and at most 1.
    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let offset_s = match self.arrivals {
            // From the count, not by adding gaps up: errors of rounding do not accumulate.
            Arrivals::Constant => self.count as f64 / self.rate,
            Arrivals::Poisson => {
                self.poisson_s -= self.uniform().ln() / self.rate;
                self.poisson_s
            }
        };
        self.count += 1;
        Some(Duration::from_secs_f64(offset_s))
    }
}

/// A kernel timer: the runtime's own has a grain of a millisecond, too coarse for a schedule.
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    #[expect(deprecated, reason = "sound here: an OwnedFd that is never replaced stays open")]
    pub(super) fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
    }

    /// Returns at `due`, or at once when it has passed.
    pub(super) async fn until(&self, due: Instant) -> std::io::Result<()> {
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Ok(());
            }
            let value = Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            };
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let once = Itimerspec { it_interval: zero, it_value: value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            // Setting it again clears the expiry, so nothing has to be read.
            self.0.readable().await?.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_arrivals_are_evenly_spaced() {
        let due: Vec<_> = Schedule::new(Arrivals::Constant, 100.0, 1).take(3).collect();
        assert_eq!(due, [0, 10, 20].map(Duration::from_millis));
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_and_vary_as_much_as_their_mean() {
        let due: Vec<f64> = Schedule::new(Arrivals::Poisson, 1000.0, 7)
            .take(20_000)
            .map(|due| due.as_secs_f64())
            .collect();
        assert!((due.last().unwrap() - 20.0).abs() < 0.5, "{:?}", due.last());
        let gaps: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05);
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule() {
        let of = |seed| Schedule::new(Arrivals::Poisson, 10.0, seed).take(9).collect::<Vec<_>>();
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }
}
