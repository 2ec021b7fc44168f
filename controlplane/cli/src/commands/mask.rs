//! `penstock mask`: tries a mask on a text, and lists what masks can look for.

mod costs;
mod document;
mod report;
mod written;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use penstock_mask::catalogue;
use serde_json::{Value, json};

use crate::access::{self, Target};
use crate::failure::Failure;
use crate::output::{self, Column, OutputArguments};
use crate::{names, sources};
use document::Tried;

/// What to do with masks.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show what a mask would hide in a text and why, and what the mask costs
    Test(TestArguments),
    /// List the detectors that masks can name, and what each of them finds
    Detectors(DetectorsArguments),
}

/// Arguments of `penstock mask detectors`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock mask detectors
  penstock mask detectors --output json | jq -r '.[].name'

Nobody is asked: the list is that of this program. `detectors: [\"*\"]` of a mask is all of them,
and `penstock mask test` says which of them found what in a text.")]
pub(crate) struct DetectorsArguments {
    #[command(flatten)]
    format: OutputArguments,
}

/// Arguments of `penstock mask test`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock mask test --mask pii answer.txt             a mask in force, on a text of yours
  penstock mask test -f policy/pii.yaml answer.txt     before it is applied; asks nobody
  penstock mask test -f pii.yaml answer.txt --masked   the masked text alone
  ollama run llama3 'Invent a customer.' | penstock mask test --mask pii -

The text is masked as one answer. A value is shown as it would be written, and only with
--show-values as it stands in the text. `fields`, overrides for `subjects` and the analyser are left
out, and a note says so. The costs are of this text in pieces of 4 characters: what
a stream holds back, and how fast one core masks on this machine.")]
pub(crate) struct TestArguments {
    /// Name of the mask; not needed with -f where there is only one
    #[arg(long, value_name = "NAME", value_parser = names::parse,
        required_unless_present = "documents")]
    mask: Option<String>,
    /// Take the mask from this file or folder, and not from a control plane
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR", num_args = 1)]
    documents: Vec<PathBuf>,
    /// As on this connection: with the overrides that name it
    #[arg(long, value_name = "CONNECTION", value_parser = names::parse)]
    connection: Option<String>,
    /// Print the masked text and nothing else
    #[arg(long, conflicts_with_all = ["show_values", "output"])]
    masked: bool,
    /// Show the values themselves too
    #[arg(long)]
    show_values: bool,
    /// The text, UTF-8, at most 16 MiB; - for standard input
    #[arg(value_name = "FILE")]
    text: PathBuf,
    #[command(flatten)]
    format: OutputArguments,
}

/// Tries a mask, or lists detectors.
pub(crate) async fn run(target: &Target, action: &Action) -> Result<(), Failure> {
    match action {
        Action::Test(arguments) => test(target, arguments).await,
        Action::Detectors(arguments) => detectors(arguments),
    }
}

/// The catalogue, by name.
fn detectors(arguments: &DetectorsArguments) -> Result<(), Failure> {
    const COLUMNS: &[Column] =
        &[("NAME", |row| output::cell(row, "name")), ("ABOUT", |row| output::cell(row, "about"))];
    let mut known: Vec<_> = catalogue::catalogue().iter().collect();
    known.sort_unstable_by_key(|detector| detector.name);
    let rows: Vec<Value> = known
        .into_iter()
        .map(|detector| json!({"name": detector.name, "about": detector.about}))
        .collect();
    output::listing(&Value::from(rows), arguments.format.output, COLUMNS)
}

async fn test(target: &Target, arguments: &TestArguments) -> Result<(), Failure> {
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    if is_stdin(&arguments.text) && arguments.documents.iter().any(is_stdin) {
        return Err(Failure::usage("documents and text can't both come from standard input"));
    }
    let mask = match (&arguments.mask, arguments.documents.as_slice()) {
        (name, [_, ..]) => document::of_files(&arguments.documents, name.as_deref())?,
        (Some(name), []) => document::in_force(&access::find(target)?, name).await?,
        (None, []) => return Err(Failure::usage("no mask is named")),
    };
    let text = sources::read_text(&arguments.text)?;
    let tried = Tried::new(&mask, arguments.connection.as_deref())?;
    if arguments.masked {
        return masked(&tried, &text);
    }
    let report = report::of(&tried, &text, arguments.show_values);
    output::one(&report, arguments.format.output, report::story)
}

/// The masked text as it is, so that it can be compared; a terminal gets nothing that steers it.
fn masked(tried: &Tried<'_>, text: &str) -> Result<(), Failure> {
    let masked = tried.masked(text);
    if std::io::stdout().is_terminal() {
        output::data(&output::printable(&masked, true))
    } else {
        output::data(&masked)
    }
}
