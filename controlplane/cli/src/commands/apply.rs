//! `penstock apply`: publishes documents as one version, or says every problem.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::Source;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::enforcement::Issue;
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
  penstock apply -f masks.yaml --cut-open --wait  no answer goes on under an older mask
  generate-policy | penstock apply -f -

All files are one set: it is published whole as one version, or every problem is said and nothing
changes. Documents in force that the files lack are listed; only --prune removes them.

A changed mask is for exchanges that begin later: those that run keep the mask they began under.
--cut-open ends them, a stream with an error event (code mask_changed), and with them what an apply
without it left running. The connections are listed, with --dry-run without cutting anything.")]
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
    /// End running exchanges that began under other masks than their connection has now
    #[arg(long)]
    cut_open: bool,
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
    /// The revision of its newest snapshot.
    #[serde(default)]
    revision: u64,
    #[serde(default)]
    changed: Vec<Value>,
    #[serde(default)]
    absent: Vec<Named>,
    /// Warnings, with their places.
    #[serde(default)]
    pub(crate) warnings: Vec<Diagnostic>,
    /// Names of connections whose masks changed.
    #[serde(default)]
    masks_changed: Vec<String>,
    /// Names of connections whose exchanges under earlier masks end.
    #[serde(default)]
    cut: Vec<String>,
}

impl Applied {
    /// What nodes enforce once they enforce all of it.
    pub(crate) fn issue(&self) -> Issue {
        Issue { version: self.version, revision: self.revision }
    }
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
        "cut_open": arguments.cut_open,
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
        enforcement::wait(client, applied.issue(), arguments.timeout, None).await?;
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
    tell_of_masks(applied, arguments);
    if arguments.dry_run {
        output::talk("dry run: nothing was changed");
    } else {
        output::talk(&format!("version {} is in force", applied.version));
    }
}

/// What becomes of exchanges that run under masks that are others now.
fn tell_of_masks(applied: &Applied, arguments: &Arguments) {
    let ends = if arguments.dry_run { "would end" } else { "end" };
    let connections = |count: usize| match count {
        1 => "1 connection".to_owned(),
        count => format!("{count} connections"),
    };
    let (names, what) = if arguments.cut_open {
        let what = match applied.cut.len() {
            0 => "no exchange runs under an earlier mask: nothing is cut".to_owned(),
            count => format!(
                "exchanges that began under earlier masks {ends} on {}:",
                connections(count)
            ),
        };
        (&applied.cut, what)
    } else {
        if applied.masks_changed.is_empty() {
            return;
        }
        let count = connections(applied.masks_changed.len());
        let what = format!(
            "masks of {count} change: exchanges that run keep the ones that they began under \
             (--cut-open ends them):"
        );
        (&applied.masks_changed, what)
    };
    output::talk(&what);
    for name in names {
        output::talk(&format!("  connection/{name}"));
    }
}
