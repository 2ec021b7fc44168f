//! What can be typed after `penstock`: one definition for the parser, `--help` and completions.

use clap::{Parser, Subcommand};

use crate::access::Target;
use crate::commands::{
    answer, apply, approvals, completions, connect, delete, development, explain, get, grants,
    login, mask, nodes, notifications, request, revoke, secret, sessions, token, versions,
};

const EXAMPLES: &str = "\
Try it on this machine:
  penstock dev                                      both planes and an identity provider
  penstock apply -f policy/ --wait                  put documents in force
  penstock token --user ada --groups engineers      a caller's token
  penstock explain --user ada --groups engineers POST /llama/v1/chat/completions

Just in time:
  penstock approvals list --only pending            what waits for an answer
  penstock approve apr-3f09c1                       this request, once
  penstock grants list                              what was approved, and revoke it

Where the control plane is found, in this order:
  1. --state DIR           a state that `penstock dev` made
  2. PENSTOCK_STATE        the same, from the environment
  3. --profile NAME        a profile that `penstock login` wrote, or PENSTOCK_PROFILE
  4. PENSTOCK_URL and PENSTOCK_TOKEN
  5. the profile `default`, if there is one
  6. the default state of `penstock dev`, if there is one

Data goes to standard output, talk to standard error. Exit codes:
  0 done   1 failed   2 usage   3 denied   4 not found   5 conflict
  78 the machine or the settings don't allow it";

/// Just-in-time access to self-hosted models, enforced on every request.
#[derive(Debug, Parser)]
#[command(name = "penstock", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) target: Target,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant a command; the arguments stand beside what they do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run both planes and a development identity provider in this terminal
    Dev(development::Arguments),
    /// Print a token from the development identity provider, or of a profile
    Token(token::Arguments),
    /// Sign in with an issuer of the documents
    Login(login::LoginArguments),
    /// Forget a profile and its tokens
    Logout,
    /// Say as whom calls are made
    Whoami(login::WhoamiArguments),
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
    /// Try masks on texts
    #[command(subcommand)]
    Mask(mask::Action),
    /// Lend a port of this machine that leads to a connection
    Connect(connect::Arguments),
    /// List and show questions that wait for people, and what became of them
    Approvals(approvals::Arguments),
    /// Answer yes
    Approve(answer::ApproveArguments),
    /// Answer no
    Deny(answer::DenyArguments),
    /// Ask for access ahead of time
    Request(request::Arguments),
    /// List, show and end what was approved
    Grants(grants::Arguments),
    /// List, show and cut what runs now
    Sessions(sessions::Arguments),
    /// End everything of an identity, or one token
    Revoke(revoke::Arguments),
    /// List data planes, let new ones join, and remove them
    #[command(subcommand)]
    Nodes(nodes::Action),
    /// List messages to webhooks and mailboxes, and send one again that was given up
    #[command(subcommand)]
    Notifications(notifications::Action),
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

    #[test]
    fn no_command_takes_the_flags_that_say_which_control_plane_for_something_else() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
                let long = argument.get_long();
                assert!(!matches!(long, Some("state" | "profile")), "{}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
