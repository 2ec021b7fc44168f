//! The small interface between protocols and sockets. Receives are pushed: a receiver is a stream
//! of completions, as a multishot receive gives them, and not taking them is back-pressure. Sends
//! take buffers. Implementations: `glommio` sockets, and `memory` for tests.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::buffer::{Buffer, Pool};

/// Why a socket operation failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// The peer reset the connection, or it is not connected any more.
    #[error("connection reset")]
    Reset,
    /// Nobody listens there, or no route.
    #[error("connection refused")]
    Refused,
    /// The core's buffers are used up.
    #[error("out of buffers")]
    Exhausted,
    /// Anything else: the operating system's error number.
    #[error("system error {0}")]
    System(i32),
}

/// One completion of a receive.
#[derive(Debug)]
pub enum Received {
    /// Bytes that came; never empty.
    Data(Buffer),
    /// The peer ended its side. Comes once, and again on each further call.
    End,
}

/// Buffers on their way out, in order. What was not sent stays in it.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The buffers; the first may be partly sent and then starts where sending goes on.
    pub buffers: VecDeque<Buffer>,
}

impl Outgoing {
    /// Appends a buffer; an empty one is dropped.
    pub fn push(&mut self, buffer: Buffer) {
        if !buffer.is_empty() {
            self.buffers.push_back(buffer);
        }
    }

    /// Drops the first `count` bytes: they were sent.
    pub fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.buffers.front_mut() {
            if first.len() > count {
                let _ = first.split_to(count);
                return;
            }
            count -= first.len();
            self.buffers.pop_front();
        }
    }

    /// Bytes that are left.
    pub fn bytes(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.len()).sum()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }
}

/// The receiving half of a stream.
pub trait Receiver: 'static {
    /// The next completion. Buffers come from the core's pool; while nothing has come, none is
    /// held.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, NetworkError>>;

    /// Whether nothing has come and the peer has not ended its side, asked at once and without
    /// taking anything: what a kept connection must be before it is used again.
    fn is_quiet(&mut self) -> bool;

    /// [`Self::poll_receive`] as a future; dropping it loses nothing.
    fn receive(&mut self) -> impl Future<Output = Result<Received, NetworkError>> {
        std::future::poll_fn(|cx| self.poll_receive(cx))
    }
}

/// The sending half of a stream.
pub trait Sender: 'static {
    /// Sends until `outgoing` is empty, in as few system calls as it takes. Dropping the future
    /// leaves what was not sent in `outgoing`.
    fn send(&mut self, outgoing: &mut Outgoing) -> impl Future<Output = Result<(), NetworkError>>;

    /// Bytes that the socket has taken since the stream was opened: they are in the peer's hands or
    /// on their way.
    fn bytes_sent(&self) -> u64;

    /// Ends this side (FIN); the receiver goes on.
    fn finish(&mut self);

    /// Drops the connection at once, with a reset where the system can.
    fn abort(&mut self);
}

/// A connected stream.
pub trait Stream: 'static {
    /// Its receiving half.
    type Receiver: Receiver;
    /// Its sending half.
    type Sender: Sender;

    /// The peer's address.
    fn peer(&self) -> SocketAddr;

    /// Both halves; the socket closes when both are dropped.
    fn split(self) -> (Self::Receiver, Self::Sender);
}

/// What a core gives to the protocols above it: connections, time, tasks, buffers.
pub trait Network: Clone + 'static {
    /// A connected stream.
    type Stream: Stream;

    /// Opens a connection. No time limit of its own: drop the future.
    fn connect(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = Result<Self::Stream, NetworkError>>;

    /// Completes after a while.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static;

    /// Monotonic time since an arbitrary start.
    fn now(&self) -> Duration;

    /// Wall-clock time since the Unix epoch.
    fn wall(&self) -> Duration;

    /// Monotonic time that also goes on while the machine sleeps ([`crate::process::boot_time`]):
    /// what access ends by.
    fn boot(&self) -> Duration;

    /// Lets the other tasks of the core that can run do so, and has its input and output polled.
    /// For work that may go on long without waiting.
    fn yield_now(&self) -> impl Future<Output = ()>;

    /// Starts a task on this core. It may be polled for the first time before this returns: hold no
    /// `RefCell` borrow across the call. Not from a destructor: a core that has ended drops the
    /// task.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// The core's pool.
    fn pool(&self) -> &Pool;

    /// Index of the core, from 0.
    fn core(&self) -> usize;
}
