//! Raw probes of `tests/probes/http_dev.jsonl` through the real gateway: what it refuses, what it
//! forwards, and what the model server and the caller see of it, byte for byte.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penstock_harness::{
    Answer, AutonomousUpstream, ClientError, Dev, RawClient, Response, eventually,
};
use penstock_journeys::{documents, requests, tools};
use serde_json::Value;

/// Probes say so of their pieces.
const PIECE_PAUSE: Duration = Duration::from_millis(30);

/// How long a connection that should be closed may stay open.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// What the model server answers instead of its own answer, while a probe runs.
type Scripted = Arc<Mutex<Option<Answer>>>;

struct Stage {
    dev: Dev,
    upstream: AutonomousUpstream,
    scripted: Scripted,
    token: String,
}

/// What came of one probe.
struct Outcome {
    responses: Vec<Response>,
    /// Why there was no further response where one was expected.
    fault: Option<ClientError>,
    client: RawClient,
    /// Everything that reached the model server.
    received: Vec<u8>,
    requests: usize,
}

impl Stage {
    fn start() -> Self {
        let scripted = Scripted::default();
        let answers = Arc::clone(&scripted);
        let upstream = AutonomousUpstream::start_with(move |_| answers.lock().unwrap().clone());
        let documents = documents::connection("m", "vllm", &upstream.url())
            + &documents::allow("probes", "probes", "list, infer.chat");
        let dev = Dev::start(&documents);
        let token = dev.token("probe", &["probes"], &[]);
        Self { dev, upstream, scripted, token }
    }

    /// A plain request works again, on a new connection.
    fn settle(&self) {
        *self.scripted.lock().unwrap() = None;
        eventually("a plain request that is answered after a probe", || {
            let mut client = RawClient::connect(&self.dev.ready().gateway);
            client.send(requests::models(&self.token));
            client.read_response().ok().filter(|response| response.status == 200)
        });
        let _ = (self.upstream.take_seen(), self.upstream.take_received());
    }

    /// With `@TOKEN@` replaced; `split` are offsets of what is sent then.
    fn bytes(&self, probe: &Value, field: &str) -> Option<Vec<u8>> {
        let raw = STANDARD.decode(probe.get(field)?.as_str()?).unwrap();
        // Every byte is a character here, so that nothing is lost on the way.
        let text: String = raw.into_iter().map(char::from).collect();
        let replaced = text.replace("@TOKEN@", &self.token);
        Some(replaced.chars().map(|one| u8::try_from(one).unwrap()).collect())
    }

    fn run(&self, probe: &Value) -> Outcome {
        if let Some(answer) = self.bytes(probe, "upstream_b64") {
            let answer = Answer::raw(answer);
            let closes = probe["upstream_close"] == Value::Bool(true);
            let answer = if closes { answer.closing() } else { answer };
            *self.scripted.lock().unwrap() = Some(answer);
        }
        let request = self.bytes(probe, "raw_b64").unwrap();
        let split: Vec<usize> =
            serde_json::from_value(probe.get("split").cloned().unwrap_or_default())
                .unwrap_or_default();
        let mut client = RawClient::connect(&self.dev.ready().gateway);
        client.send_split_with_pause(&request, &split, PIECE_PAUSE);
        if probe["half_close"] == Value::Bool(true) {
            client.shutdown_write();
        }
        let then = probe["expect"]["then"].as_array().map_or(0, Vec::len);
        let (mut responses, mut fault) = (Vec::new(), None);
        let method = if request.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
        for _ in 0..=then {
            match client.read_response_to(method) {
                Ok(response) => responses.push(response),
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        Outcome { responses, fault, client, received: Vec::new(), requests: 0 }
    }

    /// Everything that is not as the probe expects it.
    fn problems(&self, probe: &Value) -> Vec<String> {
        let expect = &probe["expect"];
        let mut outcome = self.run(probe);
        let mut problems = statuses(expect, &outcome);
        problems.extend(bodies(expect, &outcome));
        outcome.client.set_patience(CLOSE_PATIENCE);
        match expect["closed"].as_bool() {
            // At its end all has been forwarded that ever will be.
            Some(true) => {
                problems.extend(not_closed(&mut outcome.client));
                self.take_forwarded(&mut outcome);
            }
            Some(false) => {
                self.take_forwarded(&mut outcome);
                problems.extend(self.not_open(&mut outcome.client));
            }
            None => self.take_forwarded(&mut outcome),
        }
        problems.extend(self.forwarding(expect, &outcome));
        problems
    }

    fn take_forwarded(&self, outcome: &mut Outcome) {
        outcome.requests = self.upstream.take_seen().len();
        outcome.received = self.upstream.take_received();
    }

    fn forwarding(&self, expect: &Value, outcome: &Outcome) -> Vec<String> {
        let mut problems = Vec::new();
        let came = String::from_utf8_lossy(&outcome.received);
        match expect["forwarded"].as_bool() {
            Some(false) if !outcome.received.is_empty() => {
                problems.push(format!("reached the model server: {came:?}"));
            }
            Some(true) if outcome.requests == 0 => {
                problems.push(format!("did not reach the model server: {came:?}"));
            }
            Some(_) | None => {}
        }
        if let Some(most) = expect["upstream_max"].as_u64()
            && outcome.requests as u64 > most
        {
            problems.push(format!("{} requests at the model server: {came:?}", outcome.requests));
        }
        for text in texts(expect, "upstream_not").iter().map(|one| self.with_token(one)) {
            if came.contains(&text) {
                problems.push(format!("the model server got {text:?}: {came:?}"));
            }
        }
        for text in texts(expect, "upstream_has").iter().map(|one| self.with_token(one)) {
            if !came.contains(&text) {
                problems.push(format!("the model server did not get {text:?}: {came:?}"));
            }
        }
        problems
    }

    /// A connection that is open answers one more request.
    fn not_open(&self, client: &mut RawClient) -> Option<String> {
        client.send(requests::models(&self.token));
        match client.read_response() {
            Ok(response) if response.status == 200 => None,
            Ok(response) => Some(format!("then {}: {}", response.status, response.text())),
            Err(error) => Some(format!("the connection was closed: {error}")),
        }
    }

    fn with_token(&self, text: &str) -> String {
        text.replace("@TOKEN@", &self.token)
    }
}

fn not_closed(client: &mut RawClient) -> Option<String> {
    match client.read_to_end() {
        Ok(more) if more.is_empty() => None,
        Ok(more) => Some(format!("more came: {:?}", String::from_utf8_lossy(&more))),
        Err(error) => Some(format!("the connection was not closed: {error}")),
    }
}

/// The first answer has one of the expected statuses, and so has each that follows.
fn statuses(expect: &Value, outcome: &Outcome) -> Vec<String> {
    let mut expected = vec![expect["status"].clone()];
    expected.extend(expect["then"].as_array().cloned().unwrap_or_default());
    let mut problems = Vec::new();
    for (index, expected) in expected.iter().enumerate() {
        let Some(response) = outcome.responses.get(index) else {
            problems.push(match &outcome.fault {
                Some(fault) => format!("no answer {index}: {fault}"),
                None => format!("no answer {index}"),
            });
            break;
        };
        let fits = expected.as_array().is_some_and(|all| all.contains(&response.status.into()));
        if !fits {
            let text = response.text();
            problems.push(format!("answer {index} is {}, not {expected}: {text}", response.status));
        }
        if !response.message.complete {
            problems.push(format!("answer {index} is not complete"));
        }
    }
    problems
}

fn bodies(expect: &Value, outcome: &Outcome) -> Vec<String> {
    let text: String = outcome.responses.iter().map(Response::text).collect();
    let mut problems = Vec::new();
    for unwanted in texts(expect, "body_not") {
        if text.contains(&unwanted) {
            problems.push(format!("the answer holds {unwanted:?}: {text:?}"));
        }
    }
    for wanted in texts(expect, "body_has") {
        if !text.contains(&wanted) {
            problems.push(format!("the answer lacks {wanted:?}: {text:?}"));
        }
    }
    if let Some(count) = expect["body_bytes"].as_u64() {
        let came: usize = outcome.responses.iter().map(|one| one.message.body.len()).sum();
        if came as u64 != count {
            problems.push(format!("an answer of {came} bytes, not {count}"));
        }
    }
    problems
}

fn texts(expect: &Value, field: &str) -> Vec<String> {
    match &expect[field] {
        Value::Null => Vec::new(),
        list => serde_json::from_value(list.clone()).unwrap(),
    }
}

#[test]
fn every_probe_is_answered_as_it_says() {
    let file = tools::repository_file("tests/probes/http_dev.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let probes: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(probes.len(), 90);
    let stage = Stage::start();
    let mut failures = Vec::new();
    for probe in &probes {
        stage.settle();
        let problems = stage.problems(probe);
        if !problems.is_empty() {
            let (id, why) = (&probe["id"], &probe["why"]);
            failures.push(format!("{id} ({why}):\n    {}", problems.join("\n    ")));
        }
    }
    let count = failures.len();
    assert!(failures.is_empty(), "{count} of 90 probes fail:\n{}", failures.join("\n"));
}
