//! Documents as YAML: one key a line, lists and small mappings in flow style. Text is written plain
//! only where it is read back as the same text; otherwise it is quoted and escaped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Connection, Document, Issuer, OperatorRow, Role, Rule, Subject, UpstreamTls};
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
    }

    fn role(&mut self, role: &Role) {
        self.key("role", word(&role.role));
        self.block("subjects", role.subjects.iter().map(subject));
    }
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

fn texts(list: &[String]) -> String {
    let items: Vec<String> = list.iter().map(|item| text(item)).collect();
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
