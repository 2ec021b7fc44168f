//! A simulated model server: the paths of OpenAI, Anthropic and Ollama, with time to first token,
//! gaps and text under the caller's control. It computes nothing, so the time it takes is the time
//! it was told.

mod access;
mod anthropic;
mod clock;
mod ollama;
mod openai;
mod paced;
mod request;
mod schedule;
mod secure;
#[cfg(test)]
mod tests;
mod text;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::{Listener, ListenerExt};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use access::Key;
use schedule::Schedule;
use secure::Secure;

use crate::tls::{self, TlsError};

/// Largest request body, in bytes.
const BODY_BYTES_MAX: usize = 64 << 20;
/// How long open answers may go on after SIGTERM.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// What `penstock-loadtest serve --help` says below the flags.
pub(crate) const HELP: &str = "\
Paths:
  OpenAI     GET /v1/models, POST /v1/chat/completions, /v1/completions, /v1/embeddings
  Anthropic  POST /v1/messages
  Ollama     GET /api/tags, /api/version, POST /api/chat, /api/generate
  any        GET /health, without a key

The key comes as `Authorization: Bearer KEY` or as `x-api-key: KEY`. Answers are whole or streamed,
as the API of the path has it, and a limit of the request on its tokens is kept.

A request changes its own answer by the body field `simulate`, or all but the text by a header:
  {\"simulate\": {\"first_token_ms\": 5, \"gap_ms\": 1, \"tokens\": 8, \"text\": \"to be said\"}}
  x-simulate: first_token_ms=5,gap_ms=1,tokens=8";

/// Flags of `penstock-loadtest serve`.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File with the key that callers must send; without it nobody is refused
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// File with the certificate chain to show, PEM; then the server speaks TLS alone
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// File with the certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Name of the one model that is served
    #[arg(long, value_name = "NAME", default_value = "simulated")]
    model: String,
    /// Milliseconds from the request to the first token
    #[arg(long, value_name = "N", default_value_t = 50)]
    first_token_ms: u64,
    /// Milliseconds from one token to the next
    #[arg(long, value_name = "N", default_value_t = 10)]
    gap_ms: u64,
    /// Tokens of an answer; by default those of the text, once
    #[arg(long, value_name = "N")]
    tokens: Option<u64>,
    /// Text of every answer, repeated or cut to the number of tokens
    #[arg(long, value_name = "TEXT", default_value = text::DEFAULT)]
    text: String,
    /// Print `{"listen": URL}` as the first line on stdout
    #[arg(long)]
    json: bool,
}

/// Why the server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot read the key file {path}")]
    KeyFile { path: PathBuf, source: std::io::Error },
    #[error("the key file {path} holds no key")]
    EmptyKey { path: PathBuf },
    #[error(transparent)]
    Schedule(#[from] schedule::ScheduleError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot watch for signals")]
    Signals(#[source] std::io::Error),
    #[error("cannot write to stdout")]
    Stdout(#[source] std::io::Error),
    #[error("the server stopped")]
    Stopped(#[source] std::io::Error),
}

/// What every handler sees.
struct Served {
    model: String,
    defaults: Schedule,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(flags: Flags) -> Result<(), ServeError> {
    let defaults =
        Schedule::new(flags.first_token_ms, flags.gap_ms, flags.tokens, flags.text.clone())?;
    let key = flags.api_key_file.map(Key::read).transpose()?;
    let secured = match (&flags.certificate, &flags.key) {
        (Some(certificate), Some(key)) => Some(tls::server(certificate, key)?),
        (None, _) | (_, None) => None,
    };
    let listen_error = |source| ServeError::Listen { address: flags.listen, source };
    let listener = TcpListener::bind(flags.listen).await.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let scheme = if secured.is_some() { "https" } else { "http" };
    announce(&format!("{scheme}://{address}"), flags.json).map_err(ServeError::Stdout)?;

    // A watch, because two futures wait for the one end: the server and the bound on its drain.
    let (stop, stopping) = watch::channel(false);
    let mut drained = stopping.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.send_replace(true);
    });
    let listener = listener.tap_io(|stream| {
        // Without it small events wait for acknowledgements; a socket that refuses still works.
        let _ = stream.set_nodelay(true);
    });
    let router = router(flags.model, defaults, key);
    let server = async {
        match secured {
            Some(config) => {
                serve_until(Secure::new(listener, config)?, router, stopping.clone()).await
            }
            None => serve_until(listener, router, stopping.clone()).await,
        }
    };
    tokio::select! {
        ended = server => ended.map_err(ServeError::Stopped),
        () = async {
            let _ = drained.wait_for(|stop| *stop).await;
            tokio::time::sleep(DRAIN_TIME_MAX).await;
        } => Ok(()),
    }
}

async fn serve_until(
    listener: impl Listener<Addr: std::fmt::Debug>,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        })
        .await
}

/// The first line on stdout, where whoever started this process waits for it.
fn announce(url: &str, json: bool) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if json {
        writeln!(stdout, "{}", serde_json::json!({ "listen": url }))?;
    } else {
        writeln!(stdout, "listening on {url}")?;
    }
    stdout.flush()
}

fn router(model: String, defaults: Schedule, key: Option<Key>) -> Router {
    Router::new()
        .route("/v1/models", get(openai::models))
        .route("/v1/chat/completions", post(openai::chat))
        .route("/v1/completions", post(openai::completions))
        .route("/v1/embeddings", post(openai::embeddings))
        .route("/v1/messages", post(anthropic::messages))
        .route("/api/chat", post(ollama::chat))
        .route("/api/generate", post(ollama::generate))
        .route("/api/tags", get(ollama::tags))
        .route("/api/version", get(ollama::version))
        // llama.cpp's: there are no adapters here, and nothing is scaled.
        .route("/lora-adapters", get(no_adapters).post(adapters_set))
        .layer(from_fn_with_state(Arc::new(key), access::require_key))
        .route("/health", get(|| async { axum::Json(serde_json::json!({"status": "ok"})) }))
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(Served { model, defaults }))
}

async fn no_adapters() -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!([]))
}

async fn adapters_set() -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({"success": true}))
}

async fn not_found() -> Response {
    request::Refusal::NotFound.into_response()
}
