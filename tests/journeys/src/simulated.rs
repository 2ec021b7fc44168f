//! The simulated model server as a program of its own.

use std::fs;
use std::process::Command;

use penstock_harness::{Process, program};
use tempfile::TempDir;

/// The name of the one model that it serves.
pub const MODEL: &str = "simulated";

/// The running server. Dropping it ends it.
pub struct Simulated {
    _process: Process,
    url: String,
    _folder: TempDir,
}

impl Simulated {
    /// Starts it on a free port with further flags; it wants this key, and answers at once.
    #[must_use]
    #[track_caller]
    pub fn start(key: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let file = folder.path().join("key");
        fs::write(&file, key).unwrap_or_else(|error| panic!("no key file: {error}"));
        let mut command = Command::new(program("penstock-loadtest"));
        command.args(["serve", "--json", "--model", MODEL, "--first-token-ms", "0"]);
        command.arg("--api-key-file").arg(file).args(flags);
        let process = Process::spawn(command, &folder.path().join("stderr.log"));
        let url = process.json_line()["listen"].as_str().unwrap_or_default().to_owned();
        Self { _process: process, url, _folder: folder }
    }

    /// `http://127.0.0.1:port`, or `https` where the flags name a certificate.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}
