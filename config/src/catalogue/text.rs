//! The tables' own format: one row a line, in columns parted by blanks.
//!
//! ```text
//! # method  path                             operations       risk      model
//!
//! POST      /v1/responses                    infer.chat       medium    body:model
//!   +       isnt(tools[].type,function)      exec             critical
//! POST      /slots/{id}                      cache.flush      high      unread
//!   ?       is(query:action,erase)
//! ```
//!
//! Methods are joined by `,` and operations by `+`; `-` stands for no model. A line that begins
//! with `?` is a condition of the row above it, one with `+` adds operations to that row where its
//! own condition holds.
//!
//! A line `names ollama` says that from here on names of models are read as Ollama reads them.
//!
//! | condition | holds when |
//! |---|---|
//! | `present(P)` | something other than `null` stands there |
//! | `empty(P)` `filled(P)` | missing, `null`, `""` or `[]`; the opposite |
//! | `true(P)` | `true` stands there |
//! | `is(P,a,b)` `isnt(P,a,b)` | a text stands there that one of the globs, or none, matches |
//! | `like(P,a,b)` | as `is`, in any case of ASCII letters; the globs are in lower case |
//! | `zero(P)` `negative(P)` | a time of Go's: nothing, or below nothing |
//!
//! `P` is a place in the body (keys joined by dots, `[]` for any item, `*` at the end of a key) or,
//! with `is` alone, `query:NAME`.

use super::Risk;
use super::row::{Condition, Line, Row, operations, read};
use super::spelling::Names;
use crate::glob::Glob;
use crate::json::Test;

/// Reads a whole table.
///
/// # Errors
/// The first problem, with its line.
pub(super) fn parse(text: &str) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::new();
    let mut names = Names::Exact;
    for (index, line) in text.lines().enumerate() {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let done = match columns.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["names", "ollama"] => {
                names = Names::Ollama;
                Ok(())
            }
            ["?", when] => rows
                .last_mut()
                .ok_or("there is no row above".to_owned())
                .and_then(|row| condition(when).map(|when| row.line.conditions.push(when))),
            ["+", when, operations, risk] => addition(&mut rows, when, operations, risk),
            [methods, path, operations, risk, model] => {
                let methods = methods.split(',').map(str::to_owned).collect();
                let model = (*model != "-").then_some(*model);
                line_of(operations, risk)
                    .and_then(|line| Row::new(methods, path, line, model))
                    .map(|row| rows.push(Row { names, ..row }))
            }
            _ => Err("neither a row of five columns nor a line that adds to one".to_owned()),
        };
        done.map_err(|problem| format!("line {}: {problem}", index.saturating_add(1)))?;
    }
    Ok(rows)
}

fn addition(rows: &mut [Row], when: &str, operations: &str, risk: &str) -> Result<(), String> {
    let row = rows.last_mut().ok_or("there is no row above")?;
    let mut line = line_of(operations, risk)?;
    line.conditions.push(condition(when)?);
    row.additions.push(line);
    Ok(())
}

fn line_of(names: &str, risk: &str) -> Result<Line, String> {
    let operations = operations(names.split('+'))?;
    let risk = match risk {
        "none" => Risk::None,
        "low" => Risk::Low,
        "medium" => Risk::Medium,
        "high" => Risk::High,
        "critical" => Risk::Critical,
        _ => return Err(format!("`{risk}` is not a risk")),
    };
    for operation in &operations {
        if risk < operation.default_risk() {
            return Err(format!("`{risk:?}` is below the risk of `{}`", operation.name()));
        }
    }
    Ok(Line { conditions: Vec::new(), operations, risk })
}

fn condition(text: &str) -> Result<Condition, String> {
    let wrong = || format!("`{text}` is not a condition");
    let (function, rest) = text.split_once('(').ok_or_else(wrong)?;
    let mut arguments = rest.strip_suffix(')').ok_or_else(wrong)?.split(',');
    let place = arguments.next().ok_or_else(wrong)?;
    let query = place.strip_prefix("query:");
    let globs: Vec<Glob> = arguments.map(Glob::new).collect();
    let takes_globs = matches!(function, "is" | "isnt" | "like");
    if takes_globs == globs.is_empty() {
        return Err(wrong());
    }
    if let Some(name) = query {
        let condition = Condition::Query { name: name.to_owned(), globs };
        return if function == "is" { Ok(condition) } else { Err(wrong()) };
    }
    let (test, expected) = match function {
        "present" => (Test::Present, true),
        "filled" => (Test::Filled, true),
        "empty" => (Test::Filled, false),
        "true" => (Test::True, true),
        "is" => (Test::Text { globs, ignore_case: false }, true),
        "like" => (Test::Text { globs, ignore_case: true }, true),
        "isnt" => (Test::OtherText { globs }, true),
        "zero" => (Test::ZeroTime, true),
        "negative" => (Test::NegativeTime, true),
        _ => return Err(wrong()),
    };
    Ok(Condition::Body { read: read(place, test)?, expected })
}
