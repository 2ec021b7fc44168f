//! `penstock completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Cli;
use crate::failure::Failure;
use crate::output;

/// Arguments of `penstock completions`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  penstock completions bash > ~/.local/share/bash-completion/completions/penstock")]
pub(crate) struct Arguments {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "penstock", &mut script);
    output::data(&String::from_utf8_lossy(&script))
}
