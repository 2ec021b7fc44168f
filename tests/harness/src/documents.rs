//! Documents as an operator writes them.

/// A connection in front of a model server that takes no credential.
#[must_use]
pub fn connection(name: &str, protocol: &str, endpoint: &str) -> String {
    format!(
        "kind: connection\nname: {name}\nprotocol: {protocol}\nendpoints: ['{endpoint}']\n---\n"
    )
}

/// A connection whose model server takes `Authorization: Bearer` with the value of a secret.
#[must_use]
pub fn connection_with_secret(name: &str, endpoint: &str, secret: &str) -> String {
    format!(
        "kind: connection\nname: {name}\nprotocol: openai\nendpoints: ['{endpoint}']\n\
         credential: {{secret: {secret}, scheme: bearer}}\n---\n"
    )
}

/// A rule that allows operations, as `infer.*, list`, to a group.
#[must_use]
pub fn allow(name: &str, group: &str, operations: &str) -> String {
    format!(
        "kind: rule\nname: {name}\neffect: allow\nsubjects: [{{groups: [{group}]}}]\n\
         operations: [{operations}]\n---\n"
    )
}

/// What most journeys need: a connection `m`, and a rule that lets engineers infer and list.
#[must_use]
pub fn usual(endpoint: &str) -> String {
    connection("m", "openai", endpoint) + &allow("engineers", "engineers", "infer.*, list")
}
