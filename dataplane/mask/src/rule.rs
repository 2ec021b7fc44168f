//! What is looked for, as data: one rule is one pattern with what must stand around it.

use std::borrow::Cow;
use std::sync::Arc;

/// Bytes before a match in which a context word counts: 64 of the folded text.
pub const CONTEXT_BYTES: usize = 64;

/// Context words of so many bytes or fewer, a blank at their end included, end with that blank.
pub const SHORT_WORD_BYTES: usize = 3;

/// Longest match of a closed rule, in bytes of the folded text, `lead` and `trail` included.
pub const RULE_BYTES_MAX: usize = 512;

/// Longest run of an open rule, in bytes of the folded text.
pub const RUN_BYTES_MAX: usize = 16 << 10;

/// One pattern of a detector. Matched on the folded text: bytes, mostly ASCII.
///
/// A match is `lead · value · trail` with both guards true; what is masked is `value`. Of each
/// place where a match begins, the longest `value` that `is_valid` accepts counts; what is masked
/// is the union over all places and rules.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name of the detector that it belongs to: `EMAIL_ADDRESS`.
    pub detector: Arc<str>,
    /// What must stand directly before the value and is not masked; empty: nothing.
    pub lead: Cow<'static, str>,
    /// What is masked. A regular expression of `regex-syntax`, on bytes, without Unicode classes,
    /// without look-around; never matches the empty text.
    pub value: Cow<'static, str>,
    /// What must stand directly behind the value and is not masked; empty: nothing.
    pub trail: Cow<'static, str>,
    /// Bytes that may not stand directly before `lead`.
    pub before: Guard,
    /// Bytes that may not stand directly behind `trail`.
    pub after: Guard,
    /// Whether a folded value that matches is one: a checksum, a range.
    pub is_valid: fn(&[u8]) -> bool,
    /// One of these must stand in the [`CONTEXT_BYTES`] before `lead`, in any case, with no letter
    /// directly before it; empty: none is needed. Lower case. A blank within one stands for what
    /// divides words of a name too: `tax file` is `tax_file`, `tax-file` and `taxFile`; one at the
    /// end of a word of more than [`SHORT_WORD_BYTES`] for any byte that is no letter.
    pub context: &'static [&'static str],
    /// For a rule whose front alone decides: once `value` has matched, all bytes of this set that
    /// follow it belong to the value, up to [`RUN_BYTES_MAX`]. Such a rule has no `trail` and no
    /// `after`, and any prefix of such a run is masked as well.
    pub run: Option<Run>,
}

/// How the body of an open rule goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Run {
    /// Bytes of a set.
    Class(ByteSet),
    /// The body of a PEM block (RFC 7468): base64 in lines, also with `\n` written out, up to and
    /// including its `-----END …-----`.
    Pem,
}

/// Which bytes may not stand beside a match.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Guard {
    /// None of these directly beside it.
    pub not: ByteSet,
    /// Nor this byte with one of the set on its far side: `.` and digits, so that `1.2.3.4.5` is no
    /// address.
    pub not_pair: Option<(u8, ByteSet)>,
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// Nothing.
    pub const NONE: Self = Self([0; 4]);
    /// `0-9`.
    pub const DIGITS: Self = Self::NONE.with_range(b'0', b'9');
    /// `A-Za-z`.
    pub const LETTERS: Self = Self::NONE.with_range(b'a', b'z').with_range(b'A', b'Z');
    /// `0-9A-Za-z`.
    pub const ALPHANUMERIC: Self = Self::DIGITS.union(Self::LETTERS);
    /// `0-9A-Za-z_`.
    pub const WORD: Self = Self::ALPHANUMERIC.with(b'_');
    /// `0-9A-Za-z_-`: base64url (RFC 4648 section 5).
    pub const BASE64URL: Self = Self::WORD.with(b'-');

    /// With one byte more.
    #[must_use]
    pub const fn with(self, byte: u8) -> Self {
        self.with_range(byte, byte)
    }

    /// With a range, both ends included.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "two bits choose one of four words; below the last byte there is a next one"
    )]
    pub const fn with_range(mut self, first: u8, last: u8) -> Self {
        let mut byte = first;
        loop {
            self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
            if byte >= last {
                return self;
            }
            byte += 1;
        }
    }

    /// With each byte of a text.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "within the length; iterators are not for constants"
    )]
    pub const fn with_each(mut self, bytes: &[u8]) -> Self {
        let mut index = 0;
        while index < bytes.len() {
            self = self.with(bytes[index]);
            index += 1;
        }
        self
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        Self([a | e, b | f, c | g, d | h])
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        Self([a & e, b & f, c & g, d & h])
    }

    /// Whether the other has all of it.
    pub const fn is_within(self, other: Self) -> bool {
        let Self([a, b, c, d]) = self.intersection(other.not());
        a | b | c | d == 0
    }

    /// What is not in it.
    #[must_use]
    pub const fn not(self) -> Self {
        let Self([a, b, c, d]) = self;
        Self([!a, !b, !c, !d])
    }

    /// Whether a byte is in it.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "two bits choose one of four words")]
    pub const fn has(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }
}

impl Guard {
    /// Anything may stand there.
    pub const ANY: Self = Self { not: ByteSet::NONE, not_pair: None };
    /// No letter, digit or underscore.
    pub const NO_WORD: Self = Self { not: ByteSet::WORD, not_pair: None };
    /// No letter and no digit.
    pub const NO_ALPHANUMERIC: Self = Self { not: ByteSet::ALPHANUMERIC, not_pair: None };
    /// No digit.
    pub const NO_DIGIT: Self = Self { not: ByteSet::DIGITS, not_pair: None };

    /// None of a set.
    pub const fn not(not: ByteSet) -> Self {
        Self { not, not_pair: None }
    }

    /// And not this byte with one of a set on its far side.
    #[must_use]
    pub const fn nor_pair(self, near: u8, far: ByteSet) -> Self {
        Self { not_pair: Some((near, far)), ..self }
    }
}

/// Every value that matches is one.
pub fn any(_value: &[u8]) -> bool {
    true
}
