//! The router as a client sees it, on a clock that stands still unless the server waits for it.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use super::access::Key;
use super::router;
use super::schedule::Schedule;

fn server() -> Router {
    let defaults = Schedule::new(50, 10, None, "one two three".to_owned()).unwrap();
    router("simulated".to_owned(), defaults, None)
}

fn post(path: &str, body: &Value) -> Request<Body> {
    Request::post(path).body(Body::from(body.to_string())).unwrap()
}

async fn text(request: Request<Body>) -> (StatusCode, String) {
    let response = server().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn answer(path: &str, body: &Value) -> Value {
    let (status, text) = text(post(path, body)).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The data of each server-sent event.
async fn events(path: &str, body: &Value) -> Vec<String> {
    let (status, text) = text(post(path, body)).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert!(text.ends_with("\n\n"), "the last event ends");
    let data = |event: &str| event.strip_prefix("data: ").unwrap().to_owned();
    text.trim_end().split("\n\n").map(data).collect()
}

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "say it"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test(start_paused = true)]
async fn a_whole_chat_answer_has_text_and_counts() {
    let answer = answer("/v1/chat/completions", &chat(json!({}))).await;
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "m");
    assert_eq!(answer["choices"][0]["message"]["content"], "one two three");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let usage = json!({"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5});
    assert_eq!(answer["usage"], usage);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_chat_answer_is_one_event_a_token_and_then_done() {
    let events = events("/v1/chat/completions", &chat(json!({"stream": true}))).await;
    let parsed: Vec<Value> =
        events[..4].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert_eq!(parsed[0]["choices"][0]["delta"], json!({"role": "assistant", "content": "one"}));
    assert_eq!(parsed[2]["choices"][0]["delta"], json!({"content": " three"}));
    assert_eq!(parsed[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[4..], ["[DONE]"]);
}

#[tokio::test(start_paused = true)]
async fn usage_comes_with_a_stream_only_when_it_is_asked_for() {
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let events = events("/v1/chat/completions", &chat(more)).await;
    let totals: Value = serde_json::from_str(&events[4]).unwrap();
    assert_eq!(totals["choices"], json!([]));
    assert_eq!(totals["usage"]["completion_tokens"], 3);
    assert_eq!(events.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_stream_come_when_they_are_due() {
    let start = Instant::now();
    let more = json!({"stream": true, "simulate": {"first_token_ms": 200, "gap_ms": 30}});
    let request = post("/v1/chat/completions", &chat(more));
    let response = server().oneshot(request).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO, "the head does not wait for the first token");
    let mut body = response.into_body().into_data_stream();
    for due_ms in [200, 230, 260] {
        body.next().await.unwrap().unwrap();
        let elapsed = start.elapsed();
        let late = elapsed.checked_sub(Duration::from_millis(due_ms)).unwrap();
        assert!(late <= Duration::from_millis(2), "{elapsed:?} for {due_ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_comes_when_its_last_token_is_due() {
    let start = Instant::now();
    answer("/v1/chat/completions", &chat(json!({}))).await;
    assert!(start.elapsed() >= Duration::from_millis(70));
    assert!(start.elapsed() < Duration::from_millis(75));
}

#[tokio::test(start_paused = true)]
async fn the_header_and_the_body_field_change_one_request() {
    let mut request = post("/v1/chat/completions", &chat(json!({})));
    request.headers_mut().insert("x-simulate", "tokens=4".parse().unwrap());
    let (_, by_header) = text(request).await;
    assert!(by_header.contains("one two three one"), "{by_header}");
    let by_field = chat(json!({"simulate": {"text": "of its own"}}));
    let by_field = answer("/v1/chat/completions", &by_field).await;
    assert_eq!(by_field["choices"][0]["message"]["content"], "of its own");
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_request_cuts_the_answer_short() {
    for name in ["max_tokens", "max_completion_tokens"] {
        let answer = answer("/v1/chat/completions", &chat(json!({name: 2}))).await;
        assert_eq!(answer["choices"][0]["message"]["content"], "one two");
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
    }
}

#[tokio::test(start_paused = true)]
async fn the_older_path_answers_whole_and_streamed() {
    let whole = answer("/v1/completions", &json!({"prompt": "go"})).await;
    assert_eq!(whole["object"], "text_completion");
    assert_eq!(whole["choices"][0]["text"], "one two three");
    let events = events("/v1/completions", &json!({"prompt": "go", "stream": true})).await;
    assert!(events[1].contains(r#""text":" two""#), "{}", events[1]);
    assert_eq!(events.last().unwrap(), "[DONE]");
}

#[tokio::test(start_paused = true)]
async fn the_same_input_has_the_same_embedding_of_length_one() {
    let asked = json!({"input": ["a", "b", "a"], "dimensions": 16});
    let data = answer("/v1/embeddings", &asked).await["data"].take();
    assert_eq!(data[0]["embedding"], data[2]["embedding"]);
    assert_ne!(data[0]["embedding"], data[1]["embedding"]);
    let vector: Vec<f64> = serde_json::from_value(data[0]["embedding"].clone()).unwrap();
    assert_eq!(vector.len(), 16);
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    assert!((length - 1.0).abs() < 1e-5);
}

#[tokio::test(start_paused = true)]
async fn an_embedding_in_base64_is_four_bytes_a_dimension() {
    let asked = json!({"input": "a", "dimensions": 6, "encoding_format": "base64"});
    let answer = answer("/v1/embeddings", &asked).await;
    assert_eq!(answer["data"][0]["embedding"].as_str().unwrap().len(), 32);
}

fn message(more: Value) -> Value {
    let mut body = chat(json!({"max_tokens": 100, "system": "be brief"}));
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test(start_paused = true)]
async fn a_whole_message_has_one_block_of_text_and_counts() {
    let whole = answer("/v1/messages", &message(json!({}))).await;
    assert_eq!((&whole["type"], &whole["role"]), (&json!("message"), &json!("assistant")));
    assert_eq!(whole["content"], json!([{"type": "text", "text": "one two three"}]));
    assert_eq!(whole["stop_reason"], "end_turn");
    assert_eq!(whole["usage"], json!({"input_tokens": 4, "output_tokens": 3}));
    let cut = answer("/v1/messages", &message(json!({"max_tokens": 2}))).await;
    assert_eq!(cut["content"][0]["text"], "one two");
    assert_eq!(cut["stop_reason"], "max_tokens");
}

#[tokio::test(start_paused = true)]
async fn a_streamed_message_has_the_events_of_its_api_in_their_order() {
    let (_, text) = text(post("/v1/messages", &message(json!({"stream": true})))).await;
    let events: Vec<(&str, Value)> = text
        .trim_end()
        .split("\n\n")
        .map(|event| {
            let (kind, data) = event.split_once("\ndata: ").unwrap();
            (kind.strip_prefix("event: ").unwrap(), serde_json::from_str(data).unwrap())
        })
        .collect();
    for (kind, data) in &events {
        assert_eq!(data["type"], *kind);
    }
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| *kind).collect();
    let opening = ["message_start", "content_block_start", "ping"];
    let ending = ["content_block_stop", "message_delta", "message_stop"];
    assert_eq!(kinds, [opening, ["content_block_delta"; 3], ending].concat());
    assert_eq!(events[0].1["message"]["content"], json!([]));
    assert_eq!(events[0].1["message"]["usage"]["input_tokens"], 4);
    assert_eq!(events[4].1["delta"], json!({"type": "text_delta", "text": " two"}));
    assert_eq!(events[7].1["delta"]["stop_reason"], "end_turn");
    assert_eq!(events[7].1["usage"], json!({"output_tokens": 3}));
}

#[tokio::test(start_paused = true)]
async fn ollama_streams_lines_unless_told_not_to() {
    let (_, lines) = text(post("/api/chat", &chat(json!({})))).await;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[1]["message"]["content"], " two");
    assert_eq!(lines[1]["done"], false);
    assert_eq!(lines[3]["done"], true);
    assert_eq!(lines[3]["eval_count"], 3);
    let duration = |name: &str| Duration::from_nanos(lines[3][name].as_u64().unwrap());
    assert_eq!(duration("prompt_eval_duration"), Duration::from_millis(50));
    assert_eq!(
        duration("total_duration"),
        duration("prompt_eval_duration") + duration("eval_duration")
    );
    assert_eq!(lines.len(), 4);
    let whole = answer("/api/generate", &json!({"prompt": "go", "stream": false})).await;
    assert_eq!(whole["response"], "one two three");
    assert_eq!(whole["done"], true);
}

#[tokio::test(start_paused = true)]
async fn ollama_keeps_to_the_number_of_tokens_it_is_told() {
    for (limit, text) in [(1, "one"), (-1, "one two three")] {
        let body = json!({"prompt": "go", "stream": false, "options": {"num_predict": limit}});
        assert_eq!(answer("/api/generate", &body).await["response"], text);
    }
}

#[tokio::test]
async fn each_protocol_lists_the_one_model() {
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let (_, models) = text(get("/v1/models")).await;
    assert!(models.contains(r#""id":"simulated""#), "{models}");
    let (_, tags) = text(get("/api/tags")).await;
    assert!(tags.contains(r#""name":"simulated""#), "{tags}");
    assert_eq!(text(get("/api/version")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn adapters_are_none_and_scaling_them_succeeds() {
    let get = Request::get("/lora-adapters").body(Body::empty()).unwrap();
    assert_eq!(text(get).await, (StatusCode::OK, "[]".to_owned()));
    let post = Request::post("/lora-adapters").body(Body::from("[]")).unwrap();
    assert_eq!(text(post).await, (StatusCode::OK, r#"{"success":true}"#.to_owned()));
}

#[tokio::test]
async fn a_request_without_the_key_is_refused_everywhere_but_on_health() {
    let defaults = Schedule::new(0, 0, None, "x".to_owned()).unwrap();
    let server = router("simulated".to_owned(), defaults, Some(Key::new("right")));
    let status = async |path: &str, key: Option<&str>| {
        let mut request = Request::get(path);
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        let request = request.body(Body::empty()).unwrap();
        server.clone().oneshot(request).await.unwrap().status()
    };
    for key in [None, Some("Bearer wrong"), Some("Bearer right2"), Some("right")] {
        assert_eq!(status("/v1/models", key).await, StatusCode::UNAUTHORIZED, "{key:?}");
    }
    assert_eq!(status("/api/tags", None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status("/v1/models", Some("Bearer right")).await, StatusCode::OK);
    let by_key = Request::get("/v1/models").header("x-api-key", "right").body(Body::empty());
    let by_key = server.clone().oneshot(by_key.unwrap()).await.unwrap();
    assert_eq!(by_key.status(), StatusCode::OK);
    assert_eq!(status("/health", None).await, StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_a_reason() {
    let bad = [
        ("/v1/chat/completions", json!({"messages": "text"})),
        ("/v1/chat/completions", json!([])),
        ("/v1/chat/completions", chat(json!({"simulate": {"gap": 1}}))),
        ("/v1/chat/completions", chat(json!({"simulate": {"tokens": 0}}))),
        ("/v1/completions", json!({})),
        ("/v1/messages", chat(json!({}))),
        ("/v1/messages", json!({"max_tokens": 5})),
        ("/v1/embeddings", json!({"input": 7})),
        ("/v1/embeddings", json!({"input": "a", "dimensions": 5000})),
        ("/v1/embeddings", json!({"input": "a", "encoding_format": "octal"})),
    ];
    for (path, body) in bad {
        let (status, text) = text(post(path, &body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(error["error"]["type"], "invalid_request_error", "{text}");
    }
    let request = Request::get("/v2/models").body(Body::empty()).unwrap();
    assert_eq!(text(request).await.0, StatusCode::NOT_FOUND);
}
