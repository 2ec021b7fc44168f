//! Documents and settings as YAML: each problem stands at a place of the text, and what is accepted
//! is read back the same, whichever way it is written.

use penstock_config::catalogue::Table;
use penstock_config::decision::Policy;
use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::{
    Document, Source, check_references, exchange_issuer, parse, to_yaml,
};
use penstock_config::settings::{ControlplaneSettings, DataplaneSettings};

use crate::chance::made_long;

const NAME: &str = "hostile.yaml";

pub(crate) fn check(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let source = source(text);
    let mut is_understood = check_settings(&source);
    match parse(std::slice::from_ref(&source)) {
        Err(problems) => check_places(text, &problems),
        Ok(placed) => {
            let set: Vec<Document> = placed.iter().map(|one| one.document.clone()).collect();
            check_written(&set);
            let sources = [source];
            let references = check_references(&set, &sources, &placed);
            match &references {
                Ok(warnings) => check_places(text, warnings),
                Err(problems) => check_places(text, problems),
            }
            is_understood = true;
            if references.is_ok() {
                check_enforced(set);
            }
        }
    }
    if let Some(long) = made_long(bytes) {
        let text = String::from_utf8(long).expect("a text over and over is one");
        let _ = parse(&[self::source(&text)]);
    }
    is_understood
}

fn source(text: &str) -> Source {
    Source { name: NAME.to_owned(), text: text.to_owned() }
}

fn check_settings(source: &Source) -> bool {
    let dataplane = DataplaneSettings::parse(source).map(drop);
    let controlplane = ControlplaneSettings::parse(source).map(drop);
    let is_understood = dataplane.is_ok() || controlplane.is_ok();
    for problems in [dataplane, controlplane].into_iter().filter_map(Result::err) {
        check_places(&source.text, &problems);
    }
    is_understood
}

/// As YAML and as JSON: an equal document, and the same text again.
fn check_written(set: &[Document]) {
    let mut texts = Vec::new();
    for document in set {
        let text = to_yaml(document);
        let read =
            parse(&[source(&text)]).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        assert_eq!(read.len(), 1, "{text}");
        assert_eq!(read[0].document, *document, "{text}");
        assert_eq!(to_yaml(&read[0].document), text);
        let json = serde_json::to_vec(document).expect("a document is JSON");
        assert_eq!(&serde_json::from_slice::<Document>(&json).expect("read back"), document);
        texts.push(text);
    }
    let all = parse(&[source(&texts.join("---\n"))]).expect("documents one after another");
    assert!(all.iter().map(|one| &one.document).eq(set));
}

/// A set that the control plane puts in force is one that a node can enforce.
fn check_enforced(set: Vec<Document>) {
    let (mut issuers, mut connections, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    let mut exchange = None;
    for document in set {
        match document {
            Document::Issuer(issuer) => issuers.push(issuer),
            Document::Connection(connection) => connections.push(connection),
            Document::Rule(rule) => rules.push(rule),
            // The control plane is an issuer as well from then on, once however many there are.
            Document::Workload(_) => exchange = Some(exchange_issuer("https://penstock")),
            Document::Role(_)
            | Document::Person(_)
            | Document::Webhook(_)
            | Document::Mail(_)
            | Document::Mask(_) => {}
        }
    }
    issuers.extend(exchange);
    Policy::compile(&issuers, &connections, &rules).expect("what is in force compiles");
    for connection in &connections {
        let version = connection.version.as_deref();
        Table::build(connection.protocol, version, &connection.table)
            .expect("a table that compiles");
    }
}

/// Every problem names the source and a place of it, in words without control characters.
fn check_places(text: &str, problems: &[Diagnostic]) {
    let lines = line_lengths(text);
    for problem in problems {
        let line = (problem.line as usize).checked_sub(1).and_then(|line| lines.get(line));
        let is_inside =
            line.is_some_and(|length| (1..=length + 1).contains(&(problem.column as usize)));
        assert!(is_inside, "{problem} is outside of the text");
        assert_eq!(problem.file, NAME);
        let hint = problem.hint.as_deref().unwrap_or_default();
        assert!(!problem.message.chars().chain(hint.chars()).any(char::is_control), "{problem}");
    }
}

/// Lines as YAML counts them (YAML 1.2.2 section 5.4), in characters.
fn line_lengths(text: &str) -> Vec<usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.split('\n').map(|line| line.chars().count()).collect()
}
