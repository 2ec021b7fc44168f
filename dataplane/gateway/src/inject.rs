//! Inject: the head that goes up is written anew from parsed values, with the model's own
//! credential in place of the caller's.

use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::time::Duration;

use penstock_http::head::Framing;
use penstock_http::writer::{RequestWriter, WriteError};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::Network;

use crate::classify::Payload;
use crate::client::Client;
use crate::core::Core;
use crate::decide::{Cleared, Permit};
use crate::endpoint::order;
use crate::enforced::{CoreTarget, Enforced, Footing, Target};
use crate::grants::Use;
use crate::guard::Bound;
use crate::leases::{Injected, Leases};
use crate::limits::Limit;
use crate::masking::Masked;
use crate::output::HeadBlock;
use crate::pipeline::Ending;
use crate::queue::Queue;
use crate::reason::Reason;
use crate::registry::{Entry, OpenExchange};
use crate::session::Session;

/// A request as it goes to an endpoint.
pub(crate) struct Outbound {
    tries: RefCell<Vec<Rc<CoreTarget>>>,
    source: RefCell<Option<Rc<Source>>>,
    payload: RefCell<Payload>,
    /// Whether the body is passed on as it comes.
    pub(crate) streams: bool,
    /// All endpoints of the connection: what a `location` may name.
    pub(crate) targets: Rc<[Rc<CoreTarget>]>,
    /// The queue before them.
    pub(crate) queue: Rc<Queue>,
    /// Largest body, in bytes.
    pub(crate) body_bytes_max: u64,
    /// Whether the request can be sent again after bytes of it were sent (RFC 9110 section 9.2.2).
    pub(crate) repeatable: bool,
    /// Whether the answer has no body whatever its head says.
    pub(crate) to_head_request: bool,
    /// What of it is masked.
    pub(crate) masked: Masked,
    /// Keeps the exchange under the eye of later policies.
    pub(crate) _open: Entry<OpenExchange>,
    /// The use that is reserved for it, where it is granted. It ends with the exchange.
    used: Option<Use>,
}

/// What a head is written from. A request that waits holds this, and no head: how many endpoints a
/// connection has must not multiply what a request holds. It holds no policy either: what it was
/// permitted under is compared with what is in force when it goes on.
struct Source {
    connection: Rc<str>,
    footing: Footing,
    /// Which value of its credential it was permitted with, where it needs one.
    credential: Option<u64>,
    head: Buffer,
    target: penstock_config::target::Target,
}

impl Outbound {
    /// Endpoints in the order to try.
    pub(crate) fn tries(&self) -> Vec<Rc<CoreTarget>> {
        self.tries.borrow().clone()
    }

    /// The header that carries the credential of the connection as it is in force.
    ///
    /// # Errors
    /// The connection or its credential changed since the request was permitted, or its lease is
    /// over.
    pub(crate) fn still_holds<'l>(
        &self,
        in_force: &'l Enforced,
        leases: &'l Leases,
    ) -> Result<Option<Injected<'l>>, Reason> {
        let source = self.source.borrow();
        let source = source.as_ref().ok_or(Reason::Internal)?;
        let connection = in_force.policy.connection(&source.connection);
        let upstream = connection.and_then(|connection| in_force.upstream(connection));
        let same = upstream.filter(|upstream| upstream.footing.is(source.footing));
        let credential = leases.header(same.ok_or(Reason::ConnectionChanged)?, in_force)?;
        if credential.map(|one| one.generation) != source.credential {
            return Err(Reason::ConnectionChanged);
        }
        Ok(credential)
    }

    /// The head for an endpoint, written when there is a connection to it, with the credential that
    /// is in force then.
    ///
    /// # Errors
    /// The connection changed meanwhile, or there is no room.
    pub(crate) fn head<N: Network>(
        &self,
        core: &Core<N>,
        client: &Client<N>,
        endpoint: &Target,
        method: &str,
    ) -> Result<Buffer, Reason> {
        let source = self.source.borrow().clone().ok_or(Reason::Internal)?;
        let in_force = core.in_force()?;
        let leases = core.node.leases.load();
        let credential = self.still_holds(&in_force, &leases)?;
        let mut block = HeadBlock::new(core.network.pool()).map_err(|_| Reason::NO_BUFFERS)?;
        let payload = self.payload.borrow();
        write(&mut block, client, endpoint, &source, (method, &payload), credential).map_err(
            |error| match error {
                WriteError::Full => Reason::HeadTooLarge(Limit::HeadBytes),
                _ => Reason::Internal,
            },
        )?;
        Ok(block.freeze())
    }

    /// The body. Only a kept connection may turn out to be closed, so only then a copy is kept for
    /// another try.
    pub(crate) fn payload(&self, may_try_again: bool) -> Payload {
        if may_try_again {
            return self.payload.borrow().clone();
        }
        self.tries.borrow_mut().clear();
        self.source.take();
        self.payload.replace(Payload::None)
    }

    /// The body, to look at.
    pub(crate) fn body(&self) -> Ref<'_, Payload> {
        self.payload.borrow()
    }

    /// Another body goes up.
    pub(crate) fn replace_body(&self, body: Buffer) {
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        self.payload.replace(Payload::Collected { buffers: vec![body], length });
    }

    /// Bytes may go to a model server from now on. Whether some may have before.
    pub(crate) fn sending(&self) -> bool {
        self.used.as_ref().is_some_and(|used| {
            let before = used.is_sent();
            used.set_sent(true);
            before
        })
    }

    /// Not a byte has gone up in any try.
    pub(crate) fn nothing_sent(&self) {
        if let Some(used) = &self.used {
            used.set_sent(false);
        }
    }

    /// Lets go of what another try would need: an answer has begun.
    pub(crate) fn let_go(&self) {
        self.tries.borrow_mut().clear();
        self.source.take();
        self.payload.replace(Payload::None);
    }
}

/// Makes ready what goes up: the permit is used here.
pub(crate) fn inject<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    permit: Permit,
    cleared: Cleared,
    session: &Session,
) -> Result<Outbound, Ending> {
    let in_force = Rc::clone(permit.in_force());
    let connection = permit.connection();
    let upstream = in_force.upstream(connection).ok_or(Reason::Internal)?;
    let credential = core.node.leases.load().header(upstream, &in_force)?.map(|one| one.generation);
    let stream_max = Duration::from_millis(upstream.document.limits.stream_ms_max);
    client.guard.end_in(stream_max, Bound::Stream);
    for (left, bound) in permit.bounds(core.wall_ms(), core.boot()) {
        client.guard.end_in(left, bound);
    }
    if client.guard.is_over() {
        return Err(client.guard.over().into());
    }
    let targets = Rc::clone(in_force.targets(connection).ok_or(Reason::Internal)?);
    let queue = Rc::clone(in_force.queue(connection).ok_or(Reason::Internal)?);
    let state = |index: usize| targets.get(index).map(|target| Rc::clone(&target.state));
    let order = order(targets.len(), core.choice(), core.network.now(), state);
    let tries = order.into_iter().filter_map(|index| targets.get(index).cloned()).collect();
    let body_bytes_max = upstream.document.limits.body_bytes_max;
    let footing = upstream.footing;
    let connection = session.connection.clone().unwrap_or_default();
    let Cleared { head, target, payload } = cleared;
    let (open, used, masked) = permit.into_parts();
    let source = Source { connection, footing, credential, head, target };
    Ok(Outbound {
        tries: RefCell::new(tries),
        source: RefCell::new(Some(Rc::new(source))),
        streams: matches!(payload, Payload::Streamed { .. }),
        targets,
        queue,
        body_bytes_max,
        repeatable: client.head.method.is_safe() && matches!(payload, Payload::None),
        to_head_request: session.method == "HEAD",
        payload: RefCell::new(payload),
        masked,
        _open: open,
        used,
    })
}

fn write<N: Network>(
    block: &mut HeadBlock,
    client: &Client<N>,
    endpoint: &Target,
    source: &Source,
    (method, payload): (&str, &Payload),
    credential: Option<Injected<'_>>,
) -> Result<(), WriteError> {
    let mut writer = RequestWriter::start(
        block,
        method,
        &endpoint.endpoint.base_path,
        source.target.forwarded(),
        &endpoint.authority,
    )?;
    for (name, value) in client.head.passing_up(&source.head) {
        let replaced = credential.is_some_and(|own| own.name.eq_ignore_ascii_case(name));
        if !replaced {
            writer.header(name, value)?;
        }
    }
    writer.header(b"accept-encoding", b"identity")?;
    if let Some(Injected { name, value, generation: _ }) = credential {
        writer.header(name, value)?;
    }
    match payload {
        Payload::None if client.head.method.is_safe() => writer.finish_none(),
        Payload::None => writer.finish_length(0),
        Payload::Collected { length, .. } => writer.finish_length(*length),
        Payload::Streamed { framing: Framing::Length(length), .. } => writer.finish_length(*length),
        Payload::Streamed { framing: Framing::Chunked | Framing::None, .. } => {
            writer.finish_chunked()
        }
    }
}
