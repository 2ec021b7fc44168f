//! Streams of events: relayed as they come, cut between two of them.

use penstock_reactor::memory::{Link, Peer};

use super::stage::{DOCUMENTS, Stage, chat};

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// The data of a chunked answer, and whether it ended with a last chunk.
pub(crate) fn dechunk(bytes: &[u8]) -> (String, bool) {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut rest = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let mut data = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (data, true);
        }
        let Some(piece) = after.get(..size) else { break };
        data.push_str(piece);
        rest = &after[size + 2..];
    }
    (data, false)
}

/// Opens a stream: the caller and the model server, after the server's head.
async fn open(
    caller: &mut Peer,
    upstream: &mut penstock_reactor::memory::Listener,
    token: &str,
) -> Peer {
    caller.write(chat(token).as_bytes()).await.unwrap();
    let mut server = upstream.accept().await;
    server.read_until(b"}]}").await.unwrap();
    server.write(HEAD).await.unwrap();
    server
}

#[test]
fn events_are_relayed_as_they_come_and_end_as_the_model_ended_them() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let bytes = simulation
        .run_until(async {
            let mut server = open(&mut caller, upstream, &token).await;
            server.write(&chunk("data: {\"a\":1}\n\n")).await.unwrap();
            let mut got = caller.read_until(b"{\"a\":1}\n\n").await.unwrap();
            server.write(&chunk("data: [DONE]\n\n")).await.unwrap();
            server.write(b"0\r\n\r\n").await.unwrap();
            got.extend(caller.read_until(b"0\r\n\r\n").await.unwrap());
            got
        })
        .unwrap();
    assert_eq!(dechunk(&bytes), ("data: {\"a\":1}\n\ndata: [DONE]\n\n".to_owned(), true));
}

#[test]
fn any_split_of_the_links_gives_the_caller_the_same_bytes() {
    let events: String = (0..40).map(|index| format!("data: {{\"n\":{index}}}\n\n")).collect();
    for seed in 0..40 {
        let mut stage = Stage::with(seed, Link::rough(), DOCUMENTS);
        let token = stage.token("ann", &["engineers"]);
        let mut caller = stage.caller(Link::rough());
        let Stage { simulation, upstream, .. } = &mut stage;
        let bytes = simulation
            .run_until(async {
                let mut server = open(&mut caller, upstream, &token).await;
                server.write(&chunk(&events)).await.unwrap();
                server.write(b"0\r\n\r\n").await.unwrap();
                caller.read_until(b"\r\n0\r\n\r\n").await.unwrap()
            })
            .unwrap();
        assert_eq!(dechunk(&bytes), (events.clone(), true), "seed {seed}");
    }
}

#[test]
fn a_stream_whose_rule_went_away_gets_an_error_event_and_a_clean_end() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let (mut got, server) = simulation
        .run_until(async {
            let mut server = open(&mut caller, upstream, &token).await;
            server.write(&chunk("data: {\"a\":1}\n\ndata: {\"unfini")).await.unwrap();
            (caller.read_until(b"{\"a\":1}\n\n").await.unwrap(), server)
        })
        .unwrap();
    stage.enforce(&DOCUMENTS.replace("[\"infer.*\", list, embed]", "[list]"));
    let rest = stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap();
    got.extend(rest);
    drop(server);
    let (data, ended) = dechunk(&got);
    assert!(ended, "{data}");
    let events: Vec<&str> = data.split("\n\n").filter(|event| !event.is_empty()).collect();
    assert_eq!(events.len(), 2, "{data}");
    let error: serde_json::Value =
        serde_json::from_str(events[1].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(error["error"]["code"], "denied");
    assert!(!data.contains("unfini") && !data.contains("[DONE]"));
    let line = &stage.log()[0];
    assert_eq!(line["reason"], "policy_changed");
}

#[test]
fn a_stream_goes_on_under_a_policy_that_still_allows_it() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let mut server =
        simulation.run_until(async { open(&mut caller, upstream, &token).await }).unwrap();
    stage.enforce(&DOCUMENTS.replace("kind: rule\nname: ci-lists", "kind: rule\nname: ci-only"));
    let got = stage
        .simulation
        .run_until(async {
            server.write(&chunk("data: 1\n\n")).await.unwrap();
            server.write(b"0\r\n\r\n").await.unwrap();
            caller.read_until(b"0\r\n\r\n").await.unwrap()
        })
        .unwrap();
    assert_eq!(dechunk(&got), ("data: 1\n\n".to_owned(), true));
}

#[test]
fn an_upstream_that_breaks_off_gives_an_error_event_and_never_a_done() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let got = simulation
        .run_until(async {
            let mut server = open(&mut caller, upstream, &token).await;
            server.write(&chunk("data: 1\n\ndata: 2")).await.unwrap();
            let mut got = caller.read_until(b"data: 1\n\n").await.unwrap();
            drop(server);
            got.extend(caller.read_to_end().await.unwrap());
            got
        })
        .unwrap();
    let (data, ended) = dechunk(&got);
    assert!(ended && data.contains("upstream_reset") && !data.contains("[DONE]"), "{data}");
    assert!(!data.contains("data: 2"), "{data}");
}

#[test]
fn a_whole_answer_that_breaks_off_is_dropped_without_a_clean_end() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let got = simulation
        .run_until(async {
            caller.write(chat(&token).as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"}]}").await.unwrap();
            server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
            caller.read_until(b"half").await.unwrap();
            drop(server);
            caller.read_to_end().await
        })
        .unwrap();
    assert!(got.is_err(), "a reset, not an end: {got:?}");
}

#[test]
fn a_caller_that_leaves_ends_the_models_work() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    simulation
        .run_until(async {
            let mut server = open(&mut caller, upstream, &token).await;
            caller.read_until(b"\r\n\r\n").await.unwrap();
            drop(caller);
            assert!(server.read_to_end().await.is_err(), "the model server sees a reset");
        })
        .unwrap();
    assert_eq!(stage.log()[0]["reason"], "client_gone");
    assert_eq!(stage.core.counters.exchanges_open.read(), 0);
}

#[test]
fn a_caller_that_does_not_read_is_cut_and_holds_little_meanwhile() {
    let mut stage = Stage::new();
    let token = stage.token("ann", &["engineers"]);
    let mut link = Link::default();
    link.outbound.capacity_bytes = 1_024;
    let mut caller = stage.caller(link);
    let Stage { simulation, upstream, network, .. } = &mut stage;
    let network = network.clone();
    let event = format!("data: {}\n\n", "x".repeat(4_000));
    simulation
        .run_until(async {
            let mut server = open(&mut caller, upstream, &token).await;
            while server.write(&chunk(&event)).await.is_ok() {
                use penstock_reactor::network::Network as _;
                assert!(network.pool().bytes_in_use() <= 16 * 16 * 1_024);
            }
        })
        .unwrap();
    assert_eq!(stage.log()[0]["reason"], "client_stalled");
}
