//! What goes out to a peer.

use penstock_http::writer::{Full, Sink};
use penstock_reactor::buffer::{Block, Buffer, Exhausted, Pool};
use penstock_reactor::network::{NetworkError, Outgoing, Sender};

/// The sending side of a connection.
#[derive(Debug)]
pub(crate) struct Output<S> {
    sender: S,
    /// What was not sent yet.
    pub(crate) outgoing: Outgoing,
}

impl<S: Sender> Output<S> {
    /// An output over a sender.
    pub(crate) fn new(sender: S) -> Self {
        Self { sender, outgoing: Outgoing::default() }
    }

    /// Sends all that was pushed.
    pub(crate) async fn flush(&mut self) -> Result<(), NetworkError> {
        self.sender.send(&mut self.outgoing).await
    }

    /// Bytes that the socket took so far.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.sender.bytes_sent()
    }

    /// Ends this side.
    pub(crate) fn finish(&mut self) {
        self.sender.finish();
    }

    /// Drops the connection at once.
    pub(crate) fn abort(&mut self) {
        self.outgoing.buffers.clear();
        self.sender.abort();
    }
}

/// A block that heads are written into.
pub(crate) struct HeadBlock(Block);

impl HeadBlock {
    /// An empty one; zeroised at its end, since heads carry tokens and credentials.
    pub(crate) fn new(pool: &Pool) -> Result<Self, Exhausted> {
        let mut block = pool.take()?;
        block.mark_sensitive();
        Ok(Self(block))
    }

    /// Ends writing.
    pub(crate) fn freeze(self) -> Buffer {
        self.0.freeze()
    }
}

impl Sink for HeadBlock {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if self.0.append(bytes) == bytes.len() { Ok(()) } else { Err(Full) }
    }
}
