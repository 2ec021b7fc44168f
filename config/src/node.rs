//! What a data plane and the control plane say to each other, over mutual TLS with JSON bodies.
//!
//! A snapshot is signed bytes; 200 and 204 both confirm what the node has. `holds` is the SHA-256
//! of the signed payload that the node has (the second value of [`crate::snapshot::verify`]), hex,
//! empty where it has none: the same position with another payload is answered 409 `node_diverged`,
//! a position that the control plane has not reached 409 `node_ahead`. A node that was removed is
//! answered 403 `unknown_node`, also where it waits already.
//!
//! | call | question | answer |
//! |---|---|---|
//! | `POST /node/v1/join` (no client certificate) | [`JoinRequest`] | [`JoinAnswer`] |
//! | `GET /node/v1/snapshot` | `epoch` `version` `revision` `holds` `wait_ms` | 200, 204, 409 |
//! | `POST /node/v1/leases` | [`crate::lease::LeaseRequest`] | [`crate::lease::LeaseAnswer`] |
//! | `POST /node/v1/status` | [`NodeStatus`] | 204 |
//! | `POST /node/v1/unknown-key` | [`UnknownKey`] | 204 |

use std::fmt;

use serde::{Deserialize, Serialize};

/// The file with which a node joins: made once by an administrator, deleted by the node after use.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JoinFile {
    /// `https://host:port` of the control plane's node address.
    pub url: String,
    /// SHA-256 of the DER of the certificate authority's certificate, hex.
    pub ca_sha256: String,
    /// The certificate authority's certificate, PEM; it must match `ca_sha256`.
    pub ca_pem: String,
    /// Keys that snapshots may be signed with.
    pub snapshot_keys: Vec<SnapshotKey>,
    /// One-time token.
    pub token: String,
    /// Cluster that the node joins.
    pub cluster: String,
}

impl fmt::Debug for JoinFile {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinFile")
            .field("url", &self.url)
            .field("ca_sha256", &self.ca_sha256)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// A public key that snapshots may be signed with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotKey {
    /// Key id.
    pub id: String,
    /// Ed25519 public key, base64 (standard alphabet, padded).
    pub public: String,
}

/// Body of `POST /node/v1/join`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The one-time token.
    pub token: String,
    /// Certificate signing request, PEM; the node keeps its private key.
    pub csr_pem: String,
    /// Name that the node would like: its host name.
    pub name: String,
}

impl fmt::Debug for JoinRequest {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Answer of `POST /node/v1/join`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JoinAnswer {
    /// Id that the control plane gave the node; the certificate's common name.
    pub node: String,
    /// The node's certificate, PEM.
    pub certificate_pem: String,
}

/// Where a snapshot stands in the order of snapshots; compared in field order.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Raised when a control plane starts over from a backup.
    pub epoch: u64,
    /// Version of the documents: what `penstock versions` lists.
    pub version: u64,
    /// Raised when the same documents are issued again: other verification keys or credentials, or
    /// a later expiry.
    pub revision: u64,
}

/// Body of `POST /node/v1/status`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NodeStatus {
    /// What each core enforces, by core index.
    pub cores: Vec<Position>,
    /// When the last core took the newest position, milliseconds since the Unix epoch.
    pub enforced_at_ms: u64,
    /// Endpoints and how they do.
    pub upstreams: Vec<UpstreamStatus>,
    /// Version of the data plane's program.
    pub program: String,
    /// Address that callers reach.
    pub listen: String,
    /// A snapshot that was refused since the last status, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// One endpoint of one connection, seen from one node.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamStatus {
    /// Name of the connection.
    pub connection: String,
    /// `host:port`.
    pub endpoint: String,
    /// `unknown` before the first request, `up`, or `down`.
    pub state: String,
}

/// Body of `POST /node/v1/unknown-key`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UnknownKey {
    /// Name of the issuer document.
    pub issuer: String,
    /// The `kid` that no key has, at most 256 bytes.
    pub kid: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_token_is_not_in_the_debug_text_of_what_carries_it() {
        let file = JoinFile {
            url: "https://127.0.0.1:9443".into(),
            ca_sha256: "00".into(),
            ca_pem: String::new(),
            snapshot_keys: Vec::new(),
            token: "one-time".into(),
            cluster: "c".into(),
        };
        let request =
            JoinRequest { token: "one-time".into(), csr_pem: String::new(), name: "n".into() };
        let shown = format!("{file:?} {request:?}");
        assert!(!shown.contains("one-time"), "{shown}");
    }

    #[test]
    fn a_position_is_compared_by_epoch_then_version_then_revision() {
        let at = |epoch, version, revision| Position { epoch, version, revision };
        assert!(at(1, 0, 0) > at(0, 9, 9));
        assert!(at(0, 2, 0) > at(0, 1, 9));
        assert!(at(0, 1, 2) > at(0, 1, 1));
    }

    #[test]
    fn a_message_with_an_unknown_member_is_refused() {
        let text = r#"{"issuer": "company", "kid": "k", "more": 1}"#;
        assert!(serde_json::from_str::<UnknownKey>(text).is_err());
    }
}
