//! Laws on Rust: they read code with its comments and literals blanked out.

mod lexer;

use crate::Breach;
use crate::files::TextFile;
use crate::text::has_word;

pub use lexer::blanked;

/// Most lines of a function, from its first line to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Folders in which `unsafe` may stand.
const UNSAFE_FOLDERS: [&str; 2] = ["dataplane/reactor/", "dataplane/mask/"];
/// The only folder whose code names the executor.
const EXECUTOR_FOLDER: &str = "dataplane/reactor/";
/// What an exception from the length of functions is written as.
const LONG_FUNCTION: &str = "#[expect(clippy::too_many_lines";
/// Groups of lints; each lint that does not fit is named by itself.
const LINT_GROUPS: [&str; 9] = [
    "clippy::all",
    "clippy::cargo",
    "clippy::complexity",
    "clippy::correctness",
    "clippy::pedantic",
    "clippy::restriction",
    "clippy::suspicious",
    "unused",
    "warnings",
];

fn rust(files: &[TextFile]) -> impl Iterator<Item = (&TextFile, String)> {
    files.iter().filter(|file| file.has_ending(&["rs"])).map(|file| (file, blanked(&file.text)))
}

/// No function is longer than [`FUNCTION_LINES_MAX`], unless an `#[expect]` says why.
pub fn function_length(files: &[TextFile]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (file, code) in rust(files) {
        for (first, last) in lexer::functions(&code) {
            let count = last - first + 1;
            if count > FUNCTION_LINES_MAX && !is_excused(&file.text, first) {
                let message = format!("a function of {count} lines, more than 70");
                breaches.push(Breach::new(&file.path, first, message));
            }
        }
    }
    breaches
}

/// The lines directly above a function hold an exception with a reason.
fn is_excused(text: &str, first: usize) -> bool {
    let lines: Vec<&str> = text.lines().take(first - 1).collect();
    let above: Vec<&str> =
        lines.into_iter().rev().take_while(|line| !line.trim().is_empty()).collect();
    let above: Vec<&str> = above.into_iter().rev().collect();
    let above = above.join(" ");
    above.split(LONG_FUNCTION).skip(1).any(|rest| rest.contains("reason = \""))
}

/// `unsafe` stands only in the reactor and the mask.
pub fn unsafe_code(files: &[TextFile]) -> Vec<Breach> {
    on_code(files, |path, line| {
        let allowed = UNSAFE_FOLDERS.iter().any(|folder| path.starts_with(folder));
        (!allowed && has_word(line, "unsafe")).then_some("unsafe code outside the reactor and mask")
    })
}

/// Only the reactor's code names glommio.
pub fn executor(files: &[TextFile]) -> Vec<Breach> {
    on_code(files, |path, line| {
        let allowed = path.starts_with(EXECUTOR_FOLDER);
        (!allowed && has_word(line, "glommio")).then_some("only dataplane/reactor names glommio")
    })
}

/// A test that is left out says why.
pub fn ignored_tests(files: &[TextFile]) -> Vec<Breach> {
    on_code(files, |_, line| {
        line.contains("#[ignore]").then_some("a test is ignored without a reason")
    })
}

/// No exception is made from a whole group of lints.
pub fn catch_all_exceptions(files: &[TextFile]) -> Vec<Breach> {
    on_code(files, |_, line| {
        let mut lists = line.split(['(', ',', ')']).map(str::trim);
        let excepts = ["allow(", "expect("].iter().any(|word| {
            line.contains(&format!("#[{word}")) || line.contains(&format!("#![{word}"))
        });
        let group = excepts && lists.any(|name| LINT_GROUPS.contains(&name));
        group.then_some("an exception from a whole group of lints: name the one that does not fit")
    })
}

/// Tests wait for conditions. A poll may sleep, where `// tidy: ` and a reason stand beside it.
pub fn sleeping_tests(files: &[TextFile]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (file, code) in rust(files) {
        let whole = file.path.starts_with("tests/")
            || file.path.contains("/tests/")
            || file.name() == "tests.rs";
        let lines: Vec<&str> = file.text.lines().collect();
        let mut in_tests = whole;
        for (index, line) in code.lines().enumerate() {
            let above = index.checked_sub(1).and_then(|above| lines.get(above));
            // A module of tests inside this file goes on to its end; `mod tests;` is another file.
            in_tests |= above.is_some_and(|above| above.trim() == "#[cfg(test)]")
                && line.trim_end().ends_with('{');
            let excused = [lines.get(index), above]
                .into_iter()
                .flatten()
                .any(|line| line.split("// tidy: ").nth(1).is_some_and(|why| why.len() > 10));
            if in_tests && line.contains("::sleep(") && !excused {
                let message = "a test sleeps: wait for the condition";
                breaches.push(Breach::new(&file.path, index + 1, message));
            }
        }
    }
    breaches
}

/// Each crate's first line says what comes in, what goes out, and what it may never do.
pub fn crate_docs(files: &[TextFile]) -> Vec<Breach> {
    let roots = files
        .iter()
        .filter(|file| file.path.ends_with("/src/lib.rs") || file.path.ends_with("/src/main.rs"));
    roots
        .filter_map(|file| {
            let first = file.text.lines().next().unwrap_or_default();
            let words = first.strip_prefix("//! ").map_or(0, |text| text.split(' ').count());
            let message = "the first line is not a `//!` sentence on what the crate is for";
            (words < 4).then(|| Breach::new(&file.path, 1, message))
        })
        .collect()
}

fn on_code(files: &[TextFile], check: impl Fn(&str, &str) -> Option<&'static str>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (file, code) in rust(files) {
        for (index, line) in code.lines().enumerate() {
            let message = check(&file.path, line);
            breaches.extend(message.map(|message| Breach::new(&file.path, index + 1, message)));
        }
    }
    breaches
}

#[cfg(test)]
mod tests;
