//! Requests under a mask: what asks for an answer that can't be masked is refused before it goes
//! up, and, where the mask says so, bodies are masked themselves.

use std::rc::Rc;

use super::engine::Media;
use super::engine::unmaskable_request;
use penstock_config::documents::{MaskSide, Unreadable};
use penstock_reactor::network::Network;

use super::Unmaskable;
use super::applied::{Applied, Masked};
use super::events::Progress;
use super::gathered::Gathered;
use super::whole::WholeMasking;
use crate::classify::Payload;
use crate::client::Client;
use crate::core::Core;
use crate::inject::Outbound;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::relay::TURN_MAX;
use crate::session::Session;

/// What is named where a body itself can't be masked.
const BODY: &str = "the body of the request";

/// Looks at a request's body, and masks it where its mask says so.
///
/// # Errors
/// It asks for what can't be masked, or can't be masked itself.
pub(crate) async fn prepare<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    outbound: &Outbound,
    session: &mut Session,
) -> Result<(), Ending> {
    let Masked::By(applied) = &outbound.masked else { return Ok(()) };
    session.masked = Some(0);
    let document = &applied.mask.enforced.document;
    let looks = applied.concerns(MaskSide::Response) && document.unreadable == Unreadable::Refuse;
    let masks = applied.concerns(MaskSide::Request);
    if !looks && !masks {
        return Ok(());
    }
    let Some(body) = collected(core, applied, outbound)? else { return Ok(()) };
    if looks && let Some(member) = unmaskable_request(applied.surface(&session.path), body.bytes())
    {
        return Err(Reason::UnmaskableRequest(member).into());
    }
    if !masks {
        return Ok(());
    }
    let side = MaskSide::Request;
    let mut masking = WholeMasking::new(Rc::clone(applied), &session.path, Media::Json, side, body);
    let pool = core.network.pool();
    loop {
        let progress = masking.work(pool, &core.counters).map_err(|reason| match reason {
            Reason::Unmaskable(Unmaskable::Content) => Reason::UnmaskableRequest(BODY),
            other => other,
        })?;
        if progress == Progress::Done {
            break;
        }
        masking.answer(core, &client.guard).await?;
        let turn = client.guard.within(TURN_MAX, core.network.yield_now()).await;
        turn.map_err(|interrupt| client.guard.reason(interrupt, Reason::Internal))?;
    }
    session.masked = Some(masking.masked());
    if masking.masked() > 0 {
        outbound.replace_body(masking.into_buffer(pool)?);
    }
    Ok(())
}

/// A copy of the body in one piece; none where there is no body, or none that is read.
fn collected<N: Network>(
    core: &Core<N>,
    applied: &Applied,
    outbound: &Outbound,
) -> Result<Option<Gathered>, Reason> {
    match &*outbound.body() {
        Payload::None => Ok(None),
        Payload::Collected { buffers, .. } => {
            let mut body = Gathered::default();
            for buffer in buffers {
                body.push(core.network.pool(), buffer).map_err(|_| Reason::NO_BUFFERS)?;
            }
            Ok(Some(body))
        }
        Payload::Streamed { .. }
            if applied.concerns(MaskSide::Request)
                && !applied.mask.enforced.passes_unreadable() =>
        {
            Err(Reason::UnsupportedEncoding)
        }
        Payload::Streamed { .. } => Ok(None),
    }
}
