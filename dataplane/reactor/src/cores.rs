//! One reactor a core. In: settings, and what a core does. Out: running cores behind one address,
//! and the handle that stops them. Every core is a thread that is pinned to one processor and
//! shares nothing with the others: its own listener, rings, tasks and buffers.
//!
//! A core needs 512 KiB of locked memory, so the usual limit of 8 MiB (`ulimit -l`,
//! `LimitMEMLOCK=`) carries 16 cores. The limit counts per user: a second process of the same user
//! needs its own share.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use futures_util::task::AtomicWaker;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use socket2::Socket;

use crate::accept::{self, Acceptor};
use crate::buffer::Pool;
use crate::machine;
use crate::network::{Network, NetworkError};
use crate::sockets::{GlommioNetwork, SocketStream};

/// What to start.
#[derive(Clone, Debug)]
pub struct CoreSettings {
    /// Where to listen; port 0 picks a free one, the same for all cores.
    pub listen: SocketAddr,
    /// How many cores; 0 starts as many as the process has processors.
    pub cores: usize,
    /// Connections that wait in the kernel for one core to accept them.
    pub backlog: u32,
    /// Accepted connections that one core serves at a time.
    pub connections_per_core_max: usize,
    /// Budget of one core's buffers, in bytes.
    pub buffer_bytes_per_core_max: usize,
}

/// What a core does. Made on its own thread, inside its executor, and never leaves it.
pub trait Core: 'static {
    /// Serves one accepted stream, as a task of its own. Its connection counts until it completes;
    /// a panic ends it alone and is counted ([`GlommioNetwork::panics`]).
    fn serve(self: Rc<Self>, stream: SocketStream) -> impl Future<Output = ()> + 'static;

    /// Called once, after the core's listener is closed; the core ends when this completes. What
    /// runs then is dropped, so wait here for it, within a limit.
    fn drain(self: Rc<Self>) -> impl Future<Output = ()> + 'static;

    /// A connection beyond the limit. Dropping it, as it is by default, closes it.
    fn refuse(self: Rc<Self>, stream: SocketStream) {
        drop(stream);
    }

    /// Whether connections are accepted now; while not, they wait in the kernel. Asked before each
    /// accept, and again after a moment. One that is under way may still be taken.
    fn is_accepting(&self) -> bool {
        true
    }

    /// Accepting failed, for instance because descriptors ran out ([`NetworkError::System`]). The
    /// core pauses for a moment and goes on by itself.
    fn accept_failed(&self, error: NetworkError) {
        let _ = error;
    }
}

/// Why the cores did not start. Each is one sentence for the operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StartError {
    /// The kernel or a filter refuses io_uring.
    #[error(
        "io_uring is not allowed here: set the sysctl kernel.io_uring_disabled to 0 and let the \
         seccomp profile of the container or service pass io_uring_setup, io_uring_enter and \
         io_uring_register"
    )]
    RingsForbidden,
    /// The kernel lacks operations that are needed.
    #[error("this kernel is too old for io_uring as it is needed: use Linux 5.11 or later")]
    KernelTooOld,
    /// The limit of locked memory is too low.
    #[error(
        "too little locked memory: {needed_bytes} bytes are needed and the limit is {limit_bytes}, \
         shared by all processes of this user: raise it with ulimit -l or LimitMEMLOCK="
    )]
    LockedMemory {
        /// What the cores need together.
        needed_bytes: u64,
        /// The soft limit of the process.
        limit_bytes: u64,
    },
    /// Somebody else listens there.
    #[error("the address {address} is in use by another process")]
    AddressInUse {
        /// Where to listen.
        address: SocketAddr,
    },
    /// The process may not listen on this port.
    #[error(
        "listening on {address} is not permitted: use a port from 1024 on or grant \
         CAP_NET_BIND_SERVICE"
    )]
    PortForbidden {
        /// Where to listen.
        address: SocketAddr,
    },
    /// The machine does not have this address.
    #[error("the address {address} is not one of this machine's")]
    AddressNotAvailable {
        /// Where to listen.
        address: SocketAddr,
    },
    /// More cores than processors.
    #[error("{cores} cores are asked for, and this process may use {processors} processors")]
    TooFewProcessors {
        /// Asked for.
        cores: usize,
        /// In the affinity mask.
        processors: usize,
    },
    /// The operating system refused something else.
    #[error("cannot {what}: system error {number}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The operating system's error number.
        number: i32,
    },
    /// A reactor ended before it was ready.
    #[error("a core ended while it was started")]
    Ended,
}

/// A core's thread ended in a panic; the others were stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("core {core} failed")]
pub struct CoreFailed {
    /// Its index.
    pub core: usize,
}

/// Running cores.
#[derive(Debug)]
pub struct Cores {
    address: SocketAddr,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

/// Stops the cores. Clones stop the same ones.
#[derive(Clone, Debug)]
pub struct Stop {
    shared: Arc<Stopping>,
}

#[derive(Debug)]
struct Stopping {
    stopping: AtomicBool,
    wakers: Box<[AtomicWaker]>,
}

/// Checks the machine, binds, and starts every core; returns when connections are accepted.
///
/// `make_core` runs once on each core's thread, inside its executor: the place to spawn background
/// tasks.
///
/// # Errors
/// The machine does not allow it; nothing is left running then.
pub fn start<C: Core>(
    settings: &CoreSettings,
    make_core: impl Fn(GlommioNetwork) -> Rc<C> + Clone + Send + 'static,
) -> Result<Cores, StartError> {
    let processors = machine::processors(settings.cores)?;
    machine::check_rings()?;
    machine::allow_locked_memory(processors.len())?;
    let (address, listeners) = accept::bind(settings.listen, processors.len())?;
    let stop = Stop::new(processors.len());
    let mut starting = Vec::new();
    for ((index, processor), listener) in processors.iter().copied().enumerate().zip(listeners) {
        let (settings, stop, make_core) = (settings.clone(), stop.clone(), make_core.clone());
        let spare = listener.try_clone().map_err(|error| system("share a listener", &error))?;
        let run = move |executor: LocalExecutor| {
            let pool = Pool::new(settings.buffer_bytes_per_core_max);
            let network = GlommioNetwork::new(index, pool);
            executor.run(run_core(network, listener, stop, settings, make_core));
        };
        starting.push(Starting::spawn(index, processor, processors.len(), spare, run)?);
    }
    for core in &starting {
        accept::listen(address, &core.listener, settings.backlog)?;
    }
    let threads = starting.into_iter().filter_map(|core| core.go(&stop)).collect();
    Ok(Cores { address, stop, threads })
}

/// The life of one core.
async fn run_core<C: Core>(
    network: GlommioNetwork,
    listener: Socket,
    stop: Stop,
    settings: CoreSettings,
    make_core: impl Fn(GlommioNetwork) -> Rc<C>,
) {
    network.spawn(network.clone().beat());
    let core = make_core(network.clone());
    let acceptor =
        Acceptor::new(Rc::clone(&core), network.clone(), settings.connections_per_core_max);
    if let Err(error) = acceptor.run(listener, stop).await {
        core.accept_failed(crate::sockets::network_error(error));
    }
    core.drain().await;
    network.end();
}

/// A core whose executor stands, and which waits for all the others to get as far. Dropping it ends
/// it.
struct Starting {
    thread: Option<JoinHandle<()>>,
    go: Option<Sender<Stop>>,
    listener: Socket,
}

impl Starting {
    /// Starts the thread and waits for its executor.
    fn spawn(
        index: usize,
        processor: usize,
        cores: usize,
        listener: Socket,
        run: impl FnOnce(LocalExecutor) + Send + 'static,
    ) -> Result<Self, StartError> {
        let (report, reported) = crossbeam_channel::bounded(1);
        let (go, gone) = crossbeam_channel::bounded(1);
        let body = move || {
            let executor = match executor(Placement::Fixed(processor)) {
                Ok(executor) => executor,
                Err(error) => {
                    let _ = report.send(Err(error));
                    return;
                }
            };
            let _ = report.send(Ok(()));
            wait_and_run(&gone, executor, run);
        };
        let thread = thread::Builder::new()
            .name(format!("penstock-core-{index}"))
            .spawn(body)
            .map_err(|error| system("start a thread", &error))?;
        match reported.recv().unwrap_or(Err(StartError::Ended)) {
            Ok(()) => Ok(Self { thread: Some(thread), go: Some(go), listener }),
            Err(StartError::LockedMemory { limit_bytes, .. }) => {
                let needed_bytes = machine::locked_bytes(cores);
                Err(StartError::LockedMemory { needed_bytes, limit_bytes })
            }
            Err(error) => Err(error),
        }
    }

    fn go(mut self, stop: &Stop) -> Option<JoinHandle<()>> {
        if let Some(go) = self.go.take() {
            let _ = go.send(stop.clone());
        }
        self.thread.take()
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.go = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs once all cores stand; not at all if one of them failed, which drops the channel.
fn wait_and_run(
    go: &Receiver<Stop>,
    executor: LocalExecutor,
    run: impl FnOnce(LocalExecutor) + Send + 'static,
) {
    let Ok(stop) = go.recv() else { return };
    let _guard = StopOnPanic(stop);
    run(executor);
}

/// A core that panics stops the others: half a node is worse than a restart.
struct StopOnPanic(Stop);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

/// Makes an executor, for the thread that this is called on.
pub(crate) fn executor(placement: Placement) -> Result<LocalExecutor, StartError> {
    LocalExecutorBuilder::new(placement)
        .ring_depth(machine::RING_ENTRIES.into())
        .io_memory(0)
        .make()
        .map_err(|error| machine::ring_error(&io::Error::from(error)))
}

fn system(what: &'static str, error: &io::Error) -> StartError {
    StartError::System { what, number: error.raw_os_error().unwrap_or(libc::EIO) }
}

impl Cores {
    /// Where the cores listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// The handle that stops them.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Waits until every core was stopped and has drained.
    ///
    /// # Errors
    /// A core failed; all have ended then, too.
    pub fn join(self) -> Result<(), CoreFailed> {
        let mut result = Ok(());
        for (core, thread) in self.threads.into_iter().enumerate() {
            if thread.join().is_err() {
                result = result.and(Err(CoreFailed { core }));
            }
        }
        result
    }
}

impl Stop {
    fn new(cores: usize) -> Self {
        let wakers = (0..cores).map(|_| AtomicWaker::new()).collect();
        Self { shared: Arc::new(Stopping { stopping: AtomicBool::new(false), wakers }) }
    }

    /// Closes the listeners and lets every core drain. More than once is no more than once.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for waker in &self.shared.wakers {
            waker.wake();
        }
    }

    /// Whether the cores were told to stop.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst)
    }

    /// Completes, on this core, when the cores are told to stop. One task a core waits for it.
    pub(crate) async fn stopped(&self, core: usize) {
        poll_fn(|cx| {
            if let Some(waker) = self.shared.wakers.get(core) {
                waker.register(cx.waker());
            }
            if self.is_stopping() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests;
