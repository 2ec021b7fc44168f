//! `penstock delete`: takes one document out of force.

use clap::Args;

use crate::client::Client;
use crate::failure::Failure;
use crate::names::{self, Kind};
use crate::output;

/// Arguments of `penstock delete`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  penstock delete rule engineers-infer")]
pub(crate) struct Arguments {
    /// Kind of document
    #[arg(value_enum)]
    kind: Kind,
    /// Name of the document
    #[arg(value_parser = names::parse)]
    name: String,
}

/// Deletes the document; that is a new version.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let (kind, name) = (arguments.kind.as_str(), &arguments.name);
    let answer = client.delete(&format!("/api/v1/documents/{kind}/{name}")).await?;
    output::data(&format!("{kind}/{name} deleted\n"))?;
    output::talk(&format!("version {} is in force", output::cell(&answer, "version")));
    Ok(())
}
