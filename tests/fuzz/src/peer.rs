//! Second readings of the same bytes: what stands behind the gateway, or before it.

use httparse::{EMPTY_HEADER, Status};

/// More fields than any input holds.
const FIELDS_MAX: usize = 512;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ends {
    /// No body is announced.
    Nowhere,
    Length(u64),
    Chunked,
}

/// What a recipient makes of a head.
#[derive(Debug, PartialEq)]
pub(crate) struct Reading {
    /// Method or status.
    pub(crate) first: String,
    /// Target of a request.
    pub(crate) target: String,
    pub(crate) host: Vec<u8>,
    pub(crate) ends: Ends,
    /// Bytes of the head.
    pub(crate) length: usize,
}

/// A request as hyper reads it: tokens by `httparse`, then a transfer coding beats a length, and
/// lengths that differ are an error.
pub(crate) fn request(bytes: &[u8]) -> Option<Reading> {
    let mut slots = [EMPTY_HEADER; FIELDS_MAX];
    let mut tokens = httparse::Request::new(&mut slots);
    let Ok(Status::Complete(length)) = tokens.parse(bytes) else { return None };
    let fields: Vec<_> = tokens.headers.iter().map(|field| (field.name, field.value)).collect();
    Some(Reading {
        first: tokens.method?.to_owned(),
        target: tokens.path?.to_owned(),
        host: named(&fields, "host").next().unwrap_or_default().to_vec(),
        ends: ends(&fields)?,
        length,
    })
}

/// A response, in the same way.
pub(crate) fn response(bytes: &[u8]) -> Option<Reading> {
    let mut slots = [EMPTY_HEADER; FIELDS_MAX];
    let mut tokens = httparse::Response::new(&mut slots);
    let Ok(Status::Complete(length)) = tokens.parse(bytes) else { return None };
    let fields: Vec<_> = tokens.headers.iter().map(|field| (field.name, field.value)).collect();
    Some(Reading {
        first: tokens.code?.to_string(),
        target: String::new(),
        host: Vec::new(),
        ends: ends(&fields)?,
        length,
    })
}

fn named<'f>(
    fields: &'f [(&str, &'f [u8])],
    name: &'f str,
) -> impl DoubleEndedIterator<Item = &'f [u8]> {
    fields
        .iter()
        .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| *value)
}

fn ends(fields: &[(&str, &[u8])]) -> Option<Ends> {
    if let Some(codings) = named(fields, "transfer-encoding").next_back() {
        let last = codings.rsplit(|byte| *byte == b',').next()?;
        let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        return is_chunked.then_some(Ends::Chunked);
    }
    let mut lengths = named(fields, "content-length").map(decimal);
    let Some(first) = lengths.next() else { return Some(Ends::Nowhere) };
    lengths.all(|other| other == first).then_some(Ends::Length(first?))
}

fn decimal(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A head as the most careless server reads it: a line ends at any LF or CR, white space and case
/// do not count, `_` is `-`, a value with `chunked` anywhere is chunked, and the first digits of
/// whatever comes last are the length.
pub(crate) fn careless(head: &[u8]) -> Reading {
    let mut lines =
        head.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(|byte| *byte == b' ').map(text);
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_response = first.starts_with("HTTP/");
    let mut host = Vec::new();
    let (mut coding, mut length) = (false, None);
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = text(parts.next().unwrap_or_default()).trim().to_lowercase().replace('_', "-");
        let value = parts.next().unwrap_or_default().trim_ascii();
        match name.as_str() {
            "host" => host = value.to_vec(),
            "transfer-encoding" => coding |= text(value).to_lowercase().contains("chunked"),
            "content-length" => {
                let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).copied();
                length = decimal(&digits.collect::<Vec<u8>>());
            }
            _ => {}
        }
    }
    let ends = match (coding, length) {
        (true, _) => Ends::Chunked,
        (false, Some(length)) => Ends::Length(length),
        (false, None) => Ends::Nowhere,
    };
    let (first, target) = if is_response { (second, String::new()) } else { (first, second) };
    Reading { first, target, host, ends, length: head.len() }
}

/// The data of a chunked body and the bytes that it takes up, by `httparse`'s size lines.
pub(crate) fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let Ok(Status::Complete((line, size))) = httparse::parse_chunk_size(&bytes[at..]) else {
            return None;
        };
        at += line;
        if size == 0 {
            break;
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        data.extend_from_slice(bytes.get(at..end)?);
        at = end + bytes.get(end..)?.starts_with(b"\r\n").then_some(2)?;
    }
    let mut slots = [EMPTY_HEADER; FIELDS_MAX];
    let Ok(Status::Complete((trailers, _))) = httparse::parse_headers(&bytes[at..], &mut slots)
    else {
        return None;
    };
    Some((data, at + trailers))
}
