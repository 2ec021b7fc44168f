//! Tables as indexes: from method and path to the rows that decide.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::resolve::Group;
use super::row::Row;
use super::template::Template;
use super::{Need, text};
use crate::documents::{OperatorRow, Protocol};
use crate::json::Wanted;
use crate::target::Target;

/// A table that is part of the program.
struct ServerTable {
    protocol: Protocol,
    /// Version of the server that it was read from.
    version: &'static str,
    text: &'static str,
    index: OnceLock<Result<Index, String>>,
}

macro_rules! server_table {
    ($protocol:ident, $version:literal, $file:literal) => {
        ServerTable {
            protocol: Protocol::$protocol,
            version: $version,
            text: include_str!(concat!("../../catalogue/", $file)),
            index: OnceLock::new(),
        }
    };
}

/// All of them; the versions of one server from the oldest to the newest.
static SERVER_TABLES: [ServerTable; 5] = [
    server_table!(Generic, "any", "generic.table"),
    server_table!(Llamacpp, "b11434", "llamacpp-b11434.table"),
    server_table!(Ollama, "0.22", "ollama-0.22.table"),
    server_table!(Openai, "v1", "openai-v1.table"),
    server_table!(Vllm, "0.33.0", "vllm-0.33.0.table"),
];

/// The rows of one connection: the server's table plus the operator's rows.
#[derive(Clone, Debug)]
pub struct Table {
    server: &'static Index,
    operator: Index,
}

/// Rows that match method and path (at least one), to be resolved once the body is there.
#[derive(Clone, Debug)]
pub struct Candidates<'t> {
    pub(super) group: &'t Group,
}

/// Groups of rows by path and method.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    groups: Vec<Group>,
    literals: HashMap<String, Vec<Entry>>,
    /// The most specific first.
    templates: Vec<(Template, Vec<Entry>)>,
    /// The first path that only says how the server does.
    health: Option<String>,
}

/// A method and the index of its group.
type Entry = (String, usize);

impl Table {
    /// The table of a server. Without `version` the newest one; with one that no table covers the
    /// nearest older one, or the oldest if there is none. The second value says which version the
    /// table was made for.
    ///
    /// # Errors
    /// A problem in an operator's row: its index and what is wrong. A row that the server's table
    /// has already is a problem: operators add rows, they do not change them.
    pub fn build(
        protocol: Protocol,
        version: Option<&str>,
        rows: &[OperatorRow],
    ) -> Result<(Self, &'static str), (usize, String)> {
        let (server, version) = server_table(protocol, version).map_err(|problem| (0, problem))?;
        let mut operator = Index::default();
        for (index, row) in rows.iter().enumerate() {
            let row = Row::of_operator(row).map_err(|problem| (index, problem))?;
            if let Some(method) =
                row.methods.iter().find(|method| server.has(&row.template, method))
            {
                let row = format!("{method} {}", row.path);
                return Err((index, format!("the server's own table has `{row}` already")));
            }
            operator.add(&row).map_err(|problem| (index, problem))?;
        }
        operator.sort();
        Ok((Self { server, operator }, version))
    }

    /// Rows for a method (HEAD reads as GET) and a path. `None`: no row, the operation is
    /// `unknown`.
    pub fn candidates(&self, method: &str, target: &Target) -> Option<Candidates<'_>> {
        let path = target.decoded_path();
        let group = self.group(method, path);
        let group = group.or_else(|| if method == "HEAD" { self.group("GET", path) } else { None });
        group.map(|group| Candidates { group })
    }

    /// Whether some row has this path, with whatever method: then the answer is 405, not a denial.
    pub fn knows_path(&self, target: &Target) -> bool {
        let path = target.decoded_path();
        self.server.knows_path(path) || self.operator.knows_path(path)
    }

    /// A path to probe the server by: `GET` on it is `health` and nothing else, without risk and
    /// under no condition. The server's own one first.
    pub fn health_path(&self) -> Option<&str> {
        self.server.health.as_deref().or(self.operator.health.as_deref())
    }

    fn group(&self, method: &str, path: &str) -> Option<&Group> {
        if let Some(group) = self.server.literal(method, path) {
            return Some(group);
        }
        if let Some(group) = self.operator.literal(method, path) {
            return Some(group);
        }
        let server = self.server.template(method, path);
        let operator = self.operator.template(method, path);
        match (server, operator) {
            (Some((server, group)), Some((operator, _))) if server.key() < operator.key() => {
                Some(group)
            }
            (_, Some((_, group))) | (Some((_, group)), None) => Some(group),
            (None, None) => None,
        }
    }
}

impl<'t> Candidates<'t> {
    /// What must be read before [`Self::resolve`] can tell.
    pub fn need(&self) -> Need {
        if self.group.wanted().reads().is_empty() { Need::Head } else { Need::Body }
    }

    /// What [`crate::json::Body::parse`] is to look for.
    pub fn wanted(&self) -> &'t Wanted {
        self.group.wanted()
    }
}

impl Index {
    /// The index of a whole table in its own format.
    pub(super) fn of_text(text: &str) -> Result<Self, String> {
        let mut index = Self::default();
        for row in &text::parse(text)? {
            index.add(row)?;
        }
        index.sort();
        Ok(index)
    }

    fn add(&mut self, row: &Row) -> Result<(), String> {
        if self.health.is_none() && row.is_health() {
            self.health = row.template.literal();
        }
        let Self { groups, literals, templates, .. } = self;
        let entries = match row.template.literal() {
            Some(path) => literals.entry(path).or_default(),
            None => {
                let key = row.template.key();
                match templates.iter().position(|(template, _)| template.key() == key) {
                    Some(place) => templates.get_mut(place).map(|(_, entries)| entries),
                    None => {
                        templates.push((row.template.clone(), Vec::new()));
                        templates.last_mut().map(|(_, entries)| entries)
                    }
                }
                .ok_or("the index of templates is broken")?
            }
        };
        for method in &row.methods {
            let known = entries.iter().find(|(known, _)| known == method).map(|(_, group)| *group);
            let place = known.unwrap_or(groups.len());
            if known.is_none() {
                entries.push((method.clone(), place));
                groups.push(Group::default());
            }
            let group = groups.get_mut(place).ok_or("the index of groups is broken")?;
            group.add(row).map_err(|problem| format!("{method} {}: {problem}", row.path))?;
        }
        Ok(())
    }

    fn sort(&mut self) {
        self.templates.sort_by(|(a, _), (b, _)| a.key().cmp(&b.key()));
    }

    fn literal(&self, method: &str, path: &str) -> Option<&Group> {
        self.group_of(self.literals.get(path)?, method)
    }

    fn template(&self, method: &str, path: &str) -> Option<(&Template, &Group)> {
        let matching = self.templates.iter().filter(|(template, _)| template.matches(path));
        let mut groups = matching.filter_map(|(template, entries)| {
            self.group_of(entries, method).map(|group| (template, group))
        });
        groups.next()
    }

    fn group_of(&self, entries: &[Entry], method: &str) -> Option<&Group> {
        let (_, place) = entries.iter().find(|(known, _)| known == method)?;
        self.groups.get(*place)
    }

    fn knows_path(&self, path: &str) -> bool {
        self.literals.contains_key(path) || self.templates.iter().any(|(t, _)| t.matches(path))
    }

    /// Whether a row for that method matches the very same paths.
    fn has(&self, template: &Template, method: &str) -> bool {
        let entries = match template.literal() {
            Some(path) => self.literals.get(&path),
            None => {
                let key = template.key();
                let mut same = self.templates.iter().filter(|(known, _)| known.key() == key);
                same.next().map(|(_, entries)| entries)
            }
        };
        entries.is_some_and(|entries| entries.iter().any(|(known, _)| known == method))
    }
}

fn server_table(
    protocol: Protocol,
    version: Option<&str>,
) -> Result<(&'static Index, &'static str), String> {
    let mut tables = SERVER_TABLES.iter().filter(|table| table.protocol == protocol);
    let oldest = tables.next().ok_or("there is no table for this protocol")?;
    let newest = tables.clone().next_back().unwrap_or(oldest);
    let table = match version {
        None => newest,
        Some(version) => {
            let wanted = numbers(version);
            tables.rfind(|table| numbers(table.version) <= wanted).unwrap_or(oldest)
        }
    };
    match table.index.get_or_init(|| Index::of_text(table.text)) {
        Ok(index) => Ok((index, table.version)),
        Err(problem) => Err(format!("the table of version {}: {problem}", table.version)),
    }
}

/// The numbers in a version, for comparison: `v0.33.0` and `b11434` alike.
fn numbers(version: &str) -> Vec<u64> {
    let parts = version.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}

#[cfg(test)]
pub(super) fn server_table_texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    SERVER_TABLES.iter().map(|table| (table.version, table.text))
}
