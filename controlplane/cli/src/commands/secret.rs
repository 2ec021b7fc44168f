//! `penstock secret`: the model servers' own credentials, write-only.

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::commands::versions::at;
use crate::failure::Failure;
use crate::names;
use crate::output::{self, Column, OutputArguments};

/// Largest value in bytes; with room for the byte that shows that it is too large.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// What to do with secrets.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  penstock secret set llama-key < llama-key.txt
  pass show models/llama | penstock secret set llama-key
  penstock secret list

A client certificate is one line too:
  cat chain.pem key.pem | base64 -w0 | penstock secret set gateway-certificate

A value goes in by standard input and never comes out again, except towards the model server.")]
pub(crate) enum Action {
    /// Set a secret; its value comes from standard input
    Set(NameArguments),
    /// List the names of secrets and what uses them
    List(OutputArguments),
    /// Delete a secret
    Delete(NameArguments),
}

/// A secret's name.
#[derive(Args, Debug)]
pub(crate) struct NameArguments {
    /// Name of the secret, as a connection names it
    #[arg(value_parser = names::parse)]
    name: String,
}

/// Sets, lists or deletes.
pub(crate) async fn run(client: &Client, action: &Action) -> Result<(), Failure> {
    const COLUMNS: &[Column] = &[
        ("NAME", |row| output::cell(row, "name")),
        ("UPDATED", |row| at(row, "updated_ms")),
        ("USED BY", |row| output::cell(row, "used_by")),
    ];
    match action {
        Action::Set(NameArguments { name }) => {
            let value = read_value()?;
            client.put_secret(&format!("/api/v1/secrets/{name}"), body(&value)).await?;
            output::talk(&format!("secret {name} is set"));
            Ok(())
        }
        Action::List(format) => {
            output::listing(&client.get("/api/v1/secrets").await?, format.output, COLUMNS)
        }
        Action::Delete(NameArguments { name }) => {
            let used_by = users_of(&client.get("/api/v1/secrets").await?, name);
            client.delete(&format!("/api/v1/secrets/{name}")).await?;
            output::talk(&format!("secret {name} is deleted"));
            if !used_by.is_empty() {
                let connections = used_by.join(", ");
                output::talk(&format!("warning: requests to {connections} get 503 from now on"));
            }
            Ok(())
        }
    }
}

/// Connections that name a secret.
fn users_of(listed: &serde_json::Value, name: &str) -> Vec<String> {
    let rows = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    let row = rows.iter().find(|row| row["name"] == name);
    let users = row.and_then(|row| row["used_by"].as_array());
    let users = users.map(Vec::as_slice).unwrap_or_default();
    users.iter().filter_map(|user| user.as_str().map(str::to_owned)).collect()
}

fn read_value() -> Result<Zeroizing<String>, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::usage("a value typed here would show on the screen")
            .hint("penstock secret set NAME < FILE"));
    }
    // Of full size from the start: a buffer that grew would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(VALUE_BYTES_MAX + 1));
    stdin
        .lock()
        .take(VALUE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|error| Failure::failed(format!("standard input can't be read: {error}")))?;
    if content.len() > VALUE_BYTES_MAX {
        return Err(Failure::failed("the value is larger than 64 KiB"));
    }
    let text =
        std::str::from_utf8(&content).map_err(|_| Failure::failed("the value is not UTF-8"))?;
    // Editors and `echo` end a file with one line end: it is not part of the value.
    let text = text.strip_suffix('\n').unwrap_or(text);
    check_value(text).map_err(|why| unfit(text, why))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A value that is no secret as it stands; a certificate is one once it is a single line.
fn unfit(text: &str, why: &str) -> Failure {
    let failure = Failure::failed(format!("the value {why}"));
    if text.contains("-----BEGIN ") {
        return failure.hint("cat CHAIN KEY | base64 -w0 | penstock secret set NAME");
    }
    failure
}

/// Refuses values that no header can carry.
///
/// # Errors
/// What is wrong, to stand after a name for the value.
pub(crate) fn check_value(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("is empty")
    } else if text.contains(['\r', '\n', '\0']) {
        Err("holds CR, LF or NUL, which no header can carry")
    } else {
        Ok(())
    }
}

/// `{"value": …}`, in memory that is wiped.
fn body(value: &str) -> Zeroizing<Vec<u8>> {
    // Six bytes at most for one (`\u0000`): the buffer never grows, and leaves no copies behind.
    let mut json = Zeroizing::new(Vec::with_capacity(value.len() * 6 + 16));
    json.extend_from_slice(b"{\"value\":");
    write_json_text(value, &mut json);
    json.push(b'}');
    json
}

/// A text as JSON, written without a copy in memory that stays.
pub(crate) fn write_json_text(text: &str, out: &mut Vec<u8>) {
    // Writing text into a vector cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_would_split_a_header_is_refused() {
        for value in ["", "a\nb", "a\r", "\0", "a\n\n"] {
            assert!(check_value(value).is_err(), "{value:?}");
        }
        assert!(check_value("k-1\t\"ü\"").is_ok());
    }

    #[test]
    fn a_certificate_that_was_not_made_one_line_is_refused_with_the_way_to_do_it() {
        let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----";
        let failure = unfit(text, check_value(text).unwrap_err());
        assert!(failure.hint.as_ref().unwrap().contains("base64 -w0"));
        assert!(!format!("{failure:?}").contains("MC4CAQAw"));
        assert_eq!(unfit("a\nb", "is bad").hint, None);
    }

    #[test]
    fn the_body_is_json_and_its_buffer_never_grew() {
        let value = "\u{1}\"\\".repeat(100);
        let json = body(&value);
        assert!(json.len() <= value.len() * 6 + 16);
        let read: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(read["value"], value);
    }
}
