//! What stands in the place of a value.

use std::fmt;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// Digits of a hash in a tag: 48 bits, so that two of a million values share one with a chance of
/// one in 500.
const HASH_DIGITS: usize = 12;

/// What is done with the values of one detector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing: they are not looked for.
    Off,
    /// Its name: `[EMAIL_ADDRESS]`.
    Replace,
    /// `***`.
    Redact,
    /// `*` for each letter and digit but the last ones.
    KeepLast(u8),
    /// Its name and a keyed hash: the same value, the same tag.
    Hash,
    /// A made-up value of the same shape: the same value, the same one.
    Surrogate,
}

/// The key of hashes and surrogates: 32 bytes.
pub struct HashKey(Zeroizing<[u8; 32]>);

impl HashKey {
    /// From its bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// HMAC-SHA256 (RFC 2104) of a detector's name and a value.
    fn digest(&self, detector: &str, value: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        let mut context = hmac::Context::with_key(&key);
        context.update(detector.as_bytes());
        context.update(&[0]);
        context.update(value);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

/// What stands for text that is left out without a name.
pub(crate) const REDACTED: &[u8] = b"***";

/// Writes what stands for a folded value. All of it may stand in a JSON string as it is, also in
/// one inside another. Without a key, hashes and surrogates become the name alone.
pub(crate) fn write(
    action: Action,
    key: Option<&HashKey>,
    detector: &str,
    value: &[u8],
    out: &mut Vec<u8>,
) {
    match (action, key) {
        (Action::Redact, _) => out.extend_from_slice(REDACTED),
        (Action::KeepLast(count), _) => keep_last(usize::from(count), value, out),
        (Action::Hash, Some(key)) => {
            tag(detector, out);
            out.push(b':');
            let digest = key.digest(detector, value);
            for digit in hex(&digest).take(HASH_DIGITS) {
                out.push(digit);
            }
            out.push(b']');
        }
        (Action::Surrogate, Some(key)) => surrogate(key, detector, value, out),
        (Action::Off | Action::Replace | Action::Hash | Action::Surrogate, _) => {
            tag(detector, out);
            out.push(b']');
        }
    }
}

fn tag(detector: &str, out: &mut Vec<u8>) {
    out.push(b'[');
    out.extend_from_slice(detector.as_bytes());
}

fn hex(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let digit = |value: u8| b"0123456789abcdef".get(usize::from(value)).copied().unwrap_or(b'0');
    bytes.iter().flat_map(move |byte| [digit(byte >> 4), digit(byte & 15)])
}

/// Whether a byte may stand between hidden ones as it is.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\' && !byte.is_ascii_alphanumeric()
}

fn keep_last(count: usize, value: &[u8], out: &mut Vec<u8>) {
    let letters = value.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    // A value that would be shown whole, or nearly, is hidden whole.
    let hidden =
        if letters < count.saturating_mul(2) { letters } else { letters.saturating_sub(count) };
    let mut seen = 0_usize;
    for byte in value {
        if byte.is_ascii_alphanumeric() {
            out.push(if seen < hidden { b'*' } else { *byte });
            seen = seen.saturating_add(1);
        } else {
            out.push(if is_separator(*byte) { *byte } else { b'*' });
        }
    }
}

/// Digits for digits, letters for letters of the same case; a number whose last digit is a check
/// digit by Luhn's rule (ISO/IEC 7812-1) gets one again.
fn surrogate(key: &HashKey, detector: &str, value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut block = [0; 32];
    for (index, byte) in value.iter().enumerate() {
        let within = index & 31;
        if within == 0 {
            let mut input = value.to_vec();
            input.extend_from_slice(&index.to_be_bytes());
            block = key.digest(detector, &Zeroizing::new(input));
        }
        let random = block.get(within).copied().unwrap_or(0);
        let among =
            |first: u8, count: u8| first.saturating_add(random.checked_rem(count).unwrap_or(0));
        out.push(match byte {
            b'0'..=b'9' => among(b'0', 10),
            b'a'..=b'z' => among(b'a', 26),
            b'A'..=b'Z' => among(b'A', 26),
            byte if is_separator(*byte) => *byte,
            _ => b'*',
        });
    }
    if crate::validators::luhn(value)
        && let Some(made) = out.get_mut(start..)
    {
        // The digit that makes the sum right: at most ten tries.
        for last in b'0'..=b'9' {
            if let Some(place) = made.iter_mut().rfind(|byte| byte.is_ascii_digit()) {
                *place = last;
            }
            if crate::validators::luhn(made) {
                break;
            }
        }
    }
}
