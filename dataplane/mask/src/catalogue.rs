//! What can be looked for: every detector by its name, as data.
//!
//! In: nothing. Out: rules, with texts in which each finds its value and texts in which it does
//! not.

/// Attributes of an element of XML, and its end: no words of a sentence, which would wait for it.
macro_rules! attributes {
    () => {
        r#"(?: [\w:.\-]{1,40}=["'][^"'<>]{0,40}["']){0,2}>"#
    };
}

mod ages;
mod america;
mod asia;
mod britain;
mod cloud;
mod code;
mod europe;
mod financial;
mod messages;
mod models;
mod network;
mod passwords;
mod personal;
mod phone;
mod secrets;
mod things;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use crate::rule::{ByteSet, Guard, Rule, Run, any};

/// One kind of value.
#[derive(Clone, Copy, Debug)]
pub struct Detector {
    /// Its name in documents and tags.
    pub name: &'static str,
    /// What it finds, in a few words.
    pub about: &'static str,
    /// Whether benchmarks, and the test of the corpus, count it among the usual ones.
    pub default: bool,
    patterns: &'static [Pattern],
    /// Texts with one value each, marked `«…»`.
    pub positives: &'static [&'static str],
    /// Texts without one.
    pub near_misses: &'static [&'static str],
}

#[derive(Clone, Copy, Debug)]
struct Pattern {
    lead: &'static str,
    value: &'static str,
    trail: &'static str,
    before: Guard,
    after: Guard,
    is_valid: fn(&[u8]) -> bool,
    context: &'static [&'static str],
    run: Option<Run>,
}

/// Base64 (RFC 4648 section 4) without its padding.
const BASE64: ByteSet = ByteSet::ALPHANUMERIC.with_each(b"+/");

/// Not a part of a decimal number, a version or a longer address.
const BESIDE_NUMBER: Guard = Guard::NO_WORD.nor_pair(b'.', ByteSet::DIGITS);

/// Not a part of a longer number with hyphens.
const BESIDE_DASHED: Guard = Guard::NO_WORD.nor_pair(b'-', ByteSet::DIGITS);

/// Not a part of a longer row of groups of hexadecimal digits with colons.
const BESIDE_GROUPS: Guard = Guard::NO_WORD
    .nor_pair(b':', ByteSet::DIGITS.with_range(b'a', b'f').with_range(b'A', b'F').with(b':'));

/// A host does not go on: neither a letter nor a hyphen nor another label.
const AFTER_HOST: Guard = Guard::not(ByteSet::ALPHANUMERIC.with(b'@'));

/// A value between other letters and digits is none.
const fn pattern(value: &'static str) -> Pattern {
    Pattern {
        lead: "",
        value,
        trail: "",
        before: Guard::NO_WORD,
        after: Guard::NO_WORD,
        is_valid: any,
        context: &[],
        run: None,
    }
}

/// A token of a vendor: base64url may not go on beside it.
const fn token(value: &'static str) -> Pattern {
    Pattern {
        after: Guard::not(ByteSet::BASE64URL),
        ..pattern(value).valid(crate::validators::key)
    }
}

impl Pattern {
    const fn lead(self, lead: &'static str) -> Self {
        Self { lead, ..self }
    }
    const fn trail(self, trail: &'static str) -> Self {
        Self { trail, ..self }
    }
    const fn before(self, before: Guard) -> Self {
        Self { before, ..self }
    }
    const fn after(self, after: Guard) -> Self {
        Self { after, ..self }
    }
    const fn valid(self, is_valid: fn(&[u8]) -> bool) -> Self {
        Self { is_valid, ..self }
    }
    const fn near(self, context: &'static [&'static str]) -> Self {
        Self { context, ..self }
    }
    const fn run(self, run: Run) -> Self {
        Self { run: Some(run), after: Guard::ANY, ..self }
    }
}

impl Detector {
    /// Its rules, in their order.
    pub fn rules(&self) -> Vec<Rule> {
        let name: Arc<str> = self.name.into();
        let rule = |pattern: &Pattern| Rule {
            detector: Arc::clone(&name),
            lead: Cow::Borrowed(pattern.lead),
            value: Cow::Borrowed(pattern.value),
            trail: Cow::Borrowed(pattern.trail),
            before: pattern.before,
            after: pattern.after,
            is_valid: pattern.is_valid,
            context: pattern.context,
            run: pattern.run,
        };
        self.patterns.iter().map(rule).collect()
    }
}

/// All detectors, in the order of their rules.
pub fn catalogue() -> &'static [Detector] {
    static ALL: LazyLock<Vec<Detector>> = LazyLock::new(|| {
        // Of two that begin and end together, the first one names the value: the narrower before
        // the wider.
        let parts = [
            cloud::detectors(),
            code::detectors(),
            models::detectors(),
            messages::detectors(),
            financial::detectors(),
            america::detectors(),
            britain::detectors(),
            europe::detectors(),
            asia::detectors(),
            things::detectors(),
            network::detectors(),
            personal::detectors(),
            ages::detectors(),
            phone::detectors(),
            passwords::detectors(),
            secrets::detectors(),
        ];
        parts.into_iter().flatten().copied().collect()
    });
    &ALL
}
