//! `penstock grants`: permissions that were approved.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::access::ActAs;
use crate::client::Client;
use crate::commands::GRANT_STATES;
use crate::commands::approvals::story::{self, person, words};
use crate::commands::revoke::HowArguments;
use crate::commands::versions::at;
use crate::failure::Failure;
use crate::ids::{self, Kind};
use crate::listing;
use crate::output::{self, Column, OutputArguments};
use crate::terminal::{Page, word};

/// Newest grants that are listed without `--all`.
const ROWS: usize = 200;

/// Arguments of `penstock grants`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock grants list --only active
  penstock grants show grt-3f09c1
  penstock grants revoke grt-3f09c1 --reason \"the laptop was stolen\" --wait
  penstock grants return grt-3f09c1            one's own, when it is not needed any more

A revoked or returned grant lets nothing through any more, and cuts what runs under it.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) act_as: ActAs,
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to do with grants.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List grants
    List(ListArguments),
    /// Show one grant
    Show(ShowArguments),
    /// End a grant and cut what runs under it
    Revoke(RevokeArguments),
    /// Give a grant of one's own back, and cut what runs under it
    Return(IdArguments),
}

/// Arguments of `penstock grants list`.
#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(GRANT_STATES))]
    only: Option<String>,
    /// All that are kept, not only the newest 200
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    format: OutputArguments,
}

/// Arguments of `penstock grants show`.
#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    id: IdArguments,
    #[command(flatten)]
    format: OutputArguments,
}

/// Arguments of `penstock grants revoke`.
#[derive(Args, Debug)]
pub(crate) struct RevokeArguments {
    #[command(flatten)]
    id: IdArguments,
    #[command(flatten)]
    how: HowArguments,
}

/// Which grant.
#[derive(Args, Debug)]
pub(crate) struct IdArguments {
    /// Id of the grant, or its beginning
    #[arg(value_parser = ids::parse)]
    id: String,
}

/// Lists, shows, revokes or gives back.
pub(crate) async fn run(client: &Client, action: &Action) -> Result<(), Failure> {
    match action {
        Action::List(arguments) => list(client, arguments).await,
        Action::Show(ShowArguments { id, format }) => {
            let grant = client.get(&ids::path(client, Kind::Grant, &id.id).await?).await?;
            output::one(&grant, format.output, page)
        }
        Action::Revoke(RevokeArguments { id, how }) => {
            let path = ids::path(client, Kind::Grant, &id.id).await?;
            how.revoke(client, &format!("{path}/revoke"), Map::new()).await
        }
        Action::Return(IdArguments { id }) => {
            let path = ids::path(client, Kind::Grant, id).await?;
            client.post(&format!("{path}/return"), None).await?;
            output::talk("given back");
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
        ("OPERATIONS", crate::commands::approvals::operations),
        ("MODELS", |row| output::cell(row, "models")),
        ("USES", uses),
        ("ENDS", |row| at(row, "ends_ms")),
        ("APPROVAL", |row| output::cell(row, "approval")),
    ];
    let rows_max = (!arguments.all).then_some(ROWS);
    let state = arguments.only.as_deref();
    let rows = listing::newest(client, Kind::Grant.path(), state, rows_max).await?;
    output::listing(&rows.into(), arguments.format.output, COLUMNS)
}

/// `2/5`.
fn uses(row: &Value) -> String {
    format!("{}/{}", output::cell(row, "uses"), output::cell(row, "uses_max"))
}

/// One grant for people.
fn page(grant: &Value) -> String {
    let text = |field: &str| grant.get(field).and_then(Value::as_str).unwrap_or_default();
    let names = |field: &str| {
        let items = grant.get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let items: Vec<String> =
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        words(&items)
    };
    let number = |field: &str| grant.get(field).and_then(Value::as_u64);
    let mut page = Page::default();
    page.line("grant", &word(text("id")));
    page.line("state", &word(text("state")));
    page.line("whose", &person(text("user"), text("issuer")));
    page.line("connection", &word(text("connection")));
    page.line("operations", &names("operations"));
    let or_unnamed = grant.get("or_unnamed").and_then(Value::as_bool).unwrap_or(false);
    let or_unnamed = if or_unnamed { ", and requests that name none" } else { "" };
    page.line("models", &format!("{}{or_unnamed}", names("models")));
    if grant.get("break_glass").and_then(Value::as_bool).unwrap_or(false) {
        page.line("BREAK-GLASS", "nobody approved it beforehand");
    }
    if !text("digest").is_empty() {
        page.line("digest", &format!("{}: good for this request alone", word(text("digest"))));
    }
    page.line("rules", &names("rules"));
    let (taken, most) = (number("uses").unwrap_or(0), number("uses_max").unwrap_or(0));
    page.line("uses", &format!("{taken} of {most}"));
    let minutes = story::minutes(number("minutes").unwrap_or(0));
    page.line("time", &format!("{minutes} from the first use"));
    let times = [
        ("granted", "granted_ms"),
        ("use by", "use_by_ms"),
        ("first used", "first_used_ms"),
        ("ends", "ends_ms"),
    ];
    for (title, field) in times {
        if number(field).is_some() {
            page.line(title, &at(grant, field));
        }
    }
    page.line("approval", &format!("{}: penstock approvals show {0}", word(text("approval"))));
    if !text("extends").is_empty() {
        page.line("extends", &word(text("extends")));
    }
    if let Some(ended) = grant.get("ended").filter(|ended| !ended.is_null())
        && let Ok(ended) = serde_json::from_value(ended.clone())
    {
        story::end(&mut page, &ended);
    }
    page.text()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_grant_is_shown_with_what_it_allows_and_how_it_ended() {
        let page = page(&json!({
            "id": "grt-1", "state": "revoked", "user": "ann", "issuer": "company",
            "connection": "llama", "operations": ["infer.chat"], "models": ["*"], "rules": ["r"],
            "uses": 2, "uses_max": 5, "minutes": 30, "granted_ms": 951_782_400_000_u64,
            "ends_ms": null, "approval": "apr-1",
            "ended": {"at_ms": 951_782_400_000_u64, "by": {"issuer": "company", "subject": "bob"},
                "cause": "revoked", "note": "stolen\u{1b}[2J"}
        }));
        for text in ["ann of company", "2 of 5", "30 minutes from", "revoked, by bob of company"] {
            assert!(page.contains(text), "{text:?} is missing:\n{page}");
        }
        assert!(page.contains("\"stolen\\u{1b}[2J\""), "{page}");
    }
}
