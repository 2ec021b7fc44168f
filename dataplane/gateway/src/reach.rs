//! Reach: a connection to an endpoint that has a place for the request. Endpoints are tried in the
//! order that was chosen for the request; where all of them are busy it waits its turn.

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::{Network, NetworkError};
use penstock_tls::{ClientTls, Failure, Secured};

use crate::client::Client;
use crate::core::Core;
use crate::endpoint::is_its_fault;
use crate::enforced::{CoreTarget, Target};
use crate::guard::{Guard, Interrupt};
use crate::inject::Outbound;
use crate::limits::Limit;
use crate::pipeline::Ending;
use crate::pool::{Route, Taken, UpstreamConnection};
use crate::queue::Running;
use crate::reason::Reason;
use crate::session::Session;
use crate::uplink;
use crate::upstream_tls::Security;

/// A connection, the head for it, and the place that the request has.
pub(crate) struct Reached<N: Network> {
    pub(crate) upstream: UpstreamConnection<N>,
    pub(crate) head: Buffer,
    pub(crate) running: Running,
}

/// A connection to the first endpoint that takes one. Another endpoint is tried only while the core
/// may try again.
pub(crate) async fn reach<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    outbound: &Outbound,
    may_reuse: bool,
    session: &mut Session,
) -> Result<Reached<N>, Ending> {
    let queue_time = Duration::from_millis(core.limits().upstream_queue_ms_max);
    let too_old = core.network.now().saturating_add(queue_time);
    let mut left = outbound.tries();
    loop {
        let (index, running) = place(core, client, outbound, &left, too_old).await?;
        let target = left.remove(index);
        // It may have waited for its place.
        outbound.still_holds(&*core.in_force()?, &core.node.leases.load())?;
        session.endpoint = Some(target.authority.clone());
        let Client { input, guard, .. } = client;
        let opened = {
            // A caller that leaves meanwhile needs no connection.
            let gone = pin!(uplink::watch(input));
            match select(pin!(open(core, guard, &target, may_reuse)), gone).await {
                Either::Left((opened, _)) => opened,
                Either::Right((reason, _)) => Err(reason),
            }
        };
        let reason = match opened {
            Ok(upstream) => {
                let head = outbound.head(core, client, &target, session.method)?;
                return Ok(Reached { upstream, head, running });
            }
            Err(reason) => reason,
        };
        target.state.learn(Some(&reason), core.network.now());
        if !is_its_fault(&reason)
            || left.is_empty()
            || !core.may_try_again(outbound.queue.retries())
        {
            return Err(reason.into());
        }
    }
}

/// A place on one of the endpoints, and which: a free one on the first that has it, else the next
/// that becomes free. Endpoints that are left alone count only where no other is left.
async fn place<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    outbound: &Outbound,
    left: &[Rc<CoreTarget>],
    too_old: Duration,
) -> Result<(usize, Running), Reason> {
    let now = core.network.now();
    let any_does_well = left.iter().any(|target| !target.state.is_left_alone(now));
    let usable = || {
        let states = left.iter().map(|target| &target.state).enumerate();
        states.filter(move |(_, state)| !any_does_well || !state.is_left_alone(now))
    };
    for (index, state) in usable() {
        if let Some(running) = Running::on(state) {
            return Ok((index, running));
        }
    }
    core.counters.reached(Limit::UpstreamRequests);
    let states = usable().map(|(_, state)| Rc::clone(state)).collect();
    let most = core.limits().upstream_queue_max;
    let waiting = outbound.queue.wait(states, most);
    let waiting = waiting.ok_or(Reason::Overloaded(Limit::UpstreamQueue))?;
    let Client { input, guard, .. } = client;
    // A caller that leaves is out of the queue at once.
    let gone = pin!(uplink::watch(input));
    let too_late = Reason::Overloaded(Limit::UpstreamQueueTime);
    match guard.within(too_old.saturating_sub(now), select(waiting, gone)).await {
        // A core that was busy may have been late with the timer: old work is dropped all the same.
        Ok(Either::Left(_)) if core.network.now() >= too_old => Err(too_late),
        Ok(Either::Left((running, _))) => {
            let same = |target: &Rc<CoreTarget>| Rc::ptr_eq(&target.state, running.endpoint());
            let index = left.iter().position(same).ok_or(Reason::Internal)?;
            Ok((index, running))
        }
        Ok(Either::Right((reason, _))) => Err(reason),
        Err(interrupt) => Err(guard.reason(interrupt, too_late)),
    }
}

/// A kept or a new connection to an endpoint, by the first of its addresses that takes one.
async fn open<N: Network>(
    core: &Core<N>,
    guard: &Guard<N>,
    target: &CoreTarget,
    may_reuse: bool,
) -> Result<UpstreamConnection<N>, Reason> {
    let mut reason = Reason::UpstreamUnreachable;
    for address in core.node.addresses.load().addresses(&target.endpoint) {
        let route = Route { address, tls: target.security.id() };
        if may_reuse && let Some(kept) = reuse(core, route) {
            return Ok(kept);
        }
        match connect(core, guard, target, address).await {
            Err(fault) if is_its_fault(&fault) => reason = fault,
            result => return result,
        }
    }
    Err(reason)
}

/// A new connection to an endpoint at one of its addresses: the only way there, for requests,
/// for probes, and for questions to analysers. Where TLS is asked for there is no way around it.
pub(crate) async fn connect<N: Network>(
    core: &Core<N>,
    guard: &Guard<N>,
    target: &Target,
    address: SocketAddr,
) -> Result<UpstreamConnection<N>, Reason> {
    let tls = match &target.security {
        Security::Clear => None,
        Security::Tls(tls) => Some(tls),
        Security::NoCertificate => return Err(Reason::CredentialUnavailable),
        Security::Impossible => return Err(Reason::UpstreamTls(None)),
    };
    let limit = Duration::from_millis(core.limits().connect_ms_max);
    let stream = match guard.within(limit, core.network.connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(NetworkError::Exhausted)) => return Err(Reason::NO_BUFFERS),
        // Descriptors or ports ran out on our side: that says nothing about the endpoint.
        Ok(Err(NetworkError::System(
            libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL,
        ))) => return Err(Reason::Overloaded(Limit::Connections)),
        Ok(Err(_)) => return Err(Reason::UpstreamUnreachable),
        Err(interrupt) => {
            let elapsed = Reason::UpstreamConnectTimeout(Limit::Connect);
            return Err(guard.reason(interrupt, elapsed));
        }
    };
    let stream = match tls {
        None => Secured::Plain(stream),
        Some(tls) => handshake(core, guard, tls, stream).await?,
    };
    core.counters.upstream_connects.add(1);
    let route = Route { address, tls: target.security.id() };
    Ok(UpstreamConnection::new(stream, route))
}

async fn handshake<N: Network>(
    core: &Core<N>,
    guard: &Guard<N>,
    tls: &ClientTls,
    stream: N::Stream,
) -> Result<Secured<N::Stream>, Reason> {
    let limit = Duration::from_millis(core.limits().tls_handshake_ms_max);
    let elapsed = Reason::UpstreamConnectTimeout(Limit::TlsHandshake);
    let handshake = Box::pin(penstock_tls::connect(&core.network, stream, tls, limit));
    let met = match guard.within(limit, handshake).await {
        Ok(met) => met,
        // Either of two timers may be the first to ring.
        Err(Interrupt::Elapsed) if !guard.is_over() => Err(Failure::Timeout),
        Err(interrupt) => return Err(guard.reason(interrupt, elapsed)),
    };
    let met = met.inspect_err(|failure| core.counters.tls_connected.failed(*failure));
    match met {
        Ok(stream) => {
            core.counters.tls_connected.done(stream.is_resumed());
            Ok(Secured::Tls(stream))
        }
        Err(Failure::Timeout) => Err(elapsed),
        Err(Failure::Exhausted) => Err(Reason::NO_BUFFERS),
        Err(failure) => Err(Reason::UpstreamTls(Some(failure))),
    }
}

/// A kept connection, if there is one.
pub(crate) fn reuse<N: Network>(core: &Core<N>, route: Route) -> Option<UpstreamConnection<N>> {
    let (kept, stirred) = match core.pool.take(route) {
        Taken::Kept(connection, stirred) => (Some(connection), stirred),
        Taken::None(stirred) => (None, stirred),
    };
    core.counters.upstream_stirred.add(stirred);
    if kept.is_some() {
        core.counters.upstream_reuses.add(1);
    }
    kept
}
