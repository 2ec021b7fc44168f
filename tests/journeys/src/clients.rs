//! The clients that people use, as programs that a test tells what to do.

use std::path::Path;
use std::process::Command;

use penstock_harness::Process;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tools;

/// The language that a client is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    /// Python, with `tests/python/clients.py`.
    Python,
    /// JavaScript, with `tests/node/clients.mjs`.
    JavaScript,
}

/// Whose client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Vendor {
    /// OpenAI's: `/v1/chat/completions`.
    OpenAi,
    /// Anthropic's: `/v1/messages`.
    Anthropic,
    /// Ollama's: `/api/chat`.
    Ollama,
}

impl Vendor {
    fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
        }
    }
}

/// What a client is told to ask.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// URL of the connection.
    pub connection: &'a str,
    /// The caller's token.
    pub token: &'a str,
    /// The model.
    pub model: &'a str,
    /// Most tokens of an answer.
    pub tokens_max: u64,
}

/// An error as the client shows it to its user.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The name of its class.
    pub kind: String,
    /// The status that it carries.
    pub status: Option<u64>,
    /// Its text.
    pub message: String,
}

/// A running client. Dropping it ends it.
pub struct Client {
    process: Process,
    _folder: TempDir,
}

impl Client {
    /// Starts one. `authority` is the certificate that vouches for a gateway with TLS.
    #[must_use]
    #[track_caller]
    pub fn start(language: Language, vendor: Vendor, authority: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let (program, script, trust) = match language {
            Language::Python => (tools::python(), "tests/python/clients.py", "SSL_CERT_FILE"),
            Language::JavaScript => {
                (tools::node(), "tests/node/clients.mjs", "NODE_EXTRA_CA_CERTS")
            }
        };
        let mut command = Command::new(program);
        command.arg(tools::repository_file(script)).arg(vendor.name());
        if let Some(authority) = authority {
            command.env(trust, authority);
        }
        let process = Process::spawn_with_input(command, &folder.path().join("client.log"));
        Self { process, _folder: folder }
    }

    /// The names of the models.
    #[track_caller]
    pub fn models(&mut self, asked: Asked<'_>) -> Result<Vec<String>, Shown> {
        let answer = self.ask("models", asked)?;
        let models = answer["models"].as_array().cloned().unwrap_or_default();
        Ok(models.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// A whole answer: its text, and how many tokens the model server said that it has.
    #[track_caller]
    pub fn whole(&mut self, asked: Asked<'_>) -> Result<(String, u64), Shown> {
        let answer = self.ask("whole", asked)?;
        Ok((text(&answer), answer["tokens"].as_u64().unwrap_or_default()))
    }

    /// A streamed answer, read to its end: its text, and in how many pieces it came.
    #[track_caller]
    pub fn stream(&mut self, asked: Asked<'_>) -> Result<(String, u64), Shown> {
        let answer = self.ask("stream", asked)?;
        Ok((text(&answer), answer["pieces"].as_u64().unwrap_or_default()))
    }

    /// The arguments of a streamed call of a tool, read as JSON by the client. OpenAI's alone.
    #[track_caller]
    pub fn call(&mut self, asked: Asked<'_>) -> Result<String, Shown> {
        self.ask("call", asked).map(|answer| text(&answer))
    }

    /// The first piece of a streamed answer, which stays open.
    #[track_caller]
    pub fn open(&mut self, asked: Asked<'_>) -> Result<String, Shown> {
        self.ask("open", asked).map(|answer| text(&answer))
    }

    /// What comes behind the first piece of the stream that was opened first, read to its end.
    #[track_caller]
    pub fn rest(&mut self) -> Result<String, Shown> {
        self.answer(&json!({"op": "rest"})).map(|answer| text(&answer))
    }

    #[track_caller]
    fn ask(&mut self, operation: &str, asked: Asked<'_>) -> Result<Value, Shown> {
        let Asked { connection, token, model, tokens_max } = asked;
        self.answer(&json!({
            "op": operation, "connection": connection, "token": token, "model": model,
            "tokens_max": tokens_max,
        }))
    }

    #[track_caller]
    fn answer(&mut self, operation: &Value) -> Result<Value, Shown> {
        self.process.say(&operation.to_string());
        let answer = self.process.json_line();
        let Some(error) = answer.get("error") else { return Ok(answer) };
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        Err(Shown {
            kind: text("kind"),
            status: error["status"].as_u64(),
            message: text("message"),
        })
    }
}

fn text(answer: &Value) -> String {
    answer["text"].as_str().unwrap_or_default().to_owned()
}
