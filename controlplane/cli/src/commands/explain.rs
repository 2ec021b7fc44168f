//! `penstock explain`: what would be decided, and why.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;
use crate::commands::token::{claims, not_empty, parse_claim};
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, OutputArguments};
use crate::{names, sources, yaml};

/// Arguments of `penstock explain`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock explain --user ada --groups engineers GET /llama/v1/models
  penstock explain --user ada --groups engineers POST /llama/v1/chat/completions --body chat.json
  penstock explain --issuer ci --user repo:acme/app:main --claim repository_id=4711 GET /llama/props

Nothing is sent to a model server. Exit code 0: it would pass; 3: it would be denied,
or somebody must agree first.")]
pub(crate) struct Arguments {
    /// Who asks, as `users` in rules match it
    #[arg(long, value_name = "USER", value_parser = not_empty)]
    user: String,
    /// Groups, separated by commas
    #[arg(long, value_name = "GROUPS", value_delimiter = ',', value_parser = not_empty)]
    groups: Vec<String>,
    /// A claim of the token; the value is read as JSON where it is JSON, else as text
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = parse_claim)]
    claims: Vec<(String, Value)>,
    /// Name of the issuer document; needed as soon as there is more than one
    #[arg(long, value_name = "ISSUER", value_parser = names::parse)]
    issuer: Option<String>,
    /// Method, as in GET or POST
    #[arg(value_parser = not_empty)]
    method: String,
    /// Path on the gateway, with its query: /connection/…
    #[arg(value_parser = path)]
    path: String,
    /// File with the request's body; - for standard input
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    #[command(flatten)]
    format: OutputArguments,
}

/// Prints the decision; a denial is exit code 3.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let answer = client.post("/api/v1/explain", Some(&question(arguments)?)).await?;
    match arguments.format.output {
        Format::Json => output::data(&output::json(&answer))?,
        Format::Yaml => output::data(&yaml::emit(&answer))?,
        Format::Table => output::data(&story(&answer))?,
    }
    match answer.get("decision").and_then(Value::as_str) {
        Some("allow") => Ok(()),
        Some(_) => Err(Failure::silent(Exit::Denied)),
        None => Err(Failure::failed("the answer holds no decision")),
    }
}

fn question(arguments: &Arguments) -> Result<Value, Failure> {
    let mut question = json!({
        "user": arguments.user,
        "groups": arguments.groups,
        "claims": claims(&arguments.claims)?,
        "method": arguments.method,
        "path": arguments.path,
    });
    if let Some(map) = question.as_object_mut() {
        if let Some(issuer) = &arguments.issuer {
            map.insert("issuer".to_owned(), issuer.clone().into());
        }
        if let Some(file) = &arguments.body {
            map.insert("body".to_owned(), sources::read_text(file)?.into());
        }
    }
    Ok(question)
}

/// The decision for people: what, by which rule, and the steps that led there.
fn story(answer: &Value) -> String {
    const FIELDS: [(&str, &str); 9] = [
        ("decision", "decision"),
        ("status", "status"),
        ("code", "code"),
        ("rule", "rule"),
        ("connection", "connection"),
        ("operations", "operations"),
        ("risk", "risk"),
        ("model", "model"),
        ("why", "message"),
    ];
    let mut out = String::new();
    for (title, field) in FIELDS {
        let cell = output::printable(&output::cell(answer, field), false);
        if cell != "-" || field == "rule" {
            let cell = if cell == "-" { "none" } else { &cell };
            out.push_str(&format!("{title:<12}{cell}\n"));
        }
    }
    let steps = answer.get("steps").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, step) in steps.iter().filter_map(Value::as_str).enumerate() {
        let title = if index == 0 { "steps" } else { "" };
        out.push_str(&format!("{title:<12}{}. {}\n", index + 1, output::printable(step, false)));
    }
    out
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("a path on the gateway begins with /, as in /llama/v1/models".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_without_a_rule_says_so() {
        let story = story(&json!({
            "decision": "deny", "status": 403, "rule": null, "operations": ["infer.chat"],
            "message": "no rule allows it", "steps": ["one", "two"],
        }));
        assert!(story.contains("rule        none\n"), "{story}");
        assert!(story.contains("why         no rule allows it\n"), "{story}");
        assert!(story.ends_with("steps       1. one\n            2. two\n"), "{story}");
    }
}
