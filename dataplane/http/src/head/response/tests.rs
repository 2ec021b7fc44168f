use super::*;
use crate::framing::FramingError;
use crate::head::SyntaxError;

const LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: 16_384, header_count_max: 100, target_bytes_max: 8_192 };

fn parse_for(to_head: bool, bytes: &[u8]) -> Result<ResponseHead, ResponseError> {
    let mut head = ResponseHead::new();
    match parse_response(bytes, &LIMITS, to_head, &mut head)? {
        Some(_) => Ok(head),
        None => panic!("more bytes are asked for"),
    }
}

/// A response with this status and these fields (each ends in CR LF).
fn answer(status: &str, fields: &str) -> Result<ResponseHead, ResponseError> {
    parse_for(false, format!("HTTP/1.1 {status}\r\n{fields}\r\n").as_bytes())
}

/// Framing and whether the connection may be used again.
fn ending(status: &str, fields: &str) -> (ResponseFraming, bool) {
    let head = answer(status, fields).unwrap();
    (head.framing, head.keep_alive)
}

#[test]
fn a_plain_response_comes_out_with_all_its_parts() {
    let bytes = b"HTTP/1.1 200 Fine \xe4\r\nContent-Type: a/b\r\nServer: x\r\nX: \r\n\
        Content-Length: 2\r\n\r\n{}HTTP";
    let mut head = ResponseHead::new();
    let length = parse_response(bytes, &LIMITS, false, &mut head).unwrap().unwrap();
    assert_eq!(&bytes[length..], b"{}HTTP");
    assert_eq!((head.status, head.version), (200, Version::Http11));
    assert_eq!((head.framing, head.keep_alive), (ResponseFraming::Length(2), true));
    assert_eq!(head.find(bytes, "content-type").collect::<Vec<_>>(), [b"a/b"]);
    let down: Vec<_> = head.passing_down(bytes).collect();
    assert_eq!(down, [(&b"Content-Type"[..], &b"a/b"[..]), (b"X", b"")]);
}

#[test]
fn a_missing_reason_phrase_is_legal() {
    for status in ["200", "200 "] {
        assert_eq!(answer(status, "Content-Length: 0\r\n").unwrap().status, 200);
    }
}

#[test]
fn a_body_ends_by_length_by_coding_or_by_close() {
    assert_eq!(ending("200 OK", "Content-Length: 5\r\n"), (ResponseFraming::Length(5), true));
    assert_eq!(
        ending("200 OK", "Transfer-Encoding: chunked\r\n"),
        (ResponseFraming::Chunked, true)
    );
    assert_eq!(ending("200 OK", ""), (ResponseFraming::UntilClose, false));
    assert_eq!(ending("500 x", ""), (ResponseFraming::UntilClose, false));
    let closing = "Content-Length: 5\r\nConnection: Close\r\n";
    assert_eq!(ending("200 OK", closing), (ResponseFraming::Length(5), false));
}

#[test]
fn a_response_with_both_or_two_lengths_is_refused() {
    for (fields, error) in [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", FramingError::BothLengths),
        ("Content-Length: 3\r\nContent-Length: 5\r\n", FramingError::RepeatedLength),
        ("Content-Length: 3\r\nContent-Length: 3\r\n", FramingError::RepeatedLength),
        ("Content-Length: 3, 3\r\n", FramingError::RepeatedLength),
        ("Content-Length: -2\r\n", FramingError::BadLength),
        ("Content-Length:\r\n", FramingError::BadLength),
        ("Content-Length: 99999999999999999999\r\n", FramingError::LengthTooLarge),
        ("Transfer-Encoding: gzip, chunked\r\n", FramingError::UnsupportedCoding),
        ("Transfer-Encoding: identity\r\n", FramingError::UnsupportedCoding),
        ("Transfer-Encoding: chunked, chunked\r\n", FramingError::BadCoding),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            FramingError::RepeatedCoding,
        ),
        ("Content-Type: a/b\r\nContent-Type: c/d\r\n", FramingError::RepeatedContentField),
        ("Connection: content-type\r\n", FramingError::ProtectedField),
        ("Connection: (\r\n", FramingError::BadConnection),
        (&format!("Connection: {}\r\n", "a,".repeat(32)), FramingError::LongConnection),
    ] {
        assert_eq!(answer("200 OK", fields), Err(error.into()), "{fields}");
        let for_head = format!("HTTP/1.1 304 x\r\n{fields}\r\n");
        assert_eq!(parse_for(true, for_head.as_bytes()), Err(error.into()), "{fields}");
    }
}

#[test]
fn a_status_line_is_a_version_a_status_and_a_phrase() {
    for line in [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 abc OK",
        "HTTP/1.1",
        "HTTP/9.9 200 OK",
        "HTTP/2 200",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1\t200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 200\tOK",
        "SSH-2.0-x",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 200 OK\r",
    ] {
        let bytes = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        assert!(parse_for(false, bytes.as_bytes()).is_err(), "{line:?}");
    }
    for status in ["000", "099", "600", "999"] {
        assert_eq!(answer(status, "Content-Length: 0\r\n"), Err(ResponseError::Status), "{status}");
    }
}

#[test]
fn bare_line_ends_folds_and_controls_in_a_response_are_refused() {
    for bytes in [
        &b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"[..],
        b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x01\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nX: a\r\n\r\n",
    ] {
        let outcome = parse_for(false, bytes);
        assert!(matches!(outcome, Err(ResponseError::Syntax(_))), "{bytes:?}");
    }
}

#[test]
fn interim_responses_are_heads_without_a_body() {
    assert_eq!(ending("100 Continue", ""), (ResponseFraming::None, true));
    assert_eq!(ending("103 Early Hints", "Link: x\r\n"), (ResponseFraming::None, true));
    for fields in
        ["Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n"]
    {
        assert_eq!(answer("100 Continue", fields), Err(ResponseError::InterimBody), "{fields}");
    }
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_refused() {
    let fields = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    assert_eq!(answer("101 x", fields), Err(ResponseError::UnexpectedUpgrade));
}

#[test]
fn a_status_without_a_body_has_none_whatever_it_announces() {
    assert_eq!(ending("204 x", ""), (ResponseFraming::None, true));
    assert_eq!(ending("204 x", "Content-Length: 0\r\n"), (ResponseFraming::None, true));
    // A body that is announced may still be on its way: the connection is not used again.
    assert_eq!(ending("204 x", "Content-Length: 8\r\n"), (ResponseFraming::None, false));
    assert_eq!(ending("204 x", "Transfer-Encoding: chunked\r\n"), (ResponseFraming::None, false));
    assert_eq!(ending("304 x", "Content-Length: 8\r\n"), (ResponseFraming::None, true));
}

#[test]
fn an_answer_to_head_has_no_body() {
    for fields in ["", "Content-Length: 8\r\n", "Transfer-Encoding: chunked\r\n"] {
        let head = parse_for(true, format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes()).unwrap();
        assert_eq!((head.framing, head.keep_alive), (ResponseFraming::None, true), "{fields}");
    }
}

#[test]
fn an_http_1_0_response_ends_its_connection_and_knows_no_coding() {
    let old = |fields: &str| {
        parse_for(
            false,
            format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n{fields}\r\n").as_bytes(),
        )
    };
    let by_length = old("Content-Length: 5\r\n").unwrap();
    assert_eq!((by_length.framing, by_length.keep_alive), (ResponseFraming::Length(5), false));
    assert_eq!(old("").unwrap().framing, ResponseFraming::UntilClose);
    let coded = old("Transfer-Encoding: chunked\r\n");
    assert_eq!(coded, Err(FramingError::CodingInHttp10.into()));
}

#[test]
fn an_endless_response_head_is_refused_at_its_limit() {
    let mut head = ResponseHead::new();
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(20_000));
    let outcome = parse_response(endless.as_bytes(), &LIMITS, false, &mut head);
    assert_eq!(outcome, Err(SyntaxError::HeadTooLarge.into()));
    let many = answer("200 OK", &"X: y\r\n".repeat(101));
    assert_eq!(many, Err(SyntaxError::TooManyFields.into()));
}

#[test]
fn an_unfinished_response_head_asks_for_more() {
    let mut head = ResponseHead::new();
    for bytes in [&b""[..], b"HTTP", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r"] {
        assert_eq!(parse_response(bytes, &LIMITS, false, &mut head), Ok(None));
    }
}

#[test]
fn fields_that_connection_names_do_not_come_down() {
    let bytes = b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: a\r\nX-End: b\r\n\
        Set-Cookie: c\r\nContent-Length: 0\r\n\r\n";
    let head = parse_for(false, bytes).unwrap();
    let down: Vec<_> = head.passing_down(bytes).map(|(name, _)| name).collect();
    assert_eq!(down, [b"X-End"]);
}
