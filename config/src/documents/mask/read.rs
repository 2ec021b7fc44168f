//! How `kind: mask` is read. Which detectors there are, and what a regular expression may be, is
//! the masking engine's to say: here names and bounds are checked.

use std::collections::HashSet;

use super::analyzer;
use super::{
    EmailForm, Mask, MaskAction, MaskOverride, MaskPattern, MaskSide, MaskWords, Stalled,
    Unreadable,
};
use crate::diagnostics::quoted;
use crate::documents::Subject;
use crate::documents::rule::{connection, subject};
use crate::glob::Glob;
use crate::reader::{Fields, Keys, Reader};

pub(in crate::documents) const KEYS: Keys = Keys::known(&[
    "kind",
    "name",
    "detectors",
    "patterns",
    "words",
    "analyzer",
    "fields",
    "action",
    "overrides",
    "unreadable",
    "stalled_ms_max",
    "stalled",
    "applies_to",
    "masked_bytes_max",
    "except",
]);

const PATTERN_KEYS: Keys = Keys::known(&["name", "regex"]);
const WORDS_KEYS: Keys = Keys::known(&["name", "list"]);
const OVERRIDE_KEYS: Keys =
    Keys::known(&["detectors", "connections", "subjects", "form", "action"]);
const KEEP_KEYS: Keys = Keys::known(&["keep_last"]);

/// The actions that are a word.
const ACTIONS: &[(&str, MaskAction)] = &[
    ("replace", MaskAction::Replace),
    ("redact", MaskAction::Redact),
    ("hash", MaskAction::Hash),
    ("surrogate", MaskAction::Surrogate),
];

const FORMS: &[(&str, EmailForm)] = &[("whole", EmailForm::Whole), ("domain", EmailForm::Domain)];

const UNREADABLE: &[(&str, Unreadable)] =
    &[("refuse", Unreadable::Refuse), ("strip", Unreadable::Strip), ("pass", Unreadable::Pass)];

const STALLED: &[(&str, Stalled)] = &[("redact", Stalled::Redact), ("release", Stalled::Release)];

const SIDES: &[(&str, MaskSide)] =
    &[("request", MaskSide::Request), ("response", MaskSide::Response)];

/// The detector that has forms.
const WITH_FORMS: &str = "EMAIL_ADDRESS";

/// Longest name of a detector, pattern or word list.
const DETECTOR_BYTES_MAX: usize = 63;
/// Most entries of `detectors`, `patterns`, `words`, `fields`, `overrides`, `except`.
pub(super) const ENTRIES_MAX: usize = 256;
/// Most words of all lists of a mask.
const WORDS_MAX: usize = 10_000;
/// Longest word or phrase, and longest regular expression, in bytes.
const WORD_BYTES_MAX: usize = 256;
const REGEX_BYTES_MAX: usize = 1024;
/// Longest path of a field, in bytes, and most of its steps.
const FIELD_BYTES_MAX: usize = 512;
const STEPS_MAX: usize = 32;
/// Most characters that `keep_last` keeps.
const KEPT_MAX: u64 = 16;

const STALLED_MS: u64 = 2_000;
const STALLED_MS_MIN: u64 = 100;
const STALLED_MS_MAX: u64 = 60_000;
const MASKED_BYTES: u64 = 8 << 20;
const MASKED_BYTES_MIN: u64 = 1 << 10;
const MASKED_BYTES_MAX: u64 = 1 << 30;

const NAME_HINT: &str = "upper-case letters, digits and `_`, a letter first, 63 at most";

pub(in crate::documents) fn read(name: Option<String>, fields: Fields<'_>) -> Option<Mask> {
    let detectors = fields.or("detectors", Vec::new(), |value| entries(value, detector));
    let own = own_names(fields);
    let patterns = fields.or("patterns", Vec::new(), |value| entries(value, pattern));
    let words = fields.or("words", Vec::new(), all_words);
    let analyzer = fields.optional("analyzer", analyzer::read);
    let paths = fields.or("fields", Vec::new(), |value| entries(value, field));
    let action = fields.or("action", MaskAction::Replace, action);
    let overrides = fields.or("overrides", Vec::new(), |value| entries(value, one_override));
    let refuse = Unreadable::Refuse;
    let unreadable = fields.or("unreadable", refuse, |value| value.choice(UNREADABLE, &[]));
    let stalled_ms_max = fields
        .or("stalled_ms_max", STALLED_MS, |value| value.integer(STALLED_MS_MIN..=STALLED_MS_MAX));
    let stalled = fields.or("stalled", Stalled::Redact, |value| value.choice(STALLED, &[]));
    let applies_to = fields.or("applies_to", vec![MaskSide::Response], sides);
    let masked_bytes_max = fields.or("masked_bytes_max", MASKED_BYTES, |value| {
        value.integer(MASKED_BYTES_MIN..=MASKED_BYTES_MAX)
    });
    let except: Option<Vec<Subject>> =
        fields.or("except", Vec::new(), |value| entries_from(value, 0, subject));
    own?;
    let mask = Mask {
        name: name?,
        detectors: detectors?,
        patterns: patterns?,
        words: words?,
        analyzer: analyzer?,
        fields: paths?,
        action: action?,
        overrides: overrides?,
        unreadable: unreadable?,
        stalled_ms_max: stalled_ms_max?,
        stalled: stalled?,
        applies_to: applies_to?,
        masked_bytes_max: masked_bytes_max?,
        except: except?,
    };
    checked(mask, fields)
}

/// What several keys say together.
fn checked(mask: Mask, fields: Fields<'_>) -> Option<Mask> {
    let Mask { detectors, patterns, words, fields: paths, analyzer, .. } = &mask;
    let has_rules = !detectors.is_empty() || !patterns.is_empty() || !words.is_empty();
    if !has_rules && paths.is_empty() && analyzer.is_none() {
        let hint = "name at least one of `detectors`, `patterns`, `words`, `fields` and `analyzer`";
        return fields.problem("name", "a mask that masks nothing", hint);
    }
    if !paths.is_empty() && !mask.applies_to.contains(&MaskSide::Response) {
        let hint = "add `response` to `applies_to`, or remove `fields`";
        return fields.problem("fields", "`fields` are those of answers", hint);
    }
    Some(mask)
}

/// A list of at least one entry, and not of more than [`ENTRIES_MAX`].
fn entries<'a, T>(value: Reader<'a>, read: impl Fn(Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
    entries_from(value, 1, read)
}

fn entries_from<'a, T>(
    value: Reader<'a>,
    least: usize,
    read: impl Fn(Reader<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let list = value.list(least, read)?;
    if list.len() > ENTRIES_MAX {
        return value.problem(format!("more than {ENTRIES_MAX} entries"), "");
    }
    Some(list)
}

/// A detector's name, with `*` for any characters.
fn detector(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    let fits =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_*".contains(&byte);
    if text.len() <= DETECTOR_BYTES_MAX && text.bytes().all(fits) {
        return Some(text.to_owned());
    }
    let hint = "upper-case letters, digits and `_`, such as EMAIL_ADDRESS; `*` for any characters";
    value.problem("not a detector's name", hint)
}

/// The name of a pattern, word list or entity: what stands in its tag.
pub(super) fn own_name(value: Reader<'_>, wrong: &str) -> Option<String> {
    let text = value.text()?;
    let is_name = text.len() <= DETECTOR_BYTES_MAX
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if is_name {
        return Some(text.to_owned());
    }
    value.problem(wrong, NAME_HINT)
}

/// The name of a pattern or word list.
fn list_name(value: Reader<'_>) -> Option<String> {
    own_name(value, "not a name of a pattern or word list")
}

/// Notes every name that stands twice among patterns and word lists. What is wrong with a name, or
/// with an entry, is noted where it is read.
fn own_names(fields: Fields<'_>) -> Option<()> {
    let seen = std::cell::RefCell::new(HashSet::new());
    let unique = |value: Reader<'_>| {
        let Some(name) = value.open_quietly().and_then(|entry| entry.text_of("name")) else {
            return Some(());
        };
        if seen.borrow_mut().insert(name.to_owned()) {
            return Some(());
        }
        value.problem(
            format!("{} stands twice among `patterns` and `words`", quoted(name)),
            "give each a name of its own",
        )
    };
    let patterns = fields.each_quietly("patterns", unique);
    let words = fields.each_quietly("words", unique);
    (patterns && words).then_some(())
}

fn pattern(value: Reader<'_>) -> Option<MaskPattern> {
    let fields = value.mapping(&PATTERN_KEYS)?;
    let name = fields.required("name", list_name);
    let regex = fields.required("regex", |value| match value.text_within(REGEX_BYTES_MAX)? {
        "" => value.problem("empty text", ""),
        text => Some(text.to_owned()),
    });
    Some(MaskPattern { name: name?, regex: regex? })
}

fn all_words(value: Reader<'_>) -> Option<Vec<MaskWords>> {
    let lists = entries(value, words)?;
    if lists.iter().map(|words| words.list.len()).sum::<usize>() > WORDS_MAX {
        return value.problem(format!("more than {WORDS_MAX} words"), "");
    }
    Some(lists)
}

fn words(value: Reader<'_>) -> Option<MaskWords> {
    let fields = value.mapping(&WORDS_KEYS)?;
    let name = fields.required("name", list_name);
    let list = fields.required("list", |value| value.list(1, word));
    Some(MaskWords { name: name?, list: list? })
}

fn word(value: Reader<'_>) -> Option<String> {
    let text = value.text_within(WORD_BYTES_MAX)?;
    if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        let hint = "no space at its ends, and no control character";
        return value.problem("not a word or phrase", hint);
    }
    Some(text.to_owned())
}

/// A path of names, indices and `[*]`.
fn field(value: Reader<'_>) -> Option<String> {
    let text = value.text_within(FIELD_BYTES_MAX)?;
    let steps = text.strip_prefix('$').and_then(steps_of);
    if steps.is_some_and(|steps| (1..=STEPS_MAX).contains(&steps)) {
        return Some(text.to_owned());
    }
    let hint = "`$`, then names, indices and `[*]`, 32 at most: `$.user.ssn`, `$.rows[*].iban`, \
                `$['a b']`";
    value.problem("not a path of a field", hint)
}

/// How many steps a path without its `$` has; none where it is no path.
fn steps_of(mut rest: &str) -> Option<usize> {
    let mut steps: usize = 0;
    while !rest.is_empty() {
        rest = if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, behind) = after.split_at_checked(end)?;
            if name.is_empty() {
                return None;
            }
            behind
        } else {
            in_brackets(rest.strip_prefix('[')?)?
        };
        steps = steps.checked_add(1)?;
    }
    Some(steps)
}

/// What stands behind a step in brackets, without its first.
fn in_brackets(inside: &str) -> Option<&str> {
    for quote in ['\'', '"'] {
        if let Some(name) = inside.strip_prefix(quote) {
            return name.split_once(quote)?.1.strip_prefix(']');
        }
    }
    let (index, behind) = inside.split_once(']')?;
    (index == "*" || index.parse::<u32>().is_ok()).then_some(behind)
}

/// A word, or `{keep_last: 4}`.
fn action(value: Reader<'_>) -> Option<MaskAction> {
    if !value.is_mapping() {
        return value.choice(ACTIONS, &[]);
    }
    let fields = value.mapping(&KEEP_KEYS)?;
    let kept = fields.required("keep_last", |value| value.integer(1..=KEPT_MAX))?;
    u8::try_from(kept).ok().map(MaskAction::KeepLast)
}

fn one_override(value: Reader<'_>) -> Option<MaskOverride> {
    let fields = value.mapping(&OVERRIDE_KEYS)?;
    let detectors = fields.required("detectors", |value| entries(value, detector));
    let everywhere = || vec!["*".to_owned()];
    let connections = fields.or("connections", everywhere(), |value| entries(value, connection));
    let subjects = fields.or("subjects", Vec::new(), |value| entries(value, subject));
    let form = fields.optional("form", |value| value.choice(FORMS, &[]));
    let action = fields.optional("action", action);
    let found = MaskOverride {
        detectors: detectors?,
        connections: connections?,
        subjects: subjects?,
        form: form?,
        action: action?,
    };
    if found.form.is_none() && found.action.is_none() {
        return value.problem("an override that changes nothing", "give it `action` or `form`");
    }
    if found.form.is_some() {
        form_stands_alone(&found, fields)?;
    }
    Some(found)
}

/// A form says what is searched for, and that is one thing for a whole mask.
fn form_stands_alone(found: &MaskOverride, fields: Fields<'_>) -> Option<()> {
    if !found.detectors.iter().all(|name| Glob::new(name).matches(WITH_FORMS)) {
        let hint = "write an entry of its own, with `detectors: [EMAIL_ADDRESS]`";
        return fields.problem("form", "only EMAIL_ADDRESS has forms", hint);
    }
    if found.connections != ["*"] || !found.subjects.is_empty() {
        let hint = "write an entry of its own for the form, or another mask";
        let message = "`form` holds for a whole mask, not for some connections or subjects";
        return fields.problem("form", message, hint);
    }
    Some(())
}

fn sides(value: Reader<'_>) -> Option<Vec<MaskSide>> {
    let sides = value.list(1, |side| side.choice(SIDES, &[]))?;
    if sides.len() > 1 && (sides.len() > SIDES.len() || sides.first() == sides.last()) {
        return value.problem("a side stands twice", "remove one");
    }
    Some(sides)
}
