//! Chunked bodies: the same data, end and error at any split; the same reading by a second decoder.

use penstock_http::chunk::{CHUNK_END, LAST_CHUNK, chunk_head};
use penstock_http::{BodyDecoder, BodyError, Framing, Step};

use crate::chance::{Chance, made_long};
use crate::peer;

/// What a body turned out to be.
#[derive(Debug, PartialEq)]
struct Outcome {
    data: Vec<u8>,
    /// Bytes that belong to the body, where it ended.
    end: Option<usize>,
    error: Option<BodyError>,
}

pub(crate) fn check(bytes: &[u8]) -> bool {
    let whole = decode(bytes, &[]);
    let mut chance = Chance::of(bytes);
    for count in [1, 3, 9] {
        let cuts = chance.cuts(count, bytes.len());
        assert_eq!(decode(bytes, &cuts), whole, "cut at {cuts:?}");
    }
    let everywhere: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(decode(bytes, &everywhere), whole, "byte by byte");
    if let Some(end) = whole.end {
        let (theirs, their_end) = peer::chunked(bytes).expect("a peer reads what is accepted");
        assert_eq!((&theirs, their_end), (&whole.data, end));
        write_anew(&whole.data, &mut chance);
    }
    fixed_length(bytes, &mut chance);
    if let Some(long) = made_long(bytes) {
        decode(&long, &[]);
    }
    whole.end.is_some()
}

/// Feeds the bytes cut at these offsets. Each step takes at least a byte or says why not.
fn decode(bytes: &[u8], cuts: &[usize]) -> Outcome {
    let mut decoder = BodyDecoder::request(Framing::Chunked);
    let mut outcome = Outcome { data: Vec::new(), end: None, error: None };
    let mut at = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        loop {
            let piece = &bytes[at..end];
            match decoder.decode(piece) {
                Ok(Step::Skip(length)) => {
                    assert!((1..=piece.len()).contains(&length));
                    at += length;
                }
                Ok(Step::Data(length)) => {
                    assert!((1..=piece.len()).contains(&length));
                    outcome.data.extend_from_slice(&piece[..length]);
                    at += length;
                }
                Ok(Step::NeedMore) => {
                    assert!(piece.is_empty(), "bytes are left lying");
                    break;
                }
                Ok(Step::Done) => {
                    assert!(decoder.is_done());
                    assert_eq!(decoder.decode(b"0"), Ok(Step::Done), "a body ends once");
                    assert_eq!(decoder.finish(), Ok(()));
                    return Outcome { end: Some(at), ..outcome };
                }
                Err(error) => {
                    assert_eq!(decoder.decode(b"0\r\n\r\n"), Err(error), "an error is final");
                    assert!(!decoder.is_done() && decoder.finish().is_err());
                    return Outcome { error: Some(error), ..outcome };
                }
            }
        }
    }
    let is_over = decoder.finish().is_ok();
    Outcome { end: is_over.then_some(at), ..outcome }
}

/// What the encoder makes of the data, in pieces, is read back as the same data.
fn write_anew(data: &[u8], chance: &mut Chance) {
    let mut bytes = Vec::new();
    let mut at = 0;
    for end in chance.cuts(3, data.len()).into_iter().chain([data.len()]) {
        let piece = &data[at..end];
        if !piece.is_empty() {
            bytes.extend_from_slice(chunk_head(piece.len()).as_ref());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(CHUNK_END);
        }
        at = end;
    }
    bytes.extend_from_slice(LAST_CHUNK);
    let read = decode(&bytes, &[]);
    assert_eq!(read, Outcome { data: data.to_vec(), end: Some(bytes.len()), error: None });
}

/// A body of a known length is exactly its first bytes.
fn fixed_length(bytes: &[u8], chance: &mut Chance) {
    let length = chance.up_to(bytes.len());
    let mut decoder = BodyDecoder::request(Framing::Length(length as u64));
    let mut at = 0;
    for end in chance.cuts(3, bytes.len()) {
        while let Ok(Step::Data(count)) = decoder.decode(&bytes[at..end]) {
            at += count;
        }
        assert_eq!(at, end.min(length));
    }
}
