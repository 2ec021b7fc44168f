//! The parts of a streamed answer, each when it is due.

use std::convert::Infallible;

use futures_util::{Stream, StreamExt, stream};
use tokio::time::Instant;

use super::schedule::Schedule;

/// One part for each of so many tokens, each when its token is due, counted from `start`.
pub(crate) fn paced(
    schedule: Schedule,
    start: Instant,
    count: usize,
    part: impl Fn(usize) -> String,
) -> impl Stream<Item = Result<String, Infallible>> {
    stream::iter(0..count).then(move |index| {
        let part = part(index);
        let due = start + schedule.due(index as u64);
        async move {
            tokio::time::sleep_until(due).await;
            Ok(part)
        }
    })
}
