//! A network in memory, for tests: one thread, a virtual clock, and every choice drawn from a seed,
//! so that a failure happens again with the same seed. In: links that are as rough as a test wants
//! (short receives and sends, delays, completions that come late and in another order than their
//! streams were asked, resets at a byte). Out: streams for the code under test, and [`Peer`]s for
//! the test.
//!
//! ```
//! use penstock_reactor::buffer::Pool;
//! use penstock_reactor::memory::{Link, Simulation};
//! use penstock_reactor::network::{Network, Received, Receiver, Stream};
//!
//! let mut simulation = Simulation::new(7);
//! let network = simulation.network(0, Pool::new(1 << 20));
//! let (stream, mut peer) = network.connected(Link::rough());
//! let (mut receiver, _sender) = stream.split();
//! let received = simulation.run_until(async {
//!     peer.write(b"hello").await.unwrap();
//!     peer.finish();
//!     let mut bytes = Vec::new();
//!     while let Received::Data(buffer) = receiver.receive().await.unwrap() {
//!         bytes.extend_from_slice(&buffer);
//!     }
//!     bytes
//! });
//! assert_eq!(received.unwrap(), b"hello");
//! ```

mod peer;
mod pipe;
mod stream;
mod world;

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

pub use peer::{Listener, Peer};
pub use stream::{MemoryReceiver, MemorySender, MemoryStream};

use crate::buffer::Pool;
use crate::network::{Network, NetworkError};
use pipe::End;
use world::{Task, World};

/// How one direction of a connection behaves.
#[derive(Clone, Debug)]
pub struct Direction {
    /// Bytes between the two sides; a sender that is so far ahead waits.
    pub capacity_bytes: usize,
    /// Bytes that one send takes at most.
    pub send_bytes_max: usize,
    /// Bytes that one completion of a receive carries at most.
    pub receive_bytes_max: usize,
    /// Sends and completions carry a random number of bytes, up to the maximum.
    pub split_at_random: bool,
    /// Bytes travel for a random time up to this; they stay in order.
    pub delay_max: Duration,
    /// A completed receive reaches its receiver after a random time up to this. Its buffer is taken
    /// when it completes, so it may come back to the pool long after the receiver is gone.
    pub completion_delay_max: Duration,
    /// The connection is reset once so many bytes were sent; they arrive, and nothing after them.
    pub reset_after_bytes: Option<u64>,
}

/// How a connection behaves.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Towards the code under test (with [`MemoryNetwork::pair`]: towards the first stream).
    pub inbound: Direction,
    /// Towards the test.
    pub outbound: Direction,
    /// How long a connect takes.
    pub connect_delay: Duration,
}

impl Default for Direction {
    /// No delay, no short operation, 64 KiB between the sides.
    fn default() -> Self {
        Self {
            capacity_bytes: 64 * 1024,
            send_bytes_max: usize::MAX,
            receive_bytes_max: usize::MAX,
            split_at_random: false,
            delay_max: Duration::ZERO,
            completion_delay_max: Duration::ZERO,
            reset_after_bytes: None,
        }
    }
}

impl Direction {
    /// Everything short, late and at random.
    pub fn rough() -> Self {
        Self {
            capacity_bytes: 4096,
            send_bytes_max: 700,
            receive_bytes_max: 500,
            split_at_random: true,
            delay_max: Duration::from_millis(20),
            completion_delay_max: Duration::from_millis(20),
            reset_after_bytes: None,
        }
    }
}

impl Link {
    /// Everything short, late and at random, both ways.
    pub fn rough() -> Self {
        let connect_delay = Duration::from_millis(10);
        Self { inbound: Direction::rough(), outbound: Direction::rough(), connect_delay }
    }
}

/// A run ended before its future did.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Stalled {
    /// Every task waits for another one, and no timer runs.
    #[error("nothing is left to run")]
    Deadlock,
    /// Tasks wake themselves for ever while no time passes.
    #[error("tasks spin without any time passing")]
    Spinning,
}

/// Polls without time passing after which tasks are said to spin.
const POLLS_MAX: u32 = 100_000;

/// The task that [`Simulation::run_until`] drives.
const ROOT: usize = 0;

/// Everything of one test: networks, clock, tasks. Dropping it drops the tasks.
pub struct Simulation {
    world: Rc<World>,
    tasks: HashMap<usize, (Task, Waker)>,
    next_task: usize,
    ready: Receiver<usize>,
    wake: Sender<usize>,
    runnable: Vec<usize>,
}

impl Simulation {
    /// A new one; the same seed takes the same course.
    pub fn new(seed: u64) -> Self {
        let (wake, ready) = crossbeam_channel::unbounded();
        let (tasks, runnable) = (HashMap::new(), Vec::new());
        Self { world: World::new(seed), tasks, next_task: ROOT + 1, ready, wake, runnable }
    }

    /// The network of a core of this simulation.
    pub fn network(&self, core: usize, pool: Pool) -> MemoryNetwork {
        MemoryNetwork { world: Rc::clone(&self.world), core, pool }
    }

    /// Takes connections to an address; connects to an address that nobody listens on are refused.
    pub fn listen(&self, address: SocketAddr, link: Link) -> Listener {
        Listener::new(&self.world, address, link)
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.world.now()
    }

    /// Sets the wall clock, as an administrator or a time server does. Monotonic time goes on.
    pub fn set_wall(&self, since_epoch: Duration) {
        self.world.set_wall(since_epoch);
    }

    /// The machine sleeps for a while: [`Network::wall`] and [`Network::boot`] go on, timers and
    /// [`Network::now`] do not.
    pub fn suspend(&self, time: Duration) {
        self.world.sleep_for(time);
    }

    /// Runs everything until the future completes. When nothing can run, time goes on to the next
    /// timer or arrival.
    ///
    /// # Errors
    /// It will never complete.
    pub fn run_until<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Stalled> {
        let mut future = pin!(future);
        let waker = self.waker(ROOT);
        self.runnable.push(ROOT);
        let mut polls = 0;
        loop {
            while let Some(id) = self.next_runnable() {
                polls += 1;
                if polls > POLLS_MAX {
                    return Err(Stalled::Spinning);
                }
                if id != ROOT {
                    self.poll_task(id);
                } else if let Poll::Ready(output) =
                    future.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    return Ok(output);
                }
            }
            let before = self.world.now();
            if !self.world.fire_next(Duration::MAX) {
                return Err(Stalled::Deadlock);
            }
            if self.world.now() > before {
                polls = 0;
            }
        }
    }

    /// Runs what can run now, without letting time pass.
    pub fn settle(&mut self) {
        self.advance(Duration::ZERO);
    }

    /// Lets time pass, and runs what becomes due, in order. Stops early if tasks spin.
    pub fn advance(&mut self, duration: Duration) {
        let until = self.world.now().saturating_add(duration);
        let mut polls = 0;
        loop {
            while let Some(id) = self.next_runnable() {
                self.poll_task(id);
                polls += 1;
                if polls > POLLS_MAX {
                    return;
                }
            }
            if !self.world.fire_next(until) {
                return self.world.set_now(until);
            }
        }
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.tasks.len() + self.world.spawned_count()
    }

    /// One of those that can run, at random: no code may rely on the order of tasks.
    fn next_runnable(&mut self) -> Option<usize> {
        for task in self.world.take_spawned() {
            let id = self.next_task;
            self.next_task += 1;
            let waker = self.waker(id);
            self.tasks.insert(id, (task, waker));
            self.runnable.push(id);
        }
        self.runnable.extend(self.ready.try_iter());
        self.runnable.sort_unstable();
        self.runnable.dedup();
        if self.runnable.is_empty() {
            return None;
        }
        let index = self.world.below(self.runnable.len());
        Some(self.runnable.swap_remove(index))
    }

    fn poll_task(&mut self, id: usize) {
        // Taken out, so that it is dropped outside of any borrow, and gone if it panics.
        let Some((mut task, waker)) = self.tasks.remove(&id) else { return };
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.insert(id, (task, waker));
        }
    }

    fn waker(&self, id: usize) -> Waker {
        Waker::from(Arc::new(TaskWaker { id, wake: self.wake.clone() }))
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // Events and new tasks may own the world that owns them.
        self.world.clear();
    }
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Simulation(at {:?}, {} tasks)", self.now(), self.tasks())
    }
}

struct TaskWaker {
    id: usize,
    wake: Sender<usize>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // The simulation may be gone: then nobody is left to wake.
        let _ = self.wake.send(self.id);
    }
}

/// The network of one core of a [`Simulation`].
#[derive(Clone, Debug)]
pub struct MemoryNetwork {
    world: Rc<World>,
    core: usize,
    pool: Pool,
}

impl MemoryNetwork {
    /// A stream as if it had been accepted, and the test's side of it.
    pub fn connected(&self, link: Link) -> (MemoryStream, Peer) {
        let (ours, theirs) = End::pair(&self.world, link);
        let address = client_address(&self.world);
        (MemoryStream::new(ours, address, self.pool.clone()), Peer::new(theirs))
    }

    /// Two connected streams of this network.
    pub fn pair(&self, link: Link) -> (MemoryStream, MemoryStream) {
        let (first, second) = End::pair(&self.world, link);
        let first = MemoryStream::new(first, client_address(&self.world), self.pool.clone());
        let second = MemoryStream::new(second, client_address(&self.world), self.pool.clone());
        (first, second)
    }
}

/// A new address for a side that has none of its own.
fn client_address(world: &World) -> SocketAddr {
    let port = 1024 + world.below(60_000);
    SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap_or(u16::MAX)))
}

impl Network for MemoryNetwork {
    type Stream = MemoryStream;

    async fn connect(&self, address: SocketAddr) -> Result<MemoryStream, NetworkError> {
        if let Some(delay) = self.world.connect_delay(address) {
            self.sleep(delay).await;
        }
        let end = self.world.connect(address).ok_or(NetworkError::Refused)?;
        Ok(MemoryStream::new(end, address, self.pool.clone()))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        self.world.sleep(duration)
    }

    fn now(&self) -> Duration {
        self.world.now()
    }

    fn wall(&self) -> Duration {
        self.world.wall()
    }

    fn boot(&self) -> Duration {
        self.world.boot()
    }

    async fn yield_now(&self) {
        let mut yielded = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.world.spawn(Box::pin(task));
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }

    fn core(&self) -> usize {
        self.core
    }
}

#[cfg(test)]
mod tests;
