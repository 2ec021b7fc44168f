//! One node, from its settings to its end: threads are started in the order in which they depend on
//! each other, and stopped in the reverse.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use penstock_config::settings::DataplaneSettings;
use penstock_reactor::cores::{self, CoreSettings, Cores};
use penstock_reactor::mailbox::{self, MailReceiver, MailSender};
use penstock_reactor::network::{Network, NetworkError};
use penstock_reactor::sockets::{GlommioNetwork, SocketStream};
use tokio::sync::mpsc;

use crate::access_log::{LogQueue, LogWriter};
use crate::client;
use crate::core::{Core, Node, Report};
use crate::counters::Counters;
use crate::letters::{DESK_MAX, DeskMail, LETTERS_MAX, Letter};
use crate::limits::Limit;
use crate::operations::{Operations, Views};
use crate::probe;
use crate::reason::Reason;
use crate::sync::{self, CallersTls, CoreMail, DeskParts, Disk, Joined, Parts, REPORTS_MAX, Sync};
use crate::upstream_tls::UpstreamTlsConfigs;

/// Why a node does not start: one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StartError(pub(crate) String);

/// A node that serves.
pub(crate) struct Running {
    cores: Cores,
    operations: Operations,
    sync: Sync,
    log: LogWriter,
    node: Arc<Node>,
    mail: Vec<MailSender<CoreMail>>,
}

/// Mail that waits for a core; each kind is needed once, so that what has data comes by letter.
const MAIL_MAX: usize = 16;

/// Connections that wait to be accepted, a core.
const BACKLOG: u32 = 4_096;

/// What each core's thread takes its own part from.
struct Seats {
    boxes: std::sync::Mutex<Vec<Option<Boxes>>>,
    counters: Arc<[Arc<Counters>]>,
}

/// Where a core reads: what concerns it as a whole, and letters about approvals.
struct Boxes {
    mail: MailReceiver<CoreMail>,
    letters: MailReceiver<Letter>,
}

/// Both mailboxes of one core, and where they are written to.
fn boxes() -> (MailSender<CoreMail>, MailSender<Letter>, Option<Boxes>) {
    let (to_mail, mail) = mailbox::bounded(MAIL_MAX);
    let (to_letters, letters) = mailbox::bounded(LETTERS_MAX);
    (to_mail, to_letters, Some(Boxes { mail, letters }))
}

impl Running {
    /// Starts every thread.
    ///
    /// # Errors
    /// The machine or the settings don't allow it.
    pub(crate) fn start(
        settings: DataplaneSettings,
        disk: Disk,
        joined: Joined,
    ) -> Result<Self, StartError> {
        let count = core_count(&settings);
        let configs = UpstreamTlsConfigs::new(settings.upstream_ca_file.as_deref());
        let configs = configs.map_err(StartError)?;
        let callers = settings.tls.as_ref().map(CallersTls::load).transpose();
        let callers = callers.map_err(|problems| StartError(problems.join("; ")))?;
        let mut node = Node::new(settings);
        // Before anybody is listened to.
        match sync::revocations(&disk) {
            Some(known) => node.revocations = known,
            None => node.revocations_unknown.store(true, Ordering::Release),
        }
        let node = Arc::new(node);
        let callers = callers.map(|(callers, tls)| {
            node.tls.store(Some(Arc::new(tls)));
            callers
        });
        let path = &node.settings.access_log;
        let (log_queue, log) = LogWriter::start(path, Arc::clone(&node.log_lost)).map_err(|e| {
            StartError(format!("the access log {} can't be opened: {e}", path.display()))
        })?;
        let counters: Arc<[Arc<Counters>]> =
            (0..count).map(|_| Arc::new(Counters::default())).collect();
        let (mut mail, mut letters, mut seats) = (Vec::new(), Vec::new(), Vec::new());
        for (to_mail, to_letters, own) in (0..count).map(|_| boxes()) {
            mail.push(to_mail);
            letters.push(to_letters);
            seats.push(own);
        }
        let boxes = std::sync::Mutex::new(seats);
        let seats = Arc::new(Seats { boxes, counters: Arc::clone(&counters) });
        let (reports, reported) = mpsc::channel(REPORTS_MAX);
        let (to_desk, desk_mail) = mpsc::channel(DESK_MAX);
        let queues = Queues { log: log_queue, reports, desk: to_desk };
        let cores = start_cores(&node, count, seats, queues)?;
        let listen = node.settings.operations_listen;
        let views = Views { node: Arc::clone(&node), cores: Arc::clone(&counters) };
        let operations = Operations::start(listen, views).map_err(|error| {
            StartError(format!("the operations address {listen} can't be used: {error}"))
        })?;
        let parts = Parts {
            node: Arc::clone(&node),
            disk: disk.clone(),
            joined,
            cores: mail.clone(),
            reports: reported,
            counters: Arc::clone(&counters),
            listen: cores.address().to_string(),
            configs,
        };
        let desk = DeskParts { letters, mail: desk_mail, node: Arc::clone(&node), counters, disk };
        let sync = Sync::start(parts, desk, callers)
            .map_err(|error| StartError(format!("the sync thread can't start: {error}")))?;
        Ok(Self { cores, operations, sync, log, node, mail })
    }

    /// Where callers connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.cores.address()
    }

    /// Where operators connect.
    pub(crate) fn operations_address(&self) -> SocketAddr {
        self.operations.address()
    }

    /// Whether every core enforces a policy.
    pub(crate) fn is_ready(&self) -> bool {
        self.node.published.load().is_some()
    }

    /// Whether it is about to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.node.draining.load(Ordering::Relaxed)
    }

    /// What stops the cores, for the thread that waits for signals.
    pub(crate) fn stopper(&self) -> Stopper {
        Stopper { stop: self.cores.stop(), node: Arc::clone(&self.node), mail: self.mail.clone() }
    }

    /// Waits until every core has drained, then ends the other threads.
    ///
    /// # Errors
    /// A core did not end as it should.
    pub(crate) fn join(self) -> Result<(), StartError> {
        let drained = self.cores.join();
        self.sync.stop();
        self.operations.stop();
        self.log.finish();
        drained.map_err(|error| StartError(error.to_string()))
    }
}

/// Begins and hastens a drain.
#[derive(Clone)]
pub(crate) struct Stopper {
    stop: cores::Stop,
    node: Arc<Node>,
    mail: Vec<MailSender<CoreMail>>,
}

impl Stopper {
    /// No new connections; open exchanges go on to their end, within the drain's limit.
    pub(crate) fn drain(&self) {
        self.node.draining.store(true, Ordering::Relaxed);
        self.stop.stop();
    }

    /// Has the files of `tls` read again.
    pub(crate) fn reload(&self) {
        self.node.reload.notify_one();
    }

    /// Cuts what is open.
    pub(crate) fn cut(&self) {
        for core in &self.mail {
            let _ = core.try_send(CoreMail::CutAll);
        }
    }
}

/// How many cores the settings ask for, on this machine.
pub(crate) fn core_count(settings: &DataplaneSettings) -> usize {
    match settings.cores {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => usize::from(count),
    }
}

/// Where cores write.
#[derive(Clone)]
struct Queues {
    log: LogQueue,
    reports: mpsc::Sender<Report>,
    desk: mpsc::Sender<DeskMail>,
}

fn start_cores(
    node: &Arc<Node>,
    count: usize,
    seats: Arc<Seats>,
    queues: Queues,
) -> Result<Cores, StartError> {
    let settings = CoreSettings {
        listen: node.settings.listen,
        cores: count,
        backlog: BACKLOG,
        connections_per_core_max: node.settings.limits.connections_per_core_max,
        buffer_bytes_per_core_max: node.settings.limits.buffer_bytes_per_core_max,
    };
    let node = Arc::clone(node);
    let next = Arc::new(AtomicUsize::new(0));
    let make = move |network: GlommioNetwork| {
        let seat = next.fetch_add(1, Ordering::Relaxed);
        let counters = seats.counters.get(seat).cloned().unwrap_or_default();
        let boxes = seats
            .boxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(seat)
            .and_then(Option::take);
        let Queues { log, reports, desk } = queues.clone();
        let core = Core::new(network, Arc::clone(&node), seat, counters, log, reports, desk);
        let core = Rc::new(core);
        if let Some(Boxes { mail, letters }) = boxes {
            core.network.spawn(read_mail(Rc::clone(&core), mail));
            core.network.spawn(read_letters(Rc::clone(&core), letters));
        }
        core.network.spawn(tick(Rc::clone(&core)));
        Rc::new(GatewayCore(core))
    };
    cores::start(&settings, make).map_err(|error| StartError(error.to_string()))
}

async fn read_mail<N: Network>(core: Rc<Core<N>>, mut mail: MailReceiver<CoreMail>) {
    while let Some(message) = mail.receive().await {
        match message {
            CoreMail::Published => core.refresh().await,
            CoreMail::CutAll => {
                core.cut_all(&Reason::Draining);
            }
        }
    }
}

async fn read_letters<N: Network>(core: Rc<Core<N>>, mut letters: MailReceiver<Letter>) {
    while let Some(letter) = letters.receive().await {
        core.receive(letter).await;
    }
}

async fn tick<N: Network>(core: Rc<Core<N>>) {
    loop {
        core.network.sleep(Duration::from_secs(1)).await;
        core.tick();
        probe::begin(&core);
    }
}

/// A core as the reactor drives it.
struct GatewayCore(Rc<Core<GlommioNetwork>>);

impl cores::Core for GatewayCore {
    fn serve(self: Rc<Self>, stream: SocketStream) -> impl Future<Output = ()> + 'static {
        client::serve(Rc::clone(&self.0), stream)
    }

    fn drain(self: Rc<Self>) -> impl Future<Output = ()> + 'static {
        drain(Rc::clone(&self.0))
    }

    fn refuse(self: Rc<Self>, stream: SocketStream) {
        drop(stream);
        self.0.make_room();
    }

    fn is_accepting(&self) -> bool {
        self.0.is_accepting()
    }

    fn accept_failed(&self, _error: NetworkError) {
        self.0.counters.accepts_failed.add(1);
    }
}

/// Idle connections close at once, and what waits for an approval is refused; exchanges that run go
/// on to their end, and are cut at the limit.
pub(crate) async fn drain<N: Network>(core: Rc<Core<N>>) {
    let begun = core.network.now();
    let limit = core.drain_limit();
    while core.counters.clients_open.read() > 0 {
        for waiting in core.idle.open().iter().chain(&core.handshakes.open()) {
            waiting.cancel(Reason::Draining);
        }
        core.end_holds(&Reason::Draining);
        let passed = core.network.now().saturating_sub(begun);
        if passed > limit {
            for _ in 0..core.cut_all(&Reason::Draining) {
                core.counters.reached(Limit::Drain);
            }
        }
        if passed > limit.saturating_add(Duration::from_secs(5)) {
            return;
        }
        core.network.sleep(Duration::from_millis(20)).await;
    }
}
