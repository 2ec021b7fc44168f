//! Who gets through, and what the others are told.

use penstock_reactor::memory::Link;

use super::stage::{Answer, MODEL_KEY, Stage, chat, get, post};

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
      Set-Cookie: a=b\r\n\r\n{}";

/// Sends a request, plays the model server with one answer; what the server got and the caller got.
fn through(stage: &mut Stage, request: &str, answer: &[u8]) -> (String, Answer) {
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = stage;
    let (request, answer) = (request.as_bytes().to_vec(), answer.to_vec());
    simulation
        .run_until(async {
            caller.write(&request).await.unwrap();
            let mut server = upstream.accept().await;
            let mut seen = server.read_until(b"\r\n\r\n").await.unwrap();
            let head = String::from_utf8_lossy(&seen).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .and_then(|text| text.parse::<usize>().ok())
                .unwrap_or(0);
            let body_start = head.find("\r\n\r\n").unwrap() + 4;
            while seen.len() < body_start + length {
                seen.extend_from_slice(&server.read().await.unwrap());
            }
            server.write(&answer).await.unwrap();
            let got = caller.read_until(b"\r\n\r\n").await.unwrap();
            let mut got = got;
            while !got.ends_with(b"{}") {
                got.extend_from_slice(&caller.read().await.unwrap());
            }
            (String::from_utf8(seen).unwrap(), Answer::parse(&got))
        })
        .unwrap()
}

#[test]
fn an_allowed_request_goes_up_with_the_models_key_and_without_the_callers_token() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let (seen, answer) = through(&mut stage, &chat(&token), WHOLE);
    assert!(seen.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("authorization: Bearer {MODEL_KEY}\r\n")), "{seen}");
    assert!(!seen.contains(&token));
    assert!(seen.contains("host: 127.0.0.1:8080\r\n"), "{seen}");
    assert!(seen.ends_with(r#"{"model":"m","messages":[{"role":"user"}]}"#));
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("penstock-session: "));
    assert!(!answer.head.contains("set-cookie"));
    let log = stage.log();
    assert_eq!(log[0]["user"], "ann");
    assert_eq!(log[0]["rule"], "engineers-infer");
    assert_eq!(log[0]["operations"][0], "infer.chat");
    assert_eq!(log[0]["decision"], "allow");
}

#[test]
fn the_token_may_come_as_x_api_key() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let request = chat(&token).replace("Authorization: Bearer", "x-api-key:");
    let (seen, answer) = through(&mut stage, &request, WHOLE);
    assert!(!seen.contains(&token));
    assert_eq!(answer.status, 200);
}

#[test]
fn a_caller_who_is_not_known_is_answered_in_the_shape_of_the_path() {
    let mut stage = Stage::new();
    let mut body = |path: &str| {
        let request = format!("GET /nowhere{path} HTTP/1.1\r\nHost: gateway\r\n\r\n");
        let answer = stage.refusal(request.as_bytes());
        assert_eq!(answer.status, 401, "{path}");
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()
    };
    assert_eq!(body("/v1/models")["error"]["type"], "authentication_error");
    assert_eq!(body("/v1/messages")["type"], "error");
    assert!(body("/api/tags")["error"].is_string(), "what Ollama's clients show");
}

#[test]
fn without_a_token_every_path_gives_the_same_answer() {
    let mut stage = Stage::new();
    for path in ["/llama/v1/models", "/nowhere/v1/models", "/", "/llama/nothing"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n");
        let answer = stage.refusal(request.as_bytes());
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.head.contains("www-authenticate: bearer"));
        assert_eq!(answer.error()["code"], "unauthenticated");
    }
    assert!(!stage.reached_upstream());
}

#[test]
fn a_garbled_token_is_refused_and_its_text_stands_nowhere() {
    let mut stage = Stage::new();
    let mut token = stage.token("ann", &["engineers"]);
    token.replace_range(token.len() - 8.., "AAAAAAAA");
    let answer = stage.refusal(chat(&token).as_bytes());
    assert_eq!(answer.status, 401);
    assert!(answer.head.contains("error=\"invalid_token\""));
    let line = stage.log()[0].to_string();
    assert!(!line.contains(&token) && line.contains("unauthenticated"), "{line}");
}

#[test]
fn a_denied_request_is_told_why_and_never_goes_up() {
    let mut stage = Stage::new();
    let token = stage.token("ci@example.com", &["ci"]);
    let answer = stage.refusal(chat(&token).as_bytes());
    assert_eq!(answer.status, 403);
    let error = answer.error();
    assert_eq!(error["message"], "no rule allows ci@example.com to infer.chat on llama");
    assert_eq!(error["type"], "permission_error");
    assert_eq!(error["penstock"]["operation"], "infer.chat");
    assert_eq!(error["penstock"]["rule"], serde_json::Value::Null);
    assert!(!stage.reached_upstream());
}

#[test]
fn a_deny_rule_is_named() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let answer = stage.refusal(get("/llama/slots", &token).as_bytes());
    assert_eq!(answer.status, 403);
    assert_eq!(answer.error()["penstock"]["rule"], "nobody-reads-predictions");
}

#[test]
fn a_connection_that_no_rule_shows_looks_like_an_unknown_one() {
    let mut stage = Stage::new();
    let token = stage.token("eve", &["strangers"]);
    let hidden = stage.refusal(get("/llama/v1/models", &token).as_bytes());
    let unknown = stage.refusal(get("/nowhere/v1/models", &token).as_bytes());
    assert_eq!((hidden.status, unknown.status), (404, 404));
    assert_eq!(hidden.error()["code"], "no_connection");
    assert_eq!(hidden.error()["message"], unknown.error()["message"]);
}

#[test]
fn what_the_catalogue_does_not_know_is_denied() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    for path in ["/llama/v2/whatever", "/llama/V1/chat/completions", "/llama/v1/models/"] {
        let answer = stage.refusal(get(path, &token).as_bytes());
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.error()["penstock"]["operation"], "unknown", "{path}");
    }
    assert_eq!(stage.refusal(post("/llama/v1/models", &token, "{}").as_bytes()).status, 405);
    assert!(!stage.reached_upstream());
}

#[test]
fn odd_targets_and_hosts_never_go_up() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    for path in [
        "/llama/../v1/models",
        "/llama/%2e%2e/v1/models",
        "/llama//v1/models",
        "/llama/v1%2fmodels",
        "/llama;x/v1/models",
        "/llama/v1/models;x=1",
        "/llama/v1\\models",
        "/llama/v1/models#x",
        "/llama/v1/%00models",
    ] {
        let answer = stage.refusal(get(path, &token).as_bytes());
        assert_eq!(answer.status, 400, "{path}");
    }
    for host in ["gateway/health?", "a#", "a\\b", "user@gateway", "gateway, other"] {
        let request = get("/llama/v1/models", &token).replace("gateway", host);
        assert_eq!(stage.refusal(request.as_bytes()).status, 400, "{host}");
    }
    assert!(!stage.reached_upstream());
}

#[test]
fn the_models_refusal_of_our_key_is_our_fault_and_not_the_callers() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let answer = simulation
        .run_until(async {
            caller.write(get("/llama/v1/models", &token).as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"\r\n\r\n").await.unwrap();
            let refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
            server.write(refusal).await.unwrap();
            Answer::parse(&caller.read_until(b"}}}").await.unwrap())
        })
        .unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.error()["code"], "upstream_unauthorized");
}

#[test]
fn nobody_listening_is_named_as_the_model_servers_fault() {
    let documents = super::stage::DOCUMENTS.replace("127.0.0.1:8080", "127.0.0.1:8081");
    let mut stage = Stage::with(1, Link::default(), &documents);
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let answer = stage
        .simulation
        .run_until(async {
            caller.write(chat(&token).as_bytes()).await.unwrap();
            Answer::parse(&caller.read_until(b"}}}").await.unwrap())
        })
        .unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.error()["code"], "upstream_unreachable");
}

#[test]
fn a_policy_that_was_not_confirmed_for_too_long_stops_everything() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    stage.core.node.confirmed_ms.store(0, std::sync::atomic::Ordering::Release);
    let answer = stage.refusal(chat(&token).as_bytes());
    assert_eq!(answer.status, 503);
    assert_eq!(answer.error()["code"], "policy_stale");
    assert!(answer.head.contains("retry-after: "));
}
