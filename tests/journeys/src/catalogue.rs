//! The rows of the catalogue's tables, read from their files as text: what they say is tested here
//! from outside, so nothing of the product reads them.

use std::fs;

use crate::tools;

/// Method and path of a row.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Row {
    /// `GET`.
    pub method: String,
    /// A path that fits the row: `/v1/models/p` for `/v1/models/{model}`.
    pub path: String,
}

/// Every row of a table, each once.
#[must_use]
#[track_caller]
pub fn rows(table: &str) -> Vec<Row> {
    let file = tools::repository_file(&format!("config/catalogue/{table}.table"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{table}: {error}"));
    let mut rows: Vec<Row> = text.lines().flat_map(row).collect();
    rows.sort();
    rows.dedup();
    assert!(rows.len() > 5, "{table} has only {} rows", rows.len());
    rows
}

/// `GET,POST  /a/{b}  …` as its rows; nothing for comments and conditions.
fn row(line: &str) -> Vec<Row> {
    let mut words = line.split_whitespace();
    let (Some(methods), Some(path)) = (words.next(), words.next()) else { return Vec::new() };
    if !methods.starts_with(|first: char| first.is_ascii_uppercase()) || !path.starts_with('/') {
        return Vec::new();
    }
    let path: Vec<&str> = path.split('/').map(filled).collect();
    let path = path.join("/");
    methods.split(',').map(|one| Row { method: one.to_owned(), path: path.clone() }).collect()
}

fn filled(segment: &str) -> &str {
    match (segment.starts_with('{'), segment.ends_with("*}")) {
        (true, true) => "p/q",
        (true, false) => "p",
        (false, _) => segment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_conditions_are_no_rows() {
        let row = |method: &str, path: &str| Row { method: method.into(), path: path.into() };
        assert_eq!(
            super::row("GET,POST  /a/{b}/c/{d*}  list  low  -"),
            [row("GET", "/a/p/c/p/q"), row("POST", "/a/p/c/p/q")]
        );
        for line in ["", "# POST /x", "  +   present(x)  exec", "names ollama"] {
            assert_eq!(super::row(line), [], "{line}");
        }
    }
}
