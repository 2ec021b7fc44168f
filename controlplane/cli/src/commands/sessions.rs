//! `penstock sessions`: requests that run, or wait, now.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::access::ActAs;
use crate::client::Client;
use crate::commands::token::not_empty;
use crate::commands::versions::at;
use crate::failure::Failure;
use crate::ids::{self, Kind};
use crate::listing::{self, PAGE_ROWS_MAX};
use crate::output::{self, Column, OutputArguments};
use crate::terminal::{Page, word};

/// Arguments of `penstock sessions`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock sessions list
  penstock sessions show 5d41402abc4b2a76b9719d911017c592
  penstock sessions kill 5d4140 --reason \"a runaway script\"

A session is one request with its answer: the gateway says its id in the header penstock-session.
A stream that is killed ends with an error event in its own protocol, any other answer that has
begun without its end; both close the connection. A request that waits is refused.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) act_as: ActAs,
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List what runs, or waits, now: the newest 1,000
    List(OutputArguments),
    /// Show one session
    Show(ShowArguments),
    /// Cut one session
    Kill(KillArguments),
}

/// Arguments of `penstock sessions show`.
#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// Id of the session, or its beginning
    #[arg(value_parser = ids::parse)]
    id: String,
    #[command(flatten)]
    format: OutputArguments,
}

/// Arguments of `penstock sessions kill`.
#[derive(Args, Debug)]
pub(crate) struct KillArguments {
    /// Id of the session, or its beginning
    #[arg(value_parser = ids::parse)]
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = not_empty)]
    reason: Option<String>,
}

/// Lists, shows or kills.
pub(crate) async fn run(client: &Client, action: &Action) -> Result<(), Failure> {
    const COLUMNS: &[Column] = &[
        ("ID", |row| output::cell(row, "id")),
        ("STATE", |row| output::cell(row, "state")),
        ("USER", |row| output::cell(row, "user")),
        ("CONNECTION", |row| output::cell(row, "connection")),
        ("OPERATIONS", crate::commands::approvals::operations),
        ("MODEL", |row| output::cell(row, "model")),
        ("BEGUN", |row| at(row, "begun_ms")),
        ("NODE", |row| output::cell(row, "node")),
        ("APPROVAL", |row| output::cell(row, "approval")),
        ("GRANTS", |row| output::cell(row, "grants")),
    ];
    match action {
        Action::List(format) => {
            let rows_max = Some(PAGE_ROWS_MAX);
            let rows = listing::newest(client, Kind::Session.path(), None, rows_max).await?;
            output::listing(&rows.into(), format.output, COLUMNS)
        }
        Action::Show(ShowArguments { id, format }) => {
            let session = client.get(&ids::path(client, Kind::Session, id).await?).await?;
            output::one(&session, format.output, page)
        }
        Action::Kill(KillArguments { id, reason }) => {
            let path = ids::path(client, Kind::Session, id).await?;
            let mut body = Map::new();
            if let Some(reason) = reason {
                body.insert("reason".to_owned(), reason.clone().into());
            }
            client.post(&format!("{path}/kill"), Some(&Value::Object(body))).await?;
            output::talk("killed");
            Ok(())
        }
    }
}

/// One session for people: every field that has a value.
fn page(session: &Value) -> String {
    const FIELDS: [(&str, &str); 13] = [
        ("session", "id"),
        ("state", "state"),
        ("user", "user"),
        ("issuer", "issuer"),
        ("subject", "subject"),
        ("connection", "connection"),
        ("operations", "operations"),
        ("model", "model"),
        ("rule", "rule"),
        ("grants", "grants"),
        ("approval", "approval"),
        ("node", "node"),
        ("from", "peer"),
    ];
    let mut page = Page::default();
    for (title, field) in FIELDS {
        let cell = output::cell(session, field);
        if cell != "-" {
            page.line(title, &word(&cell));
        }
    }
    page.line("begun", &at(session, "begun_ms"));
    page.text()
}
