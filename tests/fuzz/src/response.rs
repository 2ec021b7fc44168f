//! Heads of responses, as [`crate::head`] does with requests.

use penstock_http::writer::ResponseWriter;
use penstock_http::{ResponseError, ResponseFraming, ResponseHead, parse_response};

use crate::head::{LIMITS, ROOM, same_at_any_split};
use crate::peer::{self, Ends};

pub(crate) fn check(bytes: &[u8]) -> bool {
    let mut is_understood = false;
    for to_head_request in [false, true] {
        let whole = same_at_any_split(bytes, |bytes| {
            let mut head = ResponseHead::new();
            let length = parse_response(bytes, &LIMITS, to_head_request, &mut head)?;
            Ok::<_, ResponseError>(length.map(|length| (length, head)))
        });
        if let Ok(Some((length, head))) = whole {
            accepted(&bytes[..length], &head, to_head_request);
            is_understood = true;
        }
    }
    is_understood
}

fn accepted(bytes: &[u8], head: &ResponseHead, to_head_request: bool) {
    assert!(bytes.len() <= LIMITS.head_bytes_max && bytes.ends_with(b"\r\n\r\n"));
    assert!((100..=599).contains(&head.status) && head.status != 101);
    let theirs = peer::response(bytes).expect("a peer reads what is accepted");
    assert_eq!((theirs.length, theirs.first), (bytes.len(), head.status.to_string()));
    if let Some(ends) = ends_of(head.framing) {
        assert_eq!(theirs.ends, ends);
    }

    let once = write(bytes, head);
    let mut again = ResponseHead::new();
    let length = parse_response(&once, &ROOM, to_head_request, &mut again);
    assert_eq!(length, Ok(Some(once.len())));
    assert_eq!((again.status, again.framing), (head.status, head.framing));
    assert!(again.passing_down(&once).eq(head.passing_down(bytes)));
    assert_eq!(write(&once, &again), once, "written again, other bytes");

    let strict = peer::response(&once).expect("a peer reads it");
    assert_eq!(strict, peer::careless(&once), "two callers read two responses");
    assert_eq!(strict.ends, ends_of(head.framing).unwrap_or(Ends::Nowhere));
}

/// What fields say of the body. Where there is none, they may say anything.
fn ends_of(framing: ResponseFraming) -> Option<Ends> {
    match framing {
        ResponseFraming::None => None,
        ResponseFraming::UntilClose => Some(Ends::Nowhere),
        ResponseFraming::Length(length) => Some(Ends::Length(length)),
        ResponseFraming::Chunked => Some(Ends::Chunked),
    }
}

/// The response as the gateway sends it on.
fn write(bytes: &[u8], head: &ResponseHead) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = ResponseWriter::start(&mut out, head.status).expect("a status that was read");
    for (name, value) in head.passing_down(bytes) {
        writer.header(name, value).expect("what passes can be written");
    }
    match head.framing {
        ResponseFraming::None => writer.finish_none(),
        ResponseFraming::Length(length) => writer.finish_length(length),
        ResponseFraming::Chunked => writer.finish_chunked(),
        ResponseFraming::UntilClose => writer.finish_until_close(),
    }
    .expect("there is room");
    out
}
