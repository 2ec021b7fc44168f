//! `penstock get`: documents in force.

use clap::Args;
use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;
use crate::names::{self, Kind};
use crate::output::{self, Column, Format};

/// Arguments of `penstock get`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock get rule                                  all rules, as a table
  penstock get connection llama                      one document, as YAML
  penstock get rule --output json | jq '.[].name'
  penstock get rule --output yaml > rules.yaml       to be edited and applied again")]
pub(crate) struct Arguments {
    /// Kind of document
    #[arg(value_enum)]
    kind: Kind,
    /// Name of the document; all of that kind without it
    #[arg(value_parser = names::parse)]
    name: Option<String>,
    /// How to print it [default: table, and yaml for a single document]
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Prints documents.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let kind = arguments.kind.as_str();
    let Some(name) = &arguments.name else {
        let rows = client.get(&format!("/api/v1/documents?kind={kind}")).await?;
        return show(&rows, arguments.output.unwrap_or(Format::Table));
    };
    let row = client.get(&format!("/api/v1/documents/{kind}/{name}")).await?;
    match arguments.output.unwrap_or(Format::Yaml) {
        Format::Json => output::data(&output::json(document(&row))),
        format @ (Format::Table | Format::Yaml) => show(&Value::from(vec![row]), format),
    }
}

/// Prints rows of documents; as JSON and YAML the documents themselves.
pub(crate) fn show(rows: &Value, format: Format) -> Result<(), Failure> {
    const COLUMNS: &[Column] = &[
        ("KIND", |row| output::cell(row, "kind")),
        ("NAME", |row| output::cell(row, "name")),
        ("ORIGIN", |row| output::cell(row, "origin")),
    ];
    let items = rows.as_array().map_or(&[][..], Vec::as_slice);
    match format {
        Format::Table => output::listing(rows, format, COLUMNS),
        Format::Json => {
            let documents = items.iter().map(|row| document(row).clone()).collect::<Vec<_>>();
            output::data(&output::json(&Value::from(documents)))
        }
        Format::Yaml => {
            let texts: Vec<&str> = items
                .iter()
                .filter_map(|row| row.get("yaml")?.as_str())
                .map(str::trim_end)
                .collect();
            output::data(&format!("{}\n", texts.join("\n---\n")))
        }
    }
}

fn document(row: &Value) -> &Value {
    row.get("document").unwrap_or(row)
}
