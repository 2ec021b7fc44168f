//! The path of Anthropic's API: messages, whole and as events.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Served;
use super::clock::unix_seconds;
use super::paced::paced;
use super::request::{Refusal, read, token_count};
use super::schedule::Schedule;

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    model: Option<String>,
    /// Necessary, as in Anthropic's API.
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    messages: Value,
    #[serde(default)]
    system: Value,
    #[serde(default)]
    stream: Option<bool>,
}

/// One answer, before it is cut into events.
struct Answer {
    id: String,
    model: String,
    pieces: Vec<String>,
    stop_reason: &'static str,
    input_tokens: u64,
}

/// `POST /v1/messages`.
pub(crate) async fn messages(
    State(served): State<Arc<Served>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let start = Instant::now();
    let (asked, schedule) = read::<Asked>(&served, &headers, &body)?;
    if !asked.messages.is_array() {
        return Err(Refusal::Field("messages must be a list"));
    }
    let Some(limit) = asked.max_tokens else {
        return Err(Refusal::Field("max_tokens is missing"));
    };
    let (pieces, cut) = schedule.answer(Some(limit));
    let answer = Answer {
        id: format!("msg_{}", unix_seconds()),
        model: asked.model.unwrap_or_else(|| served.model.clone()),
        pieces,
        stop_reason: if cut { "max_tokens" } else { "end_turn" },
        input_tokens: token_count(&asked.messages) + token_count(&asked.system),
    };
    if asked.stream.unwrap_or(false) {
        return Ok(answer.streamed(schedule, start));
    }
    let last = (answer.pieces.len() as u64).saturating_sub(1);
    tokio::time::sleep_until(start + schedule.due(last)).await;
    Ok(Json(answer.whole()).into_response())
}

impl Answer {
    fn message(&self, content: Value, stop_reason: Value, output_tokens: u64) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": content, "stop_reason": stop_reason, "stop_sequence": null,
            "usage": {"input_tokens": self.input_tokens, "output_tokens": output_tokens},
        })
    }

    fn whole(&self) -> Value {
        let content = json!([{"type": "text", "text": self.pieces.concat()}]);
        self.message(content, json!(self.stop_reason), self.pieces.len() as u64)
    }

    /// What comes before the first piece of text.
    fn opening(&self) -> String {
        let message = self.message(json!([]), Value::Null, 0);
        let block = json!({"type": "text", "text": ""});
        [
            event("message_start", json!({"message": message})),
            event("content_block_start", json!({"index": 0, "content_block": block})),
            event("ping", json!({})),
        ]
        .concat()
    }

    fn piece(&self, index: usize) -> String {
        let delta = json!({"type": "text_delta", "text": self.pieces[index]});
        let piece = event("content_block_delta", json!({"index": 0, "delta": delta}));
        if index == 0 { self.opening() + &piece } else { piece }
    }

    fn ending(&self) -> String {
        let delta = json!({"stop_reason": self.stop_reason, "stop_sequence": null});
        let usage = json!({"output_tokens": self.pieces.len()});
        [
            event("content_block_stop", json!({"index": 0})),
            event("message_delta", json!({"delta": delta, "usage": usage})),
            event("message_stop", json!({})),
        ]
        .concat()
    }

    fn streamed(self, schedule: Schedule, start: Instant) -> Response {
        let ending = self.ending();
        let parts = paced(schedule, start, self.pieces.len(), move |index| self.piece(index));
        let body = Body::from_stream(parts.chain(stream::iter([Ok(ending)])));
        let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
        (headers, body).into_response()
    }
}

/// An event whose data say its type once more, as Anthropic's do.
fn event(kind: &str, mut data: Value) -> String {
    data["type"] = json!(kind);
    format!("event: {kind}\ndata: {data}\n\n")
}
