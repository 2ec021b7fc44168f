use super::*;

fn request(method: &str, base: &str, target: &str, host: &str) -> Result<String, WriteError> {
    let mut bytes = Vec::new();
    RequestWriter::start(&mut bytes, method, base, target, host)?.finish_none()?;
    Ok(String::from_utf8(bytes).unwrap())
}

fn field(name: &str, value: &str) -> Result<(), WriteError> {
    let mut bytes = Vec::new();
    RequestWriter::start(&mut bytes, "GET", "", "/", "a")?.header(name, value)?;
    let mut bytes = Vec::new();
    ResponseWriter::start(&mut bytes, 200)?.header(name, value)
}

#[test]
fn a_request_is_written_with_its_base_path_and_its_own_host() {
    let mut bytes = Vec::new();
    let mut writer =
        RequestWriter::start(&mut bytes, "POST", "/base", "/v1/x?y", "[::1]:80").unwrap();
    writer.header("accept", "*/*").unwrap();
    writer.header(b"x-b", b"\xff").unwrap();
    writer.finish_length(u64::MAX).unwrap();
    let expected = b"POST /base/v1/x?y HTTP/1.1\r\nhost: [::1]:80\r\naccept: */*\r\nx-b: \xff\r\n\
        content-length: 18446744073709551615\r\n\r\n";
    assert_eq!(bytes, expected);
}

#[test]
fn a_request_that_could_be_split_is_not_written() {
    assert_eq!(request("GET", "", "/", "a").unwrap(), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    for method in ["", "GET /x HTTP/1.1\r\n", "G T", "GET\0"] {
        assert_eq!(request(method, "", "/", "a"), Err(WriteError::Invalid), "{method:?}");
    }
    for target in ["", "x", "*", "/ x", "/\r\nx: y", "/\n", "/\0", "/\u{e4}", "/\x7f", "/\t"] {
        assert_eq!(request("GET", "", target, "a"), Err(WriteError::Invalid), "{target:?}");
    }
    for base in ["x", "/ ", "/\r\n", "http://a"] {
        assert_eq!(request("GET", base, "/", "a"), Err(WriteError::Invalid), "{base:?}");
    }
    for host in ["", "a\r\nx: y", "a b", "a@b", "a/b", "a\n"] {
        assert_eq!(request("GET", "", "/", host), Err(WriteError::Invalid), "{host:?}");
    }
}

#[test]
fn the_end_of_a_connection_is_announced_once() {
    let mut bytes = Vec::new();
    let mut writer = RequestWriter::start(&mut bytes, "GET", "", "/", "a").unwrap();
    writer.close().unwrap();
    writer.close().unwrap();
    writer.finish_chunked().unwrap();
    let expected = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n";
    assert_eq!(bytes, expected.as_bytes());
}

#[test]
fn a_field_that_could_be_split_is_not_written() {
    assert_eq!(field("x-a", ""), Ok(()));
    assert_eq!(field("x-a", "b \t\u{e4}"), Ok(()));
    for name in ["", "x a", "x:", "x\r\n", "x\0", "\u{e4}", "x-a\n", "(x)"] {
        assert_eq!(field(name, "b"), Err(WriteError::Invalid), "{name:?}");
    }
    for value in ["a\r\nb: c", "a\n", "\r", "a\0", "\x7f", "a\u{1b}[0m"] {
        assert_eq!(field("x-a", value), Err(WriteError::Invalid), "{value:?}");
    }
}

#[test]
fn framing_fields_are_written_by_the_framing_alone() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "keep-alive",
        "proxy-connection",
        "http2-settings",
    ] {
        assert_eq!(field(name, "x"), Err(WriteError::Invalid), "{name}");
    }
}

#[test]
fn a_response_is_written_with_each_kind_of_ending() {
    let write = |status: u16, end: fn(ResponseWriter<'_, Vec<u8>>) -> Result<(), WriteError>| {
        let mut bytes = Vec::new();
        let mut writer = ResponseWriter::start(&mut bytes, status)?;
        writer.header("x-a", "b")?;
        end(writer)?;
        Ok::<_, WriteError>(String::from_utf8(bytes).unwrap())
    };
    assert_eq!(
        write(403, |writer| writer.finish_length(0)).unwrap(),
        "HTTP/1.1 403 Forbidden\r\nx-a: b\r\ncontent-length: 0\r\n\r\n"
    );
    assert_eq!(
        write(200, |writer| writer.finish_chunked()).unwrap(),
        "HTTP/1.1 200 OK\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    assert_eq!(
        write(299, |mut writer| {
            writer.close()?;
            writer.finish_until_close()
        })
        .unwrap(),
        "HTTP/1.1 299 \r\nx-a: b\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        write(204, |mut writer| {
            writer.close()?;
            writer.finish_none()
        })
        .unwrap(),
        "HTTP/1.1 204 No Content\r\nx-a: b\r\nconnection: close\r\n\r\n"
    );
    for status in [204, 103] {
        assert_eq!(write(status, |writer| writer.finish_length(0)), Err(WriteError::Invalid));
        assert_eq!(write(status, |writer| writer.finish_chunked()), Err(WriteError::Invalid));
    }
}

#[test]
fn a_status_that_is_none_or_changes_the_protocol_is_not_written() {
    for status in [0, 99, 101, 600, u16::MAX] {
        assert!(matches!(ResponseWriter::start(&mut Vec::new(), status), Err(WriteError::Invalid)));
    }
}

#[test]
fn a_sink_without_room_fails_the_head() {
    struct Small(usize);
    impl Sink for Small {
        fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(Full)?;
            Ok(())
        }
    }
    let head = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let write = |room| RequestWriter::start(&mut Small(room), "GET", "", "/", "a")?.finish_none();
    assert_eq!(write(head.len()), Ok(()));
    assert_eq!(write(head.len() - 1), Err(WriteError::Full));
}
