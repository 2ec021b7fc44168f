//! One exchange, from the first byte of a request to the record of its end. Each stage consumes the
//! value of the stage before, so that no step can be skipped:
//!
//! `Request -> Identified -> Classified -> Permit -> Outbound -> Conversation -> relayed`
//!
//! A request that needs approval is a `Ticket` first, which becomes a `Permit` once it is granted.
//! Every way out is one [`Ending`]; `conclude` says it to the caller and to the record. What of
//! it is masked comes with its permit, and is masked in `relay`; recordings will stand in
//! `conclude`.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt as _;

use penstock_http::stream::StreamKind;
use penstock_reactor::network::Network;

use crate::accept;
use crate::access_log;
use crate::classify;
use crate::client::{Client, Next};
use crate::core::Core;
use crate::decide::{self, Decided};
use crate::forward;
use crate::hold;
use crate::identify;
use crate::inject;
use crate::masking;
use crate::reason::Reason;
use crate::relay::Cut;
use crate::respond;
use crate::session::Session;

/// How an exchange ended before its whole answer was relayed.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The caller left between two requests: there was no exchange.
    Idle,
    /// No byte of an answer was sent: the caller gets one of ours.
    Refused(Reason),
    /// An answer was under way.
    Cut(Reason, Cut),
}

impl Ending {
    /// Why, where there was an exchange.
    pub(crate) fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Idle => None,
            Self::Refused(reason) | Self::Cut(reason, _) => Some(reason),
        }
    }
}

impl From<Reason> for Ending {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// Runs one exchange and says what follows it.
pub(crate) async fn exchange<N: Network>(core: &Rc<Core<N>>, client: &mut Client<N>) -> Next {
    let mut session = Session::default();
    core.counters.exchanges_open.add(1);
    // A panic ends this exchange only. Nothing that it touched is looked at again but what is said
    // to the caller and to the record.
    let ending = AssertUnwindSafe(story(core, client, &mut session)).catch_unwind().await;
    core.counters.exchanges_open.subtract(1);
    let ending = ending.unwrap_or_else(|_panic| {
        core.counters.panics.add(1);
        Err(client.internal())
    });
    conclude(core, client, session, ending).await
}

/// The story.
async fn story<N: Network>(
    core: &Rc<Core<N>>,
    client: &mut Client<N>,
    session: &mut Session,
) -> Result<(), Ending> {
    let request = accept::accept(core, client, session).await?;
    let identified = identify::identify(core, client, request, session)?;
    let classified = classify::classify(core, client, identified, session).await?;
    let (permit, cleared) = match decide::decide(core, client, classified, session)? {
        Decided::Permit(permit, cleared) => (permit, cleared),
        Decided::Ticket(ticket) => hold::hold(core, client, ticket, session).await?,
    };
    let outbound = inject::inject(core, client, permit, cleared, session)?;
    masking::prepare(core, client, &outbound, session).await?;
    forward::forward(core, client, outbound, session).await
}

/// Says how it ended: to the caller, to the counters, to the access log.
async fn conclude<N: Network>(
    core: &Rc<Core<N>>,
    client: &mut Client<N>,
    mut session: Session,
    ending: Result<(), Ending>,
) -> Next {
    let (reason, next) = match ending {
        Err(Ending::Idle) => return Next::Close,
        Ok(()) => (Reason::Served, after_an_answer(core, client)),
        Err(Ending::Refused(reason)) if client.committed => {
            session.status = reason.status();
            let cut = Cut::Event { kind: StreamKind::Sse, within: false };
            let next = respond::cut(core, client, &mut session, &reason, cut).await;
            (reason, next)
        }
        Err(Ending::Refused(reason)) => {
            let next = respond::refuse(core, client, &mut session, &reason).await;
            (reason, next)
        }
        Err(Ending::Cut(reason, cut)) => {
            let next = respond::cut(core, client, &mut session, &reason, cut).await;
            (reason, next)
        }
    };
    core.counters.ended(&reason);
    access_log::write(core, client, &session, &reason);
    next
}

/// Whether the connection goes on after a whole answer.
fn after_an_answer<N: Network>(core: &Core<N>, client: &Client<N>) -> Next {
    if client.goes_on(core) { Next::Request } else { Next::Close }
}
