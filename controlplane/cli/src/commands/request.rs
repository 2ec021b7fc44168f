//! `penstock request`: access ahead of time.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::access::ActAs;
use crate::client::Client;
use crate::commands::approvals;
use crate::commands::token::not_empty;
use crate::failure::{Exit, Failure};
use crate::ids::{self, Kind};
use crate::output::{self, OutputArguments};
use crate::{duration, names};

/// Between two looks at an approval.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Arguments of `penstock request`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock request llama --operations adapter.load --for 30m --reason \"new adapter for the demo\"
  penstock request llama --operations infer.chat,list --models 'qwen*' --for 2h --uses 50 --wait
  penstock request llama --operations infer.chat --for 1h --extends grt-3f09c1 --reason \"not done\"

The time begins with the first use. What was asked for can be approved in part, never in excess.
With --wait it ends when reviewers have answered: exit code 0 approved, 3 not.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) act_as: ActAs,
    /// Name of the connection
    #[arg(value_parser = names::parse)]
    connection: String,
    /// Operations, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true,
        value_parser = not_empty)]
    operations: Vec<String>,
    /// Models, names or globs, separated by commas [default: as the rules allow]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = not_empty)]
    models: Vec<String>,
    /// How long from the first use on: whole minutes, as in 30m or 2h
    #[arg(long = "for", value_name = "TIME", value_parser = whole_minutes)]
    minutes: u64,
    /// How many uses [default: as many as the rules give]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    uses: Option<u64>,
    /// Why; rules may require it
    #[arg(long, value_name = "TEXT", value_parser = not_empty)]
    reason: Option<String>,
    /// A ticket; rules may require it
    #[arg(long, value_name = "TEXT", value_parser = not_empty)]
    ticket: Option<String>,
    /// The grant that this extends
    #[arg(long, value_name = "GRANT", value_parser = ids::parse)]
    extends: Option<String>,
    /// Wait until reviewers have answered
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    format: OutputArguments,
}

/// Asks, and waits for the answer where that is wanted.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let body = body(client, arguments).await?;
    let mut approval = client.post("/api/v1/access-requests", Some(&body)).await?;
    let id = approval.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    if arguments.wait && is_pending(&approval) {
        let id = ids::parse(&id).map_err(|_| Failure::failed("the answer names no approval"))?;
        output::talk(&format!("{id} waits for an answer"));
        while is_pending(&approval) {
            sleep(LOOK_EVERY).await;
            approval = client.get(&format!("{}/{id}", Kind::Approval.path())).await?;
        }
    }
    approvals::print(&approval, arguments.format.output)?;
    if arguments.wait { outcome(&approval) } else { Ok(()) }
}

async fn body(client: &Client, arguments: &Arguments) -> Result<Value, Failure> {
    let mut body = Map::new();
    body.insert("connection".to_owned(), arguments.connection.clone().into());
    body.insert("operations".to_owned(), arguments.operations.clone().into());
    body.insert("minutes".to_owned(), arguments.minutes.into());
    if !arguments.models.is_empty() {
        body.insert("models".to_owned(), arguments.models.clone().into());
    }
    if let Some(uses) = arguments.uses {
        body.insert("uses".to_owned(), uses.into());
    }
    if let Some(grant) = &arguments.extends {
        let grant = ids::resolve(client, Kind::Grant, grant).await?;
        body.insert("extends".to_owned(), grant.into());
    }
    let texts = [("reason", &arguments.reason), ("ticket", &arguments.ticket)];
    for (name, text) in texts {
        if let Some(text) = text {
            body.insert(name.to_owned(), text.clone().into());
        }
    }
    Ok(Value::Object(body))
}

fn is_pending(approval: &Value) -> bool {
    approval.get("state").and_then(Value::as_str) == Some("pending")
}

/// How the command ends after the answer.
fn outcome(approval: &Value) -> Result<(), Failure> {
    match approval.get("state").and_then(Value::as_str) {
        Some("approved" | "active" | "spent") => Ok(()),
        Some(state) => Err(Failure::new(Exit::Denied, format!("it is {state}"))),
        None => Err(Failure::failed("the answer says no state")),
    }
}

/// Reads a duration that is a whole number of minutes.
///
/// # Errors
/// A sentence for the person who typed it.
fn whole_minutes(text: &str) -> Result<u64, String> {
    let seconds = duration::parse(text)?;
    let whole = seconds.as_secs() % 60 == 0 && seconds.subsec_nanos() == 0;
    match seconds.as_secs() / 60 {
        minutes if minutes > 0 && whole => Ok(minutes),
        _ => Err("expected whole minutes, at least one, as in 30m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_whole_minutes() {
        assert_eq!(whole_minutes("30m"), Ok(30));
        assert_eq!(whole_minutes("2h"), Ok(120));
        assert_eq!(whole_minutes("120s"), Ok(2));
        for text in ["0m", "30s", "90s", "1ms", "30"] {
            assert!(whole_minutes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_an_approved_request_is_a_success() {
        for (state, exit) in [("approved", None), ("active", None), ("denied", Some(Exit::Denied))]
        {
            let ended = outcome(&json!({"state": state}));
            assert_eq!(ended.err().map(|failure| failure.exit), exit, "{state}");
        }
        for state in ["expired", "withdrawn", "revoked"] {
            assert_eq!(outcome(&json!({"state": state})).unwrap_err().exit, Exit::Denied);
        }
        assert_eq!(outcome(&json!({})).unwrap_err().exit, Exit::Failed);
    }
}
