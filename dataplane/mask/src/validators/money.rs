//! Cards, accounts, coins.
use super::{count, digits, number, weighted};

/// ISO/IEC 7812-1 annex B.
pub fn luhn(value: &[u8]) -> bool {
    luhn_sum(digits(value)).is_multiple_of(10)
}

fn luhn_sum(digits: impl DoubleEndedIterator<Item = u32>) -> u32 {
    let weighted = digits.rev().enumerate().map(|(index, digit)| match (index % 2, digit * 2) {
        (0, _) => digit,
        (_, double) if double > 9 => double - 9,
        (_, double) => double,
    });
    weighted.sum()
}

/// Most digits of a card's number (ISO/IEC 7812-1).
const CARD_DIGITS_MAX: usize = 19;

/// A payment card: prefix and length of a scheme (ISO/IEC 7812-1), and Luhn.
pub fn card(value: &[u8]) -> bool {
    // Asked about each of several lengths wherever a digit stands: one look at the bytes, and the
    // rest on a few digits.
    let mut plain = [0_u8; CARD_DIGITS_MAX];
    let mut count = 0;
    for digit in value.iter().map(|byte| byte.wrapping_sub(b'0')) {
        let is_digit = usize::from(digit <= 9);
        match plain.get_mut(count) {
            Some(slot) => *slot = digit,
            None if is_digit == 1 => return false,
            None => {}
        }
        count += is_digit;
    }
    let Some(digits) = plain.get(..count) else { return false };
    let Some((four, _)) = digits.split_first_chunk::<4>() else { return false };
    let front = four.iter().fold(0, |sum, digit| sum * 10 + u32::from(*digit));
    let lengths = match front {
        4000..=4999 => 13..=19,
        5100..=5599 | 2221..=2720 | 2200..=2204 => 16..=16,
        3400..=3499 | 3700..=3799 | 1800 | 2131 => 15..=15,
        3500..=3589 => 16..=19,
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => 14..=19,
        5000..=5099 | 5600..=6999 => 12..=19,
        _ => return false,
    };
    // Visa's are three apart.
    lengths.contains(&count)
        && (front / 1000 != 4 || count % 3 == 1)
        && luhn_sum(digits.iter().copied().map(u32::from)).is_multiple_of(10)
        && digits.iter().any(|digit| Some(digit) != four.first())
}

/// How long an account number is in each country (ISO 13616, the registry of SWIFT).
#[rustfmt::skip]
const LENGTHS: [(&str, usize); 78] = [
    ("AD", 24), ("AE", 23), ("AL", 28), ("AT", 20), ("AZ", 28), ("BA", 20), ("BE", 16),
    ("BG", 22), ("BH", 22), ("BR", 29), ("BY", 28), ("CH", 21), ("CR", 22), ("CY", 28),
    ("CZ", 24), ("DE", 22), ("DK", 18), ("DO", 28), ("EE", 20), ("EG", 29), ("ES", 24),
    ("FI", 18), ("FO", 18), ("FR", 27), ("GB", 22), ("GE", 22), ("GI", 23), ("GL", 18),
    ("GR", 27), ("GT", 28), ("HR", 21), ("HU", 28), ("IE", 22), ("IL", 23), ("IQ", 23),
    ("IS", 26), ("IT", 27), ("JO", 30), ("KW", 30), ("KZ", 20), ("LB", 28), ("LC", 32),
    ("LI", 21), ("LT", 20), ("LU", 20), ("LV", 21), ("LY", 25), ("MC", 27), ("MD", 24),
    ("ME", 22), ("MK", 19), ("MR", 27), ("MT", 31), ("MU", 30), ("NL", 18), ("NO", 15),
    ("PK", 24), ("PL", 28), ("PS", 29), ("PT", 25), ("QA", 29), ("RO", 24), ("RS", 22),
    ("SA", 24), ("SC", 31), ("SE", 24), ("SI", 19), ("SK", 24), ("SM", 27), ("ST", 25),
    ("SV", 28), ("TL", 23), ("TN", 24), ("TR", 26), ("UA", 29), ("VA", 22), ("VG", 24),
    ("XK", 20),
];

fn iban_length(country: &[u8]) -> usize {
    let found = LENGTHS.iter().find(|(code, _)| country.eq_ignore_ascii_case(code.as_bytes()));
    found.map_or(0, |(_, length)| *length)
}

/// An account number of ISO 13616: the country's length and MOD 97-10.
pub fn iban(value: &[u8]) -> bool {
    let plain = || value.iter().copied().filter(u8::is_ascii_alphanumeric);
    if plain().count() != iban_length(value.get(..2).unwrap_or_default()) {
        return false;
    }
    let rest =
        plain().skip(4).chain(plain().take(4)).fold(0, |rest: u32, byte| {
            match char::from(byte).to_digit(36).unwrap_or(0) {
                digit @ 0..=9 => (rest * 10 + digit) % 97,
                letter => (rest * 100 + letter) % 97,
            }
        });
    rest == 1
}

/// A routing number of the American Bankers Association.
pub fn aba(value: &[u8]) -> bool {
    count(value) == 9
        && matches!(number(value) / 10_000_000, 0..=12 | 21..=32 | 61..=72 | 80)
        && number(value) > 0
        && weighted(value, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

fn sha256_twice(bytes: &[u8]) -> [u8; 4] {
    use aws_lc_rs::digest::{SHA256, digest};
    let twice = digest(&SHA256, digest(&SHA256, bytes).as_ref());
    twice.as_ref().first_chunk().copied().unwrap_or_default()
}

/// Base58Check of 25 bytes.
pub fn base58check(value: &[u8]) -> bool {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = [0_u8; 25];
    for byte in value {
        let Some(mut carry) = ALPHABET.iter().position(|letter| letter == byte) else {
            return false;
        };
        for place in bytes.iter_mut().rev() {
            carry += usize::from(*place) * 58;
            *place = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            return false;
        }
    }
    let Some((body, check)) = bytes.split_last_chunk::<4>() else { return false };
    sha256_twice(body) == *check
}

/// Bech32 or bech32m (BIP 173, BIP 350), in one case.
pub fn bech32(value: &[u8]) -> bool {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const STEPS: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let is_mixed =
        value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase);
    if is_mixed {
        return false;
    }
    let lower = value.to_ascii_lowercase();
    let Some(at) = lower.iter().rposition(|byte| *byte == b'1') else { return false };
    let (prefix, body) = lower.split_at(at);
    let step = |sum: u32, next: u32| {
        let bits = STEPS.iter().enumerate().filter(|(bit, _)| (sum >> 25) >> bit & 1 == 1);
        bits.fold((sum & 0x1ff_ffff) << 5 ^ next, |sum, (_, bits)| sum ^ bits)
    };
    let mut sum = prefix.iter().fold(1, |sum, byte| step(sum, u32::from(byte >> 5)));
    sum = step(sum, 0);
    sum = prefix.iter().fold(sum, |sum, byte| step(sum, u32::from(byte & 31)));
    for byte in body.iter().skip(1) {
        let Some(letter) = ALPHABET.iter().position(|letter| letter == byte) else { return false };
        sum = step(sum, letter as u32);
    }
    matches!(sum, 1 | 0x2bc8_30a3)
}

/// An address of Ethereum: all in one case, or in the mixed case that EIP-55 derives.
pub fn eip55(value: &[u8]) -> bool {
    let hex = value.get(2..).unwrap_or_default();
    let is_one_case =
        !hex.iter().any(u8::is_ascii_uppercase) || !hex.iter().any(u8::is_ascii_lowercase);
    let first = hex.first();
    if is_one_case {
        return hex.iter().any(|byte| Some(byte) != first);
    }
    let hash = super::keccak::keccak_256(&hex.to_ascii_lowercase());
    let half = |index: usize| {
        let byte = hash.get(index / 2).copied().unwrap_or(0);
        if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 }
    };
    hex.iter().enumerate().all(|(index, byte)| {
        !byte.is_ascii_alphabetic() || byte.is_ascii_uppercase() == (half(index) >= 8)
    })
}
