//! A mask in front of llama.cpp with real weights, which has no choice but to say an e-mail
//! address, a card's number and a vendor's key, in tokens of its own: what people's clients then
//! hold, what stands in bytes on their side, and what is written of it. llama.cpp speaks the
//! protocols of OpenAI and Anthropic; Ollama's it does not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;
use std::time::Duration;

use penstock_harness::{
    ConnectionEnd, Dev, DevOptions, Gate, Process, RawClient, Response, Script, ScriptedUpstream,
    eventually,
};
use penstock_journeys::clients::{Asked, Client, Language, Vendor};
use penstock_journeys::search::{Needle, search};
use penstock_journeys::{documents, requests, tools};
use serde_json::{Value, json};
use tempfile::TempDir;

const ADDRESS: &str = "ann.lee@example.org";
const CARD: &str = "4111 1111 1111 1111";
const KEY_ID: &str = "AKIAJ5Q7WXZ2LMN4PTRS";
const SAID: &str =
    "Write to ann.lee@example.org, pay with 4111 1111 1111 1111, key AKIAJ5Q7WXZ2LMN4PTRS.";
const MASKED: &str = "Write to [EMAIL_ADDRESS], pay with [CREDIT_CARD], key [AWS_ACCESS_KEY_ID].";

/// Bytes of a value that are enough to know it by.
const PIECE_BYTES: usize = 6;
const TOKENS_MAX: u64 = 200;

const MASK: &str = "kind: mask\nname: pii\n\
    detectors: [EMAIL_ADDRESS, CREDIT_CARD, US_SSN, IBAN_CODE, AWS_ACCESS_KEY_ID, GITHUB_TOKEN]\n\
    action: replace\nexcept: [{groups: [on-call]}]\n";

fn masked_connection(endpoint: &str) -> String {
    format!(
        "kind: connection\nname: m\nprotocol: llamacpp\nendpoints: ['{endpoint}']\nmask: pii\n---\n"
    )
}

fn product(endpoint: &str) -> Dev {
    let documents = [
        masked_connection(endpoint),
        documents::allow("engineers", "engineers", "infer.*, list"),
        documents::allow("on-call", "on-call", "infer.*, list"),
        MASK.to_owned(),
    ];
    Dev::start_with(DevOptions { documents: vec![documents.concat()], ..DevOptions::default() })
}

/// llama.cpp that says [`SAID`] to everybody, and the product in front of it.
struct Stage {
    dev: Dev,
    model: String,
    engineer: String,
    on_call: String,
    _server: Process,
    _folder: TempDir,
}

impl Stage {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(tools::python());
        command.arg(tools::repository_file("tests/python/model_server.py")).args(["--say", SAID]);
        let server = Process::spawn(command, &folder.path().join("stderr.log"));
        let line = server.line(Duration::from_secs(120)).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let dev = product(ready["listen"].as_str().unwrap());
        Self {
            model: ready["model"].as_str().unwrap().to_owned(),
            engineer: dev.token("ada", &["engineers"], &[]),
            on_call: dev.token("olga", &["on-call"], &[]),
            dev,
            _server: server,
            _folder: folder,
        }
    }

    fn chat(&self, token: &str, more: &Value) -> Response {
        let mut body = json!({
            "model": self.model, "max_tokens": TOKENS_MAX,
            "messages": [{"role": "user", "content": "Whom do I pay?"}],
        });
        let members = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(members);
        let mut client = RawClient::connect(&self.dev.ready().gateway);
        client.set_patience(Duration::from_secs(60));
        client.exchange(requests::post("/m/v1/chat/completions", token, &body.to_string()))
    }

    fn content(&self, token: &str) -> String {
        let body = self.chat(token, &json!({})).message.json();
        body["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    }
}

/// No value stands in these bytes, nor enough of one to know it by.
#[track_caller]
fn no_value_is_in(bytes: &[u8]) {
    for value in [ADDRESS, CARD, KEY_ID] {
        for piece in value.as_bytes().windows(PIECE_BYTES) {
            let piece = Needle::exact("a piece", std::str::from_utf8(piece).unwrap());
            assert!(!piece.is_in(bytes), "of {value}: {}", String::from_utf8_lossy(bytes));
        }
    }
}

#[test]
fn what_a_real_model_says_reaches_no_client_unmasked() {
    let stage = Stage::start();
    clients_hold_masked_text(&stage);
    a_whole_answers_bytes_hold_no_value(&stage);
    a_streams_bytes_hold_no_value(&stage);
    what_can_not_be_masked_is_not_asked(&stage);
    a_changed_mask_holds_for_the_next_exchange(&stage);
    token_ids_that_nobody_asked_for_are_left_out_if_the_mask_says_so(&stage);
    values_are_counted_and_never_written(&stage);
}

fn clients_hold_masked_text(stage: &Stage) {
    for vendor in [Vendor::OpenAi, Vendor::Anthropic] {
        for language in [Language::Python, Language::JavaScript] {
            let mut client = Client::start(language, vendor, None);
            let connection = format!("{}/m", stage.dev.ready().gateway);
            let model = &stage.model;
            let asked =
                |token| Asked { connection: &connection, token, model, tokens_max: TOKENS_MAX };
            let (text, tokens) = client.whole(asked(&stage.engineer)).unwrap();
            assert_eq!(text, MASKED, "{vendor:?} {language:?}");
            assert!(tokens > 10, "its usage is there: {tokens}");
            let (text, pieces) = client.stream(asked(&stage.engineer)).unwrap();
            assert_eq!(text, MASKED, "{vendor:?} {language:?}");
            assert!(pieces > 5, "in {pieces} pieces");
            if language == Language::Python {
                let (text, _) = client.stream(asked(&stage.on_call)).unwrap();
                assert_eq!(text, SAID, "{vendor:?}");
            }
        }
    }
}

fn a_whole_answers_bytes_hold_no_value(stage: &Stage) {
    let answer = stage.chat(&stage.engineer, &json!({}));
    let body = answer.message.json();
    assert_eq!((answer.status, answer.header("penstock-masked")), (200, Some("3")), "{body}");
    assert_eq!(body["choices"][0]["message"]["content"], MASKED);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert!(body["usage"]["completion_tokens"].as_u64().unwrap() > 10, "{body}");
    no_value_is_in(&answer.message.body);
    let clear = stage.chat(&stage.on_call, &json!({}));
    assert_eq!(clear.message.json()["choices"][0]["message"]["content"], SAID);
}

fn a_streams_bytes_hold_no_value(stage: &Stage) {
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let answer = stage.chat(&stage.engineer, &more);
    no_value_is_in(&answer.message.body);
    let text = answer.message.text();
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (last, chunks) = data.split_last().unwrap();
    assert_eq!((*last, answer.message.complete), ("[DONE]", true));
    let chunks: Vec<Value> =
        chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    let said = |chunk: &Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    assert_eq!(chunks.iter().filter_map(said).collect::<String>(), MASKED);
    let reasons: Vec<&str> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(reasons, ["stop"]);
    assert!(chunks.iter().any(|chunk| chunk["usage"]["completion_tokens"].as_u64() > Some(10)));
}

fn what_can_not_be_masked_is_not_asked(stage: &Stage) {
    let refused = stage.chat(&stage.engineer, &json!({"logprobs": true, "top_logprobs": 2}));
    let body = refused.message.json();
    assert_eq!((refused.status, &body["error"]["code"]), (400, &json!("unmaskable")), "{body}");
    let clear = stage.chat(&stage.on_call, &json!({"logprobs": true, "top_logprobs": 2}));
    assert!(!clear.message.json()["choices"][0]["logprobs"].is_null(), "who sees clear text may");
}

fn a_changed_mask_holds_for_the_next_exchange(stage: &Stage) {
    let changed = stage.dev.apply(&MASK.replace("action: replace", "action: hash"));
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    let hashed = stage.content(&stage.engineer);
    assert!(hashed.starts_with("Write to [EMAIL_ADDRESS:") && hashed.contains("[CREDIT_CARD:"));
    assert_eq!(stage.content(&stage.engineer), hashed, "the same value, the same tag");
    no_value_is_in(hashed.as_bytes());
    let other = stage.dev.apply(&MASK.replace("action: replace", "action: {keep_last: 4}"));
    assert_eq!(other.code, 0, "{}", other.stderr);
    assert!(stage.content(&stage.engineer).contains("pay with **** **** **** 1111, key"));
}

/// llama.cpp's own interface tells them in each event of a stream.
fn token_ids_that_nobody_asked_for_are_left_out_if_the_mask_says_so(stage: &Stage) {
    let body = json!({"prompt": "x", "n_predict": TOKENS_MAX, "stream": true}).to_string();
    let stream = || {
        let mut client = RawClient::connect(&stage.dev.ready().gateway);
        client.set_patience(Duration::from_secs(60));
        let answer = client.exchange(requests::post("/m/completion", &stage.engineer, &body));
        no_value_is_in(&answer.message.body);
        answer.message.text()
    };
    let refused = stream();
    assert!(refused.contains("\"unmaskable\"") && !refused.contains("\"content\""), "{refused}");
    let applied = stage.dev.apply(&format!("{MASK}unreadable: strip\n"));
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let stripped = stream();
    let events = stripped.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = events.map(|event| serde_json::from_str(event).unwrap()).collect();
    let said: String = events.iter().filter_map(|event| event["content"].as_str()).collect();
    assert_eq!(said, MASKED);
    assert!(events.iter().all(|event| event["tokens"] == json!([])), "{stripped}");
}

fn values_are_counted_and_never_written(stage: &Stage) {
    let log = stage.dev.state().join("dataplane/access.jsonl");
    eventually("a line that counts", || {
        let text = std::fs::read_to_string(&log).ok()?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        (lines.filter(|line| line["masked"] == 3).count() >= 10).then_some(())
    });
    let mut client = RawClient::connect(&stage.dev.ready().operations);
    let metrics = client.exchange(requests::get("/metrics", "-")).message.text();
    let counted = |detector: &str| {
        metrics.lines().any(|line| {
            line.starts_with("penstock_mask_values_total{")
                && line.contains(r#"connection="m""#)
                && line.contains(&format!("detector=\"{detector}\""))
        })
    };
    for detector in ["EMAIL_ADDRESS", "CREDIT_CARD", "AWS_ACCESS_KEY_ID"] {
        assert!(counted(detector), "{detector}: {metrics}");
    }
    let needles = [ADDRESS, CARD, KEY_ID].map(|value| Needle::secret("a value", value));
    assert!(needles.iter().all(|needle| !needle.is_in(metrics.as_bytes())));
    let found = search(&stage.dev.state(), &needles);
    assert!(found.files > 5, "only {} files", found.files);
    assert_eq!(found.hits, [] as [String; 0]);
}

/// A model server's stream that calls a tool, its arguments cut in pieces of three characters.
fn calling() -> String {
    let arguments = json!({"to": ADDRESS, "note": "say \"hi\"", "times": 2}).to_string();
    let chunk = |delta: &Value, reason: Option<&str>| {
        let chunk = json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "tiny",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        });
        format!("data: {chunk}\n\n")
    };
    let call = json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "call-1",
        "type": "function", "function": {"name": "send", "arguments": ""}}]});
    let mut body = chunk(&call, None);
    for piece in arguments.as_bytes().chunks(3) {
        let piece = std::str::from_utf8(piece).unwrap();
        let delta = json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
        body.push_str(&chunk(&delta, None));
    }
    body.push_str(&chunk(&json!({}), Some("tool_calls")));
    body.push_str("data: [DONE]\n\n");
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len(),
    )
}

#[test]
fn a_tools_arguments_are_masked_and_clients_still_read_them() {
    let script = Script::new().read_request().send(calling());
    let upstream = ScriptedUpstream::start(vec![script.clone(), script]);
    let dev = product(&upstream.url());
    let token = dev.token("ada", &["engineers"], &[]);
    for language in [Language::Python, Language::JavaScript] {
        let mut client = Client::start(language, Vendor::OpenAi, None);
        let connection = format!("{}/m", dev.ready().gateway);
        let asked =
            Asked { connection: &connection, token: &token, model: "tiny", tokens_max: TOKENS_MAX };
        let arguments: Value = serde_json::from_str(&client.call(asked).unwrap()).unwrap();
        let expected = json!({"to": "[EMAIL_ADDRESS]", "note": "say \"hi\"", "times": 2});
        assert_eq!(arguments, expected, "{language:?}");
    }
}

/// One event of a chat, as a chunk of its own.
fn said(content: &str) -> String {
    let delta = json!({"index": 0, "delta": {"content": content}, "finish_reason": null});
    let event = format!("data: {}\n\n", json!({"id": "c", "choices": [delta]}));
    format!("{:x}\r\n{event}\r\n", event.len())
}

#[test]
fn a_running_stream_keeps_its_mask_until_an_apply_cuts_it_open() {
    const STREAM: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (changed, held) = (Gate::new(), said("and then ann.lee@exam"));
    let begun =
        Script::new().read_request().send(STREAM).send(said("Ann is ann.lee@example.org. "));
    let again = said("Again ann.lee@example.org. ");
    let first = begun.clone().wait(&changed).send(again).send(held).read_to_end();
    let upstream = ScriptedUpstream::start(vec![first, begun.stall()]);
    let dev = product(&upstream.url());
    let token = dev.token("ada", &["engineers"], &[]);
    let body = json!({"model": "tiny", "messages": [], "stream": true}).to_string();
    let open = || {
        let mut client = RawClient::connect(&dev.ready().gateway);
        client.send(requests::post("/m/v1/chat/completions", &token, &body));
        client
    };
    let until = |client: &mut RawClient, text: &str| {
        String::from_utf8(client.read_until(text.as_bytes()).unwrap()).unwrap()
    };
    let mut running = open();
    until(&mut running, "Ann is [EMAIL_ADDRESS]. ");

    // Longer than what the model server then falls silent for.
    let hashing = MASK.replace("action: replace", "action: hash\nstalled_ms_max: 60000");
    let applied = dev.apply(&hashing);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert!(applied.stderr.contains("--cut-open ends them):\n  connection/m\n"), "{applied:?}");
    changed.open();
    until(&mut running, "Again [EMAIL_ADDRESS]. ");
    let mut later = open();
    until(&mut later, "Ann is [EMAIL_ADDRESS:");

    let file = dev.folder().join("applied.yaml");
    let apply = |more: &[&str]| {
        let arguments = ["apply", "-f", file.to_str().unwrap(), "--cut-open"];
        let output = dev.penstock(&[&arguments[..], more].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
        output.stderr
    };
    let would = apply(&["--dry-run"]);
    assert!(would.contains("would end on 1 connection:\n  connection/m\n"), "{would}");
    let cut = apply(&["--wait"]);
    assert!(cut.contains("masks end on 1 connection:\n  connection/m\n"), "{cut}");
    let rest = String::from_utf8(running.read_to_end().unwrap()).unwrap();
    assert!(
        rest.contains("\"code\":\"mask_changed\"") && rest.ends_with("\r\n0\r\n\r\n"),
        "{rest}"
    );
    assert!(!rest.contains("[DONE]") && !rest.contains("ann.lee"), "{rest}");
    assert_ne!(upstream.wait_for_end(0).end, Some(ConnectionEnd::TimedOut), "it is let go");
    assert!(apply(&["--wait"]).contains("nothing is cut"), "what began later goes on");
    assert_eq!(upstream.recorded(1).end, None);
    eventually("the line of the one that was cut", || {
        let text = std::fs::read_to_string(dev.state().join("dataplane/access.jsonl")).ok()?;
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.any(|line| line["reason"] == "mask_changed").then_some(())
    });
}
