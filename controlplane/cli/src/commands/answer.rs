//! `penstock approve` and `penstock deny`.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::access::ActAs;
use crate::client::Client;
use crate::commands::approvals;
use crate::commands::approvals::story::{self, Widening};
use crate::commands::approvals::view::Approval;
use crate::commands::token::not_empty;
use crate::failure::{Exit, Failure};
use crate::ids::{self, Kind};
use crate::output;

/// Arguments of `penstock approve`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock approve apr-3f09c1                            this request, once
  penstock approve apr-3f09c1 --uses 5 --minutes 20      a grant: the held request is its first use
  penstock approve apr-3f09c1 --operations infer.chat    less than what was asked for

What exactly an answer allows is said on standard error before it is given. More than the rules
allow is refused. Who may answer is what the rules' reviewers say; nobody answers a question of
their own. A question that has ended, or that you have answered, is exit code 5, one that is not
yours to answer 3, and one that you may not see 4, as if there were none.")]
pub(crate) struct ApproveArguments {
    #[command(flatten)]
    pub(crate) act_as: ActAs,
    /// Id of the approval, or its beginning
    #[arg(value_parser = ids::parse)]
    id: String,
    /// Minutes from the first use
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,
    /// Uses in all, the held request included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    uses: Option<u64>,
    /// Only these of the operations that were asked for, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = not_empty)]
    operations: Vec<String>,
}

/// Arguments of `penstock deny`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock deny apr-3f09c1 --reason \"not on a Friday; ask again on Monday\"

One answer of no is enough. Whoever asked reads the reason.")]
pub(crate) struct DenyArguments {
    #[command(flatten)]
    pub(crate) act_as: ActAs,
    /// Id of the approval, or its beginning
    #[arg(value_parser = ids::parse)]
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = not_empty)]
    reason: String,
}

/// Says what it allows, and answers yes.
pub(crate) async fn approve(client: &Client, arguments: &ApproveArguments) -> Result<(), Failure> {
    let id = ids::resolve(client, Kind::Approval, &arguments.id).await?;
    let ApproveArguments { minutes, uses, operations, .. } = arguments;
    let widening = Widening { minutes: *minutes, uses: *uses, operations };
    match approvals::fetch(client, &id).await {
        Ok(shown) => say(&shown, &widening)?,
        // Who may not see it may not answer it either: the control plane says which it is.
        Err(failure) if failure.exit == Exit::NotFound => {}
        Err(failure) => return Err(failure),
    }
    let mut body = Map::new();
    if let Some(minutes) = minutes {
        body.insert("minutes".to_owned(), (*minutes).into());
    }
    if let Some(uses) = uses {
        body.insert("uses".to_owned(), (*uses).into());
    }
    if !operations.is_empty() {
        body.insert("operations".to_owned(), operations.clone().into());
    }
    let path = format!("{}/{id}/approve", Kind::Approval.path());
    let answer = client.post(&path, Some(&Value::Object(body))).await?;
    output::talk(&after(&answer));
    Ok(())
}

/// Says what an answer would allow, while it still can be given.
fn say(shown: &Value, widening: &Widening<'_>) -> Result<(), Failure> {
    let shown: Approval = serde_json::from_value(shown.clone())
        .map_err(|_| Failure::failed("the approval can't be understood"))?;
    if shown.state == "pending" {
        output::talk(&format!("allows: {}", story::allows(&shown, widening)));
        if shown.votes.iter().any(|vote| vote.vote == "approve") {
            output::talk("and less where somebody else gave less: all answers together count");
        }
    }
    Ok(())
}

/// Answers no.
pub(crate) async fn deny(client: &Client, arguments: &DenyArguments) -> Result<(), Failure> {
    let path = ids::path(client, Kind::Approval, &arguments.id).await?;
    let body = json!({"reason": arguments.reason});
    client.post(&format!("{path}/deny"), Some(&body)).await?;
    output::talk("denied");
    Ok(())
}

/// Where the approval stands after a yes.
fn after(answer: &Value) -> String {
    let text = |field| answer.get(field).and_then(Value::as_str);
    match (text("state"), text("grant")) {
        (Some("pending"), _) => "your answer counts; more are needed".to_owned(),
        (_, Some(grant)) => format!("approved: grant {grant}"),
        _ => "approved".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_enough_says_so() {
        assert!(after(&json!({"state": "pending"})).contains("more are needed"));
        assert_eq!(after(&json!({"state": "approved", "grant": "grt-1"})), "approved: grant grt-1");
        assert_eq!(after(&Value::Null), "approved");
    }
}
