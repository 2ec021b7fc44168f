//! One direction of a connection, and the two ends that own a pair of them. Behaves as TCP does:
//! bytes stay in order, what arrived before the end is received before it, an end that closes with
//! bytes unread resets, and so does an end that is closed and gets more.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::world::{Event, World};
use super::{Direction, Link};
use crate::buffer::{Block, Pool};
use crate::network::{NetworkError, Received};

type Completion = Result<Received, NetworkError>;

/// One direction.
pub(super) struct Pipe {
    world: Rc<World>,
    direction: Direction,
    itself: Weak<Pipe>,
    /// The other direction of the same connection.
    opposite: RefCell<Weak<Pipe>>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Sent and not there yet, with the time of arrival.
    travelling: VecDeque<(Duration, Vec<u8>)>,
    arrived: VecDeque<u8>,
    bytes_sent: u64,
    /// What comes after the last byte.
    ending: Option<Ending>,
    sender: Option<Waker>,
    receiver: Option<Waker>,
    /// A receive that completed and is on its way to the receiver.
    completing: Option<(Duration, Completion)>,
    /// Completed receives that the receiver has not taken.
    completed: VecDeque<Completion>,
    /// The pool of a receiver that waits.
    waiting: Option<Pool>,
    receiver_gone: bool,
    /// Nobody will ever read here again.
    closed: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Ending {
    Finished,
    Reset,
}

impl Pipe {
    fn new(world: &Rc<World>, direction: Direction) -> Rc<Self> {
        Rc::new_cyclic(|itself| Self {
            world: Rc::clone(world),
            direction,
            itself: Weak::clone(itself),
            opposite: RefCell::default(),
            state: RefCell::default(),
        })
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Sends some of the bytes, at least one; waits while the pipe is full.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, NetworkError>> {
        let mut state = self.state();
        if state.ending.is_some() {
            return Poll::Ready(Err(NetworkError::Reset));
        }
        let room = self.direction.capacity_bytes.saturating_sub(state.bytes_held());
        let count = self.some_of(bytes.len().min(room), self.direction.send_bytes_max);
        let left = self.direction.reset_after_bytes.map(|limit| limit - state.bytes_sent);
        let count = left.map_or(count, |left| count.min(usize::try_from(left).unwrap_or(count)));
        if left == Some(0) {
            drop(state);
            self.reset_after_arrival();
            return Poll::Ready(Err(NetworkError::Reset));
        }
        if count == 0 {
            state.sender = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.bytes_sent += count as u64;
        self.let_travel(&mut state, &bytes[..count]);
        let at_limit = left == Some(count as u64);
        drop(state);
        if at_limit {
            self.reset_after_arrival();
        }
        self.advance();
        Poll::Ready(Ok(count))
    }

    /// A number up to both limits: the smaller one, or with random splits anything from one up to
    /// it.
    fn some_of(&self, count: usize, count_max: usize) -> usize {
        let most = count.min(count_max.max(1));
        match self.direction.split_at_random {
            true if most > 0 => 1 + self.world.below(most),
            _ => most,
        }
    }

    fn let_travel(&self, state: &mut State, bytes: &[u8]) {
        let arrival = self.world.now() + self.world.up_to(self.direction.delay_max);
        let last = state.travelling.back().map_or(Duration::ZERO, |(at, _)| *at);
        let arrival = arrival.max(last);
        state.travelling.push_back((arrival, bytes.to_vec()));
        self.plan(arrival);
    }

    fn plan(&self, at: Duration) {
        if let (true, Some(itself)) = (at > self.world.now(), self.itself.upgrade()) {
            self.world.plan(at, Event::Advance(itself));
        }
    }

    /// Bytes sent since the start.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.state().bytes_sent
    }

    /// The sender ends; what it sent arrives first.
    pub(super) fn finish(&self) {
        let mut state = self.state();
        state.ending.get_or_insert(Ending::Finished);
        drop(state);
        self.advance();
    }

    /// The connection ends in both directions; in this one after what was sent.
    fn reset_after_arrival(&self) {
        self.state().ending = Some(Ending::Reset);
        self.advance();
        if let Some(opposite) = self.opposite.borrow().upgrade() {
            opposite.cut();
        }
    }

    /// The connection ends in this direction; what travels is lost.
    fn cut(&self) {
        let mut state = self.state();
        state.travelling.clear();
        state.ending = Some(Ending::Reset);
        drop(state);
        self.advance();
    }

    /// A reset, from either end: both directions are cut.
    pub(super) fn reset(&self) {
        self.cut();
        if let Some(opposite) = self.opposite.borrow().upgrade() {
            opposite.cut();
        }
    }

    /// Does what is due: lets bytes arrive, completes a receive that waits, hands over a completed
    /// one.
    pub(super) fn advance(&self) {
        let mut state = self.state();
        let now = self.world.now();
        while state.travelling.front().is_some_and(|(at, _)| *at <= now) {
            let bytes = state.travelling.pop_front().map(|(_, bytes)| bytes).unwrap_or_default();
            state.arrived.extend(bytes);
        }
        if state.closed && !state.arrived.is_empty() {
            state.arrived.clear();
            drop(state);
            return self.reset();
        }
        if let Some((at, completion)) = state.completing.take() {
            match at <= now {
                // A receiver that is gone meanwhile has no use for it: its buffer goes back here.
                true if state.receiver_gone => {}
                true => state.completed.push_back(completion),
                false => state.completing = Some((at, completion)),
            }
        }
        self.complete_waiting(&mut state);
        let (sender, receiver) = (state.sender.take(), state.receiver.take());
        drop(state);
        sender.into_iter().chain(receiver).for_each(Waker::wake);
    }

    /// Completes the receive that waits, if something has come for it.
    fn complete_waiting(&self, state: &mut State) {
        if !state.has_something() {
            return;
        }
        let Some(pool) = state.waiting.take() else { return };
        let Some(completion) = self.complete(state, &pool) else { return };
        let delay = self.world.up_to(self.direction.completion_delay_max);
        if delay.is_zero() {
            state.completed.push_back(completion);
            return;
        }
        let at = self.world.now() + delay;
        state.completing = Some((at, completion));
        self.plan(at);
    }

    fn complete(&self, state: &mut State, pool: &Pool) -> Option<Completion> {
        if state.arrived.is_empty() {
            return match state.ending? {
                Ending::Finished => Some(Ok(Received::End)),
                Ending::Reset => Some(Err(NetworkError::Reset)),
            };
        }
        let Ok(mut block) = pool.take() else { return Some(Err(NetworkError::Exhausted)) };
        let most = block.unfilled().len().min(state.arrived.len());
        let count = self.some_of(most, self.direction.receive_bytes_max);
        fill(&mut block, state.arrived.drain(..count));
        Some(Ok(Received::Data(block.freeze())))
    }

    /// The next completion. A pool's block is taken only when bytes are there for it.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>, pool: &Pool) -> Poll<Completion> {
        let mut state = self.state();
        if state.completed.is_empty() && state.completing.is_none() {
            state.waiting = Some(pool.clone());
            self.complete_waiting(&mut state);
        }
        let completion = state.completed.pop_front();
        // Room for the sender, if bytes were taken.
        let sender = state.sender.take();
        if completion.is_none() {
            state.receiver = Some(cx.waker().clone());
        }
        drop(state);
        sender.into_iter().for_each(Waker::wake);
        completion.map_or(Poll::Pending, Poll::Ready)
    }

    /// Whether nothing waits to be received.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state();
        state.completed.is_empty() && state.completing.is_none() && !state.has_something()
    }

    /// Everything that has arrived, for a test; empty at the end.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, NetworkError>> {
        let mut state = self.state();
        if state.arrived.is_empty() && !state.has_something() {
            state.receiver = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes: Vec<u8> = state.arrived.drain(..).collect();
        let sender = state.sender.take();
        let reset = bytes.is_empty() && state.ending == Some(Ending::Reset);
        drop(state);
        sender.into_iter().for_each(Waker::wake);
        Poll::Ready(if reset { Err(NetworkError::Reset) } else { Ok(bytes) })
    }

    /// The receiver goes. A receive that is completing goes on, with its buffer, until it is due.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.receiver_gone = true;
        state.waiting = None;
        state.receiver = None;
        let taken = std::mem::take(&mut state.completed);
        drop(state);
        drop(taken);
    }

    /// Nobody reads here any more. Whether bytes were left unread.
    fn close(&self) -> bool {
        let mut state = self.state();
        state.closed = true;
        !state.arrived.is_empty()
    }
}

fn fill(block: &mut Block, bytes: impl Iterator<Item = u8>) {
    let bytes: Vec<u8> = bytes.collect();
    block.append(&bytes);
}

impl State {
    fn bytes_held(&self) -> usize {
        let travelling: usize = self.travelling.iter().map(|(_, bytes)| bytes.len()).sum();
        travelling + self.arrived.len()
    }

    /// Whether there are bytes, or the end has come.
    fn has_something(&self) -> bool {
        !self.arrived.is_empty() || (self.travelling.is_empty() && self.ending.is_some())
    }
}

/// One side of a connection; closes when it is dropped.
pub(super) struct End {
    pub(super) incoming: Rc<Pipe>,
    pub(super) outgoing: Rc<Pipe>,
    pub(super) aborted: Cell<bool>,
}

impl End {
    /// Both sides; the first is the one that the link's `inbound` leads to.
    pub(super) fn pair(world: &Rc<World>, link: Link) -> (Rc<Self>, Rc<Self>) {
        let inbound = Pipe::new(world, link.inbound);
        let outbound = Pipe::new(world, link.outbound);
        *inbound.opposite.borrow_mut() = Rc::downgrade(&outbound);
        *outbound.opposite.borrow_mut() = Rc::downgrade(&inbound);
        let ours = Self::new(Rc::clone(&inbound), Rc::clone(&outbound));
        (ours, Self::new(outbound, inbound))
    }

    fn new(incoming: Rc<Pipe>, outgoing: Rc<Pipe>) -> Rc<Self> {
        Rc::new(Self { incoming, outgoing, aborted: Cell::new(false) })
    }

    /// Resets the connection.
    pub(super) fn abort(&self) {
        if !self.aborted.replace(true) {
            self.outgoing.reset();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if self.incoming.close() {
            self.outgoing.reset();
        } else {
            self.outgoing.finish();
        }
    }
}
