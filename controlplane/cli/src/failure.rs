//! How a command fails: one style on standard error, one table of exit codes.

use std::process::ExitCode;

use crate::output;

/// Exit codes other than 0; a promise to scripts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// It was tried and did not work.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The control plane, or the decision that was asked for, says no.
    Denied = 3,
    /// There is no such thing.
    NotFound = 4,
    /// Somebody else was there first.
    Conflict = 5,
    /// The machine or the settings don't allow it.
    Machine = 78,
}

/// A command that failed, told to a person.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// What is wrong: lower case, no full stop. Empty when everything was said already.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// Lines that stand before the error: problems in documents, the end of a log.
    pub(crate) details: Vec<String>,
}

impl Failure {
    /// A failure without hint or details.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, details: Vec::new() }
    }

    /// It was tried and did not work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The machine or the settings don't allow it.
    pub(crate) fn machine(message: impl Into<String>) -> Self {
        Self::new(Exit::Machine, message)
    }

    /// Ends with a code and no further word.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, String::new())
    }

    /// Says what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts lines before the error.
    pub(crate) fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Says it on standard error and gives the process its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        for line in &self.details {
            output::talk(line);
        }
        if !self.message.is_empty() {
            output::talk(&format!("error: {}", self.message));
        }
        if let Some(hint) = &self.hint {
            output::talk(&format!("hint: {hint}"));
        }
        ExitCode::from(self.exit as u8)
    }
}
