//! The paths of OpenAI's API: models, chat, completions, embeddings.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Served;
use super::clock::unix_seconds;
use super::paced::paced;
use super::request::{Refusal, read, token_count};
use super::schedule::Schedule;

/// Most inputs of one request for embeddings, as OpenAI's API has it.
const INPUTS_MAX: usize = 2048;
/// Most dimensions of an embedding.
const DIMENSIONS_MAX: usize = 4096;

#[derive(Deserialize)]
struct Generation {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    messages: Value,
    #[serde(default)]
    prompt: Value,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    max_completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct Embedding {
    #[serde(default)]
    model: Option<String>,
    input: Value,
    #[serde(default)]
    encoding_format: Option<String>,
    #[serde(default)]
    dimensions: Option<usize>,
}

/// Whether an answer is of the chat path or of the older one.
#[derive(Clone, Copy)]
enum Form {
    Chat,
    Text,
}

/// One answer, before it is put into the one or the other form.
struct Answer {
    form: Form,
    id: String,
    created: u64,
    model: String,
    pieces: Vec<String>,
    finish_reason: &'static str,
    prompt_tokens: u64,
}

/// `GET /v1/models`.
pub(crate) async fn models(State(served): State<Arc<Served>>) -> Response {
    let model = json!({
        "id": served.model, "object": "model", "created": unix_seconds(), "owned_by": "simulated"
    });
    Json(json!({"object": "list", "data": [model]})).into_response()
}

/// `POST /v1/chat/completions`.
pub(crate) async fn chat(
    State(served): State<Arc<Served>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (asked, schedule) = read::<Generation>(&served, &headers, &body)?;
    if !asked.messages.is_array() {
        return Err(Refusal::Field("messages must be a list"));
    }
    Ok(generate(Form::Chat, &served, asked, schedule).await)
}

/// `POST /v1/completions`.
pub(crate) async fn completions(
    State(served): State<Arc<Served>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (asked, schedule) = read::<Generation>(&served, &headers, &body)?;
    if !asked.prompt.is_string() && !asked.prompt.is_array() {
        return Err(Refusal::Field("prompt must be text or a list"));
    }
    Ok(generate(Form::Text, &served, asked, schedule).await)
}

async fn generate(form: Form, served: &Served, asked: Generation, schedule: Schedule) -> Response {
    let start = Instant::now();
    let (pieces, cut) = schedule.answer(asked.max_completion_tokens.or(asked.max_tokens));
    let created = unix_seconds();
    let answer = Answer {
        form,
        id: format!("{}-{created}", form.id_prefix()),
        created,
        model: asked.model.unwrap_or_else(|| served.model.clone()),
        pieces,
        finish_reason: if cut { "length" } else { "stop" },
        prompt_tokens: token_count(&asked.messages) + token_count(&asked.prompt),
    };
    if asked.stream.unwrap_or(false) {
        let usage = asked.stream_options.is_some_and(|options| options.include_usage);
        return answer.streamed(schedule, start, usage);
    }
    let last = (answer.pieces.len() as u64).saturating_sub(1);
    tokio::time::sleep_until(start + schedule.due(last)).await;
    Json(answer.whole()).into_response()
}

impl Form {
    fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl",
            Self::Text => "cmpl",
        }
    }

    fn object(self, streamed: bool) -> &'static str {
        match (self, streamed) {
            (Self::Chat, true) => "chat.completion.chunk",
            (Self::Chat, false) => "chat.completion",
            (Self::Text, _) => "text_completion",
        }
    }
}

impl Answer {
    fn usage(&self) -> Value {
        let completion_tokens = self.pieces.len() as u64;
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
        })
    }

    fn envelope(&self, streamed: bool, choices: Value) -> Value {
        json!({
            "id": self.id, "object": self.form.object(streamed), "created": self.created,
            "model": self.model, "choices": choices,
        })
    }

    fn whole(&self) -> Value {
        let text = self.pieces.concat();
        let mut choice = json!({"index": 0, "finish_reason": self.finish_reason});
        match self.form {
            Form::Chat => choice["message"] = json!({"role": "assistant", "content": text}),
            Form::Text => choice["text"] = json!(text),
        }
        let mut answer = self.envelope(false, json!([choice]));
        answer["usage"] = self.usage();
        answer
    }

    /// One event with a piece of text; the first one of a chat also names the role.
    fn piece(&self, index: usize, text: &str) -> Value {
        let mut choice = json!({"index": 0, "finish_reason": null});
        match (self.form, index) {
            (Form::Chat, 0) => choice["delta"] = json!({"role": "assistant", "content": text}),
            (Form::Chat, _) => choice["delta"] = json!({"content": text}),
            (Form::Text, _) => choice["text"] = json!(text),
        }
        self.envelope(true, json!([choice]))
    }

    fn last(&self) -> Value {
        let mut choice = json!({"index": 0, "finish_reason": self.finish_reason});
        match self.form {
            Form::Chat => choice["delta"] = json!({}),
            Form::Text => choice["text"] = json!(""),
        }
        self.envelope(true, json!([choice]))
    }

    fn streamed(self, schedule: Schedule, start: Instant, usage: bool) -> Response {
        let mut tail = event(&self.last());
        if usage {
            let mut totals = self.envelope(true, json!([]));
            totals["usage"] = self.usage();
            tail.push_str(&event(&totals));
        }
        tail.push_str("data: [DONE]\n\n");
        let pieces = paced(schedule, start, self.pieces.len(), move |index| {
            event(&self.piece(index, &self.pieces[index]))
        });
        let body = Body::from_stream(pieces.chain(stream::iter([Ok(tail)])));
        let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
        (headers, body).into_response()
    }
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// `POST /v1/embeddings`.
pub(crate) async fn embeddings(
    State(served): State<Arc<Served>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let start = Instant::now();
    let (asked, schedule) = read::<Embedding>(&served, &headers, &body)?;
    let dimensions = asked.dimensions.unwrap_or(384);
    if !(1..=DIMENSIONS_MAX).contains(&dimensions) {
        return Err(Refusal::Field("dimensions must be 1 to 4096"));
    }
    let inputs = inputs(asked.input)?;
    let in_base64 = match asked.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Refusal::Field("encoding_format must be float or base64")),
    };
    let tokens: u64 = inputs.iter().map(token_count).sum();
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = encode(&vector(input, dimensions), in_base64);
            json!({"object": "embedding", "index": index, "embedding": vector})
        })
        .collect();
    tokio::time::sleep_until(start + schedule.due(0)).await;
    Ok(Json(json!({
        "object": "list", "data": data,
        "model": asked.model.unwrap_or_else(|| served.model.clone()),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))
    .into_response())
}

/// The inputs to embed: one text, several texts, or token ids in place of a text.
fn inputs(input: Value) -> Result<Vec<Value>, Refusal> {
    let inputs = match input {
        Value::Array(items) if items.iter().any(|item| !item.is_number()) => items,
        Value::Array(ids) if !ids.is_empty() => vec![Value::Array(ids)],
        Value::String(text) => vec![Value::String(text)],
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            return Err(Refusal::Field("input must be text or a list"));
        }
    };
    if inputs.len() > INPUTS_MAX {
        return Err(Refusal::Field("input has more than 2048 entries"));
    }
    Ok(inputs)
}

/// A unit vector that is the same for the same input: a generator seeded by FNV-1a of its JSON.
fn vector(input: &Value, dimensions: usize) -> Vec<f32> {
    let seed = input.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut state = seed | 1;
    let raw: Vec<f32> = (0..dimensions)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect();
    let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.iter().map(|value| value / length).collect()
}

fn encode(vector: &[f32], in_base64: bool) -> Value {
    if !in_base64 {
        return json!(vector);
    }
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    json!(BASE64_STANDARD.encode(bytes))
}
