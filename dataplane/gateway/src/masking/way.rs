//! How an answer is masked: as a stream of events, as a whole, or not at all.

use super::engine::Media;
use penstock_config::documents::MaskSide;
use penstock_http::head::{ResponseFraming, ResponseHead};
use penstock_http::media_type::{is_media_type, is_utf8};
use penstock_http::stream::StreamKind;

use super::Unmaskable;
use super::applied::Masked;
use super::coding::Coding;
use super::whole::Whole;

/// An answer that is a part of one: a value may lie across its ends. Nobody asks for one.
const PARTIAL: u16 = 206;

/// The way that an answer goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// As it comes: no mask concerns it, or it has no body, or its mask lets what can't be read
    /// through.
    AsItComes,
    /// Event by event.
    Events(StreamKind),
    /// Collected whole.
    Whole(Whole),
}

impl Way {
    /// That of an answer.
    ///
    /// # Errors
    /// It can't be read, and must not go through.
    pub(crate) fn of(
        masked: &Masked,
        reply: &ResponseHead,
        head: &[u8],
    ) -> Result<Self, Unmaskable> {
        let Masked::By(applied) = masked else { return Ok(Self::AsItComes) };
        let has_body = !matches!(reply.framing, ResponseFraming::None | ResponseFraming::Length(0));
        if !applied.concerns(MaskSide::Response) || !has_body {
            return Ok(Self::AsItComes);
        }
        match readable(reply, head) {
            Err(_) if applied.mask.enforced.passes_unreadable() => Ok(Self::AsItComes),
            way => way,
        }
    }
}

fn readable(reply: &ResponseHead, head: &[u8]) -> Result<Way, Unmaskable> {
    if reply.status == PARTIAL {
        return Err(Unmaskable::Partial);
    }
    let mut types = reply.find(head, "content-type");
    let media_type = types.next().filter(|value| is_utf8(value)).ok_or(Unmaskable::MediaType)?;
    if types.next().is_some() {
        return Err(Unmaskable::MediaType);
    }
    let coding = Coding::of(reply.find(head, "content-encoding")).ok_or(Unmaskable::Coding)?;
    let kind = if is_media_type(media_type, "text/event-stream") {
        StreamKind::Sse
    } else if is_media_type(media_type, "application/x-ndjson") {
        StreamKind::Ndjson
    } else {
        let media = media(media_type).ok_or(Unmaskable::MediaType)?;
        return Ok(Way::Whole(Whole { coding, media }));
    };
    // What is decoded in between would have to be encoded again, event by event.
    if coding == Coding::Identity { Ok(Way::Events(kind)) } else { Err(Unmaskable::Coding) }
}

/// What is read of a media type: JSON and its like, and text.
fn media(media_type: &[u8]) -> Option<Media> {
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    let subtype = |prefix: &str| essence.strip_prefix(prefix.as_bytes());
    let is_name = |name: &[u8]| {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.+_".contains(byte);
        !name.is_empty() && name.iter().all(is_part)
    };
    match (subtype("application/"), subtype("text/")) {
        (Some(name), _) if name == b"json" => Some(Media::Json),
        (Some(name), _) if is_name(name) && name.ends_with(b"+json") => Some(Media::Json),
        (_, Some(name)) if name == b"json" => Some(Media::Json),
        (_, Some(name)) if is_name(name) => Some(Media::Text),
        (_, _) => None,
    }
}

/// Whether a field of an answer says of its body what is not true any more once it was masked, or
/// what stood there before.
pub(crate) fn untrue(name: &[u8]) -> bool {
    const NAMES: [&str; 11] = [
        "accept-ranges",
        "content-digest",
        "content-encoding",
        "content-md5",
        "content-range",
        "digest",
        "etag",
        "last-modified",
        "repr-digest",
        "signature",
        "signature-input",
    ];
    NAMES.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_text_are_read_and_nothing_else() {
        for (media_type, expected) in [
            ("application/json", Some(Media::Json)),
            ("Application/JSON ; charset=utf-8", Some(Media::Json)),
            ("application/problem+json", Some(Media::Json)),
            ("text/plain", Some(Media::Text)),
            ("text/html;charset=utf-8", Some(Media::Text)),
            ("text/", None),
            ("text/plain, text/html", None),
            ("application/octet-stream", None),
            ("application/+json", Some(Media::Json)),
            ("audio/mpeg", None),
            ("image/svg+xml", None),
            ("", None),
        ] {
            assert_eq!(media(media_type.as_bytes()), expected, "{media_type}");
        }
    }

    #[test]
    fn validators_and_digests_of_what_was_masked_are_untrue() {
        for name in ["ETag", "Content-Digest", "accept-ranges", "Content-Encoding"] {
            assert!(untrue(name.as_bytes()), "{name}");
        }
        assert!(!untrue(b"content-type") && !untrue(b"x-request-id"));
    }
}
