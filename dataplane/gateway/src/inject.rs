//! Inject: the head that goes up is written anew from parsed values, with the model's own
//! credential in place of the caller's.

use std::cell::RefCell;
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
use crate::enforced::{CoreTarget, Injection, Target, Upstream};
use crate::limits::Limit;
use crate::output::HeadBlock;
use crate::pipeline::Ending;
use crate::queue::Queue;
use crate::reason::Reason;
use crate::registry::{Entry, OpenExchange};
use crate::session::Session;

/// A request as it goes to an endpoint.
pub(crate) struct Outbound {
    tries: RefCell<Vec<Try>>,
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
    /// Keeps the exchange under the eye of later policies.
    pub(crate) _open: Entry<OpenExchange>,
}

/// An endpoint to try, and the head for it.
pub(crate) type Try = (Rc<CoreTarget>, Buffer);

impl Outbound {
    /// Endpoints in the order to try.
    pub(crate) fn tries(&self) -> Vec<Try> {
        self.tries.borrow().clone()
    }

    /// The body. Only a kept connection may turn out to be closed, so only then a copy is kept for
    /// another try.
    pub(crate) fn payload(&self, may_try_again: bool) -> Payload {
        if may_try_again {
            return self.payload.borrow().clone();
        }
        self.tries.borrow_mut().clear();
        self.payload.replace(Payload::None)
    }

    /// Lets go of what another try would need: an answer has begun.
    pub(crate) fn let_go(&self) {
        self.tries.borrow_mut().clear();
        self.payload.replace(Payload::None);
    }
}

/// Writes the upstream's heads.
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
    client.guard.end_in(Duration::from_millis(upstream.document.limits.stream_ms_max));
    let targets = Rc::clone(in_force.targets(connection).ok_or(Reason::Internal)?);
    let queue = Rc::clone(in_force.queue(connection).ok_or(Reason::Internal)?);
    let count = targets.len();
    let mut tries = Vec::with_capacity(count);
    let state = |index: usize| targets.get(index).map(|target| Rc::clone(&target.state));
    for index in order(count, core.choice(), core.network.now(), state) {
        let target = targets.get(index).ok_or(Reason::Internal)?;
        let head = head(core, client, upstream, target, &cleared, session)?;
        tries.push((Rc::clone(target), head));
    }
    let body_bytes_max = upstream.document.limits.body_bytes_max;
    let Cleared { payload, .. } = cleared;
    Ok(Outbound {
        tries: RefCell::new(tries),
        streams: matches!(payload, Payload::Streamed(_)),
        targets,
        queue,
        body_bytes_max,
        repeatable: client.head.method.is_safe() && matches!(payload, Payload::None),
        to_head_request: session.method == "HEAD",
        payload: RefCell::new(payload),
        _open: permit.into_entry(),
    })
}

fn head<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    upstream: &Upstream,
    endpoint: &Target,
    cleared: &Cleared,
    session: &Session,
) -> Result<Buffer, Reason> {
    let credential = match &upstream.credential {
        Injection::None => None,
        Injection::Missing => return Err(Reason::CredentialUnavailable),
        Injection::Header { name, value } => Some((name.as_bytes(), value.as_slice())),
    };
    let mut block = HeadBlock::new(core.network.pool()).map_err(|_| Reason::NO_BUFFERS)?;
    write(&mut block, client, endpoint, cleared, session, credential).map_err(|error| {
        if error == WriteError::Full {
            Reason::HeadTooLarge(Limit::HeadBytes)
        } else {
            Reason::Internal
        }
    })?;
    Ok(block.freeze())
}

fn write<N: Network>(
    block: &mut HeadBlock,
    client: &Client<N>,
    endpoint: &Target,
    cleared: &Cleared,
    session: &Session,
    credential: Option<(&[u8], &[u8])>,
) -> Result<(), WriteError> {
    let mut writer = RequestWriter::start(
        block,
        session.method,
        &endpoint.endpoint.base_path,
        cleared.target.forwarded(),
        &endpoint.authority,
    )?;
    for (name, value) in client.head.passing_up(&cleared.head) {
        let replaced = credential.is_some_and(|(own, _)| own.eq_ignore_ascii_case(name));
        if !replaced {
            writer.header(name, value)?;
        }
    }
    writer.header(b"accept-encoding", b"identity")?;
    if let Some((name, value)) = credential {
        writer.header(name, value)?;
    }
    match &cleared.payload {
        Payload::None if client.head.method.is_safe() => writer.finish_none(),
        Payload::None => writer.finish_length(0),
        Payload::Collected { length, .. } => writer.finish_length(*length),
        Payload::Streamed(Framing::Length(length)) => writer.finish_length(*length),
        Payload::Streamed(Framing::Chunked | Framing::None) => writer.finish_chunked(),
    }
}
