//! What holds only for a whole set of documents: names that other documents must have, operations
//! that a catalogue must know. What is found is placed afterwards, so that checking stays pure.

use std::collections::{HashMap, HashSet};

use super::{Connection, Document, Effect, Issuer, Placed, Protocol, Rule, Source, Subject};
use crate::catalogue::{Operation, Risk, Table};
use crate::diagnostics::{Diagnostic, Position, Problems, diagnostic, hint_among, quoted};
use crate::glob::Glob;
use crate::yaml::{self, Node, Value};

/// Source of documents that were not just written.
const IN_FORCE: &str = "<in force>";

/// Problems listed for one set.
const FOUND_MAX: usize = 1000;

/// One step from a document's top to a value.
#[derive(Clone, Copy)]
enum Step {
    Key(&'static str),
    Item(usize),
}

/// A problem or warning, not yet placed.
struct Finding<'d> {
    document: &'d Document,
    path: Vec<Step>,
    message: String,
    hint: Option<String>,
}

/// The names that references may mean.
struct Names<'d> {
    issuers: Vec<&'d Issuer>,
    connections: Vec<&'d str>,
}

#[derive(Default)]
struct Findings<'d> {
    problems: Vec<Finding<'d>>,
    warnings: Vec<Finding<'d>>,
}

pub(super) fn check(
    set: &[Document],
    sources: &[Source],
    placed: &[Placed],
) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    let names = Names::of(set);
    findings.check_unique(set);
    for document in set {
        match document {
            Document::Issuer(issuer) => findings.check_issuer(document, issuer, &names),
            Document::Connection(connection) => findings.check_connection(document, connection),
            Document::Rule(rule) => findings.check_rule(document, rule, &names),
            Document::Role(role) => {
                findings.check_subjects(document, "subjects", &role.subjects, &names);
            }
        }
    }
    if findings.problems.is_empty() {
        Ok(place(findings.warnings, sources, placed))
    } else {
        Err(place(findings.problems, sources, placed))
    }
}

impl<'d> Names<'d> {
    fn of(set: &'d [Document]) -> Self {
        let mut names = Self { issuers: Vec::new(), connections: Vec::new() };
        for document in set {
            match document {
                Document::Issuer(issuer) => names.issuers.push(issuer),
                Document::Connection(connection) => names.connections.push(&connection.name),
                Document::Rule(_) | Document::Role(_) => {}
            }
        }
        names
    }

    fn issuer_names(&self) -> impl Iterator<Item = &'d str> + Clone {
        self.issuers.iter().map(|issuer| issuer.name.as_str()).collect::<Vec<_>>().into_iter()
    }
}

impl<'d> Findings<'d> {
    fn problem(
        &mut self,
        document: &'d Document,
        path: Vec<Step>,
        message: String,
        hint: impl Into<Option<String>>,
    ) {
        let message = format!("{} `{}`: {message}", document.kind(), document.name());
        self.problems.push(Finding { document, path, message, hint: hint.into() });
    }

    fn warning(&mut self, document: &'d Document, path: Vec<Step>, message: &str, hint: &str) {
        let message = format!("{} `{}`: {message}", document.kind(), document.name());
        self.warnings.push(Finding { document, path, message, hint: Some(hint.to_owned()) });
    }

    fn check_unique(&mut self, set: &'d [Document]) {
        let mut seen = HashSet::new();
        for document in set {
            if !seen.insert((document.kind(), document.name())) {
                let path = vec![Step::Key("name")];
                self.problem(document, path, "duplicate name".into(), None);
            }
        }
    }

    /// Tokens name their issuer by its URL: two documents for one URL would be two identities.
    fn check_issuer(&mut self, document: &'d Document, issuer: &Issuer, names: &Names<'d>) {
        let first = names.issuers.iter().find(|other| other.issuer == issuer.issuer);
        if let Some(first) = first.filter(|first| first.name != issuer.name) {
            let message = format!("the same URL as issuer `{}`", first.name);
            let hint = "merge the two documents".to_owned();
            self.problem(document, vec![Step::Key("issuer")], message, hint);
        }
    }

    fn check_connection(&mut self, document: &'d Document, connection: &Connection) {
        let version = connection.version.as_deref();
        if let Err((row, message)) = Table::build(connection.protocol, version, &connection.table) {
            let path = vec![Step::Key("table"), Step::Item(row)];
            self.problem(document, path, message, None);
        }
        let versioned = match connection.protocol {
            Protocol::Llamacpp | Protocol::Ollama | Protocol::Vllm => true,
            Protocol::Generic | Protocol::Openai => false,
        };
        if versioned && version.is_none() {
            self.warning(
                document,
                vec![Step::Key("protocol")],
                "without `version` the newest table counts",
                "name the server's version",
            );
        }
    }

    fn check_rule(&mut self, document: &'d Document, rule: &Rule, names: &Names<'d>) {
        self.check_subjects(document, "subjects", &rule.subjects, names);
        self.check_subjects(document, "except", &rule.except, names);
        for (index, name) in rule.connections.iter().enumerate() {
            if Glob::new(name).is_exact() && !names.connections.contains(&name.as_str()) {
                let path = vec![Step::Key("connections"), Step::Item(index)];
                let known = names.connections.iter().copied();
                let hint = hint_among(name, "connections", known);
                self.problem(document, path, format!("unknown connection {}", quoted(name)), hint);
            }
        }
        for (index, name) in rule.operations.iter().enumerate() {
            self.check_operation(document, rule.effect, index, name);
        }
    }

    fn check_operation(
        &mut self,
        document: &'d Document,
        effect: Effect,
        index: usize,
        name: &str,
    ) {
        let path = vec![Step::Key("operations"), Step::Item(index)];
        let glob = Glob::new(name);
        if glob.is_exact() {
            return;
        }
        let critical = Operation::all()
            .filter(|operation| glob.matches(operation.name()))
            .filter(|operation| operation.default_risk() == Risk::Critical);
        let critical = names_of(critical);
        if effect == Effect::Allow && !critical.is_empty() {
            let message = format!("{} does not reach operations of critical risk", quoted(name));
            self.warning(document, path, &message, &format!("name what is meant: {critical}"));
        }
    }

    fn check_subjects(
        &mut self,
        document: &'d Document,
        key: &'static str,
        subjects: &[Subject],
        names: &Names<'d>,
    ) {
        let known = names.issuer_names();
        for (index, subject) in subjects.iter().enumerate() {
            let mut path = vec![Step::Key(key), Step::Item(index)];
            match &subject.issuer {
                None if names.issuers.len() > 1 => {
                    let message = "a subject without `issuer`, and there are several issuers";
                    let hint = format!("one of: {}", known.clone().collect::<Vec<_>>().join(", "));
                    self.problem(document, path, message.into(), hint);
                }
                Some(issuer) if !known.clone().any(|known| known == issuer) => {
                    path.push(Step::Key("issuer"));
                    let message = format!("unknown issuer {}", quoted(issuer));
                    let hint = hint_among(issuer, "issuers", known.clone());
                    self.problem(document, path, message, hint);
                }
                None | Some(_) => {}
            }
        }
    }
}

fn names_of(operations: impl Iterator<Item = Operation>) -> String {
    operations.map(Operation::name).collect::<Vec<_>>().join(", ")
}

/// Gives findings their places: the written documents' sources are parsed once more for that.
fn place(mut findings: Vec<Finding<'_>>, sources: &[Source], placed: &[Placed]) -> Vec<Diagnostic> {
    findings.truncate(FOUND_MAX);
    let mut trees: HashMap<usize, Vec<Node>> = HashMap::new();
    findings
        .into_iter()
        .map(|finding| {
            let written = placed.iter().find(|placed| placed.document == *finding.document);
            let found = written.and_then(|placed| Some((placed, sources.get(placed.source)?)));
            let Some((placed, source)) = found else {
                return diagnostic(IN_FORCE, Position::START, finding.message, finding.hint);
            };
            let tree = trees
                .entry(placed.source)
                .or_insert_with(|| yaml::parse(&source.text, &Problems::of(&source.name)));
            let start = Position { line: placed.line, column: 1 };
            let root = tree.iter().find(|node| node.position.line == placed.line);
            let at = root.map_or(start, |root| walk(root, &finding.path));
            diagnostic(&source.name, at, finding.message, finding.hint)
        })
        .collect()
}

/// The place of the value at the end of a path, or of the last one that is there.
fn walk(root: &Node, path: &[Step]) -> Position {
    let mut node = root;
    for step in path {
        let next = match (step, &node.value) {
            (Step::Key(key), Value::Mapping(entries)) => {
                entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.value)
            }
            (Step::Item(index), Value::Sequence(items)) => items.get(*index),
            (Step::Key(_) | Step::Item(_), _) => None,
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    node.position
}
