//! The network of a core on glommio's sockets. In: addresses, buffers. Out: received buffers. A
//! socket that waits holds no buffer, one that always has bytes lets the others have their turn,
//! and a task that panics ends alone.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use glommio::timer::Timer;
use socket2::SockRef;

use crate::buffer::{Block, Pool};
use crate::network::{Network, NetworkError, Outgoing, Received, Receiver, Sender, Stream};
use crate::task::Contained;

/// Buffers that one system call sends at most.
const SLICES_MAX: usize = 64;

/// Receives without waiting after which a stream lets others have their turn (128 KiB).
const RECEIVES_MAX: u32 = 8;

/// How long a pause is at first. It ends when the core polls its rings the next time, and is only
/// long enough not to be over before it begins.
const PAUSE: Duration = Duration::from_micros(2);

/// How often a core wakes up with nothing to do.
const HEARTBEAT: Duration = Duration::from_millis(25);

/// A pause of a task: the others that can run do, and the rings are polled. glommio's own `yield`
/// does not do that: while a task wakes itself, its executor polls the rings ten times a second
/// only.
#[derive(Debug, Default)]
struct Pause {
    timer: Option<Timer>,
}

impl Pause {
    /// Pending at first, ready when it is over; then the next one begins.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(timer) = &mut self.timer {
            ready!(Pin::new(timer).poll(cx));
            self.timer = None;
            return Poll::Ready(());
        }
        let mut length = PAUSE;
        loop {
            let mut timer = Timer::new(length);
            if Pin::new(&mut timer).poll(cx).is_pending() {
                self.timer = Some(timer);
                return Poll::Pending;
            }
            length = length.saturating_mul(2);
        }
    }
}

/// The network of one core: its sockets, timers, tasks and buffers.
#[derive(Clone)]
pub struct GlommioNetwork {
    core: Rc<Core>,
}

struct Core {
    index: usize,
    pool: Pool,
    panics: Cell<u64>,
    connections: Cell<usize>,
    ended: Cell<bool>,
}

/// An accepted connection that is being served; counted until it is dropped.
pub(crate) struct Slot {
    core: Rc<Core>,
}

impl GlommioNetwork {
    pub(crate) fn new(index: usize, pool: Pool) -> Self {
        let (panics, connections, ended) = (Cell::new(0), Cell::new(0), Cell::new(false));
        Self { core: Rc::new(Core { index, pool, panics, connections, ended }) }
    }

    /// Tasks of this core that ended in a panic, since its start.
    pub fn panics(&self) -> u64 {
        self.core.panics.get()
    }

    /// Accepted connections that are being served on this core now.
    pub fn connections(&self) -> usize {
        self.core.connections.get()
    }

    /// Wakes the core every [`HEARTBEAT`], for as long as it runs.
    ///
    /// glommio 0.9 may go to sleep with tasks that can run: when an event reaches its latency ring
    /// in the moment between polling and running tasks, it runs none, and the event may wake
    /// nobody. This bounds how long it then sleeps.
    pub(crate) async fn beat(self) {
        while !self.core.ended.get() {
            Timer::new(HEARTBEAT).await;
        }
    }

    pub(crate) fn slot(&self) -> Slot {
        self.core.connections.set(self.connections().saturating_add(1));
        Slot { core: Rc::clone(&self.core) }
    }

    /// From here on nothing is spawned: the executor is about to go, and what it drops may try.
    pub(crate) fn end(&self) {
        self.core.ended.set(true);
    }

    /// Takes over an accepted socket.
    pub(crate) fn adopt(&self, socket: socket2::Socket) -> Result<SocketStream, NetworkError> {
        #[expect(unsafe_code, reason = "glommio takes a socket of another crate as a number only")]
        // SAFETY: the descriptor was just released by its only owner, and is owned by the stream
        // from here on.
        let stream = unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) };
        self.accepted(stream)
    }

    /// An accepted stream. It has `TCP_NODELAY` from its listener.
    pub(crate) fn accepted(&self, stream: TcpStream) -> Result<SocketStream, NetworkError> {
        let peer = stream.peer_addr().map_err(|error| network_error(error.into()))?;
        Ok(self.stream(stream, peer))
    }

    fn stream(&self, stream: TcpStream, peer: SocketAddr) -> SocketStream {
        let socket = Socket { stream: RefCell::new(stream), aborted: Cell::new(false) };
        SocketStream { socket: Rc::new(socket), peer, pool: self.core.pool.clone() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.core.connections.set(self.core.connections.get().saturating_sub(1));
    }
}

impl fmt::Debug for GlommioNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GlommioNetwork(core {})", self.core.index)
    }
}

impl Network for GlommioNetwork {
    type Stream = SocketStream;

    async fn connect(&self, address: SocketAddr) -> Result<SocketStream, NetworkError> {
        let stream =
            TcpStream::connect(address).await.map_err(|error| network_error(error.into()))?;
        stream.set_nodelay(true).map_err(|error| network_error(error.into()))?;
        Ok(self.stream(stream, address))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        let timer = Timer::new(duration);
        async move {
            timer.await;
        }
    }

    fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn boot(&self) -> Duration {
        crate::process::boot_time()
    }

    async fn yield_now(&self) {
        let mut pause = Pause::default();
        poll_fn(|cx| pause.poll(cx)).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if self.core.ended.get() {
            return;
        }
        let core = Rc::clone(&self.core);
        let report = move || core.panics.set(core.panics.get().saturating_add(1));
        drop(glommio::spawn_local(Contained::new(task, report)).detach());
    }

    fn pool(&self) -> &Pool {
        &self.core.pool
    }

    fn core(&self) -> usize {
        self.core.index
    }
}

/// A connected TCP stream of this core.
#[derive(Debug)]
pub struct SocketStream {
    socket: Rc<Socket>,
    peer: SocketAddr,
    pool: Pool,
}

/// The receiving half of a [`SocketStream`].
#[derive(Debug)]
pub struct SocketReceiver {
    socket: Rc<Socket>,
    pool: Pool,
    ended: bool,
    /// Receives since it last waited.
    receives: u32,
    pause: Pause,
}

/// The sending half of a [`SocketStream`].
#[derive(Debug)]
pub struct SocketSender {
    socket: Rc<Socket>,
    bytes_sent: u64,
}

/// What both halves share. The stream is borrowed inside one poll, never across an await.
#[derive(Debug)]
struct Socket {
    stream: RefCell<TcpStream>,
    aborted: Cell<bool>,
}

impl Stream for SocketStream {
    type Receiver = SocketReceiver;
    type Sender = SocketSender;

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn split(self) -> (SocketReceiver, SocketSender) {
        let socket = Rc::clone(&self.socket);
        let receiver = SocketReceiver {
            socket,
            pool: self.pool,
            ended: false,
            receives: 0,
            pause: Pause::default(),
        };
        (receiver, SocketSender { socket: self.socket, bytes_sent: 0 })
    }
}

impl Receiver for SocketReceiver {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, NetworkError>> {
        if self.ended {
            return Poll::Ready(Ok(Received::End));
        }
        if self.socket.aborted.get() {
            return Poll::Ready(Err(NetworkError::Reset));
        }
        ready!(self.poll_turn(cx));
        // Without a block this asks with no room: "pending" stays what it is, and only a stream
        // that has something to give learns that there is nothing to put it in.
        let mut block = self.pool.take().ok();
        let room = block.as_mut().map(Block::unfilled).unwrap_or_default();
        let count = match self.socket.poll_read(cx, room) {
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(network_error(error))),
            Poll::Pending => {
                self.receives = 0;
                return Poll::Pending;
            }
        };
        let Some(mut block) = block else {
            return Poll::Ready(Err(NetworkError::Exhausted));
        };
        if count == 0 {
            self.ended = true;
            return Poll::Ready(Ok(Received::End));
        }
        block.advance(count);
        Poll::Ready(Ok(Received::Data(block.freeze())))
    }

    fn is_quiet(&mut self) -> bool {
        if self.ended || self.socket.aborted.get() {
            return false;
        }
        let mut byte = [MaybeUninit::uninit()];
        let descriptor = self.socket.descriptor();
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        SockRef::from(&descriptor)
            .recv_with_flags(&mut byte, flags)
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl SocketReceiver {
    /// Ready while it is this stream's turn. One that always has bytes would keep the other streams
    /// of its core waiting, and the rings unpolled.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.receives < RECEIVES_MAX {
            self.receives += 1;
            return Poll::Ready(());
        }
        ready!(self.pause.poll(cx));
        self.receives = 1;
        Poll::Ready(())
    }
}

impl Sender for SocketSender {
    async fn send(&mut self, outgoing: &mut Outgoing) -> Result<(), NetworkError> {
        poll_fn(|cx| self.poll_send(cx, outgoing)).await
    }

    fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    fn finish(&mut self) {
        // It fails only on a socket that is not connected any more, which sends and receives tell.
        let _ = SockRef::from(&self.socket.descriptor()).shutdown(Shutdown::Write);
    }

    fn abort(&mut self) {
        self.socket.abort();
    }
}

impl SocketSender {
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing,
    ) -> Poll<Result<(), NetworkError>> {
        while !outgoing.is_empty() {
            if self.socket.aborted.get() {
                return Poll::Ready(Err(NetworkError::Reset));
            }
            let sent = match self.socket.send(outgoing) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let first =
                        outgoing.buffers.front().map(|buffer| &**buffer).unwrap_or_default();
                    ready!(self.socket.poll_write(cx, first))
                }
                sent => sent,
            };
            match sent {
                Ok(count) => {
                    self.bytes_sent = self.bytes_sent.saturating_add(count as u64);
                    outgoing.advance(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(network_error(error))),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, room)
    }

    /// Sends once more, or waits until the socket has room.
    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, bytes)
    }

    /// One system call with as many buffers as it takes; never waits.
    fn send(&self, outgoing: &Outgoing) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let descriptor = self.descriptor();
        let socket = SockRef::from(&descriptor);
        if let (Some(only), 1) = (outgoing.buffers.front(), outgoing.buffers.len()) {
            return socket.send_with_flags(only, flags);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = outgoing.buffers.len().min(SLICES_MAX);
        for (slice, buffer) in slices.iter_mut().zip(&outgoing.buffers) {
            *slice = IoSlice::new(buffer);
        }
        socket.send_vectored_with_flags(slices.get(..count).unwrap_or_default(), flags)
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        let descriptor = self.stream.borrow().as_raw_fd();
        #[expect(unsafe_code, reason = "glommio's stream lends its descriptor as a number only")]
        // SAFETY: the stream that owns the descriptor lives in `self`, which outlives the borrow,
        // and nothing takes the stream out of its cell.
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        descriptor
    }

    /// Resets the connection now, also while the ring still holds the socket for a poll, which
    /// would delay what closing does.
    fn abort(&self) {
        if self.aborted.replace(true) {
            return;
        }
        let descriptor = self.descriptor();
        // Should the disconnection fail, then closing resets.
        let _ = SockRef::from(&descriptor).set_linger(Some(Duration::ZERO));
        let nowhere = libc::sockaddr {
            sa_family: libc::AF_UNSPEC as libc::sa_family_t,
            sa_data: Default::default(),
        };
        let length = size_of::<libc::sockaddr>() as libc::socklen_t;
        #[expect(
            unsafe_code,
            reason = "no safe wrapper dissolves a connection (connect(2), AF_UNSPEC)"
        )]
        // SAFETY: the descriptor is open for as long as it is borrowed, and the address is a
        // valid `sockaddr` of the given length.
        unsafe {
            libc::connect(descriptor.as_raw_fd(), &nowhere, length);
        }
    }
}

/// What an error of the operating system means here.
pub(crate) fn network_error(error: io::Error) -> NetworkError {
    match error.raw_os_error() {
        Some(
            libc::ECONNRESET | libc::EPIPE | libc::ENOTCONN | libc::ECONNABORTED | libc::ESHUTDOWN,
        ) => NetworkError::Reset,
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EADDRNOTAVAIL) => {
            NetworkError::Refused
        }
        Some(number) => NetworkError::System(number),
        None => NetworkError::System(libc::EIO),
    }
}

#[cfg(test)]
mod tests;
