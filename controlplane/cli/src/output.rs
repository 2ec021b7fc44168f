//! Data on standard output as table, JSON or YAML; talk on standard error.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::failure::Failure;
use crate::terminal::is_treacherous;
use crate::yaml;

/// How a listing is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// One JSON array
    Json,
    /// YAML
    Yaml,
}

/// `--output` of every listing.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArguments {
    /// How to print it
    #[arg(long, short, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// A column of a table: its title, and the cell of a row.
pub(crate) type Column = (&'static str, fn(&Value) -> String);

/// Prints an array of rows.
pub(crate) fn listing(rows: &Value, format: Format, columns: &[Column]) -> Result<(), Failure> {
    match format {
        Format::Table => data(&table(rows, columns)),
        Format::Json => data(&json(rows)),
        Format::Yaml => data(&yaml::emit(rows)),
    }
}

/// Indented JSON with a line end. What could steer a terminal is written as an escape, which every
/// reader takes for the same text.
pub(crate) fn json(value: &Value) -> String {
    let mut out = String::new();
    for c in format!("{value:#}\n").chars() {
        if c != '\n' && is_treacherous(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// One value, not a listing, in the form that was asked for; `story` is the one for people.
pub(crate) fn one(
    value: &Value,
    format: Format,
    story: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    match format {
        Format::Table => data(&story(value)),
        Format::Json => data(&json(value)),
        Format::Yaml => data(&yaml::emit(value)),
    }
}

/// Writes data to standard output. A reader that has gone (`| head -1`) is no failure.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output can't be written: {}", error.kind())))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes one line of talk to standard error; nothing in it can steer the terminal.
pub(crate) fn talk(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(line, true));
}

/// The text with everything that is treacherous replaced, line ends kept only where asked for.
pub(crate) fn printable(text: &str, keep_line_ends: bool) -> String {
    text.chars()
        .map(|c| if is_treacherous(c) && !(keep_line_ends && c == '\n') { '\u{fffd}' } else { c })
        .collect()
}

/// A field's text: strings as they are, arrays joined by commas, `-` for nothing.
pub(crate) fn cell(row: &Value, field: &str) -> String {
    match row.get(field) {
        Some(value) => text(value),
        None => "-".to_owned(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(string) => string.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// An array of rows as a table.
pub(crate) fn table(rows: &Value, columns: &[Column]) -> String {
    let mut lines: Vec<Vec<String>> = Vec::new();
    lines.push(columns.iter().map(|(title, _)| (*title).to_owned()).collect());
    for row in rows.as_array().map_or(&[][..], Vec::as_slice) {
        lines.push(columns.iter().map(|(_, cell)| printable(&cell(row), false)).collect());
    }
    aligned(&lines)
}

/// Pads every column but the last to its widest cell.
fn aligned(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let mut out = String::new();
    for line in lines {
        let mut padded = String::new();
        for (column, cell) in line.iter().enumerate() {
            padded.push_str(&format!("{cell:<0$}  ", width(column).unwrap_or(0)));
        }
        out.push_str(padded.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_aligned_and_its_cells_cannot_steer_the_terminal() {
        let rows = json!([{"name": "a\u{1b}[2J\n", "n": [1, 2]}, {"name": "longer-name"}]);
        let columns: &[Column] = &[("NAME", |r| cell(r, "name")), ("N", |r| cell(r, "n"))];
        let expected = "NAME         N\na\u{fffd}[2J\u{fffd}       1,2\nlonger-name  -\n";
        assert_eq!(table(&rows, columns), expected);
    }

    #[test]
    fn json_says_the_same_and_cannot_steer_the_terminal() {
        let value = json!({"a\u{9b}": "\u{1b}[2J \u{202e}\u{e0041} \\ ü"});
        let text = json(&value);
        assert!(!text.chars().any(|c| c != '\n' && is_treacherous(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
