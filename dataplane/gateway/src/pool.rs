//! Kept connections to upstreams, one set a core, address and way of securing them: what was opened
//! under one authority, name and certificate is never used under another. A connection comes back
//! only after the whole answer came, the whole request was sent, and no byte beyond the answer has
//! come; what happens to it while it is idle closes it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use penstock_reactor::network::{Network, Receiver, Stream};
use penstock_tls::{Secured, SecuredReceiver, SecuredSender};

use crate::input::Input;
use crate::output::Output;

/// One connection to an upstream, checked out.
pub(crate) struct UpstreamConnection<N: Network> {
    /// What comes from it.
    pub(crate) input: Input<SecuredReceiver<<N::Stream as Stream>::Receiver>>,
    /// What goes to it.
    pub(crate) output: Output<SecuredSender<<N::Stream as Stream>::Sender>>,
    /// Where it goes, and how.
    pub(crate) route: Route,
    /// Whether an earlier exchange used it.
    pub(crate) reused: bool,
}

/// What connections may stand in for each other: the address, and the TLS configuration's id.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Route {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// [`penstock_tls::ClientTls::id`]; none for clear text.
    pub(crate) tls: Option<u64>,
}

impl<N: Network> UpstreamConnection<N> {
    /// A new connection.
    pub(crate) fn new(stream: Secured<N::Stream>, route: Route) -> Self {
        let (receiver, sender) = stream.split();
        Self {
            input: Input::from_upstream(receiver),
            output: Output::new(sender),
            route,
            reused: false,
        }
    }
}

struct Idle<N: Network> {
    connection: UpstreamConnection<N>,
    since: Duration,
}

/// Idle connections of one core.
pub(crate) struct Pool<N: Network> {
    network: N,
    idle_max: usize,
    idle: RefCell<HashMap<Route, Vec<Idle<N>>>>,
}

/// Idle for longer than this, a connection is closed: shorter than the keep-alive of uvicorn (5 s),
/// which most Python model servers run on.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// What taking a kept connection came to.
pub(crate) enum Taken<N: Network> {
    /// One that is open and silent; how many were found closed, or with bytes on them, on the way.
    Kept(UpstreamConnection<N>, u64),
    /// None; how many were found closed, or with bytes on them, on the way.
    None(u64),
}

impl<N: Network> Pool<N> {
    /// An empty pool that keeps so many connections a route.
    pub(crate) fn new(network: N, idle_max: usize) -> Self {
        Self { network, idle_max, idle: RefCell::new(HashMap::new()) }
    }

    /// A kept connection of that route: the one used last, if it is still open and silent.
    pub(crate) fn take(&self, route: Route) -> Taken<N> {
        let now = self.network.now();
        let mut stirred = 0;
        let mut idle = self.idle.borrow_mut();
        let Some(kept) = idle.get_mut(&route) else { return Taken::None(0) };
        while let Some(mut candidate) = kept.pop() {
            if now.saturating_sub(candidate.since) > IDLE_MAX {
                continue;
            }
            if candidate.connection.input.receiver().is_quiet() {
                candidate.connection.reused = true;
                return Taken::Kept(candidate.connection, stirred);
            }
            stirred += 1;
        }
        Taken::None(stirred)
    }

    /// Keeps a connection that is ready for another request; `false`: enough are kept, so it is
    /// closed.
    pub(crate) fn keep(&self, connection: UpstreamConnection<N>) -> bool {
        let since = self.network.now();
        let mut idle = self.idle.borrow_mut();
        let kept = idle.entry(connection.route).or_default();
        let has_room = kept.len() < self.idle_max;
        if has_room {
            kept.push(Idle { connection, since });
        }
        has_room
    }

    /// Closes what no policy leads to any more: `keeps` says which ids of TLS configurations stay.
    pub(crate) fn forget_unless(&self, keeps: impl Fn(u64) -> bool) {
        self.idle.borrow_mut().retain(|route, _| route.tls.is_none_or(&keeps));
    }

    /// Closes all that is idle; how many that were.
    pub(crate) fn shed(&self) -> usize {
        self.idle.take().values().map(Vec::len).sum()
    }

    /// Closes what was idle for too long.
    pub(crate) fn expire(&self, now: Duration) {
        self.idle.borrow_mut().retain(|_, kept| {
            kept.retain(|one| now.saturating_sub(one.since) <= IDLE_MAX);
            !kept.is_empty()
        });
    }
}
