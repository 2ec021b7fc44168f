//! Many schedules keep every invariant, and each mistake that is made on purpose breaks one.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

use std::sync::atomic::{AtomicU64, Ordering};

use penstock_sim::{Fault, Report, run};

/// Schedules of a run; `PENSTOCK_SIM_SCHEDULES` names another number.
const SCHEDULES: u64 = 100_000;
/// Steps of each.
const STEPS: usize = 16;
/// Seeds within which a mistake must show.
const FAULT_SEEDS: u64 = 5_000;

/// The seed to begin with; `PENSTOCK_SIM_SEED` names one that failed, and then it is the only one.
fn replayed() -> Option<u64> {
    std::env::var("PENSTOCK_SIM_SEED").ok().map(|text| text.parse().unwrap())
}

fn schedules() -> u64 {
    std::env::var("PENSTOCK_SIM_SCHEDULES").map_or(SCHEDULES, |text| text.parse().unwrap())
}

fn check(seed: u64) -> Report {
    run(seed, STEPS, Fault::None).unwrap_or_else(|broken| {
        panic!("PENSTOCK_SIM_SEED={seed} breaks an invariant at {}", broken.0)
    })
}

#[test]
fn a_hundred_thousand_schedules_keep_every_invariant() {
    if let Some(seed) = replayed() {
        check(seed);
        return;
    }
    let (next, schedules) = (AtomicU64::new(0), schedules());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let totals = std::thread::scope(|scope| {
        let worker = || {
            let mut total = Report::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= schedules {
                    return total;
                }
                let report = check(seed);
                total.forwarded += report.forwarded;
                total.cut += report.cut;
                total.approvals += report.approvals;
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    let sum = |of: fn(&Report) -> u64| totals.iter().map(of).sum::<u64>();
    // Schedules in which nothing happens keep everything.
    println!("{schedules} schedules: {totals:?}");
    assert!(sum(|one| one.forwarded) > schedules / 8, "{totals:?}");
    assert!(sum(|one| one.cut) > schedules / 50, "{totals:?}");
    assert!(sum(|one| one.approvals) > schedules, "{totals:?}");
}

#[test]
fn a_seed_is_the_same_schedule_each_time() {
    for seed in 0..20 {
        assert_eq!(run(seed, STEPS, Fault::None), run(seed, STEPS, Fault::None));
    }
}

#[track_caller]
fn shows(fault: Fault, what: &str) {
    let broken = (0..FAULT_SEEDS).find_map(|seed| run(seed, 4 * STEPS, fault).err());
    let broken = broken.unwrap_or_else(|| panic!("{fault:?} breaks nothing"));
    assert!(broken.0.contains(what), "{fault:?}: {broken:?}");
}

#[test]
fn who_answers_their_own_request_under_another_identity_is_seen() {
    shows(Fault::UnknownPersons, "counts");
}

#[test]
fn a_use_that_a_restart_forgets_is_seen() {
    shows(Fault::ForgetsUses, "");
}

#[test]
fn an_answer_before_the_disk_has_it_is_seen() {
    shows(Fault::AnswersBeforePersist, "");
}

#[test]
fn a_use_that_comes_back_although_something_was_sent_is_seen() {
    shows(Fault::GivesBackWhatWasSent, "");
}

#[test]
fn a_node_that_does_not_act_on_what_ended_is_seen() {
    shows(Fault::DeafNodes, "was revoked");
}
