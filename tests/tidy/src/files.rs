//! The repository's text files, each read once.

use std::io;
use std::path::{Path, PathBuf};

/// Folders that hold what tools made, wherever they stand.
const MADE: [&str; 3] = ["node_modules", "__pycache__", "results"];
/// Folders that hold what tools made, at the top.
const MADE_AT_TOP: [&str; 2] = [".git", "target"];
/// Endings of the text files that the laws concern.
const ENDINGS: [&str; 13] =
    ["css", "html", "js", "json", "md", "mjs", "py", "rs", "sh", "sql", "toml", "yaml", "yml"];

/// A text file.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Relative to the repository, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl TextFile {
    /// A file as it would be read.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The file's name ends with a dot and one of these.
    pub fn has_ending(&self, endings: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
    }

    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// A lock file, which a tool writes.
    pub fn is_lock(&self) -> bool {
        matches!(self.name(), "Cargo.lock" | "package-lock.json")
    }

    /// Lines with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.split('\n').enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// The repository that this crate is part of.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every text file of the repository, in the order of their paths.
///
/// # Errors
/// A folder or file that cannot be read, or is not UTF-8.
pub fn read_all(root: &Path) -> io::Result<Vec<TextFile>> {
    let mut files = Vec::new();
    read_folder(root, "", &mut files)?;
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<TextFile>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if MADE.contains(&name.as_str()) || MADE_AT_TOP.contains(&path.as_str()) {
                continue;
            }
            read_folder(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() && is_text(&path) {
            files.push(TextFile { path, text: std::fs::read_to_string(entry.path())? });
        }
    }
    Ok(())
}

fn is_text(path: &str) -> bool {
    let named = matches!(path, "Makefile" | ".ci/run" | "bench/run");
    named || path.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}
