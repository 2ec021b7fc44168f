//! A scripted control plane, and `penstock` run against it.

#![allow(dead_code, reason = "every test file uses its own part of it")]

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a call looked like.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `GET /api/v1/nodes`.
    pub(crate) line: String,
    /// `authorization`.
    pub(crate) authorization: String,
    /// Body as text.
    pub(crate) body: String,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, Vec<(u16, String)>>,
    calls: Vec<Call>,
}

/// Answers by method and path; every other call with 404.
#[derive(Clone)]
pub(crate) struct ScriptedApi {
    /// `http://127.0.0.1:port`.
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
}

impl ScriptedApi {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, script }
    }

    /// Adds an answer; several for one call are given in turn, the last one for ever.
    pub(crate) fn on(&self, line: &str, status: u16, body: &Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut script = self.script.lock().unwrap();
        script.answers.entry(line.to_owned()).or_default().push((status, body));
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.script.lock().unwrap().calls.clone()
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let line = format!("{} {}", head.method, head.uri);
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let authorization = head.headers.get("authorization").map(|value| value.to_str().unwrap());
    let mut script = script.lock().unwrap();
    script.calls.push(Call {
        line: line.clone(),
        authorization: authorization.unwrap_or_default().to_owned(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    match script.answers.get_mut(&line) {
        Some(answers) => {
            let (status, body) =
                if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `penstock` with an environment of its own, whose home is `home`.
pub(crate) fn penstock(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock"));
    command.args(arguments).env_clear().env("HOME", home).stdin(Stdio::null()).kill_on_drop(true);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs `penstock` against the scripted API.
pub(crate) async fn run(api: &ScriptedApi, arguments: &[&str]) -> Output {
    run_with_input(api, arguments, "").await
}

/// The same with something on standard input.
pub(crate) async fn run_with_input(api: &ScriptedApi, arguments: &[&str], input: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = penstock(home.path(), arguments);
    command.env("PENSTOCK_URL", &api.url).env("PENSTOCK_TOKEN", "t0ken");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that refuses its arguments never reads its input.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

/// A profile as `penstock login` writes it, for `home`: its tokens end then, and its fields are
/// replaced by those of `fields`.
pub(crate) fn write_profile(home: &Path, name: &str, expires_ms: u64, fields: &Value) {
    let mut profile = json!({"url": null, "gateway": null, "ca": null,
        "issuer": "http://127.0.0.1:1", "client_id": "penstock",
        "token_endpoint": "http://127.0.0.1:1/token", "revocation_endpoint": null,
        "wanted": {"api_resource": null, "gateway_resource": null, "gateway_audience": "penstock"},
        "subject": "ann", "name": "ann", "refresh_token": null,
        "api_token": {"token": format!("of-{name}"), "expires_ms": expires_ms},
        "gateway_token": {"token": "gateway-token", "expires_ms": expires_ms}});
    for (field, value) in fields.as_object().unwrap() {
        profile[field] = value.clone();
    }
    let folder = home.join(".config/penstock/profiles");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, profile.to_string()).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Exit code.
pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}
