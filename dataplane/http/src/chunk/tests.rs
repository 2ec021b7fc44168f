use super::*;

/// Body and what is left of the bytes, or the error; fed in pieces of `piece` bytes.
fn decode_in(piece: usize, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), BodyError> {
    let mut decoder = ChunkedDecoder::default();
    let mut body = Vec::new();
    for (index, part) in bytes.chunks(piece).enumerate() {
        let mut rest = part;
        loop {
            match decoder.decode(rest)? {
                Step::Skip(length) => rest = &rest[length..],
                Step::Data(length) => {
                    body.extend_from_slice(&rest[..length]);
                    rest = &rest[length..];
                }
                Step::NeedMore => break,
                Step::Done => {
                    return Ok((body, bytes[index * piece + part.len() - rest.len()..].to_vec()));
                }
            }
        }
    }
    if decoder.is_done() { Ok((body, Vec::new())) } else { Err(BodyError::Truncated) }
}

fn decode(bytes: impl AsRef<[u8]>) -> Result<(Vec<u8>, Vec<u8>), BodyError> {
    let whole = decode_in(usize::MAX, bytes.as_ref());
    assert_eq!(whole, decode_in(1, bytes.as_ref()), "split differs from whole");
    whole
}

fn body(bytes: impl AsRef<[u8]>) -> Result<Vec<u8>, BodyError> {
    decode(bytes).map(|(body, _)| body)
}

#[test]
fn chunks_come_out_as_one_body_and_nothing_behind_it_is_touched() {
    let decoded = decode("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET / HTTP/1.1").unwrap();
    assert_eq!(decoded, (b"hello world".to_vec(), b"GET / HTTP/1.1".to_vec()));
    assert_eq!(body("0\r\n\r\n"), Ok(Vec::new()));
    assert_eq!(body("00A\r\n0123456789\r\n000\r\n\r\n"), Ok(b"0123456789".to_vec()));
}

#[test]
fn a_chunk_size_is_hexadecimal_digits_and_nothing_else() {
    for line in [
        "", " 5", "\t5", "0x5", "+5", "-5", "-1", "5_0", "5g", "g", ";x", " ", "5.", "5,", "5\0",
        "x5",
    ] {
        let bytes = format!("{line}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(body(&bytes), Err(BodyError::BadChunkSize), "{line:?}");
    }
}

#[test]
fn an_empty_size_line_is_not_the_last_chunk() {
    let smuggled = "\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n";
    assert_eq!(body(smuggled), Err(BodyError::BadChunkSize));
    assert_eq!(body("5\r\nhello\r\n\r\n"), Err(BodyError::BadChunkSize));
}

#[test]
fn a_chunk_size_that_could_wrap_is_refused() {
    for line in [
        "ffffffffffffffff",
        "7fffffffffffffff",
        "10000000000000000",
        "00000000000000005",
        "10000000001",
        "000000000000000000000000000000005",
    ] {
        let error = body(format!("{line}\r\nhello\r\n0\r\n\r\n")).unwrap_err();
        assert_eq!((error, error.status()), (BodyError::ChunkTooLarge, 413), "{line}");
    }
    // The bound itself is legal; its data just never come here.
    assert_eq!(body("10000000000\r\nx"), Err(BodyError::Truncated));
}

#[test]
fn white_space_behind_a_size_is_only_legal_before_an_extension() {
    for line in ["5 ", "5\t", "5 x", "5  \t"] {
        let bytes = format!("{line}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(body(&bytes), Err(BodyError::BadExtension), "{line:?}");
    }
    assert_eq!(body("5 ;a\r\nhello\r\n0\r\n\r\n"), Ok(b"hello".to_vec()));
}

#[test]
fn a_bare_line_feed_in_chunk_framing_is_refused() {
    for bytes in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "2;\nxx\r\n3d\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
    ] {
        let error = body(bytes).unwrap_err();
        assert_eq!((error.status(), error.is_ambiguous()), (400, true), "{bytes:?}");
    }
}

#[test]
fn the_carriage_return_of_a_size_line_is_followed_by_its_line_feed() {
    for line in ["5\rx", "5\r\r", "5;a\rx", "5;a=\"b\"\r\r"] {
        let bytes = format!("{line}hello\r\n0\r\n\r\n");
        assert_eq!(body(&bytes), Err(BodyError::BadChunkSize), "{line:?}");
    }
    assert_eq!(body("5\r\nhello\r\n0\rx\r\n"), Err(BodyError::BadChunkSize));
}

#[test]
fn data_longer_or_shorter_than_its_size_is_refused() {
    for bytes in [
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhelloX\n0\r\n\r\n",
        "5\r\nhello\rX0\r\n\r\n",
        "5\r\nhello\n\r0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5\r\nhello\rx0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
    ] {
        assert_eq!(body(bytes), Err(BodyError::BadChunkEnd), "{bytes:?}");
    }
}

#[test]
fn valid_extensions_are_dropped() {
    for extension in [
        ";a",
        ";a=b",
        ";a=b;c=\"d e\"",
        ";a=\"\"",
        " ; a = b",
        ";a=\"x;y=\\\"z\\\\\"",
        ";a=\"\t\u{e4}\"",
        " ;\ta\t=\t\"b\" ;c",
        ";a ;b",
    ] {
        let bytes = format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n");
        assert_eq!(body(&bytes), Ok(b"hello".to_vec()), "{extension:?}");
    }
}

#[test]
fn malformed_extensions_are_refused() {
    for extension in [
        ";",
        ";=x",
        ";a=",
        ";a=\"b",
        ";;a",
        ";a;",
        ";a=b c",
        ";a b",
        ";a=\"b\"c",
        ";\0",
        ";a=\0",
        ";a=\"\0\"",
        ";a=\"\x7f\"",
        ";a=b=c",
        ";a=\"b\\\0\"",
        ";a ",
        ";a=b ",
        ";a=\"b\" ",
        ";a =",
        ";(",
        ";a=\"\u{1}\"",
        ";a=\"b\r\n",
    ] {
        let bytes = format!("5{extension}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(body(&bytes), Err(BodyError::BadExtension), "{extension:?}");
    }
}

#[test]
fn a_size_line_has_a_bound() {
    // 256 bytes in all: `5;` and CR LF take four of them.
    let line = |name: usize| format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(name));
    assert_eq!(body(line(252)), Ok(b"hello".to_vec()));
    assert_eq!(body(line(253)), Err(BodyError::ChunkLineTooLong));
    assert_eq!(body(line(70_000)), Err(BodyError::ChunkLineTooLong));
}

#[test]
fn all_extensions_of_a_body_together_have_a_bound() {
    let chunk = format!("1;{}\r\nx\r\n", "a".repeat(200));
    assert!(body(chunk.repeat(81) + "0\r\n\r\n").is_ok());
    let error = body(chunk.repeat(82) + "0\r\n\r\n").unwrap_err();
    assert_eq!((error, error.status()), (BodyError::ExtensionsTooLarge, 413));
}

#[test]
fn trailers_are_checked_and_dropped() {
    let trailers = "Content-Length: 5\r\nX-Forwarded-For: a\r\nX-Empty:\r\nx: \u{e4}\t y\r\n";
    let bytes = format!("5\r\nhello\r\n0\r\n{trailers}\r\nNEXT");
    assert_eq!(decode(bytes).unwrap(), (b"hello".to_vec(), b"NEXT".to_vec()));
}

#[test]
fn malformed_trailers_are_refused() {
    for trailers in [
        "X-A : b\r\n\r\n",
        ": b\r\n\r\n",
        "XA\r\n\r\n",
        "X-A: b\n\r\n",
        "X-A: b\r\n c\r\n\r\n",
        "X-A: b\0\r\n\r\n",
        "X-A: b\rc\r\n\r\n",
        "X(A): b\r\n\r\n",
        " X: a\r\n\r\n",
        "\rX",
        "\n",
        "X-A: b\r\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let bytes = format!("5\r\nhello\r\n0\r\n{trailers}");
        assert_eq!(body(&bytes), Err(BodyError::BadTrailer), "{trailers:?}");
    }
}

#[test]
fn the_trailer_section_has_bounds() {
    let count = |fields: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(fields));
    assert!(body(count(100)).is_ok());
    assert_eq!(body(count(101)), Err(BodyError::TrailersTooLarge));
    // The field costs 5 bytes beyond its value, the last line 2.
    let size = |value: usize| format!("0\r\nX: {}\r\n\r\n", "y".repeat(value));
    assert!(body(size(65_536 - 7)).is_ok());
    let error = body(size(65_536 - 6)).unwrap_err();
    assert_eq!((error, error.status()), (BodyError::TrailersTooLarge, 431));
}

#[test]
fn after_an_error_no_byte_is_read_any_more() {
    let mut decoder = ChunkedDecoder::default();
    assert_eq!(decoder.decode(b"x"), Err(BodyError::BadChunkSize));
    assert_eq!(decoder.decode(b"0\r\n\r\n"), Err(BodyError::BadChunkSize));
    assert_eq!(decoder.decode(b""), Err(BodyError::BadChunkSize));
    assert!(!decoder.is_done());
}

#[test]
fn encoded_chunks_decode_to_what_they_were() {
    let mut bytes = Vec::new();
    let data = vec![b'x'; 5_000];
    for length in [1, 9, 10, 15, 16, 255, 4_096] {
        bytes.extend_from_slice(chunk_head(length).as_ref());
        bytes.extend_from_slice(&data[..length]);
        bytes.extend_from_slice(CHUNK_END);
    }
    bytes.extend_from_slice(LAST_CHUNK);
    assert_eq!(body(bytes).unwrap().len(), 1 + 9 + 10 + 15 + 16 + 255 + 4_096);
    assert_eq!(chunk_head(61).as_ref(), b"3d\r\n");
    assert_eq!(chunk_head(usize::MAX).as_ref(), b"ffffffffffffffff\r\n");
}

#[test]
fn an_empty_piece_cannot_forge_the_end_of_a_body() {
    assert_eq!(chunk_head(0).as_ref(), b"");
    let bytes = [chunk_head(0).as_ref(), CHUNK_END].concat();
    assert_eq!(body(bytes), Err(BodyError::BadChunkSize));
}
