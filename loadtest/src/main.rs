//! Load and simulation: flags come in; a simulated model server goes out, or requests on a schedule
//! and what became of them. It may never send to an address beyond this machine unless told to.

mod fixed;
mod run;
mod serve;
mod tls;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

/// Simulated model servers, and load with honest figures.
#[derive(Parser)]
#[command(name = "penstock-loadtest", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send requests on a schedule and report latencies from the intended start
    Run(Box<run::Flags>),
    /// Answer like a model server, with the timing that is asked for
    #[command(after_help = serve::HELP)]
    Serve(serve::Flags),
    /// Answer every request with the same bytes, at the least cost
    Fixed(fixed::Flags),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(flags) => one_thread(|runtime| runtime.block_on(run::run(*flags))),
        Command::Serve(flags) => many_threads(|runtime| runtime.block_on(serve::run(flags))),
        Command::Fixed(flags) => one_thread(|runtime| runtime.block_on(fixed::run(flags))),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {}", chain(error.as_ref()));
        ExitCode::FAILURE
    })
}

type Outcome = Result<ExitCode, Box<dyn Error>>;

/// Load and fixed answers share nothing between threads: one is enough, and cheapest.
fn one_thread<E: Error + 'static>(work: impl FnOnce(Runtime) -> Result<ExitCode, E>) -> Outcome {
    Ok(work(Builder::new_current_thread().enable_all().build()?)?)
}

fn many_threads<E: Error + 'static>(work: impl FnOnce(Runtime) -> Result<(), E>) -> Outcome {
    work(Builder::new_multi_thread().enable_all().build()?)?;
    Ok(ExitCode::SUCCESS)
}

/// An error with its sources: `cannot listen on 127.0.0.1:80: permission denied`.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
