//! Bodies of requests: what is read before the decision, what is not, and what follows.

use penstock_reactor::memory::Link;

use super::stage::{Answer, Stage, chat, get, post};

#[test]
fn a_key_that_stands_twice_is_refused_before_anything_goes_up() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    for body in [
        r#"{"model":"a","model":"b","messages":[]}"#,
        r#"{"model":"a","mod\u0065l":"b","messages":[]}"#,
        r#"{"model":"a","Model":"b","messages":[]}"#,
    ] {
        let answer = stage.refusal(post("/llama/v1/chat/completions", &token, body).as_bytes());
        assert_eq!(answer.status, 400, "{body}");
    }
    assert!(!stage.reached_upstream());
}

#[test]
fn a_body_that_must_be_read_but_is_not_plain_json_is_refused() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let coded = chat(&token).replace("Host:", "Content-Encoding: gzip\r\nHost:");
    let text = chat(&token).replace("application/json", "text/plain");
    for request in [coded, text] {
        let answer = stage.refusal(request.as_bytes());
        assert_eq!(answer.status, 415);
        assert_eq!(answer.error()["code"], "unsupported_encoding");
    }
    assert_eq!(
        stage.refusal(post("/llama/v1/chat/completions", &token, "{").as_bytes()).status,
        400
    );
    assert!(!stage.reached_upstream());
}

#[test]
fn a_body_beyond_the_decision_limit_is_refused_at_once() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let request = format!(
        "POST /llama/v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\
         \r\nContent-Type: application/json\r\nContent-Length: 8388609\r\n\r\n"
    );
    let answer = stage.refusal(request.as_bytes());
    assert_eq!(answer.status, 413);
    assert!(answer.head.contains("connection: close"));
}

#[test]
fn bytes_behind_a_refused_request_are_never_read_as_a_request() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let smuggled = get("/llama/v1/models", &token);
    let request = format!("GET / HTTP/1.1\r\nHost: gateway\r\nX: a\nY: b\r\n\r\n{smuggled}");
    let answer = stage.refusal(request.as_bytes());
    assert_eq!(answer.status, 400);
    assert!(!String::from_utf8_lossy(&answer.body).contains("HTTP/1.1"));
    assert_eq!(stage.log().len(), 1);
    assert!(!stage.reached_upstream());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut stage = Stage::new();
    let token = stage.token("ci", &["ci"]);
    let requests =
        format!("{}{}{}", chat(&token), get("/llama/slots", &token), get("/nowhere/x", &token));
    let answer = stage.refusal(requests.as_bytes());
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 403);
    let second = text.find("HTTP/1.1 403").expect("the second answer");
    let third = text.find("HTTP/1.1 404").expect("the third answer");
    assert!(second < third);
    assert_eq!(stage.log().len(), 3);
}

#[test]
fn an_expectation_is_met_only_when_the_body_is_wanted() {
    let mut stage = Stage::new();
    let denied = stage.token("eve", &["strangers"]);
    let expecting = |token: &str| {
        chat(token)
            .replace("Host:", "Expect: 100-continue\r\nHost:")
            .split("\r\n\r\n")
            .next()
            .map(|head| format!("{head}\r\n\r\n"))
            .unwrap()
    };
    let answer = stage.refusal(expecting(&denied).as_bytes());
    assert_eq!(answer.status, 404, "the final answer comes without an interim one");

    let token = stage.token("ann", &["engineers"]);
    let head = expecting(&token);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let status = simulation
        .run_until(async {
            caller.write(head.as_bytes()).await.unwrap();
            let interim = caller.read_until(b"\r\n\r\n").await.unwrap();
            assert!(interim.starts_with(b"HTTP/1.1 100 "), "{interim:?}");
            caller.write(br#"{"model":"m","messages":[{"role":"user"}]}"#).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"}]}").await.unwrap();
            server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            Answer::parse(&caller.read_until(b"{}").await.unwrap()).status
        })
        .unwrap();
    assert_eq!(status, 200);
}

#[test]
fn a_chunked_body_is_decided_whole_and_goes_up_with_a_length() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let head = format!(
        "POST /llama/v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\
         \r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let body = "9;ext=1\r\n{\"model\":\r\n12\r\n\"m\",\"messages\":[]}\r\n0\r\nX-T: 1\r\n\r\n";
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let seen = simulation
        .run_until(async {
            caller.write(format!("{head}{body}").as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            let seen = server.read_until(b"[]}").await.unwrap();
            server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            caller.read_until(b"{}").await.unwrap();
            String::from_utf8(seen).unwrap()
        })
        .unwrap();
    assert!(seen.contains("content-length: 27\r\n"), "{seen}");
    assert!(seen.ends_with(r#"{"model":"m","messages":[]}"#), "{seen}");
    assert!(!seen.to_ascii_lowercase().contains("x-t"));
}

#[test]
fn a_kept_upstream_connection_is_used_again_and_replaced_when_it_was_closed() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let request = get("/llama/v1/models", &token);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    simulation
        .run_until(async {
            caller.write(request.as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            for _ in 0..2 {
                server.read_until(b"\r\n\r\n").await.unwrap();
                server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
                caller.read_until(b"{}").await.unwrap();
                caller.write(request.as_bytes()).await.unwrap();
            }
            server.read_until(b"\r\n\r\n").await.unwrap();
            drop(server);
            let mut second = upstream.accept().await;
            second.read_until(b"\r\n\r\n").await.unwrap();
            second.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            caller.read_until(b"{}").await.unwrap();
        })
        .unwrap();
    assert_eq!(stage.core.counters.upstream_reuses.read(), 2);
    assert_eq!(stage.core.counters.upstream_connects.read(), 2);
}
