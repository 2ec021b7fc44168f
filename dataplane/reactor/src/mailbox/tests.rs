use std::pin::pin;
use std::thread;
use std::time::Duration;

use futures_util::future::{Either, select};
use glommio::Placement;

use super::*;
use crate::buffer::Pool;
use crate::cores;
use crate::memory::Simulation;
use crate::network::Network;
use crate::sockets::GlommioNetwork;

#[test]
fn a_full_mailbox_says_so_and_keeps_what_it_has() {
    let (sender, mut receiver) = bounded(2);
    assert!(sender.try_send(1).is_ok());
    assert!(sender.clone().try_send(2).is_ok());
    assert_eq!(sender.try_send(3), Err(SendError::Full(3)));
    assert_eq!((receiver.try_receive(), receiver.try_receive()), (Some(1), Some(2)));
    assert_eq!(receiver.try_receive(), None);
    drop(receiver);
    assert_eq!(sender.try_send(4), Err(SendError::Closed(4)));
}

#[test]
fn an_undelivered_value_is_never_printed() {
    let (sender, _receiver) = bounded(1);
    sender.try_send("secret").unwrap();
    let error = sender.try_send("secret").unwrap_err();
    assert_eq!(format!("{error:?} {error}"), "Full mailbox full");
}

#[test]
fn mail_wakes_a_task_in_memory_and_the_last_sender_ends_it() {
    let mut simulation = Simulation::new(0);
    let network = simulation.network(0, Pool::new(0));
    let (sender, mut receiver) = bounded(4);
    network.spawn(async move {
        for mail in 0..3 {
            sender.try_send(mail).unwrap();
        }
    });
    let received = simulation.run_until(async {
        let mut mails = Vec::new();
        while let Some(mail) = receiver.receive().await {
            mails.push(mail);
        }
        mails
    });
    assert_eq!(received, Ok(vec![0, 1, 2]));
}

#[test]
fn a_receiver_that_waits_is_woken_when_the_last_sender_goes() {
    let mut simulation = Simulation::new(0);
    let network = simulation.network(0, Pool::new(0));
    let (sender, mut receiver) = bounded::<()>(1);
    let (other, sleep) = (sender.clone(), network.sleep(Duration::from_secs(1)));
    network.spawn(async move {
        drop(sender);
        sleep.await;
        drop(other);
    });
    assert_eq!(simulation.run_until(receiver.receive()), Ok(None));
    assert_eq!(network.now(), Duration::from_secs(1));
}

#[test]
fn mail_of_another_thread_wakes_a_core_that_sleeps() {
    const ROUNDS: u32 = 10_000;
    let (sender, mut receiver) = bounded(1);
    let (answer, answered) = crossbeam_channel::bounded(1);
    // Each letter is sent after the answer to the one before, so that the core falls asleep in
    // between. Did mail not wake it, then its heartbeat would, and the rounds take longer than the
    // limit.
    let writer = thread::spawn(move || {
        for round in 0..ROUNDS {
            sender.try_send(round).unwrap();
            assert_eq!(answered.recv_timeout(Duration::from_secs(20)), Ok(round));
        }
    });
    cores::executor(Placement::Unbound).unwrap().run(async move {
        let network = GlommioNetwork::new(0, Pool::new(0));
        network.spawn(network.clone().beat());
        let letters = pin!(async {
            while let Some(round) = receiver.receive().await {
                answer.send(round).unwrap();
            }
        });
        let limit = pin!(network.sleep(Duration::from_secs(30)));
        assert!(matches!(select(letters, limit).await, Either::Left(_)));
        network.end();
    });
    writer.join().unwrap();
}
