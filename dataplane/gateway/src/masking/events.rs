//! A stream of events on its way through its mask. Events are found in the bytes as they come; each
//! is masked where it lies, or, where it came in pieces, in one copy of it. What did not change
//! leaves as the bytes that came.

use super::engine::{EVENT_BYTES_MAX, Refused, Step, StreamMask};
use penstock_http::stream::{Boundary, StreamKind};
use penstock_reactor::buffer::{Block, Buffer, Exhausted, Pool};
use penstock_reactor::network::Network;
use std::rc::Rc;
use std::time::Duration;

use super::Unmaskable;
use super::applied::Applied;
use super::gathered::Gathered;
use crate::core::Core;
use crate::counters::Counters;
use crate::guard::Guard;
use crate::reason::Reason;

/// An event that did not change is copied behind one that did, instead of a block for each, up to
/// this.
const COPY_BELOW: usize = 512;

/// U+FEFF in UTF-8, which a stream may begin with (HTML standard, 9.2.5). It is dropped.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How far work has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// Everything that came was looked at.
    Done,
    /// There is more to do: others first.
    More,
}

/// One stream under its mask.
pub(crate) struct EventMask {
    applied: Rc<Applied>,
    mask: StreamMask,
    kind: StreamKind,
    boundary: Boundary,
    /// What came and was not looked at.
    unread: Buffer,
    /// An event that came in pieces, up to now.
    gathered: Gathered,
    /// The event that is being masked.
    current: Current,
    /// What a mask wrote of it.
    written: Gathered,
    /// The body came to its end, and what was gathered is its last, unfinished event.
    ended: bool,
    /// No event has come yet.
    is_first: bool,
    open: Option<Block>,
    free: Vec<Buffer>,
    /// Values that were told of already.
    told: u64,
    /// When an event last came, or what was held was let go.
    since: Duration,
    stalled: bool,
    /// Until when the analyser may be asked about this event.
    asked_until: Option<Duration>,
}

/// The event that is being masked.
enum Current {
    None,
    /// It came whole; whether it was begun.
    Slice(Buffer, bool),
    /// It was gathered, from this offset on; whether it was begun.
    Gathered(usize, bool),
}

impl EventMask {
    /// A stream that begins now.
    pub(crate) fn new(applied: Rc<Applied>, path: &str, kind: StreamKind, now: Duration) -> Self {
        let mask = applied.stream(path, kind);
        Self {
            applied,
            mask,
            kind,
            boundary: Boundary::new(kind),
            unread: Buffer::default(),
            gathered: Gathered::default(),
            current: Current::None,
            written: Gathered::default(),
            ended: false,
            is_first: true,
            open: None,
            free: Vec::new(),
            told: 0,
            since: now,
            stalled: false,
            asked_until: None,
        }
    }

    /// Whether something must be asked before more is masked.
    pub(crate) fn asks(&mut self) -> bool {
        self.mask.analysis().is_some_and(|analysis| analysis.question().is_some())
    }

    /// Asks the analyser that.
    ///
    /// # Errors
    /// The exchange ends.
    pub(crate) async fn answer<N: Network>(
        &mut self,
        core: &Core<N>,
        guard: &Guard<N>,
    ) -> Result<(), Reason> {
        let limit = self.applied.analyzer_limit();
        let now = core.network.now();
        let until = *self.asked_until.get_or_insert_with(|| now.saturating_add(limit));
        match self.mask.analysis() {
            Some(analysis) => self.applied.answer(core, guard, until, analysis).await,
            None => Ok(()),
        }
    }

    /// Finds out what must be asked before [`Self::stalled`].
    pub(crate) fn ask_stalled(&mut self, counters: &Counters) {
        let Self { applied, mask, .. } = self;
        self.asked_until = None;
        if mask.analysis().is_some() {
            applied.work(counters, |scratch| mask.ask_stalled(scratch));
        }
    }

    /// How its events are framed.
    pub(crate) fn kind(&self) -> StreamKind {
        self.kind
    }

    /// Whether an event has come.
    pub(crate) fn is_begun(&self) -> bool {
        !self.is_first
    }

    /// Values that were masked since this was asked last.
    pub(crate) fn newly_masked(&mut self) -> u64 {
        let masked = self.mask.masked();
        masked.saturating_sub(std::mem::replace(&mut self.told, masked))
    }

    /// Takes the next bytes of the body; [`Self::work`] looks at them.
    pub(crate) fn take(&mut self, piece: Buffer) {
        debug_assert!(self.unread.is_empty(), "what came before was looked at");
        self.unread = piece;
    }

    /// The body has come to its end.
    pub(crate) fn take_end(&mut self) {
        self.ended = true;
    }

    /// Masks events until there are no more of them, or others should have their turn.
    ///
    /// # Errors
    /// An event can't be masked, or the core's buffers are used up. What is free stays so.
    pub(crate) fn work(
        &mut self,
        pool: &Pool,
        counters: &Counters,
        now: Duration,
    ) -> Result<Progress, Reason> {
        loop {
            if matches!(self.current, Current::None) && !self.find(pool)? {
                return Ok(Progress::Done);
            }
            match self.step(pool, counters)? {
                Step::More => return Ok(Progress::More),
                Step::Unchanged => self.pass(pool)?,
                Step::Written => self.put_written(pool)?,
            }
            self.current = Current::None;
            self.gathered.clear();
            (self.since, self.stalled) = (now, false);
            self.asked_until = None;
            self.count_held(counters);
        }
    }

    /// Finds the next event; `false` where none is whole.
    fn find(&mut self, pool: &Pool) -> Result<bool, Reason> {
        while !self.unread.is_empty() {
            let end = self.boundary.first(&self.unread);
            let piece = self.unread.split_to(end.unwrap_or(self.unread.len()));
            if self.gathered.len().saturating_add(piece.len()) > EVENT_BYTES_MAX {
                return Err(Reason::Unmaskable(Unmaskable::EventTooLong));
            }
            if end.is_some() && self.gathered.is_empty() {
                self.begin(Current::Slice(piece, false));
            } else {
                self.gathered.push(pool, &piece).map_err(|_| Reason::NO_BUFFERS)?;
                if end.is_none() {
                    return Ok(false);
                }
                self.begin(Current::Gathered(0, false));
            }
            if self.is_blank() {
                // A line end by itself: the second half of the one before, or nothing at all.
                self.pass(pool)?;
                self.current = Current::None;
                self.gathered.clear();
                continue;
            }
            return Ok(true);
        }
        if self.ended && !self.gathered.is_empty() {
            self.begin(Current::Gathered(0, false));
            return Ok(true);
        }
        Ok(false)
    }

    fn begin(&mut self, mut current: Current) {
        if std::mem::take(&mut self.is_first) && self.kind == StreamKind::Sse {
            match &mut current {
                Current::Slice(event, _) if event.starts_with(BYTE_ORDER_MARK) => {
                    drop(event.split_to(BYTE_ORDER_MARK.len()));
                }
                Current::Gathered(start, _)
                    if self.gathered.bytes().starts_with(BYTE_ORDER_MARK) =>
                {
                    *start = BYTE_ORDER_MARK.len();
                }
                Current::None | Current::Slice(..) | Current::Gathered(..) => {}
            }
        }
        self.current = current;
    }

    fn is_blank(&self) -> bool {
        self.event().iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    fn event(&self) -> &[u8] {
        match &self.current {
            Current::None => &[],
            Current::Slice(event, _) => event,
            Current::Gathered(start, _) => self.gathered.bytes().get(*start..).unwrap_or_default(),
        }
    }

    fn step(&mut self, pool: &Pool, counters: &Counters) -> Result<Step, Reason> {
        let Self { applied, mask, gathered, current, written, .. } = self;
        let (event, is_begun) = match current {
            Current::None => return Err(Reason::Internal),
            Current::Slice(event, is_begun) => (&**event, is_begun),
            Current::Gathered(start, is_begun) => {
                (gathered.bytes().get(*start..).unwrap_or_default(), is_begun)
            }
        };
        let goes_on = std::mem::replace(is_begun, true);
        let write = |out: &mut Vec<u8>| {
            applied.work(counters, |scratch| {
                if goes_on {
                    mask.more(scratch, event, out)
                } else {
                    mask.event(scratch, event, out)
                }
            })
        };
        let step = written.write(pool, write).map_err(|_| Reason::NO_BUFFERS)?;
        step.map_err(refused)
    }

    /// The event leaves as it came.
    fn pass(&mut self, pool: &Pool) -> Result<(), Reason> {
        let full = |_: Exhausted| Reason::NO_BUFFERS;
        match std::mem::replace(&mut self.current, Current::None) {
            Current::None => Ok(()),
            Current::Slice(event, _) => {
                let room = self.open.as_mut().map_or(0, |block| block.unfilled().len());
                if event.len() <= COPY_BELOW.min(room) {
                    return put(&mut self.open, &mut self.free, pool, &event).map_err(full);
                }
                close(&mut self.open, &mut self.free);
                if !self.free.last_mut().is_some_and(|last| last.join(&event)) {
                    self.free.push(event);
                }
                Ok(())
            }
            Current::Gathered(start, _) => {
                let event = self.gathered.bytes().get(start..).unwrap_or_default();
                put(&mut self.open, &mut self.free, pool, event).map_err(full)
            }
        }
    }

    fn put_written(&mut self, pool: &Pool) -> Result<(), Reason> {
        put(&mut self.open, &mut self.free, pool, self.written.bytes())
            .map_err(|_| Reason::NO_BUFFERS)?;
        self.written.clear();
        Ok(())
    }

    /// Lets go of what is held at the end of the body, once [`Self::work`] is done.
    ///
    /// # Errors
    /// It can't be masked, or the core's buffers are used up.
    pub(crate) fn close(&mut self, pool: &Pool, counters: &Counters) -> Result<Progress, Reason> {
        let Self { applied, mask, written, .. } = self;
        let end = |out: &mut Vec<u8>| applied.work(counters, |scratch| mask.end(scratch, out));
        let ended = written.write(pool, end).map_err(|_| Reason::NO_BUFFERS)?;
        match ended.map_err(refused)? {
            Step::More => Ok(Progress::More),
            Step::Unchanged => Ok(Progress::Done),
            Step::Written => {
                self.put_written(pool)?;
                Ok(Progress::Done)
            }
        }
    }

    /// When text has been held for too long; none where nothing is.
    pub(crate) fn stalls_at(&self) -> Option<Duration> {
        let holds = !self.stalled && self.mask.holds_text();
        let limit = self.applied.mask.enforced.document.stalled_ms_max;
        holds.then(|| self.since.saturating_add(Duration::from_millis(limit)))
    }

    /// Text was held for too long: what is decided about it becomes free.
    ///
    /// # Errors
    /// The core's buffers are used up.
    pub(crate) fn stalled(
        &mut self,
        pool: &Pool,
        counters: &Counters,
        now: Duration,
    ) -> Result<(), Reason> {
        self.count_wait(counters, now);
        let Self { applied, mask, written, .. } = self;
        let decide =
            |out: &mut Vec<u8>| applied.work(counters, |scratch| mask.stalled(scratch, out));
        written.write(pool, decide).map_err(|_| Reason::NO_BUFFERS)?;
        (self.since, self.stalled) = (now, true);
        self.put_written(pool)
    }

    /// What is free to go.
    pub(crate) fn free(&mut self) -> &mut Vec<Buffer> {
        close(&mut self.open, &mut self.free);
        &mut self.free
    }

    /// Counts how long text was held until now, when something came.
    pub(crate) fn count_wait(&self, counters: &Counters, now: Duration) {
        if !self.stalled && self.mask.holds_text() {
            let held = now.saturating_sub(self.since).as_millis();
            counters.mask_hold_ms_max.raise(u64::try_from(held).unwrap_or(u64::MAX));
        }
    }

    fn count_held(&self, counters: &Counters) {
        let held = u64::try_from(self.mask.held_bytes()).unwrap_or(u64::MAX);
        counters.mask_events.add(1);
        counters.mask_held_bytes.add(held);
        counters.mask_held_bytes_max.raise(held);
    }
}

/// Why an answer can't go on.
pub(super) fn refused(refused: Refused) -> Reason {
    let is_unanswered = refused == Refused::Unanswered;
    Reason::Unmaskable(if is_unanswered { Unmaskable::Analyzer } else { Unmaskable::Content })
}

/// Appends bytes that were written anew.
fn put(
    open: &mut Option<Block>,
    free: &mut Vec<Buffer>,
    pool: &Pool,
    mut bytes: &[u8],
) -> Result<(), Exhausted> {
    while !bytes.is_empty() {
        let mut block = match open.take() {
            Some(block) => block,
            None => pool.take()?,
        };
        let taken = block.append(bytes);
        bytes = bytes.get(taken..).unwrap_or_default();
        if bytes.is_empty() {
            *open = Some(block);
        } else {
            free.push(block.freeze());
        }
    }
    Ok(())
}

fn close(open: &mut Option<Block>, free: &mut Vec<Buffer>) {
    if let Some(block) = open.take() {
        free.push(block.freeze());
    }
}
