//! The commands, one file each.

pub(crate) mod apply;
pub(crate) mod completions;
pub(crate) mod delete;
pub(crate) mod development;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod nodes;
pub(crate) mod secret;
pub(crate) mod token;
pub(crate) mod versions;

use crate::access;
use crate::arguments::{Cli, Command};
use crate::failure::Failure;

/// Runs what was asked for.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let state = cli.state.as_deref();
    match cli.command {
        Command::Dev(arguments) => development::run(state, arguments).await,
        Command::Token(arguments) => token::run(state, &arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Apply(arguments) => apply::run(&access::find(state)?, &arguments).await,
        Command::Get(arguments) => get::run(&access::find(state)?, &arguments).await,
        Command::Delete(arguments) => delete::run(&access::find(state)?, &arguments).await,
        Command::Versions(action) => versions::run(&access::find(state)?, &action).await,
        Command::Secret(action) => secret::run(&access::find(state)?, &action).await,
        Command::Explain(arguments) => explain::run(&access::find(state)?, &arguments).await,
        Command::Nodes(action) => nodes::run(&access::find(state)?, &action).await,
    }
}
