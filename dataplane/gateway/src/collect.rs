//! Collects a body that a decision reads, whole and within its limits, before a byte of it goes up.

use std::cell::Cell;
use std::time::Duration;

use penstock_http::body::{BodyDecoder, BodyError, Step};
use penstock_http::head::Framing;
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::{Network, NetworkError};

use crate::client::{BodyRead, Client};
use crate::core::Core;
use crate::limits::Limit;
use crate::pieces::Pieces;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::respond;

/// Share of the buffers in use from which a body that is collected may not take its time.
const HURRY_PERCENT: usize = 50;

/// A kibibyte a second.
const NANOSECONDS_PER_BYTE: u64 = 1_000_000_000 / 1_024;

/// A collected body: the original bytes, in order.
pub(crate) struct Collected {
    /// Its pieces.
    pub(crate) buffers: Vec<Buffer>,
    /// Its length.
    pub(crate) length: usize,
}

/// A body whose framing does not hold.
pub(crate) fn bad_framing(error: BodyError) -> Reason {
    match error.status() {
        413 => Reason::TooLarge(Limit::BodyBytes),
        431 => Reason::HeadTooLarge(Limit::HeadBytes),
        _ if error.is_ambiguous() => Reason::ambiguous(error.text()),
        _ => Reason::bad(error.text()),
    }
}

/// How slow a body may be: a gap between two reads, and a kibibyte a second after a first grace.
/// What came faster buys no more than one gap: a body sent at once but for its end must not wait
/// for hours with all its buffers.
#[derive(Debug)]
pub(crate) struct Pace {
    begun: Duration,
    gap: Duration,
    /// When the next bytes must have come, and how many had when that was worked out.
    due: Cell<Duration>,
    counted: Cell<u64>,
}

impl Pace {
    /// A body that begins now.
    pub(crate) fn new<N: Network>(core: &Core<N>) -> Self {
        let gap = Duration::from_millis(core.limits().body_gap_ms_max);
        let begun = core.network.now();
        Self { begun, gap, due: Cell::new(begun.saturating_add(gap)), counted: Cell::new(0) }
    }

    /// The longest wait for any one step.
    pub(crate) fn gap(&self) -> Duration {
        self.gap
    }

    /// How long the next bytes may take after so many have come; nothing is left for one that falls
    /// behind.
    pub(crate) fn left(&self, now: Duration, bytes: u64) -> Duration {
        let new = bytes.saturating_sub(self.counted.replace(bytes));
        let earned = Duration::from_nanos(new.saturating_mul(NANOSECONDS_PER_BYTE));
        let due = self.due.get().saturating_add(earned).min(now.saturating_add(self.gap));
        self.due.set(due);
        due.saturating_sub(now)
    }

    /// Time that passed for another's reasons does not count.
    pub(crate) fn excuse(&self, time: Duration) {
        self.due.set(self.due.get().saturating_add(time));
    }

    /// What of that is left for a body that is kept in buffers while those get short: it must have
    /// come whole within one gap.
    fn left_when_short(&self, left: Duration, now: Duration) -> Duration {
        left.min(self.begun.saturating_add(self.gap).saturating_sub(now))
    }
}

/// Collects the whole body of the current request.
pub(crate) async fn collect<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    bytes_max: u64,
) -> Result<Collected, Ending> {
    collect_counted(core, client, bytes_max, |_bytes| Ok(())).await
}

/// The same; `counted` is told how many bytes are kept, before each piece that makes them more, and
/// may refuse them.
pub(crate) async fn collect_counted<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    bytes_max: u64,
    mut counted: impl FnMut(usize) -> Result<(), Reason>,
) -> Result<Collected, Ending> {
    if let Framing::Length(length) = client.head.framing
        && length > bytes_max
    {
        return Err(Reason::TooLarge(Limit::DecisionBytes).into());
    }
    respond::go_on(core, client).await?;
    client.body = BodyRead::Begun;
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let pace = Pace::new(core);
    let mut decoder = BodyDecoder::request(client.head.framing);
    let mut pieces = Pieces::default();
    while !decoder.is_done() {
        let so_far = u64::try_from(pieces.len()).unwrap_or(u64::MAX);
        let now = core.network.now();
        let mut left = pace.left(now, so_far);
        if core.uses_more_than(HURRY_PERCENT) {
            left = pace.left_when_short(left, now);
        }
        let Client { input, guard, .. } = client;
        let mut buffer = match guard.within(left, input.next()).await {
            Ok(Ok(Some(buffer))) => buffer,
            Ok(Ok(None)) => return Err(Reason::bad("the body ends early").into()),
            Ok(Err(NetworkError::Exhausted)) => return Err(Reason::NO_BUFFERS.into()),
            Ok(Err(_)) => return Err(Reason::ClientGone.into()),
            Err(interrupt) => {
                return Err(guard.reason(interrupt, Reason::Timeout(Limit::BodyGap)).into());
            }
        };
        while !buffer.is_empty() && !decoder.is_done() {
            match decoder.decode(&buffer).map_err(bad_framing)? {
                Step::Skip(count) => drop(buffer.split_to(count)),
                Step::Data(count) => {
                    let piece = buffer.split_to(count);
                    let sum = pieces.len().saturating_add(count);
                    if sum > bytes_max {
                        return Err(Reason::TooLarge(Limit::DecisionBytes).into());
                    }
                    counted(sum)?;
                    pieces
                        .add(core.network.pool(), piece)
                        .map_err(|_exhausted| Reason::NO_BUFFERS)?;
                }
                Step::Done => break,
                Step::NeedMore => drop(buffer.split_to(buffer.len())),
            }
        }
        client.input.put_back(buffer);
    }
    client.body = BodyRead::Done;
    let length = pieces.len();
    Ok(Collected { buffers: pieces.take(), length })
}
