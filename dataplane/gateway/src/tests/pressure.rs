//! Buffers that get short: what waits goes first, then nothing new begins, and what runs goes on.

use std::time::Duration;

use penstock_reactor::buffer::BLOCK_BYTES;
use penstock_reactor::memory::{Link, Peer};
use penstock_reactor::network::Network as _;

use super::limits::{limited, reached};
use super::stage::{Answer, Stage, chat, get};

const READERS: usize = 1_000;

/// What one reader that stalls may hold.
const READER_BYTES_MAX: usize = 3 * BLOCK_BYTES;

const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn event(bytes: usize) -> Vec<u8> {
    let event = format!("data: {}\n\n", "x".repeat(bytes));
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

/// A stream to a caller that reads its head and nothing more.
fn open(stage: &mut Stage, link: Link) -> (Peer, Peer) {
    let request = chat(&stage.token("ann", &["engineers"]));
    let mut caller = stage.caller(link);
    let Stage { simulation, upstream, .. } = stage;
    let opened = simulation.run_until(async {
        caller.write(request.as_bytes()).await.unwrap();
        let mut server = upstream.accept().await;
        server.read_until(b"}]}").await.unwrap();
        server.write(STREAM).await.unwrap();
        caller.read_until(b"\r\n\r\n").await.unwrap();
        server
    });
    (caller, opened.unwrap())
}

#[test]
fn a_thousand_readers_that_stall_hold_a_bounded_share_each_and_are_cut() {
    let mut stage = limited("{send_stall_ms_max: 60000}");
    let mut link = Link::default();
    link.outbound.capacity_bytes = 1_024;
    let mut open: Vec<(Peer, Peer)> =
        (0..READERS).map(|_| open(&mut stage, link.clone())).collect();
    let pool = stage.network.pool().clone();
    for (_, server) in &mut open {
        // As much as the connection takes without anybody reading on.
        for _ in 0..15 {
            stage.simulation.run_until(server.write(&event(4_000))).unwrap().unwrap();
        }
        stage.simulation.settle();
    }
    let each = pool.bytes_in_use() / READERS;
    assert!(each >= BLOCK_BYTES, "they stall with something in hand: {each}");
    assert!(each <= READER_BYTES_MAX, "{each} bytes a reader");
    stage.simulation.advance(Duration::from_secs(61));
    assert_eq!(reached(&stage, "send_stall_ms_max"), 1_000);
    assert_eq!(stage.core.counters.exchanges_open.read(), 0);
    assert_eq!(pool.bytes_in_use(), 0);
}

#[test]
fn when_buffers_get_short_idle_goes_first_then_new_requests_and_never_a_stream() {
    let mut stage = Stage::new();
    let (mut reader, mut server) = open(&mut stage, Link::default());
    let mut idle = stage.caller(Link::default());
    let request = get("/nowhere/x", "none");
    let asked = async {
        idle.write(request.as_bytes()).await.unwrap();
        idle.read_until(b"\"}}").await.unwrap();
    };
    stage.simulation.run_until(asked).unwrap();
    let pool = stage.network.pool().clone();
    let percent = |percent: usize| pool.reserve(pool.bytes_max() / 100 * percent).unwrap();

    stage.core.tick();
    stage.simulation.settle();
    assert_eq!(reached(&stage, "buffer_bytes_per_core_max"), 0);
    let _most = percent(81);
    stage.core.tick();
    assert_eq!(stage.simulation.run_until(idle.read_to_end()).unwrap(), Ok(Vec::new()));
    assert_eq!(reached(&stage, "buffer_bytes_per_core_max"), 1);
    let close = request.replace("Host:", "Connection: close\r\nHost:");
    assert_eq!(stage.refusal(close.as_bytes()).status, 401, "new requests are served");

    let _more = percent(10);
    let refused = stage.refusal(close.as_bytes());
    assert_eq!((refused.status, &refused.error()["code"]), (503, &"overloaded".into()));
    assert!(refused.head.contains("retry-after: "));
    assert_eq!(reached(&stage, "buffer_bytes_per_core_max"), 2);
    assert!(stage.core.is_accepting());

    let _nearly_all = percent(5);
    assert!(!stage.core.is_accepting());
    stage.core.tick();
    let goes_on = async {
        server.write(&event(10)).await.unwrap();
        server.write(b"0\r\n\r\n").await.unwrap();
        reader.read_until(b"\r\n0\r\n\r\n").await.unwrap()
    };
    let rest = stage.simulation.run_until(goes_on).unwrap();
    assert_eq!(Answer::parse(&rest).status, 0, "the rest of its stream, and no error");
}
