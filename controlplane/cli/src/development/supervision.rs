//! Keeps a plane alive: one that dies is started again on the same address and state.

use std::time::Duration;

use tokio::time::sleep;

use crate::development::plane::Plane;
use crate::failure::Failure;
use crate::output;

/// A plane that lived shorter than this died quickly.
const QUICK: Duration = Duration::from_secs(10);
/// So many quick deaths in a row, and it is given up.
const QUICK_DEATHS_MAX: u32 = 10;
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);

/// Watches a plane and starts it again. `restarted` is told the process id of each start. Ends only
/// with the reason why the plane is given up.
pub(crate) async fn supervise(
    plane: &mut Plane,
    first_line: &[u8],
    restarted: impl Fn(u32),
) -> Failure {
    let mut deaths = Deaths::default();
    loop {
        let status = plane.ended().await;
        let Some(wait) = deaths.count(plane.age()) else {
            return Failure::failed(format!(
                "the {} died {QUICK_DEATHS_MAX} times in a row",
                plane.name()
            ));
        };
        if let Some(status) = status {
            output::talk(&format!("the {} ended, {status}: starting it again", plane.name()));
        }
        sleep(wait).await;
        let started = |pid| {
            restarted(pid);
            Ok(())
        };
        match plane.start(first_line, started).await {
            Ok(_) => output::talk(&format!("the {} runs again", plane.name())),
            Err(failure) => {
                let _ = failure.report();
            }
        }
    }
}

/// Quick deaths in a row.
#[derive(Default)]
struct Deaths {
    quick: u32,
}

impl Deaths {
    /// Counts the death of a plane of that age: how long to wait before the next start, or nothing
    /// when it is given up. The wait doubles with every quick death.
    fn count(&mut self, age: Duration) -> Option<Duration> {
        self.quick = if age < QUICK { self.quick.saturating_add(1) } else { 1 };
        if self.quick >= QUICK_DEATHS_MAX {
            return None;
        }
        let doublings = self.quick.saturating_sub(1);
        Some(BACK_OFF_MIN.saturating_mul(1 << doublings).min(BACK_OFF_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_between_its_bounds_until_the_plane_is_given_up() {
        let mut deaths = Deaths::default();
        let waits: Vec<u128> =
            (0..9).map(|_| deaths.count(Duration::ZERO).unwrap().as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]);
        assert_eq!(deaths.count(Duration::ZERO), None);
    }

    #[test]
    fn a_plane_that_lived_for_a_while_has_all_its_chances_again() {
        let mut deaths = Deaths::default();
        for _ in 0..9 {
            deaths.count(Duration::ZERO);
        }
        assert_eq!(deaths.count(QUICK), Some(BACK_OFF_MIN));
    }
}
