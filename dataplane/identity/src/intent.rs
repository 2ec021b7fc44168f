//! `authorization_details` (RFC 9396) of type `penstock_access`: what a token was asked for.

use penstock_config::identity::{Access, Intent};
use serde_json::{Map, Value};

use crate::error::TokenError;

const ACCESS: &str = "penstock_access";

/// The intent of a token; none if the claim is absent or has no entry of our type.
///
/// # Errors
/// The claim is no array of objects that each have a type, or an entry of our type has a member
/// that is unknown (it may have been meant to narrow) or of another JSON type.
pub(crate) fn read(claims: &Map<String, Value>) -> Result<Option<Intent>, TokenError> {
    let entries = match claims.get("authorization_details") {
        None => return Ok(None),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(TokenError::AuthorizationDetails),
    };
    let mut accesses = Vec::new();
    for entry in entries {
        accesses.extend(access(entry).ok_or(TokenError::AuthorizationDetails)?);
    }
    Ok((!accesses.is_empty()).then_some(Intent { accesses }))
}

/// `None`: malformed. `Some(None)`: of another type, for somebody else to enforce.
fn access(entry: &Value) -> Option<Option<Access>> {
    let members = entry.as_object()?;
    if members.get("type")?.as_str()? != ACCESS {
        return Some(None);
    }
    let mut access = Access::default();
    for (name, value) in members {
        match name.as_str() {
            "type" => {}
            "connections" => access.connections = Some(patterns(value)?),
            "operations" => access.operations = Some(patterns(value)?),
            "models" => access.models = Some(patterns(value)?),
            "reason" => access.reason = Some(value.as_str()?.to_owned()),
            "ticket" => access.ticket = Some(value.as_str()?.to_owned()),
            _ => return None,
        }
    }
    Some(Some(access))
}

fn patterns(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|entry| entry.as_str().map(str::to_owned)).collect()
}
