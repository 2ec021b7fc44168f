//! A TLS connection as a stream of the reactor.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use penstock_reactor::buffer::{Buffer, Exhausted};
use penstock_reactor::network::{NetworkError, Outgoing, Received, Receiver, Sender, Stream};

use crate::engine::{End, Engine, PLAINTEXT_BYTES_MAX};
use crate::failure::Failure;
use crate::session::Outbound;

/// Records, each in a block, that are encrypted before the socket has taken them (64 KiB).
pub const AHEAD_RECORDS_MAX: usize = 4;

/// A connection whose handshake is done.
pub struct TlsStream<S: Stream> {
    peer: SocketAddr,
    resumed: bool,
    receiver: TlsReceiver<S::Receiver>,
    sender: TlsSender<S::Sender>,
}

/// The receiving half.
pub struct TlsReceiver<R> {
    socket: R,
    engine: Rc<RefCell<Engine>>,
}

/// The sending half.
pub struct TlsSender<S> {
    socket: S,
    engine: Rc<RefCell<Engine>>,
    /// Encrypted and not taken by the socket: sent before anything else, and once.
    ciphertext: Outgoing,
    /// Whether the socket's side ends as soon as that was sent.
    finishing: bool,
}

impl<S: Stream> TlsStream<S> {
    pub(crate) fn new(stream: S, engine: Engine) -> Self {
        let peer = stream.peer();
        let (receiver, sender) = stream.split();
        let engine = Rc::new(RefCell::new(engine));
        let receiver = TlsReceiver { socket: receiver, engine: Rc::clone(&engine) };
        let ciphertext = Outgoing::default();
        let sender = TlsSender { socket: sender, engine, ciphertext, finishing: false };
        Self { peer, resumed: false, receiver, sender }
    }

    /// Whether an earlier session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Runs the handshake to its end. `bytes_max`: how much the peer may send for it.
    pub(crate) async fn handshake(&mut self, bytes_max: usize) -> Result<(), Failure> {
        let begun = self.engine().begin();
        begun?;
        let mut bytes = 0_usize;
        loop {
            let failed = self.failure();
            let sent = self.sender.send(&mut Outgoing::default()).await;
            if let Some(failure) = failed {
                // The alert is on its way, or can't be.
                self.sender.socket.finish();
                return Err(failure);
            }
            sent?;
            if !self.engine().is_handshaking() {
                let resumed = self.engine().is_resumed();
                self.resumed = resumed;
                return Ok(());
            }
            if bytes > bytes_max {
                return Err(Failure::TooLong);
            }
            match self.receiver.socket.receive().await? {
                Received::Data(buffer) => {
                    bytes = bytes.saturating_add(buffer.len());
                    self.take(buffer)?;
                }
                Received::End => return Err(Failure::Closed),
            }
        }
    }

    fn take(&mut self, buffer: Buffer) -> Result<(), Exhausted> {
        let mut engine = self.receiver.engine.borrow_mut();
        engine.receive(buffer);
        while engine.has_received() {
            engine.advance()?;
        }
        Ok(())
    }

    fn failure(&self) -> Option<Failure> {
        match self.receiver.engine.borrow().end() {
            Some(End::Failed(failure)) => Some(failure),
            // Before the handshake's end nobody is done.
            Some(End::Closed) if self.receiver.engine.borrow().is_handshaking() => {
                Some(Failure::Closed)
            }
            Some(End::Closed) | None => None,
        }
    }

    fn engine(&self) -> std::cell::RefMut<'_, Engine> {
        self.receiver.engine.borrow_mut()
    }
}

impl<S: Stream> Stream for TlsStream<S> {
    type Receiver = TlsReceiver<S::Receiver>;
    type Sender = TlsSender<S::Sender>;

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn split(self) -> (Self::Receiver, Self::Sender) {
        (self.receiver, self.sender)
    }
}

impl<R: Receiver> Receiver for TlsReceiver<R> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, NetworkError>> {
        let mut engine = self.engine.borrow_mut();
        loop {
            if let Some(plaintext) = engine.take_plaintext() {
                return Poll::Ready(Ok(Received::Data(plaintext)));
            }
            match engine.end() {
                Some(End::Closed) => return Poll::Ready(Ok(Received::End)),
                Some(End::Failed(failure)) => return Poll::Ready(Err(failure.network())),
                None => {}
            }
            if engine.has_received() {
                if engine.advance().is_err() {
                    return Poll::Ready(Err(NetworkError::Exhausted));
                }
                continue;
            }
            match ready!(self.socket.poll_receive(cx))? {
                Received::Data(buffer) => engine.receive(buffer),
                // Not said in TLS: somebody may have cut it.
                Received::End => engine.fail(Failure::Closed),
            }
        }
    }

    /// Records that carry no data (a ticket that comes late) are processed and stir nothing.
    fn is_quiet(&mut self) -> bool {
        if !self.engine.borrow().is_empty() {
            return false;
        }
        if self.socket.is_quiet() {
            return true;
        }
        match self.poll_receive(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.engine.borrow().is_empty(),
            Poll::Ready(Ok(Received::Data(buffer))) => {
                // Not lost, should somebody read on.
                self.engine.borrow_mut().put_back(buffer);
                false
            }
            Poll::Ready(Ok(Received::End) | Err(_)) => false,
        }
    }
}

impl<R> TlsReceiver<R> {
    /// Why the connection failed, if it did.
    pub fn failure(&self) -> Option<Failure> {
        match self.engine.borrow().end() {
            Some(End::Failed(failure)) => Some(failure),
            Some(End::Closed) | None => None,
        }
    }
}

impl<S: Sender> Sender for TlsSender<S> {
    /// Dropping the future leaves in `outgoing` what was not encrypted; what was encrypted is sent
    /// by the next call.
    async fn send(&mut self, outgoing: &mut Outgoing) -> Result<(), NetworkError> {
        loop {
            let sealed = if self.finishing { Ok(()) } else { self.seal(outgoing) };
            if self.ciphertext.is_empty() {
                if self.finishing {
                    self.socket.finish();
                }
                return sealed.map_err(Failure::network);
            }
            self.socket.send(&mut self.ciphertext).await?;
        }
    }

    /// Ciphertext counts. It grows as soon as the socket took any of what was sent since, so "it
    /// has not grown" means that the peer got nothing.
    fn bytes_sent(&self) -> u64 {
        self.socket.bytes_sent()
    }

    /// Says `close_notify` first. If the socket does not take it now, the next call of
    /// [`Sender::send`] goes on; without one the peer sees a cut.
    fn finish(&mut self) {
        if !self.finishing && self.seal_farewell().is_err() {
            self.ciphertext.buffers.clear();
        }
        self.finishing = true;
        let mut nothing = Outgoing::default();
        let sent = pin!(self.send(&mut nothing));
        let _ = sent.poll(&mut Context::from_waker(Waker::noop()));
    }

    fn abort(&mut self) {
        self.ciphertext.buffers.clear();
        self.engine.borrow_mut().fail(Failure::Closed);
        self.socket.abort();
    }
}

impl<S> TlsSender<S> {
    fn seal_farewell(&mut self) -> Result<(), Failure> {
        let mut engine = self.engine.borrow_mut();
        engine.take_control(&mut self.ciphertext)?;
        self.ciphertext.push(engine.encrypt(&Outbound::CloseNotify)?);
        Ok(())
    }

    /// Encrypts as much as may wait for the socket.
    fn seal(&mut self, outgoing: &mut Outgoing) -> Result<(), Failure> {
        let mut engine = self.engine.borrow_mut();
        loop {
            if engine.has_control() {
                engine.take_control(&mut self.ciphertext)?;
            }
            if outgoing.is_empty() || self.ciphertext.buffers.len() >= AHEAD_RECORDS_MAX {
                return Ok(());
            }
            let plaintext = next_record(outgoing, &engine)?;
            let record = engine.encrypt(&Outbound::Data(&plaintext))?;
            self.ciphertext.push(record);
            outgoing.advance(plaintext.len());
        }
    }
}

/// What goes into the next record: as many neighbouring pieces as fit it, so that a head and its
/// body, or an event and its framing, cost one record. It stays in `outgoing`.
fn next_record(outgoing: &Outgoing, engine: &Engine) -> Result<Buffer, Exhausted> {
    let first = outgoing.buffers.front().map(|first| first.slice(0..PLAINTEXT_BYTES_MAX));
    let first = first.unwrap_or_default();
    if outgoing.buffers.len() <= 1 || first.len() == PLAINTEXT_BYTES_MAX {
        return Ok(first);
    }
    let mut block = engine.pool().take()?;
    block.mark_sensitive();
    for buffer in &outgoing.buffers {
        let left = PLAINTEXT_BYTES_MAX.saturating_sub(block.filled().len());
        let part = buffer.get(..left.min(buffer.len())).unwrap_or_default();
        if part.is_empty() {
            break;
        }
        block.append(part);
    }
    Ok(block.freeze())
}

impl From<Exhausted> for Failure {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl<S: Stream> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsStream")
    }
}

impl<R> fmt::Debug for TlsReceiver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsReceiver")
    }
}

impl<S> fmt::Debug for TlsSender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsSender")
    }
}
