//! The digest of a body that its caller declares: what an approval of a body that is not read yet
//! rests on. It is checked against the body before the last byte goes up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_config::documents::Protocol;
use penstock_config::target::Target;
use penstock_reactor::network::Network;

use crate::client::Client;
use crate::reason::Reason;

/// SHA-256 of a body.
pub(crate) type BodySha256 = [u8; 32];

/// The digest that a request declares, if it does.
///
/// # Errors
/// A declaration that can't be read, or two that differ.
pub(crate) fn declared<N: Network>(
    client: &Client<N>,
    head: &[u8],
    protocol: Option<Protocol>,
    target: &Target,
) -> Result<Option<BodySha256>, Reason> {
    let mut fields = client.head.find(head, "content-digest");
    let by_field = match (fields.next(), fields.next()) {
        (None, _) => None,
        (Some(value), None) => {
            content_digest(value).map_err(|_| Reason::bad("`Content-Digest` is malformed"))?
        }
        (Some(_), Some(_)) => return Err(Reason::ambiguous("more than one `Content-Digest`")),
    };
    let by_path = match protocol {
        Some(Protocol::Ollama) => blob_digest(target.decoded_path()),
        _ => None,
    };
    match (by_field, by_path) {
        (Some(field), Some(path)) if field != path => {
            Err(Reason::bad("the digests of field and path differ"))
        }
        (field, path) => Ok(field.or(path)),
    }
}

/// A field that is no dictionary of byte sequences.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

/// The `sha-256` of a `Content-Digest` (RFC 9530 section 2): a dictionary (RFC 8941 section 3.2) of
/// byte sequences. Other algorithms are passed over; parameters, and a key that stands twice, are
/// refused.
///
/// # Errors
/// It is not exactly that.
pub(crate) fn content_digest(value: &[u8]) -> Result<Option<BodySha256>, Malformed> {
    let mut found = None;
    let mut keys: Vec<&[u8]> = Vec::new();
    for member in value.split(|byte| *byte == b',') {
        let member = member.trim_ascii();
        let equals = member.iter().position(|byte| *byte == b'=').ok_or(Malformed)?;
        let (key, rest) = member.split_at_checked(equals).ok_or(Malformed)?;
        if !is_key(key) || keys.contains(&key) {
            return Err(Malformed);
        }
        keys.push(key);
        let encoded = rest.strip_prefix(b"=:").and_then(|rest| rest.strip_suffix(b":"));
        let bytes = STANDARD.decode(encoded.ok_or(Malformed)?).map_err(|_| Malformed)?;
        if key == b"sha-256" {
            found = Some(bytes.try_into().map_err(|_| Malformed)?);
        }
    }
    Ok(found)
}

/// `( lcalpha / "*" ) *( lcalpha / DIGIT / "_" / "-" / "." / "*" )`.
fn is_key(key: &[u8]) -> bool {
    let begins = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'*';
    let goes_on = |byte: &u8| begins(byte) || byte.is_ascii_digit() || b"_-.".contains(byte);
    key.first().is_some_and(begins) && key.iter().all(goes_on)
}

/// The digest in the path of a blob of Ollama's: `/api/blobs/sha256:HEX`, or with a hyphen.
fn blob_digest(path: &str) -> Option<BodySha256> {
    let name = path.strip_prefix("/api/blobs/sha256")?;
    let hex = name.strip_prefix(':').or_else(|| name.strip_prefix('-'))?;
    sha256_of_hex(hex.as_bytes())
}

/// 64 hex digits.
pub(crate) fn sha256_of_hex(hex: &[u8]) -> Option<BodySha256> {
    let mut bytes = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let mut value = 0;
        for digit in pair {
            value = value * 16 + char::from(*digit).to_digit(16)?;
        }
        *byte = u8::try_from(value).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn the_sha_256_of_a_content_digest_is_found_among_others() {
        let empty = penstock_config::digest::sha256(b"");
        let field = format!("sha-256=:{EMPTY}:");
        assert_eq!(content_digest(field.as_bytes()), Ok(Some(empty)));
        let among = format!("sha-512=:AAAA:, {field} ,id-sha-256=:AAAA:");
        assert_eq!(content_digest(among.as_bytes()), Ok(Some(empty)));
        assert_eq!(content_digest(b"sha-512=:AAAA:"), Ok(None));
    }

    #[test]
    fn a_content_digest_that_is_not_exactly_one_is_refused() {
        for field in [
            String::new(),
            "sha-256".to_owned(),
            format!("sha-256={EMPTY}"),
            format!("sha-256=:{EMPTY}"),
            format!("SHA-256=:{EMPTY}:"),
            format!("sha-256=:{EMPTY}:;a=1"),
            format!("sha-256=:{EMPTY}:, sha-256=:{EMPTY}:"),
            format!("sha-256=:{EMPTY}:,"),
            "sha-256=:AAAA:".to_owned(),
            "sha-256=::".to_owned(),
            format!("sha-256=:{}:", EMPTY.trim_end_matches('=')),
            format!("sha-256=: {EMPTY}:"),
        ] {
            assert_eq!(content_digest(field.as_bytes()), Err(Malformed), "{field}");
        }
    }

    #[test]
    fn the_digest_of_a_blob_stands_in_its_path() {
        let hex = penstock_config::digest::hex(&penstock_config::digest::sha256(b""));
        let empty = Some(penstock_config::digest::sha256(b""));
        assert_eq!(blob_digest(&format!("/api/blobs/sha256:{hex}")), empty);
        assert_eq!(blob_digest(&format!("/api/blobs/sha256-{hex}")), empty);
        for path in ["/api/blobs/sha256:ab", "/api/blobs/", "/api/tags"] {
            assert_eq!(blob_digest(path), None, "{path}");
        }
        assert_eq!(blob_digest(&format!("/api/blobs/sha256:{hex}0")), None);
    }

    proptest! {
        #[test]
        fn no_field_makes_the_reader_panic_and_what_it_takes_is_written_the_same(
            field in proptest::collection::vec(
                prop_oneof![Just(b':'), Just(b'='), Just(b','), b'a'..=b'z', any::<u8>()],
                0..80,
            ),
            digest in any::<[u8; 32]>(),
            key in "[a-z*][a-z0-9_.*-]{0,8}",
        ) {
            let _ = content_digest(&field);
            let text = format!("{key}=:{}:", STANDARD.encode(digest));
            let read = content_digest(text.as_bytes());
            prop_assert_eq!(read, Ok((key == "sha-256").then_some(digest)));
        }
    }
}
