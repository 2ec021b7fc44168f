//! `Content-Type`, as far as a decision rests on it (RFC 9110 section 8.3.1).

use crate::text::{is_token, is_value_byte, trim};

/// Whether the value is exactly this type, given in lower case; parameters are not looked at.
pub fn is_media_type(value: &[u8], lower_case_type: &str) -> bool {
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    trim(essence).eq_ignore_ascii_case(lower_case_type.as_bytes())
}

/// Whether a body of this type is JSON in UTF-8: `application/json`, well-formed parameters, and no
/// charset other than one `utf-8`. Another charset would be a second reading of the same bytes.
pub fn is_json_utf8(value: &[u8]) -> bool {
    if !is_media_type(value, "application/json") {
        return false;
    }
    match charsets(value) {
        Some((0, _)) => true,
        Some((1, Some(name))) => name.eq_ignore_ascii_case(b"utf-8"),
        Some(_) | None => false,
    }
}

/// Whether the parameters of a value are well-formed and name no charset other than one `utf-8` or
/// `us-ascii`: what reads the body as UTF-8 reads what everybody else does.
pub fn is_utf8(value: &[u8]) -> bool {
    charsets(value).is_some_and(|found| match found {
        (0, _) => true,
        (1, Some(name)) => [&b"utf-8"[..], b"utf8", b"us-ascii"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known)),
        _ => false,
    })
}

/// How many charsets the parameters name, and the last of them; none where they are malformed.
fn charsets(value: &[u8]) -> Option<(usize, Option<&[u8]>)> {
    let mut rest = match value.iter().position(|&byte| byte == b';') {
        None => return Some((0, None)),
        Some(semicolon) => value.get(semicolon..).unwrap_or_default(),
    };
    let mut found = (0_usize, None);
    while let [b';', parameter @ ..] = rest {
        let (name, text, behind) = read_parameter(parameter)?;
        if name.eq_ignore_ascii_case(b"charset") {
            found = (found.0.saturating_add(1), Some(text));
        }
        rest = behind;
    }
    rest.is_empty().then_some(found)
}

/// `OWS [ token "=" ( token / quoted-string ) ] OWS`: name, value, and what stands behind. An empty
/// parameter (`;;`, or `;` at the end) is legal. Quoted pairs are not unescaped but refused.
fn read_parameter(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let start = bytes.trim_ascii_start();
    if matches!(start.first(), None | Some(b';')) {
        return Some((b"", b"", start));
    }
    let equals = start.iter().position(|&byte| byte == b'=')?;
    let (name, value) = start.split_at_checked(equals)?;
    let value = value.strip_prefix(b"=")?;
    let (text, behind) = match value.strip_prefix(b"\"") {
        Some(quoted) => {
            let (text, behind) =
                quoted.split_at_checked(quoted.iter().position(|&byte| byte == b'"')?)?;
            let plain = text.iter().all(|&byte| is_value_byte(byte) && byte != b'\\');
            (plain.then_some(text)?, behind.strip_prefix(b"\"")?)
        }
        None => {
            let end = value.iter().position(|byte| b"; \t".contains(byte)).unwrap_or(value.len());
            let (text, behind) = value.split_at_checked(end)?;
            (is_token(text).then_some(text)?, behind)
        }
    };
    let behind = behind.trim_ascii_start();
    let ends = matches!(behind.first(), None | Some(b';'));
    (is_token(name) && ends).then_some((name, text, behind))
}

#[cfg(test)]
mod tests {
    use super::{is_json_utf8, is_media_type, is_utf8};

    #[test]
    fn a_type_is_compared_without_case_and_parameters() {
        assert!(is_media_type(b"text/event-stream", "text/event-stream"));
        assert!(is_media_type(b"Text/Event-Stream ; charset=utf-8", "text/event-stream"));
        assert!(!is_media_type(b"text/event-streams", "text/event-stream"));
        assert!(!is_media_type(b"", "text/event-stream"));
    }

    #[test]
    fn json_without_a_charset_or_in_utf_8_is_json() {
        for value in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json; charset=UTF-8",
            "application/json; charset=\"utf-8\"",
            "application/json ; profile=\"a;b\" ; charset=utf-8",
            "application/json;",
            "application/json;;",
        ] {
            assert!(is_json_utf8(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn a_type_without_a_charset_or_with_an_ascii_one_is_read_as_utf_8() {
        for value in ["text/plain", "text/plain; charset=utf-8", "a/b;charset=\"US-ASCII\""] {
            assert!(is_utf8(value.as_bytes()), "{value}");
        }
        for value in [
            "text/plain; charset=utf-16",
            "text/plain; charset=utf-7",
            "text/plain; charset=utf-8; charset=utf-16le",
            "text/plain; charset",
        ] {
            assert!(!is_utf8(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn another_charset_or_a_malformed_parameter_is_not_json() {
        for value in [
            "",
            "text/json",
            "application/json2",
            "application/json, text/plain",
            "application/json; charset=utf-16",
            "application/json; charset=utf-7",
            "application/json; charset=utf-8; charset=utf-16",
            "application/json; charset=utf-8; charset=utf-8",
            "application/json; charset",
            "application/json; charset=",
            "application/json; charset =utf-8",
            "application/json; charset=\"utf-8",
            "application/json; charset=\"utf\\-8\"",
            "application/json; charset=utf-8 x",
            "application/json; x=\"a\"b",
            "application/json; a=b, text/plain",
            "application/json; \u{e4}=b",
        ] {
            assert!(!is_json_utf8(value.as_bytes()), "{value}");
        }
    }
}
