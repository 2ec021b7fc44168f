//! How the endpoints of connections do, seen from one core: what runs on each, and which of them
//! are left alone for a while because they failed. State lives longer than a policy.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::reason::Reason;

/// Failures in a row after which an endpoint is left alone.
const FAILURES_MAX: u32 = 5;

/// How long it is left alone; then requests try it again, and the next failure counts at once.
const LEFT_ALONE: Duration = Duration::from_secs(10);

/// One endpoint.
#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    running: Cell<u32>,
    failures: Cell<u32>,
    alone_until: Cell<Duration>,
    tried: Cell<bool>,
}

/// What an operator is told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Health {
    /// The last requests failed.
    Down,
    /// No request yet.
    Unknown,
    /// The last request got an answer.
    Up,
}

impl Health {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Unknown => "unknown",
            Self::Up => "up",
        }
    }
}

/// One exchange that runs on an endpoint, for as long as it lives.
pub(crate) struct Running(Rc<Endpoint>);

impl Endpoint {
    /// Counts an exchange.
    pub(crate) fn run(self: &Rc<Self>) -> Running {
        self.running.set(self.running.get().saturating_add(1));
        Running(Rc::clone(self))
    }

    /// Exchanges that run on it from this core.
    pub(crate) fn running(&self) -> u32 {
        self.running.get()
    }

    /// Whether it is left alone now.
    pub(crate) fn is_left_alone(&self, now: Duration) -> bool {
        now < self.alone_until.get()
    }

    /// How it does.
    pub(crate) fn health(&self) -> Health {
        match (self.tried.get(), self.failures.get() >= FAILURES_MAX) {
            (false, _) => Health::Unknown,
            (true, true) => Health::Down,
            (true, false) => Health::Up,
        }
    }

    /// Learns from an outcome: `None` is an answer.
    pub(crate) fn learn(&self, fault: Option<&Reason>, now: Duration) {
        let failed = fault.is_some_and(is_its_fault);
        if fault.is_some() && !failed {
            return;
        }
        self.tried.set(true);
        if !failed {
            self.failures.set(0);
            self.alone_until.set(Duration::ZERO);
            return;
        }
        self.failures.set(self.failures.get().saturating_add(1));
        if self.failures.get() >= FAILURES_MAX {
            self.alone_until.set(now.saturating_add(LEFT_ALONE));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get().saturating_sub(1));
    }
}

/// Whether a reason says something about the endpoint.
fn is_its_fault(reason: &Reason) -> bool {
    match reason {
        Reason::UpstreamConnectTimeout
        | Reason::UpstreamProtocol
        | Reason::UpstreamReset
        | Reason::UpstreamTimeout
        | Reason::UpstreamUnreachable => true,
        Reason::Served
        | Reason::Ambiguous(_)
        | Reason::BadRequest(_)
        | Reason::ClientGone
        | Reason::ClientStalled
        | Reason::CredentialUnavailable
        | Reason::Denied(_)
        | Reason::Draining
        | Reason::Expectation
        | Reason::HeadTooLarge
        | Reason::Internal
        | Reason::Method
        | Reason::NoConnection
        | Reason::NotImplemented
        | Reason::Overloaded
        | Reason::PolicyChanged(_)
        | Reason::PolicyStale
        | Reason::RateLimited
        | Reason::StreamTooLong
        | Reason::TargetTooLong
        | Reason::Timeout
        | Reason::TooLarge
        | Reason::Unauthenticated(_)
        | Reason::UnsupportedEncoding
        | Reason::UpstreamRedirect
        | Reason::UpstreamUnauthorized
        | Reason::Version => false,
    }
}

/// All endpoints that this core knows.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    known: RefCell<HashMap<String, Rc<Endpoint>>>,
}

impl Endpoints {
    /// The state of an endpoint: the same one for as long as somebody uses it.
    pub(crate) fn of(&self, authority: &str) -> Rc<Endpoint> {
        let mut known = self.known.borrow_mut();
        if let Some(endpoint) = known.get(authority) {
            return Rc::clone(endpoint);
        }
        let endpoint = Rc::new(Endpoint::default());
        known.insert(authority.to_owned(), Rc::clone(&endpoint));
        endpoint
    }

    /// Forgets endpoints that no policy and no exchange holds any more.
    pub(crate) fn forget_unused(&self) {
        self.known.borrow_mut().retain(|_, endpoint| Rc::strong_count(endpoint) > 1);
    }

    /// How each does.
    pub(crate) fn health(&self) -> Vec<(String, Health)> {
        let known = self.known.borrow();
        known.iter().map(|(authority, one)| (authority.clone(), one.health())).collect()
    }
}

/// The order in which endpoints are tried: of two that the numbers pick the one with less to do
/// comes first (power of two choices), those that are left alone come last. None is ever left out:
/// with one endpoint there is nothing to choose.
pub(crate) fn order<T>(
    count: usize,
    random: [usize; 2],
    now: Duration,
    endpoint: impl Fn(usize) -> Option<T>,
) -> Vec<usize>
where
    T: AsRef<Endpoint>,
{
    let rank = |index: usize| {
        let state = endpoint(index);
        let state = state.as_ref().map(AsRef::as_ref);
        state.map_or((true, u32::MAX), |one| (one.is_left_alone(now), one.running()))
    };
    let mut order: Vec<usize> = (0..count).collect();
    let Some([first, second]) = pick(count, random) else { return order };
    let better = if rank(second) < rank(first) { second } else { first };
    // The rest in a round from there, those that are left alone behind the others.
    order.rotate_left(better);
    order.sort_by_key(|index| (rank(*index).0, *index != better));
    order
}

/// Two different places.
fn pick(count: usize, random: [usize; 2]) -> Option<[usize; 2]> {
    let first = random[0].checked_rem(count)?;
    let others = count.checked_sub(1).filter(|others| *others > 0)?;
    let second = (first + 1 + random[1] % others) % count;
    Some([first, second])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn endpoints(count: usize) -> Vec<Rc<Endpoint>> {
        (0..count).map(|_| Rc::new(Endpoint::default())).collect()
    }

    fn order_of(all: &[Rc<Endpoint>], random: [usize; 2]) -> Vec<usize> {
        order(all.len(), random, NOW, |index| all.get(index).cloned())
    }

    #[test]
    fn of_two_choices_the_one_with_less_to_do_is_tried_first() {
        let all = endpoints(3);
        let _busy = all[0].run();
        assert_eq!(order_of(&all, [0, 1])[0], 2);
        assert_eq!(order_of(&all, [0, 0])[0], 1);
    }

    #[test]
    fn an_endpoint_that_keeps_failing_is_tried_last_and_comes_back() {
        let all = endpoints(2);
        for _ in 0..FAILURES_MAX {
            all[0].learn(Some(&Reason::UpstreamReset), NOW);
        }
        assert_eq!(all[0].health(), Health::Down);
        for random in 0..4 {
            assert_eq!(order_of(&all, [random, random]), [1, 0]);
        }
        assert!(!all[0].is_left_alone(NOW + LEFT_ALONE));
        all[0].learn(None, NOW);
        assert_eq!(all[0].health(), Health::Up);
    }

    #[test]
    fn what_is_not_the_endpoints_fault_does_not_count_against_it() {
        let all = endpoints(1);
        for _ in 0..FAILURES_MAX * 2 {
            all[0].learn(Some(&Reason::ClientGone), NOW);
        }
        assert_eq!(all[0].health(), Health::Unknown);
        assert_eq!(order_of(&all, [7, 7]), [0]);
    }

    #[test]
    fn an_exchange_counts_for_as_long_as_it_runs() {
        let all = endpoints(1);
        let running = all[0].run();
        assert_eq!(all[0].running(), 1);
        drop(running);
        assert_eq!(all[0].running(), 0);
    }
}
