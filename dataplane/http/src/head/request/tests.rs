use super::*;
use crate::framing::FramingError;

mod framing;
mod target;

const LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: 16_384, header_count_max: 100, target_bytes_max: 8_192 };

fn parse(bytes: impl AsRef<[u8]>) -> Result<RequestHead, HeadError> {
    let mut head = RequestHead::new();
    match parse_request(bytes.as_ref(), &LIMITS, &mut head)? {
        Some(_) => Ok(head),
        None => panic!("more bytes are asked for"),
    }
}

/// A POST with these fields (each ends in CR LF) behind a valid Host.
fn post(fields: &str) -> Result<RequestHead, HeadError> {
    parse(format!("POST /m/v1/chat/completions HTTP/1.1\r\nHost: gateway.test\r\n{fields}\r\n"))
}

fn line(request_line: &str) -> Result<RequestHead, HeadError> {
    parse(format!("{request_line}\r\nHost: gateway.test\r\n\r\n"))
}

#[test]
fn a_plain_request_comes_out_with_all_its_parts() {
    let bytes =
        b"\r\nPOST /m/v1/x?y=1 HTTP/1.1\r\nHOST: gateway.test:80\r\nX-A:b\r\nX-B: \tc \t\r\n\
        X-Empty:\r\nx-a: \xff\r\nContent-Length: 3\r\n\r\nabcGET /";
    let mut head = RequestHead::new();
    let length = parse_request(bytes, &LIMITS, &mut head).unwrap().unwrap();
    assert_eq!(&bytes[length..], b"abcGET /");
    assert_eq!(head.method, Method::Post);
    assert_eq!(head.version, Version::Http11);
    let Form::Origin(target) = head.form else { panic!("no origin-form") };
    assert_eq!(target.of(bytes), b"/m/v1/x?y=1");
    assert_eq!(head.host.of(bytes), b"gateway.test:80");
    assert_eq!(head.framing, Framing::Length(3));
    assert!(head.keep_alive);
    assert!(!head.expects_continue);
    assert_eq!(head.headers.len(), 6);
    assert_eq!(head.find(bytes, "x-a").collect::<Vec<_>>(), [&b"b"[..], b"\xff"]);
    assert_eq!(head.find(bytes, "x-b").collect::<Vec<_>>(), [b"c"]);
    assert_eq!(head.find(bytes, "x-empty").collect::<Vec<_>>(), [b""]);
    assert_eq!(head.find(bytes, "x-none").count(), 0);
}

#[test]
fn a_span_outside_its_bytes_is_empty() {
    assert_eq!(Span { start: 2, end: 9 }.of(b"abc"), b"");
    assert_eq!(Span { start: 2, end: 1 }.of(b"abc"), b"");
}

#[test]
fn a_bare_line_feed_in_a_head_is_refused() {
    for bytes in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\nX-B: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\nGET / HTTP/1.1\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        // Certain before the head is complete.
        "GET / HTTP/1.1\nHost",
    ] {
        let mut head = RequestHead::new();
        let outcome = parse_request(bytes.as_bytes(), &LIMITS, &mut head);
        assert_eq!(outcome, Err(SyntaxError::BareLineFeed.into()), "{bytes:?}");
    }
}

#[test]
fn a_bare_carriage_return_in_a_head_is_refused() {
    for bytes in [
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rX-B: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n",
        "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(parse(bytes).unwrap_err().status(), 400, "{bytes:?}");
    }
}

#[test]
fn a_folded_line_is_refused() {
    for bytes in [
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tc\r\n\r\n",
        "GET / HTTP/1.1\r\n X-A: b\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n",
    ] {
        assert_eq!(parse(bytes).unwrap_err(), SyntaxError::FoldedLine.into(), "{bytes:?}");
    }
}

#[test]
fn nul_and_controls_are_refused_wherever_they_stand() {
    for byte in (0x00..=0x1f).chain([0x7f]).filter(|byte| !b"\t\r\n".contains(byte)) {
        for template in [
            &b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b@c\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\r\nX-A:@\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX@A: b\r\n\r\n",
            b"GET /@ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"@GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            let bytes: Vec<u8> =
                template.iter().map(|&one| if one == b'@' { byte } else { one }).collect();
            assert_eq!(parse(&bytes).unwrap_err().status(), 400, "{bytes:?}");
        }
    }
}

#[test]
fn a_field_name_is_a_token_directly_before_its_colon() {
    for field in [
        "X-A : b",
        "X-A\t: b",
        ": b",
        "XA b",
        "X(A): b",
        "X A: b",
        "X\"A\": b",
        "X-\u{e4}: b",
        "XA",
    ] {
        let error = post(&format!("{field}\r\n")).unwrap_err();
        assert_eq!(error, SyntaxError::FieldName.into(), "{field}");
    }
    let error = post("Content-Length : 5\r\n").unwrap_err();
    assert_eq!(error, SyntaxError::FieldName.into());
    assert!(post("!#$%&'*+-.^_`|~09aZ: rare but legal\r\n").is_ok());
}

#[test]
fn names_with_an_underscore_mean_nothing_and_never_go_up() {
    let bytes = "POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent_Length: 9\r\n\
        User_Agent: x\r\nAccept: */*\r\n\r\n";
    let head = parse(bytes).unwrap();
    assert_eq!(head.framing, Framing::None);
    let up: Vec<_> = head.passing_up(bytes.as_bytes()).collect();
    assert_eq!(up, [(&b"Accept"[..], &b"*/*"[..])]);
}

#[test]
fn a_request_line_is_three_words_and_two_spaces() {
    for request_line in [
        "GET",
        "GET ",
        "GET /",
        "GET / ",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/\tHTTP/1.1",
        " GET / HTTP/1.1",
        "GET / x HTTP/1.1",
        "GET / HTTP/1.1\t",
        "GARBAGE",
        "GET / HTTP/01.1",
        "GET / HTTP/1",
        "GET / HTTP/1.10",
        "GET / http/1.1",
        "GET / HTTPS/1.1",
        "G(T / HTTP/1.1",
        "\u{16}\u{3}\u{1}",
    ] {
        assert_eq!(line(request_line).unwrap_err().status(), 400, "{request_line:?}");
    }
}

#[test]
fn bytes_of_another_protocol_are_refused_at_once() {
    let mut head = RequestHead::new();
    for bytes in [&b"\x16\x03\x01\x02\x00\x01"[..], b"\x00", b" ", b"(", b"\r\n\r", b"\r\n\x16"] {
        let outcome = parse_request(bytes, &LIMITS, &mut head);
        assert_eq!(outcome.unwrap_err().status(), 400, "{bytes:?}");
    }
}

#[test]
fn http_0_9_is_refused() {
    assert_eq!(parse("GET /m/v1/models\r\n\r\n").unwrap_err(), SyntaxError::StartLine.into());
}

#[test]
fn another_version_is_named_as_such() {
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/9.9"] {
        let error = line(&format!("GET / {version}")).unwrap_err();
        assert_eq!((error, error.status()), (HeadError::UnsupportedVersion, 505), "{version}");
    }
    assert_eq!(parse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap_err().status(), 505);
}

#[test]
fn http_1_0_is_read_and_ends_the_connection() {
    let bytes = "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nExpect: 200-ok\r\n\
        Content-Length: 2\r\n\r\n";
    let head = parse(bytes).unwrap();
    assert_eq!((head.version, head.framing), (Version::Http10, Framing::Length(2)));
    assert!(!head.keep_alive);
    assert!(!head.expects_continue);
}

#[test]
fn methods_are_case_sensitive_and_of_a_closed_list() {
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        assert_eq!(line(&format!("{method} / HTTP/1.1")).unwrap().method.as_str(), method);
    }
    for method in ["get", "Post", "PROPFIND", "GETX", "G", &"A".repeat(9_000)] {
        let error = line(&format!("{method} / HTTP/1.1")).unwrap_err();
        assert_eq!((error, error.status()), (HeadError::UnknownMethod, 501));
    }
    for request_line in ["CONNECT gateway.test:443 HTTP/1.1", "TRACE / HTTP/1.1"] {
        let error = line(request_line).unwrap_err();
        assert_eq!((error, error.status()), (HeadError::MethodNotAllowed, 405));
    }
}

#[test]
fn one_empty_line_before_a_request_is_skipped_and_no_more() {
    assert!(parse("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
    let two = parse("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap_err();
    assert_eq!(two, SyntaxError::EmptyLine.into());
    assert_eq!(parse("\r\n".repeat(2_000)).unwrap_err(), SyntaxError::EmptyLine.into());
}

#[test]
fn too_many_fields_are_refused_and_the_limit_itself_is_not() {
    // `post` adds Host.
    assert!(post(&"X: y\r\n".repeat(99)).is_ok());
    let error = post(&"X: y\r\n".repeat(100)).unwrap_err();
    assert_eq!((error, error.status()), (SyntaxError::TooManyFields.into(), 431));

    let generous = HeadLimits { header_count_max: 1_000, ..LIMITS };
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(255));
    let more = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(256));
    let mut head = RequestHead::new();
    assert!(parse_request(many.as_bytes(), &generous, &mut head).unwrap().is_some());
    let outcome = parse_request(more.as_bytes(), &generous, &mut head);
    assert_eq!(outcome, Err(SyntaxError::TooManyFields.into()));
}

#[test]
fn a_head_above_its_limit_is_refused_with_or_without_its_end() {
    let request = |length: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "y".repeat(length - start.len() - 4)).into_bytes()
    };
    let mut head = RequestHead::new();
    let fits = request(LIMITS.head_bytes_max);
    assert_eq!(parse_request(&fits, &LIMITS, &mut head), Ok(Some(fits.len())));
    let over = request(LIMITS.head_bytes_max + 1);
    let error = HeadError::from(SyntaxError::HeadTooLarge);
    assert_eq!(parse_request(&over, &LIMITS, &mut head), Err(error));
    let unfinished = &over[..LIMITS.head_bytes_max];
    assert_eq!(parse_request(unfinished, &LIMITS, &mut head), Err(error));
    assert_eq!(error.status(), 431);
    // The empty line before it counts.
    let shifted = [b"\r\n", &fits[..]].concat();
    assert_eq!(parse_request(&shifted, &LIMITS, &mut head), Err(error));
}

#[test]
fn a_target_above_its_limit_is_refused_before_its_end_has_come() {
    let request = |length: usize| {
        let target = "a".repeat(length - 1);
        format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
    };
    let mut head = RequestHead::new();
    assert!(parse_request(&request(8_192), &LIMITS, &mut head).unwrap().is_some());
    for bytes in [request(8_193), request(100_000), request(8_193)[..8_197].to_vec()] {
        let error = parse_request(&bytes, &LIMITS, &mut head).unwrap_err();
        assert_eq!((error, error.status()), (HeadError::TargetTooLong, 414));
    }
}

#[test]
fn what_is_ambiguous_is_told_from_what_is_only_bad() {
    let ambiguous = post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n").unwrap_err();
    assert!(ambiguous.is_ambiguous());
    assert!(!post("X A\r\n").unwrap_err().is_ambiguous());
    assert!(!post("Content-Length: x\r\n").unwrap_err().is_ambiguous());
}

#[test]
fn garbage_behind_a_request_is_left_for_the_next_parse() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n";
    let mut head = RequestHead::new();
    let length = parse_request(bytes, &LIMITS, &mut head).unwrap().unwrap();
    let next = parse_request(&bytes[length..], &LIMITS, &mut head);
    assert_eq!(next, Err(SyntaxError::StartLine.into()));
}

#[test]
fn an_error_speaks_of_no_bytes_that_came() {
    let error = post("X-Secret : hunter2\r\n").unwrap_err();
    assert_eq!(error.to_string(), "a field name is malformed");
}
