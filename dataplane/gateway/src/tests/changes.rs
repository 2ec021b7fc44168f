//! What changes while a request is under way: policy, keys, the caller's patience.

use std::time::Duration;

use penstock_reactor::memory::Link;
use penstock_reactor::network::Network as _;

use super::stage::{Answer, DOCUMENTS, Stage, chat, get};

fn without_inference() -> String {
    DOCUMENTS.replace("[\"infer.*\", list, embed]", "[list]")
}

#[test]
fn a_request_whose_body_comes_after_a_change_is_decided_under_the_change() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let request = chat(&token);
    let (begin, end) = request.split_at(request.len() - 3);
    let mut caller = stage.caller(Link::default());
    stage.simulation.run_until(caller.write(begin.as_bytes())).unwrap().unwrap();
    stage.simulation.settle();
    stage.enforce(&without_inference());
    let answer = stage
        .simulation
        .run_until(async {
            caller.write(end.as_bytes()).await.unwrap();
            Answer::parse(&caller.read_until(b"}}}").await.unwrap())
        })
        .unwrap();
    assert_eq!(answer.status, 403);
    assert!(!stage.reached_upstream());
}

#[test]
fn a_token_that_expires_while_the_body_comes_is_refused() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let request = chat(&token).replace("Content-Length: 42", "Content-Length: 2000000");
    let head = request.split("\r\n\r\n").next().unwrap();
    let network = stage.network.clone();
    let mut caller = stage.caller(Link::default());
    let begun = format!("{head}\r\n\r\n{}", " ".repeat(1_005_000));
    stage.simulation.run_until(caller.write(begun.as_bytes())).unwrap().unwrap();
    let answer = stage
        .simulation
        .run_until(async {
            // Slowly enough for the token, quickly enough for the pace that is asked for.
            for _ in 0..45 {
                network.sleep(Duration::from_secs(20)).await;
                caller.write(&[b' '; 21_000]).await.unwrap();
            }
            caller.write(&vec![b' '; 49_956]).await.unwrap();
            caller.write(br#"{"model":"m","messages":[{"role":"user"}]}xx"#).await.unwrap();
            Answer::parse(&caller.read_until(b"}}}").await.unwrap())
        })
        .unwrap();
    assert_eq!(answer.status, 401);
    assert!(!stage.reached_upstream());
}

#[test]
fn a_body_sent_at_once_but_for_its_end_buys_no_time() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let request = chat(&token).replace("Content-Length: 42", "Content-Length: 2000000");
    let head = request.split("\r\n\r\n").next().unwrap();
    let network = stage.network.clone();
    let mut caller = stage.caller(Link::default());
    let begun = format!("{head}\r\n\r\n{}", " ".repeat(1_900_000));
    stage.simulation.run_until(caller.write(begun.as_bytes())).unwrap().unwrap();
    let answer = stage.simulation.run_until(async {
        network.sleep(Duration::from_secs(25)).await;
        caller.write(b" ").await.unwrap();
        network.sleep(Duration::from_secs(25)).await;
        Answer::parse(&caller.read_until(b"}}}").await.unwrap())
    });
    assert_eq!(answer.unwrap().status, 408);
}

#[test]
fn a_body_in_drips_is_cut_off_however_small_the_gaps_are() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let head = chat(&token).replace("Content-Length: 42", "Content-Length: 4200");
    let network = stage.network.clone();
    let mut caller = stage.caller(Link::default());
    let answer = stage
        .simulation
        .run_until(async {
            caller.write(head.as_bytes()).await.unwrap();
            for _ in 0..5 {
                network.sleep(Duration::from_secs(5)).await;
                caller.write(b" ").await.unwrap();
            }
            let told = Answer::parse(&caller.read_until(b"}}}").await.unwrap());
            assert!(network.now() < Duration::from_secs(32), "{:?}", network.now());
            told
        })
        .unwrap();
    assert_eq!(answer.status, 408);
}

#[test]
fn a_stream_whose_key_was_removed_is_cut() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let server = simulation
        .run_until(async {
            caller.write(chat(&token).as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"}]}").await.unwrap();
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                         Transfer-Encoding: chunked\r\n\r\n";
            server.write(head).await.unwrap();
            caller.read_until(b"\r\n\r\n").await.unwrap();
            server
        })
        .unwrap();
    stage.replace_key();
    stage.enforce(DOCUMENTS);
    let rest = stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap();
    drop(server);
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("\"code\":\"denied\"") && rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(stage.refusal(get("/llama/v1/models", &token).as_bytes()).status, 401);
}
