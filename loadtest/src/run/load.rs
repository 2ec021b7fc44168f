//! Sends requests: by schedule over as many connections as are needed, or one after the other on
//! each of a fixed number.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio::task::{spawn_local, yield_now};
use tokio::time::{sleep, timeout, timeout_at};

use super::Flags;
use super::connection::Connection;
use super::failure::Failure;
use super::measure::{Measure, Watch};
use super::pacing::{Schedule, Timer};
use super::target::Target;

/// Most requests that wait for a connection.
const WAITING_MAX: u64 = 100_000;
/// Requests that are sent late in a row before answers are looked at again.
const LATE_IN_A_ROW_MAX: u32 = 32;
/// How long a connection of a closed loop rests after a failure, so that it does not spin.
const REST: Duration = Duration::from_millis(10);

/// The load of one run, shared by all its tasks on one thread.
pub(super) struct Load {
    target: Target,
    stream: bool,
    keep_alive: bool,
    /// Nothing in a closed loop.
    schedule: Option<Schedule>,
    connections: u32,
    slots: Semaphore,
    idle: RefCell<Vec<Connection>>,
    timeout: Duration,
    requests_max: u64,
    start: Instant,
    begins: Instant,
    ends: Instant,
    closed: Cell<bool>,
    outstanding: Cell<u64>,
    settled: Notify,
    pub(super) measure: RefCell<Measure>,
}

impl Load {
    pub(super) fn new(
        flags: &Flags,
        target: Target,
        start: Instant,
        begins: Instant,
        ends: Instant,
    ) -> Self {
        Self {
            target,
            stream: flags.target.stream,
            keep_alive: !flags.no_keep_alive,
            schedule: flags.rate.map(|rate| Schedule::new(flags.arrivals, rate, flags.seed)),
            connections: flags.connections,
            slots: Semaphore::new(flags.connections as usize),
            idle: RefCell::default(),
            timeout: Duration::from_millis(flags.timeout_ms),
            requests_max: flags.requests,
            start,
            begins,
            ends,
            closed: Cell::new(false),
            outstanding: Cell::new(0),
            settled: Notify::new(),
            measure: RefCell::new(Measure::new(begins)),
        }
    }

    /// Returns when everything has been sent; in a closed loop, when everything is answered too.
    pub(super) async fn send_all(self: Rc<Self>) -> std::io::Result<()> {
        match self.schedule.clone() {
            Some(schedule) => self.by_schedule(schedule).await,
            None => {
                self.one_after_the_other().await;
                Ok(())
            }
        }
    }

    /// The window is over. A closed loop has no requests that were meant to start: it just ends.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.measure.borrow_mut().close();
    }

    /// Returns when every request of the schedule has an outcome.
    pub(super) async fn drained(&self) {
        while self.schedule.is_some() && self.outstanding.get() > 0 {
            self.settled.notified().await;
        }
    }

    async fn by_schedule(self: Rc<Self>, schedule: Schedule) -> std::io::Result<()> {
        let timer = Timer::new()?;
        let mut late_in_a_row = 0_u32;
        for offset in schedule {
            let due = self.start + offset;
            if due >= self.ends || self.measure.borrow().scheduled >= self.requests_max {
                break;
            }
            let now = Instant::now();
            if now >= self.ends + self.timeout {
                // So late that nothing is to be learned any more: told, but not sent.
                self.count_scheduled(due);
                self.measure.borrow_mut().failed(Failure::NotSent);
                continue;
            }
            late_in_a_row = if now < due { 0 } else { late_in_a_row + 1 };
            if now < due {
                timer.until(due).await?;
            } else if late_in_a_row.is_multiple_of(LATE_IN_A_ROW_MAX) {
                yield_now().await;
            }
            self.count_scheduled(due);
            if self.outstanding.get() >= WAITING_MAX {
                self.measure.borrow_mut().failed(Failure::NotSent);
                continue;
            }
            self.outstanding.set(self.outstanding.get() + 1);
            let load = self.clone();
            spawn_local(async move {
                load.scheduled(due).await;
                load.outstanding.set(load.outstanding.get() - 1);
                if load.outstanding.get() == 0 {
                    load.settled.notify_one();
                }
            });
        }
        Ok(())
    }

    fn count_scheduled(&self, due: Instant) {
        let mut measure = self.measure.borrow_mut();
        if measure.counts(due) {
            measure.scheduled += 1;
            measure.sent_after_end += u64::from(Instant::now() >= self.ends);
        }
    }

    /// One request of a schedule: waits for a connection with its clock running.
    async fn scheduled(&self, due: Instant) {
        let had_connection = self.slots.available_permits() > 0;
        let deadline = tokio::time::Instant::from_std(due + self.timeout);
        match timeout_at(deadline, self.slots.acquire()).await {
            Ok(Ok(_slot)) => {
                let connection = self.idle.borrow_mut().pop();
                if let Ok(Some(kept)) = self.request(connection, due, had_connection).await {
                    self.idle.borrow_mut().push(kept);
                }
            }
            Ok(Err(_)) | Err(_) => self.measure.borrow_mut().failed(Failure::NotSent),
        }
    }

    /// Sends one request and notes its outcome. Gives the connection back if it can be used again.
    async fn request(
        &self,
        connection: Option<Connection>,
        due: Instant,
        had_connection: bool,
    ) -> Result<Option<Connection>, Failure> {
        let sent = Instant::now();
        self.measure.borrow_mut().sent(due, sent, had_connection);
        let mut watch = Watch::new(&self.measure, due);
        let exchange = async {
            let connection = match connection {
                Some(connection) => connection,
                None => {
                    let (connection, agreed) = Connection::open(&self.target).await?;
                    self.measure.borrow_mut().opened(agreed, Instant::now());
                    connection
                }
            };
            connection.exchange(&self.target.request, self.stream, &mut watch).await
        };
        let outcome = timeout(self.timeout, exchange).await.unwrap_or(Err(Failure::Timeout));
        let mut measure = self.measure.borrow_mut();
        match outcome {
            Ok(kept) => {
                measure.answered(&watch, sent, Instant::now());
                Ok(kept.filter(|_| self.keep_alive))
            }
            Err(failure) => {
                measure.failed(failure);
                Err(failure)
            }
        }
    }

    async fn one_after_the_other(self: Rc<Self>) {
        let ramp = self.begins.saturating_duration_since(self.start) / 2;
        let tasks: Vec<_> = (0..self.connections)
            .map(|number| {
                let wait = ramp.mul_f64(f64::from(number) / f64::from(self.connections));
                spawn_local(self.clone().closed_loop(self.start + wait))
            })
            .collect();
        for task in tasks {
            // A task that panicked has said so on standard error.
            let _ = task.await;
        }
    }

    async fn closed_loop(self: Rc<Self>, begins: Instant) {
        tokio::time::sleep_until(begins.into()).await;
        let mut connection = None;
        while !self.closed.get() {
            let due = Instant::now();
            if self.measure.borrow().counts(due)
                && self.measure.borrow().scheduled >= self.requests_max
            {
                break;
            }
            self.count_scheduled(due);
            connection = match self.request(connection, due, false).await {
                Ok(kept) => kept,
                Err(_) => {
                    sleep(REST).await;
                    None
                }
            };
        }
    }
}
