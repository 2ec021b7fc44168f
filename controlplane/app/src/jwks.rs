//! A key set and a discovery document as they came, read within bounds.

use serde_json::{Map, Value};

use crate::state::KeySet;

/// Most keys in one set.
pub const KEYS_MAX: usize = 64;
/// Largest key set or discovery document, in bytes after decoding.
pub const BYTES_MAX: usize = 512 * 1024;

/// Why a set is no good; the last good one stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JwksError {
    /// Larger than [`BYTES_MAX`].
    #[error("larger than 512 KiB")]
    TooLarge,
    /// Not a JSON object with an array `keys` of objects.
    #[error("not a key set")]
    NotASet,
    /// No key at all: a failure, not the removal of all keys.
    #[error("a key set without keys")]
    Empty,
    /// More keys than [`KEYS_MAX`].
    #[error("more than 64 keys")]
    TooMany,
    /// The discovery document is of another issuer.
    #[error("a discovery document of another issuer")]
    OtherIssuer,
    /// Not a discovery document with a `jwks_uri`.
    #[error("not a discovery document")]
    NotADiscovery,
}

/// Reads a key set (RFC 7517 section 5). Its keys are still to be checked, one by one and together.
///
/// # Errors
/// See [`JwksError`].
pub fn parse(bytes: &[u8]) -> Result<KeySet, JwksError> {
    let mut set = object(bytes, JwksError::NotASet)?;
    let Some(Value::Array(keys)) = set.remove("keys") else { return Err(JwksError::NotASet) };
    if keys.is_empty() {
        return Err(JwksError::Empty);
    }
    if keys.len() > KEYS_MAX {
        return Err(JwksError::TooMany);
    }
    let members: Option<KeySet> = keys
        .into_iter()
        .map(|key| match key {
            Value::Object(members) => Some(members),
            _ => None,
        })
        .collect();
    members.ok_or(JwksError::NotASet)
}

/// Reads a discovery document and returns its `jwks_uri` (OpenID Connect Discovery 1.0 section 3).
///
/// # Errors
/// Another issuer than the expected one, byte for byte (section 4.3), or not such a document.
pub fn discovered(bytes: &[u8], issuer: &str) -> Result<String, JwksError> {
    let mut document = object(bytes, JwksError::NotADiscovery)?;
    match document.get("issuer") {
        Some(Value::String(named)) if named == issuer => {}
        Some(Value::String(_)) => return Err(JwksError::OtherIssuer),
        _ => return Err(JwksError::NotADiscovery),
    }
    match document.remove("jwks_uri") {
        Some(Value::String(uri)) => Ok(uri),
        _ => Err(JwksError::NotADiscovery),
    }
}

fn object(bytes: &[u8], otherwise: JwksError) -> Result<Map<String, Value>, JwksError> {
    if bytes.len() > BYTES_MAX {
        return Err(JwksError::TooLarge);
    }
    serde_json::from_slice(bytes).map_err(|_| otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_with_distinct_ids_is_read() {
        let set = br#"{"keys":[{"kid":"a","kty":"RSA"},{"kid":"b","kty":"RSA"}]}"#;
        assert_eq!(parse(set).map(|keys| keys.len()), Ok(2));
    }

    #[test]
    fn what_is_not_a_bounded_set_is_refused() {
        let many: Vec<Value> = (0..65).map(|n| serde_json::json!({"kid": n.to_string()})).collect();
        let many = serde_json::json!({"keys": many}).to_string();
        let cases: [(&[u8], JwksError); 6] = [
            (br#"{"keys":[]}"#, JwksError::Empty),
            (br#"{"keys":{}}"#, JwksError::NotASet),
            (br#"{"keys":["x"]}"#, JwksError::NotASet),
            (b"<html>", JwksError::NotASet),
            (many.as_bytes(), JwksError::TooMany),
            (&vec![b' '; BYTES_MAX + 1], JwksError::TooLarge),
        ];
        for (bytes, expected) in cases {
            assert_eq!(parse(bytes), Err(expected));
        }
    }

    #[test]
    fn a_discovery_document_of_another_issuer_is_refused() {
        let document = br#"{"issuer":"https://a","jwks_uri":"https://a/keys"}"#;
        assert_eq!(discovered(document, "https://a"), Ok("https://a/keys".to_owned()));
        assert_eq!(discovered(document, "https://a/"), Err(JwksError::OtherIssuer));
        assert_eq!(discovered(b"{}", "https://a"), Err(JwksError::NotADiscovery));
    }
}
