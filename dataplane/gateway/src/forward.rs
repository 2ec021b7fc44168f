//! Forward: one conversation with an endpoint. The request goes up and the answer comes down at the
//! same time, so that an early answer is seen and a caller that leaves is noticed.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::Network;
use penstock_tls::Failure;

use crate::classify::Payload;
use crate::client::Client;
use crate::collect::Pace;
use crate::core::Core;
use crate::inject::Outbound;
use crate::limits::Limit;
use crate::pipeline::Ending;
use crate::pool::UpstreamConnection;
use crate::reach::{Reached, reach};
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
    outbound.queue.retries().requested();
    let mut may_reuse = true;
    loop {
        let Reached { mut upstream, head, running } =
            reach(core, client, &outbound, may_reuse, session).await?;
        let endpoint = Rc::clone(running.endpoint());
        let sent_before = upstream.output.bytes_sent();
        let conversation = Conversation::default();
        let sent_in_another_try = outbound.sending();
        let request = (head, outbound.payload(upstream.reused));
        let result =
            converse(core, client, &mut upstream, request, &outbound, session, &conversation).await;
        session.bytes_up = session.bytes_up.saturating_add(conversation.bytes_up.get());
        let nothing_sent = upstream.output.bytes_sent() == sent_before;
        if nothing_sent && !sent_in_another_try {
            outbound.nothing_sent();
        }
        let stale = upstream.reused && !conversation.answered.get();
        drop(running);
        match result {
            Ok(reusable) => {
                endpoint.learn(None, core.network.now());
                let clean = conversation.request_sent.get() && upstream.input.unused_bytes() == 0;
                let keeps = reusable && clean && !outbound.streams;
                if keeps && !core.pool.keep(upstream) {
                    core.counters.reached(Limit::UpstreamIdle);
                }
                return Ok(());
            }
            Err(Ending::Refused(Reason::UpstreamReset))
                if stale
                    && may_reuse
                    && (nothing_sent || outbound.repeatable)
                    && core.may_try_again(outbound.queue.retries()) =>
            {
                // The kept connection had been closed under us: once more, on a new one.
                upstream.output.abort();
                may_reuse = false;
            }
            Err(ending) => {
                let ending = refused_in_tls(ending, &upstream, &conversation);
                match ending.reason() {
                    // Whoever sends half a request can bring that about.
                    Some(Reason::UpstreamReset) if !conversation.request_sent.get() => {
                        endpoint.doubt();
                    }
                    reason => endpoint.learn(reason, core.network.now()),
                }
                // The model server must not take a cut request for a whole one, nor go on working
                // for a caller that has left.
                upstream.output.abort();
                return Err(ending);
            }
        }
    }
}

/// A model server may refuse our certificate only after our side of the handshake (TLS 1.3): then
/// its alert is the answer to the first request.
fn refused_in_tls<N: Network>(
    ending: Ending,
    upstream: &UpstreamConnection<N>,
    conversation: &Conversation,
) -> Ending {
    match (&ending, upstream.input.receiver_ref().failure()) {
        (Ending::Refused(Reason::UpstreamReset), Some(failure @ Failure::Refused(_)))
            if !conversation.answered.get() =>
        {
            Reason::UpstreamTls(Some(failure)).into()
        }
        _ => ending,
    }
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
    let committed = client.committed;
    let Client { input, output, guard, head: request, reply, body, answering, .. } = client;
    let uplink = Uplink {
        guard,
        network: &core.network,
        pace: Pace::new(core),
        body_bytes_max: outbound.body_bytes_max,
        conversation,
        body,
    };
    let downlink =
        Downlink { core, guard, conversation, outbound, request, goes_on, answering, committed };
    let up = pin!(uplink.run(input, &mut upstream.output, head, payload));
    let down = pin!(relay::run(downlink, &mut upstream.input, output, reply, session));
    match select(down, up).await {
        Either::Left((result, _)) => result,
        Either::Right((reason, _)) => Err(conversation.ending(reason)),
    }
}
