//! A server that does on each connection what a script says, and keeps every byte that came.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::{PIECE_PAUSE, pieces};
use crate::message::{Message, Unframed, position};
use crate::{PATIENCE, eventually};

/// Something that a test opens when it is time.
#[derive(Clone, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
enum Step {
    ReadHead,
    ReadRequest,
    ReadBytes(usize),
    ReadToEnd,
    Send(Vec<u8>),
    Pause(Duration),
    Wait(Gate),
    ShutdownWrite,
    Reset,
}

/// What a server does on one connection, step by step; at the end it closes.
#[derive(Clone, Default)]
#[must_use]
pub struct Script(Vec<Step>);

impl Script {
    /// Accepts and closes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads until the head of a request is there.
    pub fn read_head(self) -> Self {
        self.then(Step::ReadHead)
    }

    /// Reads until a request is there with its whole body.
    pub fn read_request(self) -> Self {
        self.then(Step::ReadRequest)
    }

    /// Reads until so many bytes came behind what earlier steps waited for.
    pub fn read_bytes(self, count: usize) -> Self {
        self.then(Step::ReadBytes(count))
    }

    /// Reads until the peer ends the connection; how it did is in [`Recorded::end`].
    pub fn read_to_end(self) -> Self {
        self.then(Step::ReadToEnd)
    }

    /// Sends bytes.
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Sends bytes in pieces that begin at the given offsets, each for itself.
    pub fn send_split(mut self, bytes: impl AsRef<[u8]>, offsets: &[usize]) -> Self {
        for piece in pieces(bytes.as_ref(), offsets) {
            self = self.send(piece).pause(PIECE_PAUSE);
        }
        self
    }

    /// Does nothing for a time: a slow server.
    pub fn pause(self, pause: Duration) -> Self {
        self.then(Step::Pause(pause))
    }

    /// Does nothing, and reads nothing, until the gate opens; [`PATIENCE`] at most.
    pub fn wait(self, gate: &Gate) -> Self {
        self.then(Step::Wait(gate.clone()))
    }

    /// Does nothing, and reads nothing, until the server is dropped; [`PATIENCE`] at most.
    pub fn stall(self) -> Self {
        self.wait(&Gate::new())
    }

    /// Says that nothing more will be sent.
    pub fn shutdown_write(self) -> Self {
        self.then(Step::ShutdownWrite)
    }

    /// Ends the connection with a reset (RST); steps behind it are not run.
    pub fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    fn then(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }
}

/// How the peer ended a connection, as far as the script looked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectionEnd {
    /// The peer closed its side.
    Closed,
    /// The peer reset the connection.
    Reset,
    /// Nothing came for so long that the script gave up.
    TimedOut,
}

/// What came on one connection.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Every byte that was read.
    pub bytes: Vec<u8>,
    /// Set when a read or a write met the end.
    pub end: Option<ConnectionEnd>,
    /// The script has run to its end.
    pub done: bool,
}

impl Recorded {
    /// The bytes as requests, one after the other; the last may be incomplete.
    #[must_use]
    pub fn requests(&self) -> Vec<Message> {
        let mut requests = Vec::new();
        let mut rest = self.bytes.as_slice();
        while let Some((request, taken)) = Message::read(rest, Unframed::Empty) {
            requests.push(request);
            rest = rest.get(taken..).unwrap_or_default();
        }
        requests
    }

    /// The bytes as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

#[derive(Default)]
struct Shared {
    connections: Mutex<Vec<Recorded>>,
    streams: Mutex<Vec<Weak<TcpStream>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: Gate,
}

/// The server. Dropping it ends all its connections.
pub struct ScriptedUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl ScriptedUpstream {
    /// Starts on a port of 127.0.0.1 that the system chooses. The first connection gets the first
    /// script and so on; further ones get the last script again.
    #[must_use]
    #[track_caller]
    pub fn start(scripts: Vec<Script>) -> Self {
        let listener =
            TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no listener: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &accepting, &scripts));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Number of connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.shared.connections).len()
    }

    /// What has come so far on the connection of that index; nothing if there is none.
    #[must_use]
    pub fn recorded(&self, index: usize) -> Recorded {
        lock(&self.shared.connections).get(index).cloned().unwrap_or_default()
    }

    /// Waits until the script of the connection of that index has run to its end.
    #[must_use]
    #[track_caller]
    pub fn wait_for_end(&self, index: usize) -> Recorded {
        eventually("the end of a scripted connection", || {
            Some(self.recorded(index)).filter(|recorded| recorded.done)
        })
    }
}

impl Drop for ScriptedUpstream {
    fn drop(&mut self) {
        self.shared.stop.open();
        // Wakes the acceptor, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in lock(&self.shared.streams).iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let threads: Vec<_> = lock(&self.shared.threads).drain(..).collect();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, scripts: &[Script]) {
    let mut index = 0;
    while let Ok((stream, _)) = listener.accept() {
        if shared.stop.is_open() {
            return;
        }
        let stream = Arc::new(stream);
        lock(&shared.connections).push(Recorded::default());
        lock(&shared.streams).push(Arc::downgrade(&stream));
        let script = scripts.get(index).or(scripts.last()).cloned().unwrap_or_default();
        let connection = Connection { stream, shared: Arc::clone(shared), index, waited_for: 0 };
        let thread = std::thread::spawn(move || connection.run(script));
        lock(&shared.threads).push(thread);
        index += 1;
    }
}

struct Connection {
    stream: Arc<TcpStream>,
    shared: Arc<Shared>,
    index: usize,
    /// Bytes that earlier steps waited for.
    waited_for: usize,
}

impl Connection {
    fn run(mut self, script: Script) {
        let _ = self.stream.set_nodelay(true);
        for step in script.0 {
            if let Err(error) = self.step(step) {
                let end = match error.kind() {
                    ErrorKind::UnexpectedEof => ConnectionEnd::Closed,
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => ConnectionEnd::TimedOut,
                    _ => ConnectionEnd::Reset,
                };
                self.record(|recorded| recorded.end = Some(end));
                break;
            }
        }
        let Self { stream, shared, index, .. } = self;
        drop(stream);
        if let Some(recorded) = lock(&shared.connections).get_mut(index) {
            recorded.done = true;
        }
    }

    fn step(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::ReadHead => self.read(|bytes| position(bytes, b"\r\n\r\n").map(|at| at + 4)),
            Step::ReadRequest => self.read(|bytes| {
                let (request, taken) = Message::read(bytes, Unframed::Empty)?;
                request.complete.then_some(taken)
            }),
            Step::ReadBytes(count) => self.read(|bytes| (bytes.len() >= count).then_some(count)),
            Step::ReadToEnd => self.read(|_| None),
            Step::Send(bytes) => {
                self.stream.set_write_timeout(Some(PATIENCE))?;
                (&*self.stream).write_all(&bytes)
            }
            Step::Pause(pause) => {
                // tidy: a pause is a step of the script
                std::thread::sleep(pause);
                Ok(())
            }
            Step::Wait(gate) => {
                self.wait(&gate);
                Ok(())
            }
            Step::ShutdownWrite => self.stream.shutdown(Shutdown::Write),
            Step::Reset => {
                socket2::SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO))?;
                // What the script leaves is closed, and closing with this option resets.
                Err(ErrorKind::ConnectionReset.into())
            }
        }
    }

    /// Reads until `enough` says how many of the bytes, counted from what earlier steps waited for,
    /// this step was about.
    fn read(&mut self, enough: impl Fn(&[u8]) -> Option<usize>) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let recorded = lock(&self.shared.connections);
            let bytes = recorded.get(self.index).map(|recorded| recorded.bytes.as_slice());
            let taken =
                enough(bytes.and_then(|all| all.get(self.waited_for..)).unwrap_or_default());
            drop(recorded);
            if let Some(taken) = taken {
                self.waited_for += taken;
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 16 * 1024];
            let count = (&*self.stream).read(&mut buffer)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.record(|recorded| recorded.bytes.extend(buffer.iter().take(count)));
        }
    }

    /// Until the gate opens or the server ends, whichever comes first.
    fn wait(&self, gate: &Gate) {
        let deadline = Instant::now() + PATIENCE;
        let _ = crate::wait_until(deadline, || gate.is_open() || self.shared.stop.is_open());
    }

    fn record(&self, change: impl FnOnce(&mut Recorded)) {
        if let Some(recorded) = lock(&self.shared.connections).get_mut(self.index) {
            change(recorded);
        }
    }
}

/// A thread that panicked has failed its test already; its state is still good to look at.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
