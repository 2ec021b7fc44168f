//! A verified identity and the intent of its token, as decisions read them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::documents::EXCHANGE_ISSUER;

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

/// The token that an exchanged one was given for, as its claim `source` names it. Whatever revokes
/// that token, or whom it speaks for, ends the exchanged one as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenSource<'a> {
    /// Name of the issuer document (`iss` of the claim).
    pub issuer: &'a str,
    /// Its subject (`sub`).
    pub subject: &'a str,
    /// SHA-256 of the token, hex.
    pub sha256: &'a str,
    /// Its id (`jti`), where it has one.
    pub id: Option<&'a str>,
}

impl Identity {
    /// What its token was exchanged for: none but the control plane's own tokens say so.
    pub fn source(&self) -> Option<TokenSource<'_>> {
        if self.issuer != EXCHANGE_ISSUER {
            return None;
        }
        let source = self.claims.get("source")?;
        let text = |name: &str| source.get(name).and_then(Value::as_str);
        let (issuer, subject, sha256) = (text("iss")?, text("sub")?, text("sha256")?);
        Some(TokenSource { issuer, subject, sha256, id: text("jti") })
    }
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
