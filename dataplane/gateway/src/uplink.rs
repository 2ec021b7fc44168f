//! The way up of one conversation: the request, then an eye on the caller.

use aws_lc_rs::digest::{Context, SHA256};
use penstock_http::body::{BodyDecoder, Step};
use penstock_http::chunk::{CHUNK_END, LAST_CHUNK, chunk_head};
use penstock_http::head::Framing;
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::{Network, NetworkError, Receiver, Sender};

use crate::classify::Payload;
use crate::client::BodyRead;
use crate::collect::{Pace, bad_framing};
use crate::declared::BodySha256;
use crate::forward::Conversation;
use crate::guard::Guard;
use crate::input::Input;
use crate::limits::Limit;
use crate::output::Output;
use crate::reason::Reason;

/// What the way up needs beside its two ends.
pub(crate) struct Uplink<'c, N: Network> {
    pub(crate) guard: &'c Guard<N>,
    pub(crate) network: &'c N,
    pub(crate) pace: Pace,
    pub(crate) body_bytes_max: u64,
    pub(crate) conversation: &'c Conversation,
    pub(crate) body: &'c mut BodyRead,
}

impl<N: Network> Uplink<'_, N> {
    /// Sends the request, then watches the caller. Ends only when the exchange must end.
    pub(crate) async fn run<R: Receiver, S: Sender>(
        mut self,
        input: &mut Input<R>,
        output: &mut Output<S>,
        head: Buffer,
        payload: Payload,
    ) -> Reason {
        output.outgoing.push(head);
        let mut streamed = None;
        match payload {
            Payload::None => {}
            Payload::Collected { buffers, length } => {
                self.conversation.bytes_up.set(length);
                buffers.into_iter().for_each(|buffer| output.outgoing.push(buffer));
            }
            Payload::Streamed { framing, expected } => streamed = Some((framing, expected)),
        }
        let sent = self.flush(output).await;
        let sent = match (sent, streamed) {
            (Ok(()), Some((framing, expected))) => {
                self.stream(input, output, framing, Checked::new(expected)).await
            }
            (sent, _) => sent,
        };
        match sent {
            Ok(()) => self.conversation.request_sent.set(true),
            // The model server does not take any more: its answer says why, if there is one.
            Err(Reason::UpstreamReset) => {}
            Err(reason) => return reason,
        }
        self.conversation.waiting_since.set(Some(self.network.now()));
        watch(input).await
    }

    async fn flush<S: Sender>(&self, output: &mut Output<S>) -> Result<(), Reason> {
        match self.guard.within(self.pace.gap(), output.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Reason::UpstreamReset),
            Err(interrupt) => {
                Err(self.guard.reason(interrupt, Reason::UpstreamTimeout(Limit::BodyGap)))
            }
        }
    }

    /// Passes a body on as it comes.
    async fn stream<R: Receiver, S: Sender>(
        &mut self,
        input: &mut Input<R>,
        output: &mut Output<S>,
        framing: Framing,
        mut checked: Option<Box<Checked>>,
    ) -> Result<(), Reason> {
        let mut decoder = BodyDecoder::request(framing);
        *self.body = BodyRead::Begun;
        while !decoder.is_done() {
            let left = self.pace.left(self.network.now(), self.conversation.bytes_up.get());
            let buffer = match self.guard.within(left, input.next()).await {
                Ok(Ok(Some(buffer))) => buffer,
                Ok(Ok(None)) => return Err(Reason::bad("the body ends early")),
                Ok(Err(NetworkError::Exhausted)) => return Err(Reason::NO_BUFFERS),
                Ok(Err(_)) => return Err(Reason::ClientGone),
                Err(interrupt) => {
                    return Err(self.guard.reason(interrupt, Reason::Timeout(Limit::BodyGap)));
                }
            };
            let (pieces, rest) = self.sort(&mut decoder, buffer)?;
            input.put_back(rest);
            if let Some(checked) = &mut checked {
                // With the last byte the digest must hold, and before that byte goes up.
                checked.add(&pieces);
                if decoder.is_done() && !checked.holds() {
                    *self.body = BodyRead::Done;
                    return Err(Reason::bad(OTHER_BODY));
                }
            }
            self.pass(output, pieces, framing)?;
            if decoder.is_done() {
                *self.body = BodyRead::Done;
                if framing == Framing::Chunked {
                    output.outgoing.push(Buffer::from_static(LAST_CHUNK));
                }
            }
            // A model server that takes its time is not the caller's fault.
            let before = self.network.now();
            self.flush(output).await?;
            self.pace.excuse(self.network.now().saturating_sub(before));
        }
        Ok(())
    }

    /// The body's pieces of one received buffer, and what does not belong to the body.
    fn sort(
        &self,
        decoder: &mut BodyDecoder,
        mut buffer: Buffer,
    ) -> Result<(Vec<Buffer>, Buffer), Reason> {
        let mut pieces = Vec::new();
        while !buffer.is_empty() && !decoder.is_done() {
            match decoder.decode(&buffer).map_err(bad_framing)? {
                Step::Skip(count) => drop(buffer.split_to(count)),
                Step::Data(count) => pieces.push(buffer.split_to(count)),
                Step::Done => break,
                Step::NeedMore => drop(buffer.split_to(buffer.len())),
            }
        }
        Ok((pieces, buffer))
    }

    /// Frames pieces as one chunk, however the caller had cut them.
    fn pass<S: Sender>(
        &self,
        output: &mut Output<S>,
        pieces: Vec<Buffer>,
        framing: Framing,
    ) -> Result<(), Reason> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let counted = u64::try_from(length).unwrap_or(u64::MAX);
        let total = self.conversation.bytes_up.get().saturating_add(counted);
        self.conversation.bytes_up.set(total);
        if total > self.body_bytes_max {
            return Err(Reason::TooLarge(Limit::BodyBytes));
        }
        let chunked = framing == Framing::Chunked && length > 0;
        if chunked {
            let size = self.network.pool().copy(chunk_head(length).as_ref());
            output.outgoing.push(size.map_err(|_| Reason::NO_BUFFERS)?);
        }
        pieces.into_iter().for_each(|piece| output.outgoing.push(piece));
        if chunked {
            output.outgoing.push(Buffer::from_static(CHUNK_END));
        }
        Ok(())
    }
}

/// What is told where a body is not the one that was declared.
pub(crate) const OTHER_BODY: &str = "the body is not the one whose digest was declared";

/// A body whose digest was declared, as far as it has come. Few bodies are: it is boxed.
struct Checked {
    expected: BodySha256,
    context: Context,
}

impl Checked {
    fn new(expected: Option<BodySha256>) -> Option<Box<Self>> {
        expected.map(|expected| Box::new(Self { expected, context: Context::new(&SHA256) }))
    }

    fn add(&mut self, pieces: &[Buffer]) {
        pieces.iter().for_each(|piece| self.context.update(piece));
    }

    fn holds(&self) -> bool {
        self.context.clone().finish().as_ref() == self.expected
    }
}

/// Pieces of later requests that are taken while an answer is under way, each in a block of its
/// own; then the caller waits.
const PIPELINED_PIECES_MAX: usize = 4;

/// Waits until the caller leaves. Bytes of a next request are kept, within a bound, and not parsed.
pub(crate) async fn watch<R: Receiver>(input: &mut Input<R>) -> Reason {
    while input.unused_pieces() < PIPELINED_PIECES_MAX {
        match input.more().await {
            Ok(true) => {}
            Ok(false) | Err(NetworkError::Reset | NetworkError::Refused) => {
                return Reason::ClientGone;
            }
            Err(NetworkError::System(_)) => return Reason::ClientGone,
            Err(NetworkError::Exhausted) => break,
        }
    }
    std::future::pending().await
}
