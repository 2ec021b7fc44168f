//! The body of a held request: its digest, and what it counts for while it is collected.

use aws_lc_rs::digest::{Context, SHA256};
use penstock_http::head::Framing;
use penstock_reactor::network::Network;

use crate::classify::Payload;
use crate::client::Client;
use crate::collect::{Collected, collect_counted};
use crate::core::Core;
use crate::decide::Ticket;
use crate::declared::declared;
use crate::limits::Limit;
use crate::pipeline::Ending;
use crate::question::DigestedBody;
use crate::reason::Reason;
use crate::session::Session;
use crate::shares::Keeps;
use crate::uplink::OTHER_BODY;

/// Bytes of a body that are digested between two yields.
const DIGEST_SLICE: usize = 256 * 1024;

/// The digest of the body: computed over what is collected, or, for one that is too large for that,
/// the one that its caller declares. What is kept counts, also while it comes.
pub(super) async fn digest<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    ticket: &mut Ticket,
    session: &Session,
    keeps: &mut Keeps,
) -> Result<DigestedBody, Ending> {
    keeps.set(ticket.bytes_kept()).map_err(|_| Reason::NO_BUFFERS)?;
    let identified = ticket.identified();
    let declared = declared(client, &identified.head, session.protocol, &identified.target)?;
    let bytes_max = ticket.decision_bytes_max();
    if let Payload::Streamed { framing, .. } = *ticket.payload() {
        if let Framing::Length(bytes) = framing
            && bytes > bytes_max
        {
            let sha256 = declared.ok_or(Reason::DigestRequired)?;
            ticket.set_payload(Payload::Streamed { framing, expected: Some(sha256) });
            return Ok(DigestedBody { sha256, bytes });
        }
        let beside = ticket.bytes_kept();
        let counted =
            |bytes: usize| keeps.set(beside.saturating_add(bytes)).map_err(|_| Reason::NO_BUFFERS);
        let Collected { buffers, length } =
            collect_counted(core, client, bytes_max, counted).await.map_err(without_digest)?;
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        ticket.set_payload(Payload::Collected { buffers, length });
    }
    let body = digest_of(core, ticket.payload()).await;
    if declared.is_some_and(|declared| declared != body.sha256) {
        return Err(Reason::bad(OTHER_BODY).into());
    }
    Ok(body)
}

/// A body of unknown length that turns out to be too large.
fn without_digest(ending: Ending) -> Ending {
    match ending {
        Ending::Refused(Reason::TooLarge(Limit::DecisionBytes)) => Reason::DigestRequired.into(),
        other => other,
    }
}

async fn digest_of<N: Network>(core: &Core<N>, payload: &Payload) -> DigestedBody {
    let mut context = Context::new(&SHA256);
    let mut bytes = 0;
    if let Payload::Collected { buffers, length } = payload {
        bytes = *length;
        let mut since = 0;
        for buffer in buffers {
            context.update(buffer);
            since += buffer.len();
            if since >= DIGEST_SLICE {
                since = 0;
                core.network.yield_now().await;
            }
        }
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(context.finish().as_ref());
    DigestedBody { sha256, bytes }
}
