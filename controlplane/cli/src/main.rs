//! The command line. In: arguments, documents, tokens and secrets on standard input. Out: calls to
//! the control plane's API, and the development environment. Never: a secret or token in an
//! argument, a log or an error.

mod access;
mod arguments;
mod client;
mod commands;
mod development;
mod duration;
mod enforcement;
mod failure;
mod ids;
mod listing;
mod names;
mod output;
mod private_files;
mod profiles;
mod secret;
mod sign_in;
mod signer;
mod sources;
mod state;
mod terminal;
mod timestamp;
mod transport;
mod yaml;

use std::process::ExitCode;

use clap::Parser;

use arguments::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // Tokens and secrets pass through this process: none of them may end up in a core dump.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    // The HTTP client comes without a provider of cryptography; an error means that there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match commands::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
