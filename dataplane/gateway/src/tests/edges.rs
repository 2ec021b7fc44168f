//! Versions, methods and answers at the edges of HTTP.

use penstock_reactor::memory::{Link, Listener, Peer};

use super::stage::{Answer, DOCUMENTS, Stage, get};
use crate::endpoint::Health;

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// One request, one scripted answer after its head; what went up and all that came down until
/// `end`.
async fn once(
    caller: &mut Peer,
    upstream: &mut Listener,
    request: &str,
    answer: &[u8],
    end: &[u8],
) -> (String, Vec<u8>) {
    caller.write(request.as_bytes()).await.unwrap();
    let mut server = upstream.accept().await;
    let seen = server.read_until(b"\r\n\r\n").await.unwrap();
    server.write(answer).await.unwrap();
    if end.is_empty() {
        server.finish();
        return (String::from_utf8(seen).unwrap(), caller.read_to_end().await.unwrap());
    }
    (String::from_utf8(seen).unwrap(), caller.read_until(end).await.unwrap())
}

/// [`once`] as an engineer, on a stage of its own.
fn ask(request: impl Fn(&str) -> String, answer: &[u8], end: &[u8]) -> (String, String) {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let request = request(&token);
    let exchange = once(&mut caller, upstream, &request, answer, end);
    let (seen, got) = simulation.run_until(exchange).unwrap();
    (seen, String::from_utf8(got).unwrap().to_ascii_lowercase())
}

fn models(token: &str) -> String {
    get("/llama/v1/models", token)
}

#[test]
fn an_old_client_gets_an_answer_that_its_close_ends_and_never_chunks() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let request = |token: &str| models(token).replace("HTTP/1.1", "HTTP/1.0");
    let (seen, got) = ask(request, chunked, b"{}");
    assert!(seen.starts_with("GET /v1/models HTTP/1.1\r\n"));
    assert!(got.contains("connection: close") && !got.contains("transfer-encoding"), "{got}");
    assert!(got.ends_with("\r\n\r\n{}"), "{got}");
}

#[test]
fn a_head_request_is_a_read_and_its_answer_has_no_body() {
    let request = |token: &str| models(token).replace("GET ", "HEAD ");
    let (seen, got) = ask(request, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"\r\n\r\n");
    assert!(seen.starts_with("HEAD /v1/models"));
    assert!(got.starts_with("http/1.1 200"), "{got}");
}

#[test]
fn a_location_on_the_upstream_itself_is_put_under_the_prefix() {
    for location in ["/v1/models?x=1", "http://127.0.0.1:8080/v1/models?x=1"] {
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        );
        let (_, got) = ask(models, answer.as_bytes(), b"\r\n\r\n");
        assert!(got.contains("location: /llama/v1/models?x=1\r\n"), "{got}");
    }
}

#[test]
fn a_location_elsewhere_is_not_passed_on() {
    for location in [
        "http://elsewhere/v1",
        "http://127.0.0.1:80809/v1",
        "http://127.0.0.1:8080.evil/v1",
        "http://127.0.0.1:8080@evil/v1",
        "//evil/v1",
        "https://127.0.0.1:8080/v1",
    ] {
        let answer =
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let (_, got) = ask(models, answer.as_bytes(), b"}}}");
        assert!(got.starts_with("http/1.1 502") && got.contains("upstream_redirect"), "{location}");
        assert!(!got.contains("evil") && !got.contains("elsewhere"), "{got}");
    }
}

#[test]
fn interim_answers_are_dropped() {
    let mut answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec();
    answer.extend_from_slice(PLAIN);
    let (_, got) = ask(models, &answer, b"{}");
    assert!(got.starts_with("http/1.1 200") && !got.contains("103"), "{got}");
}

#[test]
fn an_answer_with_two_readings_is_a_502_and_its_connection_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    ] {
        let (_, got) = ask(models, answer.as_bytes(), b"}}}");
        assert!(got.starts_with("http/1.1 502"), "{answer}: {got}");
        assert!(got.contains("upstream_protocol"), "{answer}: {got}");
    }
}

#[test]
fn a_connection_with_bytes_behind_its_answer_is_not_used_again() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let request = models(&token);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let second = simulation
        .run_until(async {
            let poisoned =
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nX: evil\r\n\r\n";
            once(&mut caller, upstream, &request, poisoned, b"{}").await;
            once(&mut caller, upstream, &request, PLAIN, b"{}").await.1
        })
        .unwrap();
    assert!(!String::from_utf8(second).unwrap().contains("evil"));
}

#[test]
fn an_answer_that_its_close_ends_comes_to_a_clean_end() {
    let stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\ndata: 2";
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let got = simulation
        .run_until(async {
            caller.write(models(&token).as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"\r\n\r\n").await.unwrap();
            server.write(stream).await.unwrap();
            server.finish();
            caller.read_until(b"\r\n0\r\n\r\n").await.unwrap()
        })
        .unwrap();
    let got = String::from_utf8(got).unwrap();
    assert!(got.contains("data: 1\n\n") && got.contains("data: 2"), "{got}");
}

const UPLOADS: &str = "\n---\nkind: rule\nname: engineers-upload\neffect: allow\n\
                       subjects: [{groups: [engineers]}]\noperations: [infer.media]\n";

fn upload(token: &str, framing: &str) -> String {
    format!(
        "POST /llama/v1/audio/transcriptions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer \
         {token}\r\nContent-Type: multipart/form-data; boundary=x\r\n{framing}\r\n\r\n"
    )
}

#[test]
fn a_body_that_no_decision_reads_is_passed_on_as_it_comes() {
    let mut stage = Stage::with(1, Link::default(), &format!("{DOCUMENTS}{UPLOADS}"));
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    simulation
        .run_until(async {
            let head = upload(&token, "Transfer-Encoding: chunked");
            caller.write(head.as_bytes()).await.unwrap();
            caller.write(b"3\r\nabc\r\n").await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"3\r\nabc\r\n").await.unwrap();
            caller.write(b"2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n").await.unwrap();
            server.read_until(b"2\r\nde\r\n0\r\n\r\n").await.unwrap();
            server.write(PLAIN).await.unwrap();
            caller.read_until(b"{}").await.unwrap();
            assert_eq!(server.read_to_end().await, Ok(Vec::new()), "not kept after such a body");
        })
        .unwrap();
}

#[test]
fn a_passed_on_body_that_breaks_off_never_reaches_its_end_upstream() {
    let mut stage = Stage::with(1, Link::default(), &format!("{DOCUMENTS}{UPLOADS}"));
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let (rest, answer) = simulation
        .run_until(async {
            let head = upload(&token, "Transfer-Encoding: chunked");
            caller.write(head.as_bytes()).await.unwrap();
            caller.write(b"3\r\nabc\r\n").await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"abc\r\n").await.unwrap();
            caller.write(b"zz\r\n").await.unwrap();
            (server.read_to_end().await, Answer::parse(&caller.read_to_end().await.unwrap()))
        })
        .unwrap();
    assert!(rest.is_err(), "a reset and no last chunk: {rest:?}");
    assert_eq!(answer.status, 400);
}

#[test]
fn half_a_body_that_is_reset_again_and_again_does_not_mark_a_server_down() {
    let mut stage = Stage::with(1, Link::default(), &format!("{DOCUMENTS}{UPLOADS}"));
    let token = stage.token("ann", &["engineers"]);
    let head = upload(&token, "Transfer-Encoding: chunked");
    for _ in 0..6 {
        let mut caller = stage.caller(Link::default());
        let Stage { simulation, upstream, .. } = &mut stage;
        let answer = simulation.run_until(async {
            caller.write(format!("{head}3\r\nabc\r\n").as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"abc\r\n").await.unwrap();
            server.reset();
            Answer::parse(&caller.read_until(b"}}").await.unwrap())
        });
        assert_eq!(answer.unwrap().status, 502);
    }
    let in_force = stage.core.in_force().unwrap();
    let mut states = in_force.all_targets().flat_map(|(_, targets)| targets.iter());
    assert!(states.all(|one| one.state.health() != Health::Down));
    let mut targets = in_force.all_targets().flat_map(|(_, targets)| targets.iter());
    assert!(targets.any(|one| one.state.is_doubted()));
}

#[test]
fn an_early_answer_to_a_body_under_way_is_relayed_and_the_rest_is_never_a_request() {
    let mut stage = Stage::with(1, Link::default(), &format!("{DOCUMENTS}{UPLOADS}"));
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let smuggled = models(&token);
    let Stage { simulation, upstream, .. } = &mut stage;
    let got = simulation
        .run_until(async {
            let head = upload(&token, "Content-Length: 5000");
            caller.write(head.as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"\r\n\r\n").await.unwrap();
            let early = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}";
            server.write(early).await.unwrap();
            let got = caller.read_until(b"{}").await.unwrap();
            let _ = caller.write(smuggled.as_bytes()).await;
            caller.finish();
            let mut got = got;
            got.extend(caller.read_to_end().await.unwrap_or_default());
            got
        })
        .unwrap();
    let got = String::from_utf8(got).unwrap();
    assert_eq!(got.matches("HTTP/1.1").count(), 1, "{got}");
    assert_eq!(stage.log().len(), 1);
}

#[test]
fn a_missing_credential_is_said_and_nothing_goes_up() {
    let documents = DOCUMENTS.replace("secret: llama-key", "secret: other-key");
    let mut stage = Stage::with(1, Link::default(), &documents);
    let token = stage.token("ann", &["engineers"]);
    let answer = stage.refusal(models(&token).as_bytes());
    assert_eq!(answer.status, 503);
    assert_eq!(answer.error()["code"], "credential_unavailable");
    assert!(!stage.reached_upstream());
}
