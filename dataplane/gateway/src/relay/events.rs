//! A stream of events under a mask. Each event leaves in the turn in which it came, with the text
//! of it that is decided; what is held is let go at the end, or when the stream is silent for too
//! long. A cut drops it.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use penstock_http::body::{BodyDecoder, Step};
use penstock_http::head::Version;
use penstock_http::stream::StreamKind;
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::{Network, NetworkError, Receiver, Sender};

use super::{COMMENT_CHUNK, Cut, Downlink, Next};
use crate::guard::Interrupt;
use crate::input::Input;
use crate::limits::Limit;
use crate::masking::{EventMask, Masked, Progress, Way};
use crate::output::Output;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::session::Session;

/// How long others may take with their turn: a core that takes longer does nothing at all.
pub(crate) const TURN_MAX: Duration = Duration::from_secs(3_600);

/// Counts values for the record of the exchange.
pub(super) fn count_masked(values: u64, session: &mut Session) {
    session.masked = Some(session.masked.unwrap_or(0).saturating_add(values));
}

impl<N: Network> Downlink<'_, N> {
    /// The mask of a stream, where the answer goes that way.
    pub(super) fn event_mask(&self, way: Way, session: &Session) -> Option<EventMask> {
        match (way, &self.outbound.masked) {
            (Way::Events(kind), Masked::By(applied)) => {
                let now = self.core.network.now();
                Some(EventMask::new(Rc::clone(applied), &session.path, kind, now))
            }
            (Way::AsItComes | Way::Events(_) | Way::Whole(_), _) => None,
        }
    }

    /// What is done where a masked stream can't go on: what the caller has is whole events.
    pub(super) fn cut_of(&self, events: &EventMask) -> Cut {
        if self.is_chunked() {
            Cut::Event { kind: events.kind(), within: false }
        } else {
            Cut::Abort
        }
    }

    fn is_chunked(&self) -> bool {
        self.request.version == Version::Http11
    }

    /// Passes a stream on through its mask.
    pub(super) async fn pass_events<R: Receiver, S: Sender>(
        &self,
        mut events: EventMask,
        mut decoder: BodyDecoder,
        input: &mut Input<R>,
        output: &mut Output<S>,
        session: &mut Session,
    ) -> Result<(), Ending> {
        let result = self.mask_events(&mut events, &mut decoder, input, output, session).await;
        if let Err(Ending::Cut(Reason::Unmaskable(_), _)) = &result {
            // What came before was decided, and goes before the error event.
            let bytes = self.emit(events.free(), self.is_chunked(), false, output)?;
            self.count_down(bytes, session);
            count_masked(events.newly_masked(), session);
        }
        result
    }

    async fn mask_events<R: Receiver, S: Sender>(
        &self,
        events: &mut EventMask,
        decoder: &mut BodyDecoder,
        input: &mut Input<R>,
        output: &mut Output<S>,
        session: &mut Session,
    ) -> Result<(), Ending> {
        loop {
            let next = {
                let next = pin!(input.next());
                self.next_event(next, events, output, session).await?
            };
            let ended;
            match self.received(next)? {
                Some(mut buffer) => {
                    while let Some(piece) = self.piece(decoder, &mut buffer)? {
                        events.take(piece);
                        self.work(events, output, session).await?;
                    }
                    ended = decoder.is_done();
                    input.put_back(buffer);
                }
                None => {
                    decoder.finish().map_err(|_| self.ending(Reason::UpstreamReset))?;
                    ended = true;
                }
            }
            if ended {
                events.take_end();
                self.work(events, output, session).await?;
                self.close(events).await?;
            }
            self.send(events, ended, output, session).await?;
            if ended {
                return Ok(());
            }
        }
    }

    /// The next piece of the body in received bytes; what is left of these does not belong to it.
    pub(super) fn piece(
        &self,
        decoder: &mut BodyDecoder,
        buffer: &mut Buffer,
    ) -> Result<Option<Buffer>, Ending> {
        while !buffer.is_empty() && !decoder.is_done() {
            let step = decoder.decode(buffer);
            match step.map_err(|_| self.ending(Reason::UpstreamProtocol))? {
                Step::Skip(count) => drop(buffer.split_to(count)),
                Step::Data(count) => return Ok(Some(buffer.split_to(count))),
                Step::Done => break,
                Step::NeedMore => drop(buffer.split_to(buffer.len())),
            }
        }
        Ok(None)
    }

    /// Masks what was taken. Long work lets others have their turn, after what is free has gone.
    async fn work<S: Sender>(
        &self,
        events: &mut EventMask,
        output: &mut Output<S>,
        session: &mut Session,
    ) -> Result<(), Ending> {
        loop {
            let network = &self.core.network;
            let progress = events.work(network.pool(), &self.core.counters, network.now());
            match progress.map_err(|reason| self.ending(reason))? {
                Progress::Done => return Ok(()),
                Progress::More => {
                    self.send(events, false, output, session).await?;
                    self.answer(events).await?;
                    self.turn().await?;
                }
            }
        }
    }

    /// Lets go of what is held, at the end.
    async fn close(&self, events: &mut EventMask) -> Result<(), Ending> {
        loop {
            let closed = events.close(self.core.network.pool(), &self.core.counters);
            match closed.map_err(|reason| self.ending(reason))? {
                Progress::Done => return Ok(()),
                Progress::More => {
                    self.answer(events).await?;
                    self.turn().await?;
                }
            }
        }
    }

    /// Asks the mask's analyser what it must say before more is masked, if anything.
    async fn answer(&self, events: &mut EventMask) -> Result<(), Ending> {
        if !events.asks() {
            return Ok(());
        }
        let answered = events.answer(self.core, self.guard).await;
        answered.map_err(|reason| self.ending(reason))
    }

    /// Lets others have their turn.
    pub(super) async fn turn(&self) -> Result<(), Ending> {
        let turn = self.guard.within(TURN_MAX, self.core.network.yield_now()).await;
        turn.map_err(|interrupt| self.ending(self.guard.reason(interrupt, Reason::Internal)))
    }

    async fn send<S: Sender>(
        &self,
        events: &mut EventMask,
        ended: bool,
        output: &mut Output<S>,
        session: &mut Session,
    ) -> Result<(), Ending> {
        let bytes = self.emit(events.free(), self.is_chunked(), ended, output)?;
        count_masked(events.newly_masked(), session);
        self.flush(output).await?;
        self.count_down(bytes, session);
        Ok(())
    }

    /// Waits for the next bytes of the model server. Comments go to a caller that reads
    /// server-sent events meanwhile, and text that was held for too long is let go.
    async fn next_event<S: Sender>(
        &self,
        mut next: Pin<&mut impl Future<Output = Result<Option<Buffer>, NetworkError>>>,
        events: &mut EventMask,
        output: &mut Output<S>,
        session: &mut Session,
    ) -> Result<Next, Ending> {
        let limits = self.core.limits();
        let gap = Duration::from_millis(limits.stream_gap_ms_max);
        let every = Duration::from_millis(limits.stream_comment_ms);
        let now = || self.core.network.now();
        let silent_since = now();
        let over = silent_since.saturating_add(gap);
        let mut comment_at = silent_since.saturating_add(every);
        loop {
            let is_commented = !every.is_zero()
                && self.is_chunked()
                && events.kind() == StreamKind::Sse
                && (events.is_begun() || self.committed);
            let comment = is_commented.then_some(comment_at).filter(|at| *at < over);
            let stall = events.stalls_at().filter(|at| *at < over);
            let until = [Some(over), comment, stall].into_iter().flatten().min().unwrap_or(over);
            let left = until.saturating_sub(now());
            let waited = self.guard.within(left, next.as_mut()).await;
            if !matches!(waited, Err(Interrupt::Elapsed)) || self.guard.is_over() || now() >= over {
                events.count_wait(&self.core.counters, now());
                return Ok(waited);
            }
            if stall.is_some_and(|at| now() >= at) {
                self.core.counters.reached(Limit::Stalled);
                events.ask_stalled(&self.core.counters);
                self.answer(events).await?;
                let pool = self.core.network.pool();
                let decided = events.stalled(pool, &self.core.counters, now());
                decided.map_err(|reason| self.ending(reason))?;
                self.send(events, false, output, session).await?;
            }
            if comment.is_some_and(|at| now() >= at) {
                output.outgoing.push(Buffer::from_static(COMMENT_CHUNK));
                self.flush(output).await?;
                comment_at = now().saturating_add(every);
            }
        }
    }
}
