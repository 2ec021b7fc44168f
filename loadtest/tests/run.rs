//! Load against servers of this file: what is counted, what is withheld, what a stall looks like.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_penstock-loadtest");
const PATIENCE: Duration = Duration::from_secs(20);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    transfer-encoding: chunked\r\n\r\n";

/// A server on a free port. `answer` writes the answer to each request; `false` ends the
/// connection.
fn serve(answer: impl Fn(&mut TcpStream) -> bool + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || while request(&stream) && answer(&mut stream) {});
        }
    });
    url
}

/// Reads one request; `false` at the connection's end.
fn request(stream: &TcpStream) -> bool {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if !reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            return false;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            return reader.read_exact(&mut vec![0; length]).is_ok();
        }
    }
}

fn write(stream: &mut TcpStream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).is_ok()
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

fn token(text: &str) -> String {
    chunk(&format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"))
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).arg("run").args(arguments).output().unwrap()
}

/// A run whose report is wanted, whatever its verdict.
fn report(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {stderr}"))
}

#[test]
fn a_stalled_server_is_seen_by_every_request_that_should_have_started_meanwhile() {
    const STALL: Duration = Duration::from_millis(800);
    let stall = |first_request: &std::sync::OnceLock<Instant>| {
        let since = first_request.get_or_init(Instant::now).elapsed();
        // From half a second to 1.3 s nobody is answered.
        let stalled = Duration::from_millis(500)..Duration::from_millis(500) + STALL;
        if stalled.contains(&since) {
            // tidy: the stall itself, of the server that is measured
            thread::sleep(stalled.end - since);
        }
    };
    let first_request = std::sync::OnceLock::new();
    let url = serve(move |stream| {
        stall(&first_request);
        write(stream, OK)
    });
    let common = [url.as_str(), "--connections", "4", "--warm-up", "0", "--duration", "2"];
    let report = report(&[&common[..], &["--rate", "400", "--arrivals", "constant"]].concat());
    assert_eq!(report["requests"]["completed"], 800, "{report}");
    assert_eq!(report["requests"]["failed"], 0, "{report}");
    // 40 % of the schedule fell into the stall, with delays even from 0 to 800 ms: the 90th
    // percentile is at 600 ms, and nobody waited much longer than the stall.
    let p90 = report["latency_us"]["p90"].as_f64().unwrap();
    assert!(p90 > 550_000.0, "{report}");
    assert!(report["latency_us"]["p50"].as_f64().unwrap() < 400_000.0, "{report}");
    // The time from being sent hides most of it: only four requests were on the way.
    assert!(report["service_us"]["p90"].as_f64().unwrap() < 400_000.0, "{report}");
}

#[test]
fn streams_are_timed_from_the_first_text_and_their_events_are_counted() {
    let url = serve(|stream| {
        let role = chunk("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n");
        let head = [STREAM, &role].concat();
        let end = chunk("data: [DONE]\n\n") + "0\r\n\r\n";
        write(stream, &head) && {
            // tidy: the time to the first token, of the server that is measured
            thread::sleep(Duration::from_millis(20));
            write(stream, &(token("a") + &token("b"))) && write(stream, &end)
        }
    });
    let report = report(&[
        &url,
        "--closed",
        "--connections",
        "2",
        "--requests",
        "40",
        "--warm-up",
        "0",
        "--stream",
    ]);
    assert_eq!(report["requests"]["completed"], 40, "{report}");
    assert_eq!(report["events"]["count"], 120, "{report}");
    // The last two events of a stream are written at once.
    assert!(report["events"]["per_read"].as_f64().unwrap() > 1.2, "{report}");
    assert!(report["first_token_us"]["p50"].as_f64().unwrap() >= 20_000.0, "{report}");
    assert!(report["first_event_us"]["p50"].as_f64().unwrap() < 20_000.0, "{report}");
}

#[test]
fn each_way_to_fail_has_its_own_name() {
    let unavailable = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let cut = [STREAM, &token("a"), "0\r\n\r\n"].concat();
    let error = [STREAM, &chunk("data: {\"error\":{\"message\":\"away\"}}\n\n")].concat();
    for (name, answer, stream) in [
        ("status", unavailable.to_owned(), false),
        ("closed", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}".to_owned(), false),
        ("malformed", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{}".to_owned(), false),
        ("truncated", cut, true),
        ("stream_error", error, true),
    ] {
        let url = serve(move |stream| {
            write(stream, &answer);
            false
        });
        let mut arguments = vec![url.as_str(), "--rate", "100", "--connections", "1"];
        arguments.extend(["--warm-up", "0", "--requests", "3", "--duration", "5"]);
        if stream {
            arguments.push("--stream");
        }
        let report = report(&arguments);
        assert_eq!(report["requests"]["failures"][name], 3, "{name}: {report}");
        assert_eq!(report["requests"]["completed"], 0, "{report}");
    }
}

#[test]
fn requests_that_never_get_a_connection_are_failures_and_not_forgotten() {
    let url = serve(|stream| {
        // Never answers: waits for the other side to give up.
        let _ = stream.read(&mut [0]);
        false
    });
    let report = report(&[
        &url,
        "--rate",
        "50",
        "--arrivals",
        "constant",
        "--connections",
        "1",
        "--warm-up",
        "0",
        "--duration",
        "0.5",
        "--timeout-ms",
        "300",
    ]);
    let failures = &report["requests"]["failures"];
    let count = |name: &str| failures[name].as_u64().unwrap_or(0);
    assert_eq!(count("timeout") + count("not_sent"), 25, "{report}");
    assert!(count("not_sent") > 0, "{report}");
}

#[test]
fn figures_are_withheld_where_nothing_was_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let output = run(&[&url, "--rate", "50", "--duration", "0.2", "--warm-up", "0", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["valid"], &report["latency_us"]), (&Value::Bool(false), &Value::Null));
    assert!(report["requests"]["failures"]["connect"].as_u64() > Some(0), "{report}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("invalid: nothing was answered"));
}

#[test]
fn a_schedule_that_this_side_cannot_keep_is_no_measurement() {
    let url = serve(|stream| write(stream, OK));
    let common = [url.as_str(), "--rate", "500000", "--arrivals", "constant", "--json"];
    let bounds = ["--duration", "0.1", "--warm-up", "0", "--timeout-ms", "500"];
    let output = run(&[&common[..], &bounds[..]].concat());
    assert_eq!(output.status.code(), Some(3));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["requests"]["scheduled"], 50_000, "none is forgotten: {report}");
    assert_eq!((&report["valid"], &report["latency_us"]), (&Value::Bool(false), &Value::Null));
    assert!(!report["reasons"].as_array().unwrap().is_empty(), "{report}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("invalid: "));
}

#[test]
fn a_run_ends_by_itself_though_the_server_never_answers() {
    let url = serve(|stream| {
        let _ = stream.read(&mut [0]);
        false
    });
    let begun = Instant::now();
    let bounds = ["--duration", "0.2", "--warm-up", "0", "--timeout-ms", "200"];
    let output = run(&[&[url.as_str(), "--rate", "20"], &bounds[..]].concat());
    assert_eq!(output.status.code(), Some(3));
    // The window, the wait for a connection, and the answer that does not come.
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn an_interrupt_prints_what_was_measured_until_then() {
    let (tell, told) = std::sync::mpsc::channel();
    let url = serve(move |stream| tell.send(()).is_ok() && write(stream, OK));
    let mut child = Command::new(PROGRAM)
        .args([
            "run",
            &url,
            "--closed",
            "--connections",
            "1",
            "--warm-up",
            "0",
            "--duration",
            "600",
        ])
        .args(["--json", "--process", &std::process::id().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The only connection asks again when it has its answer.
    told.recv_timeout(PATIENCE).unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["interrupted"], true);
    assert!(report["requests"]["completed"].as_u64() > Some(0), "{report}");
    assert!(report["process"]["rss_bytes"].as_u64() > Some(0), "{report}");
}

#[test]
fn the_fixed_server_answers_a_closed_loop_with_as_many_bytes_as_it_was_told() {
    let mut server = Command::new(PROGRAM)
        .args(["fixed", "--bytes", "200"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = serde_json::from_str::<Value>(&line).unwrap()["listen"].as_str().unwrap().to_owned();
    let arguments = ["--closed", "--requests", "500", "--warm-up", "0", "--body-bytes", "100000"];
    let report = report(&[&[url.as_str()], &arguments[..]].concat());
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(report["requests"]["failed"], 0, "{report}");
    assert_eq!(report["body_bytes"].as_u64(), Some(200 * 500), "{report}");
}

#[test]
fn the_table_names_the_figures_and_a_token_is_never_an_argument() {
    let url = serve(|stream| write(stream, OK));
    let output = run(&[&url, "--closed", "--requests", "50", "--warm-up", "0"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{table}");
    assert!(table.starts_with("closed loop, "), "{table}");
    assert!(table.contains("\nlatency "), "{table}");
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("--token-file") && help.contains("--token-env"));
    assert!(!help.contains("--token "), "{help}");
}

#[test]
fn the_fixed_server_says_a_text_in_pieces_again_and_again() {
    let arguments = ["--events", "3", "--gap-ms", "0", "--bytes", "16"];
    let mut server = Command::new(PROGRAM)
        .args([&["fixed"], &arguments[..], &["--text", "The sea was calm that day."]].concat())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = serde_json::from_str::<Value>(&line).unwrap()["listen"].as_str().unwrap().to_owned();
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let answer: String = BufReader::new(stream)
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.contains("[DONE]"))
        .filter(|line| line.starts_with("data: "))
        .collect();
    server.kill().unwrap();
    server.wait().unwrap();
    let said: Vec<&str> = answer.split("\"content\":\"").skip(1).collect();
    let said: Vec<&str> = said.iter().map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(said, ["The sea was calm", " that day.", "The sea was calm"]);
}
