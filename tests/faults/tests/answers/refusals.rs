//! Requests that are refused before a model server hears of them.

use penstock_faults::code;
use penstock_harness::{
    AutonomousUpstream, Dev, SigningAlgorithm, TestIssuer, documents, eventually, requests,
};

use super::{client, engineer, exchange};

struct Stage {
    dev: Dev,
    upstream: AutonomousUpstream,
}

impl Stage {
    fn start() -> Self {
        let upstream = AutonomousUpstream::start();
        let dev = Dev::start(&documents::usual(&upstream.url()));
        Self { dev, upstream }
    }

    #[track_caller]
    fn expect(&self, request: &str, status: u16, expected: &str) {
        let response = exchange(&self.dev, request);
        assert_eq!((response.status, code(&response).as_str()), (status, expected));
        assert!(response.header("penstock-session").is_some());
        assert_eq!(self.upstream.connections(), 0);
    }

    #[track_caller]
    fn expect_unauthenticated(&self, token: &str) {
        // Without a valid token every path answers alike: it shows nothing of what there is.
        for path in ["/m/v1/models", "/m/v1/nothing", "/nowhere/v1/models", "/", "/healthz"] {
            let request = requests::get(path, token);
            self.expect(&request, 401, "unauthenticated");
            let response = exchange(&self.dev, &request);
            assert!(response.header("www-authenticate").unwrap().starts_with("Bearer"));
            assert!(!response.text().contains(token), "an answer repeats no token");
        }
    }
}

#[test]
fn a_token_that_does_not_hold_is_unauthenticated_wherever_it_goes() {
    let stage = Stage::start();
    let good = engineer(&stage.dev);
    let stranger = TestIssuer::new("https://id.example.com", "k1", SigningAlgorithm::Ed25519);
    // The development issuer's name and another key: what somebody would make up.
    let forger = TestIssuer::new(&stage.dev.ready().issuer, "k1", SigningAlgorithm::Ed25519);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for token in [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        format!("{signed}."),
        format!("{signed}.{}", signature.chars().rev().collect::<String>()),
        stage.dev.token("ada", &["engineers"], &["--audience", "penstock-api"]),
        stranger.token("ada").groups(&["engineers"]).sign(),
        forger.token("ada").groups(&["engineers"]).sign(),
        forger.token("ada").groups(&["engineers"]).header("alg", "none").sign(),
    ] {
        stage.expect_unauthenticated(&token);
    }
    assert_eq!(exchange(&stage.dev, &requests::models(&good)).status, 200);
}

#[test]
fn a_token_that_runs_out_is_refused_from_then_on() {
    let stage = Stage::start();
    let token = stage.dev.token("ada", &["engineers"], &["--ttl", "2s"]);
    let mut kept = client(&stage.dev);
    assert_eq!(kept.exchange(requests::models(&token)).status, 200);
    eventually("its end, on a connection that it opened", || {
        (kept.exchange(requests::models(&token)).status == 401).then_some(())
    });
    assert_eq!(exchange(&stage.dev, &requests::models(&token)).status, 401);
}

#[test]
fn a_connection_that_does_not_exist_looks_like_one_that_no_rule_opens() {
    let stage = Stage::start();
    stage.expect(&requests::get("/nowhere/v1/models", &engineer(&stage.dev)), 404, "no_connection");
    let outsider = stage.dev.token("eve", &["sales"], &[]);
    stage.expect(&requests::models(&outsider), 404, "no_connection");
}

#[test]
fn a_request_that_is_not_understood_says_what_is_wrong_with_it() {
    let stage = Stage::start();
    let token = engineer(&stage.dev);
    let chat = |body: &str| requests::post("/m/v1/chat/completions", &token, body);
    let twice = format!("X-API-Key: {token}\r\nAuthorization:");
    let filler = format!("X-Filler: {}\r\nAuthorization:", "a".repeat(16_000));
    let large = chat("{}").replace("Content-Length: 2", "Content-Length: 9000000");
    let encoded = chat("{}").replace("Content-Length", "Content-Encoding: gzip\r\nContent-Length");
    let cases = [
        (chat("{\"model\": "), 400, "bad_request"),
        (chat(r#"{"model":"a","model":"b","messages":[]}"#), 400, "ambiguous_request"),
        (requests::models(&token).replace("Authorization:", &twice), 400, "ambiguous_request"),
        (requests::models(&token).replace("Authorization:", &filler), 431, "too_large"),
        (large, 413, "too_large"),
        (encoded, 415, "unsupported_encoding"),
        (requests::models(&token).replace("GET", "DELETE"), 405, "method"),
        (requests::models(&token).replace("HTTP/1.1", "HTTP/2.0"), 505, "version"),
    ];
    for (request, status, expected) in cases {
        stage.expect(&request, status, expected);
    }
}
