//! Forward: one conversation with an endpoint. The request goes up and the answer comes down at the
//! same time, so that an early answer is seen and a caller that leaves is noticed.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};
use penstock_http::body::{BodyDecoder, Step};
use penstock_http::chunk::{CHUNK_END, LAST_CHUNK, chunk_head};
use penstock_http::head::Framing;
use penstock_reactor::buffer::{Buffer, Pool};
use penstock_reactor::network::{Network, NetworkError, Receiver, Sender};

use crate::classify::{Payload, bad_framing};
use crate::client::{BodyRead, Client};
use crate::core::Core;
use crate::endpoint::Endpoint;
use crate::guard::{Guard, Interrupt};
use crate::inject::Outbound;
use crate::input::Input;
use crate::output::Output;
use crate::pipeline::Ending;
use crate::pool::{Taken, UpstreamConnection};
use crate::reason::Reason;
use crate::relay::{self, Cut, Downlink};
use crate::respond;
use crate::session::Session;

/// What both directions of a conversation tell each other.
#[derive(Default)]
pub(crate) struct Conversation {
    /// What must be done if the answer can't be finished; `None` before its first byte.
    pub(crate) cut: RefCell<Option<Cut>>,
    /// Whether any byte of an answer came.
    pub(crate) answered: Cell<bool>,
    request_sent: Cell<bool>,
    bytes_up: Cell<u64>,
}

impl Conversation {
    /// The ending for a reason, at this point of the answer.
    pub(crate) fn ending(&self, reason: Reason) -> Ending {
        match self.cut.borrow_mut().take() {
            Some(cut) => Ending::Cut(reason, cut),
            None => Ending::Refused(reason),
        }
    }
}

/// Sends a permitted request and relays its answer.
pub(crate) async fn forward<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    outbound: Outbound,
    session: &mut Session,
) -> Result<(), Ending> {
    if matches!(outbound.payload, Payload::Streamed(_)) {
        respond::go_on(core, client).await?;
    }
    let mut may_reuse = true;
    loop {
        let (mut upstream, head, endpoint) =
            reach(core, client, &outbound, may_reuse, session).await?;
        let running = endpoint.run();
        let sent_before = upstream.output.bytes_sent();
        let conversation = Conversation::default();
        let result =
            converse(core, client, &mut upstream, head, &outbound, session, &conversation).await;
        session.bytes_up = session.bytes_up.saturating_add(conversation.bytes_up.get());
        let nothing_sent = upstream.output.bytes_sent() == sent_before;
        let stale = upstream.reused && !conversation.answered.get();
        drop(running);
        match result {
            Ok(reusable) => {
                endpoint.learn(None, core.network.now());
                let clean = conversation.request_sent.get() && upstream.input.unused_bytes() == 0;
                if reusable && clean && !matches!(outbound.payload, Payload::Streamed(_)) {
                    core.pool.keep(upstream);
                }
                return Ok(());
            }
            Err(Ending::Refused(Reason::UpstreamReset))
                if stale && may_reuse && (nothing_sent || outbound.repeatable) =>
            {
                // The kept connection had been closed under us: once more, on a new one.
                upstream.output.abort();
                may_reuse = false;
            }
            Err(ending) => {
                endpoint.learn(ending.reason(), core.network.now());
                // The model server must not take a cut request for a whole one, nor go on working
                // for a caller that has left.
                upstream.output.abort();
                return Err(ending);
            }
        }
    }
}

/// A connection to the first endpoint that takes one, and the head for it.
async fn reach<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    outbound: &Outbound,
    may_reuse: bool,
    session: &mut Session,
) -> Result<(UpstreamConnection<N>, Buffer, Rc<Endpoint>), Ending> {
    let limit = Duration::from_millis(core.limits().connect_ms_max);
    let addresses = core.node.addresses.load();
    let mut reason = Reason::UpstreamUnreachable;
    for (target, head) in &outbound.tries {
        session.endpoint = Some(target.authority.clone());
        for address in addresses.addresses(&target.endpoint) {
            if may_reuse && let Some(kept) = reuse(core, address) {
                return Ok((kept, head.clone(), Rc::clone(&target.state)));
            }
            match client.guard.within(limit, core.pool.connect(address)).await {
                Ok(Ok(connection)) => {
                    core.counters.upstream_connects.add(1);
                    return Ok((connection, head.clone(), Rc::clone(&target.state)));
                }
                Ok(Err(NetworkError::Exhausted)) => return Err(Reason::Overloaded.into()),
                Ok(Err(_)) => reason = Reason::UpstreamUnreachable,
                Err(Interrupt::Elapsed) => reason = Reason::UpstreamConnectTimeout,
                Err(Interrupt::Cancelled(cancelled)) => return Err(cancelled.into()),
            }
            target.state.learn(Some(&reason), core.network.now());
        }
    }
    Err(reason.into())
}

fn reuse<N: Network>(
    core: &Core<N>,
    address: std::net::SocketAddr,
) -> Option<UpstreamConnection<N>> {
    let (kept, stirred) = match core.pool.take(address) {
        Taken::Kept(connection, stirred) => (Some(connection), stirred),
        Taken::None(stirred) => (None, stirred),
    };
    core.counters.upstream_stirred.add(stirred);
    if kept.is_some() {
        core.counters.upstream_reuses.add(1);
    }
    kept
}

/// Both directions at once; ends with the answer, or with whatever ends it early. `Ok(true)`: the
/// upstream's side allows another request.
async fn converse<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    upstream: &mut UpstreamConnection<N>,
    head: Buffer,
    outbound: &Outbound,
    session: &mut Session,
    conversation: &Conversation,
) -> Result<bool, Ending> {
    let goes_on = client.goes_on_after(core);
    let Client { input, output, guard, head: request, reply, body, answering, .. } = client;
    let uplink = Uplink {
        guard,
        pool: core.network.pool(),
        gap: Duration::from_millis(core.limits().body_gap_ms_max),
        body_bytes_max: outbound.body_bytes_max,
        conversation,
        body,
    };
    let downlink = Downlink { core, guard, conversation, outbound, request, goes_on, answering };
    let up = pin!(uplink.run(input, &mut upstream.output, head, &outbound.payload));
    let down = pin!(relay::run(downlink, &mut upstream.input, output, reply, session));
    match select(down, up).await {
        Either::Left((result, _)) => result,
        Either::Right((reason, _)) => Err(conversation.ending(reason)),
    }
}

/// The way up of one conversation.
struct Uplink<'c, N: Network> {
    guard: &'c Guard<N>,
    pool: &'c Pool,
    gap: Duration,
    body_bytes_max: u64,
    conversation: &'c Conversation,
    body: &'c mut BodyRead,
}

impl<N: Network> Uplink<'_, N> {
    /// Sends the request, then watches the caller. Ends only when the exchange must end.
    async fn run<R: Receiver, S: Sender>(
        mut self,
        input: &mut Input<R>,
        output: &mut Output<S>,
        head: Buffer,
        payload: &Payload,
    ) -> Reason {
        output.outgoing.push(head);
        if let Payload::Collected { buffers, length } = payload {
            for buffer in buffers {
                output.outgoing.push(buffer.clone());
            }
            self.conversation.bytes_up.set(*length);
        }
        let sent = self.flush(output).await;
        let streamed = match (sent, payload) {
            (Ok(()), Payload::Streamed(framing)) => self.stream(input, output, *framing).await,
            (sent, Payload::None | Payload::Collected { .. } | Payload::Streamed(_)) => sent,
        };
        match streamed {
            Ok(()) => self.conversation.request_sent.set(true),
            // The model server does not take any more: its answer says why, if there is one.
            Err(Reason::UpstreamReset) => {}
            Err(reason) => return reason,
        }
        watch(input).await
    }

    async fn flush<S: Sender>(&self, output: &mut Output<S>) -> Result<(), Reason> {
        match self.guard.within(self.gap, output.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Reason::UpstreamReset),
            Err(interrupt) => Err(interrupt.or(Reason::UpstreamTimeout)),
        }
    }

    /// Passes a body on as it comes.
    async fn stream<R: Receiver, S: Sender>(
        &mut self,
        input: &mut Input<R>,
        output: &mut Output<S>,
        framing: Framing,
    ) -> Result<(), Reason> {
        let mut decoder = BodyDecoder::request(framing);
        let chunked = framing == Framing::Chunked;
        *self.body = BodyRead::Begun;
        while !decoder.is_done() {
            let mut buffer = match self.guard.within(self.gap, input.next()).await {
                Ok(Ok(Some(buffer))) => buffer,
                Ok(Ok(None)) => return Err(Reason::bad("the body ends early")),
                Ok(Err(NetworkError::Exhausted)) => return Err(Reason::Overloaded),
                Ok(Err(_)) => return Err(Reason::ClientGone),
                Err(interrupt) => return Err(interrupt.or(Reason::Timeout)),
            };
            while !buffer.is_empty() && !decoder.is_done() {
                match decoder.decode(&buffer).map_err(bad_framing)? {
                    Step::Skip(count) => drop(buffer.split_to(count)),
                    Step::Data(count) => {
                        let piece = buffer.split_to(count);
                        self.pass(output, piece, chunked)?;
                    }
                    Step::Done => break,
                    Step::NeedMore => drop(buffer.split_to(buffer.len())),
                }
            }
            input.put_back(buffer);
            if decoder.is_done() {
                *self.body = BodyRead::Done;
                if chunked {
                    output.outgoing.push(Buffer::from_static(LAST_CHUNK));
                }
            }
            self.flush(output).await?;
        }
        Ok(())
    }

    fn pass<S: Sender>(
        &self,
        output: &mut Output<S>,
        piece: Buffer,
        chunked: bool,
    ) -> Result<(), Reason> {
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let total = self.conversation.bytes_up.get().saturating_add(length);
        self.conversation.bytes_up.set(total);
        if total > self.body_bytes_max {
            return Err(Reason::TooLarge);
        }
        if !chunked {
            output.outgoing.push(piece);
            return Ok(());
        }
        let size = chunk_head(piece.len());
        let size = self.pool.copy(size.as_ref()).map_err(|_| Reason::Overloaded)?;
        output.outgoing.push(size);
        output.outgoing.push(piece);
        output.outgoing.push(Buffer::from_static(CHUNK_END));
        Ok(())
    }
}

/// Bytes of later requests that are taken while an answer is under way; then the caller waits.
const PIPELINED_BYTES_MAX: usize = 16 * 1024;

/// Waits until the caller leaves. Bytes of a next request are kept, within a bound, and not parsed.
async fn watch<R: Receiver>(input: &mut Input<R>) -> Reason {
    while input.unused_bytes() < PIPELINED_BYTES_MAX {
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
