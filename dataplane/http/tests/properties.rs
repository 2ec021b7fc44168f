//! What must hold for any bytes: one meaning at any split, a fixed point of writing and parsing, no
//! panic, and nothing accepted that the tokenizer refuses.

use penstock_http::chunk::{CHUNK_END, LAST_CHUNK, chunk_head};
use penstock_http::writer::RequestWriter;
use penstock_http::{
    BodyDecoder, BodyError, Form, Framing, HeadError, HeadLimits, RequestHead, ResponseError,
    ResponseHead, Step, parse_request, parse_response,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: 400, header_count_max: 12, target_bytes_max: 60 };

/// Fields that can stand beside each other.
const SOUND_LINES: &[&str] = &[
    "Connection: close",
    "Connection: x-a, keep-alive",
    "Upgrade: h2c",
    "X-A: b",
    "x-a:",
    "X-B: \t c \t",
    "Accept: */*",
    "User-Agent: x \u{e4}",
    "Transfer_Encoding: chunked",
];

/// Fields that make a head hostile, some of them only together with others.
const HOSTILE_LINES: &[&str] = &[
    "Host: a@b",
    "host: gateway.test",
    "Content-Length: 5",
    "Content-Length: +5",
    "content-length: 5, 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Expect: 100-continue",
    "Expect: x",
    "Connection: Host",
    "Content-Type: application/json",
    " folded",
    "X : y",
    ": y",
    "X-C: a\rb",
    "X-D: a\nb",
    "X-E: \0",
];

const REQUEST_LINES: &[&str] = &[
    "GET / HTTP/1.1",
    "POST /m/v1/chat/completions?x=1 HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "GET http://gateway.test/m HTTP/1.1",
    "GET http://other/m HTTP/1.1",
    "get / HTTP/1.1",
    "POST /m HTTP/1.0",
    "GET / HTTP/1.2",
    "CONNECT a:1 HTTP/1.1",
    "GET  / HTTP/1.1",
    "GET /",
    "DELETE /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1",
];

const STATUS_LINES: &[&str] = &[
    "HTTP/1.1 200 OK",
    "HTTP/1.1 204",
    "HTTP/1.1 304 x",
    "HTTP/1.1 100 Continue",
    "HTTP/1.1 101 x",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 20 OK",
    "HTTP/1.1 999 x",
    "ICY 200 OK",
];

/// A sequence of lines, mostly ended by CR LF, with a byte changed now and then.
fn heads(first: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let ends =
        prop_oneof![60 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n\r\n")];
    let line = prop_oneof![
        8 => prop::sample::select(SOUND_LINES),
        1 => prop::sample::select(HOSTILE_LINES),
    ];
    let lines = vec((line, ends), 0..15);
    let lead =
        prop_oneof![8 => Just(""), 1 => Just("\r\n"), 1 => Just("\r\n\r\n"), 1 => Just("\n")];
    let change = prop_oneof![6 => Just(None), 1 => (any::<Index>(), any::<u8>()).prop_map(Some)];
    let host = prop_oneof![4 => Just("Host: gateway.test\r\n"), 1 => Just("")];
    (lead, prop::sample::select(first), host, lines, change).prop_map(
        |(lead, first, host, lines, change)| {
            let mut text = format!("{lead}{first}\r\n{host}");
            for (line, end) in lines {
                text.push_str(line);
                text.push_str(end);
            }
            text.push_str("\r\nGET /next HTTP/1.1\r\n");
            let mut bytes = text.into_bytes();
            if let Some((index, byte)) = change {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

/// A head whose fields are all sound; about half of the request lines are accepted.
fn sound_requests() -> impl Strategy<Value = Vec<u8>> {
    let fields = vec(("[a-z-]{1,12}", "[ -~\\t]{0,20}"), 0..8);
    let framing = prop_oneof![
        Just(String::new()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        any::<u32>().prop_map(|length| format!("Content-Length: 0{length}\r\n")),
    ];
    (prop::sample::select(REQUEST_LINES), fields, framing).prop_map(|(line, fields, framing)| {
        let mut text = format!("{line}\r\nHost: gateway.test\r\n{framing}");
        for (name, value) in fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        (text + "\r\n").into_bytes()
    })
}

type Outcome<Head, Error> = Result<Option<(usize, Head)>, Error>;

fn request(bytes: &[u8]) -> Outcome<RequestHead, HeadError> {
    let mut head = RequestHead::new();
    Ok(parse_request(bytes, &LIMITS, &mut head)?.map(|length| (length, head)))
}

fn response(bytes: &[u8]) -> Outcome<ResponseHead, ResponseError> {
    let mut head = ResponseHead::new();
    Ok(parse_response(bytes, &LIMITS, false, &mut head)?.map(|length| (length, head)))
}

/// Each prefix asks for more, until one gives the whole's outcome, and so do all after it.
fn holds_at_any_split<
    Head: Clone + PartialEq + std::fmt::Debug,
    Error: PartialEq + std::fmt::Debug,
>(
    bytes: &[u8],
    parse: fn(&[u8]) -> Outcome<Head, Error>,
) -> Result<(), TestCaseError> {
    let whole = parse(bytes);
    let mut settled = false;
    for end in 0..=bytes.len() {
        match (&whole, parse(&bytes[..end])) {
            (_, Ok(None)) => prop_assert!(!settled, "asks for more after an outcome"),
            (Ok(Some(whole)), Ok(Some(part))) => {
                settled = true;
                prop_assert!(end >= part.0);
                prop_assert_eq!(whole, &part);
            }
            // Which of several faults is named may depend on how much was seen.
            (Err(_), Err(_)) => settled = true,
            (whole, part) => prop_assert!(false, "{:?} of {end} bytes, whole {:?}", part, whole),
        }
    }
    Ok(())
}

/// The data, the bytes left over, and the error, of a body that is fed cut at these offsets.
fn decode(
    mut decoder: BodyDecoder,
    bytes: &[u8],
    cuts: &[usize],
) -> (Vec<u8>, usize, Option<BodyError>) {
    let mut data = Vec::new();
    let mut at = 0;
    let mut ends: Vec<usize> = cuts.iter().copied().chain([bytes.len()]).collect();
    ends.sort_unstable();
    for end in ends {
        loop {
            match decoder.decode(&bytes[at..end]) {
                Ok(Step::Skip(length)) => at += length,
                Ok(Step::Data(length)) => {
                    data.extend_from_slice(&bytes[at..at + length]);
                    at += length;
                }
                Ok(Step::NeedMore) => break,
                Ok(Step::Done) => return (data, bytes.len() - at, None),
                Err(error) => return (data, 0, Some(error)),
            }
        }
    }
    let error = decoder.finish().err();
    (data, 0, error)
}

/// Writes the request anew: what the gateway would send, with every field that can be written.
fn write(bytes: &[u8], head: &RequestHead) -> Option<Vec<u8>> {
    let Form::Origin(target) = head.form else { return None };
    let text = |part: &[u8]| String::from_utf8(part.to_vec()).ok();
    let (target, host) = (text(target.of(bytes))?, text(head.host.of(bytes))?);
    let mut out = Vec::new();
    let mut writer =
        RequestWriter::start(&mut out, head.method.as_str(), "", &target, &host).ok()?;
    for header in &head.headers {
        // Framing fields are refused, and written by the framing below.
        let _ = writer.header(header.name.of(bytes), header.value.of(bytes)).is_ok();
    }
    match head.framing {
        Framing::None => writer.finish_none(),
        Framing::Length(length) => writer.finish_length(length),
        Framing::Chunked => writer.finish_chunked(),
    }
    .ok()?;
    Some(out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_request_means_the_same_at_any_split(bytes in heads(REQUEST_LINES)) {
        holds_at_any_split(&bytes, request)?;
    }

    #[test]
    fn a_response_means_the_same_at_any_split(bytes in heads(STATUS_LINES)) {
        holds_at_any_split(&bytes, response)?;
    }

    #[test]
    fn what_is_accepted_is_read_alike_by_the_tokenizer(bytes in heads(REQUEST_LINES)) {
        if let Ok(Some((length, head))) = request(&bytes) {
            let mut slots = [httparse::EMPTY_HEADER; 64];
            let mut other = httparse::Request::new(&mut slots);
            prop_assert_eq!(other.parse(&bytes), Ok(httparse::Status::Complete(length)));
            prop_assert_eq!(other.method, Some(head.method.as_str()));
            let ours: Vec<_> = head.headers.iter()
                .map(|header| (header.name.of(&bytes), header.value.of(&bytes))).collect();
            let theirs: Vec<_> = other.headers.iter()
                .map(|header| (header.name.as_bytes(), header.value)).collect();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn a_request_that_is_written_anew_parses_to_the_same(bytes in sound_requests()) {
        let Ok(Some((_, head))) = request(&bytes) else { return Ok(()) };
        let Some(once) = write(&bytes, &head) else { return Ok(()) };
        let mut again = RequestHead::new();
        let room = HeadLimits { head_bytes_max: 4_096, ..LIMITS };
        let length = parse_request(&once, &room, &mut again);
        prop_assert_eq!(length, Ok(Some(once.len())));
        prop_assert_eq!(again.method, head.method);
        prop_assert_eq!(again.framing, head.framing);
        prop_assert_eq!(again.host.of(&once), head.host.of(&bytes));
        let target = |form: Form, of: &[u8]| match form {
            Form::Origin(span) => span.of(of).to_vec(),
            Form::Asterisk => b"*".to_vec(),
        };
        prop_assert_eq!(target(again.form, &once), target(head.form, &bytes));
        prop_assert!(again.passing_up(&once).eq(head.passing_up(&bytes)));
        prop_assert_eq!(write(&once, &again), Some(once));
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..600)) {
        let _ = request(&bytes);
        let _ = response(&bytes);
        for framing in [Framing::Chunked, Framing::Length(9)] {
            decode(BodyDecoder::request(framing), &bytes, &[]);
        }
    }

    #[test]
    fn a_chunked_body_is_the_same_at_any_split(
        pieces in vec((vec(any::<u8>(), 1..40), prop_oneof![Just(""), Just(";a=\"b;\"")]), 0..6),
        trailers in prop_oneof![Just("\r\n"), Just("X: y\r\nZ:\r\n\r\n")],
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let mut bytes = Vec::new();
        for (piece, extension) in &pieces {
            bytes.extend_from_slice(format!("{:x}{extension}\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(CHUNK_END);
        }
        bytes.extend_from_slice(format!("0\r\n{trailers}next").as_bytes());
        let cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        let chunked = BodyDecoder::request(Framing::Chunked);
        let (data, _, error) = decode(chunked.clone(), &bytes, &cuts);
        prop_assert_eq!(error, None);
        let sent: Vec<_> = pieces.into_iter().flat_map(|(piece, _)| piece).collect();
        prop_assert_eq!(data, sent);
        let (_, left, _) = decode(chunked, &bytes, &[]);
        prop_assert_eq!(left, 4);
    }

    #[test]
    fn hostile_chunk_framing_fails_alike_at_any_split(
        bytes in vec(prop::sample::select(&b"0012afF;=\"\\ \t\r\n\r\n:xX\0\x80"[..]), 0..60),
        cuts in vec(any::<Index>(), 1..8),
    ) {
        let cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        let chunked = BodyDecoder::request(Framing::Chunked);
        let (whole, _, error) = decode(chunked.clone(), &bytes, &[]);
        let every: Vec<_> = (0..bytes.len()).collect();
        for cuts in [cuts, every] {
            let (data, _, split_error) = decode(chunked.clone(), &bytes, &cuts);
            prop_assert_eq!((&data, split_error), (&whole, error));
        }
    }

    #[test]
    fn what_the_encoder_writes_the_decoder_reads(pieces in vec(vec(any::<u8>(), 1..300), 0..6)) {
        let mut bytes = Vec::new();
        for piece in &pieces {
            bytes.extend_from_slice(chunk_head(piece.len()).as_ref());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(CHUNK_END);
        }
        bytes.extend_from_slice(LAST_CHUNK);
        let (data, left, error) = decode(BodyDecoder::request(Framing::Chunked), &bytes, &[]);
        prop_assert_eq!((data, left, error), (pieces.concat(), 0, None));
    }
}
