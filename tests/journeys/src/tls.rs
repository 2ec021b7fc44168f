//! Python's `ssl`, which is OpenSSL, as a caller and as a model server that a test tells what to
//! do.

use std::path::Path;
use std::process::Command;

use penstock_harness::Process;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::secured::Certificate;
use crate::tools;

/// The running program. Dropping it ends it.
pub struct OpenSsl {
    process: Process,
    _folder: TempDir,
}

/// A model server that it plays.
pub struct TlsServer<'c> {
    shown: &'c Certificate,
    clients: Option<&'c Certificate>,
}

/// What a handshake came to.
#[derive(Clone, Debug)]
pub struct Met {
    /// The version that was agreed on: `TLSv1.3`.
    pub version: String,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

impl<'c> TlsServer<'c> {
    /// One that shows this certificate.
    #[must_use]
    pub fn showing(shown: &'c Certificate) -> Self {
        Self { shown, clients: None }
    }

    /// One that wants a certificate by this authority, too.
    #[must_use]
    pub fn wanting(self, clients: &'c Certificate) -> Self {
        Self { clients: Some(clients), ..self }
    }
}

impl OpenSsl {
    /// Starts it.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let mut command = Command::new(tools::python());
        command.arg(tools::repository_file("tests/python/tls.py"));
        let process = Process::spawn_with_input(command, &folder.path().join("tls.log"));
        Self { process, _folder: folder }
    }

    /// Serves; the URL.
    #[track_caller]
    pub fn serve(&mut self, server: &TlsServer<'_>) -> String {
        let clients = server.clients.map(Certificate::authority);
        let asked = json!({"op": "serve", "chain": server.shown.chain(),
                           "key": server.shown.key(), "clients": clients});
        let port = &self.ask(&asked)["port"];
        format!("https://127.0.0.1:{port}")
    }

    /// Connects to `host:port` in this version, with the session of another connection.
    ///
    /// # Errors
    /// What OpenSSL says.
    #[track_caller]
    pub fn connect(
        &mut self,
        id: &str,
        address: &str,
        authority: &Path,
        version: &str,
        session_of: Option<&str>,
    ) -> Result<Met, String> {
        let Some((host, port)) = address.rsplit_once(':') else { panic!("no port: {address}") };
        let port: u16 = port.parse().unwrap_or_else(|error| panic!("{address}: {error}"));
        let answer = self.ask(&json!({"op": "connect", "id": id, "host": host, "port": port,
                                      "authority": authority, "version": version,
                                      "session_of": session_of}));
        if answer["ok"] != json!(true) {
            return Err(answer["error"].to_string());
        }
        let version = answer["version"].as_str().unwrap_or_default().to_owned();
        Ok(Met { version, resumed: answer["reused"] == json!(true) })
    }

    /// Asks on a connection; status and body.
    #[track_caller]
    pub fn get(&mut self, id: &str, path: &str, token: &str) -> (u64, String) {
        let answer = self.ask(&json!({"op": "get", "id": id, "path": path, "token": token}));
        let body = answer["body"].as_str().unwrap_or_default().to_owned();
        let Some(status) = answer["status"].as_u64() else { panic!("no answer: {answer}") };
        (status, body)
    }

    /// Closes a connection.
    #[track_caller]
    pub fn close(&mut self, id: &str) {
        self.ask(&json!({"op": "close", "id": id}));
    }

    #[track_caller]
    fn ask(&mut self, operation: &Value) -> Value {
        self.process.say(&operation.to_string());
        self.process.json_line()
    }
}
