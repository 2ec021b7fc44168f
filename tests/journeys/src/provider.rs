//! The certified OpenID provider as a program of its own, and what a test may ask of it.

use std::process::Command;

use penstock_harness::Process;
use serde_json::{Value, json};

use crate::tools;

/// The running provider. Dropping it ends it.
pub struct Provider {
    process: Process,
    issuer: String,
    key_id: String,
    _folder: tempfile::TempDir,
}

impl Provider {
    /// Starts it on a free port, with one key.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let mut command = Command::new(tools::node());
        command.arg(tools::repository_file("tests/node/provider.mjs"));
        command.arg("--modules").arg(tools::node_modules());
        let process = Process::spawn_with_input(command, &folder.path().join("provider.log"));
        let ready = process.json_line();
        let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        let (issuer, key_id) = (text("issuer"), text("kid"));
        Self { process, issuer, key_id, _folder: folder }
    }

    /// Its URL.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Id of the key that signs now.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// A token of its token endpoint.
    #[must_use]
    #[track_caller]
    pub fn token(&mut self, subject: &str, groups: &[&str], audience: &str) -> String {
        let asked = json!({"op": "token", "sub": subject, "groups": groups, "audience": audience});
        let answer = self.ask(&asked);
        answer["token"].as_str().unwrap_or_default().to_owned()
    }

    /// A token of its token endpoint with claims of its own, for five minutes: a CI job's.
    #[must_use]
    #[track_caller]
    pub fn token_with(&mut self, subject: &str, audience: &str, claims: &Value) -> String {
        let asked = json!({
            "op": "token", "sub": subject, "claims": claims, "audience": audience, "ttl_s": 300
        });
        self.ask(&asked)["token"].as_str().unwrap_or_default().to_owned()
    }

    /// Makes a new key that signs from now on; old ones stay published.
    #[track_caller]
    pub fn rotate(&mut self) {
        let answer = self.ask(&json!({"op": "rotate"}));
        self.key_id = answer["kid"].as_str().unwrap_or_default().to_owned();
    }

    /// Publishes a key no more.
    #[track_caller]
    pub fn remove(&mut self, key_id: &str) {
        self.ask(&json!({"op": "remove", "kid": key_id}));
    }

    /// How often the key set was fetched so far.
    #[must_use]
    #[track_caller]
    pub fn key_set_fetches(&mut self) -> u64 {
        self.ask(&json!({"op": "counts"}))["jwks"].as_u64().unwrap_or_default()
    }

    /// How often the discovery document was fetched so far.
    #[must_use]
    #[track_caller]
    pub fn discoveries(&mut self) -> u64 {
        self.ask(&json!({"op": "counts"}))["discovery"].as_u64().unwrap_or_default()
    }

    #[track_caller]
    fn ask(&mut self, operation: &Value) -> Value {
        self.process.say(&operation.to_string());
        let answer = self.process.json_line();
        assert_eq!(answer["ok"], json!(true), "the provider: {answer}: {}", self.process.stderr());
        answer
    }
}
