//! A verified identity and the intent of its token, as decisions read them.

use serde::{Deserialize, Serialize};

/// Who asks: made by the data plane from a verified token, or by `explain` from its arguments.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Name of the issuer document that vouches for it (not the issuer's URL).
    pub issuer: String,
    /// The token's `sub`, by bytes; with `issuer` this is the identity.
    pub subject: String,
    /// What `users` in rules match: the claim that the issuer's `user_claim` names.
    pub user: String,
    /// Groups, by the issuer's `groups_claim`.
    #[serde(default)]
    pub groups: Vec<String>,
    /// All claims, for rules that name some.
    #[serde(default)]
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// What the token was asked for; it only ever narrows.
    #[serde(default)]
    pub intent: Option<Intent>,
}

/// `authorization_details` entries of type `penstock_access` (RFC 9396), each narrowing.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// A request must fit into at least one of these.
    pub accesses: Vec<Access>,
}

/// One `penstock_access` entry. A field that is absent does not narrow.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Names or globs of connections.
    pub connections: Option<Vec<String>>,
    /// Names or globs of operations.
    pub operations: Option<Vec<String>>,
    /// Names or globs of models.
    pub models: Option<Vec<String>>,
    /// Why, in the caller's words.
    pub reason: Option<String>,
    /// The ticket that it is for.
    #[serde(default)]
    pub ticket: Option<String>,
}
