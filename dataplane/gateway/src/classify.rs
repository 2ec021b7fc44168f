//! Classify: what the request does, on which model. Where the server's table says that the body
//! decides, it is collected whole, before a byte goes to the model server.
//!
//! Collecting waits, and the policy may change meanwhile. So no policy is held while it waits: what
//! is decided afterwards is decided under the policy that is in force then, and from there to the
//! decision nothing waits any more.

use std::rc::Rc;

use penstock_config::catalogue::{Candidates, Classified, ClassifyError, Need};
use penstock_config::decision::ConnectionIndex;
use penstock_config::documents::MaskSide;
use penstock_config::json::{Body, JsonError};
use penstock_http::head::Framing;
use penstock_http::media_type::is_json_utf8;
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::Network;

use crate::client::Client;
use crate::collect::{Collected, collect};
use crate::core::{Core, InForce};
use crate::declared::BodySha256;
use crate::enforced::{CoreView, Upstream};
use crate::identify::{self, Identified};
use crate::limits::Limit;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::session::Session;

/// What is known of a request when it is decided.
pub(crate) struct ClassifiedRequest {
    /// The policy in force now.
    pub(crate) in_force: InForce,
    /// Who asks, for what.
    pub(crate) identified: Identified,
    /// On which connection.
    pub(crate) connection: ConnectionIndex,
    /// What it does.
    pub(crate) classified: Classified,
    /// Its body.
    pub(crate) payload: Payload,
}

/// The body of a request, as it goes up. A clone shares its bytes.
#[derive(Clone)]
pub(crate) enum Payload {
    /// No body.
    None,
    /// A body that was collected for the decision: the original bytes.
    Collected {
        /// In order.
        buffers: Vec<Buffer>,
        /// Their length.
        length: u64,
    },
    /// A body that is passed on as it comes.
    Streamed {
        /// How it ends.
        framing: Framing,
        /// Its SHA-256, where that is checked before its last byte goes up.
        expected: Option<BodySha256>,
    },
}

/// Room that the parser wants behind the body.
const SCRATCH_SPARE: usize = 64;

/// Classifies an identified request.
pub(crate) async fn classify<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    mut identified: Identified,
    session: &mut Session,
) -> Result<ClassifiedRequest, Ending> {
    let body = match must_collect(core, client, &identified, session)? {
        Some(bytes_max) => Some(collect(core, client, bytes_max).await?),
        None => None,
    };
    let in_force = identify::anew(core, client, &mut identified)?;
    session.identity = Some(Rc::clone(identified.identity()));
    let (connection, upstream) = locate(&in_force, &identified)?;
    let rows = upstream.table.candidates(session.method, &identified.target);
    let classified = match (&rows, &body) {
        (None, _) => Classified::unknown(),
        (Some(rows), Some(body)) if rows.need() == Need::Body => {
            with_body(core, &identified, rows, body)?
        }
        (Some(rows), None) if rows.need() == Need::Body => return Err(Reason::PolicyStale.into()),
        (Some(rows), _) => rows.resolve(&identified.target, None).map_err(|e| unclear(&e))?,
    };
    let payload = payload(client, upstream, body)?;
    session.classified = Some(classified.clone());
    Ok(ClassifiedRequest { in_force, identified, connection, classified, payload })
}

/// Whether the body decides, and then how large it may be. Nothing of the policy is kept.
fn must_collect<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    identified: &Identified,
    session: &mut Session,
) -> Result<Option<u64>, Ending> {
    let in_force = core.in_force()?;
    let (connection, upstream) = locate(&in_force, identified)?;
    session.connection = Some(Rc::from(upstream.document.name.as_str()));
    session.protocol = Some(upstream.document.protocol);
    let coding = client.head.find(&identified.head, "content-encoding").next();
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Reason::UnsupportedEncoding.into());
    }
    let table = &upstream.table;
    let Some(rows) = table.candidates(session.method, &identified.target) else {
        let known = table.knows_path(&identified.target);
        return if known { Err(Reason::Method.into()) } else { Ok(None) };
    };
    let content_type = client.head.find(&identified.head, "content-type").next();
    let is_json = content_type.is_some_and(is_json_utf8);
    if rows.need() == Need::Head {
        // A body that is to be masked is read too; one that can't be is refused once it is
        // permitted, or its mask lets it through.
        let has_body = !matches!(client.head.framing, Framing::None | Framing::Length(0));
        if !(has_body && is_json && masks_requests(&in_force, connection, identified)) {
            return Ok(None);
        }
    } else if !is_json {
        return Err(Reason::UnsupportedEncoding.into());
    }
    Ok(Some(upstream.document.limits.decision_bytes_max))
}

/// Whether bodies of this identity's requests are masked.
fn masks_requests(
    in_force: &CoreView,
    connection: ConnectionIndex,
    identified: &Identified,
) -> bool {
    in_force.mask(connection).is_some_and(|mask| {
        let mask = &mask.enforced;
        mask.concerns(MaskSide::Request) && !mask.excepts(identified.identity())
    })
}

/// The connection, if the caller may know it.
fn locate<'v>(
    in_force: &'v CoreView,
    identified: &Identified,
) -> Result<(ConnectionIndex, &'v Upstream), Reason> {
    let policy = &in_force.policy;
    let connection = policy
        .connection(identified.target.connection())
        .filter(|connection| policy.visible(identified.rules(), *connection))
        .ok_or(Reason::NoConnection)?;
    Ok((connection, in_force.upstream(connection).ok_or(Reason::Internal)?))
}

/// How the body goes up.
fn payload<N: Network>(
    client: &Client<N>,
    upstream: &Upstream,
    body: Option<Collected>,
) -> Result<Payload, Reason> {
    if let Some(Collected { buffers, length }) = body {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        return Ok(Payload::Collected { buffers, length });
    }
    match client.head.framing {
        Framing::None | Framing::Length(0) => Ok(Payload::None),
        Framing::Length(length) if length > upstream.document.limits.body_bytes_max => {
            Err(Reason::TooLarge(Limit::BodyBytes))
        }
        Framing::Length(_) | Framing::Chunked if client.head.method.is_safe() => {
            Err(Reason::bad("this method takes no body"))
        }
        framing @ (Framing::Length(_) | Framing::Chunked) => {
            Ok(Payload::Streamed { framing, expected: None })
        }
    }
}

/// Reads the body's fields on a scratch copy, which the parser rewrites; the original bytes go up.
fn with_body<N: Network>(
    core: &Core<N>,
    identified: &Identified,
    rows: &Candidates<'_>,
    body: &Collected,
) -> Result<Classified, Ending> {
    let length = body.length.saturating_add(SCRATCH_SPARE);
    let needed = Body::bytes_needed(body.length);
    let _counted = core.network.pool().reserve(needed).map_err(|_| Reason::NO_BUFFERS)?;
    let mut scratch = Vec::with_capacity(length);
    for buffer in &body.buffers {
        scratch.extend_from_slice(buffer);
    }
    let body = Body::parse(scratch, rows.wanted()).map_err(|error| match error {
        JsonError::DuplicateKey => Reason::ambiguous(error.to_string()),
        JsonError::Syntax | JsonError::Depth | JsonError::TooMany => Reason::bad(error.to_string()),
    })?;
    Ok(rows.resolve(&identified.target, Some(&body)).map_err(|error| unclear(&error))?)
}

fn unclear(error: &ClassifyError) -> Reason {
    match error {
        ClassifyError::Ambiguous(_) => Reason::ambiguous(error.to_string()),
        ClassifyError::WrongType(_) | ClassifyError::NotRead => Reason::bad(error.to_string()),
    }
}
