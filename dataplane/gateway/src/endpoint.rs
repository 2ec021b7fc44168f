//! How the endpoints of connections do, seen from one core: what runs on each, and which of them
//! are left alone for a while because they failed. State lives longer than a policy.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use penstock_tls::Failure;

use crate::queue::{Places, Queue};
use crate::reason::Reason;

/// Failures in a row after which an endpoint is left alone.
const FAILURES_MAX: u32 = 5;

/// How long it is left alone without probes; then requests try it again, and the next failure
/// counts at once. With probes it is a probe that brings it back, so the time is longer than a few
/// of them.
const LEFT_ALONE: Duration = Duration::from_secs(10);

/// Probes that an endpoint which is left alone may miss before requests try it again.
const MISSED_PROBES: u32 = 3;

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    places: Places,
    failures: Cell<u32>,
    left_alone: Duration,
    alone_until: Cell<Duration>,
    tried: Cell<bool>,
    heard_at: Cell<Duration>,
    probing: Cell<bool>,
    doubted: Cell<bool>,
}

/// What tells endpoints apart: where they are, and how connections are secured. A connection with a
/// wrong authority must not take the server from one with the right one.
pub(crate) type EndpointKey = (String, Option<u64>);

/// What an operator is told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Health {
    /// The last requests failed.
    Down,
    /// No request and no probe yet.
    Unknown,
    /// The last request got an answer, or a probe did.
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

/// A probe that is under way; no other begins meanwhile.
pub(crate) struct Probing(Rc<Endpoint>);

impl Endpoint {
    /// One that nothing is known of.
    pub(crate) fn new(requests_max: u32, probe_every: Duration, now: Duration) -> Self {
        Self {
            places: Places::new(requests_max),
            failures: Cell::new(0),
            left_alone: LEFT_ALONE.max(probe_every.saturating_mul(MISSED_PROBES)),
            alone_until: Cell::new(Duration::ZERO),
            tried: Cell::new(false),
            heard_at: Cell::new(now),
            probing: Cell::new(false),
            doubted: Cell::new(false),
        }
    }

    /// Its places, those that are taken, and who waits for one.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// A probe, if none is under way and nothing was heard from it for so long.
    pub(crate) fn probe(self: &Rc<Self>, every: Duration, now: Duration) -> Option<Probing> {
        if self.probing.get() || now.saturating_sub(self.heard_at.get()) < every {
            return None;
        }
        self.probing.set(true);
        Some(Probing(Rc::clone(self)))
    }

    /// It takes connections: all that is known of one that was idle. Failures of requests stay.
    pub(crate) fn takes_connections(&self, now: Duration) {
        self.heard_at.set(now);
        self.tried.set(true);
    }

    /// It was asked, whatever came of it: the next probe has its time.
    pub(crate) fn was_probed(&self, now: Duration) {
        self.heard_at.set(now);
    }

    /// Something ended badly that a caller can bring about as well: the next probe asks for its
    /// health.
    pub(crate) fn doubt(&self) {
        self.doubted.set(true);
    }

    /// Whether an open port says too little about it.
    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted.get()
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
            if matches!(fault, Some(Reason::UpstreamTimeout(_))) {
                self.doubt();
            }
            return;
        }
        self.heard_at.set(now);
        self.tried.set(true);
        if !failed {
            self.doubted.set(false);
            self.failures.set(0);
            self.alone_until.set(Duration::ZERO);
            return;
        }
        self.failures.set(self.failures.get().saturating_add(1));
        if self.failures.get() >= FAILURES_MAX {
            self.alone_until.set(now.saturating_add(self.left_alone));
        }
    }
}

impl Probing {
    /// What is probed.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.probing.set(false);
    }
}

/// Whether a reason says something about the endpoint. How long an answer takes is up to what was
/// asked for: one caller could have an endpoint left alone.
pub(crate) fn is_its_fault(reason: &Reason) -> bool {
    match reason {
        Reason::UpstreamConnectTimeout(_)
        | Reason::UpstreamProtocol
        | Reason::UpstreamReset
        | Reason::UpstreamUnreachable => true,
        // What can't be set up on this node is nobody's fault there.
        Reason::UpstreamTls(failure) => failure.is_some_and(|one| one != Failure::Internal),
        Reason::Served
        | Reason::Ambiguous(_)
        | Reason::ApprovalDenied(_)
        | Reason::ApprovalExpired(_)
        | Reason::ApprovalPending(_)
        | Reason::ApprovalSpent(_)
        | Reason::ApprovalUnavailable
        | Reason::BadRequest(_)
        | Reason::ClientGone
        | Reason::ClientStalled
        | Reason::ConnectionChanged
        | Reason::CredentialUnavailable
        | Reason::Denied(_)
        | Reason::DigestRequired
        | Reason::Draining
        | Reason::Expectation
        | Reason::GrantEnded
        | Reason::HeadTooLarge(_)
        | Reason::Internal
        | Reason::MaskChanged
        | Reason::Method
        | Reason::NoConnection
        | Reason::NotImplemented
        | Reason::Overloaded(_)
        | Reason::PolicyChanged(_)
        | Reason::PolicyStale
        | Reason::RateLimited
        | Reason::Unexplained(_)
        | Reason::Revoked
        | Reason::SessionKilled
        | Reason::StreamTooLong
        | Reason::TargetTooLong
        | Reason::Timeout(_)
        | Reason::TokenEnded
        | Reason::TooLarge(_)
        | Reason::Unauthenticated(_)
        | Reason::UnsupportedEncoding
        | Reason::UpstreamAnswer(_)
        | Reason::UpstreamRedirect
        | Reason::UpstreamTimeout(_)
        | Reason::Unmaskable(_)
        | Reason::UnmaskableRequest(_)
        | Reason::UpstreamUnauthorized
        | Reason::Version => false,
    }
}

/// All endpoints that this core knows, and the queues of connections before them.
#[derive(Debug)]
pub(crate) struct Endpoints {
    known: RefCell<HashMap<EndpointKey, Rc<Endpoint>>>,
    queues: RefCell<HashMap<String, Rc<Queue>>>,
    tickets: Rc<Cell<u64>>,
    requests_max: u32,
    probe_every: Duration,
}

impl Endpoints {
    /// None yet. Each has so many places, and is probed so often.
    pub(crate) fn new(requests_max: u32, probe_every: Duration) -> Self {
        Self {
            known: RefCell::default(),
            queues: RefCell::default(),
            tickets: Rc::default(),
            requests_max,
            probe_every,
        }
    }

    /// The queue of a connection: the same one for as long as somebody uses it.
    pub(crate) fn queue(&self, connection: &str) -> Rc<Queue> {
        let mut queues = self.queues.borrow_mut();
        let queue = queues
            .entry(connection.to_owned())
            .or_insert_with(|| Rc::new(Queue::new(&self.tickets)));
        Rc::clone(queue)
    }

    /// Requests that wait, before all connections.
    pub(crate) fn waiting(&self) -> usize {
        self.queues.borrow().values().map(|queue| queue.waiting()).sum()
    }

    /// The state of an endpoint: the same one for as long as somebody uses it.
    pub(crate) fn of(&self, key: EndpointKey, now: Duration) -> Rc<Endpoint> {
        let mut known = self.known.borrow_mut();
        let new = || Rc::new(Endpoint::new(self.requests_max, self.probe_every, now));
        Rc::clone(known.entry(key).or_insert_with(new))
    }

    /// Forgets endpoints and queues that no policy and no exchange holds any more.
    pub(crate) fn forget_unused(&self) {
        self.queues.borrow_mut().retain(|_, queue| Rc::strong_count(queue) > 1);
        self.known.borrow_mut().retain(|_, endpoint| Rc::strong_count(endpoint) > 1);
    }

    /// How each does.
    pub(crate) fn health(&self) -> Vec<(EndpointKey, Health)> {
        let known = self.known.borrow();
        known.iter().map(|(key, one)| (key.clone(), one.health())).collect()
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
        state.map_or((true, u32::MAX), |one| (one.is_left_alone(now), one.places().taken()))
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
    use crate::limits::Limit;
    use crate::queue::Running;

    const NOW: Duration = Duration::from_secs(100);

    fn endpoint() -> Rc<Endpoint> {
        Rc::new(Endpoint::new(8, Duration::ZERO, Duration::ZERO))
    }

    fn endpoints(count: usize) -> Vec<Rc<Endpoint>> {
        (0..count).map(|_| endpoint()).collect()
    }

    fn order_of(all: &[Rc<Endpoint>], random: [usize; 2]) -> Vec<usize> {
        order(all.len(), random, NOW, |index| all.get(index).cloned())
    }

    #[test]
    fn of_two_choices_the_one_with_less_to_do_is_tried_first() {
        let all = endpoints(3);
        let _busy = Running::on(&all[0]).unwrap();
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
    fn what_a_caller_can_bring_about_is_no_failure_but_a_reason_to_ask() {
        let endpoint = endpoint();
        for _ in 0..FAILURES_MAX {
            endpoint.learn(Some(&Reason::UpstreamTimeout(Limit::FirstByte)), NOW);
        }
        assert!(!endpoint.is_left_alone(NOW) && endpoint.is_doubted());
        endpoint.takes_connections(NOW);
        assert!(endpoint.is_doubted(), "an open port is no answer");
        endpoint.learn(None, NOW);
        assert!(!endpoint.is_doubted());
    }

    #[test]
    fn what_is_not_the_endpoints_fault_does_not_count_against_it() {
        let all = endpoints(1);
        for _ in 0..FAILURES_MAX * 2 {
            all[0].learn(Some(&Reason::ClientGone), NOW);
            all[0].learn(Some(&Reason::UpstreamTls(None)), NOW);
            all[0].learn(Some(&Reason::UpstreamTls(Some(Failure::Internal))), NOW);
        }
        assert_eq!(all[0].health(), Health::Unknown);
        assert_eq!(order_of(&all, [7, 7]), [0]);
    }

    #[test]
    fn a_wrong_authority_does_not_take_the_server_from_those_with_the_right_one() {
        let all = Endpoints::new(8, Duration::ZERO);
        let key = |tls| ("gpu".to_owned(), tls);
        let (clear, wrong) = (all.of(key(None), NOW), all.of(key(Some(1)), NOW));
        for _ in 0..FAILURES_MAX {
            wrong.learn(Some(&Reason::UpstreamTls(Some(Failure::Protocol))), NOW);
        }
        assert!(wrong.is_left_alone(NOW) && !clear.is_left_alone(NOW));
        assert!(Rc::ptr_eq(&clear, &all.of(key(None), NOW)));
        let health: HashMap<_, _> = all.health().into_iter().collect();
        assert_eq!(health.get(&key(None)), Some(&Health::Unknown));
        assert_eq!(health.get(&key(Some(1))), Some(&Health::Down));
    }

    #[test]
    fn an_exchange_counts_for_as_long_as_it_runs() {
        let all = endpoints(1);
        let running = Running::on(&all[0]).unwrap();
        assert_eq!(all[0].places().taken(), 1);
        drop(running);
        assert_eq!(all[0].places().taken(), 0);
    }

    #[test]
    fn an_endpoint_is_probed_once_at_a_time_and_only_when_it_was_silent_for_long() {
        let (endpoint, every) = (endpoint(), Duration::from_secs(10));
        endpoint.learn(None, NOW);
        assert!(endpoint.probe(every, NOW + every / 2).is_none());
        let probing = endpoint.probe(every, NOW + every).unwrap();
        assert!(endpoint.probe(every, NOW + every).is_none());
        drop(probing);
        assert!(endpoint.probe(every, NOW + every).is_some());
    }

    #[test]
    fn with_probes_an_endpoint_is_left_alone_for_longer_than_several_of_them_take() {
        let every = Duration::from_secs(20);
        let endpoint = Endpoint::new(8, every, NOW);
        for _ in 0..FAILURES_MAX {
            endpoint.learn(Some(&Reason::UpstreamReset), NOW);
        }
        assert!(endpoint.is_left_alone(NOW + every * 2));
        endpoint.takes_connections(NOW + every);
        assert!(endpoint.is_left_alone(NOW + every * 2), "an open port is no answer");
    }
}
