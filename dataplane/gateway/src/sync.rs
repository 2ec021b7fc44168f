//! Sync: a thread of its own that talks to the control plane. It joins, keeps a long poll for
//! snapshots open, verifies and compiles what comes, publishes it with one pointer store, tells
//! every core, and says what each enforces. It has credentials leased, and lets go of them. Nothing
//! of it runs on a reactor.

mod certificates;
mod clock;
mod control;
mod credentials;
mod desk;
mod disk;
mod feed;
mod join;
mod resolve;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use penstock_config::hold::LiveEvent;
use penstock_reactor::mailbox::MailSender;
use tokio::sync::{mpsc, watch};

use crate::core::{Node, Report};
use crate::counters::Counters;
use crate::live::Revocations;
use crate::upstream_tls::UpstreamTlsConfigs;
use credentials::{Leasing, Safe};
use desk::Heard;

pub(crate) use certificates::CallersTls;
pub(crate) use clock::ClockStep;
pub(crate) use desk::DeskParts;
pub(crate) use disk::Disk;
pub(crate) use join::{Joined, join};

/// What the sync thread tells a core.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CoreMail {
    /// A new policy was published.
    Published,
    /// The time for a drain is over.
    CutAll,
}

/// Reports that wait for the sync thread, all cores together.
pub(crate) const REPORTS_MAX: usize = 1_024;

/// The running thread.
pub(crate) struct Sync {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

/// What the thread is started with.
pub(crate) struct Parts {
    /// What all threads see.
    pub(crate) node: Arc<Node>,
    /// State on disk.
    pub(crate) disk: Disk,
    /// The membership.
    pub(crate) joined: Joined,
    /// One mailbox a core.
    pub(crate) cores: Vec<MailSender<CoreMail>>,
    /// What cores report.
    pub(crate) reports: mpsc::Receiver<Report>,
    /// Counters of the cores: what each enforces.
    pub(crate) counters: Arc<[Arc<Counters>]>,
    /// Address that callers reach, for the status.
    pub(crate) listen: String,
    /// How model servers are met.
    pub(crate) configs: UpstreamTlsConfigs,
}

impl Sync {
    /// Starts the thread. `callers`: what callers meet, to be kept up to date.
    ///
    /// # Errors
    /// The system has no thread left, or locks no memory for credentials.
    pub(crate) fn start(
        parts: Parts,
        desk: DeskParts,
        callers: Option<CallersTls>,
    ) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let safe = Safe::new().map_err(io::Error::other)?;
        let thread = std::thread::Builder::new().name("sync".to_owned()).spawn(move || {
            let keep = certificates::keep(Arc::clone(&parts.node), callers);
            let control = parts.joined.control.clone();
            let id = parts.joined.membership.node.clone();
            let leasing = Leasing::new(Arc::clone(&parts.node), control.clone(), id, safe);
            let feed = feed::run(parts, Rc::clone(&leasing), stopped.clone());
            let desk = desk::run(control, desk, |heard| heed(&leasing, heard), stopped);
            let others = async {
                tokio::select! {
                    () = feed => {}
                    () = keep => {}
                    () = leasing.run() => {}
                }
            };
            runtime.block_on(futures_util::future::join(others, desk));
            leasing.forget();
        })?;
        Ok(Self { thread, stop })
    }

    /// Ends the thread, once what is to be told was told, within a limit, and waits for it.
    pub(crate) fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.thread.join();
    }
}

/// What was revoked when the node last ran; none, and a line for the operator, where that can't be
/// known.
pub(crate) fn revocations(disk: &Disk) -> Option<Revocations> {
    let known = disk.revocations();
    known
        .inspect_err(|error| {
            feed::tell(&format!(
                "what was revoked can't be read: {error}; nothing is enforced until the control \
                 plane has said it anew"
            ));
        })
        .ok()
}

/// What the desk hears that concerns credentials: a grant stands for one, or not any more.
fn heed(leasing: &Leasing, heard: Heard<'_>) {
    let live = match heard {
        Heard::Live(live) => live,
        Heard::UseEnded => return leasing.use_has_ended(),
    };
    for event in &live.events {
        match event {
            LiveEvent::GrantLive { connection, ends_ms, .. } => {
                leasing.grant_is_live(connection, *ends_ms);
            }
            LiveEvent::GrantEnded { .. } => leasing.grant_has_ended(),
            LiveEvent::Approval { .. }
            | LiveEvent::IdentityRevoked { .. }
            | LiveEvent::TokenRevoked { .. }
            | LiveEvent::SessionKilled { .. } => {}
        }
    }
    if live.full {
        // Grants may have ended that nobody will tell of any more.
        leasing.refresh();
    }
}
