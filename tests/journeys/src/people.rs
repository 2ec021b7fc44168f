//! People who sign in: the certified OpenID provider with a public client, and the browser in which
//! a person does what it asks.

use std::path::PathBuf;
use std::process::Command;

use penstock_harness::{Dev, Output, PATIENCE, Process, eventually, program, run};
use serde_json::{Value, json};

use crate::tools;

/// The running provider. Dropping it ends it.
pub struct People {
    process: Process,
    issuer: String,
    _folder: tempfile::TempDir,
}

impl People {
    /// Starts it on a free port; its access tokens live so long, in seconds.
    #[must_use]
    #[track_caller]
    pub fn start(life_s: u64) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let mut command = Command::new(tools::node());
        command.arg(tools::repository_file("tests/node/people.mjs"));
        command.arg("--modules").arg(tools::node_modules());
        command.arg("--life").arg(life_s.to_string());
        let process = Process::spawn_with_input(command, &folder.path().join("people.log"));
        let ready = process.json_line();
        let issuer = ready["issuer"].as_str().unwrap_or_default().to_owned();
        Self { process, issuer, _folder: folder }
    }

    /// Its URL.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Opens a page, signs in there, and follows wherever it leads.
    #[track_caller]
    pub fn browse(&mut self, url: &str, subject: &str, groups: &[&str]) {
        let asked = json!({"op": "browse", "url": url, "sub": subject, "groups": groups});
        let answer = self.ask(&asked);
        assert_eq!(answer["status"], 200, "{answer}");
    }

    /// Types a code on a page, signs in, and allows what is asked, or refuses it.
    #[track_caller]
    pub fn type_code(&mut self, page: &str, code: &str, who: (&str, &[&str]), refuse: bool) {
        let (subject, groups) = who;
        self.ask(&json!({"op": "device", "url": page, "code": code, "sub": subject,
            "groups": groups, "refuse": refuse}));
    }

    /// What the provider counted: `refreshed`, `revoked` or `pending`.
    #[must_use]
    #[track_caller]
    pub fn count(&mut self, what: &str) -> u64 {
        self.ask(&json!({"op": "counts"}))[what].as_u64().unwrap_or_default()
    }

    #[track_caller]
    fn ask(&mut self, operation: &Value) -> Value {
        self.process.say(&operation.to_string());
        let answer = self.process.json_line();
        assert_eq!(answer["ok"], json!(true), "{answer}: {}", self.process.stderr());
        answer
    }
}

/// A person's own account on this machine: a home, and `penstock` without any other credential.
pub struct Account {
    home: tempfile::TempDir,
}

/// A sign-in that waits for its person.
pub struct SignIn {
    process: Process,
}

impl Account {
    /// With an empty home.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap_or_else(|error| panic!("no home: {error}"));
        Self { home }
    }

    /// Its profile's file.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.home.path().join(".config/penstock/profiles/default.json")
    }

    /// Runs `penstock` as this person.
    #[track_caller]
    pub fn penstock(&self, arguments: &[&str]) -> Output {
        run(self.command(arguments), "", PATIENCE)
    }

    /// Begins a sign-in with the control plane of a development environment.
    #[must_use]
    #[track_caller]
    pub fn sign_in(&self, dev: &Dev, how: &str) -> SignIn {
        let arguments = ["login", "--url", &dev.ready().api, how, "--no-browser"];
        let log = self.home.path().join("login.log");
        SignIn { process: Process::spawn(self.command(&arguments), &log) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("penstock"));
        command.args(arguments).env_clear().env("HOME", self.home.path());
        command
    }
}

impl Default for Account {
    fn default() -> Self {
        Self::new()
    }
}

impl SignIn {
    /// The word behind these on standard error, once it is there.
    #[must_use]
    #[track_caller]
    pub fn told(&self, before: &str) -> String {
        eventually("the sign-in says where to go", || {
            let said = self.process.stderr();
            let (_, rest) = said.split_once(before)?;
            rest.lines().next().filter(|_| rest.contains('\n')).map(|line| line.trim().to_owned())
        })
    }

    /// The exit code and what was said, once it has ended.
    #[must_use]
    #[track_caller]
    pub fn ended(&mut self) -> (Option<i32>, String) {
        let status = self.process.wait(PATIENCE);
        let said = self.process.stderr();
        let status = status.unwrap_or_else(|| panic!("the sign-in still waits: {said}"));
        (status.code(), said)
    }
}
