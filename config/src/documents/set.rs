//! Sources to documents: the tree of each is read by its kind.

use std::collections::HashMap;

use super::approval::people;
use super::{Document, Placed, Source, connection, issuer, mask, rule};
use crate::diagnostics::{Diagnostic, Problems};
use crate::reader::{Fields, Reader};
use crate::yaml;

/// The kinds that there are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Kind {
    Issuer,
    Connection,
    Rule,
    Role,
    Person,
    Webhook,
    Mail,
    Workload,
    Mask,
}

const KINDS: &[(&str, Kind)] = &[
    ("issuer", Kind::Issuer),
    ("connection", Kind::Connection),
    ("rule", Kind::Rule),
    ("role", Kind::Role),
    ("person", Kind::Person),
    ("webhook", Kind::Webhook),
    ("mail", Kind::Mail),
    ("workload", Kind::Workload),
    ("mask", Kind::Mask),
];

const KINDS_LATER: &[&str] = &["guard"];

/// Where each kind and name stands first: `file:line:column`.
type Names = HashMap<(Kind, String), String>;

pub(super) fn parse(sources: &[Source]) -> Result<Vec<Placed>, Vec<Diagnostic>> {
    let mut names = Names::new();
    let mut documents = Vec::new();
    let mut diagnostics = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let problems = Problems::of(&source.name);
        for node in yaml::parse(&source.text, &problems) {
            let document = read(Reader::of(&node, &problems), &source.name, &mut names);
            documents.extend(document.map(|document| Placed {
                document,
                source: index,
                line: node.position.line,
            }));
        }
        diagnostics.extend(problems.into_sorted());
    }
    if diagnostics.is_empty() { Ok(documents) } else { Err(diagnostics) }
}

fn read(node: Reader<'_>, file: &str, names: &mut Names) -> Option<Document> {
    let fields = node.open_mapping()?;
    let kind = fields.required("kind", |value| value.choice(KINDS, KINDS_LATER))?;
    let name = fields.required("name", |value| {
        let name = value.name()?;
        note_duplicate(value, kind, &name, file, names);
        Some(name)
    });
    read_kind(kind, name, fields)
}

fn read_kind(kind: Kind, name: Option<String>, fields: Fields<'_>) -> Option<Document> {
    match kind {
        Kind::Issuer => {
            fields.check_keys(&issuer::KEYS);
            issuer::read(name, fields).map(Document::Issuer)
        }
        Kind::Connection => {
            fields.check_keys(&connection::KEYS);
            connection::read(name, fields).map(Document::Connection)
        }
        Kind::Rule => {
            fields.check_keys(&rule::RULE_KEYS);
            rule::read_rule(name, fields).map(Document::Rule)
        }
        Kind::Role => {
            fields.check_keys(&rule::ROLE_KEYS);
            rule::read_role(name, fields).map(Document::Role)
        }
        Kind::Person => {
            fields.check_keys(&people::PERSON_KEYS);
            people::read_person(name, fields).map(Document::Person)
        }
        Kind::Webhook => {
            fields.check_keys(&people::WEBHOOK_KEYS);
            people::read_webhook(name, fields).map(Document::Webhook)
        }
        Kind::Mail => {
            fields.check_keys(&people::MAIL_KEYS);
            people::read_mail(name, fields).map(Document::Mail)
        }
        Kind::Workload => {
            fields.check_keys(&people::WORKLOAD_KEYS);
            people::read_workload(name, fields).map(Document::Workload)
        }
        Kind::Mask => {
            fields.check_keys(&mask::read::KEYS);
            mask::read::read(name, fields).map(Document::Mask)
        }
    }
}

fn note_duplicate(value: Reader<'_>, kind: Kind, name: &str, file: &str, names: &mut Names) {
    let at = value.position();
    let place = format!("{file}:{}:{}", at.line, at.column);
    if let Some(first) = names.get(&(kind, name.to_owned())) {
        let word = KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(word, _)| word);
        let hint = format!("it stands first at {first}");
        value.problem::<()>(format!("duplicate {word} `{name}`"), &hint);
    } else {
        names.insert((kind, name.to_owned()), place);
    }
}
