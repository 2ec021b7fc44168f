//! Streams of events: a boundary is where a second reader, byte by byte, sees one, at any split.

use penstock_http::stream::{Boundary, StreamKind};

use crate::chance::{Chance, made_long};

pub(crate) fn check(bytes: &[u8]) -> bool {
    for (kind, ends) in
        [(StreamKind::Sse, sse_ends as fn(&[u8]) -> Vec<usize>), (StreamKind::Ndjson, ndjson_ends)]
    {
        let mut chance = Chance::of(bytes);
        for count in [0, 1, 3, 9, 2 * bytes.len()] {
            scan(kind, ends, bytes, &chance.cuts(count, bytes.len()));
        }
    }
    if let Some(long) = made_long(bytes) {
        Boundary::new(StreamKind::Sse).scan(&long);
    }
    sse_ends(bytes).last() == Some(&bytes.len())
}

/// After each piece, the boundary is the last one of all that has come, if it lies in the piece.
fn scan(kind: StreamKind, ends: fn(&[u8]) -> Vec<usize>, bytes: &[u8], cuts: &[usize]) {
    let mut boundary = Boundary::new(kind);
    let mut at = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        let found = boundary.scan(&bytes[at..end]).map(|found| at + found);
        let last = ends(&bytes[..end]).last().copied();
        assert_eq!(found, last.filter(|&last| last > at), "{bytes:?} from {at} to {end}");
        assert_eq!(boundary.is_at_boundary(), end == 0 || last == Some(end));
        at = end;
    }
}

/// Offsets behind every complete event: behind a line of nothing, where lines end in CR LF, LF or
/// CR (HTML standard, 9.2.5). The LF of a CR LF that has not come yet is not waited for.
fn sse_ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let (mut line, mut at) = (0, 0);
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

fn ndjson_ends(bytes: &[u8]) -> Vec<usize> {
    let line_feeds = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    line_feeds.map(|(at, _)| at + 1).collect()
}
