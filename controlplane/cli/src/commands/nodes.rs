//! `penstock nodes`: data planes, what they enforce, and how their upstreams do.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use crate::client::Client;
use crate::commands::versions::at;
use crate::failure::Failure;
use crate::output::{self, Column, OutputArguments};
use crate::{names, private_files};

/// What to do with nodes.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  penstock nodes list
  penstock nodes join-file --out join.json   for `join_file` in a data plane's settings; used once
  penstock nodes delete node-0011223344556677
                                             its certificate is a stranger's from then on")]
pub(crate) enum Action {
    /// List nodes: the version that each core enforces, and upstream health
    List(OutputArguments),
    /// Make a file with which one new data plane joins; it holds a one-time token
    JoinFile {
        /// Where to write it, readable by its owner alone [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Remove a node: it gets no more documents or secrets
    Delete {
        /// Its id, as `penstock nodes list` shows it
        #[arg(value_parser = names::parse)]
        id: String,
    },
}

/// Lists nodes, makes a join file, or removes a node.
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
        Action::JoinFile { out } => {
            let file = client.post("/api/v1/nodes/join-files", None).await?;
            let text = output::json(&file);
            match out {
                Some(path) => private_files::write(path, text.as_bytes()),
                None => output::data(&text),
            }
        }
        Action::Delete { id } => {
            client.delete(&format!("/api/v1/nodes/{id}")).await?;
            output::data(&format!("node {id} deleted\n"))
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
