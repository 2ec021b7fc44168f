//! Classify: what the request does, on which model. Where the server's table says that the body
//! decides, it is collected whole, before a byte goes to the model server.

use std::rc::Rc;
use std::time::Duration;

use penstock_config::catalogue::{Candidates, Classified, ClassifyError, Need};
use penstock_config::decision::ConnectionIndex;
use penstock_config::json::{Body, JsonError};
use penstock_http::body::{BodyDecoder, BodyError, Step};
use penstock_http::head::Framing;
use penstock_http::media_type::is_json_utf8;
use penstock_reactor::buffer::{BLOCK_BYTES, Block, Buffer, Pool};
use penstock_reactor::network::{Network, NetworkError};

use crate::client::{BodyRead, Client};
use crate::core::Core;
use crate::enforced::Upstream;
use crate::identify::Identified;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::respond;
use crate::session::Session;

/// What is known of a request when it is decided.
pub(crate) struct ClassifiedRequest {
    /// Who asks, for what.
    pub(crate) identified: Identified,
    /// On which connection.
    pub(crate) connection: ConnectionIndex,
    /// What it does.
    pub(crate) classified: Classified,
    /// Its body.
    pub(crate) payload: Payload,
}

/// The body of a request, as it goes up.
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
    Streamed(Framing),
}

/// Room that the parser wants behind the body.
const SCRATCH_SPARE: usize = 64;

/// A piece smaller than this is copied together with its neighbours: a body that comes in crumbs
/// must not hold a block for each.
const GATHER_BELOW: usize = BLOCK_BYTES / 8;

/// Classifies an identified request.
pub(crate) async fn classify<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    identified: Identified,
    session: &mut Session,
) -> Result<ClassifiedRequest, Ending> {
    let in_force = Rc::clone(&identified.in_force);
    let connection = in_force
        .policy
        .connection(identified.target.connection())
        .filter(|connection| in_force.policy.visible(identified.rules(), *connection))
        .ok_or(Reason::NoConnection)?;
    let upstream = in_force.upstream(connection).ok_or(Reason::Internal)?;
    session.connection = Some(Rc::from(upstream.document.name.as_str()));
    session.protocol = Some(upstream.document.protocol);
    let codings = client.head.find(&identified.head, "content-encoding").next();
    if codings.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Reason::UnsupportedEncoding.into());
    }
    let table = &upstream.table;
    let (classified, payload) = match table.candidates(session.method, &identified.target) {
        None if table.knows_path(&identified.target) => return Err(Reason::Method.into()),
        None => (Classified::unknown(), Payload::None),
        Some(rows) => read(core, client, &identified, upstream, rows).await?,
    };
    session.classified = Some(classified.clone());
    Ok(ClassifiedRequest { identified, connection, classified, payload })
}

async fn read<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    identified: &Identified,
    upstream: &Upstream,
    rows: Candidates<'_>,
) -> Result<(Classified, Payload), Ending> {
    let framing = client.head.framing;
    let limits = &upstream.document.limits;
    if let Framing::Length(length) = framing
        && length > limits.body_bytes_max
    {
        return Err(Reason::TooLarge.into());
    }
    if rows.need() == Need::Head {
        let classified = rows.resolve(&identified.target, None).map_err(|error| unclear(&error))?;
        let payload = match framing {
            Framing::None | Framing::Length(0) => Payload::None,
            Framing::Length(_) | Framing::Chunked => Payload::Streamed(framing),
        };
        if matches!(payload, Payload::Streamed(_)) && client.head.method.is_safe() {
            return Err(Reason::bad("this method takes no body").into());
        }
        return Ok((classified, payload));
    }
    let content_type = client.head.find(&identified.head, "content-type").next();
    if !content_type.is_some_and(is_json_utf8) {
        return Err(Reason::UnsupportedEncoding.into());
    }
    let (buffers, length) = collect(core, client, limits.decision_bytes_max).await?;
    let classified = resolve(core, identified, &rows, &buffers, length)?;
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    Ok((classified, Payload::Collected { buffers, length }))
}

/// Reads the body's fields on a scratch copy, which the parser rewrites; the original bytes go up.
fn resolve<N: Network>(
    core: &Core<N>,
    identified: &Identified,
    rows: &Candidates<'_>,
    buffers: &[Buffer],
    length: usize,
) -> Result<Classified, Ending> {
    let _counted = core.network.pool().reserve(length).map_err(|_| Reason::Overloaded)?;
    let mut scratch = Vec::with_capacity(length.saturating_add(SCRATCH_SPARE));
    for buffer in buffers {
        scratch.extend_from_slice(buffer);
    }
    let body = Body::parse(scratch, rows.wanted()).map_err(|error| match error {
        JsonError::DuplicateKey => Reason::ambiguous(error.to_string()),
        JsonError::Syntax | JsonError::Depth => Reason::bad(error.to_string()),
    })?;
    Ok(rows.resolve(&identified.target, Some(&body)).map_err(|error| unclear(&error))?)
}

fn unclear(error: &ClassifyError) -> Reason {
    match error {
        ClassifyError::Ambiguous(_) => Reason::ambiguous(error.to_string()),
        ClassifyError::WrongType(_) | ClassifyError::NotRead => Reason::bad(error.to_string()),
    }
}

/// A body whose framing does not hold.
pub(crate) fn bad_framing(error: BodyError) -> Reason {
    match error.status() {
        413 => Reason::TooLarge,
        431 => Reason::HeadTooLarge,
        _ if error.is_ambiguous() => Reason::ambiguous(error.text()),
        _ => Reason::bad(error.text()),
    }
}

/// Collects a whole body within its limit.
async fn collect<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    bytes_max: u64,
) -> Result<(Vec<Buffer>, usize), Ending> {
    if let Framing::Length(length) = client.head.framing
        && length > bytes_max
    {
        return Err(Reason::TooLarge.into());
    }
    respond::go_on(core, client).await?;
    client.body = BodyRead::Begun;
    let pool = core.network.pool();
    let gap = Duration::from_millis(core.limits().body_gap_ms_max);
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let mut decoder = BodyDecoder::request(client.head.framing);
    let mut gathered = Gathered::default();
    while !decoder.is_done() {
        let Client { input, guard, .. } = client;
        let mut buffer = match guard.within(gap, input.next()).await {
            Ok(Ok(Some(buffer))) => buffer,
            Ok(Ok(None)) => return Err(Reason::bad("the body ends early").into()),
            Ok(Err(NetworkError::Exhausted)) => return Err(Reason::Overloaded.into()),
            Ok(Err(_)) => return Err(Reason::ClientGone.into()),
            Err(interrupt) => return Err(interrupt.or(Reason::Timeout).into()),
        };
        while !buffer.is_empty() && !decoder.is_done() {
            match decoder.decode(&buffer).map_err(bad_framing)? {
                Step::Skip(count) => drop(buffer.split_to(count)),
                Step::Data(count) => {
                    let piece = buffer.split_to(count);
                    gathered.add(pool, piece, bytes_max)?;
                }
                Step::Done => break,
                Step::NeedMore => drop(buffer.split_to(buffer.len())),
            }
        }
        client.input.put_back(buffer);
    }
    client.body = BodyRead::Done;
    Ok(gathered.finish())
}

/// Pieces of a body, small ones copied together.
#[derive(Default)]
struct Gathered {
    buffers: Vec<Buffer>,
    open: Option<Block>,
    length: usize,
}

impl Gathered {
    fn add(&mut self, pool: &Pool, mut piece: Buffer, bytes_max: usize) -> Result<(), Reason> {
        self.length = self.length.saturating_add(piece.len());
        if self.length > bytes_max {
            return Err(Reason::TooLarge);
        }
        if piece.len() >= GATHER_BELOW {
            self.close();
            self.buffers.push(piece);
            return Ok(());
        }
        while !piece.is_empty() {
            let mut block = match self.open.take() {
                Some(block) => block,
                None => pool.take().map_err(|_| Reason::Overloaded)?,
            };
            let taken = block.append(&piece);
            drop(piece.split_to(taken));
            self.open = Some(block);
            if taken == 0 {
                self.close();
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(block) = self.open.take() {
            self.buffers.push(block.freeze());
        }
    }

    fn finish(mut self) -> (Vec<Buffer>, usize) {
        self.close();
        (self.buffers, self.length)
    }
}
