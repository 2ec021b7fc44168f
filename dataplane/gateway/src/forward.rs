//! Forward: one conversation with an endpoint. The request goes up and the answer comes down at the
//! same time, so that an early answer is seen and a caller that leaves is noticed.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::{Network, NetworkError};

use crate::classify::Payload;
use crate::client::Client;
use crate::collect::Pace;
use crate::core::Core;
use crate::endpoint::Endpoint;
use crate::guard::Interrupt;
use crate::inject::Outbound;
use crate::pipeline::Ending;
use crate::pool::{Taken, UpstreamConnection};
use crate::reason::Reason;
use crate::relay::{self, Cut, Downlink};
use crate::respond;
use crate::session::Session;
use crate::uplink::Uplink;

/// What both directions of a conversation tell each other.
#[derive(Default)]
pub(crate) struct Conversation {
    /// What must be done if the answer can't be finished; `None` before its first byte.
    pub(crate) cut: RefCell<Option<Cut>>,
    /// Whether any byte of an answer came.
    pub(crate) answered: Cell<bool>,
    /// Whether the whole request was sent.
    pub(crate) request_sent: Cell<bool>,
    /// Since when only the answer is waited for.
    pub(crate) waiting_since: Cell<Option<Duration>>,
    /// Bytes of the request's body so far.
    pub(crate) bytes_up: Cell<u64>,
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
    if outbound.streams {
        respond::go_on(core, client).await?;
    }
    let mut may_reuse = true;
    loop {
        let (mut upstream, head, endpoint) =
            reach(core, client, &outbound, may_reuse, session).await?;
        let running = endpoint.run();
        let sent_before = upstream.output.bytes_sent();
        let conversation = Conversation::default();
        let request = (head, outbound.payload(upstream.reused));
        let result =
            converse(core, client, &mut upstream, request, &outbound, session, &conversation).await;
        session.bytes_up = session.bytes_up.saturating_add(conversation.bytes_up.get());
        let nothing_sent = upstream.output.bytes_sent() == sent_before;
        let stale = upstream.reused && !conversation.answered.get();
        drop(running);
        match result {
            Ok(reusable) => {
                endpoint.learn(None, core.network.now());
                let clean = conversation.request_sent.get() && upstream.input.unused_bytes() == 0;
                if reusable && clean && !outbound.streams {
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
    for (target, head) in outbound.tries() {
        session.endpoint = Some(target.authority.clone());
        for address in addresses.addresses(&target.endpoint) {
            if may_reuse && let Some(kept) = reuse(core, address) {
                return Ok((kept, head, Rc::clone(&target.state)));
            }
            match client.guard.within(limit, core.pool.connect(address)).await {
                Ok(Ok(connection)) => {
                    core.counters.upstream_connects.add(1);
                    return Ok((connection, head, Rc::clone(&target.state)));
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
    (head, payload): (Buffer, Payload),
    outbound: &Outbound,
    session: &mut Session,
    conversation: &Conversation,
) -> Result<bool, Ending> {
    let goes_on = client.goes_on_after(core);
    let Client { input, output, guard, head: request, reply, body, answering, .. } = client;
    let uplink = Uplink {
        guard,
        network: &core.network,
        pace: Pace::new(core),
        body_bytes_max: outbound.body_bytes_max,
        conversation,
        body,
    };
    let downlink = Downlink { core, guard, conversation, outbound, request, goes_on, answering };
    let up = pin!(uplink.run(input, &mut upstream.output, head, payload));
    let down = pin!(relay::run(downlink, &mut upstream.input, output, reply, session));
    match select(down, up).await {
        Either::Left((result, _)) => result,
        Either::Right((reason, _)) => Err(conversation.ending(reason)),
    }
}
