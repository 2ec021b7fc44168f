//! What can be typed after `penstock`: one definition for the parser, `--help` and completions.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands::{
    apply, completions, delete, development, explain, get, nodes, secret, token, versions,
};

const EXAMPLES: &str = "\
Try it on this machine:
  penstock dev                                      both planes and an identity provider
  penstock apply -f policy/ --wait                  put documents in force
  penstock token --user ada --groups engineers      a caller's token
  penstock explain --user ada --groups engineers POST /llama/v1/chat/completions

Where the control plane is found, in this order:
  1. --state DIR           a state that `penstock dev` made
  2. PENSTOCK_STATE        the same, from the environment
  3. PENSTOCK_URL and PENSTOCK_TOKEN
  4. the default state of `penstock dev`, if there is one

Data goes to standard output, talk to standard error. Exit codes:
  0 done   1 failed   2 usage   3 denied   4 not found   5 conflict
  78 the machine or the settings don't allow it";

/// Just-in-time access to self-hosted models, enforced on every request.
#[derive(Debug, Parser)]
#[command(name = "penstock", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// State folder of `penstock dev`
    #[arg(long, global = true, value_name = "DIR", env = "PENSTOCK_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant a command; the arguments stand beside what they do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run both planes and a development identity provider in this terminal
    Dev(development::Arguments),
    /// Print a token from the development identity provider
    Token(token::Arguments),
    /// Publish documents as one version, or say every problem and change nothing
    Apply(apply::Arguments),
    /// Show documents in force
    Get(get::Arguments),
    /// Take one document out of force
    Delete(delete::Arguments),
    /// List, show and restore versions of the documents
    #[command(subcommand)]
    Versions(versions::Action),
    /// Set, list and delete the model servers' credentials
    #[command(subcommand)]
    Secret(secret::Action),
    /// Say what would be decided about a request, and why
    Explain(explain::Arguments),
    /// List data planes, let new ones join, and remove them
    #[command(subcommand)]
    Nodes(nodes::Action),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
