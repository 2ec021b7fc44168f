//! The paths of Ollama's API: chat and generate in NDJSON, tags, version.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Served;
use super::clock::{rfc3339, unix_seconds};
use super::paced::paced;
use super::request::{Refusal, read, token_count};
use super::schedule::Schedule;

/// The version whose answers this file gives.
const VERSION: &str = "0.12.0";

#[derive(Deserialize)]
struct Generation {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    messages: Value,
    #[serde(default)]
    prompt: Value,
    /// Ollama streams unless it is told not to.
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Options {
    /// Most tokens of the answer; negative for no limit.
    #[serde(default)]
    num_predict: Option<i64>,
}

/// Which path an answer belongs to.
#[derive(Clone, Copy)]
enum Form {
    Chat,
    Generate,
}

/// One answer, before it is cut into lines.
struct Answer {
    form: Form,
    model: String,
    pieces: Vec<String>,
    done_reason: &'static str,
    prompt_tokens: u64,
    start: Instant,
    first_token: Duration,
}

/// `POST /api/chat`.
pub(crate) async fn chat(
    State(served): State<Arc<Served>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    answer(Form::Chat, &served, &headers, &body).await
}

/// `POST /api/generate`.
pub(crate) async fn generate(
    State(served): State<Arc<Served>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    answer(Form::Generate, &served, &headers, &body).await
}

/// `GET /api/tags`.
pub(crate) async fn tags(State(served): State<Arc<Served>>) -> Response {
    let details = json!({"format": "none", "family": "simulated", "parameter_size": "0"});
    let model = json!({
        "name": served.model, "model": served.model, "modified_at": rfc3339(unix_seconds()),
        "size": 0, "digest": "0".repeat(64), "details": details,
    });
    Json(json!({"models": [model]})).into_response()
}

/// `GET /api/version`.
pub(crate) async fn version() -> Response {
    Json(json!({"version": VERSION})).into_response()
}

async fn answer(
    form: Form,
    served: &Served,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Refusal> {
    let start = Instant::now();
    let (asked, schedule) = read::<Generation>(served, headers, body)?;
    let predict = asked.options.and_then(|options| options.num_predict);
    let (pieces, cut) = schedule.answer(predict.and_then(|limit| u64::try_from(limit).ok()));
    let answer = Answer {
        form,
        model: asked.model.unwrap_or_else(|| served.model.clone()),
        pieces,
        done_reason: if cut { "length" } else { "stop" },
        prompt_tokens: token_count(&asked.messages) + token_count(&asked.prompt),
        start,
        first_token: schedule.due(0),
    };
    if asked.stream.unwrap_or(true) {
        return Ok(answer.streamed(schedule));
    }
    let last = (answer.pieces.len() as u64).saturating_sub(1);
    tokio::time::sleep_until(start + schedule.due(last)).await;
    Ok(Json(answer.last(&answer.pieces.concat())).into_response())
}

impl Answer {
    fn line(&self, text: &str, done: bool) -> Value {
        let created_at = rfc3339(unix_seconds());
        let mut line = json!({"model": self.model, "created_at": created_at, "done": done});
        match self.form {
            Form::Chat => line["message"] = json!({"role": "assistant", "content": text}),
            Form::Generate => line["response"] = json!(text),
        }
        line
    }

    /// The line that ends an answer; durations are in nanoseconds.
    fn last(&self, text: &str) -> Value {
        let mut line = self.line(text, true);
        line["done_reason"] = json!(self.done_reason);
        let total = self.start.elapsed();
        line["total_duration"] = json!(total.as_nanos() as u64);
        line["load_duration"] = json!(0);
        line["prompt_eval_count"] = json!(self.prompt_tokens);
        line["prompt_eval_duration"] = json!(self.first_token.as_nanos() as u64);
        line["eval_count"] = json!(self.pieces.len());
        line["eval_duration"] = json!(total.saturating_sub(self.first_token).as_nanos() as u64);
        line
    }

    fn streamed(self, schedule: Schedule) -> Response {
        let answer = Arc::new(self);
        let ending = Arc::clone(&answer);
        let (start, count) = (answer.start, answer.pieces.len());
        let lines = paced(schedule, start, count, move |index| {
            format!("{}\n", answer.line(&answer.pieces[index], false))
        });
        let end = stream::once(async move { Ok(format!("{}\n", ending.last(""))) });
        let headers = [(CONTENT_TYPE, "application/x-ndjson")];
        (headers, Body::from_stream(lines.chain(end))).into_response()
    }
}
