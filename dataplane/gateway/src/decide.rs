//! Decide: deny over allow over nothing, and nothing is denied. The only place that makes a
//! [`Permit`]; injection takes it by value, so nothing reaches a model server without one.

use std::rc::Rc;
use std::sync::Arc;

use penstock_config::catalogue::Classified;
use penstock_config::decision::{ConnectionIndex, Decision, DenyCause};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::Network;

use crate::classify::{ClassifiedRequest, Payload};
use crate::client::Client;
use crate::core::{Core, InForce};
use crate::pipeline::Ending;
use crate::reason::{Denial, Reason};
use crate::registry::{Entry, OpenExchange};
use crate::session::Session;

/// One request may go to one connection, once. Fields are private and this module has the only
/// constructor.
pub(crate) struct Permit {
    in_force: InForce,
    connection: ConnectionIndex,
    open: Entry<OpenExchange>,
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

    /// What keeps the exchange under the eye of later policies, for as long as it runs.
    pub(crate) fn into_entry(self) -> Entry<OpenExchange> {
        self.open
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

/// Decides a classified request.
pub(crate) fn decide<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    request: ClassifiedRequest,
    session: &mut Session,
) -> Result<(Permit, Cleared), Ending> {
    let ClassifiedRequest { in_force, identified, connection, classified, payload } = request;
    let policy = &in_force.policy;
    let decision =
        policy.decide(identified.identity(), identified.rules(), connection, &classified);
    match decision {
        Decision::Deny { rule, cause } => {
            session.rule.clone_from(&rule);
            Err(Reason::Denied(denial(rule, cause, &classified)).into())
        }
        Decision::Allow { rule } => {
            session.rule = Some(rule);
            session.allowed = true;
            let open = core.registry.enter(OpenExchange {
                identity: Rc::clone(identified.identity()),
                classified,
                connection: session.connection.clone().unwrap_or_default(),
                trust: identified.known().trust,
                key_thumbprint: identified.known().key_thumbprint,
                cancel: client.guard.cancel(),
            });
            let cleared = Cleared { head: identified.head, target: identified.target, payload };
            Ok((Permit { in_force, connection, open }, cleared))
        }
    }
}

/// What a denied caller is told: the operation that is not allowed, not more.
pub(crate) fn denial(rule: Option<Arc<str>>, cause: DenyCause, classified: &Classified) -> Denial {
    let index = match cause {
        DenyCause::NoRule(index) => index,
        DenyCause::Rule | DenyCause::Intent => 0,
    };
    let operation = classified.operations.get(index).map_or("unknown", |one| one.name());
    Denial { rule, operation, by_intent: cause == DenyCause::Intent }
}
