//! Answers that the gateway itself gives, and the last words of a stream that is cut.

use std::time::Duration;

use penstock_http::body::{BodyDecoder, Step};
use penstock_http::chunk::{CHUNK_END, LAST_CHUNK, chunk_head};
use penstock_http::writer::{CONTINUE, ResponseWriter, WriteError};
use penstock_reactor::buffer::{BLOCK_BYTES, Buffer, Pool};
use penstock_reactor::network::Network;

use crate::client::{BodyRead, Client, Next};
use crate::core::Core;
use crate::output::HeadBlock;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::relay::Cut;
use crate::session::Session;
use crate::shape::Shape;

/// How long an answer of ours, or the last words of a stream, may take.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Answers a request that was refused before any byte of an answer was sent.
pub(crate) async fn refuse<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    session: &mut Session,
    reason: &Reason,
) -> Next {
    if matches!(reason, Reason::ClientGone | Reason::ClientStalled) {
        return Next::Abort;
    }
    drain(client);
    let goes_on = !reason.closes() && client.goes_on(core);
    session.status = reason.status();
    let body = Shape::of(session).body(reason, session);
    let pool = core.network.pool();
    client.output.outgoing.buffers.clear();
    let written = Written { reason, goes_on, spread: core.choice()[0] };
    if write(pool, client, session, &written, &body).is_err() {
        return Next::Abort;
    }
    client.answering = true;
    let Client { output, guard, .. } = client;
    match guard.at_last(LAST_WORDS.saturating_mul(10), output.flush()).await {
        Some(Ok(())) if goes_on => Next::Request,
        Some(Ok(())) => Next::Close,
        Some(Err(_)) | None => Next::Abort,
    }
}

/// What the head of an answer of ours says.
struct Written<'r> {
    reason: &'r Reason,
    goes_on: bool,
    /// Any number: callers that were refused together are told to come back apart.
    spread: usize,
}

fn write<N: Network>(
    pool: &Pool,
    client: &mut Client<N>,
    session: &Session,
    written: &Written<'_>,
    body: &[u8],
) -> Result<(), WriteError> {
    let Written { reason, goes_on, spread } = *written;
    let mut block = HeadBlock::new(pool).map_err(|_| WriteError::Full)?;
    let mut writer = ResponseWriter::start(&mut block, reason.status())?;
    writer.header(b"content-type", b"application/json")?;
    writer.header(b"penstock-session", session.id.as_str().as_bytes())?;
    match reason {
        Reason::Unauthenticated("none") => {
            writer.header("www-authenticate", "Bearer")?;
        }
        Reason::Revoked | Reason::TokenEnded | Reason::Unauthenticated(_) => {
            writer.header("www-authenticate", "Bearer error=\"invalid_token\"")?;
        }
        _ => {}
    }
    if let Some(seconds) = reason.retry_after_seconds(spread) {
        writer.header(b"retry-after", seconds.to_string().as_bytes())?;
    }
    if !goes_on {
        writer.close()?;
    }
    writer.finish_length(u64::try_from(body.len()).unwrap_or(0))?;
    client.output.outgoing.push(block.freeze());
    if session.method != "HEAD" {
        push(pool, client, body)?;
    }
    Ok(())
}

fn push<N: Network>(pool: &Pool, client: &mut Client<N>, bytes: &[u8]) -> Result<(), WriteError> {
    for piece in bytes.chunks(BLOCK_BYTES) {
        client.output.outgoing.push(pool.copy(piece).map_err(|_| WriteError::Full)?);
    }
    Ok(())
}

/// Takes what has already come of an unread body, so that a small one does not cost the connection.
fn drain<N: Network>(client: &mut Client<N>) {
    if client.body != BodyRead::Unread {
        return;
    }
    client.body = BodyRead::Begun;
    let mut decoder = BodyDecoder::request(client.head.framing);
    while let Some(mut buffer) = client.input.pop_unused() {
        while !buffer.is_empty() && !decoder.is_done() {
            match decoder.decode(&buffer) {
                Ok(Step::Skip(count) | Step::Data(count)) => drop(buffer.split_to(count)),
                Ok(Step::NeedMore) => drop(buffer.split_to(buffer.len())),
                Ok(Step::Done) => break,
                Err(_) => return,
            }
        }
        client.input.put_back(buffer);
        if decoder.is_done() {
            client.body = BodyRead::Done;
            return;
        }
    }
}

/// Ends an answer that is under way. A stream of events gets an error event in its protocol's form,
/// its last chunk, and a close; anything else is dropped, so that a part is never taken for the
/// whole.
pub(crate) async fn cut<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    session: &mut Session,
    reason: &Reason,
    cut: Cut,
) -> Next {
    let Cut::Event { kind, within } = cut else { return Next::Abort };
    if matches!(reason, Reason::ClientGone | Reason::ClientStalled) {
        return Next::Abort;
    }
    let event = Shape::of(session).event(kind, within, reason, session);
    let pool = core.network.pool();
    let size = pool.copy(chunk_head(event.len()).as_ref());
    let Ok(size) = size else { return Next::Abort };
    // What is left of the chunk that was being sent goes first: it was on its way before the cut.
    client.output.outgoing.push(size);
    if push(pool, client, &event).is_err() {
        return Next::Abort;
    }
    client.output.outgoing.push(Buffer::from_static(CHUNK_END));
    client.output.outgoing.push(Buffer::from_static(LAST_CHUNK));
    let Client { output, guard, .. } = client;
    match guard.at_last(LAST_WORDS, output.flush()).await {
        Some(Ok(())) => Next::Close,
        Some(Err(_)) | None => Next::Abort,
    }
}

/// Tells a caller that waits for it to send its body (RFC 9110 section 10.1.1).
pub(crate) async fn go_on<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
) -> Result<(), Ending> {
    if !client.head.expects_continue
        || client.body == BodyRead::Done
        || client.input.unused_bytes() > 0
    {
        return Ok(());
    }
    client.output.outgoing.push(Buffer::from_static(CONTINUE));
    let stall = Duration::from_millis(core.limits().send_stall_ms_max);
    let Client { output, guard, .. } = client;
    match guard.within(stall, output.flush()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Reason::ClientGone.into()),
        Err(interrupt) => Err(guard.reason(interrupt, Reason::ClientStalled).into()),
    }
}
