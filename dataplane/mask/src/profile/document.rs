//! From a mask's document to rules.

use std::borrow::Cow;
use std::sync::Arc;

use penstock_config::documents::{EmailForm, Mask};
use penstock_config::glob;

use super::compile::Problem;
use super::{Action, Masking, Profile};
use crate::catalogue::catalogue;
use crate::fold::seen;
use crate::rule::{ByteSet, Guard, Rule, any};

/// The one detector that has forms.
const EMAIL: &str = "EMAIL_ADDRESS";

/// Words of all lists together.
const WORDS_MAX: usize = 10_000;

/// Labels behind an `@`.
const DOMAIN: &str = r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,4}[A-Za-z]{2,24}";

/// Characters of the part before an `@` (RFC 5322 section 3.2.3) that words end with.
const LOCAL_END: ByteSet = ByteSet::WORD.with_each(b"+-%");

impl Profile {
    /// Compiles a mask: its detectors, patterns and words.
    ///
    /// # Errors
    /// Everything that is wrong with it, each at its key.
    pub fn compile(mask: &Mask) -> Result<Self, Vec<Problem>> {
        let mut rules = Vec::new();
        let mut problems = Vec::new();
        detectors(mask, &mut rules, &mut problems);
        patterns(mask, &mut rules, &mut problems);
        words(mask, &mut rules, &mut problems);
        overrides(mask, &rules, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut profile = Self::from_rules(rules)?;
        if let Some(analyzer) = &mask.analyzer {
            profile.name(analyzer);
        }
        Ok(profile)
    }

    /// Whether the profile finds what it should: each example of its catalogue's detectors.
    ///
    /// # Errors
    /// Which detector misses one.
    pub fn self_test(self: &Arc<Self>) -> Result<(), String> {
        let masking = Masking::uniform(Arc::clone(self), Action::Replace);
        let mut scratch = self.scratch();
        for detector in catalogue() {
            let is_on = self.rules.iter().any(|one| *one.rule.detector == *detector.name);
            // The form that masks domains alone has no examples.
            let is_partial = detector.name == EMAIL && self.masks_domains_only();
            if !is_on || is_partial {
                continue;
            }
            for example in detector.positives {
                let (text, value) = unmarked(example);
                // With text behind it, so that it is looked for where it stands.
                let text = format!("{text}\n{}", "and so on. ".repeat(40));
                let found = crate::channel::findings(&masking, &mut scratch, &text);
                let covers = |range: &std::ops::Range<usize>| {
                    range.start <= value.start && range.end >= value.end
                };
                if !found.iter().any(|finding| covers(&finding.range)) {
                    return Err(format!("{} misses one of its examples", detector.name));
                }
            }
        }
        Ok(())
    }

    fn masks_domains_only(&self) -> bool {
        let of_email = |rule: &&super::Compiled| *rule.rule.detector == *EMAIL;
        self.rules.iter().filter(of_email).all(|rule| rule.rule.value == DOMAIN)
    }
}

/// An example without its marks, and where its value is.
pub(crate) fn unmarked(example: &str) -> (String, std::ops::Range<usize>) {
    let (front, rest) = example.split_once('«').unwrap_or(("", example));
    let (value, back) = rest.split_once('»').unwrap_or((rest, ""));
    let start = front.len();
    (format!("{front}{value}{back}"), start..start.saturating_add(value.len()))
}

fn detectors(mask: &Mask, rules: &mut Vec<Rule>, problems: &mut Vec<Problem>) {
    for (index, name) in mask.detectors.iter().enumerate() {
        if !catalogue().iter().any(|detector| glob::matches(name, detector.name)) {
            let key = format!("detectors[{index}]");
            problems.push(Problem::new(&key, format!("no detector is `{name}`"), &nearest(name)));
        }
    }
    let form = mask.overrides.iter().rev().find_map(|one| {
        let concerns = one.detectors.iter().any(|name| glob::matches(name, EMAIL));
        one.form.filter(|_| concerns)
    });
    for detector in catalogue() {
        if !mask.detectors.iter().any(|name| glob::matches(name, detector.name)) {
            continue;
        }
        if detector.name == EMAIL && form == Some(EmailForm::Domain) {
            rules.push(domain());
        } else {
            rules.extend(detector.rules());
        }
    }
}

/// The names that begin like one that there is not.
fn nearest(name: &str) -> String {
    let front: String = name.chars().take(3).collect();
    let alike = catalogue().iter().map(|detector| detector.name);
    let alike: Vec<_> = alike.filter(|known| known.starts_with(&front)).take(6).collect();
    if alike.is_empty() {
        "names are like EMAIL_ADDRESS, CREDIT_CARD, IBAN_CODE; `*` is a glob".to_owned()
    } else {
        format!("did you mean {}?", alike.join(", "))
    }
}

/// E-mail addresses from the `@` on: nothing before it is held.
fn domain() -> Rule {
    let others = (0..=u8::MAX).filter(|byte| byte.is_ascii() && !LOCAL_END.has(*byte));
    Rule {
        detector: EMAIL.into(),
        lead: Cow::Borrowed(""),
        value: Cow::Borrowed(DOMAIN),
        trail: Cow::Borrowed(""),
        before: Guard::not(others.fold(ByteSet::NONE, ByteSet::with)),
        after: Guard::NO_WORD,
        is_valid: any,
        context: &[],
        run: None,
    }
}

fn own(name: &str, value: String, guard: Guard) -> Rule {
    Rule {
        detector: name.into(),
        lead: Cow::Borrowed(""),
        value: Cow::Owned(value),
        trail: Cow::Borrowed(""),
        before: guard,
        after: guard,
        is_valid: any,
        context: &[],
        run: None,
    }
}

fn patterns(mask: &Mask, rules: &mut Vec<Rule>, problems: &mut Vec<Problem>) {
    for (index, pattern) in mask.patterns.iter().enumerate() {
        let rule = own(&pattern.name, pattern.regex.clone(), Guard::ANY);
        // Alone, so that what is wrong is told at its place.
        match Profile::from_rules(vec![rule.clone()]) {
            Ok(_) => rules.push(rule),
            Err(found) => problems.extend(
                found
                    .into_iter()
                    .map(|problem| Problem { key: format!("patterns[{index}].regex"), ..problem }),
            ),
        }
    }
}

fn words(mask: &Mask, rules: &mut Vec<Rule>, problems: &mut Vec<Problem>) {
    let count: usize = mask.words.iter().map(|words| words.list.len()).sum();
    if count > WORDS_MAX {
        let text = format!("{count} words in all; at most {WORDS_MAX}");
        problems.push(Problem::new("words", text, "leave some out, or use a pattern"));
        return;
    }
    for (at, words) in mask.words.iter().enumerate() {
        for (index, word) in words.list.iter().enumerate() {
            let word_folded =
                String::from_utf8_lossy(&seen(word.as_bytes(), false).bytes).into_owned();
            let is_fit = !word_folded.trim().is_empty() && word_folded.len() <= 256;
            if !is_fit {
                let key = format!("words[{at}].list[{index}]");
                let text = "a word has 1 to 256 bytes, blanks not counted";
                problems.push(Problem::new(&key, text, "leave it out"));
                continue;
            }
            rules.push(own(
                &words.name,
                word_pattern(word_folded.trim()),
                word_guard(&word_folded),
            ));
        }
    }
}

/// A word in any case; of its ASCII letters only.
fn word_pattern(word: &str) -> String {
    let mut pattern = String::from("(?i-u:");
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() {
            pattern.push(char::from(byte));
        } else {
            pattern.push_str(&format!(r"\x{byte:02x}"));
        }
    }
    pattern.push(')');
    pattern
}

/// A word does not stand within another one; a phrase of signs may stand anywhere.
fn word_guard(word: &str) -> Guard {
    let is_word = word
        .trim()
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b' ' || byte >= 0x80);
    if is_word { Guard::NO_WORD } else { Guard::ANY }
}

fn overrides(mask: &Mask, rules: &[Rule], problems: &mut Vec<Problem>) {
    let entities = mask.analyzer.as_ref().map_or(&[][..], |analyzer| &analyzer.entities);
    for (at, one) in mask.overrides.iter().enumerate() {
        for (index, name) in one.detectors.iter().enumerate() {
            let is_entity = entities.iter().any(|entity| glob::matches(name, entity));
            if !is_entity && !rules.iter().any(|rule| glob::matches(name, &rule.detector)) {
                let key = format!("overrides[{at}].detectors[{index}]");
                let text = format!("`{name}` is none of this mask's detectors");
                problems.push(Problem::new(
                    &key,
                    text,
                    "one of `detectors`, `patterns`, `words` or the analyser's `entities`",
                ));
            }
        }
    }
}
