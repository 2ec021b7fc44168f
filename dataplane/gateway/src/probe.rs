//! Probes: how an endpoint does while no request says so. One that is left alone or doubted is
//! asked for its health, without any credential, and does well with an answer. One that was merely
//! idle is only connected to: nothing reaches a model server that nobody asked for. Each core
//! probes for itself, one probe an endpoint at a time, bounded in time and bytes.

use std::rc::Rc;
use std::time::Duration;

use penstock_http::head::{ResponseHead, parse_response};
use penstock_http::writer::{RequestWriter, WriteError};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::Network;

use crate::core::Core;
use crate::endpoint::Probing;
use crate::enforced::CoreTarget;
use crate::guard::{Bound, Guard};
use crate::limits::Limit;
use crate::output::HeadBlock;
use crate::pool::UpstreamConnection;
use crate::reach::connect;
use crate::reason::Reason;
use crate::relay::{INTERIM_MAX, REPLY_LIMITS};

/// How long a whole probe may take.
const PROBE_MAX: Duration = Duration::from_secs(5);

/// Probes that begin in one second.
const BEGIN_MAX: usize = 64;

/// Begins the probes that are due.
pub(crate) fn begin<N: Network>(core: &Rc<Core<N>>) {
    let every = Duration::from_millis(core.limits().upstream_probe_ms);
    let Ok(in_force) = core.in_force() else { return };
    if every.is_zero() {
        return;
    }
    let now = core.network.now();
    let due = in_force.all_targets().flat_map(|(upstream, targets)| {
        let path = upstream.table.health_path();
        let reachable = targets.iter().filter(|target| target.security.can_connect());
        reachable.filter_map(move |target| {
            let probing = target.state.probe(every, now)?;
            Some((Rc::clone(target), probing, path.map(str::to_owned)))
        })
    });
    for (target, probing, path) in due.take(BEGIN_MAX) {
        let doubted = target.state.is_doubted() && path.is_some();
        let half_open = target.state.is_left_alone(now) || doubted;
        let path = path.filter(|_| half_open);
        core.network.spawn(probe(Rc::clone(core), target, probing, half_open, path));
    }
}

async fn probe<N: Network>(
    core: Rc<Core<N>>,
    target: Rc<CoreTarget>,
    probing: Probing,
    half_open: bool,
    path: Option<String>,
) {
    let guard = Guard::new(core.network.clone());
    guard.end_in(PROBE_MAX, Bound::Stream);
    core.counters.upstream_probes.add(1);
    let outcome = ask(&core, &guard, &target, path.as_deref()).await;
    let now = core.network.now();
    let endpoint = probing.endpoint();
    endpoint.was_probed(now);
    match outcome {
        Ok(()) if half_open => endpoint.learn(None, now),
        Ok(()) => endpoint.takes_connections(now),
        Err(reason) => {
            core.counters.upstream_probes_failed.add(1);
            // The end of the probe came before the end of its connecting.
            let reason = match reason {
                Reason::StreamTooLong => Reason::UpstreamConnectTimeout(Limit::Connect),
                other => other,
            };
            endpoint.learn(Some(&reason), now);
        }
    }
}

/// Connects, and where there is a path asks on it.
async fn ask<N: Network>(
    core: &Core<N>,
    guard: &Guard<N>,
    target: &CoreTarget,
    path: Option<&str>,
) -> Result<(), Reason> {
    let mut reason = Reason::UpstreamUnreachable;
    for address in core.node.addresses.load().addresses(&target.endpoint) {
        match connect(core, guard, target, address).await {
            Ok(upstream) => {
                return match path {
                    Some(path) => health(core, guard, target, upstream, path).await,
                    None => Ok(()),
                };
            }
            Err(fault) => reason = fault,
        }
    }
    Err(reason)
}

/// Asks for the server's health. Nothing behind the head of its answer is read.
async fn health<N: Network>(
    core: &Core<N>,
    guard: &Guard<N>,
    target: &CoreTarget,
    mut upstream: UpstreamConnection<N>,
    path: &str,
) -> Result<(), Reason> {
    let head = head(core, target, path).map_err(|_| Reason::NO_BUFFERS)?;
    upstream.output.outgoing.push(head);
    match guard.within(PROBE_MAX, upstream.output.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Err(Reason::UpstreamReset),
        Err(_) => return Err(Reason::UpstreamUnreachable),
    }
    let mut reply = ResponseHead::new();
    for _ in 0..=INTERIM_MAX {
        let parse = |bytes: &[u8]| parse_response(bytes, &REPLY_LIMITS, false, &mut reply);
        match guard.within(PROBE_MAX, upstream.input.head(core.network.pool(), parse)).await {
            Ok(Ok(_head)) => {}
            Ok(Err(_)) => return Err(Reason::UpstreamProtocol),
            Err(_) => return Err(Reason::UpstreamUnreachable),
        }
        match reply.status {
            ..200 => {}
            200..500 => return Ok(()),
            // It answers, and says itself that it does not do well.
            500.. => return Err(Reason::UpstreamUnreachable),
        }
    }
    Err(Reason::UpstreamProtocol)
}

fn head<N: Network>(core: &Core<N>, target: &CoreTarget, path: &str) -> Result<Buffer, WriteError> {
    let mut block = HeadBlock::new(core.network.pool()).map_err(|_| WriteError::Full)?;
    let base_path = &target.endpoint.base_path;
    let mut writer = RequestWriter::start(&mut block, "GET", base_path, path, &target.authority)?;
    writer.header(b"accept-encoding", b"identity")?;
    writer.finish_none()?;
    Ok(block.freeze())
}
