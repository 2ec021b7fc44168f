//! The repository's own laws: its files come in as text, breaches of the laws go out, each with its
//! file and line. It reads nothing outside the repository and never changes a file.

pub mod files;
pub mod layout;
pub mod rust;
pub mod text;
pub mod workspace;

/// One breach of one law.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Breach {
    /// The file, relative to the repository.
    pub path: String,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Breach {
    /// A breach on one line, counted from 1, or on the whole file with 0.
    pub fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl std::fmt::Display for Breach {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}
