//! Answers under a mask: streams of events.

use std::time::Duration;

use penstock_reactor::memory::{Link, Peer};

use super::limits::reached;
use super::stage::{DOCUMENTS, Stage, chat, post};
use super::streams::dechunk;

/// A mask that is easy to follow: numbers of employees, and an address.
pub(crate) const MASK: &str = r#"
---
kind: mask
name: pii
detectors: [EMAIL_ADDRESS]
patterns: [{name: EMPLOYEE_ID, regex: "EMP-[0-9]{6}"}]
action: replace
"#;

pub(crate) const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The usual documents with that mask on the connection, and these members more in it.
pub(crate) fn masked(more: &str) -> String {
    let connection = DOCUMENTS.replace("protocol: llamacpp\n", "protocol: llamacpp\nmask: pii\n");
    assert_ne!(connection, DOCUMENTS);
    format!("{connection}{}{more}", MASK.trim_end().to_owned() + "\n")
}

/// A stage with it.
pub(crate) fn stage(more: &str) -> Stage {
    Stage::with(1, Link::default(), &masked(more))
}

pub(crate) fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// One event of a chat.
pub(crate) fn delta(content: &str) -> String {
    let content = serde_json::Value::from(content);
    format!(
        "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{content}}},\
         \"finish_reason\":null}}]}}\n\n"
    )
}

/// The event that ends it.
pub(crate) const STOP: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\
                               \"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// All text of a chat's events.
pub(crate) fn text_of(data: &str) -> String {
    let events = data.split("\n\n").filter_map(|event| event.strip_prefix("data: {"));
    let text = |event: &str| {
        let event: serde_json::Value = serde_json::from_str(&format!("{{{event}")).unwrap();
        event["choices"][0]["delta"]["content"].as_str().unwrap_or("").to_owned()
    };
    events.map(text).collect()
}

/// Begins a stream: the caller, and the model server after its head.
pub(crate) fn begin(stage: &mut Stage, groups: &[&str]) -> (Peer, Peer) {
    let request = chat(&stage.token("ann", groups));
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = stage;
    let server = simulation.run_until(async {
        caller.write(request.as_bytes()).await.unwrap();
        let mut server = upstream.accept().await;
        server.read_until(b"}]}").await.unwrap();
        server.write(STREAM.as_bytes()).await.unwrap();
        server
    });
    (caller, server.unwrap())
}

/// What a caller gets of a stream whose body comes in these pieces.
fn relayed(stage: &mut Stage, pieces: &[&str]) -> String {
    let (mut caller, mut server) = begin(stage, &["engineers"]);
    let run = stage.simulation.run_until(async {
        for piece in pieces {
            server.write(&chunk(piece)).await.unwrap();
        }
        server.write(b"0\r\n\r\n").await.unwrap();
        caller.read_until(b"\r\n0\r\n\r\n").await.unwrap()
    });
    let (data, ended) = dechunk(&run.unwrap());
    assert!(ended, "{data}");
    data
}

#[test]
fn any_cut_of_a_stream_gives_the_caller_the_same_text_and_no_byte_of_a_value() {
    let events: String =
        ["I am E", "MP-1234", "56, mail jane", ".doe@exam", "ple.com", " or EMP-12"]
            .into_iter()
            .map(delta)
            .collect::<String>()
            + STOP;
    let expected = "I am [EMPLOYEE_ID], mail [EMAIL_ADDRESS] or EMP-12";
    let mut stage = stage("");
    for cut in 1..events.len() {
        let (first, second) = events.split_at(cut);
        let data = relayed(&mut stage, &[first, second]);
        assert_eq!(text_of(&data), expected, "cut at {cut}");
        for part in ["123456", "jane", "doe@", "MP-123", "exam"] {
            assert!(!data.contains(part), "cut at {cut}: {data}");
        }
        assert!(data.ends_with("data: [DONE]\n\n"), "cut at {cut}: {data}");
    }
    let lines = stage.log();
    assert_eq!(lines.len(), events.len() - 1);
    assert!(lines.iter().all(|line| line["masked"] == 2 && line["reason"] == "served"));
}

#[test]
fn rough_links_give_the_caller_the_same_text() {
    let events: String = (0..40).map(|number| delta(&format!("EMP-{number:06} and "))).collect();
    let expected = "[EMPLOYEE_ID] and ".repeat(40);
    for seed in 0..20 {
        let mut stage = Stage::with(seed, Link::rough(), &masked(""));
        let request = chat(&stage.token("ann", &["engineers"]));
        let mut caller = stage.caller(Link::rough());
        let Stage { simulation, upstream, .. } = &mut stage;
        let run = simulation.run_until(async {
            caller.write(request.as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"}]}").await.unwrap();
            server.write(STREAM.as_bytes()).await.unwrap();
            server.write(&chunk(&(events.clone() + STOP))).await.unwrap();
            server.write(b"0\r\n\r\n").await.unwrap();
            caller.read_until(b"\r\n0\r\n\r\n").await.unwrap()
        });
        let (data, ended) = dechunk(&run.unwrap());
        assert!(ended && text_of(&data) == expected, "seed {seed}: {data}");
    }
}

#[test]
fn events_in_which_nothing_changed_are_the_bytes_that_came() {
    let mut stage = stage("");
    let events = [
        ": keep-alive\n\n",
        "data: {\"id\":\"c\",  \"choices\":[{\"index\":0,\
         \"delta\":{\"role\":\"assistant\"}}]}\r\n\r\n",
        "data:{\"id\":\"c\",\"choices\":[{\"index\":0,\
         \"delta\":{\"content\":\"A \\u0041 word. \"}}]}\n\n",
        "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"total_tokens\":7}}\r\r",
        "data: [DONE]\n\n",
    ];
    let whole = events.concat();
    assert_eq!(relayed(&mut stage, &[&whole]), whole);
    assert_eq!(relayed(&mut stage, &events), whole);
    let cut = whole.find("word").unwrap();
    assert_eq!(relayed(&mut stage, &[&whole[..cut], &whole[cut..]]), whole);
}

#[test]
fn each_event_leaves_in_the_turn_in_which_it_came() {
    let mut stage = stage("");
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let run = stage.simulation.run_until(async {
        let mut got = caller.read_until(b"\r\n\r\n").await.unwrap();
        // All text of the second one is held, and of the third one nothing is left.
        for (content, text) in [("Number ", "Number "), ("EMP-1", ""), ("23456 ", "[EMPLOYEE_ID] ")]
        {
            server.write(&chunk(&delta(content))).await.unwrap();
            let event = caller.read_until(b"\n\n\r\n").await.unwrap();
            got.extend_from_slice(&event);
            let (data, _) = dechunk(&got);
            let last = data.split_inclusive("\n\n").last().unwrap();
            assert_eq!(text_of(last), text, "{data}");
        }
    });
    run.unwrap();
    assert_eq!(stage.simulation.now(), Duration::ZERO, "nothing waited");
}

#[test]
fn a_stream_of_lines_is_masked_line_by_line() {
    let documents = masked("").replace("protocol: llamacpp\n", "protocol: ollama\n");
    let documents = documents.replace("version: b11434\n", "");
    let mut stage = Stage::with(1, Link::default(), &documents);
    let token = stage.token("ann", &["engineers"]);
    let body = r#"{"model":"m","messages":[{"role":"user"}]}"#;
    let request = post("/llama/api/chat", &token, body);
    let line = |content: &str| {
        format!(
            "{{\"model\":\"m\",\"message\":{{\"role\":\"assistant\",\
             \"content\":\"{content}\"}},\"done\":false}}\n"
        )
    };
    let end =
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true}\n";
    let lines = [line("My EMP-"), line("123456"), line("."), end.to_owned()].concat();
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let run = simulation.run_until(async {
        caller.write(request.as_bytes()).await.unwrap();
        let mut server = upstream.accept().await;
        server.read_until(b"}]}").await.unwrap();
        server
            .write(STREAM.replace("text/event-stream", "application/x-ndjson").as_bytes())
            .await
            .unwrap();
        server.write(&chunk(&lines)).await.unwrap();
        server.write(b"0\r\n\r\n").await.unwrap();
        caller.read_until(b"\r\n0\r\n\r\n").await.unwrap()
    });
    let (data, ended) = dechunk(&run.unwrap());
    let texts = data.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["message"]["content"].as_str().unwrap().to_owned()
    });
    assert!(ended && data.ends_with("\"done\":true}\n"), "{data}");
    assert_eq!(texts.collect::<String>(), "My [EMPLOYEE_ID].");
}

#[test]
fn text_that_is_held_while_nothing_comes_is_redacted_in_time_and_counted() {
    let mut stage = stage("stalled_ms_max: 1500\n");
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let run = stage.simulation.run_until(async {
        server.write(&chunk(&delta("so EMP-12"))).await.unwrap();
        let mut got = caller.read_until(b"\n\n\r\n").await.unwrap();
        got.extend(caller.read_until(b"\n\n\r\n").await.unwrap());
        got
    });
    let mut got = run.unwrap();
    assert_eq!(stage.simulation.now(), Duration::from_millis(1_500));
    assert_eq!(text_of(&dechunk(&got).0), "so ***");
    assert_eq!(reached(&stage, "stalled_ms_max"), 1);
    assert_eq!(stage.core.counters.mask_hold_ms_max.read(), 1_500);
    let rest = stage.simulation.run_until(async {
        server.write(&chunk(&(delta("3456 then ") + STOP))).await.unwrap();
        server.write(b"0\r\n\r\n").await.unwrap();
        caller.read_until(b"\r\n0\r\n\r\n").await.unwrap()
    });
    got.extend(rest.unwrap());
    let (data, ended) = dechunk(&got);
    assert!(ended && !data.contains("EMP-12"), "{data}");
    assert_eq!(reached(&stage, "stalled_ms_max"), 1, "nothing was held any more");
}

#[test]
fn text_that_is_held_too_long_goes_through_where_the_mask_says_so() {
    let mut stage = stage("stalled: release\n");
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let run = stage.simulation.run_until(async {
        server.write(&chunk(&delta("so EMP-12"))).await.unwrap();
        let mut got = caller.read_until(b"\n\n\r\n").await.unwrap();
        got.extend(caller.read_until(b"\n\n\r\n").await.unwrap());
        got
    });
    assert_eq!(text_of(&dechunk(&run.unwrap()).0), "so EMP-12");
    assert_eq!(stage.simulation.now(), Duration::from_secs(2), "the default");
}

#[test]
fn held_text_does_not_stop_comments_and_an_event_that_dribbles_in_does_not_stop_its_end() {
    let mut stage = Stage::limited(1, Link::default(), &masked(""), "{stream_comment_ms: 1000}");
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let run = stage.simulation.run_until(async {
        server.write(&chunk(&delta("so EMP-12"))).await.unwrap();
        caller.read_until(b"\n\n\r\n").await.unwrap();
        assert_eq!(caller.read_until(b"\n\n\r\n").await.unwrap(), b"3\r\n:\n\n\r\n");
        server.write(b"1\r\nd\r\n").await.unwrap();
        let stalled = caller.read_until(b"\n\n\r\n").await.unwrap();
        String::from_utf8(stalled).unwrap()
    });
    let stalled = run.unwrap();
    assert!(stalled.contains("***"), "{stalled}");
    assert_eq!(stage.simulation.now(), Duration::from_secs(2));
}

#[test]
fn a_cut_lets_go_of_nothing_that_is_held() {
    let mut stage = stage("");
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let run = stage.simulation.run_until(async {
        server.write(&chunk(&delta("so EMP-12"))).await.unwrap();
        caller.read_until(b"\n\n\r\n").await.unwrap()
    });
    let mut got = run.unwrap();
    stage.enforce(&masked("").replace("[\"infer.*\", list, embed]", "[list]"));
    got.extend(stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap());
    let (data, ended) = dechunk(&got);
    assert!(ended && data.contains("\"code\":\"denied\"") && !data.contains("[DONE]"), "{data}");
    assert!(!data.contains("EMP"), "{data}");

    let (mut caller, mut server) = {
        stage.enforce(&masked(""));
        begin(&mut stage, &["engineers"])
    };
    let run = stage.simulation.run_until(async {
        server.write(&chunk(&delta("so EMP-12"))).await.unwrap();
        let mut got = caller.read_until(b"\n\n\r\n").await.unwrap();
        drop(server);
        got.extend(caller.read_to_end().await.unwrap());
        got
    });
    let (data, ended) = dechunk(&run.unwrap());
    assert!(ended && data.contains("upstream_reset") && !data.contains("EMP"), "{data}");
}

#[test]
fn an_event_that_can_not_be_masked_ends_the_stream_with_an_error_event() {
    let mut stage = stage("");
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let run = stage.simulation.run_until(async {
        let events =
            delta("fine. ") + "data: {\"choices\":[{\"delta\":{\"content\":\"EMP-123456\n\n";
        server.write(&chunk(&events)).await.unwrap();
        caller.read_to_end().await.unwrap()
    });
    let (data, ended) = dechunk(&run.unwrap());
    assert!(
        ended && data.contains("\"code\":\"unmaskable\"") && !data.contains("[DONE]"),
        "{data}"
    );
    assert!(data.contains("fine. ") && !data.contains("123456"), "{data}");
    let line = &stage.log()[0];
    assert_eq!(line["reason"], "unmaskable");
    assert!(line["detail"].as_str().unwrap().contains("can't be read"), "{line}");
}

#[test]
fn an_event_beyond_a_mebibyte_is_unmaskable_and_holds_no_more_than_that() {
    use penstock_reactor::network::Network as _;
    let mut stage = stage("");
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let network = stage.network.clone();
    let piece = chunk(&"x".repeat(16_000));
    let run = stage.simulation.run_until(async {
        server.write(&chunk("data: ")).await.unwrap();
        while server.write(&piece).await.is_ok() {
            assert!(network.pool().bytes_in_use() <= 4 << 20);
        }
        caller.read_to_end().await.unwrap()
    });
    let (data, ended) = dechunk(&run.unwrap());
    assert!(ended && data.contains("\"code\":\"unmaskable\"") && !data.contains("xxx"), "{data}");
}

#[test]
fn a_long_event_is_masked_in_turns() {
    let mut stage = stage("");
    let words = "some words, EMP-123456 and more. ".repeat(10_000);
    let events = delta("first. ") + &delta(&words) + &delta("last. ") + STOP;
    let pieces: Vec<&str> =
        events.as_bytes().chunks(50_000).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
    let data = relayed(&mut stage, &pieces);
    let expected = format!("first. {words}last. ").replace("EMP-123456", "[EMPLOYEE_ID]");
    assert!(text_of(&data) == expected);
    assert_eq!(stage.log()[0]["masked"], 10_000);
}

#[test]
fn a_caller_of_http_1_0_gets_the_masked_stream_until_the_connection_closes() {
    let mut stage = stage("");
    let request = chat(&stage.token("ann", &["engineers"])).replace("HTTP/1.1", "HTTP/1.0");
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let run = simulation.run_until(async {
        caller.write(request.as_bytes()).await.unwrap();
        let mut server = upstream.accept().await;
        server.read_until(b"}]}").await.unwrap();
        let events = delta("I am EMP-") + &delta("123456.") + STOP;
        let head = STREAM.replace("Transfer-Encoding: chunked", "Content-Length: ");
        let head = head.replace("Content-Length: ", &format!("Content-Length: {}", events.len()));
        server.write(head.as_bytes()).await.unwrap();
        server.write(events.as_bytes()).await.unwrap();
        caller.read_to_end().await.unwrap()
    });
    let got = String::from_utf8(run.unwrap()).unwrap();
    let (head, data) = got.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(!head.contains("content-length") && !head.contains("chunked"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(text_of(data), "I am [EMPLOYEE_ID].");
}

#[test]
fn a_changed_mask_is_for_new_exchanges_and_a_running_stream_keeps_its_own() {
    let mut stage = stage("");
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let events = delta("EMP-123456 and blue") + &delta("bird.") + STOP;
    let first = stage.simulation.run_until(async {
        server.write(&chunk(&delta("so EMP-1"))).await.unwrap();
        caller.read_until(b"\n\n\r\n").await.unwrap()
    });
    let mut got = first.unwrap();
    let other = masked("").replace(
        "patterns: [{name: EMPLOYEE_ID, regex: \"EMP-[0-9]{6}\"}]",
        "words: [{name: PROJECT, list: [bluebird]}]",
    );
    assert_ne!(other, masked(""));
    stage.enforce(&other);
    let rest = stage.simulation.run_until(async {
        server.write(&chunk(&(delta("23456 ") + &events))).await.unwrap();
        server.write(b"0\r\n\r\n").await.unwrap();
        caller.read_until(b"\r\n0\r\n\r\n").await.unwrap()
    });
    got.extend(rest.unwrap());
    drop(server);
    let text = text_of(&dechunk(&got).0);
    assert_eq!(text, "so [EMPLOYEE_ID] [EMPLOYEE_ID] and bluebird.");
    let data = relayed(&mut stage, &[&events]);
    assert_eq!(text_of(&data), "EMP-123456 and [PROJECT].");
}

#[test]
fn who_is_excepted_sees_clear_text_and_nobody_else_does() {
    let mut stage = stage("except: [{groups: [on-call]}]\n");
    let events = delta("I am EMP-123456.") + STOP;
    for (groups, text) in [
        (&["engineers", "on-call"][..], "I am EMP-123456."),
        (&["engineers"][..], "I am [EMPLOYEE_ID]."),
    ] {
        let (mut caller, mut server) = begin(&mut stage, groups);
        let run = stage.simulation.run_until(async {
            server.write(&chunk(&events)).await.unwrap();
            server.write(b"0\r\n\r\n").await.unwrap();
            caller.read_until(b"\r\n0\r\n\r\n").await.unwrap()
        });
        assert_eq!(text_of(&dechunk(&run.unwrap()).0), text);
    }
    let lines = stage.log();
    assert_eq!((lines[0].get("masked"), &lines[1]["masked"]), (None, &1.into()));
}
