//! Heads of requests, and of responses: one meaning at any split, the same one for other readers,
//! and a fixed point of writing and parsing.

use std::fmt::Debug;

use penstock_config::target::Target;
use penstock_http::writer::RequestWriter;
use penstock_http::{Form, Framing, HeadError, HeadLimits, RequestHead, parse_request};

use crate::chance::{Chance, made_long};
use crate::peer::{self, Ends};
use crate::response;

/// Small enough that inputs reach them.
pub(crate) const LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: 1024, header_count_max: 24, target_bytes_max: 128 };

/// Room for what was written anew, which is longer.
pub(crate) const ROOM: HeadLimits =
    HeadLimits { head_bytes_max: 8192, header_count_max: 64, target_bytes_max: 1024 };

/// Prefixes that are tried, beside the whole.
const PREFIXES: usize = 24;

type Parsed<Head, Error> = Result<Option<(usize, Head)>, Error>;

pub(crate) fn check(bytes: &[u8]) -> bool {
    let whole = same_at_any_split(bytes, |bytes| {
        let mut head = RequestHead::new();
        let length = parse_request(bytes, &LIMITS, &mut head)?;
        Ok::<_, HeadError>(length.map(|length| (length, head)))
    });
    let is_understood = matches!(whole, Ok(Some(_)));
    match whole {
        Ok(Some((length, head))) => accepted(&bytes[..length], &head),
        Ok(None) => assert!(bytes.len() < LIMITS.head_bytes_max, "a head without end is awaited"),
        Err(error) => assert!((400..=505).contains(&error.status())),
    }
    let is_response = response::check(bytes);
    if let Some(long) = made_long(bytes) {
        let wide = HeadLimits {
            head_bytes_max: usize::MAX,
            header_count_max: usize::MAX,
            target_bytes_max: usize::MAX,
        };
        let _ = parse_request(&long, &wide, &mut RequestHead::new());
    }
    is_understood || is_response
}

/// Each prefix asks for more, until one has the whole's outcome, as all after it have.
pub(crate) fn same_at_any_split<Head: PartialEq + Debug, Error: Debug>(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Parsed<Head, Error>,
) -> Parsed<Head, Error> {
    let whole = parse(bytes);
    let mut ends = Chance::of(bytes).cuts(PREFIXES, bytes.len());
    if let Ok(Some((length, _))) = &whole {
        assert!(*length <= bytes.len());
        ends.extend([length - 1, *length]);
        ends.sort_unstable();
    }
    let mut settled = false;
    for end in ends {
        match (&whole, parse(&bytes[..end])) {
            (_, Ok(None)) => assert!(!settled, "asks for more after an outcome"),
            (Ok(Some(whole)), Ok(Some(part))) => {
                assert_eq!((whole, end >= whole.0), (&part, true));
                settled = true;
            }
            // Which of several faults is named may depend on how much was seen.
            (Err(_), Err(_)) => settled = true,
            (whole, part) => panic!("{part:?} of {end} bytes, {whole:?} of all"),
        }
    }
    whole
}

/// What must hold of a head that is understood; `bytes` end with it.
fn accepted(bytes: &[u8], head: &RequestHead) {
    assert!(bytes.len() <= LIMITS.head_bytes_max && bytes.ends_with(b"\r\n\r\n"));
    assert!(head.headers.len() <= LIMITS.header_count_max);
    let line_feeds = || memchr_all(bytes, b'\n');
    assert!(line_feeds().all(|at| at > 0 && bytes[at - 1] == b'\r'), "a bare line feed");

    let theirs = peer::request(bytes).expect("a peer reads what is accepted");
    assert_eq!((theirs.length, theirs.first.as_str()), (bytes.len(), head.method.as_str()));
    assert_eq!(theirs.host, head.host.of(bytes));
    assert_eq!(theirs.ends, ends_of(head.framing));
    let target = target_of(bytes, head);
    assert!(theirs.target.as_bytes().ends_with(target) || target == b"/" || target == b"*");

    let Some(once) = write(bytes, head) else { return };
    let mut again = RequestHead::new();
    assert_eq!(parse_request(&once, &ROOM, &mut again), Ok(Some(once.len())));
    assert_eq!((again.method, again.framing), (head.method, head.framing));
    assert_eq!(again.host.of(&once), head.host.of(bytes));
    assert_eq!(target_of(&once, &again), target);
    assert!(again.passing_up(&once).eq(head.passing_up(bytes)));
    assert_eq!(write(&once, &again).as_ref(), Some(&once), "written again, other bytes");

    let (strict, careless) =
        (peer::request(&once).expect("a peer reads it"), peer::careless(&once));
    assert_eq!(strict, careless, "two servers read two requests");
    assert_eq!((strict.ends, strict.first), (ends_of(head.framing), head.method.as_str().into()));
    assert_eq!(strict.target.as_bytes(), target);
}

fn memchr_all(bytes: &[u8], wanted: u8) -> impl Iterator<Item = usize> {
    bytes.iter().enumerate().filter(move |(_, byte)| **byte == wanted).map(|(at, _)| at)
}

fn ends_of(framing: Framing) -> Ends {
    match framing {
        Framing::None => Ends::Nowhere,
        Framing::Length(length) => Ends::Length(length),
        Framing::Chunked => Ends::Chunked,
    }
}

fn target_of<'h>(bytes: &'h [u8], head: &RequestHead) -> &'h [u8] {
    match head.form {
        Form::Origin(span) => span.of(bytes),
        Form::Asterisk => b"*",
    }
}

/// The request as the gateway sends it on. A target that cannot be written is one that is refused.
fn write(bytes: &[u8], head: &RequestHead) -> Option<Vec<u8>> {
    let Form::Origin(target) = head.form else { return None };
    let parsed = Target::parse(target.of(bytes)).inspect(check_target);
    let target = std::str::from_utf8(target.of(bytes)).expect("a target is text");
    let host = std::str::from_utf8(head.host.of(bytes)).expect("a host is text");
    let mut out = Vec::new();
    let writer = RequestWriter::start(&mut out, head.method.as_str(), "", target, host);
    let Ok(mut writer) = writer else {
        assert!(parsed.is_err(), "a target that is decided and cannot be sent");
        return None;
    };
    for (name, value) in head.passing_up(bytes) {
        writer.header(name, value).expect("what passes can be written");
    }
    match head.framing {
        Framing::None => writer.finish_none(),
        Framing::Length(length) => writer.finish_length(length),
        Framing::Chunked => writer.finish_chunked(),
    }
    .expect("there is room");
    Some(out)
}

/// What is forwarded is read by the next one as it was decided.
fn check_target(target: &Target) {
    // `/` names no connection, so it is never forwarded.
    let whole = match target.connection() {
        "" => target.forwarded().to_owned(),
        connection => format!("/{connection}{}", target.forwarded()),
    };
    assert_eq!(Target::parse(whole.as_bytes()).as_ref(), Ok(target));
    let path = target.decoded_path();
    assert!(path.starts_with('/') && !path.contains("//") && !path.contains(['\\', '\0', ';']));
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
    assert!(!target.connection().contains(['/', '?']));
    let _ = target.parameters().count();
}
