//! Places on endpoints, and the requests that wait for one. An endpoint has so many places a core;
//! when all that a request could use are taken, it waits in the order of arrival, within bounds of
//! number and age. A place that becomes free goes from hand to hand: nobody overtakes. Who leaves
//! is out at once, and so is who has become too old.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::endpoint::Endpoint;
use crate::retries::Retries;

/// The places of one endpoint.
#[derive(Debug)]
pub(crate) struct Places {
    most: u32,
    taken: Cell<u32>,
    /// Who waits for one of them, by arrival.
    waiting: RefCell<BTreeMap<u64, Rc<Waiter>>>,
}

impl Places {
    /// So many, all free.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, taken: Cell::new(0), waiting: RefCell::default() }
    }

    /// Places that are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.get()
    }
}

/// One exchange that runs on an endpoint, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Running(Rc<Endpoint>);

impl Running {
    /// A place, if one is free.
    pub(crate) fn on(endpoint: &Rc<Endpoint>) -> Option<Self> {
        let Places { most, taken, .. } = endpoint.places();
        let next = taken.get().checked_add(1).filter(|next| next <= most)?;
        taken.set(next);
        Some(Self(Rc::clone(endpoint)))
    }

    /// Where it runs.
    pub(crate) fn endpoint(&self) -> &Rc<Endpoint> {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let places = self.0.places();
        let next = places.waiting.borrow_mut().pop_first();
        match next {
            Some((ticket, waiter)) => waiter.grant(ticket, Self(Rc::clone(&self.0))),
            None => places.taken.set(places.taken.get().saturating_sub(1)),
        }
    }
}

/// A request that waits.
#[derive(Debug)]
struct Waiter {
    /// The endpoints that it can use.
    endpoints: Vec<Rc<Endpoint>>,
    granted: RefCell<Option<Running>>,
    waker: RefCell<Option<Waker>>,
}

impl Waiter {
    /// Gives it a place, and takes it out of every other row.
    fn grant(&self, ticket: u64, running: Running) {
        self.leave(ticket);
        *self.granted.borrow_mut() = Some(running);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn leave(&self, ticket: u64) {
        for endpoint in &self.endpoints {
            endpoint.places().waiting.borrow_mut().remove(&ticket);
        }
    }
}

/// The queue of one connection on one core.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Cell<usize>,
    /// Numbers by arrival, the same for all queues of the core.
    tickets: Rc<Cell<u64>>,
    retries: Retries,
}

impl Queue {
    /// An empty one.
    pub(crate) fn new(tickets: &Rc<Cell<u64>>) -> Self {
        Self { tickets: Rc::clone(tickets), ..Self::default() }
    }

    /// How often requests of the connection are tried again.
    pub(crate) fn retries(&self) -> &Retries {
        &self.retries
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// Waits for a place on any of the endpoints, none of which has one free; none if `most` wait
    /// already.
    pub(crate) fn wait(
        self: &Rc<Self>,
        endpoints: Vec<Rc<Endpoint>>,
        most: usize,
    ) -> Option<Waiting> {
        if self.waiting.get() >= most {
            return None;
        }
        self.waiting.set(self.waiting.get().saturating_add(1));
        let ticket = self.tickets.get();
        self.tickets.set(ticket.wrapping_add(1));
        let waiter =
            Rc::new(Waiter { endpoints, granted: RefCell::new(None), waker: RefCell::new(None) });
        for endpoint in &waiter.endpoints {
            endpoint.places().waiting.borrow_mut().insert(ticket, Rc::clone(&waiter));
        }
        Some(Waiting { queue: Rc::clone(self), waiter, ticket })
    }
}

/// A place in the queue; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: Rc<Queue>,
    waiter: Rc<Waiter>,
    ticket: u64,
}

impl Future for Waiting {
    type Output = Running;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Running> {
        if let Some(running) = self.waiter.granted.borrow_mut().take() {
            return Poll::Ready(running);
        }
        *self.waiter.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.queue.waiting.set(self.queue.waiting.get().saturating_sub(1));
        self.waiter.leave(self.ticket);
        // A place that came too late goes to the next one; not while anything is borrowed.
        let unused = self.waiter.granted.borrow_mut().take();
        drop(unused);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    fn endpoint() -> Rc<Endpoint> {
        Rc::new(Endpoint::new(1, Duration::ZERO, Duration::ZERO))
    }

    #[test]
    fn a_place_goes_to_those_that_wait_in_the_order_of_their_arrival() {
        let (endpoint, queue) = (endpoint(), Rc::new(Queue::default()));
        let running = Running::on(&endpoint).unwrap();
        let mut first = queue.wait(vec![Rc::clone(&endpoint)], 2).unwrap();
        let mut second = queue.wait(vec![Rc::clone(&endpoint)], 2).unwrap();
        assert!(queue.wait(vec![Rc::clone(&endpoint)], 2).is_none(), "the queue is full");
        assert!((&mut first).now_or_never().is_none());
        drop(running);
        assert!(Running::on(&endpoint).is_none(), "nobody overtakes");
        assert!((&mut second).now_or_never().is_none());
        let running = (&mut first).now_or_never().unwrap();
        drop(running);
        assert!((&mut second).now_or_never().is_some());
        drop((first, second));
        assert_eq!((queue.waiting(), endpoint.places().taken()), (0, 0));
    }

    #[test]
    fn who_leaves_is_out_at_once_and_hands_on_what_it_was_given() {
        let (endpoint, queue) = (endpoint(), Rc::new(Queue::default()));
        let running = Running::on(&endpoint).unwrap();
        let gone = queue.wait(vec![Rc::clone(&endpoint)], 9).unwrap();
        let given = queue.wait(vec![Rc::clone(&endpoint)], 9).unwrap();
        let mut next = queue.wait(vec![Rc::clone(&endpoint)], 9).unwrap();
        drop(gone);
        assert_eq!(queue.waiting(), 2);
        drop(running);
        drop(given);
        assert!((&mut next).now_or_never().is_some());
    }

    #[test]
    fn of_two_endpoints_the_first_with_a_place_serves_and_no_place_is_lost() {
        let (one, two, queue) = (endpoint(), endpoint(), Rc::new(Queue::default()));
        let on_one = Running::on(&one).unwrap();
        let on_two = Running::on(&two).unwrap();
        let mut waiting = queue.wait(vec![Rc::clone(&one), Rc::clone(&two)], 9).unwrap();
        drop(on_two);
        drop(on_one);
        let running = (&mut waiting).now_or_never().unwrap();
        assert!(Rc::ptr_eq(running.endpoint(), &two));
        assert_eq!((one.places().taken(), two.places().taken()), (0, 1));
    }
}
