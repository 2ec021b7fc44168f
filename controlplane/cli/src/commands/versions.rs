//! `penstock versions`: history of the documents.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::Client;
use crate::commands::get;
use crate::failure::Failure;
use crate::output::{self, Column, Format, OutputArguments};
use crate::timestamp;

/// What to do with versions.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  penstock versions list
  penstock versions show 3 > old.yaml
  penstock versions rollback 3        a new version with the content of version 3")]
pub(crate) enum Action {
    /// List versions: when, by whom, what
    List(OutputArguments),
    /// Show the documents of one version
    Show(ShowArguments),
    /// Publish the content of an old version as a new one
    Rollback {
        /// Number of the old version
        version: u64,
    },
}

/// Arguments of `penstock versions show`.
#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// Number of the version
    version: u64,
    /// How to print the documents
    #[arg(long, short, value_enum, default_value = "yaml", value_name = "FORMAT")]
    output: Format,
}

/// Lists, shows or restores.
pub(crate) async fn run(client: &Client, action: &Action) -> Result<(), Failure> {
    const COLUMNS: &[Column] = &[
        ("VERSION", |row| output::cell(row, "version")),
        ("AT", |row| at(row, "at_ms")),
        ("BY", actor),
        ("SUMMARY", |row| output::cell(row, "summary")),
    ];
    match action {
        Action::List(format) => {
            output::listing(&client.get("/api/v1/versions").await?, format.output, COLUMNS)
        }
        Action::Show(arguments) => {
            let path = format!("/api/v1/versions/{}", arguments.version);
            let answer = client.get(&path).await?;
            let documents = answer.get("documents").cloned();
            get::show(&documents.unwrap_or(Value::Array(Vec::new())), arguments.output)
        }
        Action::Rollback { version } => {
            let path = format!("/api/v1/versions/{version}/rollback");
            let answer = client.post(&path, None).await?;
            let new = output::cell(&answer, "version");
            output::talk(&format!("version {new} is in force, with the content of {version}"));
            Ok(())
        }
    }
}

/// Whose version it is: the issuer document's name and the subject.
fn actor(row: &Value) -> String {
    match row.get("actor") {
        Some(actor @ Value::Object(_)) => {
            let (issuer, subject) = (output::cell(actor, "issuer"), output::cell(actor, "subject"));
            if issuer.is_empty() { subject } else { format!("{issuer}/{subject}") }
        }
        Some(_) | None => output::cell(row, "actor"),
    }
}

/// A field with milliseconds since the Unix epoch, for people.
pub(crate) fn at(row: &Value, field: &str) -> String {
    match row.get(field).and_then(Value::as_u64) {
        Some(at_ms) if at_ms > 0 => timestamp::utc(at_ms),
        Some(_) | None => "-".to_owned(),
    }
}
