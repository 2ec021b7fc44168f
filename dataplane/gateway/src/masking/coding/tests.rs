use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

/// A body in gzip.
pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// A body in zstd.
pub(crate) fn zstd(body: &[u8]) -> Vec<u8> {
    compress_to_vec(body, CompressionLevel::Fastest)
}

/// `mail jane@example.com now` as `br`: one uncompressed meta-block (RFC 7932 section 9.2).
pub(crate) fn brotli(body: &[u8]) -> Vec<u8> {
    // WBITS 16 (one bit 0), ISLAST 0, MNIBBLES 4 (two bits 0), MLEN - 1 (16 bits), uncompressed 1,
    // then padding to a byte; behind the bytes an empty last meta-block: ISLAST 1, ISLASTEMPTY 1.
    let length = u32::try_from(body.len() - 1).unwrap();
    assert!(length < 1 << 16);
    let header = (length << 4) | (1 << 20);
    let mut encoded = header.to_le_bytes()[..3].to_vec();
    encoded.extend_from_slice(body);
    encoded.push(0b11);
    encoded
}

fn decode(coding: Coding, body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Undecodable> {
    let pool = Pool::new(1 << 24);
    let mut gathered = Gathered::default();
    let mut decoder = Decoder::new(coding, body)?;
    while !decoder.step(&pool, &mut gathered, bytes_max)? {}
    Ok(gathered.bytes().to_vec())
}

#[test]
fn what_was_encoded_is_decoded() {
    let body = "a word and another word, ".repeat(2_000).into_bytes();
    let encoded = [
        (Coding::Identity, body.clone()),
        (Coding::Gzip, gzip(&body)),
        (Coding::Gzip, [gzip(&body[..7]), gzip(&body[7..])].concat()),
        (Coding::Brotli, brotli(&body)),
        (Coding::Zstd, zstd(&body)),
        (Coding::Zstd, [zstd(&body[..7]), zstd(&body[7..])].concat()),
    ];
    for (coding, encoded) in encoded {
        assert!(decode(coding, &encoded, body.len()).as_ref() == Ok(&body), "{coding:?}");
        let too_long = decode(coding, &encoded, body.len() - 1);
        assert_eq!(too_long.unwrap_err(), Undecodable::TooLong, "{coding:?}");
    }
}

#[test]
fn what_is_not_what_it_says_or_ends_early_is_broken() {
    let body = b"a word and another word";
    for (coding, encoded) in
        [(Coding::Gzip, gzip(body)), (Coding::Brotli, brotli(body)), (Coding::Zstd, zstd(body))]
    {
        assert_eq!(decode(coding, body, 100), Err(Undecodable::Broken), "{coding:?}");
        let cut = &encoded[..encoded.len() - 3];
        assert_eq!(decode(coding, cut, 100), Err(Undecodable::Broken), "{coding:?}");
    }
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let bomb = gzip(&vec![b'a'; 8 << 20]);
    assert!(bomb.len() < 16 << 10);
    assert_eq!(decode(Coding::Gzip, &bomb, 1 << 20), Err(Undecodable::TooLong));
}

#[test]
fn one_known_coding_is_decoded_and_no_other_nor_two() {
    let of = |values: &[&str]| Coding::of(values.iter().map(|value| value.as_bytes()));
    for (values, coding) in [
        (&[][..], Some(Coding::Identity)),
        (&["identity"], Some(Coding::Identity)),
        (&["GZip"], Some(Coding::Gzip)),
        (&["x-gzip, identity"], Some(Coding::Gzip)),
        (&[" br "], Some(Coding::Brotli)),
        (&["zstd"], Some(Coding::Zstd)),
        (&["gzip, gzip"], None),
        (&["gzip", "br"], None),
        (&["deflate"], None),
        (&["compress"], None),
        (&["gzip;q=1"], None),
    ] {
        assert_eq!(of(values), coding, "{values:?}");
    }
}
