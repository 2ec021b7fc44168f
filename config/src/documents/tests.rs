mod accepted;
mod approvals;
mod masks;
mod people;
mod references;
mod refused;
mod round_trip;
mod upstream_tls;
mod workloads;

use super::*;

/// A new authority's certificate, PEM as documents keep it.
fn authority(name: &(impl AsRef<str> + ?Sized)) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new([name.as_ref().to_owned()]).expect("a name");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    crate::certificates::to_pem(&[certificate.der().clone()])
}

/// A source named `a.yaml`.
fn source(text: &str) -> Source {
    Source { name: "a.yaml".into(), text: text.into() }
}

fn parse_one(text: &str) -> Result<Vec<Document>, Vec<Diagnostic>> {
    parse(&[source(text)]).map(|placed| placed.into_iter().map(|one| one.document).collect())
}

/// The only document of a text.
fn document(text: &str) -> Document {
    let documents = parse_one(text).unwrap_or_else(|problems| panic!("{text}: {problems:#?}"));
    assert_eq!(documents.len(), 1, "{text}");
    documents.into_iter().next().expect("one document")
}

/// Problems of a text as `line:column: message`.
fn problems(text: &str) -> Vec<String> {
    let found = parse_one(text).err().unwrap_or_default();
    found.iter().map(|one| format!("{}:{}: {}", one.line, one.column, one.message)).collect()
}

/// The only problem's hint.
fn hint(text: &str) -> String {
    let found = parse_one(text).err().unwrap_or_default();
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].hint.clone().unwrap_or_default()
}

const ISSUER: &str = "kind: issuer
name: company
issuer: https://id.example.com
audiences: [penstock]
";

const CONNECTION: &str = "kind: connection
name: llama
protocol: llamacpp
version: b11434
endpoints: [http://127.0.0.1:8080]
";

const ALLOW: &str = "kind: rule
name: engineers
effect: allow
subjects: [{groups: [engineers]}]
operations: [list]
";

const APPROVE: &str = "kind: rule
name: adapters
effect: approve
subjects: [{groups: [engineers]}]
operations: [adapter.*]
approval:
  reviewers: [{groups: [ml-leads]}]
";

const ROLE: &str = "kind: role
name: operators
role: operator
subjects: [{groups: [platform]}]
";
