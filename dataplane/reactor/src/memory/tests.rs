use std::cell::{Cell, RefCell};

use super::*;
use crate::buffer::{BLOCK_BYTES, Buffer};
use crate::conformance::{conformance_tests, poll_once};
use crate::network::{Outgoing, Received, Receiver, Sender, Stream};

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);

fn network_of(simulation: &Simulation) -> MemoryNetwork {
    simulation.network(0, Pool::new(64 * BLOCK_BYTES))
}

/// Runs a test on calm links and on rough ones of several seeds.
fn in_memory<F: Future<Output = ()>>(
    test: impl Fn(MemoryNetwork, MemoryStream, MemoryStream) -> F,
) {
    for seed in 0..12 {
        let mut simulation = Simulation::new(seed);
        let network = network_of(&simulation);
        let link = if seed == 0 { Link::default() } else { Link::rough() };
        let (left, right) = network.pair(link);
        let ended = simulation.run_until(test(network, left, right));
        assert_eq!(ended, Ok(()), "seed {seed}");
    }
}

conformance_tests!(in_memory:
    bytes_arrive_in_order_whatever_the_buffers,
    both_directions_work_at_once,
    a_sender_waits_for_a_peer_that_does_not_receive,
    a_cancelled_send_leaves_exactly_what_was_not_sent,
    an_end_is_told_on_every_call_and_the_other_direction_goes_on,
    a_dropped_receive_loses_nothing,
    a_stream_closes_when_both_halves_are_dropped,
    a_connection_is_quiet_until_something_comes_or_it_ends,
    closing_with_bytes_unread_resets,
    sleeping_takes_its_time_and_keeps_the_order,
);

/// Runs a test on a calm link: some things are exact only without delays.
fn on_a_calm_link<F: Future<Output = ()>>(
    test: impl Fn(MemoryNetwork, MemoryStream, MemoryStream) -> F,
) {
    let mut simulation = Simulation::new(0);
    let network = network_of(&simulation);
    let (left, right) = network.pair(Link::default());
    assert_eq!(simulation.run_until(test(network, left, right)), Ok(()));
}

conformance_tests!(on_a_calm_link:
    an_abort_resets_both_sides_at_once,
    a_receiver_that_waits_holds_no_buffer,
    without_buffers_only_a_stream_that_has_bytes_is_told,
);

fn text(bytes: &'static [u8]) -> Outgoing {
    let mut outgoing = Outgoing::default();
    outgoing.push(Buffer::from_static(bytes));
    outgoing
}

#[test]
fn a_late_completion_returns_its_buffer_after_the_receiver_is_gone() {
    let mut simulation = Simulation::new(3);
    let network = network_of(&simulation);
    let slow = Duration::from_secs(1);
    let inbound = Direction { completion_delay_max: slow, ..Direction::default() };
    let (stream, mut peer) = network.connected(Link { inbound, ..Link::default() });
    let (mut receiver, sender) = stream.split();
    let pending = simulation.run_until(async {
        let first = poll_once(pin!(receiver.receive())).await.is_pending();
        peer.write(b"for nobody").await.unwrap();
        first
    });
    assert_eq!(pending, Ok(true));
    drop((receiver, sender));
    assert_eq!(network.pool().bytes_in_use(), BLOCK_BYTES);
    simulation.advance(slow);
    assert_eq!(network.pool().bytes_in_use(), 0);
}

#[test]
fn completions_of_different_streams_come_in_another_order() {
    let orders: Vec<Vec<usize>> = (0..20).map(order_of_completions).collect();
    assert!(orders.iter().any(|order| *order != orders[0]));
    assert_eq!(orders, (0..20).map(order_of_completions).collect::<Vec<_>>());
}

/// Four streams get one byte each, in order; in which order the receivers learn of it.
fn order_of_completions(seed: u64) -> Vec<usize> {
    let mut simulation = Simulation::new(seed);
    let network = network_of(&simulation);
    let order = Rc::new(RefCell::new(Vec::new()));
    let mut peers = Vec::new();
    for index in 0..4 {
        let (stream, peer) = network.connected(Link::rough());
        peers.push(peer);
        let order = Rc::clone(&order);
        network.spawn(async move {
            let (mut receiver, _sender) = stream.split();
            receiver.receive().await.unwrap();
            order.borrow_mut().push(index);
        });
    }
    let written = simulation.run_until(async {
        for peer in &mut peers {
            peer.write(b"x").await.unwrap();
        }
    });
    written.unwrap();
    simulation.advance(Duration::from_secs(1));
    assert_eq!(simulation.tasks(), 0);
    order.take()
}

#[test]
fn a_rough_link_carries_few_bytes_at_a_time() {
    let mut simulation = Simulation::new(5);
    let network = network_of(&simulation);
    let (stream, mut peer) = network.connected(Link::rough());
    let (mut receiver, _sender) = stream.split();
    network.spawn(async move {
        peer.write(&[b'x'; 20_000]).await.unwrap();
        peer.finish();
    });
    let sizes = simulation.run_until(async {
        let mut sizes = Vec::new();
        while let Received::Data(buffer) = receiver.receive().await.unwrap() {
            sizes.push(buffer.len());
        }
        sizes
    });
    let sizes = sizes.unwrap();
    assert_eq!(sizes.iter().sum::<usize>(), 20_000);
    assert!(sizes.iter().all(|size| *size <= 500) && sizes.iter().any(|size| *size < 100));
}

#[test]
fn a_connection_is_reset_after_exactly_so_many_bytes() {
    for seed in 0..20 {
        let mut simulation = Simulation::new(seed);
        let network = network_of(&simulation);
        let inbound = Direction { reset_after_bytes: Some(1234), ..Direction::rough() };
        let (stream, mut peer) = network.connected(Link { inbound, ..Link::rough() });
        let (mut receiver, mut sender) = stream.split();
        network.spawn(async move {
            assert_eq!(peer.write(&[b'x'; 5000]).await, Err(NetworkError::Reset));
        });
        let (count, error) = simulation
            .run_until(async {
                let mut count = 0;
                loop {
                    match receiver.receive().await {
                        Ok(Received::Data(buffer)) => count += buffer.len(),
                        Ok(Received::End) => panic!("a clean end"),
                        Err(error) => break (count, error),
                    }
                }
            })
            .unwrap();
        assert_eq!((count, error), (1234, NetworkError::Reset), "seed {seed}");
        let sent = simulation.run_until(sender.send(&mut text(b"too late")));
        assert_eq!(sent, Ok(Err(NetworkError::Reset)));
    }
}

#[test]
fn connects_reach_a_listener_or_are_refused() {
    let mut simulation = Simulation::new(1);
    let network = network_of(&simulation);
    let connected = simulation.run_until(network.connect(ADDRESS)).unwrap();
    assert_eq!(connected.unwrap_err(), NetworkError::Refused);

    let connect_delay = Duration::from_millis(40);
    let mut listener = simulation.listen(ADDRESS, Link { connect_delay, ..Link::default() });
    assert_eq!(listener.address(), ADDRESS);
    assert!(listener.try_accept().is_none());
    network.spawn(async move {
        let mut server = listener.accept().await;
        assert_eq!(server.read_until(b"\n").await.unwrap(), b"ping\n");
        assert_eq!(server.read_exact(4).await.unwrap(), b"rest");
        server.write(b"pong").await.unwrap();
        drop(server);
        drop(listener);
    });
    let client = network.clone();
    let answer = simulation.run_until(async move {
        let stream = client.connect(ADDRESS).await.unwrap();
        assert_eq!(stream.peer(), ADDRESS);
        let (mut receiver, mut sender) = stream.split();
        sender.send(&mut text(b"ping\nrest")).await.unwrap();
        let Received::Data(buffer) = receiver.receive().await.unwrap() else { panic!("ended") };
        assert!(matches!(receiver.receive().await, Ok(Received::End)));
        buffer
    });
    assert_eq!(&*answer.unwrap(), b"pong");
    assert_eq!(simulation.now(), connect_delay);
    let connected = simulation.run_until(network.connect(ADDRESS)).unwrap();
    assert_eq!(connected.unwrap_err(), NetworkError::Refused);
}

#[test]
fn a_peer_reads_all_that_was_sent_and_can_reset() {
    let mut simulation = Simulation::new(9);
    let network = network_of(&simulation);
    let (stream, mut peer) = network.connected(Link::rough());
    let (mut receiver, mut sender) = stream.split();
    let all = simulation.run_until(async {
        sender.send(&mut text(b"head\r\n\r\nbody")).await.unwrap();
        assert_eq!(peer.read_until(b"\r\n\r\n").await.unwrap(), b"head\r\n\r\n");
        assert_eq!(peer.bytes_sent_by_other(), 12);
        sender.finish();
        assert_eq!(peer.read_to_end().await.unwrap(), b"body");
        assert_eq!(peer.read().await.unwrap(), b"");
        peer.reset();
        assert!(matches!(receiver.receive().await, Err(NetworkError::Reset)));
    });
    assert_eq!(all, Ok(()));
}

#[test]
fn time_passes_only_when_nothing_can_run_or_when_it_is_told_to() {
    let mut simulation = Simulation::new(0);
    let network = network_of(&simulation);
    let fired = Rc::new(Cell::new(false));
    let (flag, hour) = (Rc::clone(&fired), network.sleep(Duration::from_secs(3600)));
    network.spawn(async move {
        hour.await;
        flag.set(true);
    });
    simulation.settle();
    assert_eq!((network.now(), fired.get()), (Duration::ZERO, false));
    simulation.advance(Duration::from_secs(3599));
    assert!(!fired.get());
    simulation.advance(Duration::from_secs(1));
    assert!(fired.get());
    simulation.run_until(network.sleep(Duration::from_secs(5))).unwrap();
    assert_eq!(network.now(), Duration::from_secs(3605));
}

#[test]
fn the_wall_clock_can_jump_while_monotonic_time_goes_on() {
    let mut simulation = Simulation::new(0);
    let network = network_of(&simulation);
    simulation.advance(Duration::from_secs(10));
    simulation.set_wall(Duration::from_secs(1_000));
    simulation.advance(Duration::from_secs(2));
    assert_eq!(network.wall(), Duration::from_secs(1_002));
    assert_eq!(network.now(), Duration::from_secs(12));
}

#[test]
fn a_run_that_cannot_end_is_told_instead_of_hanging() {
    let mut simulation = Simulation::new(0);
    let network = network_of(&simulation);
    assert_eq!(simulation.run_until(std::future::pending::<()>()), Err(Stalled::Deadlock));
    let spins = async {
        loop {
            network.yield_now().await;
        }
    };
    assert_eq!(simulation.run_until(spins), Err(Stalled::Spinning));
}

#[test]
fn dropping_a_simulation_drops_its_tasks_and_events() {
    let pool = Pool::new(64 * BLOCK_BYTES);
    let mut simulation = Simulation::new(0);
    let network = simulation.network(0, pool.clone());
    let held = pool.take().unwrap();
    let sleep = network.sleep(Duration::from_secs(1));
    let owner = network.clone();
    network.spawn(async move {
        sleep.await;
        drop((held, owner));
    });
    simulation.settle();
    let unpolled = pool.take().unwrap();
    network.spawn(async move { drop(unpolled) });
    assert_eq!(pool.bytes_in_use(), 2 * BLOCK_BYTES);
    drop(simulation);
    assert_eq!(pool.bytes_in_use(), 0);
}
