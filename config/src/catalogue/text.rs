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
//! Lines with `+` below a line `set NAME` belong to no row; a line `+ NAME` adds all of them to the
//! row above it. `=` in place of operations stands for the row's own: the condition then raises
//! their risk.
//!
//! | condition | holds when |
//! |---|---|
//! | `present(P)` | something other than `null` stands there |
//! | `empty(P)` `filled(P)` | missing, `null`, `""` or `[]`; the opposite |
//! | `true(P)` | `true` stands there |
//! | `is(P,a,b)` `isnt(P,a,b)` | a text stands there that one of the globs, or none, matches |
//! | `like(P,a,b)` | as `is`, in any case of ASCII letters; the globs are in lower case |
//! | `below(K)` `below(K,a,b)` | a key `K` stands anywhere, at any depth; with a text as in `is` |
//! | `zero(P)` `negative(P)` | a time of Go's: nothing, or below nothing |
//!
//! `P` is a place in the body (keys joined by dots, `[]` for any item, `*` at the end of a key) or,
//! with `is` alone, `query:NAME`.

use super::row::{Condition, Line, Row, operations, read};
use super::spelling::Names;
use super::{Operation, Risk};
use crate::glob::Glob;
use crate::json::{Read, Test};

/// Reads a whole table.
///
/// # Errors
/// The first problem, with its line.
pub(super) fn parse(text: &str) -> Result<Vec<Row>, String> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let done = reader.line(&columns);
        done.map_err(|problem| format!("line {}: {problem}", index.saturating_add(1)))?;
    }
    Ok(reader.rows)
}

/// What has been read so far.
#[derive(Default)]
struct Reader<'t> {
    rows: Vec<Row>,
    names: Names,
    sets: Vec<Set<'t>>,
    /// No row has come since the last set began.
    in_set: bool,
}

/// Additions that rows share.
struct Set<'t> {
    name: &'t str,
    additions: Vec<Addition>,
}

/// A line that adds to a row.
#[derive(Clone)]
struct Addition {
    when: Condition,
    /// The row's own where there are none.
    operations: Option<Vec<Operation>>,
    risk: Risk,
}

impl<'t> Reader<'t> {
    fn line(&mut self, columns: &[&'t str]) -> Result<(), String> {
        match columns {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            ["names", "ollama"] => self.names = Names::Ollama,
            ["set", name] => {
                if self.sets.iter().any(|set| set.name == *name) {
                    return Err(format!("the set `{name}` stands twice"));
                }
                self.sets.push(Set { name, additions: Vec::new() });
                self.in_set = true;
            }
            ["?", when] => {
                let when = condition(when)?;
                self.row()?.line.conditions.push(when);
            }
            ["+", name] => {
                let set = self.sets.iter().find(|set| set.name == *name);
                let additions = set.ok_or_else(|| format!("there is no set `{name}`"))?;
                for addition in additions.additions.clone() {
                    addition.add_to(self.row()?)?;
                }
            }
            ["+", when, operations, risk] => {
                let addition = Addition::read(when, operations, risk)?;
                match self.sets.last_mut() {
                    Some(set) if self.in_set => set.additions.push(addition),
                    Some(_) | None => addition.add_to(self.row()?)?,
                }
            }
            [methods, path, operations, risk, model] => {
                self.in_set = false;
                let methods = methods.split(',').map(str::to_owned).collect();
                let model = (*model != "-").then_some(*model);
                let row = Row::new(methods, path, line_of(operations, risk)?, model)?;
                self.rows.push(Row { names: self.names, ..row });
            }
            _ => {
                return Err("neither a row of five columns nor a line that adds to one".to_owned());
            }
        }
        Ok(())
    }

    /// The row that a line adds to.
    fn row(&mut self) -> Result<&mut Row, String> {
        let row = if self.in_set { None } else { self.rows.last_mut() };
        row.ok_or_else(|| "there is no row above".to_owned())
    }
}

impl Addition {
    fn read(when: &str, names: &str, text: &str) -> Result<Self, String> {
        let when = condition(when)?;
        let risk = risk(text)?;
        let operations = if names == "=" { None } else { Some(line_of(names, text)?.operations) };
        Ok(Self { when, operations, risk })
    }

    fn add_to(self, row: &mut Row) -> Result<(), String> {
        let operations = self.operations.unwrap_or_else(|| row.line.operations.clone());
        check_risk(&operations, self.risk)?;
        let conditions = vec![self.when];
        row.additions.push(Line { conditions, operations, risk: self.risk });
        Ok(())
    }
}

fn line_of(names: &str, text: &str) -> Result<Line, String> {
    let operations = operations(names.split('+'))?;
    let risk = risk(text)?;
    check_risk(&operations, risk)?;
    Ok(Line { conditions: Vec::new(), operations, risk })
}

fn risk(text: &str) -> Result<Risk, String> {
    match text {
        "none" => Ok(Risk::None),
        "low" => Ok(Risk::Low),
        "medium" => Ok(Risk::Medium),
        "high" => Ok(Risk::High),
        "critical" => Ok(Risk::Critical),
        _ => Err(format!("`{text}` is not a risk")),
    }
}

fn check_risk(operations: &[Operation], risk: Risk) -> Result<(), String> {
    match operations.iter().find(|operation| risk < operation.default_risk()) {
        None => Ok(()),
        Some(operation) => Err(format!("`{risk:?}` is below the risk of `{}`", operation.name())),
    }
}

fn condition(text: &str) -> Result<Condition, String> {
    let wrong = || format!("`{text}` is not a condition");
    let (function, rest) = text.split_once('(').ok_or_else(wrong)?;
    let mut arguments = rest.strip_suffix(')').ok_or_else(wrong)?.split(',');
    let place = arguments.next().ok_or_else(wrong)?;
    let query = place.strip_prefix("query:");
    let globs: Vec<Glob> = arguments.map(Glob::new).collect();
    if function == "below" {
        return below(place, globs).ok_or_else(wrong);
    }
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

/// A key at any depth has no place: it is one key, by its bytes.
fn below(key: &str, globs: Vec<Glob>) -> Option<Condition> {
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if key.is_empty() || !key.bytes().all(is_key) {
        return None;
    }
    let test = Test::Below { key: key.to_owned(), globs };
    let read = Read { name: key.to_owned(), steps: Vec::new(), test };
    Some(Condition::Body { read, expected: true })
}
