//! `stream: commit`: a caller whose request waits for long is told 200 and gets comments, so that
//! what stands between does not take its silent connection for a dead one. What goes wrong after
//! that is an error event.

use std::time::Duration;

use penstock_http::head::{Method, Version};
use penstock_http::writer::{ResponseWriter, WriteError};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::Network;

use crate::classify::Payload;
use crate::client::Client;
use crate::core::Core;
use crate::decide::Ticket;
use crate::output::HeadBlock;
use crate::reason::Reason;
use crate::relay::COMMENT_CHUNK;
use crate::session::Session;
use crate::shape::Shape;
use crate::shown::asks_for_a_stream;

/// How long a request waits before its caller is told anything.
pub(crate) const COMMIT_AFTER: Duration = Duration::from_secs(15);

/// Whether the answer will be server-sent events as far as the request can tell: inference that
/// asks for a stream, in a protocol that streams so. Lines of JSON, as Ollama's own API has them,
/// have no comments: there the caller waits.
pub(crate) fn may_commit<N: Network>(
    client: &Client<N>,
    ticket: &Ticket,
    session: &Session,
) -> bool {
    let operations = &ticket.open().classified.operations;
    let infers = operations.iter().all(|operation| operation.name().starts_with("infer."));
    let Payload::Collected { buffers, .. } = ticket.payload() else { return false };
    infers
        && client.head.version == Version::Http11
        && client.head.method == Method::Post
        && Shape::of(session) != Shape::Ollama
        && asks_for_a_stream(buffers)
}

/// Tells the caller that it goes on: at first with the head of the answer, then with a comment.
pub(crate) async fn go_on<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    session: &mut Session,
) -> Result<(), Reason> {
    if !client.committed {
        let goes_on = client.goes_on_after(core);
        let head = head(core, session, goes_on).map_err(|_| Reason::NO_BUFFERS)?;
        client.output.outgoing.push(head);
        (client.committed, client.answering) = (true, true);
        session.told = Some(200);
    }
    client.output.outgoing.push(Buffer::from_static(COMMENT_CHUNK));
    let stall = Duration::from_millis(core.limits().send_stall_ms_max);
    let Client { output, guard, .. } = client;
    match guard.within(stall, output.flush()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Reason::ClientGone),
        Err(interrupt) => Err(guard.reason(interrupt, Reason::ClientStalled)),
    }
}

fn head<N: Network>(
    core: &Core<N>,
    session: &Session,
    goes_on: bool,
) -> Result<Buffer, WriteError> {
    let mut block = HeadBlock::new(core.network.pool()).map_err(|_| WriteError::Full)?;
    let mut writer = ResponseWriter::start(&mut block, 200)?;
    writer.header(b"content-type", b"text/event-stream")?;
    writer.header(b"cache-control", b"no-cache")?;
    writer.header(b"penstock-session", session.id.as_str().as_bytes())?;
    if !goes_on {
        writer.close()?;
    }
    writer.finish_chunked()?;
    Ok(block.freeze())
}
