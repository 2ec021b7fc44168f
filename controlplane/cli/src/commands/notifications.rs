//! `penstock notifications`: messages to webhooks and mailboxes, and what became of them.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use crate::client::Client;
use crate::commands::versions::at;
use crate::failure::Failure;
use crate::output::{self, Column, OutputArguments};

/// States, as the listing names them.
const STATES: [&str; 3] = ["pending", "delivered", "dead"];
/// Longest id.
const ID_LENGTH_MAX: usize = 128;

/// What to do with messages.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  penstock notifications list --only dead      what nobody got, and why
  penstock notifications retry apr-00112233445566778899-requested-webhook-bridge

A message is tried ten times within three and a half days. Whoever gets one twice tells by its
id.")]
pub(crate) enum Action {
    /// List messages, newest first
    List(ListArguments),
    /// Send a message again that was given up
    Retry {
        /// Its id, as `penstock notifications list` shows it
        #[arg(value_parser = id)]
        id: String,
    },
}

/// Arguments of `penstock notifications list`.
#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(STATES))]
    only: Option<String>,
    #[command(flatten)]
    format: OutputArguments,
}

/// Lists messages, or sends one again.
pub(crate) async fn run(client: &Client, action: &Action) -> Result<(), Failure> {
    const COLUMNS: &[Column] = &[
        ("ID", |row| output::cell(row, "id")),
        ("STATE", |row| output::cell(row, "state")),
        ("CHANNEL", |row| output::cell(row, "channel")),
        ("EVENT", |row| output::cell(row, "event")),
        ("TRIES", |row| output::cell(row, "attempts")),
        ("NEXT", |row| at(row, "next_ms")),
        ("PROBLEM", |row| output::cell(row, "problem")),
    ];
    match action {
        Action::List(ListArguments { only, format }) => {
            let path = only.as_ref().map_or_else(
                || "/api/v1/notifications".to_owned(),
                |state| format!("/api/v1/notifications?state={state}"),
            );
            output::listing(&client.get(&path).await?, format.output, COLUMNS)
        }
        Action::Retry { id } => {
            client.post(&format!("/api/v1/notifications/{id}/retry"), None).await?;
            output::data(&format!("notification {id} is sent again\n"))
        }
    }
}

/// An id: with nothing but these characters it can't change a path.
fn id(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > ID_LENGTH_MAX || !text.chars().all(plain) {
        return Err("an id is made of a-z, 0-9 and -".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn an_id_that_could_change_a_path_is_refused() {
        for text in ["", "a/b", "../x", "a?b", "A", "a%2fb", &"a".repeat(129)] {
            assert!(id(text).is_err(), "{text}");
        }
        assert!(id("apr-00112233445566778899-requested-mail-reviewers-0").is_ok());
    }
}
