//! The streams of a [`MemoryNetwork`](super::MemoryNetwork).

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::pipe::End;
use crate::buffer::Pool;
use crate::network::{NetworkError, Outgoing, Received, Receiver, Sender, Stream};

/// A connected stream in memory.
pub struct MemoryStream {
    end: Rc<End>,
    peer: SocketAddr,
    pool: Pool,
}

/// The receiving half of a [`MemoryStream`].
pub struct MemoryReceiver {
    end: Rc<End>,
    pool: Pool,
}

/// The sending half of a [`MemoryStream`].
pub struct MemorySender {
    end: Rc<End>,
}

impl MemoryStream {
    pub(super) fn new(end: Rc<End>, peer: SocketAddr, pool: Pool) -> Self {
        Self { end, peer, pool }
    }
}

impl Stream for MemoryStream {
    type Receiver = MemoryReceiver;
    type Sender = MemorySender;

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn split(self) -> (MemoryReceiver, MemorySender) {
        let end = Rc::clone(&self.end);
        (MemoryReceiver { end, pool: self.pool }, MemorySender { end: self.end })
    }
}

impl Receiver for MemoryReceiver {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, NetworkError>> {
        if self.end.aborted.get() {
            return Poll::Ready(Err(NetworkError::Reset));
        }
        self.end.incoming.poll_receive(cx, &self.pool)
    }

    fn is_quiet(&mut self) -> bool {
        !self.end.aborted.get() && self.end.incoming.is_quiet()
    }
}

impl Drop for MemoryReceiver {
    fn drop(&mut self) {
        self.end.incoming.abandon();
    }
}

impl Sender for MemorySender {
    async fn send(&mut self, outgoing: &mut Outgoing) -> Result<(), NetworkError> {
        poll_fn(|cx| {
            while let Some(first) = outgoing.buffers.front() {
                match self.end.outgoing.poll_send(cx, first) {
                    Poll::Ready(Ok(count)) => outgoing.advance(count),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn bytes_sent(&self) -> u64 {
        self.end.outgoing.bytes_sent()
    }

    fn finish(&mut self) {
        self.end.outgoing.finish();
    }

    fn abort(&mut self) {
        self.end.abort();
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStream({})", self.peer)
    }
}

impl fmt::Debug for MemoryReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryReceiver")
    }
}

impl fmt::Debug for MemorySender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemorySender")
    }
}
