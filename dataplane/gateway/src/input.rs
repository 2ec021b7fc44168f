//! What has come from a peer and was not used yet, and heads out of it.

use std::collections::VecDeque;

use penstock_reactor::buffer::{BLOCK_BYTES, Block, Buffer, Pool};
use penstock_reactor::network::{NetworkError, Received, Receiver};

/// The receiving side of a connection.
#[derive(Debug)]
pub(crate) struct Input<R> {
    receiver: R,
    unused: VecDeque<Buffer>,
    /// Whether a token may stand anywhere in it: a caller's side, where heads follow bodies and
    /// what was refused is read on and dropped.
    sensitive: bool,
}

/// Why a head could not be read.
#[derive(Debug)]
pub(crate) enum HeadFailure<E> {
    /// The peer ended its side; whether bytes of a head had come.
    Ended { begun: bool },
    /// The parser refused it.
    Refused(E),
    /// No end within the space for a head.
    TooLarge,
    /// The socket failed; whether bytes of a head had come.
    Network { error: NetworkError, begun: bool },
}

/// What came of keeping bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kept {
    /// Some came.
    More,
    /// The block is full.
    Full,
    /// The peer ended its side.
    End,
}

impl<R: Receiver> Input<R> {
    /// What comes from a model server.
    pub(crate) fn from_upstream(receiver: R) -> Self {
        Self { receiver, unused: VecDeque::new(), sensitive: false }
    }

    /// What comes from a caller: all of it is zeroised when it was used.
    pub(crate) fn from_caller(receiver: R) -> Self {
        Self { receiver, unused: VecDeque::new(), sensitive: true }
    }

    /// The next bytes; `None` at the end of the peer's side.
    pub(crate) async fn next(&mut self) -> Result<Option<Buffer>, NetworkError> {
        if let Some(buffer) = self.unused.pop_front() {
            return Ok(Some(buffer));
        }
        match self.receiver.receive().await? {
            Received::Data(buffer) => {
                if self.sensitive {
                    buffer.mark_sensitive();
                }
                Ok(Some(buffer))
            }
            Received::End => Ok(None),
        }
    }

    /// New bytes from the socket, behind those that are unused; `false` at the end.
    pub(crate) async fn more(&mut self) -> Result<bool, NetworkError> {
        match self.receiver.receive().await? {
            Received::Data(buffer) => {
                if self.sensitive {
                    buffer.mark_sensitive();
                }
                self.unused.push_back(buffer);
                Ok(true)
            }
            Received::End => Ok(false),
        }
    }

    /// New bytes from the socket, kept with all that is unused in one block: what a caller sends
    /// while its request waits for long.
    pub(crate) async fn keep(&mut self, pool: &Pool) -> Result<Kept, NetworkError> {
        if self.unused_bytes() >= BLOCK_BYTES {
            return Ok(Kept::Full);
        }
        if !self.more().await? {
            return Ok(Kept::End);
        }
        if self.unused.len() > 1 {
            let mut block = pool.take().map_err(|_| NetworkError::Exhausted)?;
            if self.sensitive {
                block.mark_sensitive();
            }
            while let Some(mut piece) = self.unused.pop_front() {
                let taken = block.append(&piece);
                drop(piece.split_to(taken));
                if !piece.is_empty() {
                    self.unused.push_front(piece);
                    break;
                }
            }
            self.unused.push_front(block.freeze());
        }
        Ok(Kept::More)
    }

    /// Puts bytes back in front.
    pub(crate) fn put_back(&mut self, buffer: Buffer) {
        if !buffer.is_empty() {
            self.unused.push_front(buffer);
        }
    }

    /// Bytes that have come already, without waiting for more.
    pub(crate) fn pop_unused(&mut self) -> Option<Buffer> {
        self.unused.pop_front()
    }

    /// Pieces that came and were not used; each may hold a block.
    pub(crate) fn unused_pieces(&self) -> usize {
        self.unused.len()
    }

    /// Bytes that came and were not used.
    pub(crate) fn unused_bytes(&self) -> usize {
        self.unused.iter().map(|buffer| buffer.len()).sum()
    }

    /// Drops what is unused.
    pub(crate) fn discard(&mut self) {
        self.unused.clear();
    }

    /// The receiver, to ask how it does.
    pub(crate) fn receiver_ref(&self) -> &R {
        &self.receiver
    }

    /// The receiver, to look at an idle connection.
    pub(crate) fn receiver(&mut self) -> &mut R {
        &mut self.receiver
    }

    /// Reads one head: `parse` says how long it is once it is whole. It is parsed where it arrived;
    /// a head that comes in pieces is gathered in one block.
    pub(crate) async fn head<E>(
        &mut self,
        pool: &Pool,
        mut parse: impl FnMut(&[u8]) -> Result<Option<usize>, E>,
    ) -> Result<Buffer, HeadFailure<E>> {
        let mut first = match self.next().await {
            Ok(Some(buffer)) => buffer,
            Ok(None) => return Err(HeadFailure::Ended { begun: false }),
            Err(error) => return Err(HeadFailure::Network { error, begun: false }),
        };
        first.mark_sensitive();
        if let Some(length) = parse(&first).map_err(HeadFailure::Refused)? {
            let head = first.split_to(length);
            self.put_back(first);
            return Ok(head);
        }
        let exhausted = |_| HeadFailure::Network { error: NetworkError::Exhausted, begun: true };
        let mut block = pool.take().map_err(exhausted)?;
        block.mark_sensitive();
        self.gather(&mut block, first);
        loop {
            let piece = match self.next().await {
                Ok(Some(buffer)) => buffer,
                Ok(None) => return Err(HeadFailure::Ended { begun: true }),
                Err(error) => return Err(HeadFailure::Network { error, begun: true }),
            };
            piece.mark_sensitive();
            let ends_a_line = memchr::memchr(b'\n', &piece).is_some();
            self.gather(&mut block, piece);
            if !ends_a_line && block.filled().len() < BLOCK_BYTES {
                continue;
            }
            if let Some(length) = parse(block.filled()).map_err(HeadFailure::Refused)? {
                let mut gathered = block.freeze();
                let head = gathered.split_to(length);
                self.put_back(gathered);
                return Ok(head);
            }
            if block.filled().len() >= BLOCK_BYTES {
                return Err(HeadFailure::TooLarge);
            }
        }
    }

    /// Appends what fits; the rest waits its turn.
    fn gather(&mut self, block: &mut Block, mut piece: Buffer) {
        let taken = block.append(&piece);
        let _ = piece.split_to(taken);
        self.put_back(piece);
    }
}
