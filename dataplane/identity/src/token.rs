//! The compact serialisation of a JWS (RFC 7515 section 7.1): three parts, and the header's members
//! that are understood.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::error::TokenError;
use crate::json::{self, JsonError};
use crate::key::Algorithm;
use crate::{KEY_ID_BYTES_MAX, TOKEN_BYTES_MAX, base64url};

/// A token that was taken apart; nothing in it is verified.
pub(crate) struct Token<'a> {
    /// What the signature is over: header, dot and claims as they came.
    pub(crate) signed: &'a [u8],
    /// The header.
    pub(crate) header: Header,
    /// The claims.
    pub(crate) claims: Map<String, Value>,
    /// The signature, decoded.
    pub(crate) signature: Zeroizing<Vec<u8>>,
}

/// What counts of a header. Keys and addresses of keys in it (`jwk`, `jku`, `x5c`, `x5u`) are never
/// looked at.
pub(crate) struct Header {
    /// `alg`.
    pub(crate) algorithm: Algorithm,
    /// `kid`: 1 to [`KEY_ID_BYTES_MAX`] bytes.
    pub(crate) key_id: Option<String>,
    /// `typ`.
    pub(crate) token_type: Option<String>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(crate) fn parse(token: &'a [u8]) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Shape);
        };
        let signed = token
            .strip_suffix(signature)
            .and_then(|rest| rest.strip_suffix(b"."))
            .ok_or(TokenError::Shape)?;
        let header = Header::parse(object(header, TokenError::Header)?)?;
        let claims = object(claims, TokenError::Claims)?;
        let signature = base64url::decode(signature).ok_or(TokenError::Encoding)?;
        Ok(Self { signed, header, claims, signature })
    }
}

fn object(part: &[u8], malformed: TokenError) -> Result<Map<String, Value>, TokenError> {
    let text = base64url::decode(part).ok_or(TokenError::Encoding)?;
    json::object(&text).map_err(|error| match error {
        JsonError::Malformed => malformed,
        JsonError::DuplicateMember => TokenError::DuplicateMember,
    })
}

impl Header {
    fn parse(members: Map<String, Value>) -> Result<Self, TokenError> {
        // RFC 7515 4.1.11: what `crit` lists must be understood, and nothing is. The other three
        // change what the payload means (RFC 7797, RFC 7516 4.1.3, RFC 7519 5.2).
        if ["crit", "b64", "zip", "cty"].iter().any(|name| members.contains_key(*name)) {
            return Err(TokenError::Extension);
        }
        let algorithm = members
            .get("alg")
            .and_then(Value::as_str)
            .and_then(Algorithm::from_name)
            .ok_or(TokenError::Algorithm)?;
        let key_id = match members.get("kid") {
            None => None,
            Some(Value::String(id)) if (1..=KEY_ID_BYTES_MAX).contains(&id.len()) => {
                Some(id.clone())
            }
            Some(_) => return Err(TokenError::KeyId),
        };
        let token_type = match members.get("typ") {
            None => None,
            Some(Value::String(name)) if !name.is_empty() => Some(name.clone()),
            Some(_) => return Err(TokenError::TokenType),
        };
        Ok(Self { algorithm, key_id, token_type })
    }
}
