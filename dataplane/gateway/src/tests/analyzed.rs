//! Answers under a mask with an analyser, which the test plays.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use penstock_reactor::memory::{Link, Peer};
use penstock_reactor::network::Network as _;
use serde_json::{Value, json};

use super::limits::reached;
use super::masked::{STOP, begin, chunk, delta, masked, text_of};
use super::stage::{Answer, Stage, chat, post};
use super::streams::dechunk;

/// Bytes of an answer that are not too many, and those that are.
const ANSWER_BYTES: usize = 1 << 20;

/// What the analyser knows.
const NAMES: &[(&str, &str)] =
    &[("Jane Doe", "PERSON"), ("Zoé", "PERSON"), ("Paris", "LOCATION"), ("noon", "DATE_TIME")];

/// How it answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Play {
    /// With what it knows, after so many milliseconds.
    Finds(u64),
    /// With this status and body.
    Answers(u16, &'static [u8]),
    /// With no names, in a body of so many bytes.
    Huge(usize),
    /// With so many names.
    Names(usize),
    /// Not at all.
    Silent,
    /// It closes the connection.
    Closes,
    /// It is not there.
    Away,
}

/// What it was asked: the head of the request, and its body.
type Asked = Rc<RefCell<Vec<(String, Value)>>>;

struct Played {
    asked: Asked,
    connections: Rc<RefCell<usize>>,
}

/// A stage whose mask has an analyser with these members more, and its player.
fn stage(more: &str, play: Play) -> (Stage, Played) {
    let (mask, analyzer) = more.split_once('|').unwrap_or(("", more));
    let line = format!("analyzer: {{url: \"http://127.0.0.1:5002\"{analyzer}}}\n{mask}");
    let stage = Stage::with(1, Link::default(), &masked(&line));
    let played = Played { asked: Rc::default(), connections: Rc::default() };
    if play != Play::Away {
        let address = "127.0.0.1:5002".parse().unwrap();
        let mut listener = stage.simulation.listen(address, Link::default());
        let (network, asked) = (stage.network.clone(), Rc::clone(&played.asked));
        let connections = Rc::clone(&played.connections);
        stage.network.spawn(async move {
            loop {
                let peer = listener.accept().await;
                *connections.borrow_mut() += 1;
                network.spawn(serve(network.clone(), peer, Rc::clone(&asked), play));
            }
        });
    }
    (stage, played)
}

async fn serve(
    network: penstock_reactor::memory::MemoryNetwork,
    mut peer: Peer,
    asked: Asked,
    play: Play,
) {
    while let Ok(head) = peer.read_until(b"\r\n\r\n").await {
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        // At its end a peer reads nothing.
        let Some(length) = length else { return };
        let body = peer.read_exact(length.parse().unwrap()).await.unwrap();
        let question: Value = serde_json::from_slice(&body).unwrap();
        let text = question["text"].as_str().unwrap().to_owned();
        asked.borrow_mut().push((head, question));
        let (status, body) = match play {
            Play::Silent => std::future::pending().await,
            Play::Closes | Play::Away => return,
            Play::Huge(bytes) => (200, format!("[{}]", " ".repeat(bytes - 2)).into_bytes()),
            Play::Names(count) => {
                let name = json!({"entity_type": "PERSON", "start": 0, "end": 8, "score": 1});
                (200, Value::from(vec![name; count]).to_string().into_bytes())
            }
            Play::Answers(status, body) => (status, body.to_vec()),
            Play::Finds(after_ms) => {
                network.sleep(Duration::from_millis(after_ms)).await;
                (200, found(&text).to_string().into_bytes())
            }
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if peer.write(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
    }
}

fn found(text: &str) -> Value {
    let names = NAMES.iter().flat_map(|(name, label)| {
        text.match_indices(name).map(move |(at, name)| {
            let start = text[..at].chars().count();
            json!({"entity_type": label, "start": start, "end": start + name.chars().count(),
                   "score": 0.85, "analysis_explanation": null,
                   "recognition_metadata": {"recognizer_name": "SpacyRecognizer"}})
        })
    });
    names.collect()
}

/// What a caller gets of a stream of these deltas.
fn relayed(stage: &mut Stage, contents: &[&str]) -> String {
    let (mut caller, mut server) = begin(stage, &["engineers"]);
    let run = stage.simulation.run_until(async {
        for content in contents {
            server.write(&chunk(&delta(content))).await.unwrap();
        }
        server.write(&chunk(STOP)).await.unwrap();
        let _ = server.write(b"0\r\n\r\n").await;
        caller.read_until(b"\r\n0\r\n\r\n").await.unwrap()
    });
    let (data, ended) = dechunk(&run.unwrap());
    assert!(ended, "{data}");
    data
}

/// What a caller gets of a whole answer.
fn whole(stage: &mut Stage, body: &str) -> Answer {
    let request = chat(&stage.token("ann", &["engineers"]));
    let request = request.replace("Host:", "Connection: close\r\nHost:");
    let mut caller = stage.caller(Link::default());
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let Stage { simulation, upstream, .. } = stage;
    let run = simulation.run_until(async {
        caller.write(request.as_bytes()).await.unwrap();
        let mut server = upstream.accept().await;
        server.read_until(b"}]}").await.unwrap();
        server.write(answer.as_bytes()).await.unwrap();
        Answer::parse(&caller.read_to_end().await.unwrap())
    });
    run.unwrap()
}

fn message(content: &str) -> String {
    format!("{{\"choices\":[{{\"message\":{{\"content\":\"{content}\"}}}}]}}")
}

fn outcome(stage: &Stage, label: &str) -> u64 {
    let mut all = stage.core.counters.analyzer_by_outcome();
    all.find(|(known, _)| *known == label).unwrap().1
}

#[test]
fn a_stream_is_asked_about_sentence_by_sentence_on_one_connection() {
    let (mut stage, played) = stage(", score_min: 0.7, language: de", Play::Finds(0));
    let data = relayed(&mut stage, &["I am Ja", "ne Doe. Zo", "é met EMP-123456 in Paris at noon"]);
    let expected = "I am [PERSON]. [PERSON] met [EMPLOYEE_ID] in [LOCATION] at noon";
    assert_eq!(text_of(&data), expected);
    for part in ["Jane", "Doe", "Zo", "123456", "Paris"] {
        assert!(!data.contains(part), "{data}");
    }
    let asked = played.asked.borrow();
    let texts: Vec<_> = asked.iter().map(|(_, body)| body["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["I am Jane Doe. ", "Zoé met EMP-123456 in Paris at noon"]);
    let (head, body) = &asked[0];
    assert!(head.starts_with("post /analyze http/1.1\r\nhost: 127.0.0.1:5002\r\n"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
    assert_eq!(body["entities"], json!(["PERSON", "LOCATION", "ORGANIZATION"]));
    assert_eq!((&body["language"], &body["score_threshold"]), (&json!("de"), &json!(0.7)));
    assert_eq!(*played.connections.borrow(), 1);
    assert_eq!(outcome(&stage, "answered"), 2);
    assert_eq!(stage.log()[0]["masked"], 4);
    let counts = stage.core.counters.masked.load();
    let counted: Vec<_> = counts.iter().flat_map(|one| one.by_detector()).collect();
    assert_eq!(counted, [("EMPLOYEE_ID", 1), ("PERSON", 2), ("LOCATION", 1)]);
}

#[test]
fn any_cut_of_a_stream_gives_the_same_text() {
    let text = "Jane Doe, EMP-123456!\nZoé";
    for cut in 1..text.len() {
        let Some((first, second)) = text.split_at_checked(cut) else { continue };
        let (mut stage, _) = stage("", Play::Finds(0));
        let data = relayed(&mut stage, &[first, second]);
        assert_eq!(text_of(&data), "[PERSON], [EMPLOYEE_ID]!\n[PERSON]", "cut at {cut}");
    }
}

#[test]
fn a_whole_answer_is_asked_about_before_it_begins() {
    let (mut stage, played) = stage("", Play::Finds(120));
    let answer = whole(&mut stage, &message("Zo\\u00e9 and Jane Doe met. EMP-123456"));
    assert_eq!(answer.status, 200);
    let body = String::from_utf8(answer.body).unwrap();
    assert_eq!(body, message("[PERSON] and [PERSON] met. [EMPLOYEE_ID]"));
    assert!(answer.head.contains("penstock-masked: 3"), "{}", answer.head);
    assert_eq!(played.asked.borrow().len(), 1);
    assert_eq!(stage.simulation.now(), Duration::from_millis(120));
    assert_eq!(stage.core.counters.analyzer_us.read(), 120_000);
}

/// Answers that are none, and what they count as.
const BAD: &[(Play, &str)] = &[
    (Play::Away, "unreachable"),
    (Play::Closes, "unreachable"),
    (Play::Silent, "timeout"),
    (Play::Finds(501), "timeout"),
    (Play::Answers(500, b"[]"), "refused"),
    (Play::Answers(404, b"[]"), "refused"),
    (Play::Answers(200, b""), "invalid"),
    (Play::Answers(200, b"{}"), "invalid"),
    (Play::Answers(200, b"[] x"), "invalid"),
    (Play::Answers(200, b"[{\"entity_type\":\"PERSON\",\"start\":0,\"end\":1}]"), "invalid"),
    (
        Play::Answers(200, b"[{\"entity_type\":\"\xff\",\"start\":0,\"end\":1,\"score\":1}]"),
        "invalid",
    ),
    (
        Play::Answers(200, b"[{\"entity_type\":\"PERSON\",\"start\":0,\"end\":999,\"score\":1}]"),
        "invalid",
    ),
    (
        Play::Answers(200, b"[{\"entity_type\":\"PERSON\",\"start\":3,\"end\":3,\"score\":1}]"),
        "invalid",
    ),
    (
        Play::Answers(200, b"[{\"entity_type\":\"PERSON\",\"start\":-1,\"end\":3,\"score\":1}]"),
        "invalid",
    ),
    (Play::Answers(200, &[b'['; 4_096]), "invalid"),
];

#[test]
fn a_whole_answer_that_gets_no_answer_is_502_unmaskable_or_redacted_or_passed() {
    for (play, label) in BAD {
        let (mut stage, _) = stage("", *play);
        let answer = whole(&mut stage, &message("Jane Doe. EMP-123456"));
        assert_eq!(answer.status, 502, "{play:?}");
        assert_eq!(answer.error()["code"], "unmaskable", "{play:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("Jane"), "{play:?}");
        assert_eq!(outcome(&stage, label), 1, "{play:?}");
        let line = &stage.log()[0];
        assert_eq!(line["reason"], "unmaskable");
        assert_eq!(line["detail"], "the analyser of its mask did not answer");
    }
    for (play, _) in BAD {
        for (unavailable, text) in [("redact", "***"), ("pass", "Jane Doe. [EMPLOYEE_ID]")] {
            let (mut stage, _) = stage(&format!(", unavailable: {unavailable}"), *play);
            let answer = whole(&mut stage, &message("Jane Doe. EMP-123456"));
            assert_eq!(answer.status, 200, "{play:?}");
            assert_eq!(String::from_utf8(answer.body).unwrap(), message(text), "{play:?}");
        }
    }
}

#[test]
fn a_stream_that_gets_no_answer_is_cut_or_redacted_or_passed() {
    for (play, _) in BAD {
        let (mut stage, _) = stage("", *play);
        let data = relayed(&mut stage, &["12. ", "Jane Doe. ", "EMP-123456"]);
        assert!(data.contains("\"code\":\"unmaskable\"") && !data.contains("[DONE]"), "{data}");
        assert!(data.contains("12. ") && !data.contains("Jane"), "{play:?}: {data}");
        for (unavailable, text) in
            [("redact", "12. *** [EMPLOYEE_ID]"), ("pass", "12. Jane Doe. [EMPLOYEE_ID]")]
        {
            let (mut stage, _) = self::stage(&format!(", unavailable: {unavailable}"), *play);
            let data = relayed(&mut stage, &["12. ", "Jane Doe. ", "EMP-123456"]);
            assert_eq!(text_of(&data), text, "{play:?}");
            assert!(data.ends_with("data: [DONE]\n\n"), "{data}");
        }
    }
}

#[test]
fn what_was_not_asked_for_and_what_scores_too_low_counts_for_nothing() {
    let body = br#"[{"entity_type":"DATE_TIME","start":0,"end":9999,"score":1},
                    {"entity_type":"PERSON","start":0,"end":8,"score":0.4999},
                    {"entity_type":"LOCATION","start":12,"end":17,"score":0.5}]"#;
    let (mut stage, _) = stage("", Play::Answers(200, body));
    assert_eq!(text_of(&relayed(&mut stage, &["Jane Doe in Paris"])), "Jane Doe in [LOCATION]");
}

#[test]
fn one_time_counts_for_all_questions_of_an_event_and_of_a_whole_answer() {
    let long: String = (0..1_000).map(|day| format!("Jane Doe walked for {day} d. ")).collect();
    let (mut stage, played) = stage("", Play::Finds(200));
    let answer = whole(&mut stage, &message(&long));
    assert_eq!(answer.status, 502);
    assert_eq!(stage.simulation.now(), Duration::from_millis(500));
    assert_eq!(played.asked.borrow().len(), 3);
    let (mut stage, _) = self::stage(", unavailable: redact", Play::Finds(200));
    let data = relayed(&mut stage, &["A Zoé. B Zoé. C Zoé. D Zoé. ", "E Zoé. "]);
    assert_eq!(text_of(&data), "A [PERSON]. B [PERSON]. *** *** E [PERSON]. ");
    assert_eq!(stage.simulation.now(), Duration::from_millis(700));
}

#[test]
fn an_analyser_that_keeps_failing_is_left_alone_for_a_while() {
    let (mut stage, played) = stage(", unavailable: pass", Play::Closes);
    let names: Vec<String> = (0..8).map(|number| format!("Name no {number}. ")).collect();
    let contents: Vec<&str> = names.iter().map(String::as_str).collect();
    relayed(&mut stage, &contents);
    assert_eq!(played.asked.borrow().len(), 5);
    assert_eq!((outcome(&stage, "unreachable"), outcome(&stage, "left_alone")), (5, 3));
    stage.simulation.advance(Duration::from_secs(5));
    relayed(&mut stage, &["Once more. "]);
    assert_eq!(played.asked.borrow().len(), 6);
}

#[test]
fn what_an_analyser_can_not_answer_well_does_not_have_it_left_alone() {
    for (play, told) in
        [(Play::Answers(500, b""), "refused"), (Play::Answers(200, b"{"), "invalid")]
    {
        let (mut stage, played) = stage(", unavailable: pass", play);
        let names: Vec<String> = (0..8).map(|number| format!("Name no {number}. ")).collect();
        let contents: Vec<&str> = names.iter().map(String::as_str).collect();
        relayed(&mut stage, &contents);
        assert_eq!(played.asked.borrow().len(), 8, "{told}");
        assert_eq!((outcome(&stage, told), outcome(&stage, "left_alone")), (8, 0));
    }
}

#[test]
fn an_answer_of_too_much_is_redacted_or_refused_and_says_nothing_about_the_analyser() {
    for play in [Play::Huge(ANSWER_BYTES + 1), Play::Names(4_097)] {
        let (mut stage, _) = stage("", play);
        let answer = whole(&mut stage, &message("Jane Doe. EMP-123456"));
        assert_eq!((answer.status, &answer.error()["code"]), (502, &json!("unmaskable")));
        for unavailable in ["redact", "pass"] {
            let (mut stage, played) = self::stage(&format!(", unavailable: {unavailable}"), play);
            let names: Vec<String> = (0..8).map(|number| format!("Name no {number}. ")).collect();
            let contents: Vec<&str> = names.iter().map(String::as_str).collect();
            let data = relayed(&mut stage, &contents);
            assert_eq!(text_of(&data), "*** ".repeat(8), "{play:?} {unavailable}");
            assert_eq!(played.asked.borrow().len(), 8, "{play:?} {unavailable}");
            assert_eq!((outcome(&stage, "too_much"), outcome(&stage, "left_alone")), (8, 0));
        }
    }
    for (play, text) in [
        (Play::Huge(ANSWER_BYTES), "Jane Doe. [EMPLOYEE_ID]"),
        (Play::Names(4_096), "[PERSON]. [EMPLOYEE_ID]"),
    ] {
        let (mut stage, _) = stage("", play);
        let answer = whole(&mut stage, &message("Jane Doe. EMP-123456"));
        assert_eq!(String::from_utf8(answer.body).unwrap(), message(text), "{play:?}");
    }
}

#[test]
fn an_unfinished_sentence_is_decided_when_nothing_comes() {
    let (mut stage, played) = stage("stalled_ms_max: 1500\n|", Play::Finds(0));
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let run = stage.simulation.run_until(async {
        server.write(&chunk(&delta("Jane Doe has gone to Wash"))).await.unwrap();
        let mut got = caller.read_until(b"\n\n\r\n").await.unwrap();
        got.extend(caller.read_until(b"\n\n\r\n").await.unwrap());
        got
    });
    assert_eq!(text_of(&dechunk(&run.unwrap()).0), "[PERSON] has gone to ***");
    assert_eq!(stage.simulation.now(), Duration::from_millis(1_500));
    assert_eq!(reached(&stage, "stalled_ms_max"), 1);
    assert_eq!(played.asked.borrow().len(), 1);
}

#[test]
fn a_caller_that_leaves_while_an_analyser_is_asked_ends_the_exchange() {
    let (mut stage, _) = stage(", timeout_ms: 10000", Play::Silent);
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let run = stage.simulation.run_until(async {
        server.write(&chunk(&(delta("Jane. ") + STOP))).await.unwrap();
        caller.read_until(b"\r\n\r\n").await.unwrap();
    });
    run.unwrap();
    stage.simulation.settle();
    drop(caller);
    assert_eq!(stage.log()[0]["reason"], "client_gone");
    assert_eq!(stage.simulation.now(), Duration::ZERO);
    drop(server);
    stage.simulation.settle();
    assert_eq!(stage.network.pool().bytes_in_use(), 0);
}

#[test]
fn prompts_are_asked_about_where_they_are_masked() {
    let (mut stage, _) = stage("applies_to: [request]\n|", Play::Finds(0));
    let token = stage.token("ann", &["engineers"]);
    let body = r#"{"model":"m","messages":[{"role":"user","content":"I am Jane Doe."}]}"#;
    let request = post("/llama/v1/chat/completions", &token, body);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let run = simulation.run_until(async {
        caller.write(request.as_bytes()).await.unwrap();
        let mut server = upstream.accept().await;
        server.read_until(b"}]}").await.unwrap()
    });
    let seen = String::from_utf8(run.unwrap()).unwrap();
    assert!(seen.ends_with(&body.replace("Jane Doe", "[PERSON]")), "{seen}");
}
