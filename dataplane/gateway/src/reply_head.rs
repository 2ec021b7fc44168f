//! The head of a relayed answer, written anew for the caller.

use penstock_http::head::{ResponseFraming, ResponseHead, Version};
use penstock_http::media_type::is_media_type;
use penstock_http::stream::StreamKind;
use penstock_http::writer::{ResponseWriter, WriteError};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::Network;

use crate::enforced::Target;
use crate::masking;
use crate::output::HeadBlock;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::relay::Downlink;
use crate::session::Session;

/// A written head.
pub(crate) struct Answer {
    /// Its bytes.
    pub(crate) bytes: Buffer,
    /// How the body's events are framed, if it is a stream of events.
    pub(crate) kind: Option<StreamKind>,
}

/// How the body goes to the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framed {
    /// As it comes.
    AsItComes,
    /// Written anew, event by event.
    Anew,
    /// Masked whole: its length, and how many values were.
    Masked {
        /// Bytes.
        length: u64,
        /// Values.
        values: u64,
    },
}

/// Writes the head that the caller gets.
pub(crate) fn write<N: Network>(
    link: &Downlink<'_, N>,
    reply: &ResponseHead,
    head: &[u8],
    session: &Session,
    framed: Framed,
) -> Result<Answer, Ending> {
    let location = location(link, reply, head, session)?;
    let pool = link.core.network.pool();
    let mut block = HeadBlock::new(pool).map_err(|_| Reason::NO_BUFFERS)?;
    let reply_head = (reply, head);
    fields(&mut block, link, reply_head, session, location.as_deref(), framed)
        .map_err(|_| Reason::UpstreamProtocol)?;
    Ok(Answer { bytes: block.freeze(), kind: kind(reply, head) })
}

fn fields<N: Network>(
    block: &mut HeadBlock,
    link: &Downlink<'_, N>,
    (reply, head): (&ResponseHead, &[u8]),
    session: &Session,
    location: Option<&str>,
    framed: Framed,
) -> Result<(), WriteError> {
    let mut writer = ResponseWriter::start(block, reply.status)?;
    let has_body = reply.framing != ResponseFraming::None;
    let is_masked = framed != Framed::AsItComes || (link.masks_answers() && !has_body);
    for (name, value) in reply.passing_down(head) {
        if !(is_masked && masking::untrue(name)) {
            writer.header(name, value)?;
        }
    }
    if let Some(location) = location {
        writer.header(b"location", location.as_bytes())?;
    }
    writer.header(b"penstock-session", session.id.as_str().as_bytes())?;
    let old = link.request.version == Version::Http10;
    let framing = match framed {
        Framed::AsItComes => reply.framing,
        Framed::Anew => ResponseFraming::Chunked,
        Framed::Masked { length, values } => {
            writer.header(b"penstock-masked", values.to_string().as_bytes())?;
            ResponseFraming::Length(length)
        }
    };
    let has_end = matches!(framing, ResponseFraming::None | ResponseFraming::Length(_));
    let until_close = old && !has_end;
    if !link.goes_on || until_close {
        writer.close()?;
    }
    match framing {
        ResponseFraming::None => writer.finish_none(),
        ResponseFraming::Length(length) => writer.finish_length(length),
        ResponseFraming::Chunked | ResponseFraming::UntilClose if old => {
            writer.finish_until_close()
        }
        ResponseFraming::Chunked | ResponseFraming::UntilClose => writer.finish_chunked(),
    }
}

/// Where one event ends can't be seen in a body that is encoded (RFC 9110 section 8.4), and nothing
/// can be put between two of them.
pub(crate) fn kind(reply: &ResponseHead, head: &[u8]) -> Option<StreamKind> {
    let mut encodings = reply.find(head, "content-encoding");
    if encodings.any(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        return None;
    }
    let content_type = reply.find(head, "content-type").next()?;
    if is_media_type(content_type, "text/event-stream") {
        Some(StreamKind::Sse)
    } else if is_media_type(content_type, "application/x-ndjson") {
        Some(StreamKind::Ndjson)
    } else {
        None
    }
}

/// A `location` on the upstream's own authority, under the connection's prefix; any other ends in
/// 502.
fn location<N: Network>(
    link: &Downlink<'_, N>,
    reply: &ResponseHead,
    head: &[u8],
    session: &Session,
) -> Result<Option<String>, Ending> {
    let mut values = reply.find(head, "location");
    let Some(value) = values.next() else { return Ok(None) };
    let elsewhere = || Ending::from(Reason::UpstreamRedirect);
    if values.next().is_some() {
        return Err(elsewhere());
    }
    let value = std::str::from_utf8(value).map_err(|_| elsewhere())?;
    let connection = session.connection.as_deref().unwrap_or_default();
    link.outbound
        .targets
        .iter()
        .find_map(|target| under_prefix(value, target, connection))
        .map(Some)
        .ok_or_else(elsewhere)
}

fn under_prefix(value: &str, target: &Target, connection: &str) -> Option<String> {
    let scheme = if target.security.is_clear() { "http://" } else { "https://" };
    let path = match value.strip_prefix(scheme) {
        Some(rest) => {
            let path = rest.strip_prefix(target.authority.as_str())?;
            if path.is_empty() { "/" } else { path }
        }
        None => value,
    };
    let path = path.strip_prefix(target.endpoint.base_path.as_str())?;
    (path.starts_with('/') && !path.starts_with("//")).then(|| format!("/{connection}{path}"))
}
