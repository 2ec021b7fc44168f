//! What every network does, as tests: run with the real sockets and with the ones in memory.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::buffer::Buffer;
use crate::network::{Network, NetworkError, Outgoing, Received, Receiver, Sender, Stream};

static LOAD: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// Makes a test of each function: `conformance_tests!(runner: name, name)`.
macro_rules! conformance_tests {
    ($run:path: $($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                $run(crate::conformance::$name);
            }
        )*
    };
}
pub(crate) use conformance_tests;

/// Polls once; whatever the future is waiting for, it goes on waiting.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

fn outgoing(parts: &[&'static [u8]]) -> Outgoing {
    let mut outgoing = Outgoing::default();
    for part in parts {
        outgoing.push(Buffer::from_static(part));
    }
    outgoing
}

async fn send(sender: &mut impl Sender, parts: &[&'static [u8]]) -> Result<(), NetworkError> {
    sender.send(&mut outgoing(parts)).await
}

/// Receives until there are so many bytes.
async fn receive_exactly(receiver: &mut impl Receiver, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        match receiver.receive().await.unwrap() {
            Received::Data(buffer) => {
                assert!(!buffer.is_empty());
                bytes.extend_from_slice(&buffer);
            }
            Received::End => panic!("ended after {} of {count} bytes", bytes.len()),
        }
    }
    bytes
}

/// Receives until the end or an error; how it ended.
async fn receive_rest(receiver: &mut impl Receiver) -> (usize, Result<(), NetworkError>) {
    let mut count = 0;
    loop {
        match receiver.receive().await {
            Ok(Received::Data(buffer)) => count += buffer.len(),
            Ok(Received::End) => return (count, Ok(())),
            Err(error) => return (count, Err(error)),
        }
    }
}

/// Sends until the peer's side is full; how many bytes were offered, and what was not taken.
async fn fill(sender: &mut impl Sender) -> (u64, Outgoing) {
    let (mut offered, mut outgoing) = (0, Outgoing::default());
    loop {
        outgoing.push(Buffer::from_static(&LOAD));
        offered += LOAD.len() as u64;
        let blocked = poll_once(pin!(sender.send(&mut outgoing))).await.is_pending();
        if blocked {
            return (offered, outgoing);
        }
    }
}

pub(crate) async fn bytes_arrive_in_order_whatever_the_buffers<N: Network>(
    _network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((_left_receiver, mut sender), (mut receiver, _right_sender)) =
        (left.split(), right.split());
    let parts: Vec<&'static [u8]> = (0..300).map(|n| &b"abcdefghij"[..1 + n % 10]).collect();
    let expected = parts.concat();
    send(&mut sender, &parts).await.unwrap();
    assert_eq!(sender.bytes_sent(), expected.len() as u64);
    assert_eq!(receive_exactly(&mut receiver, expected.len()).await, expected);
}

pub(crate) async fn both_directions_work_at_once<N: Network>(
    network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((mut left_receiver, mut left_sender), (mut right_receiver, mut right_sender)) =
        (left.split(), right.split());
    network.spawn(async move {
        while let Received::Data(buffer) = right_receiver.receive().await.unwrap() {
            let mut echo = Outgoing::default();
            echo.push(buffer);
            right_sender.send(&mut echo).await.unwrap();
        }
        right_sender.finish();
    });
    for text in [&b"one"[..], b"two", b"three"] {
        send(&mut left_sender, &[text]).await.unwrap();
        assert_eq!(receive_exactly(&mut left_receiver, text.len()).await, text);
    }
    left_sender.finish();
    assert_eq!(receive_rest(&mut left_receiver).await, (0, Ok(())));
}

pub(crate) async fn a_sender_waits_for_a_peer_that_does_not_receive<N: Network>(
    network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((_left_receiver, mut sender), (mut receiver, _right_sender)) =
        (left.split(), right.split());
    let (offered, mut rest) = fill(&mut sender).await;
    assert!(sender.bytes_sent() < offered);
    let sent = Rc::new(RefCell::new(None));
    let result = Rc::clone(&sent);
    network.spawn(async move {
        let outcome = sender.send(&mut rest).await;
        *result.borrow_mut() = Some((outcome, sender.bytes_sent(), rest.is_empty()));
    });
    assert!(sent.borrow().is_none());
    let received = receive_exactly(&mut receiver, offered as usize).await;
    assert!(received.iter().all(|byte| *byte == b'x'));
    while sent.borrow().is_none() {
        network.sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(*sent.borrow(), Some((Ok(()), offered, true)));
}

pub(crate) async fn a_cancelled_send_leaves_exactly_what_was_not_sent<N: Network>(
    network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((_left_receiver, mut sender), (mut receiver, _right_sender)) =
        (left.split(), right.split());
    let (offered, mut rest) = fill(&mut sender).await;
    assert_eq!(sender.bytes_sent() + rest.bytes() as u64, offered);
    // What was dropped was only a future: sending goes on where it stopped.
    network.spawn(async move {
        sender.send(&mut rest).await.unwrap();
        sender.finish();
    });
    assert_eq!(receive_rest(&mut receiver).await, (offered as usize, Ok(())));
}

pub(crate) async fn an_end_is_told_on_every_call_and_the_other_direction_goes_on<N: Network>(
    _network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((mut left_receiver, mut left_sender), (mut right_receiver, mut right_sender)) =
        (left.split(), right.split());
    send(&mut left_sender, &[b"last words"]).await.unwrap();
    left_sender.finish();
    assert_eq!(receive_exactly(&mut right_receiver, 10).await, b"last words");
    for _ in 0..3 {
        assert!(matches!(right_receiver.receive().await, Ok(Received::End)));
    }
    assert_eq!(send(&mut left_sender, &[b"more"]).await, Err(NetworkError::Reset));
    send(&mut right_sender, &[b"answer"]).await.unwrap();
    assert_eq!(receive_exactly(&mut left_receiver, 6).await, b"answer");
}

pub(crate) async fn an_abort_resets_both_sides_at_once<N: Network>(
    network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((mut left_receiver, mut left_sender), (mut right_receiver, mut right_sender)) =
        (left.split(), right.split());
    // Both receivers wait, and one sender is blocked, when it happens.
    assert!(poll_once(pin!(left_receiver.receive())).await.is_pending());
    assert!(poll_once(pin!(right_receiver.receive())).await.is_pending());
    let (_, mut rest) = fill(&mut right_sender).await;
    left_sender.abort();
    left_sender.abort();
    assert!(matches!(left_receiver.receive().await, Err(NetworkError::Reset)));
    assert_eq!(send(&mut left_sender, &[b"x"]).await, Err(NetworkError::Reset));
    assert!(matches!(right_receiver.receive().await, Err(NetworkError::Reset)));
    assert_eq!(right_sender.send(&mut rest).await, Err(NetworkError::Reset));
    assert!(!rest.is_empty());
    drop((left_receiver, left_sender, right_receiver, right_sender));
    assert_eq!(network.pool().bytes_in_use(), 0);
}

pub(crate) async fn a_receiver_that_waits_holds_no_buffer<N: Network>(
    network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((mut receiver, _left_sender), (_right_receiver, mut right_sender)) =
        (left.split(), right.split());
    for _ in 0..3 {
        assert!(poll_once(pin!(receiver.receive())).await.is_pending());
        network.yield_now().await;
        assert_eq!(network.pool().bytes_in_use(), 0);
    }
    send(&mut right_sender, &[b"now"]).await.unwrap();
    assert_eq!(receive_exactly(&mut receiver, 3).await, b"now");
    assert_eq!(network.pool().bytes_in_use(), 0);
}

pub(crate) async fn without_buffers_only_a_stream_that_has_bytes_is_told<N: Network>(
    network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((mut receiver, _left_sender), (mut idle, mut right_sender)) =
        (left.split(), right.split());
    assert!(poll_once(pin!(idle.receive())).await.is_pending());
    let all = network.pool().reserve(network.pool().bytes_max()).unwrap();
    assert!(poll_once(pin!(idle.receive())).await.is_pending());
    send(&mut right_sender, &[b"late"]).await.unwrap();
    assert!(matches!(receiver.receive().await, Err(NetworkError::Exhausted)));
    assert!(poll_once(pin!(idle.receive())).await.is_pending());
    drop(all);
    assert_eq!(receive_exactly(&mut receiver, 4).await, b"late");
}

pub(crate) async fn a_dropped_receive_loses_nothing<N: Network>(
    network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((mut receiver, _left_sender), (_right_receiver, mut right_sender)) =
        (left.split(), right.split());
    network.spawn(async move {
        for _ in 0..50 {
            send(&mut right_sender, &[b"0123456789"]).await.unwrap();
        }
        right_sender.finish();
    });
    let mut bytes = Vec::new();
    loop {
        let polled = poll_once(pin!(receiver.receive())).await;
        match polled {
            Poll::Pending => network.sleep(Duration::from_micros(100)).await,
            Poll::Ready(Ok(Received::Data(buffer))) => bytes.extend_from_slice(&buffer),
            Poll::Ready(Ok(Received::End)) => break,
            Poll::Ready(Err(error)) => panic!("{error}"),
        }
    }
    assert_eq!(bytes, b"0123456789".repeat(50));
}

pub(crate) async fn a_stream_closes_when_both_halves_are_dropped<N: Network>(
    _network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((left_receiver, mut left_sender), (mut right_receiver, _right_sender)) =
        (left.split(), right.split());
    drop(left_receiver);
    send(&mut left_sender, &[b"still open"]).await.unwrap();
    assert_eq!(receive_exactly(&mut right_receiver, 10).await, b"still open");
    assert!(poll_once(pin!(right_receiver.receive())).await.is_pending());
    drop(left_sender);
    assert_eq!(receive_rest(&mut right_receiver).await, (0, Ok(())));
}

pub(crate) async fn closing_with_bytes_unread_resets<N: Network>(
    network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((mut left_receiver, left_sender), (mut right_receiver, mut right_sender)) =
        (left.split(), right.split());
    network.spawn(async move {
        // More than one receive takes; the reset may come before all of it is on its way.
        let _ = send(&mut right_sender, &[&LOAD[..40_000]]).await;
    });
    drop((left_receiver.receive().await.unwrap(), left_receiver, left_sender));
    assert_eq!(receive_rest(&mut right_receiver).await, (0, Err(NetworkError::Reset)));
}

pub(crate) async fn sleeping_takes_its_time_and_keeps_the_order<N: Network>(
    network: N,
    _left: N::Stream,
    _right: N::Stream,
) {
    let order = Rc::new(RefCell::new(Vec::new()));
    let start = network.now();
    for millis in [30, 10, 20] {
        let (order, sleep) = (Rc::clone(&order), network.sleep(Duration::from_millis(millis)));
        network.spawn(async move {
            sleep.await;
            order.borrow_mut().push(millis);
        });
    }
    drop(network.sleep(Duration::from_secs(3600)));
    network.sleep(Duration::from_millis(60)).await;
    assert!(network.now() - start >= Duration::from_millis(60));
    assert_eq!(*order.borrow(), [10, 20, 30]);
    assert!(network.wall() > Duration::from_secs(1_700_000_000));
}

pub(crate) async fn a_connection_is_quiet_until_something_comes_or_it_ends<N: Network>(
    network: N,
    left: N::Stream,
    right: N::Stream,
) {
    let ((_left_receiver, mut left_sender), (mut right_receiver, _right_sender)) =
        (left.split(), right.split());
    assert!(right_receiver.is_quiet());
    send(&mut left_sender, &[b"x"]).await.unwrap();
    until_stirred(&network, &mut right_receiver).await;
    assert_eq!(receive_exactly(&mut right_receiver, 1).await, b"x", "asking took nothing");
    assert!(right_receiver.is_quiet());
    left_sender.finish();
    until_stirred(&network, &mut right_receiver).await;
}

/// What was sent may still be on its way: asks again for a while.
async fn until_stirred<N: Network>(network: &N, receiver: &mut impl Receiver) {
    for _ in 0..1_000 {
        if !receiver.is_quiet() {
            return;
        }
        network.sleep(Duration::from_millis(1)).await;
    }
    panic!("what was sent never came");
}
