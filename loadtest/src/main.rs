//! Load and simulation: flags come in; a simulated model server goes out. It may never reach a
//! model, a gateway or any address but the one it listens on.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Simulated model servers for tests and demonstrations.
#[derive(Parser)]
#[command(name = "penstock-loadtest", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer like a model server, with the timing that is asked for
    Serve(serve::Flags),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(flags) => serve::run(flags).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its sources: `cannot listen on 127.0.0.1:80: permission denied`.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
