//! Load on a schedule. Latency counts from the intended start, so that a stall is seen in full:
//! what should have been sent meanwhile waits with its clock running (no coordinated omission).

mod connection;
mod events;
mod failure;
mod framing;
mod load;
mod measure;
mod pacing;
mod process;
mod report;
mod target;

use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};

use load::Load;
use pacing::{Arrivals, Timer};
use process::Usage;
use report::{Report, Window};
use target::{Target, TargetError, TargetFlags};

/// Exit code of a run that says nothing about the server.
const EXIT_INVALID: u8 = 3;

/// Flags of `penstock-loadtest run`.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 measured, 1 failed, 2 usage, 3 measured nothing that could be trusted: the figures
are withheld, and the reasons say why. It has one thread: for more load, start it several times.")]
pub(crate) struct Flags {
    #[command(flatten)]
    target: TargetFlags,
    /// Requests a second, by schedule
    #[arg(long, value_name = "R", required_unless_present = "closed", value_parser = rate)]
    rate: Option<f64>,
    /// No schedule: each connection sends its next request after the last answer
    #[arg(long, conflicts_with = "rate")]
    closed: bool,
    /// How the requests of a schedule follow one another
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: Arrivals,
    /// Seed of the schedule
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Most connections; with --closed all of them are used all the time
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Open a new connection for every request
    #[arg(long)]
    no_keep_alive: bool,
    /// Length of the measured window, in seconds
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    duration: f64,
    /// End the window after so many requests, if that is earlier
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    requests: u64,
    /// Load before the window, in seconds; the connections of --closed begin in its first half
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds)]
    warm_up: f64,
    /// Milliseconds from the intended start to being sent, and from there to the last byte
    #[arg(long, value_name = "N", default_value_t = 30_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    timeout_ms: u64,
    /// Also report CPU time and memory that this process of this machine uses in the window
    #[arg(long, value_name = "PID")]
    process: Option<u32>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=1e6).contains(&rate) { Ok(rate) } else { Err("not 0.001 to 1000000".into()) }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err("not 0 to 86400".into()) }
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("cannot read the process {0}")]
    Process(u32, #[source] std::io::Error),
    #[error("cannot set a timer or watch for signals")]
    Machine(#[source] std::io::Error),
    #[error("cannot write to stdout")]
    Stdout(#[source] std::io::Error),
}

/// Sends the load and prints what was measured.
pub(crate) async fn run(flags: Flags) -> Result<ExitCode, RunError> {
    let target = Target::new(&flags.target)?;
    let report = LocalSet::new().run_until(measured(&flags, target)).await?;
    let text = if flags.json { report.json() } else { report.table() };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(RunError::Stdout)?;
    for reason in &report.reasons {
        eprintln!("invalid: {reason}");
    }
    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(if report.valid { ExitCode::SUCCESS } else { ExitCode::from(EXIT_INVALID) })
}

async fn measured(flags: &Flags, target: Target) -> Result<Report, RunError> {
    let timer = Timer::new().map_err(RunError::Machine)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Machine)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Machine)?;
    let usage = || match flags.process {
        Some(id) => Usage::of(id).map(Some).map_err(|error| RunError::Process(id, error)),
        None => Ok(None),
    };
    // A wrong process id is told before the load, not after it.
    usage()?;
    let start = Instant::now();
    let begins = start + Duration::from_secs_f64(flags.warm_up);
    let ends = begins + Duration::from_secs_f64(flags.duration);
    let load = Rc::new(Load::new(flags, target, start, begins, ends));
    let mut sending = spawn_local(load.clone().send_all());

    let mut stopped = tokio::select! {
        due = timer.until(begins) => due.map(|()| false).map_err(RunError::Machine)?,
        _ = interrupt.recv() => true,
        _ = terminate.recv() => true,
    };
    let (opened, cpu_before, before) = (Instant::now(), process::own_cpu(), usage()?);
    let mut sent = None;
    if !stopped {
        stopped = tokio::select! {
            due = timer.until(ends) => due.map(|()| false).map_err(RunError::Machine)?,
            outcome = &mut sending => {
                sent = Some(outcome);
                false
            }
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
        };
    }
    let window = Window {
        time: opened.elapsed(),
        own_cpu: process::own_cpu().saturating_sub(cpu_before),
        process: usage()?.zip(before).map(|(after, before)| after.since(before)),
        interrupted: stopped,
    };
    load.close();
    if !stopped && !flags.closed {
        // Whoever was to start in the window is waited for, also where it is sent late: the slowest
        // answers count most. In a closed loop nobody was to start.
        let rest = async {
            let sent = match sent {
                Some(outcome) => outcome,
                None => sending.await,
            };
            sent.map_err(std::io::Error::other)??;
            load.drained().await;
            Ok(())
        };
        tokio::select! {
            ended = rest => ended.map_err(RunError::Machine)?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    Ok(Report::new(flags, &load.measure.borrow(), &window))
}
