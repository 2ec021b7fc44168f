//! Typed reading of a YAML tree: every problem is noted at its place and reading goes on, so that a
//! `None` always means "noted". Documents and settings are read with it, equally strictly.

use std::ops::RangeInclusive;

use crate::diagnostics::{Position, Problems, hint_among, quoted};
use crate::yaml::{Entry, Node, Resolved, Value};

/// Longest text that any key takes, in characters.
pub(crate) const TEXT_CHARACTERS_MAX: usize = 2048;

/// Longest name of a document.
const NAME_BYTES_MAX: usize = 63;

/// The keys of one mapping.
pub(crate) struct Keys {
    /// Keys that are read.
    pub(crate) known: &'static [&'static str],
    /// Keys of the public surface that nothing enforces yet.
    pub(crate) later: &'static [&'static str],
    /// Old names and what they are called now.
    pub(crate) renamed: &'static [(&'static str, &'static str)],
    /// Parts of names that people try, and why no such key is there.
    pub(crate) absent: &'static [(&'static str, &'static str)],
}

impl Keys {
    /// Keys that are all read and never had another name.
    pub(crate) const fn known(known: &'static [&'static str]) -> Self {
        Self { known, later: &[], renamed: &[], absent: &[] }
    }
}

/// A node to be read as some type.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    node: &'a Node,
    problems: &'a Problems<'a>,
}

/// The entries of a mapping to be read key by key.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    entries: &'a [Entry],
    position: Position,
    problems: &'a Problems<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) fn of(node: &'a Node, problems: &'a Problems<'a>) -> Self {
        Self { node, problems }
    }

    /// Where the node begins.
    pub(crate) fn position(self) -> Position {
        self.node.position
    }

    /// Notes a problem at this node.
    pub(crate) fn problem<T>(self, message: impl Into<String>, hint: &str) -> Option<T> {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.problems.add(self.node.position, message, hint)
    }

    fn wrong_type<T>(self, expected: &str, hint: &str) -> Option<T> {
        if self.node.value == Value::Refused {
            return None;
        }
        self.problem(format!("expected {expected}, found {}", self.node.describe()), hint)
    }

    /// Text that may be empty, of at most [`TEXT_CHARACTERS_MAX`] characters.
    pub(crate) fn text_or_empty(self) -> Option<&'a str> {
        let text = self.text_of_any_length()?;
        if text.chars().count() > TEXT_CHARACTERS_MAX {
            return self.problem(format!("longer than {TEXT_CHARACTERS_MAX} characters"), "");
        }
        Some(text)
    }

    /// Text that may be empty, of at most so many bytes.
    pub(crate) fn text_within(self, bytes_max: usize) -> Option<&'a str> {
        let text = self.text_of_any_length()?;
        if text.len() > bytes_max {
            return self.problem(format!("longer than {bytes_max} bytes"), "");
        }
        Some(text)
    }

    fn text_of_any_length(self) -> Option<&'a str> {
        match self.node.resolved() {
            Some(Resolved::Text(text)) => Some(text),
            Some(Resolved::Bool(_) | Resolved::Integer(_) | Resolved::Float) => {
                self.wrong_type("text", "put it in quotes")
            }
            Some(Resolved::Null) | None => self.wrong_type("text", ""),
        }
    }

    /// Text of at least one character.
    pub(crate) fn text(self) -> Option<&'a str> {
        match self.text_or_empty()? {
            "" => self.problem("empty text", ""),
            text => Some(text),
        }
    }

    /// [`Self::text`], owned.
    pub(crate) fn string(self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    /// A name: `[a-z0-9][a-z0-9-]{0,62}`.
    pub(crate) fn name(self) -> Option<String> {
        let text = self.text()?;
        if is_name(text) {
            return Some(text.to_owned());
        }
        self.problem(
            "not a name",
            "lower-case letters, digits and hyphens, 63 at most, no hyphen first",
        )
    }

    /// A whole number within a range.
    pub(crate) fn integer(self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(Resolved::Integer(integer)) = self.node.resolved() else {
            return self.wrong_type("an integer", "");
        };
        match u64::try_from(integer) {
            Ok(integer) if range.contains(&integer) => Some(integer),
            Ok(_) | Err(_) => {
                self.problem("out of range", &format!("from {} to {}", range.start(), range.end()))
            }
        }
    }

    /// A number from 0 to 1.
    pub(crate) fn share(self) -> Option<f64> {
        let (Some(Resolved::Float | Resolved::Integer(_)), Value::Scalar { text, .. }) =
            (self.node.resolved(), &self.node.value)
        else {
            return self.wrong_type("a number", "");
        };
        match text.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => Some(share),
            Ok(_) | Err(_) => self.problem("out of range", "from 0 to 1"),
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(self) -> Option<bool> {
        match self.node.resolved() {
            Some(Resolved::Bool(value)) => Some(value),
            Some(_) | None => self.wrong_type("true or false", ""),
        }
    }

    /// One word of several. `later` are words of the public surface that are not built.
    pub(crate) fn choice<T: Copy>(self, choices: &[(&str, T)], later: &[&str]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words = choices.iter().map(|(word, _)| *word);
        if later.contains(&text) {
            let words = words.collect::<Vec<_>>().join(", ");
            return self
                .problem(format!("`{text}` is not in this version"), &format!("one of: {words}"));
        }
        self.problem(format!("unknown value {}", quoted(text)), &hint_among(text, "one of", words))
    }

    /// A list of at least `minimum` items.
    pub(crate) fn list<T>(
        self,
        minimum: usize,
        read: impl Fn(Reader<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Value::Sequence(items) = &self.node.value else {
            return self.wrong_type("a list", "");
        };
        if items.len() < minimum {
            return self.problem("an empty list", "name at least one, or leave the key out");
        }
        let read: Vec<Option<T>> =
            items.iter().map(|item| read(Reader::of(item, self.problems))).collect();
        read.into_iter().collect()
    }

    /// A mapping with any keys, as pairs.
    pub(crate) fn pairs<T>(
        self,
        read: impl Fn(Reader<'a>) -> Option<T>,
    ) -> Option<Vec<(&'a str, T)>> {
        let Value::Mapping(entries) = &self.node.value else {
            return self.wrong_type("a mapping", "");
        };
        let pairs: Vec<_> = entries
            .iter()
            .map(|entry| {
                let value = read(Reader::of(&entry.value, self.problems))?;
                Some((entry.key.as_str(), value))
            })
            .collect();
        pairs.into_iter().collect()
    }

    /// A mapping with known keys; every other key is noted.
    pub(crate) fn mapping(self, keys: &Keys) -> Option<Fields<'a>> {
        let fields = self.open_mapping()?;
        fields.check_keys(keys);
        Some(fields)
    }

    /// Whether the node is a mapping.
    pub(crate) fn is_mapping(self) -> bool {
        matches!(self.node.value, Value::Mapping(_))
    }

    /// The entries of a mapping; none, and nothing noted, where it is none.
    pub(crate) fn open_quietly(self) -> Option<Fields<'a>> {
        let Value::Mapping(entries) = &self.node.value else { return None };
        Some(Fields { entries, position: self.node.position, problems: self.problems })
    }

    /// A mapping whose keys are checked later, when one of them has told which there are.
    pub(crate) fn open_mapping(self) -> Option<Fields<'a>> {
        let Value::Mapping(entries) = &self.node.value else {
            return self.wrong_type("a mapping", "");
        };
        Some(Fields { entries, position: self.node.position, problems: self.problems })
    }
}

impl<'a> Fields<'a> {
    /// Notes every key that is not read here: renamed, not built yet, or unknown.
    pub(crate) fn check_keys(self, keys: &Keys) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if keys.known.contains(&key) {
                continue;
            }
            let renamed = keys.renamed.iter().find(|(old, _)| *old == key);
            let (message, hint) = if let Some((_, new)) = renamed {
                (format!("`{key}` has another name now"), format!("write `{new}`"))
            } else if keys.later.contains(&key) {
                (format!("`{key}` is not in this version"), "remove it".to_owned())
            } else if let Some((_, why)) = keys.absent.iter().find(|(part, _)| key.contains(part)) {
                (format!("unknown key {}", quoted(key)), (*why).to_owned())
            } else {
                let known = keys.known.iter().copied();
                (format!("unknown key {}", quoted(key)), hint_among(key, "known keys", known))
            };
            self.problems.add::<()>(entry.position, message, Some(hint));
        }
    }

    /// Reads each item of a key's list; whether all were read. A list that is none is nobody's
    /// problem here.
    pub(crate) fn each_quietly(self, key: &str, read: impl Fn(Reader<'a>) -> Option<()>) -> bool {
        let Some(Value::Sequence(items)) = self.get(key).map(|value| &value.node.value) else {
            return true;
        };
        let read: Vec<_> = items.iter().map(|item| read(Reader::of(item, self.problems))).collect();
        read.iter().all(Option::is_some)
    }

    /// The text of a key, where it has one; noting nothing.
    pub(crate) fn text_of(self, key: &str) -> Option<&'a str> {
        match self.get(key)?.node.resolved() {
            Some(Resolved::Text(text)) => Some(text),
            Some(_) | None => None,
        }
    }

    fn get(self, key: &str) -> Option<Reader<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Reader::of(&entry.value, self.problems))
    }

    /// Whether there is no key at all.
    pub(crate) fn is_empty(self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the key is there, whatever its value.
    pub(crate) fn has(self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Notes a problem at a key's value, or at the mapping where the key is absent.
    pub(crate) fn problem<T>(self, key: &str, message: impl Into<String>, hint: &str) -> Option<T> {
        let at = self.get(key).map_or(self.position, Reader::position);
        self.problems.add(at, message, Some(hint.to_owned()))
    }

    /// The value of a key that must be there.
    pub(crate) fn required<T>(
        self,
        key: &str,
        read: impl FnOnce(Reader<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.get(key) {
            Some(value) => read(value),
            None => self.problems.add(self.position, format!("missing key `{key}`"), None),
        }
    }

    /// The value of a key that may be absent: the outer `None` is a noted problem.
    pub(crate) fn optional<T>(
        self,
        key: &str,
        read: impl FnOnce(Reader<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.get(key) {
            Some(value) => read(value).map(Some),
            None => Some(None),
        }
    }

    /// The value of a key that has a default.
    pub(crate) fn or<T>(
        self,
        key: &str,
        default: T,
        read: impl FnOnce(Reader<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.get(key) {
            Some(value) => read(value),
            None => Some(default),
        }
    }
}

/// `[a-z0-9][a-z0-9-]{0,62}`.
pub(crate) fn is_name(text: &str) -> bool {
    let lower_or_digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= NAME_BYTES_MAX
        && text.bytes().next().is_some_and(lower_or_digit)
        && text.bytes().all(|byte| lower_or_digit(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    const KEYS: Keys = Keys { renamed: &[("old", "new_name")], ..Keys::known(&["new_name"]) };

    #[test]
    fn a_renamed_key_names_its_successor() {
        let problems = Problems::of("settings.yaml");
        let documents = yaml::parse("# before\nold: 1\n", &problems);
        let node = documents.first().expect("one document");
        assert!(Reader::of(node, &problems).mapping(&KEYS).is_some());
        let list = problems.into_sorted();
        assert_eq!(list.len(), 1);
        assert_eq!((list[0].line, list[0].column), (2, 1));
        assert_eq!(list[0].message, "`old` has another name now");
        assert_eq!(list[0].hint.as_deref(), Some("write `new_name`"));
    }

    #[test]
    fn a_name_is_short_lower_case_and_begins_with_a_letter_or_digit() {
        for name in ["a", "0", "a-", "llama-3", &"a".repeat(63)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "A", "a_b", "a.b", "ä", "a b", "a\n", &"a".repeat(64)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
