//! What holds only for a whole set of documents: names that other documents must have, operations
//! that a catalogue must know. What is found is placed afterwards, so that checking stays pure.

use std::collections::{HashMap, HashSet};

use super::{
    Approval, Connection, Document, EXCHANGE_ISSUER, Effect, ExactIdentity, Issuer, Mask, Person,
    Placed, Protocol, Rule, Source, Subject, Webhook, Workload,
};
use crate::catalogue::{Operation, Risk, Table};
use crate::diagnostics::{Diagnostic, Position, Problems, diagnostic, hint_among, quoted};
use crate::glob::Glob;
use crate::yaml::{self, Node, Value};

/// Source of documents that were not just written.
const IN_FORCE: &str = "<in force>";

/// How long nginx and its like wait for an answer unless told otherwise, in milliseconds.
const PROXY_READ_MS: u64 = 60_000;

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
    masks: Vec<&'d str>,
    /// Masks that connections name.
    masks_named: HashSet<&'d str>,
    /// A workload document makes the control plane an issuer.
    has_workload: bool,
    /// The first person document that names each identity.
    persons: HashMap<&'d ExactIdentity, &'d str>,
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
            Document::Connection(connection) => {
                findings.check_connection(document, connection, &names);
            }
            Document::Rule(rule) => findings.check_rule(document, rule, &names),
            Document::Role(role) => {
                findings.check_subjects(document, &[Step::Key("subjects")], &role.subjects, &names);
            }
            Document::Person(person) => findings.check_person(document, person, &names),
            Document::Webhook(webhook) => {
                let service = webhook.answers_as.as_ref();
                if let Some(issuer) = service.map(|service| &service.issuer) {
                    let path = vec![Step::Key("answers_as"), Step::Key("issuer")];
                    findings.check_issuer_name(document, path, issuer, &names);
                }
                findings.check_webhook_secret(document, webhook, set);
            }
            Document::Mail(_) => {}
            Document::Workload(workload) => findings.check_workload(document, workload, &names),
            Document::Mask(mask) => {
                findings.check_mask(document, mask, &names);
                // Said to whoever writes it, not with every other document from then on.
                if placed.iter().any(|written| written.document == *document) {
                    findings.check_mask_is_named(document, mask, &names);
                }
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
        let mut names = Self {
            issuers: Vec::new(),
            connections: Vec::new(),
            masks: Vec::new(),
            masks_named: HashSet::new(),
            has_workload: false,
            persons: HashMap::new(),
        };
        for document in set {
            match document {
                Document::Issuer(issuer) => names.issuers.push(issuer),
                Document::Connection(connection) => {
                    names.connections.push(&connection.name);
                    names.masks_named.extend(connection.mask.as_deref());
                }
                Document::Person(person) => {
                    for identity in &person.identities {
                        names.persons.entry(identity).or_insert(&person.name);
                    }
                }
                Document::Workload(_) => names.has_workload = true,
                Document::Mask(mask) => names.masks.push(&mask.name),
                Document::Rule(_)
                | Document::Role(_)
                | Document::Webhook(_)
                | Document::Mail(_) => {}
            }
        }
        names
    }

    fn issuer_names(&self) -> impl Iterator<Item = &'d str> + Clone {
        let documents = self.issuers.iter().map(|issuer| issuer.name.as_str());
        let names: Vec<_> = documents.chain(self.has_workload.then_some(EXCHANGE_ISSUER)).collect();
        names.into_iter()
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

    /// A signature tells who answers by its key alone: whoever knows the secret of a webhook that
    /// answers can answer as it, so no other webhook has the same.
    fn check_webhook_secret(
        &mut self,
        document: &'d Document,
        webhook: &Webhook,
        set: &'d [Document],
    ) {
        let others = set.iter().filter_map(Document::as_webhook);
        let mut sharing = others
            .filter(|other| other.name != webhook.name && other.secret == webhook.secret)
            .filter(|other| other.answers_as.is_some() || webhook.answers_as.is_some());
        if let Some(sharing) = sharing.next() {
            let answering = if sharing.answers_as.is_some() { sharing } else { webhook };
            let message = format!("the same secret as webhook `{}`", sharing.name);
            let hint = format!(
                "who has it can answer as `{}`: give each a secret of its own",
                answering.name
            );
            self.problem(document, vec![Step::Key("secret")], message, hint);
        }
    }

    /// Tokens name their issuer by its URL: two documents for one URL would be two identities.
    fn check_issuer(&mut self, document: &'d Document, issuer: &Issuer, names: &Names<'d>) {
        if issuer.name == EXCHANGE_ISSUER {
            let message = "the name of the control plane's own tokens, those of workloads";
            let hint = "give the issuer another name".to_owned();
            self.problem(document, vec![Step::Key("name")], message.into(), hint);
        }
        let first = names.issuers.iter().find(|other| other.issuer == issuer.issuer);
        if let Some(first) = first.filter(|first| first.name != issuer.name) {
            let message = format!("the same URL as issuer `{}`", first.name);
            let hint = "merge the two documents".to_owned();
            self.problem(document, vec![Step::Key("issuer")], message, hint);
        }
    }

    fn check_connection(
        &mut self,
        document: &'d Document,
        connection: &Connection,
        names: &Names<'d>,
    ) {
        if let Some(mask) = connection.mask.as_deref().filter(|mask| !names.masks.contains(mask)) {
            let hint = hint_among(mask, "masks", names.masks.iter().copied());
            let message = format!("unknown mask {}", quoted(mask));
            self.problem(document, vec![Step::Key("mask")], message, hint);
        }
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
        self.check_subjects(document, &[Step::Key("subjects")], &rule.subjects, names);
        self.check_subjects(document, &[Step::Key("except")], &rule.except, names);
        let at = [Step::Key("connections")];
        self.check_connections(document, &at, &rule.connections, names);
        for (index, name) in rule.operations.iter().enumerate() {
            self.check_operation(document, rule.effect, index, name);
        }
        if let Some(approval) = &rule.approval {
            self.check_approval(document, approval, names);
        }
    }

    fn check_connections(
        &mut self,
        document: &'d Document,
        at: &[Step],
        connections: &[String],
        names: &Names<'d>,
    ) {
        for (index, name) in connections.iter().enumerate() {
            if Glob::new(name).is_exact() && !names.connections.contains(&name.as_str()) {
                let path = [at, &[Step::Item(index)]].concat();
                let known = names.connections.iter().copied();
                let hint = hint_among(name, "connections", known);
                self.problem(document, path, format!("unknown connection {}", quoted(name)), hint);
            }
        }
    }

    fn check_approval(&mut self, document: &'d Document, approval: &Approval, names: &Names<'d>) {
        let at = Step::Key("approval");
        self.check_subjects(document, &[at, Step::Key("reviewers")], &approval.reviewers, names);
        let one_from_each = &approval.one_from_each;
        self.check_subjects(document, &[at, Step::Key("one_from_each")], one_from_each, names);
        for (index, entry) in approval.auto_approve.iter().enumerate() {
            let path = [at, Step::Key("auto_approve"), Step::Item(index), Step::Key("subjects")];
            self.check_subjects(document, &path, &entry.subjects, names);
        }
        if let Some(break_glass) = &approval.break_glass {
            let path = [at, Step::Key("break_glass"), Step::Key("subjects")];
            self.check_subjects(document, &path, &break_glass.subjects, names);
        }
        if approval.hold_ms_max > PROXY_READ_MS {
            self.warning(
                document,
                vec![at, Step::Key("hold_ms_max")],
                "requests are held for longer than the 60 s that common proxies wait for an answer",
                "let every proxy in front wait longer, or write `hold_ms_max: 60000`: the approval \
                 stays, and the same request, sent again, goes through",
            );
        }
    }

    /// Who is two persons could answer twice.
    fn check_person(&mut self, document: &'d Document, person: &'d Person, names: &Names<'d>) {
        for (index, identity) in person.identities.iter().enumerate() {
            let path = vec![Step::Key("identities"), Step::Item(index)];
            let first = names.persons.get(identity).filter(|first| **first != person.name);
            if let Some(first) = first {
                let message = format!("an identity of person `{first}` too");
                let hint = "merge the two documents, or remove it from one".to_owned();
                self.problem(document, path.clone(), message, hint);
            }
            let path = [path, vec![Step::Key("issuer")]].concat();
            self.check_issuer_name(document, path, &identity.issuer, names);
        }
    }

    /// What is exchanged comes from somebody else, and opens nothing by itself.
    fn check_workload(&mut self, document: &'d Document, workload: &Workload, names: &Names<'d>) {
        for (index, subject) in workload.subjects.iter().enumerate() {
            let Some(name) = subject.issuer.as_deref() else { continue };
            let path = vec![Step::Key("subjects"), Step::Item(index), Step::Key("issuer")];
            let issuer = names.issuers.iter().find(|issuer| issuer.name == name);
            let message = if name == EXCHANGE_ISSUER {
                "tokens of the control plane itself are not exchanged again".to_owned()
            } else if issuer.is_some_and(|issuer| issuer.audiences.contains(&workload.audience)) {
                let audience = quoted(&workload.audience);
                format!("its tokens for {audience} open the gateway without being exchanged")
            } else {
                continue;
            };
            let hint = "remove the audience from the issuer's `audiences`, or name another issuer";
            self.problem(document, path, message, hint.to_owned());
        }
        self.check_subjects(document, &[Step::Key("subjects")], &workload.subjects, names);
        let at = [Step::Key("connections")];
        self.check_connections(document, &at, &workload.connections, names);
    }

    fn check_mask(&mut self, document: &'d Document, mask: &Mask, names: &Names<'d>) {
        self.check_subjects(document, &[Step::Key("except")], &mask.except, names);
        for (index, entry) in mask.overrides.iter().enumerate() {
            let at = [Step::Key("overrides"), Step::Item(index)];
            let subjects = [&at[..], &[Step::Key("subjects")]].concat();
            self.check_subjects(document, &subjects, &entry.subjects, names);
            let connections = [&at[..], &[Step::Key("connections")]].concat();
            self.check_connections(document, &connections, &entry.connections, names);
        }
    }

    fn check_mask_is_named(&mut self, document: &'d Document, mask: &Mask, names: &Names<'d>) {
        if !names.masks_named.contains(mask.name.as_str()) {
            let hint = format!("`mask: {}` in a connection", mask.name);
            self.warning(document, vec![Step::Key("name")], "no connection names it", &hint);
        }
    }

    fn check_issuer_name(
        &mut self,
        document: &'d Document,
        path: Vec<Step>,
        issuer: &str,
        names: &Names<'d>,
    ) {
        let known = names.issuer_names();
        if !known.clone().any(|known| known == issuer) {
            let message = format!("unknown issuer {}", quoted(issuer));
            let hint = hint_among(issuer, "issuers", known);
            self.problem(document, path, message, hint);
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
        at: &[Step],
        subjects: &[Subject],
        names: &Names<'d>,
    ) {
        let known = names.issuer_names();
        for (index, subject) in subjects.iter().enumerate() {
            let mut path = [at, &[Step::Item(index)]].concat();
            match &subject.issuer {
                None if known.clone().nth(1).is_some() => {
                    let message = "a subject without `issuer`, and there are several issuers";
                    let hint = format!("one of: {}", known.clone().collect::<Vec<_>>().join(", "));
                    self.problem(document, path, message.into(), hint);
                }
                Some(issuer) => {
                    path.push(Step::Key("issuer"));
                    self.check_issuer_name(document, path, issuer, names);
                }
                None => {}
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

pub(super) fn place_of(source: &Source, placed: &Placed, path: &[&str]) -> (u32, u32) {
    let trees = yaml::parse(&source.text, &Problems::of(&source.name));
    let Some(mut node) = trees.iter().find(|root| root.position.line == placed.line) else {
        return (placed.line, 1);
    };
    for step in path {
        let next = match &node.value {
            Value::Mapping(entries) => {
                entries.iter().find(|entry| entry.key == *step).map(|entry| &entry.value)
            }
            Value::Sequence(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
            Value::Scalar { .. } | Value::Refused => None,
        };
        let Some(next) = next else { break };
        node = next;
    }
    (node.position.line, node.position.column)
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
