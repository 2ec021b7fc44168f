//! Laws on any text: sizes, white space, words.

use crate::Breach;
use crate::files::TextFile;

/// Most lines of a program's file.
pub const FILE_LINES_MAX: usize = 600;
/// Most columns of a line of Rust.
pub const COLUMNS_MAX: usize = 100;

/// Endings of files that hold programs.
const PROGRAMS: [&str; 5] = ["js", "mjs", "py", "rs", "sh"];

/// No program's file is longer than [`FILE_LINES_MAX`].
pub fn file_length(files: &[TextFile]) -> Vec<Breach> {
    let programs = files.iter().filter(|file| file.has_ending(&PROGRAMS));
    programs
        .filter_map(|file| {
            let count = file.text.lines().count();
            let message = format!("{count} lines, more than {FILE_LINES_MAX}: split by subject");
            (count > FILE_LINES_MAX).then(|| Breach::new(&file.path, 0, message))
        })
        .collect()
}

/// No line of Rust is wider than [`COLUMNS_MAX`].
pub fn line_width(files: &[TextFile]) -> Vec<Breach> {
    on_lines(
        files,
        |file| file.has_ending(&["rs"]),
        |line| {
            let columns = line.chars().count();
            (columns > COLUMNS_MAX).then(|| format!("{columns} columns, more than {COLUMNS_MAX}"))
        },
    )
}

/// No tab (a Makefile needs them), no space before the end of a line, and a line end at the end.
pub fn white_space(files: &[TextFile]) -> Vec<Breach> {
    let mut breaches = on_lines(
        files,
        |file| !file.is_lock(),
        |line| (line.trim_end() != line).then(|| "space before the end of the line".to_owned()),
    );
    breaches.extend(on_lines(
        files,
        |file| file.name() != "Makefile",
        |line| line.contains('\t').then(|| "a tab".to_owned()),
    ));
    for file in files {
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            breaches.push(Breach::new(&file.path, 0, "no line end at the end of the file"));
        }
    }
    breaches
}

/// Nothing is left for later in a comment: what is missing is not there, or is an issue.
pub fn notes_for_later(files: &[TextFile]) -> Vec<Breach> {
    // In two parts, so that this file keeps its own law.
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let calls = [concat!("todo", "!"), concat!("unimplemented", "!"), concat!("dbg", "!")];
    on_lines(
        files,
        |file| !file.is_lock(),
        |line| {
            let found = words.into_iter().chain(calls).find(|word| has_word(line, word));
            found.map(|word| format!("{word}: do it now, or leave it out"))
        },
    )
}

/// No file names a package registry's host: each client knows its own.
pub fn registry_hosts(files: &[TextFile]) -> Vec<Breach> {
    let hosts = [
        concat!("crates", ".io/"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("registry.", "npmjs"),
        concat!("deb.", "debian.org"),
    ];
    on_lines(
        files,
        |file| file.name() != "Cargo.lock",
        |line| {
            hosts.into_iter().find(|host| line.contains(host)).map(|host| format!("names {host}"))
        },
    )
}

/// Each Markdown file has one title, on its first line.
pub fn markdown_titles(files: &[TextFile]) -> Vec<Breach> {
    files
        .iter()
        .filter(|file| file.has_ending(&["md"]))
        .filter_map(|file| {
            let mut fenced = false;
            let mut titles = Vec::new();
            for (number, line) in file.lines() {
                fenced ^= line.trim_start().starts_with("```");
                if !fenced && line.starts_with("# ") {
                    titles.push(number);
                }
            }
            let message = format!("titles on lines {titles:?}: one is right, on the first line");
            (titles != [1]).then(|| Breach::new(&file.path, 0, message))
        })
        .collect()
}

/// Applies a check to each line of the chosen files.
pub(crate) fn on_lines(
    files: &[TextFile],
    chosen: impl Fn(&TextFile) -> bool,
    check: impl Fn(&str) -> Option<String>,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| chosen(file)) {
        for (number, line) in file.lines() {
            breaches.extend(check(line).map(|message| Breach::new(&file.path, number, message)));
        }
    }
    breaches
}

/// The text holds the word, with no letter, digit or underscore on either side.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let part_of_word = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        // A word that ends with `!` ends itself.
        let open = word.ends_with('!');
        !before.is_some_and(part_of_word) && (open || !after.is_some_and(part_of_word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(law: impl Fn(&[TextFile]) -> Vec<Breach>, path: &str, text: &str) -> bool {
        !law(&[TextFile::new(path, text)]).is_empty()
    }

    #[test]
    fn a_file_of_601_lines_is_too_long_and_one_of_600_is_not() {
        assert!(broken(file_length, "a.rs", &"x\n".repeat(601)));
        assert!(broken(file_length, "a.py", &"x\n".repeat(601)));
        assert!(!broken(file_length, "a.rs", &"x\n".repeat(600)));
        assert!(!broken(file_length, "a.json", &"x\n".repeat(601)));
    }

    #[test]
    fn columns_are_characters_and_not_bytes() {
        assert!(broken(line_width, "a.rs", &"x".repeat(101)));
        assert!(!broken(line_width, "a.rs", &"é".repeat(100)));
    }

    #[test]
    fn tabs_trailing_spaces_and_a_missing_last_line_end_are_seen() {
        assert!(broken(white_space, "a.py", "\tx\n"));
        assert!(broken(white_space, "a.md", "x \ny\n"));
        assert!(broken(white_space, "a.rs", "x"));
        assert!(!broken(white_space, "Makefile", "a:\n\tb\n"));
    }

    #[test]
    fn a_note_for_later_is_seen_as_a_word_only() {
        assert!(broken(notes_for_later, "a.rs", concat!("// TO", "DO: more\n")));
        assert!(broken(notes_for_later, "a.py", concat!("# FIX", "ME\n")));
        assert!(broken(notes_for_later, "a.rs", concat!("    todo", "!(\"x\")\n")));
        assert!(broken(notes_for_later, "a.rs", concat!("dbg", "!(x);\n")));
        assert!(!broken(notes_for_later, "a.sh", "mktemp -d penstock.XXXXXX\n"));
        assert!(!broken(notes_for_later, "a.md", "a method\n"));
    }

    #[test]
    fn a_registry_in_a_lock_file_of_npm_is_seen() {
        let line = concat!("\"resolved\": \"https://registry.", "npmjs.org/x\"\n");
        assert!(broken(registry_hosts, "tests/node/package-lock.json", line));
        assert!(!broken(registry_hosts, "Cargo.lock", line));
    }

    #[test]
    fn a_second_title_or_a_late_one_is_seen_but_not_a_comment_in_code() {
        assert!(broken(markdown_titles, "a.md", "# a\n\n# b\n"));
        assert!(broken(markdown_titles, "a.md", "text\n# a\n"));
        assert!(broken(markdown_titles, "a.md", "## a\n"));
        assert!(!broken(markdown_titles, "a.md", "# a\n```\n# comment\n```\n## b\n"));
    }
}
