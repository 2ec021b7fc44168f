//! What was seen: counts and histograms of one window of time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::connection::Observer;
use super::events::Fed;
use super::failure::Failure;

/// Longest time that is told apart, in nanoseconds: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// Times, in nanoseconds, each known to 0.1 %.
pub(super) struct Times(Histogram<u64>);

impl Times {
    fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("bounds and digits are in range"))
    }

    fn record(&mut self, time: Duration, count: u64) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(LONGEST_NS);
        self.0.saturating_record_n(nanoseconds, count);
    }

    pub(super) fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }
}

/// Everything of one run. Latencies are of requests that were meant to start in the window;
/// answers, events and bytes are those that arrived in it.
pub(super) struct Measure {
    begins: Instant,
    open: bool,
    pub(super) scheduled: u64,
    pub(super) sent_after_end: u64,
    pub(super) completed: u64,
    pub(super) answers: u64,
    pub(super) events: u64,
    pub(super) reads_with_events: u64,
    pub(super) body_bytes: u64,
    /// Connections that were opened in the window: none, where all of them are kept.
    pub(super) opened: u64,
    /// What handshakes agreed on, in the warm-up too, and how many did.
    pub(super) tls: BTreeMap<String, u64>,
    pub(super) failures: BTreeMap<&'static str, u64>,
    pub(super) failure_statuses: BTreeMap<u16, u64>,
    /// From the intended start to the last byte.
    pub(super) latency: Times,
    /// From the real start to the last byte.
    pub(super) service: Times,
    /// From the intended to the real start, of requests that had a free connection.
    pub(super) lateness: Times,
    pub(super) first_event: Times,
    pub(super) first_token: Times,
    /// Between two events of one stream; 0 between those of one read.
    pub(super) gap: Times,
}

impl Measure {
    pub(super) fn new(begins: Instant) -> Self {
        Self {
            begins,
            open: true,
            scheduled: 0,
            sent_after_end: 0,
            completed: 0,
            answers: 0,
            events: 0,
            reads_with_events: 0,
            body_bytes: 0,
            opened: 0,
            tls: BTreeMap::new(),
            failures: BTreeMap::new(),
            failure_statuses: BTreeMap::new(),
            latency: Times::new(),
            service: Times::new(),
            lateness: Times::new(),
            first_event: Times::new(),
            first_token: Times::new(),
            gap: Times::new(),
        }
    }

    pub(super) fn counts(&self, due: Instant) -> bool {
        due >= self.begins
    }

    fn is_now(&self, now: Instant) -> bool {
        self.open && now >= self.begins
    }

    /// The window is over: what arrives from now on belongs to requests alone.
    pub(super) fn close(&mut self) {
        self.open = false;
    }

    pub(super) fn sent(&mut self, due: Instant, sent: Instant, had_connection: bool) {
        if self.counts(due) && had_connection {
            self.lateness.record(sent.saturating_duration_since(due), 1);
        }
    }

    /// A connection was opened; with TLS, what both sides agreed on.
    pub(super) fn opened(&mut self, agreed: Option<String>, now: Instant) {
        self.opened += u64::from(self.is_now(now));
        if let Some(agreed) = agreed {
            *self.tls.entry(agreed).or_default() += 1;
        }
    }

    /// Failures count from the first request on: a warm-up that fails warmed nothing.
    pub(super) fn failed(&mut self, failure: Failure) {
        *self.failures.entry(failure.name()).or_default() += 1;
        if let Failure::Status(status) = failure {
            *self.failure_statuses.entry(status).or_default() += 1;
        }
    }

    pub(super) fn answered(&mut self, watch: &Watch<'_>, sent: Instant, now: Instant) {
        self.answers += u64::from(self.is_now(now));
        if !self.counts(watch.due) {
            return;
        }
        self.completed += 1;
        self.latency.record(now.saturating_duration_since(watch.due), 1);
        self.service.record(now.saturating_duration_since(sent), 1);
    }
}

/// Watches one request, and tells the run's measure.
pub(super) struct Watch<'a> {
    measure: &'a std::cell::RefCell<Measure>,
    due: Instant,
    last_event: Option<Instant>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(measure: &'a std::cell::RefCell<Measure>, due: Instant) -> Self {
        Self { measure, due, last_event: None }
    }
}

impl Observer for Watch<'_> {
    fn events(&mut self, fed: &Fed, at: Instant) {
        let mut measure = self.measure.borrow_mut();
        let since_start = at.saturating_duration_since(self.due);
        let last = self.last_event.replace(at);
        if measure.counts(self.due) {
            if last.is_none() {
                measure.first_event.record(since_start, 1);
            }
            if fed.first_text {
                measure.first_token.record(since_start, 1);
            }
        }
        if measure.is_now(at) {
            measure.events += fed.events;
            measure.reads_with_events += 1;
            // All events of one read have one time: what the kernel held back can't be told apart.
            measure.gap.record(Duration::ZERO, fed.events.saturating_sub(1));
            if let Some(last) = last {
                measure.gap.record(at.saturating_duration_since(last), 1);
            }
        }
    }

    fn bytes(&mut self, count: usize) {
        let mut measure = self.measure.borrow_mut();
        if measure.is_now(Instant::now()) {
            measure.body_bytes += count as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn events_of_one_read_have_no_gap_between_them_and_one_before() {
        let begins = Instant::now();
        let measure = RefCell::new(Measure::new(begins));
        let mut watch = Watch::new(&measure, begins);
        let at = |ms| begins + Duration::from_millis(ms);
        watch.events(&Fed { events: 1, first_text: false }, at(20));
        watch.events(&Fed { events: 3, first_text: true }, at(50));
        let measure = measure.borrow();
        assert_eq!((measure.events, measure.reads_with_events), (4, 2));
        let gaps = measure.gap.histogram();
        assert_eq!((gaps.len(), gaps.count_at(0)), (3, 2));
        assert!((29_900_000..30_100_000).contains(&gaps.max()));
        assert!((49_900_000..50_100_000).contains(&measure.first_token.histogram().max()));
        assert!((19_900_000..20_100_000).contains(&measure.first_event.histogram().max()));
    }

    #[test]
    fn what_belongs_to_the_warm_up_is_not_counted() {
        let begins = Instant::now() + Duration::from_secs(60);
        let measure = RefCell::new(Measure::new(begins));
        let due = begins - Duration::from_secs(1);
        let mut watch = Watch::new(&measure, due);
        watch.events(&Fed { events: 1, first_text: true }, due + Duration::from_millis(1));
        let mut measure = measure.borrow_mut();
        measure.answered(&watch, due, due + Duration::from_millis(2));
        assert_eq!((measure.events, measure.completed, measure.answers), (0, 0, 0));
    }
}
