//! `penstock apply`: publishes documents as one version, or says every problem.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::Source;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Format, OutputArguments};
use crate::{duration, enforcement, sources, yaml};

/// Arguments of `penstock apply`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock apply -f policy/                       the .yaml, .yml and .json files of a folder
  penstock apply -f base.yaml -f team.yaml --wait
  penstock apply -f policy/ --prune --dry-run     what would change, and what would be removed
  generate-policy | penstock apply -f -

All files are one set: it is published whole as one version, or every problem is said and nothing
changes. Documents in force that the files lack are listed; only --prune removes them.")]
pub(crate) struct Arguments {
    /// A file, a folder, or - for standard input
    #[arg(short, long = "file", required = true, value_name = "FILE|DIR", num_args = 1..)]
    files: Vec<PathBuf>,
    /// Remove documents in force that the files lack
    #[arg(long)]
    prune: bool,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Only if this version is in force; otherwise exit 5
    #[arg(long, value_name = "N")]
    expect_version: Option<u64>,
    /// Wait until every core of every node enforces it; exit 1 names the nodes that don't
    #[arg(long)]
    wait: bool,
    /// How long --wait waits
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    timeout: Duration,
    #[command(flatten)]
    format: OutputArguments,
}

/// Answer of `POST /api/v1/documents/apply`.
#[derive(Debug, Deserialize)]
pub(crate) struct Applied {
    /// The version in force after it; with `--dry-run` the one in force now.
    pub(crate) version: u64,
    #[serde(default)]
    changed: Vec<Value>,
    #[serde(default)]
    absent: Vec<Named>,
    /// Warnings, with their places.
    #[serde(default)]
    pub(crate) warnings: Vec<Diagnostic>,
}

#[derive(Debug, Deserialize)]
struct Named {
    kind: String,
    name: String,
}

/// Publishes, tells what changed, and waits if asked to.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let sources = sources::read(&arguments.files)?;
    let mut question = json!({
        "sources": sources,
        "prune": arguments.prune,
        "dry_run": arguments.dry_run,
    });
    if let (Some(version), Some(map)) = (arguments.expect_version, question.as_object_mut()) {
        map.insert("expect_version".to_owned(), version.into());
    }
    let (answer, applied) = send(client, &question).await?;
    for warning in &applied.warnings {
        output::talk(&format!("warning: {warning}"));
    }
    show(&answer, &applied, arguments.format.output)?;
    tell(&applied, arguments);
    if arguments.wait && !arguments.dry_run {
        enforcement::wait(client, applied.version, arguments.timeout, None).await?;
        output::talk(&format!("version {} is enforced by every core", applied.version));
    }
    Ok(())
}

/// Publishes sources as one set, as `penstock dev --apply` does.
pub(crate) async fn publish(client: &Client, sources: &[Source]) -> Result<Applied, Failure> {
    Ok(send(client, &json!({ "sources": sources })).await?.1)
}

async fn send(client: &Client, question: &Value) -> Result<(Value, Applied), Failure> {
    let answer = client.post("/api/v1/documents/apply", Some(question)).await.map_err(summed)?;
    let applied = Applied::deserialize(&answer)
        .map_err(|error| Failure::failed(format!("the answer can't be understood: {error}")))?;
    Ok((answer, applied))
}

/// Every problem was listed: the error itself counts them.
fn summed(failure: Failure) -> Failure {
    match failure.details.len() {
        0 => failure,
        1 => Failure { message: "1 problem: nothing was changed".to_owned(), ..failure },
        count => Failure { message: format!("{count} problems: nothing was changed"), ..failure },
    }
}

fn show(answer: &Value, applied: &Applied, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::data(&output::json(answer)),
        Format::Yaml => output::data(&yaml::emit(answer)),
        Format::Table => {
            let cell =
                |row: &Value, field: &str| output::printable(&output::cell(row, field), false);
            let mut lines = String::new();
            for row in &applied.changed {
                let (kind, name) = (cell(row, "kind"), cell(row, "name"));
                lines.push_str(&format!("{kind}/{name} {}\n", cell(row, "change")));
            }
            output::data(&lines)
        }
    }
}

fn tell(applied: &Applied, arguments: &Arguments) {
    if !arguments.prune && !applied.absent.is_empty() {
        output::talk("in force, but not in these files (--prune removes them):");
        for Named { kind, name } in &applied.absent {
            output::talk(&format!("  {kind}/{name}"));
        }
    }
    if arguments.dry_run {
        output::talk("dry run: nothing was changed");
    } else {
        output::talk(&format!("version {} is in force", applied.version));
    }
}
