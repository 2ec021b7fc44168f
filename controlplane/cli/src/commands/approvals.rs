//! `penstock approvals`: questions that wait for people, and what became of them.

pub(crate) mod story;
pub(crate) mod view;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::access::ActAs;
use crate::client::Client;
use crate::commands::STATES;
use crate::commands::token::not_empty;
use crate::commands::versions::at;
use crate::failure::Failure;
use crate::ids::{self, Kind};
use crate::listing;
use crate::output::{self, Column, Format, OutputArguments};

/// Newest approvals that are listed without `--all`.
const ROWS: usize = 200;

/// Arguments of `penstock approvals`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock approvals list --only pending        what waits, those that end first on top
  penstock approvals show apr-3f09c1            everything that is to be known before an answer
  penstock approve apr-3f09c1                   and penstock deny apr-3f09c1 --reason WHY
  penstock approvals withdraw apr-3f09c1        a question of one's own
  penstock approvals justify apr-3f09c1 \"the model was down, and nobody was awake\"
  penstock approvals close-review apr-3f09c1    after somebody else broke the glass

An id may be cut to its first 6 characters or more, as long as only one approval begins so.
Without --output, texts of strangers are shown in quotation marks, and what could steer a terminal
as \\u{…}.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) act_as: ActAs,
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to do with approvals.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List approvals, those that wait first
    List(ListArguments),
    /// Show one approval: everything that is to be known before an answer
    Show(ShowArguments),
    /// Take back a question of one's own
    Withdraw(IdArguments),
    /// Say why the glass was broken
    Justify(JustifyArguments),
    /// Close the review of somebody else's broken glass
    CloseReview(IdArguments),
}

/// Arguments of `penstock approvals list`.
#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(STATES))]
    only: Option<String>,
    /// All that are kept, not only the newest 200
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    format: OutputArguments,
}

/// Arguments of `penstock approvals show`.
#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    id: IdArguments,
    #[command(flatten)]
    format: OutputArguments,
}

/// Which approval.
#[derive(Args, Debug)]
pub(crate) struct IdArguments {
    /// Id of the approval, or its beginning
    #[arg(value_parser = ids::parse)]
    id: String,
}

/// Arguments of `penstock approvals justify`.
#[derive(Args, Debug)]
pub(crate) struct JustifyArguments {
    #[command(flatten)]
    id: IdArguments,
    /// Why it could not wait
    #[arg(value_parser = not_empty)]
    text: String,
}

/// Lists, shows, withdraws, justifies or closes.
pub(crate) async fn run(client: &Client, action: &Action) -> Result<(), Failure> {
    match action {
        Action::List(arguments) => list(client, arguments).await,
        Action::Show(ShowArguments { id, format }) => {
            print(&fetch(client, &id.id).await?, format.output)
        }
        Action::Withdraw(IdArguments { id }) => {
            post(client, id, "withdraw", None).await?;
            output::talk("withdrawn");
            Ok(())
        }
        Action::Justify(JustifyArguments { id, text }) => {
            post(client, &id.id, "justify", Some(&json!({"text": text}))).await?;
            output::talk("justified; somebody else closes the review");
            Ok(())
        }
        Action::CloseReview(IdArguments { id }) => {
            post(client, id, "close", None).await?;
            output::talk("the review is closed");
            Ok(())
        }
    }
}

async fn list(client: &Client, arguments: &ListArguments) -> Result<(), Failure> {
    const COLUMNS: &[Column] = &[
        ("ID", |row| output::cell(row, "id")),
        ("STATE", |row| output::cell(row, "state")),
        ("USER", |row| output::cell(row, "user")),
        ("CONNECTION", |row| output::cell(row, "connection")),
        ("OPERATIONS", operations),
        ("MODELS", |row| output::cell(row, "models")),
        ("ASKED", |row| at(row, "asked_ms")),
        ("DECIDE BY", |row| at(row, "decide_by_ms")),
        ("REASON", |row| output::cell(row, "reason")),
    ];
    let rows_max = (!arguments.all).then_some(ROWS);
    let state = arguments.only.as_deref();
    let mut rows = listing::newest(client, Kind::Approval.path(), state, rows_max).await?;
    waiting_first(&mut rows);
    output::listing(&rows.into(), arguments.format.output, COLUMNS)
}

/// Those that wait, the ones that end first on top; then the others in the order in which they
/// came.
fn waiting_first(rows: &mut [Value]) {
    rows.sort_by_key(|row| match row.get("state").and_then(Value::as_str) {
        Some("pending") => row.get("decide_by_ms").and_then(Value::as_u64).unwrap_or(0),
        Some(_) | None => u64::MAX,
    });
}

/// Names of operations, whether with a risk or alone.
pub(crate) fn operations(row: &Value) -> String {
    let operations = row.get("operations").and_then(Value::as_array);
    let names: Vec<&str> = operations
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(|operation| operation.as_str().or_else(|| operation.get("name")?.as_str()))
        .collect();
    if names.is_empty() { "-".to_owned() } else { names.join(",") }
}

async fn post(
    client: &Client,
    id: &str,
    action: &str,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let path = ids::path(client, Kind::Approval, id).await?;
    client.post(&format!("{path}/{action}"), body).await
}

/// The approval that an id, or its beginning, stands for.
pub(crate) async fn fetch(client: &Client, id: &str) -> Result<Value, Failure> {
    client.get(&ids::path(client, Kind::Approval, id).await?).await
}

/// Prints one approval.
pub(crate) fn print(approval: &Value, format: Format) -> Result<(), Failure> {
    output::one(approval, format, story::story)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_stands_on_top_and_what_ends_first_before_the_rest() {
        let mut rows = [
            json!({"id": 1, "state": "spent"}),
            json!({"id": 2, "state": "pending", "decide_by_ms": 9}),
            json!({"id": 3, "state": "denied"}),
            json!({"id": 4, "state": "pending", "decide_by_ms": 7}),
        ];
        waiting_first(&mut rows);
        let order: Vec<u64> = rows.iter().filter_map(|row| row["id"].as_u64()).collect();
        assert_eq!(order, [4, 2, 1, 3]);
    }
}
