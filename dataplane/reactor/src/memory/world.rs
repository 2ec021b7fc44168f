//! What everything of one simulation shares: clock, chance, events to come, addresses, new tasks.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::peer::Arrivals;
use super::pipe::{End, Pipe};

pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// When something happens; at the same time, the second number (drawn) decides, then the third.
type Moment = (Duration, u64, u64);

pub(super) struct World {
    now: Cell<Duration>,
    wall_at_start: Cell<Duration>,
    asleep: Cell<Duration>,
    random: Cell<u64>,
    sequence: Cell<u64>,
    events: RefCell<BTreeMap<Moment, Event>>,
    arrivals: RefCell<HashMap<SocketAddr, Weak<Arrivals>>>,
    spawned: RefCell<Vec<Task>>,
}

pub(super) enum Event {
    Wake(Waker),
    /// Bytes arrive in a pipe, or a receive of it completes.
    Advance(Rc<Pipe>),
}

impl World {
    pub(super) fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(Duration::ZERO),
            // 1 January 2026.
            wall_at_start: Cell::new(Duration::from_secs(1_767_225_600)),
            asleep: Cell::new(Duration::ZERO),
            random: Cell::new(seed),
            sequence: Cell::new(0),
            events: RefCell::default(),
            arrivals: RefCell::default(),
            spawned: RefCell::default(),
        })
    }

    pub(super) fn now(&self) -> Duration {
        self.now.get()
    }

    /// Time never goes back.
    pub(super) fn set_now(&self, now: Duration) {
        self.now.set(now.max(self.now()));
    }

    pub(super) fn wall(&self) -> Duration {
        self.wall_at_start.get().saturating_add(self.now())
    }

    pub(super) fn boot(&self) -> Duration {
        self.now().saturating_add(self.asleep.get())
    }

    /// The machine sleeps: no timer goes on meanwhile.
    pub(super) fn sleep_for(&self, time: Duration) {
        self.asleep.set(self.asleep.get().saturating_add(time));
        self.wall_at_start.set(self.wall_at_start.get().saturating_add(time));
    }

    pub(super) fn set_wall(&self, since_epoch: Duration) {
        self.wall_at_start.set(since_epoch.saturating_sub(self.now()));
    }

    /// The next number of the seed's sequence (SplitMix64).
    fn draw(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.random.set(state);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A random number below `limit` (0 if that is 0).
    pub(super) fn below(&self, limit: usize) -> usize {
        match limit {
            0 => 0,
            limit => (self.draw() % limit as u64) as usize,
        }
    }

    /// A random time up to `longest`.
    pub(super) fn up_to(&self, longest: Duration) -> Duration {
        match longest {
            Duration::ZERO => Duration::ZERO,
            longest => longest.mul_f64((self.draw() >> 11) as f64 / (1_u64 << 53) as f64),
        }
    }

    /// Plans an event; returns its moment.
    pub(super) fn plan(&self, at: Duration, event: Event) -> Moment {
        self.sequence.set(self.sequence.get() + 1);
        let moment = (at, self.draw(), self.sequence.get());
        self.events.borrow_mut().insert(moment, event);
        moment
    }

    fn cancel(&self, moment: &Moment) {
        self.events.borrow_mut().remove(moment);
    }

    /// Lets time go on to the next event, unless that is after `until`, and makes it happen.
    /// Whether there was one.
    pub(super) fn fire_next(self: &Rc<Self>, until: Duration) -> bool {
        let event = {
            let mut events = self.events.borrow_mut();
            match events.first_entry() {
                Some(first) if first.key().0 <= until => first.remove_entry(),
                _ => return false,
            }
        };
        let ((at, ..), event) = event;
        self.set_now(at);
        match event {
            Event::Wake(waker) => waker.wake(),
            Event::Advance(pipe) => pipe.advance(),
        }
        true
    }

    pub(super) fn sleep(self: &Rc<Self>, duration: Duration) -> Sleep {
        let until = self.now().saturating_add(duration);
        Sleep { world: Rc::clone(self), until, planned: None }
    }

    pub(super) fn listen(&self, address: SocketAddr, arrivals: &Rc<Arrivals>) {
        self.arrivals.borrow_mut().insert(address, Rc::downgrade(arrivals));
    }

    fn listener(&self, address: SocketAddr) -> Option<Rc<Arrivals>> {
        self.arrivals.borrow().get(&address)?.upgrade()
    }

    /// How long a connect takes, if anybody listens there.
    pub(super) fn connect_delay(&self, address: SocketAddr) -> Option<Duration> {
        self.listener(address).map(|arrivals| arrivals.link.connect_delay)
    }

    /// Connects; none if nobody listens there.
    pub(super) fn connect(self: &Rc<Self>, address: SocketAddr) -> Option<Rc<End>> {
        let arrivals = self.listener(address)?;
        let (ours, theirs) = End::pair(self, arrivals.link.clone());
        arrivals.push(theirs);
        Some(ours)
    }

    pub(super) fn spawn(&self, task: Task) {
        self.spawned.borrow_mut().push(task);
    }

    pub(super) fn take_spawned(&self) -> Vec<Task> {
        std::mem::take(&mut *self.spawned.borrow_mut())
    }

    /// Lets go of everything that may own this world.
    pub(super) fn clear(&self) {
        let events = std::mem::take(&mut *self.events.borrow_mut());
        let spawned = self.take_spawned();
        drop((events, spawned));
    }

    pub(super) fn spawned_count(&self) -> usize {
        self.spawned.borrow().len()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World(at {:?})", self.now())
    }
}

/// Completes at a time.
pub(super) struct Sleep {
    world: Rc<World>,
    until: Duration,
    planned: Option<Moment>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.cancel();
        if self.world.now() >= self.until {
            return Poll::Ready(());
        }
        self.planned = Some(self.world.plan(self.until, Event::Wake(cx.waker().clone())));
        Poll::Pending
    }
}

impl Sleep {
    fn cancel(&mut self) {
        if let Some(moment) = self.planned.take() {
            self.world.cancel(&moment);
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}
