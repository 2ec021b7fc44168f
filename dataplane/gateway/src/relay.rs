//! Relay: the model server's answer, parsed as strictly as a request, passed on slice by slice. A
//! stream of events is passed on up to the end of its last whole event, so that it can be cut
//! between two events at any time. Under a mask an answer goes another way: [`events`] or
//! [`whole`].

mod events;
mod whole;

pub(crate) use events::TURN_MAX;

use std::pin::{Pin, pin};
use std::time::Duration;

use penstock_config::documents::MaskSide;
use penstock_http::body::{BodyDecoder, Step};
use penstock_http::chunk::{CHUNK_END, LAST_CHUNK, chunk_head};
use penstock_http::head::{
    HeadLimits, RequestHead, ResponseFraming, ResponseHead, Version, parse_response,
};
use penstock_http::stream::{Boundary, StreamKind};
use penstock_reactor::buffer::{BLOCK_BYTES, Buffer, Pool};
use penstock_reactor::network::{Network, NetworkError, Receiver, Sender};

use crate::core::Core;
use crate::forward::Conversation;
use crate::guard::{Guard, Interrupt};
use crate::inject::Outbound;
use crate::input::{HeadFailure, Input};
use crate::limits::Limit;
use crate::masking::{Masked, Way};
use crate::output::Output;
use crate::pieces::Pieces;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::reply_head::{self, Framed};
use crate::session::Session;

/// What the caller gets when an answer that was under way can't be finished.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    /// No clean end: the connection is dropped, so that the part is not taken for the whole.
    Abort,
    /// An error event, the last chunk, a close.
    Event {
        /// How events are framed.
        kind: StreamKind,
        /// Whether part of an event was passed on already.
        within: bool,
    },
}

/// What a relay needs to know beside its two ends.
pub(crate) struct Downlink<'c, N: Network> {
    pub(crate) core: &'c Core<N>,
    pub(crate) guard: &'c Guard<N>,
    pub(crate) conversation: &'c Conversation,
    pub(crate) outbound: &'c Outbound,
    pub(crate) request: &'c RequestHead,
    /// Whether the caller's connection is to go on after this answer.
    pub(crate) goes_on: bool,
    pub(crate) answering: &'c mut bool,
    /// Whether the caller has been told 200 and that a stream of server-sent events comes.
    pub(crate) committed: bool,
}

/// What comes of waiting for the next bytes.
type Next = Result<Result<Option<Buffer>, NetworkError>, Interrupt>;

/// Interim answers (1xx) that are dropped before an answer; more are nonsense.
pub(crate) const INTERIM_MAX: usize = 8;

/// Bytes of an unfinished event that are held back; a longer one is passed on as it comes.
const HELD_BYTES_MAX: usize = 4 * BLOCK_BYTES;

/// An empty comment of a stream of server-sent events (HTML standard, 9.2.6), as one chunk.
pub(crate) const COMMENT_CHUNK: &[u8] = b"3\r\n:\n\n\r\n";

/// Head of an upstream's answer: it must fit into one block.
pub(crate) const REPLY_LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: BLOCK_BYTES, header_count_max: 100, target_bytes_max: 0 };

/// Reads the answer and passes it on. `Ok(true)`: the upstream's side allows another request.
pub(crate) async fn run<N: Network, R: Receiver, S: Sender>(
    mut link: Downlink<'_, N>,
    input: &mut Input<R>,
    output: &mut Output<S>,
    reply: &mut ResponseHead,
    session: &mut Session,
) -> Result<bool, Ending> {
    let head = link.read_head(input, reply).await?;
    session.first_byte = Some(link.core.network.now().saturating_sub(session.begun));
    if reply.status == 401 {
        return Err(Reason::UpstreamUnauthorized.into());
    }
    let way = Way::of(&link.outbound.masked, reply, &head).map_err(Reason::Unmaskable)?;
    if let Way::Whole(whole) = way
        && !link.committed
    {
        link.pass_whole(whole, head, reply, input, output, session).await?;
        return Ok(reply.keep_alive && reply.framing != ResponseFraming::UntilClose);
    }
    let events = link.event_mask(way, session);
    let body = if link.committed {
        // Its head was written long ago: only what it announced may follow.
        let is_announced = (200..300).contains(&reply.status)
            && reply_head::kind(reply, &head) == Some(StreamKind::Sse);
        if !is_announced {
            return Err(Reason::UpstreamAnswer(reply.status).into());
        }
        session.status = reply.status;
        Body::committed(reply)
    } else {
        let framed = if events.is_some() { Framed::Anew } else { Framed::AsItComes };
        let answer = reply_head::write(&link, reply, &head, session, framed)?;
        session.status = reply.status;
        output.outgoing.push(answer.bytes);
        Body::new(&link, reply, answer.kind)
    };
    drop(head);
    let cut = events.as_ref().map_or_else(|| body.cut(), |events| link.cut_of(events));
    *link.conversation.cut.borrow_mut() = Some(cut);
    *link.answering = true;
    let has_body = !body.decoder.is_done();
    if input.unused_bytes() == 0 || !has_body {
        link.flush(output).await?;
    }
    match events {
        Some(events) => link.pass_events(events, body.decoder, input, output, session).await?,
        None if has_body => link.pass_body(body, input, output, session).await?,
        None => {}
    }
    link.conversation.cut.borrow_mut().take();
    Ok(reply.keep_alive && reply.framing != ResponseFraming::UntilClose)
}

impl<N: Network> Downlink<'_, N> {
    async fn read_head<R: Receiver>(
        &self,
        input: &mut Input<R>,
        reply: &mut ResponseHead,
    ) -> Result<Buffer, Ending> {
        let limit = Duration::from_millis(self.core.limits().first_byte_ms_max);
        let to_head_request = self.outbound.to_head_request;
        for _ in 0..=INTERIM_MAX {
            let parse = |bytes: &[u8]| {
                self.conversation.answered.set(true);
                parse_response(bytes, &REPLY_LIMITS, to_head_request, reply)
            };
            let read = {
                let read = pin!(input.head(self.core.network.pool(), parse));
                self.first_byte(limit, read).await
            };
            let head = match read {
                Ok(Ok(head)) => head,
                Ok(Err(HeadFailure::Refused(_) | HeadFailure::TooLarge)) => {
                    return Err(Reason::UpstreamProtocol.into());
                }
                Ok(Err(HeadFailure::Network { error: NetworkError::Exhausted, .. })) => {
                    return Err(Reason::NO_BUFFERS.into());
                }
                Ok(Err(HeadFailure::Ended { .. } | HeadFailure::Network { .. })) => {
                    return Err(Reason::UpstreamReset.into());
                }
                Err(reason) => return Err(reason.into()),
            };
            self.outbound.let_go();
            if reply.status >= 200 {
                return Ok(head);
            }
        }
        Err(Reason::UpstreamProtocol.into())
    }

    /// Waits for an answer, for at most `limit` from when the whole request was sent. Before that
    /// the limits of the request's body count.
    async fn first_byte<T>(
        &self,
        limit: Duration,
        mut answer: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Reason> {
        loop {
            let since = self.conversation.waiting_since.get();
            let now = self.core.network.now();
            let left = since.map_or(limit, |since| since.saturating_add(limit).saturating_sub(now));
            match self.guard.within(left, answer.as_mut()).await {
                Ok(answer) => return Ok(answer),
                Err(Interrupt::Cancelled(reason)) => return Err(reason),
                Err(Interrupt::Elapsed) if self.guard.is_over() => {
                    return Err(self.guard.over());
                }
                Err(Interrupt::Elapsed) if since.is_some() => {
                    return Err(Reason::UpstreamTimeout(Limit::FirstByte));
                }
                Err(Interrupt::Elapsed) => {}
            }
        }
    }

    async fn pass_body<R: Receiver, S: Sender>(
        &self,
        mut body: Body,
        input: &mut Input<R>,
        output: &mut Output<S>,
        session: &mut Session,
    ) -> Result<(), Ending> {
        let gap = Duration::from_millis(self.core.limits().stream_gap_ms_max);
        loop {
            let next = {
                let next = pin!(input.next());
                self.next(gap, next, &body, output).await?
            };
            match self.received(next)? {
                Some(buffer) => {
                    let pool = self.core.network.pool();
                    let rest = body.take(pool, buffer).map_err(|reason| self.ending(reason))?;
                    input.put_back(rest);
                }
                None => {
                    let ended = body.decoder.finish();
                    ended.map_err(|_| self.ending(Reason::UpstreamReset))?;
                    body.end();
                }
            }
            let (chunked, ended) = (body.chunked, body.ended);
            let bytes = self.emit(&mut body.free, chunked, ended, output)?;
            *self.conversation.cut.borrow_mut() = Some(body.cut());
            self.flush(output).await?;
            self.count_down(bytes, session);
            if body.ended {
                return Ok(());
            }
        }
    }

    /// What came of waiting for the model server; none at the end of its side.
    fn received(&self, next: Next) -> Result<Option<Buffer>, Ending> {
        match next {
            Ok(Ok(received)) => Ok(received),
            Ok(Err(NetworkError::Exhausted)) => Err(self.ending(Reason::NO_BUFFERS)),
            Ok(Err(_)) => Err(self.ending(Reason::UpstreamReset)),
            Err(interrupt) => {
                let elapsed = Reason::UpstreamTimeout(Limit::StreamGap);
                Err(self.ending(self.guard.reason(interrupt, elapsed)))
            }
        }
    }

    fn count_down(&self, bytes: u64, session: &mut Session) {
        self.core.counters.bytes_down.add(bytes);
        session.bytes_down = session.bytes_down.saturating_add(bytes);
    }

    /// Whether a mask concerns answers of this exchange.
    pub(crate) fn masks_answers(&self) -> bool {
        match &self.outbound.masked {
            Masked::No => false,
            Masked::By(applied) => applied.concerns(MaskSide::Response),
        }
    }

    /// Waits for the next bytes of the model server, for at most `gap`. A caller that reads
    /// server-sent events hears a comment now and then meanwhile: what stands between may take a
    /// silent connection for a dead one.
    async fn next<T, S: Sender>(
        &self,
        gap: Duration,
        mut next: Pin<&mut impl Future<Output = T>>,
        body: &Body,
        output: &mut Output<S>,
    ) -> Result<Result<T, Interrupt>, Ending> {
        let every = Duration::from_millis(self.core.limits().stream_comment_ms);
        let silent_since = self.core.network.now();
        loop {
            let passed = self.core.network.now().saturating_sub(silent_since);
            let left = gap.saturating_sub(passed);
            if every.is_zero() || every >= left || !body.may_be_commented() {
                return Ok(self.guard.within(left, next.as_mut()).await);
            }
            match self.guard.within(every, next.as_mut()).await {
                Err(Interrupt::Elapsed) if !self.guard.is_over() => {
                    output.outgoing.push(Buffer::from_static(COMMENT_CHUNK));
                    self.flush(output).await?;
                }
                ended => return Ok(ended),
            }
        }
    }

    /// Frames what is free to go as one chunk.
    fn emit<S: Sender>(
        &self,
        free: &mut Vec<Buffer>,
        chunked: bool,
        ended: bool,
        output: &mut Output<S>,
    ) -> Result<u64, Ending> {
        let length: usize = free.iter().map(|piece| piece.len()).sum();
        if length > 0 && chunked {
            let size = self.core.network.pool().copy(chunk_head(length).as_ref());
            output.outgoing.push(size.map_err(|_| self.ending(Reason::NO_BUFFERS))?);
        }
        for piece in free.drain(..) {
            output.outgoing.push(piece);
        }
        if length > 0 && chunked {
            output.outgoing.push(Buffer::from_static(CHUNK_END));
        }
        if ended && chunked {
            output.outgoing.push(Buffer::from_static(LAST_CHUNK));
        }
        Ok(u64::try_from(length).unwrap_or(u64::MAX))
    }

    async fn flush<S: Sender>(&self, output: &mut Output<S>) -> Result<(), Ending> {
        if output.outgoing.is_empty() {
            return Ok(());
        }
        let stall = Duration::from_millis(self.core.limits().send_stall_ms_max);
        match self.guard.within(stall, output.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.ending(Reason::ClientGone)),
            Err(interrupt) => Err(self.ending(self.guard.reason(interrupt, Reason::ClientStalled))),
        }
    }

    fn ending(&self, reason: Reason) -> Ending {
        self.conversation.ending(reason)
    }
}

/// The body of an answer on its way.
struct Body {
    decoder: BodyDecoder,
    chunked: bool,
    events: Option<(StreamKind, Boundary)>,
    held: Pieces,
    /// Whether a whole event was passed on.
    begun: bool,
    /// Whether part of an unfinished event was passed on.
    within: bool,
    free: Vec<Buffer>,
    ended: bool,
    /// A byte order mark may stand first, and must not: comments came before it.
    may_be_marked: bool,
}

/// U+FEFF in UTF-8, which a stream may begin with (HTML standard, 9.2.5).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Body {
    fn new<N: Network>(
        link: &Downlink<'_, N>,
        reply: &ResponseHead,
        kind: Option<StreamKind>,
    ) -> Self {
        let decoder = BodyDecoder::response(reply.framing);
        let chunked = match reply.framing {
            ResponseFraming::Chunked | ResponseFraming::UntilClose => {
                link.request.version == Version::Http11
            }
            ResponseFraming::None | ResponseFraming::Length(_) => false,
        };
        let events = kind.filter(|_| chunked).map(|kind| (kind, Boundary::new(kind)));
        Self {
            ended: decoder.is_done(),
            decoder,
            chunked,
            events,
            held: Pieces::default(),
            begun: false,
            within: false,
            free: Vec::new(),
            may_be_marked: false,
        }
    }

    /// That of a stream whose head the caller has had for long, and comments after it.
    fn committed(reply: &ResponseHead) -> Self {
        let decoder = BodyDecoder::response(reply.framing);
        Self {
            ended: decoder.is_done(),
            decoder,
            chunked: true,
            events: Some((StreamKind::Sse, Boundary::new(StreamKind::Sse))),
            held: Pieces::default(),
            begun: true,
            within: false,
            free: Vec::new(),
            may_be_marked: true,
        }
    }

    /// Whether what the caller has is a whole number of server-sent events, in chunks, so that a
    /// comment may follow: at least one, since a byte order mark may come before the first. What is
    /// held back does not matter: nobody has seen it.
    fn may_be_commented(&self) -> bool {
        matches!(self.events, Some((StreamKind::Sse, _))) && self.begun && !self.within
    }

    fn cut(&self) -> Cut {
        match &self.events {
            Some((kind, _)) => Cut::Event { kind: *kind, within: self.within },
            None => Cut::Abort,
        }
    }

    /// Sorts received bytes; returns those that do not belong to the body.
    fn take(&mut self, pool: &Pool, mut buffer: Buffer) -> Result<Buffer, Reason> {
        while !buffer.is_empty() && !self.decoder.is_done() {
            match self.decoder.decode(&buffer).map_err(|_| Reason::UpstreamProtocol)? {
                Step::Skip(count) => drop(buffer.split_to(count)),
                Step::Data(count) => {
                    let mut piece = buffer.split_to(count);
                    if std::mem::take(&mut self.may_be_marked) && piece.starts_with(BYTE_ORDER_MARK)
                    {
                        drop(piece.split_to(BYTE_ORDER_MARK.len()));
                    }
                    self.sort(pool, piece)?;
                }
                Step::Done => break,
                Step::NeedMore => drop(buffer.split_to(buffer.len())),
            }
        }
        if self.decoder.is_done() {
            self.end();
        }
        Ok(buffer)
    }

    /// Whole events are free to go; the rest waits for its end.
    fn sort(&mut self, pool: &Pool, mut piece: Buffer) -> Result<(), Reason> {
        let Some((_, boundary)) = &mut self.events else {
            self.free.push(piece);
            return Ok(());
        };
        if let Some(end) = boundary.scan(&piece) {
            self.free.append(&mut self.held.take());
            (self.begun, self.within) = (true, false);
            self.free.push(piece.split_to(end));
        }
        if !piece.is_empty() {
            self.held.add(pool, piece).map_err(|_| Reason::NO_BUFFERS)?;
        }
        if self.held.len() > HELD_BYTES_MAX {
            self.within = true;
            self.release();
        }
        Ok(())
    }

    /// The body came to its end: what is held goes too.
    fn end(&mut self) {
        self.ended = true;
        self.release();
    }

    fn release(&mut self) {
        self.free.append(&mut self.held.take());
    }
}
