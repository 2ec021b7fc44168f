//! The test's side of connections: scripted clients and servers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::Link;
use super::pipe::End;
use super::world::World;
use crate::network::NetworkError;

/// The test's side of a connection. It takes no buffer of any pool. Dropping it closes.
pub struct Peer {
    end: Rc<End>,
    /// Read and not yet returned.
    unread: Vec<u8>,
}

impl Peer {
    pub(super) fn new(end: Rc<End>) -> Self {
        Self { end, unread: Vec::new() }
    }

    /// Sends all of it, as fast as the other side takes it.
    ///
    /// # Errors
    /// The connection is reset.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), NetworkError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = poll_fn(|cx| self.end.outgoing.poll_send(cx, rest)).await?;
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// What has come, at least one byte; nothing at the end.
    ///
    /// # Errors
    /// The connection is reset.
    pub async fn read(&mut self) -> Result<Vec<u8>, NetworkError> {
        if !self.unread.is_empty() {
            return Ok(std::mem::take(&mut self.unread));
        }
        poll_fn(|cx| self.end.incoming.poll_read(cx)).await
    }

    /// So many bytes; fewer only at the end.
    ///
    /// # Errors
    /// The connection is reset.
    pub async fn read_exact(&mut self, count: usize) -> Result<Vec<u8>, NetworkError> {
        self.read_while(|bytes| if bytes.len() < count { None } else { Some(count) }).await
    }

    /// Everything up to and with a pattern; without it only at the end.
    ///
    /// # Errors
    /// The connection is reset.
    pub async fn read_until(&mut self, pattern: &[u8]) -> Result<Vec<u8>, NetworkError> {
        let length = pattern.len().max(1);
        let find = |bytes: &[u8]| bytes.windows(length).position(|window| window == pattern);
        self.read_while(|bytes| find(bytes).map(|start| start + length)).await
    }

    /// Everything until the other side ends.
    ///
    /// # Errors
    /// The connection is reset.
    pub async fn read_to_end(&mut self) -> Result<Vec<u8>, NetworkError> {
        self.read_while(|_| None).await
    }

    /// Reads until `enough` says how much of it to return; the rest is kept.
    async fn read_while(
        &mut self,
        enough: impl Fn(&[u8]) -> Option<usize>,
    ) -> Result<Vec<u8>, NetworkError> {
        let mut bytes = std::mem::take(&mut self.unread);
        loop {
            if let Some(count) = enough(&bytes) {
                self.unread = bytes.split_off(count);
                return Ok(bytes);
            }
            let more = self.read().await?;
            if more.is_empty() {
                return Ok(bytes);
            }
            bytes.extend(more);
        }
    }

    /// Ends the test's direction; what was written arrives first.
    pub fn finish(&mut self) {
        self.end.outgoing.finish();
    }

    /// Resets the connection; what has not arrived is lost.
    pub fn reset(&mut self) {
        self.end.abort();
    }

    /// Bytes that the other side has sent so far, read or not.
    pub fn bytes_sent_by_other(&self) -> u64 {
        self.end.incoming.bytes_sent()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer")
    }
}

/// Takes connections to an address. Once it is dropped, connects are refused, and connections that
/// it has not accepted are closed.
pub struct Listener {
    address: SocketAddr,
    arrivals: Rc<Arrivals>,
}

/// Connections that nobody has accepted yet.
pub(super) struct Arrivals {
    pub(super) link: Link,
    waiting: RefCell<VecDeque<Rc<End>>>,
    acceptor: RefCell<Option<Waker>>,
}

impl Arrivals {
    pub(super) fn push(&self, end: Rc<End>) {
        self.waiting.borrow_mut().push_back(end);
        if let Some(acceptor) = self.acceptor.borrow_mut().take() {
            acceptor.wake();
        }
    }
}

impl Listener {
    pub(super) fn new(world: &World, address: SocketAddr, link: Link) -> Self {
        let (waiting, acceptor) = (RefCell::default(), RefCell::default());
        let arrivals = Rc::new(Arrivals { link, waiting, acceptor });
        world.listen(address, &arrivals);
        Self { address, arrivals }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection.
    pub async fn accept(&mut self) -> Peer {
        let end = poll_fn(|cx| match self.arrivals.waiting.borrow_mut().pop_front() {
            Some(end) => Poll::Ready(end),
            None => {
                *self.arrivals.acceptor.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        });
        Peer::new(end.await)
    }

    /// The next connection, if one has come.
    pub fn try_accept(&mut self) -> Option<Peer> {
        self.arrivals.waiting.borrow_mut().pop_front().map(Peer::new)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}
