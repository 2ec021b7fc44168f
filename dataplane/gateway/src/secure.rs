//! Secure: the TLS of a caller's connection, where the settings ask for it. Then nothing is read or
//! answered in clear text.

use std::time::Duration;

use penstock_reactor::network::Network;
use penstock_tls::{Failure, Secured};

use crate::core::Core;
use crate::guard::{Guard, Interrupt};
use crate::limits::Limit;

/// The stream to go on with; none if its handshake failed. Why is counted, and not logged: whoever
/// knocks without end must not fill a log.
pub(crate) async fn secure<N: Network>(
    core: &Core<N>,
    guard: &Guard<N>,
    stream: N::Stream,
) -> Option<Secured<N::Stream>> {
    if core.node.settings.tls.is_none() {
        return Some(Secured::Plain(stream));
    }
    // Without a certificate there is no way in.
    let tls = core.node.tls.load_full()?;
    let limit = Duration::from_millis(core.limits().tls_handshake_ms_max);
    // It waits, and may be closed like any connection that does.
    let _waits = core.handshakes.enter(guard.cancel());
    let handshake = Box::pin(penstock_tls::accept(&core.network, stream, &tls, limit));
    let failure = match guard.within(limit, handshake).await {
        Ok(Ok(stream)) => {
            core.counters.tls_accepted.done(stream.is_resumed());
            return Some(Secured::Tls(stream));
        }
        Ok(Err(failure)) => failure,
        Err(Interrupt::Elapsed) => Failure::Timeout,
        Err(Interrupt::Cancelled(_)) => return None,
    };
    if failure == Failure::Timeout {
        core.counters.reached(Limit::TlsHandshake);
    }
    core.counters.tls_accepted.failed(failure);
    None
}
