//! Whole answers under a mask, requests under one, and what is refused.

use penstock_reactor::memory::Link;

use super::desk::documents;
use super::limits::reached;
use super::masked::{MASK, masked, stage};
use super::stage::{Answer, DOCUMENTS, Stage, chat, get, post};
use crate::masking::coded::{brotli, gzip, zstd};

/// What comes of a request that the model server answers with these bytes and a close: what it got,
/// and what the caller did.
fn through(stage: &mut Stage, request: &str, answer: &[u8]) -> (String, Answer) {
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = stage;
    let request = request.replace("Host:", "Connection: close\r\nHost:");
    let run = simulation.run_until(async {
        caller.write(request.as_bytes()).await.unwrap();
        let mut server = upstream.accept().await;
        let mut seen = server.read_until(b"\r\n\r\n").await.unwrap();
        let head = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |text| text.parse().unwrap());
        seen.extend(server.read_exact(length).await.unwrap());
        server.write(answer).await.unwrap();
        server.finish();
        let got = caller.read_to_end().await.unwrap();
        (String::from_utf8(seen).unwrap(), Answer::parse(&got))
    });
    run.unwrap()
}

fn ask(stage: &mut Stage, answer: &[u8]) -> Answer {
    let request = chat(&stage.token("ann", &["engineers"]));
    through(stage, &request, answer).1
}

/// An answer with a length.
fn whole(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

const JSON: &str = "Content-Type: application/json\r\n";

fn message(content: &str) -> String {
    format!(
        "{{\"id\":\"c\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
         \"content\":\"{content}\"}},\"finish_reason\":\"stop\"}}]}}"
    )
}

fn length(answer: &Answer) -> usize {
    let line = answer.head.lines().find_map(|line| line.strip_prefix("content-length: "));
    line.unwrap().parse().unwrap()
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn a_whole_answer_is_masked_with_its_own_length_and_count() {
    let mut stage = stage("");
    let fields = format!(
        "{JSON}ETag: \"1\"\r\nContent-MD5: x\r\nAccept-Ranges: bytes\r\nX-Request-Id: 7\r\n"
    );
    let body = message("EMP-123456 and EMP-654321");
    let answer = ask(&mut stage, &whole("200 OK", &fields, body.as_bytes()));
    assert_eq!(answer.status, 200);
    assert_eq!(text(&answer), message("[EMPLOYEE_ID] and [EMPLOYEE_ID]"));
    assert_eq!(length(&answer), answer.body.len());
    assert!(answer.head.contains("penstock-masked: 2"), "{}", answer.head);
    assert!(answer.head.contains("x-request-id: 7"), "{}", answer.head);
    for name in ["etag", "content-md5", "accept-ranges"] {
        assert!(!answer.head.contains(name), "{}", answer.head);
    }
    assert_eq!(stage.log()[0]["masked"], 2);
    let counts = stage.core.counters.masked.load();
    let counted: Vec<_> = counts.iter().flat_map(|one| one.by_detector()).collect();
    assert_eq!((counts[0].connection(), counted), ("llama", vec![("EMPLOYEE_ID", 2)]));
    assert!(stage.core.counters.mask_scanned_bytes.read() > 0);
}

#[test]
fn a_whole_answer_in_which_nothing_changed_is_the_bytes_that_came() {
    let mut stage = stage("");
    let body = "{ \"id\":\"c\",\n \"choices\":[{\"message\":{\"content\":\"\\u0041 word\"}}]}\n";
    let chunked = format!("{:x}\r\n{body}\r\n0\r\nX-Late: EMP-123456\r\n\r\n", body.len());
    for answer in [
        whole("200 OK", JSON, body.as_bytes()),
        format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{chunked}")
            .into_bytes(),
        format!("HTTP/1.1 200 OK\r\n{JSON}\r\n{body}").into_bytes(),
    ] {
        let answer = ask(&mut stage, &answer);
        assert_eq!((text(&answer), length(&answer)), (body, body.len()));
        assert!(answer.head.contains("penstock-masked: 0"), "{}", answer.head);
    }
}

#[test]
fn text_and_errors_of_any_status_are_masked() {
    let mut stage = stage("");
    let error = r#"{"error":{"message":"no EMP-123456 here"}}"#;
    for (status, fields, body) in [
        ("400 Bad Request", JSON, error),
        ("500 Oops", "Content-Type: application/problem+json\r\n", error),
        ("422 No", "Content-Type: text/plain; charset=utf-8\r\n", "no EMP-123456 here"),
        ("200 OK", "Content-Type: text/plain\r\n", r#"{"a":"\u0045MP-123456"}"#),
        ("200 OK", "Content-Type: text/html\r\n", "<p>EMP-123456"),
    ] {
        let answer = ask(&mut stage, &whole(status, fields, body.as_bytes()));
        assert!(status.starts_with(&answer.status.to_string()), "{status}");
        assert!(text(&answer).contains("[EMPLOYEE_ID]"), "{}", text(&answer));
        assert!(!text(&answer).contains("123456"), "{}", text(&answer));
    }
}

#[test]
fn a_stream_that_says_it_is_text_is_refused_unless_the_mask_lets_it_pass() {
    let plain = "Content-Type: text/plain\r\n";
    let first = r#"{"delta":"EMP-123"}"#;
    let streams = [
        format!("data: {first}\n\ndata: {{\"delta\":\"456\"}}\n\n"),
        "\r\n\nevent: delta\ndata: EMP-123456\n\n".into(),
        "\u{feff}id: 1\ndata: EMP-123456\n\n".into(),
        "retry: 10\ndata: EMP-123456\n\n".into(),
        ": ping\n\ndata: EMP-123456\n\n".into(),
        format!("{first}\n{{\"delta\":\"456\"}}\n"),
        format!("\n {first}{{\"delta\":\"456\"}}"),
        format!("{first},\r\n{{\"delta\":\"456\"}}"),
        format!("{first}\nthen\n{{broken"),
        "[\"EMP-123\"]\n[\"456\"]".into(),
        format!("[]\n\n{first}\n{{\"delta\":\"456\"}}\n"),
        // One that stops in its midst.
        format!("[{first},{{\"delta\":\"456"),
        format!("{{\"a\":{}\n{first}", "[".repeat(300_000)),
    ];
    for (unreadable, status) in [("refuse", 502), ("pass", 200)] {
        let mut stage = stage(&format!("unreadable: {unreadable}\n"));
        for stream in &streams {
            let answer = ask(&mut stage, &whole("200 OK", plain, stream.as_bytes()));
            let start = &stream[..stream.len().min(60)];
            assert_eq!(answer.status, status, "{unreadable}: {start}");
            if status == 200 {
                assert!(answer.body == stream.as_bytes(), "{start}");
            } else {
                assert_eq!(answer.error()["code"], "unmaskable");
            }
        }
    }
}

#[test]
fn prose_that_begins_like_json_is_masked_as_text() {
    let mut stage = stage("");
    for prose in [
        "[1] says EMP-123456\n[2] says so too",
        "[1][2] say EMP-123456",
        "[1]: http://example.com/EMP-123456\n[2]: http://example.com",
        "[INFO] [main] EMP-123456\n[INFO] [main] done",
        "{name} is EMP-123456\n{other} is not",
        "{\"name\": \"EMP-123456\"} is what it said",
        "The data: EMP-123456\ndata: none",
        "identity: EMP-123456",
    ] {
        let answer =
            ask(&mut stage, &whole("200 OK", "Content-Type: text/plain\r\n", prose.as_bytes()));
        assert_eq!(text(&answer), prose.replace("EMP-123456", "[EMPLOYEE_ID]"));
    }
}

#[test]
fn a_stream_under_the_type_of_a_text_is_no_text_also_where_its_front_can_not_be_read() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(130), "]".repeat(130));
    let broken = "{'status': 1}";
    for front in [&format!("{deep}\n"), &deep, "{'status': 1}\n"] {
        not_text(&format!("{front}{{\"response\":\"EMP-12\"}}\n{{\"response\":\"3456\"}}\n"));
    }
    for between in ["\n{ ", "\n\x1e{", "\n,{", " {", ",\r{\t"] {
        let (first, second) = ("\"response\":\"EMP-12\"}", "\"response\":\"3456\"}");
        not_text(&format!("{broken}{between}{first}{between}{second}"));
    }
}

/// Looks that a body under the type of a text is refused.
fn not_text(body: &str) {
    let mut stage = stage("");
    let head = "Content-Type: text/plain\r\n";
    let answer = ask(&mut stage, &whole("200 OK", head, body.as_bytes()));
    assert_eq!((answer.status, text(&answer).contains("3456")), (502, false), "{body}");
}

#[test]
fn a_whole_answer_beyond_what_its_mask_takes_is_502_unmaskable() {
    let mut stage = stage("masked_bytes_max: 1024\n");
    let long = "x".repeat(1_025);
    let text = "Content-Type: text/plain\r\n";
    let chunked = format!(
        "HTTP/1.1 200 OK\r\n{text}Transfer-Encoding: chunked\r\n\r\n401\r\n{long}\r\n0\r\n\r\n"
    );
    let coded =
        whole("200 OK", &format!("{text}Content-Encoding: gzip\r\n"), &gzip(long.as_bytes()));
    let answers = [whole("200 OK", text, long.as_bytes()), chunked.into_bytes(), coded];
    for (number, answer) in answers.into_iter().enumerate() {
        let answer = ask(&mut stage, &answer);
        assert_eq!(answer.status, 502);
        assert_eq!(answer.error()["code"], "unmaskable");
        assert!(!String::from_utf8_lossy(&answer.body).contains("xx"));
        assert_eq!(reached(&stage, "masked_bytes_max"), u64::try_from(number).unwrap() + 1);
    }
    let fits = ask(&mut stage, &whole("200 OK", text, &long.as_bytes()[..1_024]));
    assert_eq!((fits.status, fits.body.len()), (200, 1_024));
}

#[test]
fn encoded_answers_are_decoded_and_masked_and_unknown_codings_refused() {
    let mut stage = stage("");
    let body = message("I am EMP-123456.");
    let body = body.as_bytes();
    for (coding, coded) in [
        ("gzip", gzip(body)),
        ("br", brotli(body)),
        ("zstd", zstd(body)),
        ("identity", body.to_vec()),
    ] {
        let fields = format!("{JSON}Content-Encoding: {coding}\r\n");
        let answer = ask(&mut stage, &whole("200 OK", &fields, &coded));
        assert_eq!(text(&answer), message("I am [EMPLOYEE_ID]."), "{coding}");
        assert!(!answer.head.contains("content-encoding"), "{}", answer.head);
    }
    for (coding, coded) in
        [("deflate", body.to_vec()), ("gzip", body.to_vec()), ("gzip, br", gzip(body))]
    {
        let fields = format!("{JSON}Content-Encoding: {coding}\r\n");
        let answer = ask(&mut stage, &whole("200 OK", &fields, &coded));
        assert_eq!(
            (answer.status, &answer.error()["code"]),
            (502, &"unmaskable".into()),
            "{coding}"
        );
    }
}

#[test]
fn what_can_not_be_read_is_refused_unless_the_mask_lets_it_pass() {
    let stream = "Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n";
    let answers = [
        ("200 OK", "Content-Type: application/octet-stream\r\n"),
        ("200 OK", "Content-Type: text/plain; charset=utf-16\r\n"),
        ("206 Partial", "Content-Type: text/plain\r\nContent-Range: bytes 0-9/10\r\n"),
        ("200 OK", "Content-Type: audio/mpeg\r\n"),
        ("200 OK", stream),
        ("200 OK", ""),
    ];
    for (unreadable, status) in [("refuse", 502), ("strip", 502), ("pass", 200)] {
        let mut stage = stage(&format!("unreadable: {unreadable}\n"));
        for (line, fields) in answers {
            let answer = ask(&mut stage, &whole(line, fields, b"EMP-123456"));
            let passed = if line.starts_with("206") { 206 } else { 200 };
            let expected = if status == 200 { passed } else { status };
            assert_eq!(answer.status, expected, "{unreadable}: {fields}");
            assert_eq!(answer.body == b"EMP-123456", status == 200, "{unreadable}: {fields}");
        }
    }
}

#[test]
fn an_answer_without_a_body_needs_no_mask() {
    let mut stage = stage("");
    let answer = ask(&mut stage, b"HTTP/1.1 204 No Content\r\nETag: \"EMP-123456\"\r\n\r\n");
    assert_eq!(answer.status, 204);
    assert!(!answer.head.contains("etag"), "{}", answer.head);
    let answer = ask(&mut stage, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[test]
fn a_long_answer_is_masked_in_turns_and_goes_out_whole() {
    let mut stage = stage("");
    let words = "some word EMP-123456 and more of it, ".repeat(40_000);
    let answer = ask(&mut stage, &whole("200 OK", JSON, message(&words).as_bytes()));
    let expected = words.replace("EMP-123456", "[EMPLOYEE_ID]");
    assert!(text(&answer) == message(&expected));
    assert!(answer.head.contains("penstock-masked: 40000"), "{}", answer.head);
    use penstock_reactor::network::Network as _;
    stage.simulation.settle();
    assert_eq!(stage.network.pool().bytes_in_use(), 0);
}

#[test]
fn a_request_for_what_can_not_be_masked_is_told_which_member_asks_for_it() {
    let mut stage = stage("");
    let token = stage.token("ann", &["engineers"]);
    let body = r#"{"model":"m","messages":[{"role":"user"}],"logprobs":true}"#;
    let request = post("/llama/v1/chat/completions", &token, body);
    let answer = stage.refusal(request.as_bytes());
    assert_eq!(answer.status, 400);
    let error = answer.error();
    assert_eq!(error["code"], "unmaskable");
    assert!(error["message"].as_str().unwrap().contains("logprobs"), "{error}");
    assert!(!stage.reached_upstream());
    assert_eq!(stage.log()[0]["reason"], "unmaskable_request");

    stage.enforce(&masked("unreadable: strip\n"));
    let (seen, answer) = through(&mut stage, &request, &whole("200 OK", JSON, b"{}"));
    assert!(seen.contains("logprobs") && answer.status == 200, "{seen}");
}

#[test]
fn a_request_is_masked_before_it_goes_up_where_the_mask_says_so() {
    let mut stage = stage("applies_to: [request]\n");
    let token = stage.token("ann", &["engineers"]);
    let body = |text: &str| {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#)
    };
    let request = post("/llama/v1/chat/completions", &token, &body("I am EMP-123456."));
    let (seen, answer) =
        through(&mut stage, &request, &whole("200 OK", JSON, message("EMP-1").as_bytes()));
    assert!(seen.ends_with(&body("I am [EMPLOYEE_ID].")), "{seen}");
    assert_eq!(text(&answer), message("EMP-1"), "answers are not its concern");
    assert!(!answer.head.contains("penstock-masked"), "{}", answer.head);
    assert_eq!(stage.log()[0]["masked"], 1);

    let request = post("/llama/v1/chat/completions", &token, &body("nothing"));
    let (seen, _) = through(&mut stage, &request, &whole("200 OK", JSON, b"{}"));
    assert!(seen.ends_with(&body("nothing")), "{seen}");
}

#[test]
fn a_body_that_is_not_read_does_not_go_up_under_a_mask_of_requests() {
    let documents =
        |more: &str| masked(more).replace("[\"infer.*\", list, embed]", "[infer.media]");
    let mut stage = Stage::with(1, Link::default(), &documents("applies_to: [request]\n"));
    let request = chat(&stage.token("ann", &["engineers"]))
        .replace("chat/completions", "audio/transcriptions")
        .replace("application/json", "multipart/form-data; boundary=x");
    let answer = stage.refusal(request.as_bytes());
    assert_eq!((answer.status, &answer.error()["code"]), (415, &"unsupported_encoding".into()));
    assert!(!stage.reached_upstream());
    stage.enforce(&documents("applies_to: [request]\nunreadable: pass\n"));
    let (seen, _) = through(&mut stage, &request, &whole("200 OK", JSON, b"{}"));
    assert!(seen.starts_with("POST /v1/audio/transcriptions"), "{seen}");
}

#[test]
fn parts_of_answers_are_never_asked_for() {
    let mut stage = stage("");
    let request = get("/llama/v1/models", &stage.token("ann", &["engineers"]))
        .replace("Host:", "Range: bytes=0-9\r\nIf-Range: \"1\"\r\nIf-None-Match: \"1\"\r\nHost:");
    let (seen, _) = through(&mut stage, &request, &whole("200 OK", JSON, b"{}"));
    let seen = seen.to_ascii_lowercase();
    assert!(!seen.contains("range") && !seen.contains("if-none-match"), "{seen}");
    assert!(seen.contains("accept-encoding: identity"), "{seen}");
}

#[test]
fn a_connection_without_a_mask_is_as_ever() {
    let mut stage = Stage::with(1, Link::default(), &format!("{DOCUMENTS}{}", MASK.trim_end()));
    let fields = format!("{JSON}ETag: \"1\"\r\n");
    let answer = ask(&mut stage, &whole("200 OK", &fields, message("EMP-123456").as_bytes()));
    assert_eq!(text(&answer), message("EMP-123456"));
    assert!(answer.head.contains("etag") && !answer.head.contains("penstock-masked"));
    assert!(stage.log()[0].get("masked").is_none());
}

#[test]
fn a_mask_treats_some_differently_by_connection_and_by_who_asks() {
    let overrides = "overrides:\n\
        - {detectors: [EMPLOYEE_*], action: redact, connections: [other]}\n\
        - {detectors: [EMPLOYEE_*], action: {keep_last: 2}, connections: [\"ll*\"]}\n\
        - {detectors: [EMPLOYEE_ID], action: redact, subjects: [{groups: [guests]}]}\n";
    let mut stage = stage(overrides);
    for (groups, expected) in
        [(&["engineers"][..], "***-****56"), (&["engineers", "guests"][..], "***")]
    {
        let request = chat(&stage.token("ann", groups));
        let answer = whole("200 OK", JSON, message("EMP-123456").as_bytes());
        let (_, answer) = through(&mut stage, &request, &answer);
        assert_eq!(text(&answer), message(expected));
    }
}

#[test]
fn a_permitted_request_does_not_go_on_under_another_mask() {
    let limits = "{upstream_requests_per_endpoint_max: 1}";
    for (documents, status) in [(masked(""), 200), (masked("masked_bytes_max: 9000\n"), 503)] {
        let mut stage = Stage::limited(1, Link::default(), &masked(""), limits);
        let request = get("/llama/v1/models", &stage.token("ann", &["engineers"]))
            .replace("Host:", "Connection: close\r\nHost:");
        let mut first = stage.caller(Link::default());
        let mut second = stage.caller(Link::default());
        let Stage { simulation, upstream, .. } = &mut stage;
        let run = simulation.run_until(async {
            first.write(request.as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"\r\n\r\n").await.unwrap();
            server
        });
        let mut server = run.unwrap();
        simulation.run_until(second.write(request.as_bytes())).unwrap().unwrap();
        simulation.settle();
        stage.enforce(&documents);
        let run = stage.simulation.run_until(async {
            server.write(&whole("200 OK", JSON, b"{}")).await.unwrap();
            first.read_to_end().await.unwrap();
            if status == 200 {
                server.read_until(b"\r\n\r\n").await.unwrap();
                server.write(&whole("200 OK", JSON, b"{}")).await.unwrap();
            }
            Answer::parse(&second.read_to_end().await.unwrap())
        });
        let answer = run.unwrap();
        assert_eq!(answer.status, status, "{}", answer.head);
    }
}

#[test]
fn a_mask_that_is_not_there_or_does_not_compile_refuses_the_whole_snapshot() {
    let missing = masked("").replace("mask: pii\n", "mask: other\n");
    let broken = masked("").replace("EMP-[0-9]{6}", "EMP-[0-9]{6");
    for (documents, problem) in [(missing, "not there"), (broken, "does not compile")] {
        let mut stage = Stage::new();
        let refused = stage.refused(&documents);
        assert!(refused.contains(problem), "{refused}");
    }
}

#[test]
fn what_reviewers_are_shown_is_masked_too() {
    let documents = documents().replace("protocol: llamacpp\n", "protocol: llamacpp\nmask: pii\n");
    let mask = MASK.replace("action: replace", "action: hash");
    let documents = format!("{documents}{}\nexcept: [{{groups: [engineers]}}]\n", mask.trim_end());
    let mut stage = Stage::holding(&documents, "{}");
    let token = stage.token("ann", &["engineers"]);
    let body = r#"{"scale":0.5,"note":"for EMP-123456"}"#;
    let _caller = stage.send(&post("/llama/lora-adapters", &token, body));
    let question = stage.question();
    let asked = Stage::asked(&question);
    let shown: Vec<_> = asked.shown.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(shown, ["0.5", "for [EMPLOYEE_ID]"]);
}

#[test]
fn values_are_hashed_with_a_key_and_nothing_goes_without_it() {
    for (action, is_hashed) in [("hash", true), ("surrogate", false)] {
        let documents = masked("").replace("action: replace", &format!("action: {action}"));
        let mut stage = Stage::new();
        stage.enforce(&documents);
        let request = chat(&stage.token("ann", &["engineers"]));
        let answer = stage.refusal(request.as_bytes());
        assert_eq!(answer.status, 503);
        assert_eq!(answer.error()["code"], "credential_unavailable");

        stage.mask_key = Some("YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=");
        stage.enforce(&documents);
        let body = message("EMP-123456 EMP-123456 EMP-654321");
        let answer = ask(&mut stage, &whole("200 OK", JSON, body.as_bytes()));
        let text = text(&answer);
        assert!(!text.contains("123456") && !text.contains("654321"), "{text}");
        let at = text.find("content\":\"").unwrap() + "content\":\"".len();
        let shown: Vec<_> = text[at..].split('"').next().unwrap().split(' ').collect();
        let [first, again, other] = shown.as_slice() else { panic!("{text}") };
        assert_eq!(first, again, "the same value has the same tag");
        assert_ne!(first, other);
        assert_eq!(first.starts_with("[EMPLOYEE_ID"), is_hashed, "{text}");
    }
}
