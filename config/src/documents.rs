//! Documents: issuer, connection, rule, role; person, webhook, mail, workload; mask. YAML to
//! typed values, every problem at its place.

mod approval;
mod connection;
mod emit;
mod issuer;
mod mask;
mod references;
mod rule;
mod set;
#[cfg(test)]
mod tests;
mod upstream_tls;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diagnostics::Diagnostic;

pub use approval::{
    Approval, AutoApprove, BreakGlass, Day, ExactIdentity, GrantLimits, HeldStream, Hours, Mail,
    NotificationEvent, Person, Reason, ServiceIdentity, Webhook, Workload,
};
pub use issuer::{EXCHANGE_ISSUER, EXCHANGED_AUDIENCE, exchange_issuer};
pub use mask::{
    EmailForm, Mask, MaskAction, MaskAnalyzer, MaskOverride, MaskPattern, MaskSide, MaskWords,
    Stalled, Unavailable, Unreadable,
};

/// One typed document.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Document {
    /// Who may vouch for people and workloads.
    Issuer(Issuer),
    /// A registered model upstream.
    Connection(Connection),
    /// Subjects x connections x operations x models -> allow, deny or approval.
    Rule(Rule),
    /// Who may do what in the control plane.
    Role(Role),
    /// Identities that are one person.
    Person(Person),
    /// A system that is told of approvals, and that may answer.
    Webhook(Webhook),
    /// People who are told by e-mail.
    Mail(Mail),
    /// Whose tokens are exchanged.
    Workload(Workload),
    /// Which values are masked in what models say, and how.
    Mask(Mask),
}

impl Document {
    /// Every kind, as documents and the API's paths have it.
    pub const KINDS: [&str; 9] =
        ["issuer", "connection", "rule", "role", "person", "webhook", "mail", "workload", "mask"];

    /// One of [`Self::KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Issuer(_) => "issuer",
            Self::Connection(_) => "connection",
            Self::Rule(_) => "rule",
            Self::Role(_) => "role",
            Self::Person(_) => "person",
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "mail",
            Self::Workload(_) => "workload",
            Self::Mask(_) => "mask",
        }
    }

    /// The document's name, unique within its kind.
    pub fn name(&self) -> &str {
        match self {
            Self::Issuer(d) => &d.name,
            Self::Connection(d) => &d.name,
            Self::Rule(d) => &d.name,
            Self::Role(d) => &d.name,
            Self::Person(d) => &d.name,
            Self::Webhook(d) => &d.name,
            Self::Mail(d) => &d.name,
            Self::Workload(d) => &d.name,
            Self::Mask(d) => &d.name,
        }
    }

    /// The issuer, if it is one.
    pub fn as_issuer(&self) -> Option<&Issuer> {
        let Self::Issuer(issuer) = self else { return None };
        Some(issuer)
    }

    /// The connection, if it is one.
    pub fn as_connection(&self) -> Option<&Connection> {
        let Self::Connection(connection) = self else { return None };
        Some(connection)
    }

    /// The rule, if it is one.
    pub fn as_rule(&self) -> Option<&Rule> {
        let Self::Rule(rule) = self else { return None };
        Some(rule)
    }

    /// The role, if it is one.
    pub fn as_role(&self) -> Option<&Role> {
        let Self::Role(role) = self else { return None };
        Some(role)
    }

    /// The person, if it is one.
    pub fn as_person(&self) -> Option<&Person> {
        let Self::Person(person) = self else { return None };
        Some(person)
    }

    /// The webhook, if it is one.
    pub fn as_webhook(&self) -> Option<&Webhook> {
        let Self::Webhook(webhook) = self else { return None };
        Some(webhook)
    }

    /// The mail document, if it is one.
    pub fn as_mail(&self) -> Option<&Mail> {
        let Self::Mail(mail) = self else { return None };
        Some(mail)
    }

    /// The workload, if it is one.
    pub fn as_workload(&self) -> Option<&Workload> {
        let Self::Workload(workload) = self else { return None };
        Some(workload)
    }

    /// The mask, if it is one.
    pub fn as_mask(&self) -> Option<&Mask> {
        let Self::Mask(mask) = self else { return None };
        Some(mask)
    }
}

/// `kind: issuer`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Name of the document.
    pub name: String,
    /// The issuer's URL: equal to `iss` of its tokens byte for byte.
    pub issuer: String,
    /// Where its keys are, if not by discovery below `issuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Audiences for the data plane that its tokens may carry; one must be among them.
    pub audiences: Vec<String>,
    /// The claim that `users` matches: `sub` by default; `email` counts only with `email_verified`.
    pub user_claim: String,
    /// Path of the groups claim: `groups`, `realm_access.roles`.
    pub groups_claim: String,
    /// Leeway on times in milliseconds, at most 60,000; 30,000 by default.
    pub leeway_ms: u64,
    /// Longest lifetime (`exp` - `iat`) in milliseconds; 86,400,000 by default.
    pub lifetime_ms_max: u64,
    /// Accepted `typ` header values, compared without case and without `application/`; empty text
    /// stands for an absent one. `JWT`, `at+jwt` and an absent one by default.
    pub token_types: Vec<String>,
    /// The public client that people sign in with there (RFC 8252), if they can: it is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// Protocols that this version builds; every other name of the surface is refused as not built.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Only the rows that an operator's table adds.
    Generic,
    /// llama.cpp's own server.
    Llamacpp,
    /// Ollama.
    Ollama,
    /// Any server that speaks OpenAI's API and nothing else.
    Openai,
    /// vLLM.
    Vllm,
}

/// How the upstream's credential is put into a request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialScheme {
    /// `Basic base64(secret)`; the secret is `user:password`.
    Basic,
    /// `Bearer secret`.
    Bearer,
    /// The secret alone.
    Raw,
}

/// `credential` of a connection.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Name of the secret.
    pub secret: String,
    /// How it is put into the header.
    pub scheme: CredentialScheme,
    /// Lower-case name of the header; `authorization` by default.
    pub header: String,
}

/// `limits` of a connection.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionLimits {
    /// Largest JSON body that a decision reads, in bytes; 8,388,608 by default.
    pub decision_bytes_max: u64,
    /// Largest request body, in bytes; 1,073,741,824 by default.
    pub body_bytes_max: u64,
    /// Longest exchange, in milliseconds; 3,600,000 by default.
    pub stream_ms_max: u64,
}

/// Where a connection's server listens: `http://host:port/base`, or `https://` where the connection
/// has [`Connection::tls`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Base path without a trailing slash; empty for none.
    pub base_path: String,
}

/// How the servers of a connection with `https://` endpoints are verified and what they are shown.
/// There is no way to leave verification out.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// `ca`: PEM, the authorities that may vouch for the servers, 1 to 64 certificates that
    /// [`crate::certificates::authorities`] reads; the node's own list of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// `server_name`: the DNS name (lower case) or IP address that certificates must be issued for;
    /// each endpoint's own host when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// `client_certificate`: what the gateway shows to the servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
}

/// `client_certificate` of a connection's `tls`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// Name of the secret, which holds what [`crate::certificates::client_certificate`] reads.
    pub secret: String,
}

/// One row that an operator's own table adds to a connection's catalogue.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorRow {
    /// Methods, upper case.
    pub methods: Vec<String>,
    /// Path template: `/v1/items/{id}`.
    pub path: String,
    /// Operations of the request.
    pub operations: Vec<String>,
    /// `low`, `medium`, `high` or `critical`.
    pub risk: crate::catalogue::Risk,
    /// Where the model's name stands: `body:model`, `query:model`, `path:id`; nowhere when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// `kind: connection`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Name of the document, and the path prefix on the gateway.
    pub name: String,
    /// What the server speaks.
    pub protocol: Protocol,
    /// Version of the server; the newest table when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// TLS: present exactly where the endpoints are `https://` ones, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// The model's own credential, if it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// Name of the mask that its exchanges are under, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// Limits of its exchanges.
    pub limits: ConnectionLimits,
    /// The operator's own rows (document key `table`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub table: Vec<OperatorRow>,
}

impl Connection {
    /// Names of the secrets that its requests need, each once or more.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let credential = self.credential.iter().map(|credential| credential.secret.as_str());
        credential.chain(self.client_certificate_secret())
    }

    /// Name of the secret that holds its client certificate.
    pub fn client_certificate_secret(&self) -> Option<&str> {
        self.tls.as_ref()?.client_certificate.as_ref().map(|one| one.secret.as_str())
    }

    /// Its endpoints as a document has them, ports included.
    pub fn endpoint_urls(&self) -> impl Iterator<Item = String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.endpoints.iter().map(move |Endpoint { host, port, base_path }| {
            if host.contains(':') {
                format!("{scheme}://[{host}]:{port}{base_path}")
            } else {
                format!("{scheme}://{host}:{port}{base_path}")
            }
        })
    }
}

/// What a rule says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The request may pass.
    Allow,
    /// The request may not pass, whatever another rule says.
    Deny,
    /// The request may pass once people have agreed; until then it may not.
    Approve,
}

/// One entry of `subjects` or `except`: all fields that are given hold.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Name of an issuer document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Any of these globs matches the identity's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
    /// The identity is in any of these groups (exact names).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Each of these claims (by path) equals the given text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<BTreeMap<String, String>>,
}

/// `kind: rule`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name of the document.
    pub name: String,
    /// Allow, deny, or require approval.
    pub effect: Effect,
    /// Any entry matches; empty only in deny rules, where it means everybody.
    pub subjects: Vec<Subject>,
    /// Subjects that the rule does not concern.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Subject>,
    /// Names or globs; `["*"]` by default.
    pub connections: Vec<String>,
    /// Names or globs; empty only in deny rules, where it means every operation.
    pub operations: Vec<String>,
    /// Names or globs; `["*"]` by default.
    pub models: Vec<String>,
    /// The rule matches while any of these holds; always when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Hours>,
    /// Whether what runs under this rule ends when the caller's token does; never in deny rules.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_with_token: bool,
    /// Who must agree, and what they may give; present exactly where the effect is to approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// What a role document grants in the control plane.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// Everything, secrets and roles included.
    Admin,
    /// Sees every approval.
    Approver,
    /// Reads everything but secrets.
    Auditor,
    /// Writes connections, rules and masks; sets secrets; reads nodes. Other documents are the
    /// admin's.
    Operator,
    /// Reads what concerns itself.
    User,
}

/// `kind: role`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Name of the document.
    pub name: String,
    /// The role.
    pub role: RoleName,
    /// Any entry matches.
    pub subjects: Vec<Subject>,
}

/// A named text with documents in it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name for diagnostics: a file's path, `-` for standard input.
    pub name: String,
    /// YAML 1.2, several documents separated by `---`.
    pub text: String,
}

/// A document with the place where it began, for later diagnostics.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The typed document.
    pub document: Document,
    /// Index of its source.
    pub source: usize,
    /// Line where it began, counted from 1.
    pub line: u32,
}

/// Parses all sources as one set and types every document. References between documents are not
/// checked here: see [`check_references`].
///
/// # Errors
/// Every problem of every source, never only the first.
pub fn parse(sources: &[Source]) -> Result<Vec<Placed>, Vec<Diagnostic>> {
    set::parse(sources)
}

/// Checks a whole set as it would be in force: unknown issuers in subjects, `issuer` missing where
/// there is more than one issuer, two issuers with one URL, unknown connections named without a
/// glob, unknown masks, duplicate names, globs or names of operations that no catalogue knows, rows
/// that no table takes, identities that are two persons. `placed` tells where a document stands,
/// for those that were just written; others are reported as `<in force>`.
///
/// # Errors
/// Every problem. Warnings come back in `Ok`: a connection without `version`, a glob of an allow
/// rule that covers operations of critical risk, which it never reaches, a hold that outlasts the
/// patience of common proxies.
pub fn check_references(
    set: &[Document],
    sources: &[Source],
    placed: &[Placed],
) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    references::check(set, sources, placed)
}

/// Where the value at the end of a path of keys and indices stands in a written document, or the
/// last one that is there: line and column, counted from 1.
pub fn place_of(source: &Source, placed: &Placed, path: &[&str]) -> (u32, u32) {
    references::place_of(source, placed, path)
}

/// A document as YAML, without a `---` line: every key that has a value, defaults included. Parsing
/// it yields an equal document.
pub fn to_yaml(document: &Document) -> String {
    emit::document(document)
}
