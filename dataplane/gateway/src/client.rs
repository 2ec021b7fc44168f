//! One caller's connection: its requests in order, each answered before the next is read.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join;
use penstock_http::head::{RequestHead, ResponseHead};
use penstock_reactor::network::{Network, Stream};
use penstock_tls::{Secured, SecuredReceiver, SecuredSender};

use crate::core::Core;
use crate::guard::Guard;
use crate::input::Input;
use crate::limits::Limit;
use crate::output::Output;
use crate::pipeline::{self, Ending};
use crate::reason::Reason;
use crate::relay::Cut;
use crate::secure::secure;

/// A caller's connection and what is kept from one request to the next.
pub(crate) struct Client<N: Network> {
    /// What comes from the caller.
    pub(crate) input: Input<SecuredReceiver<<N::Stream as Stream>::Receiver>>,
    /// What goes to the caller.
    pub(crate) output: Output<SecuredSender<<N::Stream as Stream>::Sender>>,
    /// Limits of its waits.
    pub(crate) guard: Rc<Guard<N>>,
    /// The parsed head of the current request; reused.
    pub(crate) head: RequestHead,
    /// The parsed head of the upstream's answer; reused.
    pub(crate) reply: ResponseHead,
    /// Its address.
    pub(crate) peer: SocketAddr,
    /// When it was accepted, and secured.
    pub(crate) accepted: Duration,
    /// Requests that were answered.
    pub(crate) served: u64,
    /// How far the current request's body was read.
    pub(crate) body: BodyRead,
    /// Whether a byte of the current answer may have been sent.
    pub(crate) answering: bool,
    /// Whether the caller was told 200, and that server-sent events come, before the request was
    /// decided.
    pub(crate) committed: bool,
}

/// How far a request's body was read: a body belongs to its request until its last byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyRead {
    /// Not a byte of it was taken.
    Unread,
    /// Part of it was taken: what follows can't be read without its decoder.
    Begun,
    /// To its end, or there is none.
    Done,
}

/// What follows one exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// The next request.
    Request,
    /// The end, in a way that lets the caller read the last answer.
    Close,
    /// The end at once: the caller must not take what it got for whole.
    Abort,
}

/// How long a closing connection is read, and how much of it, so that the last answer is not lost
/// to a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// Serves one connection to its end.
pub(crate) async fn serve<N: Network>(core: Rc<Core<N>>, stream: N::Stream) {
    let peer = stream.peer();
    let most = core.limits().connections_per_address_max;
    let Some(_counted) = core.addresses.enter(peer.ip(), most) else {
        core.counters.clients_refused.add(1);
        core.counters.reached(Limit::ConnectionsPerAddress);
        return;
    };
    core.counters.clients_accepted.add(1);
    core.counters.clients_open.add(1);
    let guard = Rc::new(Guard::new(core.network.clone()));
    if let Some(stream) = secure(&core, &guard, stream).await {
        exchanges(&core, guard, stream).await;
    }
    core.counters.clients_open.subtract(1);
}

/// The requests of one connection, in their order.
async fn exchanges<N: Network>(
    core: &Rc<Core<N>>,
    guard: Rc<Guard<N>>,
    stream: Secured<N::Stream>,
) {
    let peer = stream.peer();
    let (receiver, sender) = stream.split();
    let mut client = Client {
        input: Input::from_caller(receiver),
        output: Output::new(sender),
        guard,
        head: RequestHead::new(),
        reply: ResponseHead::new(),
        peer,
        served: 0,
        accepted: core.network.now(),
        body: BodyRead::Done,
        answering: false,
        committed: false,
    };
    loop {
        client.guard.reset();
        client.body = BodyRead::Done;
        client.answering = false;
        client.committed = false;
        let next = pipeline::exchange(core, &mut client).await;
        client.served = client.served.saturating_add(1);
        if next != Next::Request && client.served >= core.limits().requests_per_connection_max {
            core.counters.reached(Limit::Requests);
        }
        match next {
            Next::Request => {}
            Next::Close => {
                linger(&mut client).await;
                break;
            }
            Next::Abort => {
                client.output.abort();
                break;
            }
        }
    }
}

/// Ends our side, then reads and drops what still comes, within bounds.
async fn linger<N: Network>(client: &mut Client<N>) {
    client.output.finish();
    client.input.discard();
    let Client { input, output, guard, .. } = client;
    let drain = async {
        let mut dropped = 0_usize;
        while let Ok(Some(buffer)) = input.next().await {
            dropped = dropped.saturating_add(buffer.len());
            if dropped > LINGER_BYTES {
                break;
            }
        }
    };
    // In TLS the end of our side is said, which may have to wait for a caller that reads slowly.
    let _ = guard.at_last(LINGER, join(output.flush(), drain)).await;
}

impl<N: Network> Client<N> {
    /// The ending after a fault of our own: told if nothing was said yet, else dropped.
    pub(crate) fn internal(&self) -> Ending {
        if self.answering {
            Ending::Cut(Reason::Internal, Cut::Abort)
        } else {
            Ending::Refused(Reason::Internal)
        }
    }

    /// Whether another request may follow, once the current body has come to its end.
    pub(crate) fn goes_on_after(&self, core: &Core<N>) -> bool {
        self.head.keep_alive
            && self.served.saturating_add(1) < core.limits().requests_per_connection_max
            && !core.node.draining.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether another request may follow now.
    pub(crate) fn goes_on(&self, core: &Core<N>) -> bool {
        self.body == BodyRead::Done && self.goes_on_after(core)
    }
}
