//! What one exchange costs above its sockets, held by numbers: heap allocations a request and an
//! event in the steady state, and bytes that are copied for each byte that is passed on. The
//! sockets' own share is not in it: the network of this file is blind for what happens inside.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use penstock_reactor::buffer::{Buffer, Pool};
use penstock_reactor::memory::{
    Link, MemoryNetwork, MemoryReceiver, MemorySender, MemoryStream, Peer,
};
use penstock_reactor::network::{
    Network, NetworkError, Outgoing, Received, Receiver, Sender, Stream,
};

use super::masked::{delta, masked};
use super::stage::{DOCUMENTS, Stage, chat, get};
use crate::client;
use crate::core::Core;
use crate::counters::Counters;

/// Most allocations of a chat request that is answered whole, with a token that is known: its body
/// is read on a copy, and its line goes into the access log.
const ALLOCATIONS_PER_CHAT_MAX: u64 = 40;
/// The same without a body.
const ALLOCATIONS_PER_LISTING_MAX: u64 = 22;

const WARM_UP: u64 = 20;
const COUNTED: u64 = 100;
const MIB: usize = 1 << 20;

const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What was seen so far.
#[derive(Default)]
struct Tally {
    /// By tasks of the core.
    allocations: Cell<u64>,
    /// Everything that was received, kept where it is, so that no later bytes have its place.
    received: RefCell<Option<Vec<Buffer>>>,
    /// Sent from where they were received.
    bytes_passed: Cell<u64>,
    /// Sent from anywhere else: written or copied.
    bytes_written: Cell<u64>,
}

impl Tally {
    fn note_received(&self, received: &Received) {
        if let (Received::Data(buffer), Some(kept)) = (received, &mut *self.received.borrow_mut()) {
            kept.push(buffer.clone());
        }
    }

    /// The first `sent` bytes of these places were sent.
    fn note_sent(&self, places: &[(usize, usize)], mut sent: usize) {
        let received = self.received.borrow();
        for (start, length) in places {
            let count = sent.min(*length);
            sent -= count;
            let is_received = received.iter().flatten().any(|buffer| {
                let place = buffer.as_ptr_range();
                (place.start as usize..place.end as usize).contains(start)
            });
            let tally = if is_received { &self.bytes_passed } else { &self.bytes_written };
            tally.set(tally.get() + u64::try_from(count).unwrap());
        }
    }
}

/// Work of the network in memory: it allocates where real sockets do not.
fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let mut result = None;
    allocation_counter::opt_out(|| result = Some(work()));
    result.unwrap()
}

/// A network in memory that keeps a tally.
#[derive(Clone)]
struct Watched {
    inner: MemoryNetwork,
    tally: Rc<Tally>,
}

impl Watched {
    fn stream(&self, inner: MemoryStream) -> WatchedStream {
        WatchedStream { inner, tally: Rc::clone(&self.tally) }
    }
}

impl Network for Watched {
    type Stream = WatchedStream;

    async fn connect(&self, address: SocketAddr) -> Result<WatchedStream, NetworkError> {
        self.inner.connect(address).await.map(|stream| self.stream(stream))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        let mut sleep = uncounted(|| Box::pin(self.inner.sleep(duration)));
        poll_fn(move |cx| uncounted(|| sleep.as_mut().poll(cx)))
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }

    fn wall(&self) -> Duration {
        self.inner.wall()
    }

    fn boot(&self) -> Duration {
        self.inner.boot()
    }

    async fn yield_now(&self) {
        self.inner.yield_now().await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let tally = Rc::clone(&self.tally);
        let mut task = Box::pin(task);
        self.inner.spawn(poll_fn(move |cx| {
            let mut polled = Poll::Pending;
            let seen = allocation_counter::measure(|| polled = task.as_mut().poll(cx));
            tally.allocations.set(tally.allocations.get() + seen.count_total);
            polled
        }));
    }

    fn pool(&self) -> &Pool {
        self.inner.pool()
    }

    fn core(&self) -> usize {
        self.inner.core()
    }
}

struct WatchedStream {
    inner: MemoryStream,
    tally: Rc<Tally>,
}

struct WatchedReceiver {
    inner: MemoryReceiver,
    tally: Rc<Tally>,
}

struct WatchedSender {
    inner: MemorySender,
    tally: Rc<Tally>,
}

impl Stream for WatchedStream {
    type Receiver = WatchedReceiver;
    type Sender = WatchedSender;

    fn peer(&self) -> SocketAddr {
        self.inner.peer()
    }

    fn split(self) -> (WatchedReceiver, WatchedSender) {
        let (receiver, sender) = self.inner.split();
        let tally = Rc::clone(&self.tally);
        let receiver = WatchedReceiver { inner: receiver, tally };
        (receiver, WatchedSender { inner: sender, tally: self.tally })
    }
}

impl Receiver for WatchedReceiver {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, NetworkError>> {
        uncounted(|| {
            let polled = self.inner.poll_receive(cx);
            if let Poll::Ready(Ok(received)) = &polled {
                self.tally.note_received(received);
            }
            polled
        })
    }

    fn is_quiet(&mut self) -> bool {
        self.inner.is_quiet()
    }
}

impl Sender for WatchedSender {
    async fn send(&mut self, outgoing: &mut Outgoing) -> Result<(), NetworkError> {
        poll_fn(|cx| {
            uncounted(|| {
                let place = |buffer: &Buffer| (buffer.as_ptr() as usize, buffer.len());
                let places: Vec<_> = outgoing.buffers.iter().map(place).collect();
                let before = outgoing.bytes();
                let polled = pin!(self.inner.send(outgoing)).poll(cx);
                self.tally.note_sent(&places, before - outgoing.bytes());
                polled
            })
        })
        .await
    }

    fn bytes_sent(&self) -> u64 {
        self.inner.bytes_sent()
    }

    fn finish(&mut self) {
        self.inner.finish();
    }

    fn abort(&mut self) {
        self.inner.abort();
    }
}

/// The usual stage with a core on a watched network, and a caller's connection.
fn watched(documents: &str) -> (Stage, Peer, Rc<Tally>) {
    let mut stage = Stage::with(1, Link::default(), documents);
    let tally = Rc::new(Tally::default());
    let network = Watched { inner: stage.network.clone(), tally: Rc::clone(&tally) };
    let (log, lines) = crossbeam_channel::bounded(16_384);
    let (reports, _) = tokio::sync::mpsc::channel(16);
    let (desk, _) = tokio::sync::mpsc::channel(16);
    let node = Arc::clone(&stage.core.node);
    let core = Core::new(network.clone(), node, 0, Arc::<Counters>::default(), log, reports, desk);
    let core = Rc::new(core);
    let refreshed = Rc::clone(&core);
    stage.simulation.run_until(async move { refreshed.refresh().await }).unwrap();
    let (stream, peer) = stage.network.connected(Link::default());
    let stream = network.stream(stream);
    network.spawn(async move {
        client::serve(core, stream).await;
        // Whoever writes lines is another thread; here they wait until the end.
        drop(lines);
    });
    (stage, peer, tally)
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// Allocations of one request in the steady state; `request` ends with `end`.
fn allocations_per_request(request: impl Fn(&str) -> String, end: &[u8]) -> u64 {
    let (mut stage, mut caller, tally) = watched(DOCUMENTS);
    let request = request(&stage.token("ann", &["engineers"]));
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{}", "x".repeat(200));
    let Stage { simulation, upstream, .. } = &mut stage;
    let counted = simulation.run_until(async {
        let mut server = None;
        let mut warm = 0;
        for number in 0..WARM_UP + COUNTED {
            if number == WARM_UP {
                warm = tally.allocations.get();
            }
            caller.write(request.as_bytes()).await.unwrap();
            let server = match &mut server {
                Some(server) => server,
                none => none.insert(upstream.accept().await),
            };
            server.read_until(end).await.unwrap();
            server.write(answer.as_bytes()).await.unwrap();
            caller.read_until(b"\r\n\r\n").await.unwrap();
            assert_eq!(caller.read_exact(200).await.unwrap().len(), 200);
        }
        tally.allocations.get() - warm
    });
    counted.unwrap().div_ceil(COUNTED)
}

#[test]
fn a_request_on_warm_connections_allocates_no_more_than_its_budget() {
    let listing = allocations_per_request(|token| get("/llama/v1/models", token), b"\r\n\r\n");
    let chat = allocations_per_request(chat, b"}]}");
    assert!(listing > 0, "the count does not count");
    assert!(listing <= ALLOCATIONS_PER_LISTING_MAX, "{listing} allocations a listing");
    assert!(chat <= ALLOCATIONS_PER_CHAT_MAX, "{chat} allocations a chat request");
}

#[test]
fn an_event_of_a_stream_allocates_nothing_and_is_passed_on_where_it_came() {
    for held in [false, true] {
        let (mut stage, mut caller, tally) = watched(DOCUMENTS);
        let request = chat(&stage.token("ann", &["engineers"]));
        let event = "data: {\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n";
        let chunk = chunk(event);
        let Stage { simulation, upstream, .. } = &mut stage;
        let run = simulation.run_until(async {
            caller.write(request.as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"}]}").await.unwrap();
            server.write(STREAM).await.unwrap();
            caller.read_until(b"\r\n\r\n").await.unwrap();
            let mut warm = 0;
            for number in 0..WARM_UP + COUNTED {
                if number == WARM_UP {
                    warm = tally.allocations.get();
                    *tally.received.borrow_mut() = held.then(Vec::new);
                    tally.bytes_passed.set(0);
                    tally.bytes_written.set(0);
                }
                server.write(&chunk).await.unwrap();
                assert_eq!(caller.read_exact(chunk.len()).await.unwrap(), chunk);
            }
            tally.allocations.get() - warm
        });
        let allocations = run.unwrap();
        if held {
            let size = |bytes: usize| u64::try_from(bytes).unwrap() * COUNTED;
            assert_eq!(tally.bytes_passed.get(), size(event.len()));
            // The frame of the chunk alone.
            assert_eq!(tally.bytes_written.get(), size(chunk.len() - event.len()));
        } else {
            assert_eq!(allocations, 0, "in {COUNTED} events");
        }
    }
}

#[test]
fn an_event_of_a_masked_stream_allocates_nothing() {
    // Of the first one all text is free at once, of the second one its word is held.
    for content in ["word. ", " word"] {
        let (mut stage, mut caller, tally) = watched(&masked(""));
        let request = chat(&stage.token("ann", &["engineers"]));
        let chunk = chunk(&delta(content));
        let Stage { simulation, upstream, .. } = &mut stage;
        let run = simulation.run_until(async {
            caller.write(request.as_bytes()).await.unwrap();
            let mut server = upstream.accept().await;
            server.read_until(b"}]}").await.unwrap();
            server.write(STREAM).await.unwrap();
            caller.read_until(b"\r\n\r\n").await.unwrap();
            let mut warm = 0;
            // What a text may turn out to be is worked out lazily, once a core.
            let warm_up = 50 * WARM_UP;
            for number in 0..warm_up + COUNTED {
                if number == warm_up {
                    warm = tally.allocations.get();
                }
                server.write(&chunk).await.unwrap();
                let event = caller.read_until(b"\n\n\r\n").await.unwrap();
                assert!(number == 0 || event.windows(4).any(|part| part == b"word"));
            }
            tally.allocations.get() - warm
        });
        assert_eq!(run.unwrap(), 0, "in {COUNTED} events of {content:?}");
    }
}

#[test]
fn no_byte_of_a_plain_body_is_copied_in_either_direction() {
    let documents =
        DOCUMENTS.replace("operations: [\"infer.*\"", "operations: [unknown, \"infer.*\"");
    let (mut stage, mut caller, tally) = watched(&documents);
    *tally.received.borrow_mut() = Some(Vec::new());
    let token = stage.token("ann", &["engineers"]);
    let head = format!(
        "POST /llama/upload HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {MIB}\r\n\r\n"
    );
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {MIB}\r\n\r\n");
    let body = vec![b'x'; MIB];
    let Stage { simulation, upstream, .. } = &mut stage;
    let (up, down) = simulation
        .run_until(async {
            let sending = async {
                caller.write(head.as_bytes()).await.unwrap();
                caller.write(&body).await.unwrap();
            };
            let receiving = async {
                let mut server = upstream.accept().await;
                let head = server.read_until(b"\r\n\r\n").await.unwrap();
                assert!(server.read_exact(MIB).await.unwrap() == body);
                (server, head.len())
            };
            let ((), (mut server, up)) = futures_util::join!(sending, receiving);
            let sending = async {
                server.write(answer.as_bytes()).await.unwrap();
                server.write(&body).await.unwrap();
            };
            let receiving = async {
                let head = caller.read_until(b"\r\n\r\n").await.unwrap();
                assert!(caller.read_exact(MIB).await.unwrap() == body);
                head.len()
            };
            let ((), down) = futures_util::join!(sending, receiving);
            (up, down)
        })
        .unwrap();
    assert_eq!(tally.bytes_passed.get(), 2 * u64::try_from(MIB).unwrap());
    assert_eq!(tally.bytes_written.get(), u64::try_from(up + down).unwrap(), "the heads alone");
}
