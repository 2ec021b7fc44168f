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

/// What of a body was not read yet.
fn unread(decoder: &Decoder<'_>) -> usize {
    match decoder {
        Decoder::Identity(rest) | Decoder::Zstd(_, rest) => rest.len(),
        Decoder::Gzip(decoder) => decoder.get_ref().rest.len(),
        Decoder::Brotli(decoder) => decoder.get_ref().rest.len(),
    }
}

/// Brotli without content: metadata blocks of no bytes (RFC 7932 section 9.2).
fn empty_brotli(blocks: usize) -> Vec<u8> {
    // WBITS 16 (0), then ISLAST 0, MNIBBLES 11, reserved 0, MSKIPBYTES 00, padding: a byte with it,
    // and one for each block without it.
    let mut encoded = vec![0b0000_1100];
    encoded.resize(blocks, 0b0000_0110);
    encoded.push(0b11);
    encoded
}

/// A zstd frame of empty raw blocks, and no checksum (RFC 8878 section 3.1.1).
fn empty_zstd(blocks: usize) -> Vec<u8> {
    // Magic, no flags, a window of 8 MiB (exponent 13), then blocks of three bytes each.
    let mut encoded = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3];
    encoded.extend(std::iter::repeat_n([0, 0, 0], blocks).flatten());
    encoded.extend([1, 0, 0]);
    encoded
}

#[test]
fn what_one_step_reads_is_bounded_though_nothing_comes_out() {
    let long = "a word and another word, ".repeat(2_000).into_bytes();
    for (coding, encoded, bytes_max) in [
        (Coding::Gzip, gzip(b"").repeat(50_000), STEP_INPUT_BYTES),
        (Coding::Gzip, [gzip(b"").repeat(1_000), gzip(&long)].concat(), STEP_INPUT_BYTES),
        (Coding::Brotli, empty_brotli(1_000_000), STEP_INPUT_BYTES),
        (Coding::Zstd, empty_zstd(10_000), 3),
        (Coding::Zstd, zstd(b"").repeat(10_000), zstd(b"").len()),
    ] {
        let pool = Pool::new(1 << 24);
        let mut gathered = Gathered::default();
        let mut decoder = Decoder::new(coding, &encoded).unwrap();
        let (mut before, mut steps) = (unread(&decoder), 0);
        while !decoder.step(&pool, &mut gathered, long.len()).unwrap() {
            let now = unread(&decoder);
            assert!(before - now <= bytes_max, "{coding:?}: {}", before - now);
            (before, steps) = (now, steps + 1);
        }
        assert_eq!(unread(&decoder), 0, "{coding:?}");
        assert!(steps >= encoded.len() / bytes_max / 2, "{coding:?}: {steps}");
        assert!(gathered.is_empty() || gathered.bytes() == long);
    }
}

#[test]
fn one_step_decodes_one_block_of_a_wide_window() {
    // Blocks of 128 KiB of one letter, four bytes each: nothing comes out before 8 MiB are there.
    let mut encoded = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3];
    let size = 128 << 10;
    for block in 0..80_u32 {
        let header = (size << 3) | (1 << 1) | u32::from(block == 79);
        encoded.extend_from_slice(&header.to_le_bytes()[..3]);
        encoded.push(b'a');
    }
    let pool = Pool::new(1 << 26);
    let mut gathered = Gathered::default();
    let mut decoder = Decoder::new(Coding::Zstd, &encoded).unwrap();
    let mut before = unread(&decoder);
    while !decoder.step(&pool, &mut gathered, 80 << 17).unwrap() {
        assert!(before - unread(&decoder) <= 4);
        before = unread(&decoder);
    }
    assert_eq!(gathered.len(), 80 << 17);
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
