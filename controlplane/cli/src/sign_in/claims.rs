//! What a token says, read without a check: to choose between tokens and to tell people. Whoever
//! is given the token verifies it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Largest token that is looked into, in bytes.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// The claims of a JWT (RFC 7519); nothing where the text is none.
pub(crate) fn of(token: &str) -> Option<Value> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&payload).ok().filter(Value::is_object)
}

/// The audiences, which may be one text or a list.
pub(crate) fn audiences(claims: &Value) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    }
}

/// `exp` in milliseconds since the Unix epoch.
pub(crate) fn expires_ms(claims: &Value) -> Option<u64> {
    let seconds = claims.get("exp")?;
    let seconds = seconds.as_u64().or_else(|| seconds.as_f64().map(|float| float as u64))?;
    seconds.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_read_from_a_token_and_from_nothing_else() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"aud":["a","b"],"exp":7}"#);
        let claims = of(&format!("h.{payload}.s")).unwrap();
        assert_eq!((audiences(&claims), expires_ms(&claims)), (vec!["a", "b"], Some(7000)));
        for text in ["", "opaque", "a.b", "a.!.c", &format!("h.{}.s", URL_SAFE_NO_PAD.encode("1"))]
        {
            assert!(of(text).is_none(), "{text:?}");
        }
        assert_eq!(audiences(&json!({"aud": "a"})), ["a"]);
        assert_eq!(audiences(&json!({"aud": 1})), [""; 0]);
    }
}
