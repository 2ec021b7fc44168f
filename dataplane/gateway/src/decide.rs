//! Decide: deny over approve over allow over nothing, and nothing is denied. The only place that
//! makes a [`Permit`] or a [`Ticket`]; injection takes a permit by value, so nothing reaches a
//! model server without one, and a ticket becomes a permit only under grants that satisfy its
//! rules.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use penstock_config::catalogue::Classified;
use penstock_config::decision::{ConnectionIndex, Decision, DenyCause};
use penstock_config::digest::sha256;
use penstock_config::identity::Identity;
use penstock_config::node::Position;
use penstock_reactor::buffer::{BLOCK_BYTES, Buffer, Exhausted, Pool};
use penstock_reactor::network::Network;

use crate::classify::{ClassifiedRequest, Payload};
use crate::client::Client;
use crate::core::{Core, InForce};
use crate::enforced::{CoreView, Upstream};
use crate::grants::{Granted, Use};
use crate::guard::Bound;
use crate::identify::{self, Identified};
use crate::masking::Masked;
use crate::pipeline::Ending;
use crate::reason::{Denial, Reason};
use crate::registry::{Entry, OpenExchange, Standing};
use crate::session::Session;
use crate::waiting::Waiting;

/// One request may go to one connection, once. Fields are private and this module has the only
/// constructor.
pub(crate) struct Permit {
    in_force: InForce,
    connection: ConnectionIndex,
    open: Entry<OpenExchange>,
    used: Option<Use>,
    masked: Masked,
}

impl Permit {
    /// The policy that allowed it.
    pub(crate) fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// Where it may go.
    pub(crate) fn connection(&self) -> ConnectionIndex {
        self.connection
    }

    /// How long it may take, beside what its connection allows.
    pub(crate) fn bounds(
        &self,
        wall_ms: u64,
        boot: Duration,
    ) -> impl Iterator<Item = (Duration, Bound)> {
        let token_ms = self.open.token_ends_ms.get();
        let token = (token_ms != u64::MAX)
            .then(|| (Duration::from_millis(token_ms.saturating_sub(wall_ms)), Bound::Token));
        let grant = match &*self.open.standing.borrow() {
            Standing::Granted(granted) => Some((granted.left(wall_ms, boot), Bound::Grant)),
            Standing::Allowed | Standing::Held(_) => None,
        };
        grant.into_iter().chain(token)
    }

    /// What keeps the exchange under the eye of later policies, for as long as it runs, the use of
    /// its grants, and what of it is masked.
    pub(crate) fn into_parts(self) -> (Entry<OpenExchange>, Option<Use>, Masked) {
        (self.open, self.used, self.masked)
    }
}

/// What of an allowed request goes up.
pub(crate) struct Cleared {
    /// The caller's head, to copy fields from.
    pub(crate) head: Buffer,
    /// Path and query, as they go up.
    pub(crate) target: penstock_config::target::Target,
    /// The body.
    pub(crate) payload: Payload,
}

/// What a decision comes to, where it is not a denial.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every request is the large one, and a box would be an allocation for each"
)]
pub(crate) enum Decided {
    /// It may go.
    Permit(Permit, Cleared),
    /// It may go once approve rules are satisfied.
    Ticket(Box<Ticket>),
}

/// A request that may go once approve rules are satisfied. It holds no policy: what it says of one
/// is compared with the one in force when it goes on. Fields are private and this module has the
/// only constructor.
pub(crate) struct Ticket {
    identified: Identified,
    payload: Payload,
    waiting: Rc<Waiting>,
    position: Position,
    /// The connection's document, which the operations were told by.
    document: [u8; 32],
    decision_bytes_max: u64,
    open: Entry<OpenExchange>,
}

/// What the policy in force says of a ticket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// Rules allow it: nobody needs to agree any more.
    Allowed,
    /// The same as before.
    Same,
    /// Other rules are to be satisfied.
    Changed,
}

/// Bodies up to this wait in memory of their own size; larger ones in the blocks that they came in.
const COMPACT_BYTES_MAX: u64 = 64 * 1024;

impl Ticket {
    /// Who asks.
    pub(crate) fn identified(&self) -> &Identified {
        &self.identified
    }

    /// What it does, and where.
    pub(crate) fn open(&self) -> &OpenExchange {
        &self.open
    }

    /// The cell that it waits in.
    pub(crate) fn waiting(&self) -> &Rc<Waiting> {
        &self.waiting
    }

    /// The policy under which it was looked at last.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Its body.
    pub(crate) fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Its body was collected, or is to be checked while it goes up.
    pub(crate) fn set_payload(&mut self, payload: Payload) {
        self.payload = payload;
    }

    /// The largest body that a decision reads.
    pub(crate) fn decision_bytes_max(&self) -> u64 {
        self.decision_bytes_max
    }

    /// By what right it is open from now on.
    pub(crate) fn stands_as(&self, standing: Standing) {
        *self.open.standing.borrow_mut() = standing;
        self.open.touch();
    }

    /// What is said of the exchange elsewhere has changed.
    pub(crate) fn touch(&self) {
        self.open.touch();
    }

    /// Keeps what waits in as little memory as it takes.
    ///
    /// # Errors
    /// The core's buffers are used up.
    pub(crate) fn compact(&mut self, pool: &Pool) -> Result<(), Exhausted> {
        self.identified.head = pool.keep(&self.identified.head)?;
        if let Payload::Collected { buffers, length } = &mut self.payload
            && *length <= COMPACT_BYTES_MAX
        {
            for buffer in buffers.iter_mut() {
                *buffer = pool.keep(buffer)?;
            }
        }
        Ok(())
    }

    /// Bytes that it keeps: its head, and of its body what memory is held for.
    pub(crate) fn bytes_kept(&self) -> usize {
        let body = match &self.payload {
            Payload::Collected { length, .. } if *length <= COMPACT_BYTES_MAX => {
                usize::try_from(*length).unwrap_or(usize::MAX)
            }
            Payload::Collected { buffers, .. } => buffers.len().saturating_mul(BLOCK_BYTES),
            Payload::None | Payload::Streamed { .. } => 0,
        };
        self.identified.head.len().saturating_add(body)
    }

    /// What the policy in force says of it.
    ///
    /// # Errors
    /// It is denied, or who asks is not who they were, or the connection is another one.
    pub(crate) fn look<N: Network>(
        &mut self,
        core: &Core<N>,
        client: &Client<N>,
    ) -> Result<Look, Reason> {
        let (_, _, decision) = self.decide(core, client)?;
        match decision {
            Decision::Allow { .. } => Ok(Look::Allowed),
            Decision::Approve { rules, .. } if self.waiting.has_rules(&rules) => Ok(Look::Same),
            Decision::Approve { rules, .. } => {
                self.waiting.set_rules(rules);
                Ok(Look::Changed)
            }
            Decision::Deny { rule, cause } => {
                Err(Reason::Denied(denial(rule, cause, &self.open.classified)))
            }
        }
    }

    /// Decides it again, under the policy in force.
    fn decide<N: Network>(
        &mut self,
        core: &Core<N>,
        client: &Client<N>,
    ) -> Result<(InForce, ConnectionIndex, Decision), Reason> {
        let in_force = identify::anew(core, client, &mut self.identified)?;
        let connection = in_force.policy.connection(&self.open.connection);
        let connection = connection.ok_or(Reason::NoConnection)?;
        let upstream = in_force.upstream(connection).ok_or(Reason::Internal)?;
        if document(upstream)? != self.document {
            return Err(Reason::ConnectionChanged);
        }
        let (identity, rules) = (self.identified.identity(), self.identified.rules());
        let classified = &self.open.classified;
        let decision =
            in_force.policy.decide(identity, rules, connection, classified, core.wall_ms());
        self.position = in_force.position;
        Ok((in_force, connection, decision))
    }

    /// The permit: under these grants, or because rules allow it meanwhile.
    ///
    /// # Errors
    /// The policy in force denies it, or wants more than the grants give.
    pub(crate) fn permit<N: Network>(
        mut self,
        core: &Core<N>,
        client: &Client<N>,
        session: &mut Session,
        granted: Option<(Rc<Granted>, Use)>,
    ) -> Result<(Permit, Cleared), Reason> {
        let (in_force, connection, decision) = self.decide(core, client)?;
        let (granted, used) = granted.unzip();
        let ends_with_token = match decision {
            Decision::Allow { rule, end_with_token } => {
                session.rule = Some(rule);
                end_with_token
            }
            Decision::Approve { rules, end_with_token } => {
                if !granted.as_ref().is_some_and(|granted| granted.covers(&rules)) {
                    return Err(Reason::PolicyStale);
                }
                end_with_token
            }
            Decision::Deny { rule, cause } => {
                return Err(Reason::Denied(denial(rule, cause, &self.open.classified)));
            }
        };
        let masked = masked(core, &in_force, connection, self.identified.identity(), &self.open)?;
        if ends_with_token {
            self.open.token_ends_ms.set(self.identified.known().expires_ms);
        }
        session.allowed = true;
        session.granted.clone_from(&granted);
        let standing = granted.map_or(Standing::Allowed, Standing::Granted);
        *self.open.standing.borrow_mut() = standing;
        self.open.touch();
        let Self { identified: Identified { head, target, .. }, payload, open, .. } = self;
        let permit = Permit { in_force, connection, open, used, masked };
        Ok((permit, Cleared { head, target, payload }))
    }
}

/// A connection's document in a form that can be compared.
fn document(upstream: &Upstream) -> Result<[u8; 32], Reason> {
    let bytes = serde_json::to_vec(&upstream.document).map_err(|_| Reason::Internal)?;
    Ok(sha256(&bytes))
}

/// Decides a classified request.
pub(crate) fn decide<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    request: ClassifiedRequest,
    session: &mut Session,
) -> Result<Decided, Ending> {
    let ClassifiedRequest { in_force, identified, connection, classified, payload } = request;
    let policy = &in_force.policy;
    let (identity, rules) = (identified.identity(), identified.rules());
    let decision = policy.decide(identity, rules, connection, &classified, core.wall_ms());
    let (rule, ends_with_token, needed) = match decision {
        Decision::Deny { rule, cause } => {
            session.rule.clone_from(&rule);
            return Err(Reason::Denied(denial(rule, cause, &classified)).into());
        }
        Decision::Allow { rule, end_with_token } => (Some(rule), end_with_token, None),
        Decision::Approve { rules, .. } => (rules.first().cloned(), false, Some(rules)),
    };
    session.rule.clone_from(&rule);
    let waiting = needed.map(|rules| Rc::new(Waiting::new(rules)));
    let standing = waiting.as_ref().map_or(Standing::Allowed, |one| Standing::Held(Rc::clone(one)));
    let token_ends_ms = if ends_with_token { identified.known().expires_ms } else { u64::MAX };
    let open = core.registry.enter(OpenExchange {
        session: session.id,
        known: Rc::clone(identified.known()),
        classified,
        connection: session.connection.clone().unwrap_or_default(),
        rule,
        begun_ms: u64::try_from(session.begun_wall.as_millis()).unwrap_or(0),
        peer: client.peer.ip(),
        cancel: client.guard.cancel(),
        standing: RefCell::new(standing),
        token_ends_ms: Cell::new(token_ends_ms),
        began_under: OnceCell::new(),
    });
    let Some(waiting) = waiting else {
        let masked = masked(core, &in_force, connection, identified.identity(), &open)?;
        session.allowed = true;
        let Identified { head, target, .. } = identified;
        let permit = Permit { in_force, connection, open, used: None, masked };
        return Ok(Decided::Permit(permit, Cleared { head, target, payload }));
    };
    let upstream = in_force.upstream(connection).ok_or(Reason::Internal)?;
    let (document, position) = (document(upstream)?, in_force.position);
    let decision_bytes_max = upstream.document.limits.decision_bytes_max;
    let ticket =
        Ticket { identified, payload, waiting, position, document, decision_bytes_max, open };
    Ok(Decided::Ticket(Box::new(ticket)))
}

/// What of an exchange is masked, under the policy that permits it. It keeps that to its end, and
/// which policy it was.
fn masked<N: Network>(
    core: &Core<N>,
    in_force: &CoreView,
    connection: ConnectionIndex,
    identity: &Identity,
    open: &OpenExchange,
) -> Result<Masked, Reason> {
    // There is one permit for an exchange.
    open.began_under.set(in_force.began()).map_err(|_| Reason::Internal)?;
    let upstream = in_force.upstream(connection).ok_or(Reason::Internal)?;
    let leases = core.node.leases.load();
    Masked::of(in_force.mask(connection), upstream, identity, &leases, in_force)
}

/// What a denied caller is told: the operation that is not allowed, not more.
pub(crate) fn denial(rule: Option<Arc<str>>, cause: DenyCause, classified: &Classified) -> Denial {
    let index = match cause {
        DenyCause::NoRule(index) => index,
        DenyCause::Rule | DenyCause::Intent => 0,
    };
    let operation = classified.operations.get(index).map_or("unknown", |one| one.name());
    let by_intent = cause == DenyCause::Intent;
    Denial { rule, operation, by_intent, wants_approval: false }
}
