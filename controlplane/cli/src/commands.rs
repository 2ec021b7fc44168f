//! The commands, one file each.

pub(crate) mod answer;
pub(crate) mod apply;
pub(crate) mod approvals;
pub(crate) mod completions;
pub(crate) mod connect;
pub(crate) mod delete;
pub(crate) mod development;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod grants;
pub(crate) mod login;
pub(crate) mod mask;
pub(crate) mod nodes;
pub(crate) mod notifications;
pub(crate) mod request;
pub(crate) mod revoke;
pub(crate) mod secret;
pub(crate) mod sessions;
pub(crate) mod token;
pub(crate) mod versions;

use crate::access::{self, find_as};
use crate::arguments::{Cli, Command};
use crate::failure::Failure;

/// States of approvals, as listings name them.
pub(crate) const STATES: [&str; 8] =
    ["pending", "approved", "active", "denied", "spent", "expired", "withdrawn", "revoked"];
/// States of grants.
pub(crate) const GRANT_STATES: [&str; 5] = ["approved", "active", "spent", "expired", "revoked"];

/// Runs what was asked for.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let target = &cli.target;
    match cli.command {
        Command::Dev(arguments) => development::run(target.state.as_deref(), arguments).await,
        Command::Token(arguments) => token::run(target, &arguments).await,
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Login(arguments) => login::login(target, &arguments).await,
        Command::Logout => login::logout(target).await,
        Command::Whoami(arguments) => login::whoami(target, &arguments),
        Command::Apply(arguments) => apply::run(&access::find(target)?, &arguments).await,
        Command::Get(arguments) => get::run(&access::find(target)?, &arguments).await,
        Command::Delete(arguments) => delete::run(&access::find(target)?, &arguments).await,
        Command::Versions(action) => versions::run(&access::find(target)?, &action).await,
        Command::Secret(action) => secret::run(&access::find(target)?, &action).await,
        Command::Explain(arguments) => explain::run(&access::find(target)?, &arguments).await,
        Command::Mask(action) => mask::run(target, &action).await,
        Command::Nodes(action) => nodes::run(&access::find(target)?, &action).await,
        Command::Notifications(action) => notifications::run(&access::find(target)?, &action).await,
        Command::Approvals(approvals::Arguments { act_as, action }) => {
            approvals::run(&find_as(target, &act_as)?, &action).await
        }
        Command::Approve(arguments) => {
            answer::approve(&find_as(target, &arguments.act_as)?, &arguments).await
        }
        Command::Deny(arguments) => {
            answer::deny(&find_as(target, &arguments.act_as)?, &arguments).await
        }
        Command::Request(arguments) => {
            request::run(&find_as(target, &arguments.act_as)?, &arguments).await
        }
        Command::Grants(grants::Arguments { act_as, action }) => {
            grants::run(&find_as(target, &act_as)?, &action).await
        }
        Command::Sessions(sessions::Arguments { act_as, action }) => {
            sessions::run(&find_as(target, &act_as)?, &action).await
        }
        Command::Connect(arguments) => connect::run(target, &arguments).await,
        Command::Revoke(revoke::Arguments { act_as, action }) => {
            revoke::run(&find_as(target, &act_as)?, &action).await
        }
    }
}
