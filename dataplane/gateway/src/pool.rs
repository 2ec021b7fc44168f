//! Kept connections to upstreams, one set a core and address. A connection comes back only after
//! the whole answer came, the whole request was sent, and no byte beyond the answer has come; what
//! happens to it while it is idle closes it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use penstock_reactor::network::{Network, NetworkError, Receiver, Stream};

use crate::input::Input;
use crate::output::Output;

/// One connection to an upstream, checked out.
pub(crate) struct UpstreamConnection<N: Network> {
    /// What comes from it.
    pub(crate) input: Input<<N::Stream as Stream>::Receiver>,
    /// What goes to it.
    pub(crate) output: Output<<N::Stream as Stream>::Sender>,
    /// Where it goes.
    pub(crate) address: SocketAddr,
    /// Whether an earlier exchange used it.
    pub(crate) reused: bool,
}

struct Idle<N: Network> {
    connection: UpstreamConnection<N>,
    since: Duration,
}

/// Idle connections of one core.
pub(crate) struct Pool<N: Network> {
    network: N,
    idle_max: usize,
    idle: RefCell<HashMap<SocketAddr, Vec<Idle<N>>>>,
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
    /// An empty pool that keeps so many connections an address.
    pub(crate) fn new(network: N, idle_max: usize) -> Self {
        Self { network, idle_max, idle: RefCell::new(HashMap::new()) }
    }

    /// A kept connection to that address: the one used last, if it is still open and silent.
    pub(crate) fn take(&self, address: SocketAddr) -> Taken<N> {
        let now = self.network.now();
        let mut stirred = 0;
        let mut idle = self.idle.borrow_mut();
        let Some(kept) = idle.get_mut(&address) else { return Taken::None(0) };
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

    /// Opens a connection.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
    ) -> Result<UpstreamConnection<N>, NetworkError> {
        let (receiver, sender) = self.network.connect(address).await?.split();
        Ok(UpstreamConnection {
            input: Input::from_upstream(receiver),
            output: Output::new(sender),
            address,
            reused: false,
        })
    }

    /// Keeps a connection that is ready for another request.
    pub(crate) fn keep(&self, connection: UpstreamConnection<N>) {
        let since = self.network.now();
        let mut idle = self.idle.borrow_mut();
        let kept = idle.entry(connection.address).or_default();
        if kept.len() < self.idle_max {
            kept.push(Idle { connection, since });
        }
    }

    /// Closes what was idle for too long.
    pub(crate) fn expire(&self, now: Duration) {
        self.idle.borrow_mut().retain(|_, kept| {
            kept.retain(|one| now.saturating_sub(one.since) <= IDLE_MAX);
            !kept.is_empty()
        });
    }
}
