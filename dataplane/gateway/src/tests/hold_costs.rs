//! What a held request costs, and bodies that are too large to be read before they are held.

use penstock_config::digest::{hex, sha256};
use penstock_config::hold::EndOutcome;
use penstock_reactor::memory::{Link, Peer};
use penstock_reactor::network::Network as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::desk::documents;
use super::stage::{Stage, post};

/// Bytes that one hold may take beside its connection and the body that it keeps, the head among
/// them; what is promised is twice as much.
const HOLD_BYTES_MAX: i64 = 4 * 1024;

#[test]
fn a_hold_takes_no_more_memory_than_its_budget_beside_its_body() {
    const HOLDS: usize = 32;
    let mut stage = Stage::for_holds();
    let body = format!(r#"{{"scale": "{}"}}"#, "x".repeat(1_000));
    let token = stage.token("ann", &["engineers"]);
    let request = post("/llama/lora-adapters", &token, &body);
    let connect = |stage: &mut Stage| -> Vec<_> {
        let callers = (0..HOLDS).map(|_| stage.caller(Link::default())).collect();
        stage.simulation.settle();
        callers
    };
    let hold = |stage: &mut Stage, callers: &mut [Peer]| {
        for caller in callers {
            stage.simulation.run_until(caller.write(request.as_bytes())).unwrap().unwrap();
            let question = stage.question();
            stage.pending(&question);
        }
    };
    // What is there only once: tables, caches, the pool's free blocks.
    let mut warm = connect(&mut stage);
    hold(&mut stage, &mut warm);
    let mut callers = connect(&mut stage);
    let before = stage.network.pool().bytes_in_use();
    let seen = allocation_counter::measure(|| hold(&mut stage, &mut callers));
    let buffers = stage.network.pool().bytes_in_use() - before;
    let each = seen.bytes_current / i64::try_from(HOLDS).unwrap();
    let beside = each - i64::try_from(body.len()).unwrap();
    assert!(beside > 0, "the count does not count");
    assert!(beside <= HOLD_BYTES_MAX, "{beside} bytes a hold");
    assert!(buffers / HOLDS < 1_024 + body.len(), "{buffers} bytes of buffers");
    assert_eq!(stage.core.counters.holds_open.read(), 2 * HOLDS as u64);
}

/// An upload that is held before it is read; `digest` is what its caller declares.
fn upload(stage: &Stage, length: usize, more: &str) -> String {
    let token = stage.token("ann", &["engineers"]);
    format!(
        "POST /llama/upload HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n{more}\r\n"
    )
}

fn declared(body: &[u8]) -> String {
    format!("Content-Digest: sha-256=:{}:\r\n", STANDARD.encode(sha256(body)))
}

/// Documents under which a body above 1,000 bytes is not read for a decision.
fn small() -> String {
    documents().replace("version:", "limits: {decision_bytes_max: 1000}\nversion:")
}

const LENGTH: usize = 50_000;

#[test]
fn a_large_body_is_held_before_it_is_read_and_goes_up_if_it_is_what_was_declared() {
    let mut stage = Stage::holding(&small(), "{}");
    let body = vec![b'w'; LENGTH];
    let mut caller = stage.send(&upload(&stage, LENGTH, &declared(&body)));
    let question = stage.question();
    let asked = Stage::asked(&question);
    assert_eq!((asked.body_bytes, asked.body_sha256), (LENGTH as u64, hex(&sha256(&body))));
    stage.grant(&question);
    let (mut server, head) = stage.server();
    assert!(head.contains("content-length: 50000\r\n"), "{head}");
    assert!(!head.contains("content-digest"), "{head}");
    let passed = async {
        let (sent, got) = futures_util::join!(caller.write(&body), server.read_exact(LENGTH));
        sent.unwrap();
        assert!(got.unwrap() == body);
        server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    };
    stage.simulation.run_until(passed).unwrap();
    assert_eq!(stage.answer_to(&mut caller).status, 200);
    assert_eq!(stage.ends(), [EndOutcome::Ended]);
}

#[test]
fn a_body_that_is_not_what_was_declared_resets_the_model_server_before_its_last_byte() {
    let mut stage = Stage::holding(&small(), "{}");
    let mut body = vec![b'w'; LENGTH];
    let declared = declared(&body);
    body[7] = b'W';
    let mut caller = stage.send(&upload(&stage, LENGTH, &declared));
    let question = stage.question();
    stage.grant(&question);
    let (mut server, _) = stage.server();
    let passed = async {
        let (sent, got) = futures_util::join!(caller.write(&body), async {
            let mut got = 0;
            loop {
                match server.read().await {
                    Ok(bytes) if bytes.is_empty() => panic!("a clean end after {got} bytes"),
                    Ok(bytes) => got += bytes.len(),
                    Err(_reset) => return got,
                }
            }
        });
        sent.unwrap();
        got
    };
    let got = stage.simulation.run_until(passed).unwrap();
    assert!(got < LENGTH, "{got} bytes went up");
    let answer = stage.answer_to(&mut caller);
    assert_eq!((answer.status, &answer.error()["code"]), (400, &"bad_request".into()));
    assert_eq!(stage.ends(), [EndOutcome::Ended], "a use was spent: bytes went up");
}

#[test]
fn a_large_body_without_a_digest_or_without_a_length_is_413() {
    let mut stage = Stage::holding(&small(), "{}");
    let request = upload(&stage, LENGTH, "");
    let answer = stage.refusal(request.as_bytes());
    assert_eq!((answer.status, &answer.error()["code"]), (413, &"too_large".into()));
    assert!(answer.error()["message"].as_str().unwrap().contains("Content-Digest"));

    let body = vec![b'w'; 2_000];
    let chunked = upload(&stage, 0, &declared(&body))
        .replace("Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n");
    let chunked = format!("{chunked}7d0\r\n{}\r\n0\r\n\r\n", "w".repeat(2_000));
    assert_eq!(stage.refusal(chunked.as_bytes()).status, 413);
    assert!(stage.mail().is_none());
}

#[test]
fn a_declaration_that_is_malformed_or_not_true_of_a_small_body_is_400() {
    let mut stage = Stage::holding(&small(), "{}");
    for more in ["Content-Digest: sha-256=x\r\n".to_owned(), declared(b"other"), {
        let twice = declared(b"small");
        format!("{twice}{twice}")
    }] {
        let request = format!("{}small", upload(&stage, 5, &more));
        assert_eq!(stage.refusal(request.as_bytes()).status, 400, "{more}");
    }
    assert!(stage.mail().is_none());
    let request = format!("{}small", upload(&stage, 5, &declared(b"small")));
    let _caller = stage.send(&request);
    assert_eq!(Stage::asked(&stage.question()).body_sha256, hex(&sha256(b"small")));
}

#[test]
fn a_blob_of_ollamas_is_held_by_the_digest_in_its_path() {
    let documents = small()
        .replace("protocol: llamacpp\n", "protocol: ollama\n")
        .replace("version: b11434", "version: \"0.22\"")
        .replace("[adapter.scale, unknown]", "[weights.import]");
    let mut stage = Stage::holding(&documents, "{}");
    let body = vec![b'w'; LENGTH];
    let digest = hex(&sha256(&body));
    let path = format!("/llama/api/blobs/sha256:{digest}");
    let request = upload(&stage, LENGTH, "").replace("/llama/upload", &path);
    let _caller = stage.send(&request);
    let question = stage.question();
    assert_eq!(Stage::asked(&question).body_sha256, digest);

    let other = upload(&stage, LENGTH, &declared(b"other")).replace("/llama/upload", &path);
    assert_eq!(stage.refusal(other.as_bytes()).status, 400, "field and path differ");
}

#[test]
fn a_large_body_whose_caller_leaves_while_it_is_held_is_withdrawn() {
    let mut stage = Stage::holding(&small(), "{}");
    let body = vec![b'w'; LENGTH];
    let mut caller = stage.caller(Link::default());
    let request = upload(&stage, LENGTH, &declared(&body));
    stage.simulation.run_until(caller.write(request.as_bytes())).unwrap().unwrap();
    stage.simulation.run_until(caller.write(&body[..10_000])).unwrap().unwrap();
    let question = stage.question();
    stage.pending(&question);
    caller.reset();
    assert_eq!(stage.ends(), [EndOutcome::Withdrawn]);
}
