//! `penstock nodes`: data planes, what they enforce, and how their upstreams do.

use clap::Subcommand;
use serde_json::Value;

use crate::client::Client;
use crate::commands::versions::at;
use crate::failure::Failure;
use crate::output::{self, Column, OutputArguments};

/// What to do with nodes.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  penstock nodes list
  penstock nodes join-file > join.json     for `join_file` in a data plane's settings; used once")]
pub(crate) enum Action {
    /// List nodes: the version that each core enforces, and upstream health
    List(OutputArguments),
    /// Print a file with which one new data plane joins; it holds a one-time token
    JoinFile,
}

/// Lists nodes, or prints a join file.
pub(crate) async fn run(client: &Client, action: &Action) -> Result<(), Failure> {
    const COLUMNS: &[Column] = &[
        ("ID", |row| output::cell(row, "id")),
        ("NAME", |row| output::cell(row, "name")),
        ("CONNECTED", |row| output::cell(row, "connected")),
        ("VERSIONS", versions),
        ("ENFORCED", |row| at(row, "enforced_at_ms")),
        ("UPSTREAMS", upstreams),
        ("LISTEN", |row| output::cell(row, "listen")),
        ("LAST SEEN", |row| at(row, "last_seen_ms")),
        ("PROGRAM", |row| output::cell(row, "program")),
        ("REFUSED", |row| output::cell(row, "refused")),
    ];
    match action {
        Action::List(format) => {
            output::listing(&client.get("/api/v1/nodes").await?, format.output, COLUMNS)
        }
        Action::JoinFile => {
            let file = client.post("/api/v1/nodes/join-files", None).await?;
            output::data(&output::json(&file))
        }
    }
}

/// The version of every core, by core index.
fn versions(row: &Value) -> String {
    joined(row, "cores", |core| output::cell(core, "version"))
}

/// Every upstream and its state.
fn upstreams(row: &Value) -> String {
    joined(row, "upstreams", |upstream| {
        let cell = |field| output::cell(upstream, field);
        format!("{}@{}={}", cell("connection"), cell("endpoint"), cell("state"))
    })
}

fn joined(row: &Value, field: &str, cell: fn(&Value) -> String) -> String {
    match row.get(field).and_then(Value::as_array) {
        Some(items) if !items.is_empty() => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        Some(_) | None => "-".to_owned(),
    }
}
