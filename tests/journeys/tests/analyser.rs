//! A mask that names an analyser, which here knows two names: what people get of a stream and of a
//! whole answer, what is written of it, and what becomes of both once the analyser is gone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use penstock_harness::{
    Dev, DevOptions, RawClient, Response, Script, ScriptedUpstream, eventually,
};
use penstock_journeys::search::{Needle, search};
use penstock_journeys::{documents, requests};
use serde_json::{Value, json};

const NAMES: [(&str, &str); 2] = [("Jane Doe", "PERSON"), ("Vršac", "LOCATION")];
const SAID: &str = "I met Jane Doe in Vršac.\nJane Doe wrote to ann.lee@example.org.";
const MASKED: &str = "I met [PERSON] in [LOCATION].\n[PERSON] wrote to [EMAIL_ADDRESS].";

/// A server with the interface of Presidio's analyser.
struct Analyser {
    url: String,
    is_gone: Arc<AtomicBool>,
}

impl Analyser {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_gone = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&is_gone);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let gone = Arc::clone(&gone);
                std::thread::spawn(move || serve(&stream, &gone));
            }
        });
        Self { url, is_gone }
    }

    fn mask(&self, unavailable: &str) -> String {
        format!(
            "kind: mask\nname: pii\ndetectors: [EMAIL_ADDRESS]\nanalyzer: {{url: '{}', \
             timeout_ms: 10000, unavailable: {unavailable}}}\n",
            self.url
        )
    }
}

fn serve(stream: &TcpStream, gone: &AtomicBool) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        if gone.load(Ordering::SeqCst) {
            return None;
        }
        let question: Value = serde_json::from_slice(&body).ok()?;
        let answer = found(question["text"].as_str()?).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
        (&*stream).write_all((head + &answer).as_bytes()).ok()?;
    }
}

fn found(text: &str) -> Value {
    let mut found = Vec::new();
    for (name, label) in NAMES {
        for (at, _) in text.match_indices(name) {
            let start = text.get(..at).unwrap_or_default().chars().count();
            let end = start + name.chars().count();
            found.push(json!({"entity_type": label, "start": start, "end": end, "score": 0.85}));
        }
    }
    found.into()
}

fn whole() -> String {
    let body = json!({"choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": SAID}}]})
    .to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The same, three characters at a time.
fn stream() -> String {
    let characters: Vec<char> = SAID.chars().collect();
    let event = |delta: &Value, reason: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        format!("data: {}\n\n", json!({"id": "c", "choices": [choice]}))
    };
    let mut body: String = characters
        .chunks(3)
        .map(|piece| event(&json!({"content": piece.iter().collect::<String>()}), None))
        .collect();
    body += &event(&json!({}), Some("stop"));
    body += "data: [DONE]\n\n";
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn names_that_an_analyser_finds_reach_nobody_and_without_it_nothing_does() {
    let analyser = Analyser::start();
    let (whole, stream) = (whole(), stream());
    let answers = [&whole, &stream, &whole, &stream, &whole];
    let scripts = answers.map(|answer| Script::new().read_request().send(answer));
    let upstream = ScriptedUpstream::start(scripts.to_vec());
    let connection = format!(
        "kind: connection\nname: m\nprotocol: llamacpp\nendpoints: ['{}']\nmask: pii\n---\n",
        upstream.url()
    );
    let rule = documents::allow("engineers", "engineers", "infer.*, list");
    let documents = vec![[connection, rule, analyser.mask("refuse")].concat()];
    let dev = Dev::start_with(DevOptions { documents, ..DevOptions::default() });
    let token = dev.token("ada", &["engineers"], &[]);
    let body = json!({"model": "tiny", "messages": [{"role": "user"}]}).to_string();
    let ask = || -> Response {
        let mut client = RawClient::connect(&dev.ready().gateway);
        client.exchange(requests::post("/m/v1/chat/completions", &token, &body))
    };

    let answer = ask();
    let content = answer.message.json()["choices"][0]["message"]["content"].clone();
    assert_eq!((content.as_str(), answer.header("penstock-masked")), (Some(MASKED), Some("4")));
    let answer = ask().message;
    let text = answer.text();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: {"));
    let said = |event: &str| {
        let event: Value = serde_json::from_str(&format!("{{{event}")).unwrap();
        event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(events.map(said).collect::<String>(), MASKED, "{text}");
    assert!(text.contains("\"finish_reason\":\"stop\"") && text.ends_with("data: [DONE]\n\n"));

    analyser.is_gone.store(true, Ordering::SeqCst);
    let refused = ask();
    let error = refused.message.json()["error"].clone();
    assert_eq!((refused.status, error["code"].as_str()), (502, Some("unmaskable")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("analyser"), "{error}");
    eventually("a line for the operator", || {
        let log = std::fs::read_to_string(dev.state().join("dataplane.log")).ok()?;
        let line = "the analyser of mask pii does not answer: unreachable";
        log.lines().any(|one| one.ends_with(line)).then_some(())
    });
    let cut = ask().message.text();
    assert!(cut.contains("\"unmaskable\"") && !cut.contains("[DONE]"), "{cut}");
    let applied = dev.apply(&analyser.mask("pass"));
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let passed = ask().message.json()["choices"][0]["message"]["content"].clone();
    let clear = SAID.replace("ann.lee@example.org", "[EMAIL_ADDRESS]");
    assert_eq!(passed.as_str(), Some(clear.as_str()));

    let mut client = RawClient::connect(&dev.ready().operations);
    let metrics = client.exchange(requests::get("/metrics", "-")).message.text();
    let count = |outcome: &str| {
        let line = format!("penstock_mask_analyzer_questions_total{{outcome=\"{outcome}\"}} ");
        metrics.lines().find_map(|one| one.strip_prefix(&line)?.parse::<u64>().ok())
    };
    assert_eq!((count("answered"), count("unreachable")), (Some(3), Some(3)), "{metrics}");
    let needles = NAMES.map(|(name, _)| Needle::secret("a name", name));
    let found = search(&dev.state(), &needles);
    assert!(found.files > 5, "only {} files", found.files);
    assert_eq!(found.hits, [] as [String; 0]);
}
