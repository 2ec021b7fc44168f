//! What is wrong with a document or a settings file, where, and what to do about it.

use std::cell::RefCell;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Problems listed for one source; one more line says that there are others.
const PROBLEMS_MAX: usize = 1000;

/// Characters of a source's own words that a message repeats.
const QUOTED_CHARACTERS_MAX: usize = 64;

/// One problem or warning, at a place in a named source.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnostic {
    /// Name of the source as the caller gave it: a file's path, `-` for standard input.
    pub file: String,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A place in a source: line and column, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Position {
    /// The first character of a source.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// The problems of one source, collected while reading goes on. Readers share it by reference.
pub(crate) struct Problems<'s> {
    file: &'s str,
    list: RefCell<Vec<Diagnostic>>,
}

impl<'s> Problems<'s> {
    pub(crate) fn of(file: &'s str) -> Self {
        Self { file, list: RefCell::new(Vec::new()) }
    }

    /// Notes a problem; returns nothing in the shape of whatever could not be read.
    pub(crate) fn add<T>(
        &self,
        at: Position,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Option<T> {
        let mut list = self.list.borrow_mut();
        if list.len() < PROBLEMS_MAX {
            list.push(diagnostic(self.file, at, message, hint));
        } else if list.len() == PROBLEMS_MAX {
            let message = format!("more than {PROBLEMS_MAX} problems: the others are not listed");
            list.push(diagnostic(self.file, at, message, None));
        }
        None
    }

    /// Forgets what was noted so far: the source is not YAML, and one problem says so.
    pub(crate) fn forget(&self) {
        self.list.borrow_mut().clear();
    }

    /// Whether nothing was noted so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// All problems, in the order of the text.
    pub(crate) fn into_sorted(self) -> Vec<Diagnostic> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|problem| (problem.line, problem.column));
        list
    }
}

/// A diagnostic at a place of a file. Words of the source in it, quoted or not, cannot forge a line
/// of what is printed: control characters are escaped here, whoever wrote the message.
pub(crate) fn diagnostic(
    file: &str,
    at: Position,
    message: impl Into<String>,
    hint: Option<String>,
) -> Diagnostic {
    Diagnostic {
        file: file.to_owned(),
        line: at.line,
        column: at.column,
        message: printable(message.into()),
        hint: hint.map(printable),
    }
}

fn printable(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|character| push_printable(&mut out, character));
    out
}

fn push_printable(out: &mut String, character: char) {
    if character.is_control() {
        out.extend(character.escape_unicode());
    } else {
        out.push(character);
    }
}

/// A source's own word in backticks: control characters escaped, long words cut.
pub(crate) fn quoted(word: &str) -> String {
    let mut out = String::from("`");
    word.chars().take(QUOTED_CHARACTERS_MAX).for_each(|one| push_printable(&mut out, one));
    if word.chars().nth(QUOTED_CHARACTERS_MAX).is_some() {
        out.push('…');
    }
    out.push('`');
    out
}

/// Hint for a word that is not among those that exist: the nearest one, or all of them, or that
/// there is none.
pub(crate) fn hint_among<'w>(
    word: &str,
    what: &str,
    words: impl Iterator<Item = &'w str> + Clone,
) -> String {
    let nearest = words
        .clone()
        .filter_map(|known| edit_distance(word, known).map(|distance| (distance, known)))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((_, known)) => format!("did you mean `{known}`?"),
        None if words.clone().next().is_none() => "there is none".to_owned(),
        None => format!("{what}: {}", words.collect::<Vec<_>>().join(", ")),
    }
}

/// Levenshtein's distance in characters; none for words too long to be a slip of the finger.
fn edit_distance(left: &str, right: &str) -> Option<usize> {
    if left.len() > QUOTED_CHARACTERS_MAX {
        return None;
    }
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (index, a) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(right.chars()) {
            let substituted = diagonal + usize::from(a != b);
            diagonal = *cell;
            before = substituted.min(before + 1).min(diagonal + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_edits() {
        for (left, right, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("name", "nmae", 2),
            ("grops", "groups", 1),
            ("a", "b", 1),
        ] {
            assert_eq!(edit_distance(left, right), Some(distance), "{left} {right}");
            assert_eq!(edit_distance(right, left), Some(distance), "{right} {left}");
        }
    }

    #[test]
    fn a_hint_names_the_nearest_word_or_all_of_them() {
        let words = ["subjects", "operations"];
        assert_eq!(hint_among("subject", "keys", words.into_iter()), "did you mean `subjects`?");
        assert_eq!(hint_among("x", "keys", words.into_iter()), "keys: subjects, operations");
        assert_eq!(hint_among("x", "keys", std::iter::empty()), "there is none");
    }

    #[test]
    fn a_word_of_the_source_cannot_forge_a_line_of_what_is_printed() {
        let hint = Some("not\r\nthis".to_owned());
        let problem = diagnostic("a.yaml", Position::START, "`/v2/\n{id}`: `\u{1b}`", hint);
        assert_eq!(problem.message, "`/v2/\\u{a}{id}`: `\\u{1b}`");
        assert_eq!(problem.hint.as_deref(), Some("not\\u{d}\\u{a}this"));
    }

    #[test]
    fn a_quoted_word_is_cut_and_shows_no_control_characters() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "`a\\u{1b}[2Jb`");
        assert_eq!(quoted(&"x".repeat(65)), format!("`{}…`", "x".repeat(64)));
    }

    #[test]
    fn a_flood_of_problems_ends_with_one_that_says_so() {
        let problems = Problems::of("flood.yaml");
        for _ in 0..PROBLEMS_MAX + 10 {
            let _: Option<()> = problems.add(Position::START, "wrong", None);
        }
        let list = problems.into_sorted();
        assert_eq!(list.len(), PROBLEMS_MAX + 1);
        assert!(list.last().is_some_and(|last| last.message.starts_with("more than 1000")));
    }

    #[test]
    fn a_diagnostic_reads_as_file_line_column_message_and_hint() {
        let at = Position { line: 3, column: 9 };
        let shown = diagnostic("a.yaml", at, "unknown key `x`", Some("keys: y".into()));
        assert_eq!(shown.to_string(), "a.yaml:3:9: unknown key `x`\n  hint: keys: y");
    }
}
