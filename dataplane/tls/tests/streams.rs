//! What flows after a handshake: bytes in order, bounded memory, honest ends.

#![allow(clippy::unwrap_used, reason = "what a test set up itself is there")]
#![allow(unreachable_pub, reason = "helpers of several test programs")]

mod common;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use common::*;
use penstock_reactor::buffer::BLOCK_BYTES;
use penstock_reactor::memory::{Direction, Link, MemoryStream};
use penstock_reactor::network::{
    Network as _, NetworkError, Outgoing, Received, Receiver as _, Sender as _, Stream as _,
};
use penstock_tls::{AHEAD_RECORDS_MAX, Failure, Secured, TlsStream};
use rustls::version::{TLS12, TLS13};

static LOAD: [u8; 300_000] = [b'x'; 300_000];

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Bytes that differ, so that one that is lost or repeated is seen.
fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251) as u8).collect()
}

fn push_all(outgoing: &mut Outgoing, stage: &Stage, bytes: &[u8], piece: usize) {
    for block in bytes.chunks(BLOCK_BYTES) {
        let mut block = stage.network.pool().copy(block).unwrap();
        while !block.is_empty() {
            outgoing.push(block.split_to(piece));
        }
    }
}

#[test]
fn bytes_arrive_in_order_on_every_link_whatever_the_pieces() {
    let setting = Setting::new();
    for seed in 0..12 {
        for piece in [1, 100, 5000, BLOCK_BYTES] {
            let mut stage = Stage::new(seed);
            let link = if seed % 2 == 0 { Link::rough() } else { Link::default() };
            let (server, client) = stage.secured(&setting, link);
            let (mut receiver, _server_sender) = server.split();
            let (_client_receiver, mut sender) = client.split();
            let bytes = pattern(if piece == 1 { 150 } else { 100_000 });
            let mut outgoing = Outgoing::default();
            push_all(&mut outgoing, &stage, &bytes, piece);
            stage.network.spawn(async move {
                sender.send(&mut outgoing).await.unwrap();
                sender.finish();
                // What the socket did not take of the farewell.
                send(&mut sender, &[]).await.unwrap();
            });
            let (read, end) = stage.simulation.run_until(read_all(&mut receiver)).unwrap();
            assert!(read == bytes, "seed {seed}, pieces of {piece}");
            assert_eq!(end, Ok(()));
            assert_eq!(stage.pool_bytes(), 0);
        }
    }
}

#[test]
fn a_kept_part_of_a_record_is_counted_and_let_go() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let config = setting.raw_config(&[&TLS13]);
    let (accepted, mut client, _) =
        RawClient::meet(&mut stage, &setting.server, config, Link::default());
    let (mut receiver, _sender) = accepted.unwrap().split();
    std::io::Write::write_all(&mut client.tls.writer(), &LOAD[..16_000]).unwrap();
    let record = client.take_ciphertext();
    let (first, rest) = record.split_at(9000);
    stage.simulation.run_until(client.peer.write(first)).unwrap().unwrap();
    let pending = stage.simulation.run_until(async { poll_once(pin!(receiver.receive())).await });
    assert!(pending.unwrap().is_pending());
    assert!((9000..20_000).contains(&stage.pool_bytes()));
    stage.simulation.run_until(client.peer.write(rest)).unwrap().unwrap();
    let read = stage.simulation.run_until(read_exactly(&mut receiver, 16_000)).unwrap();
    assert!(read == LOAD[..16_000]);
    assert_eq!(stage.pool_bytes(), 0);
}

#[test]
fn small_neighbours_share_a_record() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let (server, client) = stage.secured(&setting, Link::default());
    let (_receiver, mut sender) = server.split();
    let (mut client_receiver, _client_sender) = client.split();
    let before = sender.bytes_sent();
    let sent = send(&mut sender, &[b"5\r\n", b"event", b"\r\n"]);
    stage.simulation.run_until(sent).unwrap().unwrap();
    // RFC 8446 section 5.2: header, type, tag.
    assert_eq!(sender.bytes_sent() - before, 10 + 5 + 1 + 16);
    let read = stage.simulation.run_until(client_receiver.receive()).unwrap();
    assert!(matches!(read, Ok(Received::Data(buffer)) if &*buffer == b"5\r\nevent\r\n"));
}

#[test]
fn a_peer_that_does_not_read_bounds_what_is_encrypted() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let (server, _client) = stage.secured(&setting, Link::default());
    let (_receiver, mut sender) = server.split();
    let mut outgoing = outgoing(&[&LOAD, &LOAD]);
    let blocked = stage
        .simulation
        .run_until(async { poll_once(pin!(sender.send(&mut outgoing))).await })
        .unwrap();
    assert!(blocked.is_pending());
    assert!(stage.pool_bytes() <= AHEAD_RECORDS_MAX * BLOCK_BYTES);
    assert!(outgoing.bytes() > LOAD.len());
}

#[test]
fn a_send_that_is_dropped_loses_nothing_and_repeats_nothing() {
    let setting = Setting::new();
    for seed in 0..20 {
        let mut stage = Stage::new(seed);
        let (server, client) = stage.secured(&setting, Link::rough());
        let (mut receiver, _server_sender) = server.split();
        let (_client_receiver, mut sender) = client.split();
        let bytes = pattern(60_000);
        let mut outgoing = Outgoing::default();
        push_all(&mut outgoing, &stage, &bytes, 700);
        let network = stage.network.clone();
        stage.network.spawn(async move {
            loop {
                // Polled a few times, then dropped.
                let mut send = pin!(sender.send(&mut outgoing));
                let mut done = false;
                for _ in 0..3 {
                    done = poll_once(send.as_mut()).await.is_ready();
                    if done {
                        break;
                    }
                    network.sleep(std::time::Duration::from_millis(3)).await;
                }
                if done {
                    break;
                }
            }
            assert!(outgoing.is_empty());
            sender.finish();
            send(&mut sender, &[]).await.unwrap();
        });
        let (read, end) = stage.simulation.run_until(read_all(&mut receiver)).unwrap();
        assert!(read == bytes, "seed {seed}");
        assert_eq!(end, Ok(()));
    }
}

#[test]
fn what_was_encrypted_is_sent_by_the_next_call_also_when_nothing_else_is_to_be_sent() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let direction = Direction { capacity_bytes: 1000, ..Direction::default() };
    let (server, client) = stage.secured(
        &setting,
        Link { outbound: direction.clone(), inbound: direction, ..Link::default() },
    );
    let (_receiver, mut sender) = server.split();
    let (mut client_receiver, _client_sender) = client.split();
    let mut all = outgoing(&[&LOAD[..5000]]);
    let blocked = async { poll_once(pin!(sender.send(&mut all))).await };
    assert!(stage.simulation.run_until(blocked).unwrap().is_pending());
    assert!(all.is_empty(), "all of it was encrypted");
    let both = async {
        let rest = send(&mut sender, &[]);
        futures_util::future::join(rest, read_exactly(&mut client_receiver, 5000)).await
    };
    let (sent, read) = stage.simulation.run_until(both).unwrap();
    assert_eq!(sent, Ok(()));
    assert!(read == LOAD[..5000]);
}

#[test]
fn nothing_counts_as_sent_before_the_socket_took_it() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let (server, client) = stage.secured(&setting, Link::default());
    let (_receiver, mut sender) = server.split();
    let (_client_receiver, mut client_sender) = client.split();
    client_sender.abort();
    let before = sender.bytes_sent();
    let sent = stage.simulation.run_until(send(&mut sender, &[b"a request"])).unwrap();
    assert_eq!(sent, Err(NetworkError::Reset));
    assert_eq!(sender.bytes_sent(), before);
}

#[test]
fn a_cut_is_a_reset_and_close_notify_is_an_end() {
    let setting = Setting::new();
    for version in [&TLS12, &TLS13] {
        for notified in [true, false] {
            let mut stage = Stage::new(1);
            let config = setting.raw_config(&[version]);
            let (accepted, mut client, _) =
                RawClient::meet(&mut stage, &setting.server, config, Link::default());
            let (mut receiver, mut sender) = accepted.unwrap().split();
            let script = async {
                client.write(b"all there is").await;
                if notified {
                    client.tls.send_close_notify();
                    client.flush().await.unwrap();
                    // Nothing behind it counts.
                    client.peer.write(b"\x17\x03\x03\x00\x05wrong").await.unwrap();
                }
                client.peer.finish();
                read_all(&mut receiver).await
            };
            let (bytes, end) = stage.simulation.run_until(script).unwrap();
            assert_eq!(bytes, b"all there is");
            let expected = if notified { Ok(()) } else { Err(NetworkError::Reset) };
            assert_eq!(end, expected);
            if notified {
                // Our side goes on (RFC 8446 section 6.1).
                stage.simulation.run_until(send(&mut sender, &[b"answer"])).unwrap().unwrap();
            }
            assert_eq!(stage.pool_bytes(), 0);
        }
    }
}

#[test]
fn a_stream_that_is_cut_at_any_byte_never_ends_well() {
    let setting = Setting::new();
    for limit in 0..60 {
        let mut stage = Stage::new(limit);
        let config = setting.raw_config(&[&TLS13]);
        let (accepted, mut client, _) =
            RawClient::meet(&mut stage, &setting.server, config, Link::default());
        let (mut receiver, _sender) = accepted.unwrap().split();
        let script = async {
            std::io::Write::write_all(&mut client.tls.writer(), b"twelve bytes").unwrap();
            client.tls.send_close_notify();
            let bytes = client.take_ciphertext();
            // 34 bytes of data, 24 of close_notify.
            assert_eq!(bytes.len(), 58);
            let cut = usize::try_from(limit).unwrap().min(bytes.len());
            client.peer.write(&bytes[..cut]).await.unwrap();
            client.peer.finish();
            read_all(&mut receiver).await
        };
        let (bytes, end) = stage.simulation.run_until(script).unwrap();
        assert_eq!(bytes.is_empty(), limit < 34);
        assert_eq!(end.is_ok(), limit >= 58);
    }
}

#[test]
fn bytes_that_were_changed_on_the_way_end_the_connection() {
    let setting = Setting::new();
    for index in 0..38 {
        let mut stage = Stage::new(1);
        let config = setting.raw_config(&[&TLS13]);
        let (accepted, mut client, _) =
            RawClient::meet(&mut stage, &setting.server, config, Link::default());
        let (mut receiver, mut sender) = accepted.unwrap().split();
        let script = async {
            std::io::Write::write_all(&mut client.tls.writer(), b"sixteen bytes ok").unwrap();
            let mut bytes = client.take_ciphertext();
            bytes[index] ^= 0x41;
            client.peer.write(&bytes).await.unwrap();
            client.peer.finish();
            read_all(&mut receiver).await
        };
        let (bytes, end) = stage.simulation.run_until(script).unwrap();
        if index == 2 {
            // The record's minor version is to be ignored (RFC 8446 section 5.1).
            assert_eq!(bytes, b"sixteen bytes ok");
            continue;
        }
        assert!(bytes.is_empty() && end.is_err(), "byte {index}");
        let sent = stage.simulation.run_until(send(&mut sender, &[b"more"])).unwrap();
        assert!(sent.is_err());
        assert_eq!(stage.pool_bytes(), 0);
    }
}

#[test]
fn a_key_update_is_answered_before_the_next_data_and_a_flood_of_them_ends() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let config = setting.raw_config(&[&TLS13]);
    let (accepted, mut client, _) =
        RawClient::meet(&mut stage, &setting.server, config, Link::default());
    let (mut receiver, mut sender) = accepted.unwrap().split();
    let script = async {
        for _ in 0..100 {
            client.tls.refresh_traffic_keys().unwrap();
            client.write(b"under new keys").await;
            assert_eq!(read_exactly(&mut receiver, 14).await, b"under new keys");
            send(&mut sender, &[b"also"]).await.unwrap();
            assert_eq!(client.read_exactly(4).await, b"also");
        }
        for _ in 0..200 {
            client.tls.refresh_traffic_keys().unwrap();
            if client.flush().await.is_err() {
                break;
            }
        }
        client.peer.finish();
        read_all(&mut receiver).await
    };
    let (bytes, end) = stage.simulation.run_until(script).unwrap();
    assert!(bytes.is_empty() && end.is_err());
    assert_eq!(receiver.failure(), Some(Failure::Protocol));
    assert_eq!(stage.pool_bytes(), 0);
}

#[test]
fn key_updates_that_nobody_answers_hold_no_memory() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let config = setting.raw_config(&[&TLS13]);
    let (accepted, mut client, _) =
        RawClient::meet(&mut stage, &setting.server, config, Link::default());
    let (mut receiver, mut sender) = accepted.unwrap().split();
    let script = async {
        for _ in 0..10 {
            client.tls.refresh_traffic_keys().unwrap();
            client.flush().await.unwrap();
        }
        client.write(b"then data").await;
        assert_eq!(read_exactly(&mut receiver, 9).await, b"then data");
        send(&mut sender, &[b"answer"]).await.unwrap();
        assert_eq!(client.read_exactly(6).await, b"answer");
    };
    stage.simulation.run_until(script).unwrap();
    assert_eq!(stage.pool_bytes(), 0);
}

#[test]
fn late_tickets_do_not_stir_a_kept_connection_and_anything_else_does() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let kept = |stage: &mut Stage| {
        let (server, client) = stage.secured(&setting, Link::default());
        stage.simulation.settle();
        (server.split(), client.split())
    };
    let ((_r, mut server), (mut receiver, _s)) = kept(&mut stage);
    assert!(receiver.is_quiet(), "tickets came");
    assert!(receiver.is_quiet());
    stage.simulation.run_until(send(&mut server, &[b"unasked"])).unwrap().unwrap();
    assert!(!receiver.is_quiet());
    assert!(!receiver.is_quiet(), "and it stays so");
    // What was seen is not lost.
    assert_eq!(stage.simulation.run_until(read_exactly(&mut receiver, 7)).unwrap(), b"unasked");

    let ((_r, mut server), (mut receiver, _s)) = kept(&mut stage);
    server.finish();
    assert!(!receiver.is_quiet(), "closed");
    let ((server_receiver, server), (mut receiver, _s)) = kept(&mut stage);
    drop((server_receiver, server));
    assert!(!receiver.is_quiet(), "cut");
}

#[test]
fn out_of_buffers_loses_nothing() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let config = setting.raw_config(&[&TLS13]);
    let (accepted, mut client, _) =
        RawClient::meet(&mut stage, &setting.server, config, Link::default());
    let (mut receiver, mut sender) = accepted.unwrap().split();
    let pool = stage.network.pool().clone();
    stage.simulation.run_until(client.write(b"hello")).unwrap();
    // Room for the block that is received, none for what is in it.
    let hog = pool.reserve(pool.bytes_max() - BLOCK_BYTES).unwrap();
    let received = stage.simulation.run_until(receiver.receive()).unwrap();
    assert!(matches!(received, Err(NetworkError::Exhausted)));
    drop(hog);
    assert_eq!(stage.simulation.run_until(read_exactly(&mut receiver, 5)).unwrap(), b"hello");
    let hog = pool.reserve(pool.bytes_max()).unwrap();
    let mut all = outgoing(&[b"answer"]);
    let sent = stage.simulation.run_until(sender.send(&mut all)).unwrap();
    assert_eq!(sent, Err(NetworkError::Exhausted));
    assert_eq!(all.bytes(), 6);
    drop(hog);
    stage.simulation.run_until(sender.send(&mut all)).unwrap().unwrap();
    assert_eq!(stage.simulation.run_until(client.read_exactly(6)).unwrap(), b"answer");
}

#[test]
fn a_plain_stream_passes_through_untouched() {
    let mut stage = Stage::new(1);
    let (left, right) = stage.network.pair(Link::default());
    let (left, right): (Secured<MemoryStream>, _) = (Secured::Plain(left), Secured::Plain(right));
    let ((mut receiver, _), (_, mut sender)) = (left.split(), right.split());
    assert!(receiver.is_quiet());
    stage.simulation.run_until(send(&mut sender, &[b"clear"])).unwrap().unwrap();
    assert_eq!(sender.bytes_sent(), 5);
    sender.finish();
    let read = stage.simulation.run_until(read_all(&mut receiver)).unwrap();
    assert_eq!(read, (b"clear".to_vec(), Ok(())));
}

#[test]
fn what_a_stream_prints_says_nothing_of_what_it_carries() {
    let setting = Setting::new();
    let mut stage = Stage::new(1);
    let (server, client): (TlsStream<MemoryStream>, _) = stage.secured(&setting, Link::default());
    assert_eq!(format!("{server:?}"), "TlsStream");
    let (receiver, sender) = client.split();
    assert_eq!(format!("{receiver:?} {sender:?}"), "TlsReceiver TlsSender");
}
