use std::cell::Cell;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::*;
use crate::buffer::Buffer;
use crate::mailbox::{MailReceiver, bounded};
use crate::network::{Outgoing, Received, Receiver, Sender, Stream};

const PATIENCE: Duration = Duration::from_secs(20);

fn settings(cores: usize) -> CoreSettings {
    CoreSettings {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        cores,
        backlog: 128,
        connections_per_core_max: 100,
        buffer_bytes_per_core_max: 1 << 20,
    }
}

/// Greets with the index of its core, then echoes; panics at a `!`. Drains when nobody is
/// connected.
struct Echo {
    network: GlommioNetwork,
    idle: Cell<Option<crossbeam_channel::Sender<()>>>,
}

impl Echo {
    fn make(network: GlommioNetwork) -> Rc<Self> {
        Rc::new(Self { network, idle: Cell::new(None) })
    }
}

impl Core for Echo {
    async fn serve(self: Rc<Self>, stream: SocketStream) {
        let (mut receiver, mut sender) = stream.split();
        let mut outgoing = Outgoing::default();
        let greeting = [b'0' + self.network.core() as u8];
        outgoing.push(self.network.pool().copy(&greeting).unwrap());
        while sender.send(&mut outgoing).await.is_ok() {
            match receiver.receive().await {
                Ok(Received::Data(buffer)) => {
                    assert!(!buffer.contains(&b'!'), "on purpose");
                    outgoing.push(buffer);
                }
                Ok(Received::End) | Err(_) => return,
            }
        }
    }

    async fn drain(self: Rc<Self>) {
        if let Some(draining) = self.idle.take() {
            draining.send(()).unwrap();
        }
        while self.network.connections() > 0 {
            self.network.sleep(Duration::from_millis(1)).await;
        }
    }

    fn refuse(self: Rc<Self>, stream: SocketStream) {
        let network = self.network.clone();
        network.spawn(async move {
            let (_receiver, mut sender) = stream.split();
            let mut outgoing = Outgoing::default();
            outgoing.push(Buffer::from_static(b"full"));
            let _ = sender.send(&mut outgoing).await;
        });
    }
}

struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn echo(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
        assert_eq!(self.read(bytes.len()), bytes);
    }

    /// Whether the other side has gone.
    fn is_closed(&mut self) -> bool {
        !matches!(self.0.read(&mut [0]), Ok(1))
    }
}

#[test]
fn every_core_serves_its_share_of_the_connections() {
    let cores = start(&settings(0), Echo::make).unwrap();
    let mut clients: Vec<Client> = (0..64).map(|_| Client::connect(cores.address())).collect();
    let indexes: HashSet<u8> = clients.iter_mut().map(|client| client.read(1)[0]).collect();
    assert_eq!(indexes.len(), cores.count());
    for client in &mut clients {
        client.echo(b"hello");
    }
    drop(clients);
    cores.stop().stop();
    cores.join().unwrap();
}

#[test]
fn an_address_that_is_taken_is_an_error_even_if_its_holder_would_share_it() {
    let cores = start(&settings(1), Echo::make).unwrap();
    let listen = cores.address();
    let again = CoreSettings { listen, ..settings(1) };
    let error = start(&again, Echo::make).unwrap_err();
    assert_eq!(error, StartError::AddressInUse { address: listen });
    assert_eq!(error.to_string(), format!("the address {listen} is in use by another process"));
    cores.stop().stop();
    cores.join().unwrap();
    let cores = start(&again, Echo::make).unwrap();
    cores.stop().stop();
    cores.join().unwrap();

    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = CoreSettings { listen: other.local_addr().unwrap(), ..settings(1) };
    assert!(matches!(start(&taken, Echo::make), Err(StartError::AddressInUse { .. })));
}

#[test]
fn an_address_of_another_machine_is_an_error() {
    let listen = SocketAddr::from(([192, 0, 2, 1], 0));
    let error = start(&CoreSettings { listen, ..settings(1) }, Echo::make).unwrap_err();
    assert_eq!(error, StartError::AddressNotAvailable { address: listen });
}

#[test]
fn more_cores_than_processors_are_an_error() {
    let error = start(&settings(100_000), Echo::make).unwrap_err();
    assert!(matches!(error, StartError::TooFewProcessors { cores: 100_000, .. }));
}

#[test]
fn a_connection_beyond_the_limit_is_refused_and_one_that_ends_makes_room() {
    let settings = CoreSettings { connections_per_core_max: 2, ..settings(1) };
    let cores = start(&settings, Echo::make).unwrap();
    let mut first = Client::connect(cores.address());
    let mut second = Client::connect(cores.address());
    assert_eq!((first.read(1), second.read(1)), (b"0".to_vec(), b"0".to_vec()));
    let mut third = Client::connect(cores.address());
    assert_eq!(third.read(4), b"full");
    assert!(third.is_closed());
    drop(first);
    // The core learns of the end of the first one in its own time.
    while Client::connect(cores.address()).read(1) != b"0" {}
    second.echo(b"still here");
    drop(second);
    cores.stop().stop();
    cores.join().unwrap();
}

/// An echo that wants connections only while it is told so, and counts how often it is asked.
struct Gated {
    echo: Rc<Echo>,
    wants: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Core for Gated {
    fn serve(self: Rc<Self>, stream: SocketStream) -> impl Future<Output = ()> + 'static {
        Rc::clone(&self.echo).serve(stream)
    }

    fn drain(self: Rc<Self>) -> impl Future<Output = ()> + 'static {
        Rc::clone(&self.echo).drain()
    }

    fn is_accepting(&self) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.wants.load(Ordering::SeqCst)
    }
}

#[test]
fn a_core_that_wants_no_connections_leaves_them_in_the_kernel_until_it_does() {
    let (wants, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (for_core, asks) = (Arc::clone(&wants), Arc::clone(&asked));
    let make_core = move |network| {
        let (wants, asked) = (Arc::clone(&for_core), Arc::clone(&asks));
        Rc::new(Gated { echo: Echo::make(network), wants, asked })
    };
    let cores = start(&settings(1), make_core).unwrap();
    let mut waiting = Client::connect(cores.address());
    let before = asked.load(Ordering::SeqCst);
    while asked.load(Ordering::SeqCst) < before + 3 {
        thread::yield_now();
    }
    waiting.0.set_nonblocking(true).unwrap();
    let nothing = waiting.0.read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    waiting.0.set_nonblocking(false).unwrap();
    wants.store(true, Ordering::SeqCst);
    assert_eq!(waiting.read(1), b"0");
    wants.store(false, Ordering::SeqCst);
    drop(waiting);
    cores.stop().stop();
    cores.join().unwrap();
}

#[test]
fn stopping_closes_the_listener_and_waits_for_open_connections() {
    let (draining, drains) = crossbeam_channel::bounded(1);
    let make_core = move |network| {
        let core = Echo::make(network);
        core.idle.set(Some(draining.clone()));
        core
    };
    let cores = start(&settings(1), make_core).unwrap();
    let address = cores.address();
    let mut open = Client::connect(address);
    open.read(1);
    let stop = cores.stop();
    assert!(!stop.is_stopping());
    stop.stop();
    stop.stop();
    drains.recv_timeout(PATIENCE).unwrap();
    assert!(TcpStream::connect(address).is_err());
    open.echo(b"not cut");
    let joined = thread::spawn(move || cores.join());
    open.echo(b"still not");
    drop(open);
    joined.join().unwrap().unwrap();
}

#[test]
fn connections_that_wait_in_the_kernel_when_it_stops_are_served() {
    let (release, released) = crossbeam_channel::bounded::<()>(1);
    let make_core = move |network| {
        let _ = released.recv_timeout(PATIENCE);
        Echo::make(network)
    };
    let cores = start(&settings(1), make_core).unwrap();
    let mut waiting: Vec<Client> = (0..50).map(|_| Client::connect(cores.address())).collect();
    cores.stop().stop();
    release.send(()).unwrap();
    for client in &mut waiting {
        assert_eq!(client.read(1), b"0");
        client.echo(b"served");
    }
    drop(waiting);
    cores.join().unwrap();
}

#[test]
fn a_panic_in_one_connection_leaves_the_others_alone() {
    let cores = start(&settings(1), Echo::make).unwrap();
    let mut other = Client::connect(cores.address());
    let mut victim = Client::connect(cores.address());
    victim.read(1);
    victim.0.write_all(b"!").unwrap();
    assert!(victim.is_closed());
    other.read(1);
    other.echo(b"fine");
    drop(other);
    cores.stop().stop();
    cores.join().unwrap();
}

#[test]
fn a_core_that_fails_stops_the_others_and_is_named() {
    let cores = settings(0);
    let make_core = |network: GlommioNetwork| {
        assert!(network.core() > 0, "on purpose");
        Echo::make(network)
    };
    let failed = start(&cores, make_core).unwrap().join();
    assert_eq!(failed, Err(CoreFailed { core: 0 }));
}

/// A core that never drains what it serves.
struct Abandoning {
    mails: Cell<Option<MailReceiver<()>>>,
}

impl Core for Abandoning {
    async fn serve(self: Rc<Self>, stream: SocketStream) {
        let (mut receiver, _sender) = stream.split();
        let _ = receiver.receive().await;
    }

    async fn drain(self: Rc<Self>) {
        if let Some(mut mails) = self.mails.take() {
            mails.receive().await;
        }
    }
}

#[test]
fn a_core_ends_with_tasks_left_when_its_drain_says_so() {
    let (sender, receiver) = bounded(1);
    let (mails, handed) = crossbeam_channel::bounded(1);
    mails.send(receiver).unwrap();
    let make_core = move |network: GlommioNetwork| {
        let again = network.clone();
        network.spawn(async move {
            // Dropped with the executor, this spawns from a destructor.
            struct Spawns(GlommioNetwork);
            impl Drop for Spawns {
                fn drop(&mut self) {
                    self.0.spawn(async {});
                }
            }
            let _spawns = Spawns(again);
            std::future::pending::<()>().await;
        });
        Rc::new(Abandoning { mails: Cell::new(handed.try_recv().ok()) })
    };
    let cores = start(&settings(1), make_core).unwrap();
    let _open = Client::connect(cores.address());
    cores.stop().stop();
    sender.try_send(()).unwrap();
    cores.join().unwrap();
}
