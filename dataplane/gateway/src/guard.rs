//! Waiting within limits. Every wait of an exchange goes through one [`Guard`]: it ends when the
//! thing came, when its deadline passed, or when the exchange was cancelled, also in the middle of
//! a send. One timer a connection is kept and moved, so that a wait costs no timer of its own.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use penstock_reactor::network::Network;

use crate::reason::Reason;

/// Ends an exchange from outside: a policy that now denies, a drain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel(Rc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    reason: RefCell<Option<Reason>>,
    waker: RefCell<Option<Waker>>,
}

impl Cancel {
    /// Cancels; the first reason stays. `false`: it was cancelled already.
    pub(crate) fn cancel(&self, reason: Reason) -> bool {
        let first = self.0.reason.borrow().is_none();
        self.0.reason.borrow_mut().get_or_insert(reason);
        if let Some(waker) = self.0.waker.borrow_mut().take() {
            waker.wake();
        }
        first
    }

    fn poll(&self, cx: &Context<'_>) -> Option<Reason> {
        let reason = self.0.reason.borrow().clone();
        if reason.is_none() {
            *self.0.waker.borrow_mut() = Some(cx.waker().clone());
        }
        reason
    }
}

/// Why a wait ended without its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Interrupt {
    /// Its deadline passed.
    Elapsed,
    /// The exchange was cancelled.
    Cancelled(Reason),
}

/// What the end of a whole exchange comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bound {
    /// `stream_ms_max` of its connection.
    Stream,
    /// The first of its grants that ends.
    Grant,
    /// The caller's token.
    Token,
}

type Timer = Pin<Box<dyn Future<Output = ()>>>;

/// The limits of one caller's connection.
pub(crate) struct Guard<N: Network> {
    network: N,
    /// A new one for each exchange: a late cancellation must not hit the next.
    cancel: RefCell<Cancel>,
    /// No wait goes beyond this: the end of the whole exchange, and what set it.
    ends: Cell<(Duration, Bound)>,
    armed: RefCell<Option<(Duration, Timer)>>,
}

impl<N: Network> Guard<N> {
    /// A guard without an end of its own.
    pub(crate) fn new(network: N) -> Self {
        Self {
            network,
            cancel: RefCell::new(Cancel::default()),
            ends: Cell::new((Duration::MAX, Bound::Stream)),
            armed: RefCell::new(None),
        }
    }

    /// The handle that ends its waits.
    pub(crate) fn cancel(&self) -> Cancel {
        self.cancel.borrow().clone()
    }

    /// No wait goes on longer than this from now; an earlier end stays.
    pub(crate) fn end_in(&self, limit: Duration, bound: Bound) {
        let end = self.network.now().saturating_add(limit);
        if end < self.ends.get().0 {
            self.ends.set((end, bound));
        }
    }

    /// Lifts the end and any cancellation, before the next exchange.
    pub(crate) fn reset(&self) {
        self.ends.set((Duration::MAX, Bound::Stream));
        *self.cancel.borrow_mut() = Cancel::default();
    }

    /// Whether the end of the whole exchange has come.
    pub(crate) fn is_over(&self) -> bool {
        self.network.now() >= self.ends.get().0
    }

    /// Why the whole exchange ended, once it has.
    pub(crate) fn over(&self) -> Reason {
        match self.ends.get().1 {
            Bound::Stream => Reason::StreamTooLong,
            Bound::Grant => Reason::GrantEnded,
            Bound::Token => Reason::TokenEnded,
        }
    }

    /// Why a wait ended: `elapsed`, unless it was the end of the whole exchange.
    pub(crate) fn reason(&self, interrupt: Interrupt, elapsed: Reason) -> Reason {
        match interrupt {
            Interrupt::Cancelled(reason) => reason,
            Interrupt::Elapsed if self.is_over() => self.over(),
            Interrupt::Elapsed => elapsed,
        }
    }

    /// Waits for `future`, for at most `limit` and not beyond the end of the exchange.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, Interrupt> {
        let mut future = pin!(future);
        let cancel = self.cancel();
        let deadline = self.network.now().saturating_add(limit).min(self.ends.get().0);
        poll_fn(|cx| {
            if let Some(reason) = cancel.poll(cx) {
                return Poll::Ready(Err(Interrupt::Cancelled(reason)));
            }
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            self.poll_deadline(deadline, cx).map(|()| Err(Interrupt::Elapsed))
        })
        .await
    }

    /// Like [`Self::within`], deaf to cancellation: for the last words after one.
    pub(crate) async fn at_last<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = pin!(future);
        let deadline = self.network.now().saturating_add(limit);
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            self.poll_deadline(deadline, cx).map(|()| None)
        })
        .await
    }

    fn poll_deadline(&self, deadline: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let mut armed = self.armed.borrow_mut();
        loop {
            let rings_too_late = armed.as_ref().is_none_or(|(at, _)| *at > deadline);
            if rings_too_late {
                let left = deadline.saturating_sub(self.network.now());
                if left.is_zero() {
                    return Poll::Ready(());
                }
                *armed = Some((deadline, Box::pin(self.network.sleep(left))));
            }
            let Some((_, timer)) = armed.as_mut() else { return Poll::Pending };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // It rang for an earlier wait, or for this one: look again.
            *armed = None;
        }
    }
}
