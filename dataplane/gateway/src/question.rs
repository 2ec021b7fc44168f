//! What the control plane is asked about one request that needs approval: who, what, why, and the
//! digest of exactly what would be sent.

use penstock_config::digest::{RequestDigest, hex};
use penstock_config::hold::{Facts, HoldRequest, REASON_BYTES_MAX};
use penstock_config::identity::Identity;
use penstock_http::media_type::is_json_utf8;
use penstock_reactor::network::Network;

use crate::classify::Payload;
use crate::client::Client;
use crate::core::Core;
use crate::decide::Ticket;
use crate::declared::BodySha256;
use crate::reason::Reason;
use crate::session::Session;
use crate::shown::shown;

/// Bytes of a `user-agent` that are passed on.
const AGENT_BYTES_MAX: usize = 256;

/// What the caller says beside the request. Its fields never go up.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Wish {
    /// Why.
    reason: Option<String>,
    /// For which ticket.
    ticket: Option<String>,
    /// Whether it is to go ahead at once and be justified afterwards.
    break_glass: bool,
}

impl Wish {
    /// Of a head, and of the token's intent where the head says nothing.
    ///
    /// # Errors
    /// A field that stands twice, is too long, or can't be read.
    pub(crate) fn read<N: Network>(
        client: &Client<N>,
        head: &[u8],
        identity: &Identity,
    ) -> Result<Self, Reason> {
        let text = |name| single(client.head.find(head, name), name);
        let accesses = || identity.intent.iter().flat_map(|intent| &intent.accesses);
        let reason = text("penstock-reason")?;
        let ticket = text("penstock-ticket")?;
        let break_glass = match text("penstock-break-glass")?.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Reason::bad("`penstock-break-glass` is neither true nor false")),
        };
        let intended = || accesses().find_map(|access| access.reason.as_deref()).map(cut);
        let for_ticket = || accesses().find_map(|access| access.ticket.as_deref()).map(cut);
        Ok(Self {
            reason: reason.or_else(intended),
            ticket: ticket.or_else(for_ticket),
            break_glass,
        })
    }
}

/// The one value of a field.
fn single<'h>(
    mut values: impl Iterator<Item = &'h [u8]>,
    name: &str,
) -> Result<Option<String>, Reason> {
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Reason::ambiguous(format!("more than one `{name}`")));
    }
    if value.len() > REASON_BYTES_MAX {
        return Err(Reason::bad(format!("`{name}` is longer than {REASON_BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(value);
    let text = text.map_err(|_| Reason::bad(format!("`{name}` is not UTF-8")))?;
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// As much of a text as may be passed on.
fn cut(text: &str) -> String {
    let mut end = text.len().min(REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// A body that was digested, or is to be checked against its digest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DigestedBody {
    /// Its SHA-256.
    pub(crate) sha256: BodySha256,
    /// Its length.
    pub(crate) bytes: u64,
}

/// The question.
pub(crate) fn question<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    ticket: &Ticket,
    session: &Session,
    body: DigestedBody,
) -> Result<HoldRequest, Reason> {
    let (open, identified) = (ticket.open(), ticket.identified());
    let (known, head) = (identified.known(), &*identified.head);
    let wish = Wish::read(client, head, &known.identity)?;
    let target = identified.target.forwarded();
    let headers: Vec<(&str, &[u8])> = client
        .head
        .passing_up(head)
        .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)))
        .collect();
    let digest = RequestDigest {
        connection: &open.connection,
        method: session.method,
        target: target.as_bytes(),
        headers: &headers,
        classified: &open.classified,
        body_sha256: body.sha256,
        body_bytes: body.bytes,
    };
    let agent = client.head.find(head, "user-agent").next();
    Ok(HoldRequest {
        session: session.id.as_str().to_owned(),
        identity: Identity::clone(&known.identity),
        token_issued_ms: known.marks.issued_ms,
        token_expires_ms: known.expires_ms,
        token_sha256: hex(&known.marks.token),
        connection: String::from(&*open.connection),
        facts: Facts::from(&open.classified),
        method: session.method.to_owned(),
        target: target.to_owned(),
        digest: digest.hex(),
        body_bytes: body.bytes,
        body_sha256: hex(&body.sha256),
        shown: fields(core, client, ticket)?,
        reason: wish.reason,
        ticket: wish.ticket,
        break_glass: wish.break_glass,
        position: ticket.position(),
        peer: client.peer.ip().to_string(),
        agent: agent.map(readable),
    })
}

/// The first bytes of a client's name for itself, each a character.
fn readable(agent: &[u8]) -> String {
    let character = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '?' };
    agent.iter().take(AGENT_BYTES_MAX).map(character).collect()
}

/// The fields that the rules want shown, under the connection's mask: who will look at them is not
/// known, so it excepts nobody.
fn fields<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    ticket: &Ticket,
) -> Result<Vec<(String, String)>, Reason> {
    let head = &*ticket.identified().head;
    let content_type = client.head.find(head, "content-type").next();
    let Payload::Collected { buffers, .. } = ticket.payload() else { return Ok(Vec::new()) };
    if !content_type.is_some_and(is_json_utf8) {
        return Ok(Vec::new());
    }
    let in_force = core.in_force()?;
    let rules = ticket.waiting().rules();
    let paths: Vec<&str> =
        rules.iter().flat_map(|rule| in_force.shows(rule)).map(String::as_str).collect();
    let connection = in_force.policy.connection(&ticket.open().connection);
    let connection = connection.ok_or(Reason::NoConnection)?;
    let mask = in_force.mask(connection);
    Ok(shown(&paths, buffers, |value| match mask {
        Some(mask) => mask.shown(&value, &core.counters),
        None => value,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stands_once_is_bounded_and_is_text() {
        let read = |values: &[&'static [u8]]| single(values.iter().copied(), "penstock-reason");
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b""]), Ok(None));
        assert_eq!(read(&["wegen ä".as_bytes()]), Ok(Some("wegen ä".to_owned())));
        assert!(matches!(read(&[b"a", b"b"]), Err(Reason::Ambiguous(_))));
        assert!(matches!(read(&[&[b'x'; REASON_BYTES_MAX + 1]]), Err(Reason::BadRequest(_))));
        assert!(matches!(read(&[b"\xff"]), Err(Reason::BadRequest(_))));
    }

    #[test]
    fn an_intents_reason_is_cut_between_two_characters() {
        let long = "ä".repeat(REASON_BYTES_MAX);
        assert_eq!(cut(&long).len(), REASON_BYTES_MAX);
        assert_eq!(cut(&format!("x{long}")).len(), REASON_BYTES_MAX - 1);
        assert_eq!(cut("short"), "short");
    }
}
