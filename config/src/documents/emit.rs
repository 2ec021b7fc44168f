//! Documents as YAML: one key a line, lists and small mappings in flow style. Text is written plain
//! only where it is read back as the same text; otherwise it is quoted and escaped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::{
    Approval, AutoApprove, Connection, Document, Hours, Issuer, Mail, Mask, MaskAction,
    MaskAnalyzer, MaskOverride, NotificationEvent, OperatorRow, Person, Role, Rule, Subject,
    UpstreamTls, Webhook, Workload,
};
use crate::hours::clock_text;
use crate::yaml::is_plain_text;

pub(super) fn document(document: &Document) -> String {
    let mut lines = Lines::default();
    lines.key("kind", document.kind().to_owned());
    lines.key("name", text(document.name()));
    match document {
        Document::Issuer(issuer) => lines.issuer(issuer),
        Document::Connection(connection) => lines.connection(connection),
        Document::Rule(rule) => lines.rule(rule),
        Document::Role(role) => lines.role(role),
        Document::Person(person) => lines.person(person),
        Document::Webhook(webhook) => lines.webhook(webhook),
        Document::Mail(mail) => lines.mail(mail),
        Document::Workload(workload) => lines.workload(workload),
        Document::Mask(mask) => lines.mask(mask),
    }
    lines.text
}

/// Lines of `key: value`.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn key(&mut self, key: &str, value: String) {
        self.line(&format!("{key}: {value}"));
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// `key:` and one item a line below it.
    fn block(&mut self, key: &str, items: impl Iterator<Item = String>) {
        self.line(&format!("{key}:"));
        for item in items {
            self.line(&format!("  - {item}"));
        }
    }

    fn issuer(&mut self, issuer: &Issuer) {
        self.key("issuer", text(&issuer.issuer));
        if let Some(jwks_uri) = &issuer.jwks_uri {
            self.key("jwks_uri", text(jwks_uri));
        }
        self.key("audiences", texts(&issuer.audiences));
        self.key("user_claim", text(&issuer.user_claim));
        self.key("groups_claim", text(&issuer.groups_claim));
        self.key("leeway_ms", issuer.leeway_ms.to_string());
        self.key("lifetime_ms_max", issuer.lifetime_ms_max.to_string());
        self.key("token_types", texts(&issuer.token_types));
        if let Some(client_id) = &issuer.client_id {
            self.key("client_id", text(client_id));
        }
    }

    fn connection(&mut self, connection: &Connection) {
        self.key("protocol", word(&connection.protocol));
        if let Some(version) = &connection.version {
            self.key("version", text(version));
        }
        self.block("endpoints", connection.endpoint_urls().map(|url| text(&url)));
        if let Some(tls) = connection.tls.as_ref().filter(|tls| **tls != UpstreamTls::default()) {
            self.tls(tls);
        }
        if let Some(credential) = &connection.credential {
            let members = [
                ("secret", text(&credential.secret)),
                ("scheme", word(&credential.scheme)),
                ("header", text(&credential.header)),
            ];
            self.key("credential", flow(members.map(Some)));
        }
        if let Some(mask) = &connection.mask {
            self.key("mask", text(mask));
        }
        let limits = &connection.limits;
        let members = [
            ("decision_bytes_max", limits.decision_bytes_max.to_string()),
            ("body_bytes_max", limits.body_bytes_max.to_string()),
            ("stream_ms_max", limits.stream_ms_max.to_string()),
        ];
        self.key("limits", flow(members.map(Some)));
        if !connection.table.is_empty() {
            self.block("table", connection.table.iter().map(row));
        }
    }

    fn tls(&mut self, tls: &UpstreamTls) {
        self.line("tls:");
        if let Some(ca) = &tls.ca {
            // Certificates alone, each line of them text that a literal block holds as it is.
            self.line("  ca: |");
            ca.lines().for_each(|line| self.line(&format!("    {line}")));
        }
        if let Some(server_name) = &tls.server_name {
            self.key("  server_name", text(server_name));
        }
        if let Some(certificate) = &tls.client_certificate {
            let members = [Some(("secret", text(&certificate.secret)))];
            self.key("  client_certificate", flow(members));
        }
    }

    fn rule(&mut self, rule: &Rule) {
        self.key("effect", word(&rule.effect));
        if !rule.subjects.is_empty() {
            self.block("subjects", rule.subjects.iter().map(subject));
        }
        if !rule.except.is_empty() {
            self.block("except", rule.except.iter().map(subject));
        }
        self.key("connections", texts(&rule.connections));
        if !rule.operations.is_empty() {
            self.key("operations", texts(&rule.operations));
        }
        self.key("models", texts(&rule.models));
        if !rule.when.is_empty() {
            self.block("when", rule.when.iter().map(hours));
        }
        if rule.end_with_token {
            self.key("end_with_token", "true".to_owned());
        }
        if let Some(approval) = &rule.approval {
            self.approval(approval);
        }
    }

    fn approval(&mut self, approval: &Approval) {
        self.line("approval:");
        if !approval.reviewers.is_empty() {
            self.key("  reviewers", list(&approval.reviewers, subject));
        }
        self.key("  quorum", approval.quorum.to_string());
        if !approval.one_from_each.is_empty() {
            self.key("  one_from_each", list(&approval.one_from_each, subject));
        }
        self.key("  reason", word(&approval.reason));
        if let Some(ticket) = &approval.ticket {
            self.key("  ticket", text(ticket));
        }
        self.key("  hold_ms_max", approval.hold_ms_max.to_string());
        self.key("  answer_ms_max", approval.answer_ms_max.to_string());
        self.key("  stream", word(&approval.stream));
        let members = [
            ("minutes_max", approval.grant.minutes_max.to_string()),
            ("uses_max", approval.grant.uses_max.to_string()),
        ];
        self.key("  grant", flow(members.map(Some)));
        if !approval.show.is_empty() {
            self.key("  show", texts(&approval.show));
        }
        if !approval.auto_approve.is_empty() {
            self.key("  auto_approve", list(&approval.auto_approve, auto_approve));
        }
        if let Some(break_glass) = &approval.break_glass {
            let members = [
                ("subjects", list(&break_glass.subjects, subject)),
                ("minutes_max", break_glass.minutes_max.to_string()),
                ("justify_ms_max", break_glass.justify_ms_max.to_string()),
            ];
            self.key("  break_glass", flow(members.map(Some)));
        }
    }

    fn role(&mut self, role: &Role) {
        self.key("role", word(&role.role));
        self.block("subjects", role.subjects.iter().map(subject));
    }

    fn person(&mut self, person: &Person) {
        let identity = |issuer, subject| {
            flow([Some(("issuer", text(issuer))), Some(("subject", text(subject)))])
        };
        let identities = person.identities.iter();
        self.block("identities", identities.map(|one| identity(&one.issuer, &one.subject)));
    }

    fn webhook(&mut self, webhook: &Webhook) {
        self.key("url", text(&webhook.url));
        self.key("secret", text(&webhook.secret));
        self.events(&webhook.events);
        if let Some(service) = &webhook.answers_as {
            let groups = (!service.groups.is_empty()).then(|| ("groups", texts(&service.groups)));
            let members = [
                Some(("issuer", text(&service.issuer))),
                Some(("subject", text(&service.subject))),
                groups,
            ];
            self.key("answers_as", flow(members));
        }
    }

    fn mail(&mut self, mail: &Mail) {
        self.key("to", texts(&mail.to));
        self.events(&mail.events);
    }

    fn events(&mut self, events: &[NotificationEvent]) {
        if !events.is_empty() {
            self.key("events", list(events, word));
        }
    }

    fn workload(&mut self, workload: &Workload) {
        self.block("subjects", workload.subjects.iter().map(subject));
        self.key("audience", text(&workload.audience));
        if !workload.groups.is_empty() {
            self.key("groups", texts(&workload.groups));
        }
        self.key("connections", texts(&workload.connections));
        self.key("operations", texts(&workload.operations));
        self.key("models", texts(&workload.models));
        self.key("minutes_max", workload.minutes_max.to_string());
    }

    fn mask(&mut self, mask: &Mask) {
        if !mask.detectors.is_empty() {
            self.key("detectors", texts(&mask.detectors));
        }
        if !mask.patterns.is_empty() {
            self.block(
                "patterns",
                mask.patterns.iter().map(|one| {
                    flow([Some(("name", text(&one.name))), Some(("regex", text(&one.regex)))])
                }),
            );
        }
        if !mask.words.is_empty() {
            self.block(
                "words",
                mask.words.iter().map(|one| {
                    flow([Some(("name", text(&one.name))), Some(("list", texts(&one.list)))])
                }),
            );
        }
        if let Some(analyzer) = &mask.analyzer {
            self.key("analyzer", mask_analyzer(analyzer));
        }
        if !mask.fields.is_empty() {
            self.key("fields", texts(&mask.fields));
        }
        self.key("action", action(&mask.action));
        if !mask.overrides.is_empty() {
            self.block("overrides", mask.overrides.iter().map(mask_override));
        }
        self.key("unreadable", word(&mask.unreadable));
        self.key("stalled_ms_max", mask.stalled_ms_max.to_string());
        self.key("stalled", word(&mask.stalled));
        self.key("applies_to", list(&mask.applies_to, word));
        self.key("masked_bytes_max", mask.masked_bytes_max.to_string());
        if !mask.except.is_empty() {
            self.block("except", mask.except.iter().map(subject));
        }
    }
}

fn action(action: &MaskAction) -> String {
    match action {
        MaskAction::KeepLast(kept) => flow([Some(("keep_last", kept.to_string()))]),
        MaskAction::Replace | MaskAction::Redact | MaskAction::Hash | MaskAction::Surrogate => {
            word(action)
        }
    }
}

fn mask_analyzer(analyzer: &MaskAnalyzer) -> String {
    flow([
        Some(("url", text(&analyzer.url))),
        Some(("language", text(&analyzer.language))),
        Some(("entities", texts(&analyzer.entities))),
        Some(("score_min", analyzer.score_min.to_string())),
        Some(("timeout_ms", analyzer.timeout_ms.to_string())),
        Some(("unavailable", word(&analyzer.unavailable))),
    ])
}

fn mask_override(entry: &MaskOverride) -> String {
    flow([
        Some(("detectors", texts(&entry.detectors))),
        Some(("connections", texts(&entry.connections))),
        (!entry.subjects.is_empty()).then(|| ("subjects", list(&entry.subjects, subject))),
        entry.form.as_ref().map(|form| ("form", word(form))),
        entry.action.as_ref().map(|one| ("action", action(one))),
    ])
}

fn hours(hours: &Hours) -> String {
    flow([
        (!hours.days.is_empty()).then(|| ("days", list(&hours.days, word))),
        Some(("from", quoted(&clock_text(hours.from)))),
        Some(("to", quoted(&clock_text(hours.to)))),
        Some(("zone", text(&hours.zone))),
    ])
}

fn auto_approve(entry: &AutoApprove) -> String {
    flow([
        (!entry.subjects.is_empty()).then(|| ("subjects", list(&entry.subjects, subject))),
        (!entry.when.is_empty()).then(|| ("when", list(&entry.when, hours))),
    ])
}

fn subject(subject: &Subject) -> String {
    let list = |list: &Option<Vec<String>>| list.as_ref().map(|list| texts(list));
    flow([
        subject.issuer.as_ref().map(|issuer| ("issuer", text(issuer))),
        list(&subject.users).map(|users| ("users", users)),
        list(&subject.groups).map(|groups| ("groups", groups)),
        subject.claims.as_ref().map(|claims| ("claims", claims_flow(claims))),
    ])
}

fn claims_flow(claims: &BTreeMap<String, String>) -> String {
    let members: Vec<String> = claims
        .iter()
        .map(|(claim, value)| format!("{}: {}", quoted(claim), quoted(value)))
        .collect();
    format!("{{{}}}", members.join(", "))
}

fn row(row: &OperatorRow) -> String {
    flow([
        Some(("methods", texts(&row.methods))),
        Some(("path", quoted(&row.path))),
        Some(("operations", texts(&row.operations))),
        Some(("risk", word(&row.risk))),
        row.model.as_ref().map(|model| ("model", text(model))),
    ])
}

fn flow<const N: usize>(members: [Option<(&str, String)>; N]) -> String {
    let members: Vec<String> =
        members.into_iter().flatten().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{{}}}", members.join(", "))
}

fn texts(texts: &[String]) -> String {
    list(texts, |item| text(item))
}

fn list<T>(items: &[T], item: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items.iter().map(item).collect();
    format!("[{}]", items.join(", "))
}

/// The word that an enumeration's value has in JSON, and so in documents.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

fn text(value: &str) -> String {
    if is_plain_text(value) { value.to_owned() } else { quoted(value) }
}

/// A double-quoted scalar (YAML 1.2.2 section 7.3.1) in printable characters only.
fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(character),
            _ if character.is_alphanumeric() => out.push(character),
            _ => {
                let _ = write!(out, "\\U{:08x}", u32::from(character));
            }
        }
    }
    out.push('"');
    out
}
