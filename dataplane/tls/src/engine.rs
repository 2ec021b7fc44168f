//! What both halves of a TLS stream share: the session and the little that waits in it.

use penstock_reactor::buffer::{Block, Buffer, Exhausted, Pool};
use penstock_reactor::network::Outgoing;

use crate::failure::Failure;
use crate::framing::measure;
use crate::gather::Gathered;
use crate::session::{Outbound, Processed, Session};

/// Records in a row that may come without application data: a handshake (64 KiB of it in records of
/// 512 bytes, the smallest that RFC 6066 knows), tickets, key updates, empty records. The library
/// has limits of its own for some of them.
const RECORDS_WITHOUT_DATA_MAX: u32 = 128;

/// Bytes of records that are held until more come: the longest handshake message (64 KiB) and one
/// record. A message cut into tiny records does not fit.
const GATHERED_BYTES_MAX: usize = 96 * 1024;

/// Plaintext in one record at most: with what encryption adds, and an answer to a key update before
/// it, it fits a block.
pub(crate) const PLAINTEXT_BYTES_MAX: usize = 16 * 1024 - 256;

/// One connection's TLS.
pub(crate) struct Engine {
    session: Session,
    pool: Pool,
    /// Received and not processed.
    received: Buffer,
    /// A record that came in pieces.
    gathered: Option<Gathered>,
    /// Decrypted and not taken.
    plaintext: Option<Buffer>,
    /// Records of the library's own, to be sent before anything else.
    control: Vec<u8>,
    records_without_data: u32,
    /// The end of what the peer sends, once it is known.
    end: Option<End>,
    /// Plaintext is a caller's, where a token may stand anywhere.
    sensitive: bool,
}

/// How what the peer sends ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// By `close_notify`.
    Closed,
    /// By a failure; nothing can be sent any more either.
    Failed(Failure),
}

impl Engine {
    pub(crate) fn new(session: Session, pool: Pool) -> Self {
        let sensitive = matches!(session, Session::Server(_));
        Self {
            session,
            pool,
            received: Buffer::default(),
            gathered: None,
            plaintext: None,
            control: Vec::new(),
            records_without_data: 0,
            end: None,
            sensitive,
        }
    }

    /// Takes decrypted bytes.
    pub(crate) fn take_plaintext(&mut self) -> Option<Buffer> {
        self.plaintext.take()
    }

    /// Puts back what [`Self::take_plaintext`] gave.
    pub(crate) fn put_back(&mut self, plaintext: Buffer) {
        self.plaintext = Some(plaintext);
    }

    /// The end, once all that came before it was taken.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether bytes wait to be processed by [`Self::advance`].
    pub(crate) fn has_received(&self) -> bool {
        !self.received.is_empty() && self.end.is_none() && self.plaintext.is_none()
    }

    /// Gives it what came from the socket; only when it has nothing left.
    pub(crate) fn receive(&mut self, received: Buffer) {
        self.received = received;
    }

    /// Whether the connection holds nothing that came, not even a part of a record.
    pub(crate) fn is_empty(&self) -> bool {
        self.received.is_empty()
            && self.gathered.is_none()
            && self.plaintext.is_none()
            && self.end.is_none()
    }

    /// Whether application data can't go both ways yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether an earlier session was resumed.
    pub(crate) fn is_resumed(&self) -> bool {
        self.session.is_resumed()
    }

    /// Ends it.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.received = Buffer::default();
        self.gathered = None;
        self.end = Some(End::Failed(failure));
    }

    /// Lets the library begin: a client's first flight.
    pub(crate) fn begin(&mut self) -> Result<(), Exhausted> {
        let mut block = self.pool.take()?;
        let processed = self.session.process(&mut [], &mut block, &mut self.control);
        if let Some(failure) = processed.failure {
            self.fail(failure);
        }
        Ok(())
    }

    /// Processes some of what was received. Out of buffers, nothing is lost: the next call goes on.
    pub(crate) fn advance(&mut self) -> Result<(), Exhausted> {
        let mut plaintext = self.pool.take()?;
        if self.sensitive {
            plaintext.mark_sensitive();
        }
        let (records, processed) = match self.in_place(&mut plaintext) {
            Some(done) => done?,
            None => match self.gather(&mut plaintext)? {
                Some(done) => done,
                None => return Ok(()),
            },
        };
        if !plaintext.filled().is_empty() {
            self.plaintext = Some(plaintext.freeze());
            self.records_without_data = 0;
        } else {
            self.records_without_data = self.records_without_data.saturating_add(records);
        }
        let too_much = self.records_without_data > RECORDS_WITHOUT_DATA_MAX
            || self.gathered.as_ref().is_some_and(|held| held.len() > GATHERED_BYTES_MAX);
        if let Some(failure) = processed.failure {
            self.fail(failure);
        } else if processed.closed {
            // Nothing behind it counts (RFC 8446 section 6.1).
            (self.received, self.gathered) = (Buffer::default(), None);
            self.end = Some(End::Closed);
        } else if too_much {
            self.fail(if self.is_handshaking() { Failure::TooLong } else { Failure::Protocol });
        }
        Ok(())
    }

    /// Whole records in front of a block that is ours alone are decrypted where they are.
    fn in_place(&mut self, plaintext: &mut Block) -> Option<Result<(u32, Processed), Exhausted>> {
        if self.gathered.is_some() {
            return None;
        }
        let measured = measure(&self.received);
        let length = if measured.broken { self.received.len() } else { measured.whole };
        let bytes = self.received.unique_mut().and_then(|bytes| bytes.get_mut(..length))?;
        if bytes.is_empty() {
            return None;
        }
        let mut processed = self.session.process(bytes, plaintext, &mut self.control);
        let retained = bytes.get(processed.consumed..).unwrap_or_default();
        if !retained.is_empty() && processed.failure.is_none() && !processed.closed {
            match Gathered::of_retained(&self.pool, retained) {
                Ok(gathered) => self.gathered = Some(gathered),
                Err(Exhausted) => processed.failure = Some(Failure::Exhausted),
            }
        }
        if measured.broken {
            processed.failure = self.why_broken(processed.failure);
        }
        self.received.mark_sensitive();
        drop(self.received.split_to(length));
        Some(Ok((measured.records, processed)))
    }

    /// One record is put together from pieces; `None` while it is not whole.
    fn gather(&mut self, plaintext: &mut Block) -> Result<Option<(u32, Processed)>, Exhausted> {
        let gathered = match &mut self.gathered {
            Some(gathered) => gathered,
            empty => {
                let capacity = self.received.len().saturating_add(measure(&self.received).missing);
                empty.insert(Gathered::new(&self.pool, capacity)?)
            }
        };
        gathered.take(&mut self.received, &self.pool)?;
        let measured = gathered.measured();
        if measured.whole == 0 && !measured.broken {
            return Ok(None);
        }
        let bytes = gathered.bytes_mut();
        let mut processed = self.session.process(bytes, plaintext, &mut self.control);
        if !gathered.consume(processed.consumed) {
            self.gathered = None;
        }
        if measured.broken {
            processed.failure = self.why_broken(processed.failure);
        }
        Ok(Some((measured.records, processed)))
    }

    /// Moves the library's own records to `ciphertext`, in blocks. Out of buffers, none is lost.
    pub(crate) fn take_control(&mut self, ciphertext: &mut Outgoing) -> Result<(), Exhausted> {
        while !self.control.is_empty() {
            let mut block = self.pool.take()?;
            let count = block.append(&self.control);
            self.control.drain(..count);
            ciphertext.push(block.freeze());
        }
        // Not kept: an idle connection holds nothing.
        self.control = Vec::new();
        Ok(())
    }

    /// Whether the library wants something sent.
    pub(crate) fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// Encrypts, after [`Self::take_control`], as one record in a block of its own.
    pub(crate) fn encrypt(&mut self, outbound: &Outbound<'_>) -> Result<Buffer, Failure> {
        if let Some(End::Failed(failure)) = self.end {
            return Err(failure);
        }
        let mut block = self.pool.take().map_err(|_| Failure::Exhausted)?;
        let retained = self.gathered.as_mut().map(Gathered::retained_mut).unwrap_or_default();
        let done = self.session.encrypt(outbound, retained, &mut block);
        if let Err(failure) = done {
            self.fail(failure);
            return Err(failure);
        }
        Ok(block.freeze())
    }

    /// The core's pool.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The failure where bytes have no record's header, whatever the library makes of them.
    fn why_broken(&self, failure: Option<Failure>) -> Option<Failure> {
        match failure {
            None | Some(Failure::Protocol) if self.is_handshaking() => Some(Failure::NotTls),
            None => Some(Failure::Protocol),
            known => known,
        }
    }
}
