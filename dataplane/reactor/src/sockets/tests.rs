use std::net::{Ipv4Addr, TcpListener as StdListener};

use futures_util::future::{Either, select};
use glommio::Placement;

use super::*;
use crate::buffer::{BLOCK_BYTES, Buffer};
use crate::conformance::conformance_tests;
use crate::cores;

const POOL_BYTES: usize = 1 << 20;

/// Runs a test inside an executor, for thirty seconds at most.
fn on_a_core<F: Future<Output = ()>>(test: impl FnOnce(GlommioNetwork) -> F) {
    let executor = cores::executor(Placement::Unbound).unwrap();
    executor.run(async move {
        let network = GlommioNetwork::new(0, Pool::new(POOL_BYTES));
        network.spawn(network.clone().beat());
        let limit = std::pin::pin!(network.sleep(Duration::from_secs(30)));
        if let Either::Right(_) = select(std::pin::pin!(test(network.clone())), limit).await {
            panic!("not done in thirty seconds");
        }
        network.end();
    });
}

async fn pair(network: &GlommioNetwork) -> (SocketStream, SocketStream) {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let left = network.connect(listener.local_addr().unwrap()).await.unwrap();
    let (right, _) = listener.accept().unwrap();
    (left, network.adopt(right.into()).unwrap())
}

fn with_a_pair<F: Future<Output = ()>>(
    test: impl FnOnce(GlommioNetwork, SocketStream, SocketStream) -> F,
) {
    on_a_core(|network| async move {
        let (left, right) = pair(&network).await;
        test(network, left, right).await;
    });
}

conformance_tests!(with_a_pair:
    bytes_arrive_in_order_whatever_the_buffers,
    both_directions_work_at_once,
    a_sender_waits_for_a_peer_that_does_not_receive,
    a_cancelled_send_leaves_exactly_what_was_not_sent,
    an_end_is_told_on_every_call_and_the_other_direction_goes_on,
    an_abort_resets_both_sides_at_once,
    a_receiver_that_waits_holds_no_buffer,
    without_buffers_only_a_stream_that_has_bytes_is_told,
    a_dropped_receive_loses_nothing,
    a_stream_closes_when_both_halves_are_dropped,
    a_connection_is_quiet_until_something_comes_or_it_ends,
    closing_with_bytes_unread_resets,
    sleeping_takes_its_time_and_keeps_the_order,
);

#[test]
fn a_connection_that_nobody_takes_is_refused() {
    on_a_core(|network| async move {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(network.connect(address).await.unwrap_err(), NetworkError::Refused);
    });
}

#[test]
fn a_panic_in_a_task_ends_that_task_alone() {
    on_a_core(|network| async move {
        network.spawn(async { panic!("on purpose") });
        let later = network.sleep(Duration::from_millis(1));
        network.spawn(async move {
            later.await;
            panic!("on purpose, after waiting");
        });
        while network.panics() < 2 {
            network.sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn nothing_is_spawned_on_a_core_that_has_ended() {
    on_a_core(|network| async move {
        network.end();
        network.spawn(async { panic!("must not run") });
        assert_eq!(network.panics(), 0);
    });
}

#[test]
fn a_stream_that_always_has_bytes_lets_timers_run() {
    with_a_pair(|network, left, right| async move {
        SockRef::from(&left.socket.descriptor()).set_recv_buffer_size(1 << 20).unwrap();
        let (mut receiver, _left_sender) = left.split();
        let (_right_receiver, mut sender) = right.split();
        let mut outgoing = Outgoing::default();
        outgoing.push(Buffer::from_static(&[b'x'; 10 * BLOCK_BYTES]));
        sender.send(&mut outgoing).await.unwrap();
        let rung = Rc::new(Cell::new(false));
        let (bell, timer) = (Rc::clone(&rung), network.sleep(Duration::from_millis(5)));
        network.spawn(async move {
            timer.await;
            bell.set(true);
        });
        for _ in 0..10 {
            let Ok(Received::Data(buffer)) = receiver.receive().await else { panic!("no data") };
            assert_eq!(buffer.len(), BLOCK_BYTES, "there was nothing to wait for");
            let busy_until = network.now() + Duration::from_millis(2);
            while network.now() < busy_until {}
        }
        assert!(rung.get());
    });
}

#[test]
fn small_writes_are_not_delayed() {
    with_a_pair(|_network, left, _right| async move {
        assert!(SockRef::from(&left.socket.descriptor()).tcp_nodelay().unwrap());
    });
}

#[test]
fn errors_of_the_system_are_told_apart() {
    let error = |number| network_error(io::Error::from_raw_os_error(number));
    assert_eq!(error(libc::EPIPE), NetworkError::Reset);
    assert_eq!(error(libc::ENETUNREACH), NetworkError::Refused);
    assert_eq!(error(libc::EMFILE), NetworkError::System(libc::EMFILE));
    assert_eq!(network_error(io::Error::other("x")), NetworkError::System(libc::EIO));
}
