use super::*;
use proptest::prelude::*;

/// Offsets behind every complete event, found byte by byte by another way: split at the first empty
/// line, with CR LF, LF and CR as line ends.
fn sse_ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut line = 0;
    let mut at = 0;
    while at < bytes.len() {
        let length = match &bytes[at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => 0,
        };
        if length == 0 {
            at += 1;
            continue;
        }
        if at == line {
            ends.push(at + length);
        }
        at += length;
        line = at;
    }
    ends
}

#[test]
fn an_event_ends_behind_its_empty_line() {
    for (bytes, end) in [
        (&b"data: a\n\ndata: b"[..], Some(9)),
        (b"data: a\r\n\r\ndata: b\r\n", Some(11)),
        (b"data: a\r\rdata: b", Some(9)),
        (b"data: a\n\r\nx", Some(10)),
        (b"data: a\r\n\nx", Some(10)),
        (b"data: a\n\r", Some(9)),
        (b"data: a\n", None),
        (b"data: a\r\n", None),
        (b"data: a", None),
        (b"", None),
        (b"\n", Some(1)),
        (b": comment\n\n\n\nx", Some(13)),
    ] {
        let mut boundary = Boundary::new(StreamKind::Sse);
        assert_eq!(boundary.scan(bytes), end, "{bytes:?}");
        assert_eq!(boundary.is_at_boundary(), end == Some(bytes.len()) || bytes.is_empty());
    }
}

#[test]
fn a_line_end_that_is_cut_in_two_is_one_line_end() {
    let mut boundary = Boundary::new(StreamKind::Sse);
    assert_eq!(boundary.scan(b"data: a\r"), None);
    assert_eq!(boundary.scan(b"\n"), None);
    assert_eq!(boundary.scan(b"\r"), Some(1));
    assert!(boundary.is_at_boundary());
    assert_eq!(boundary.scan(b"\n"), Some(1));
    assert!(boundary.is_at_boundary());
    assert_eq!(boundary.scan(b"data: b"), None);
    assert!(!boundary.is_at_boundary());
    assert_eq!(boundary.scan(b""), None);
    assert!(!boundary.is_at_boundary());
}

#[test]
fn a_json_line_ends_behind_its_line_feed() {
    let mut boundary = Boundary::new(StreamKind::Ndjson);
    assert!(boundary.is_at_boundary());
    assert_eq!(boundary.scan(b"{\"a\":1}\r\n{\"b\""), Some(9));
    assert!(!boundary.is_at_boundary());
    assert_eq!(boundary.scan(b":2}"), None);
    assert_eq!(boundary.scan(b"\n"), Some(1));
    assert!(boundary.is_at_boundary());
}

/// Ends of all events, found one by one, in two pieces.
fn ends_one_by_one(bytes: &[u8], cut: usize) -> Vec<usize> {
    let mut boundary = Boundary::new(StreamKind::Sse);
    let mut ends = Vec::new();
    for (start, end) in [(0, cut), (cut, bytes.len())] {
        let mut at = start;
        while let Some(length) = boundary.first(&bytes[at..end]) {
            at += length;
            ends.push(at);
        }
    }
    ends
}

#[test]
fn json_lines_are_found_one_by_one() {
    let mut boundary = Boundary::new(StreamKind::Ndjson);
    assert_eq!(boundary.first(b"{}\n{}\n{"), Some(3));
    assert!(boundary.is_at_boundary());
    assert_eq!(boundary.first(b"{}"), None);
    assert!(!boundary.is_at_boundary());
    assert_eq!(boundary.first(b"\n"), Some(1));
}

proptest! {
    /// One by one the same events are found; a CR LF that is cut in two has two ends.
    #[test]
    fn any_split_finds_every_event_that_the_whole_has(
        bytes in proptest::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x')], 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(bytes.len() + 1);
        prop_assert_eq!(ends_one_by_one(&bytes, bytes.len()), sse_ends(&bytes));
        let mut found = ends_one_by_one(&bytes, cut);
        let is_within_an_end = bytes[..cut].ends_with(b"\r") && bytes[cut..].starts_with(b"\n");
        if is_within_an_end && found.contains(&(cut + 1)) {
            found.retain(|&end| end != cut);
        }
        prop_assert_eq!(found, sse_ends(&bytes));
    }

    /// At any split, what lies before the last boundary is whole events, and the last event that is
    /// complete lies before it.
    #[test]
    fn any_split_finds_the_boundary_that_the_whole_has(
        bytes in proptest::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x')], 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(bytes.len() + 1);
        let mut boundary = Boundary::new(StreamKind::Sse);
        let first = boundary.scan(&bytes[..cut]);
        prop_assert_eq!(first, sse_ends(&bytes[..cut]).last().copied());
        let second = boundary.scan(&bytes[cut..]).map(|end| end + cut);
        let whole = sse_ends(&bytes).last().copied();
        prop_assert_eq!(second, whole.filter(|&end| end > cut));
        prop_assert_eq!(boundary.is_at_boundary(), bytes.is_empty() || whole == Some(bytes.len()));
    }
}
