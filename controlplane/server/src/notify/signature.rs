//! Signatures of messages, both ways, by Standard Webhooks 1.0.0: HMAC-SHA256 over
//! `id.timestamp.body`, base64, behind `v1,`. Pure; secrets are zeroised.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// How far a message's time may be from now, either way, in milliseconds.
pub(crate) const WINDOW_MS: u64 = 300_000;
/// Longest `webhook-id`, in bytes.
const ID_BYTES_MAX: usize = 128;
/// Most signatures of one message that are looked at.
const SIGNATURES_MAX: usize = 8;
/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Shortest and longest key, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// One key, or two while one replaces the other.
pub(crate) struct Keys(Vec<hmac::Key>);

/// A secret that is no signing key; never what is in it.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("the secret is not `whsec_` with base64 of 24 to 64 bytes, nor two of these with a space")]
pub(crate) struct NoKey;

/// What a message says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    /// `webhook-id`.
    pub(crate) id: &'a str,
    /// `webhook-timestamp`.
    pub(crate) timestamp: &'a str,
    /// `webhook-signature`.
    pub(crate) signature: &'a str,
    /// The body as it came.
    pub(crate) body: &'a [u8],
}

impl Keys {
    /// Reads a secret: one key, or two with one space between them.
    pub(crate) fn read(secret: &str) -> Result<Self, NoKey> {
        let keys: Vec<hmac::Key> = secret.split(' ').map(key).collect::<Result<_, NoKey>>()?;
        if keys.len() <= 2 { Ok(Self(keys)) } else { Err(NoKey) }
    }

    /// `webhook-signature` of a message: one signature a key.
    pub(crate) fn sign(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        let signed = |key| {
            let tag = hmac_of(key, id, &timestamp_s.to_string(), body).sign();
            format!("v1,{}", STANDARD.encode(tag))
        };
        self.0.iter().map(signed).collect::<Vec<_>>().join(" ")
    }

    /// Whether a message was signed with one of the keys, and at about this time. Says nothing of
    /// why not. Signatures are compared in constant time.
    pub(crate) fn holds(&self, message: &Signed<'_>, now_ms: u64) -> bool {
        let Signed { id, timestamp, signature, body } = *message;
        if !is_id(id) || !is_timely(timestamp, now_ms) {
            return false;
        }
        let mut signatures = signature.split(' ').take(SIGNATURES_MAX);
        signatures.any(|signature| {
            let tag = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
            tag.is_some_and(|tag| {
                self.0.iter().any(|key| hmac_of(key, id, timestamp, body).verify(&tag))
            })
        })
    }
}

/// A key with what it signs.
struct Message<'a> {
    key: &'a hmac::Key,
    bytes: Vec<u8>,
}

impl Message<'_> {
    fn sign(&self) -> hmac::Tag {
        hmac::sign(self.key, &self.bytes)
    }

    fn verify(&self, tag: &[u8]) -> bool {
        hmac::verify(self.key, &self.bytes, tag).is_ok()
    }
}

fn hmac_of<'a>(key: &'a hmac::Key, id: &str, timestamp: &str, body: &[u8]) -> Message<'a> {
    let mut bytes = format!("{id}.{timestamp}.").into_bytes();
    bytes.extend_from_slice(body);
    Message { key, bytes }
}

fn key(text: &str) -> Result<hmac::Key, NoKey> {
    let encoded = text.strip_prefix(PREFIX).ok_or(NoKey)?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| NoKey)?);
    if KEY_BYTES.contains(&bytes.len()) {
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    } else {
        Err(NoKey)
    }
}

/// Visible ASCII without the dot, which would leave open where the id ends.
fn is_id(id: &str) -> bool {
    let fits = (1..=ID_BYTES_MAX).contains(&id.len());
    fits && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// Seconds since the Unix epoch, digits alone, within the window.
fn is_timely(timestamp: &str, now_ms: u64) -> bool {
    let digits = timestamp.len() <= 12 && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let Some(seconds) = digits.then(|| timestamp.parse::<u64>().ok()).flatten() else {
        return false;
    };
    seconds.saturating_mul(1_000).abs_diff(now_ms) <= WINDOW_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that implementations of Standard Webhooks are tested with.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const SIGNED_S: u64 = 1_614_265_330;

    fn message(signature: &str) -> Signed<'_> {
        Signed { id: ID, timestamp: "1614265330", signature, body: BODY }
    }

    fn holds(message: &Signed<'_>, now_ms: u64) -> bool {
        Keys::read(SECRET).unwrap().holds(message, now_ms)
    }

    #[test]
    fn the_public_vector_is_signed_and_verified() {
        assert_eq!(Keys::read(SECRET).unwrap().sign(ID, SIGNED_S, BODY), SIGNATURE);
        assert!(holds(&message(SIGNATURE), SIGNED_S * 1_000));
    }

    #[test]
    fn another_body_id_time_or_signature_does_not_hold() {
        let now = SIGNED_S * 1_000;
        assert!(!holds(&Signed { body: b"{}", ..message(SIGNATURE) }, now));
        assert!(!holds(&Signed { id: "msg_other", ..message(SIGNATURE) }, now));
        assert!(!holds(&Signed { timestamp: "1614265331", ..message(SIGNATURE) }, now));
        let (empty, short) = ("v1,", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1A==");
        let other = SIGNATURE.replace("v1,", "v2,");
        for signature in ["", empty, short, &other, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="]
        {
            assert!(!holds(&message(signature), now), "{signature}");
        }
    }

    #[test]
    fn one_signature_among_several_is_enough_but_not_the_ninth() {
        let now = SIGNED_S * 1_000;
        assert!(holds(&message(&format!("v1a,AAAA v1,AAAA {SIGNATURE}")), now));
        assert!(!holds(&message(&format!("{}{SIGNATURE}", "v1,AAAA ".repeat(8))), now));
    }

    #[test]
    fn a_message_is_late_and_early_after_five_minutes() {
        let signed = SIGNED_S * 1_000;
        for good in [signed - 300_000, signed + 300_000] {
            assert!(holds(&message(SIGNATURE), good));
        }
        for bad in [signed - 300_001, signed + 300_001, 0, u64::MAX] {
            assert!(!holds(&message(SIGNATURE), bad));
        }
    }

    #[test]
    fn a_time_that_is_no_number_of_seconds_is_refused_even_where_it_is_signed() {
        let keys = Keys::read(SECRET).unwrap();
        for timestamp in ["+1614265330", "1614265330.0", " 1614265330", "", "1e9"] {
            let tag = hmac_of(&keys.0[0], ID, timestamp, BODY).sign();
            let signature = format!("v1,{}", STANDARD.encode(tag));
            let message = Signed { timestamp, ..message(&signature) };
            assert!(!keys.holds(&message, SIGNED_S * 1_000), "{timestamp}");
        }
    }

    #[test]
    fn an_id_with_a_dot_or_of_no_length_is_refused_even_where_it_is_signed() {
        let keys = Keys::read(SECRET).unwrap();
        let long = "a".repeat(129);
        for id in ["", "a.b", "a b", "ä", &long] {
            let signature = keys.sign(id, SIGNED_S, BODY);
            let message = Signed { id, ..message(&signature) };
            assert!(!keys.holds(&message, SIGNED_S * 1_000), "{id}");
        }
    }

    #[test]
    fn two_secrets_sign_twice_and_either_verifies() {
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let both = Keys::read(&format!("{SECRET} {other}")).unwrap();
        let signed = both.sign(ID, SIGNED_S, BODY);
        assert_eq!(signed.split(' ').count(), 2);
        assert!(signed.starts_with(SIGNATURE));
        for secret in [SECRET, &other] {
            let one = Keys::read(secret).unwrap();
            assert!(one.holds(&message(&signed), SIGNED_S * 1_000));
            let alone = one.sign(ID, SIGNED_S, BODY);
            assert!(both.holds(&message(&alone), SIGNED_S * 1_000));
        }
    }

    #[test]
    fn what_is_no_signing_secret_is_refused() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        assert!(Keys::read(&of(24)).is_ok() && Keys::read(&of(64)).is_ok());
        let three = format!("{SECRET} {SECRET} {SECRET}");
        let double = format!("{SECRET}  {SECRET}");
        let bad = ["", "whsec_", "sk-model", "whsec_###", &three, &double, &of(23), &of(65)];
        for secret in bad {
            assert!(Keys::read(secret).is_err(), "{secret}");
        }
    }
}
