//! Length, coding, expectation, and fields that end at this hop.

use super::*;

fn framing(fields: &str) -> Result<Framing, HeadError> {
    post(fields).map(|head| head.framing)
}

fn refused(error: impl Into<HeadError>) -> Result<Framing, HeadError> {
    Err(error.into())
}

#[test]
fn a_length_beside_a_coding_is_refused_in_both_orders() {
    for fields in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 4\r\n",
        "Transfer-Encoding:\r\nContent-Length: 4\r\n",
    ] {
        assert_eq!(framing(fields), refused(FramingError::BothLengths), "{fields}");
    }
}

#[test]
fn chunked_is_the_only_coding_and_stands_alone() {
    assert_eq!(framing("Transfer-Encoding: chunked\r\n"), Ok(Framing::Chunked));
    assert_eq!(framing("transfer-encoding:\tChunked\t\r\n"), Ok(Framing::Chunked));
    for value in [
        "",
        ",",
        "chunked,",
        ",chunked",
        "chunked, chunked",
        "chunked, gzip",
        "chunked, identity",
        "\"chunked\"",
        "chunked;q=1",
        "chunked gzip",
        "chunked\u{a0}",
        "gzip, chunked, chunked",
    ] {
        let fields = format!("Transfer-Encoding: {value}\r\n");
        assert_eq!(framing(&fields), refused(FramingError::BadCoding), "{value}");
    }
    for other in ["chunked", "identity", "gzip"] {
        let fields =
            format!("Transfer-Encoding: chunked\r\nX: y\r\nTransfer-Encoding: {other}\r\n");
        assert_eq!(framing(&fields), refused(FramingError::RepeatedCoding), "{other}");
    }
    let hidden = framing("Transfer-Encoding: \x0bchunked\r\n");
    assert_eq!(hidden, refused(SyntaxError::FieldValue));
}

#[test]
fn another_coding_is_not_implemented() {
    for value in ["gzip, chunked", "gzip", "identity", "xchunked", "trailers"] {
        let error = framing(&format!("Transfer-Encoding: {value}\r\n")).unwrap_err();
        assert_eq!(error, FramingError::UnsupportedCoding.into(), "{value}");
        assert_eq!(error.status(), 501);
    }
}

#[test]
fn a_coding_in_http_1_0_is_refused() {
    let head = parse("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(head.unwrap_err(), FramingError::CodingInHttp10.into());
}

#[test]
fn a_second_length_is_refused_also_when_it_is_equal() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nX: y\r\ncontent-length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: ,5\r\n",
        "Content-Length: ,\r\n",
    ] {
        assert_eq!(framing(fields), refused(FramingError::RepeatedLength), "{fields}");
    }
}

#[test]
fn a_length_is_digits_and_nothing_else() {
    assert_eq!(framing("Content-Length: 0\r\n"), Ok(Framing::Length(0)));
    assert_eq!(framing("Content-Length: 0061\r\n"), Ok(Framing::Length(61)));
    let largest = "Content-Length: 9223372036854775807\r\n";
    assert_eq!(framing(largest), Ok(Framing::Length(u64::MAX >> 1)));
    for value in [
        "", "+5", "-1", "-0", "0x5", "5.0", "5e0", "\"5\"", "5_0", "5;", "6 1", "\u{b2}", "5\u{a0}",
    ] {
        let fields = format!("Content-Length: {value}\r\n");
        assert_eq!(framing(&fields), refused(FramingError::BadLength), "{value}");
    }
}

#[test]
fn a_length_that_some_counter_cannot_hold_is_too_large() {
    for value in [
        "9223372036854775808",
        "18446744073709551616",
        "18446744073709551617",
        "99999999999999999999999999999999",
    ] {
        let error = framing(&format!("Content-Length: {value}\r\n")).unwrap_err();
        assert_eq!((error, error.status()), (FramingError::LengthTooLarge.into(), 413), "{value}");
    }
}

#[test]
fn only_one_100_continue_can_be_expected() {
    let with_body = "Expect: 100-Continue\r\nContent-Length: 5\r\n";
    assert!(post(with_body).unwrap().expects_continue);
    assert!(
        post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n").unwrap().expects_continue
    );
    for without_body in
        ["Expect: 100-continue\r\n", "Expect: 100-continue\r\nContent-Length: 0\r\n"]
    {
        assert!(!post(without_body).unwrap().expects_continue);
    }
    for fields in [
        "Expect: 200-ok\r\n",
        "Expect: y 100-continue\r\n",
        "Expect:\r\n",
        "Expect: 100-continue, 100-continue\r\n",
        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
    ] {
        let error = post(fields).unwrap_err();
        assert_eq!((error, error.status()), (HeadError::Expectation, 417), "{fields}");
    }
    let both = post("Expect: 100-continue\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n");
    assert_eq!(both.unwrap_err(), FramingError::BothLengths.into());
}

#[test]
fn an_upgrade_is_dropped_and_the_request_stays_a_plain_one() {
    let bytes = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nAccept: */*\r\n\r\nGET /smuggled";
    let head = parse(bytes).unwrap();
    assert!(head.keep_alive);
    assert_eq!(head.framing, Framing::None);
    let up: Vec<_> = head.passing_up(bytes.as_bytes()).map(|(name, _)| name).collect();
    assert_eq!(up, [b"Accept"]);
}

#[test]
fn fields_that_connection_names_end_here() {
    let bytes = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close,, User-Agent\r\nUser-Agent: x\r\n\
        Connection: traceparent\r\ntraceparent: y\r\nAccept: */*\r\n\r\n";
    let head = parse(bytes).unwrap();
    assert!(!head.keep_alive);
    let up: Vec<_> = head.passing_up(bytes.as_bytes()).map(|(name, _)| name).collect();
    assert_eq!(up, [b"Accept"]);
}

#[test]
fn connection_cannot_name_what_the_gateway_reads_or_adds() {
    for name in [
        "Host",
        "authorization",
        "X-Api-Key",
        "content-length",
        "Transfer-Encoding",
        "Content-Type",
        "content-encoding",
        "expect",
        "Penstock-Reason",
    ] {
        let error = post(&format!("Connection: close, {name}\r\n")).unwrap_err();
        assert_eq!(error, FramingError::ProtectedField.into(), "{name}");
        assert_eq!((error.status(), error.is_ambiguous()), (400, true));
    }
    for value in ["close x", "\"close\"", "close;x", "a/b"] {
        let error = post(&format!("Connection: {value}\r\n")).unwrap_err();
        assert_eq!(error, FramingError::BadConnection.into(), "{value}");
    }
}

#[test]
fn connection_has_at_most_32_elements_in_all_its_fields_together() {
    let names: Vec<String> = (0..31).map(|index| format!("x-{index}")).collect();
    let names = names.join(",");
    let bytes = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: {names}\r\nAccept: */*\r\n\
        Connection: ACCEPT\r\n\r\n"
    );
    let head = parse(&bytes).unwrap();
    assert_eq!(head.passing_up(bytes.as_bytes()).count(), 0);
    for more in ["a,b", "a,", ","] {
        let error = post(&format!("Connection: {names}\r\nConnection: {more}\r\n")).unwrap_err();
        assert_eq!(error, FramingError::LongConnection.into(), "{more}");
        assert_eq!((error.status(), error.is_ambiguous()), (400, false));
    }
    let commas = format!("Connection: {}\r\n", ",".repeat(32));
    assert_eq!(post(&commas).unwrap_err(), FramingError::LongConnection.into());
}

#[test]
fn a_second_content_type_is_a_second_reading() {
    for name in ["Content-Type", "Content-Encoding"] {
        let error = post(&format!("{name}: a/b\r\n{name}: a/b\r\n")).unwrap_err();
        assert_eq!(error, FramingError::RepeatedContentField.into(), "{name}");
    }
}
