//! Sync: a thread of its own that talks to the control plane. It joins, keeps a long poll for
//! snapshots open, verifies and compiles what comes, publishes it with one pointer store, tells
//! every core, and says what each enforces. Nothing of it runs on a reactor.

mod certificates;
mod clock;
mod control;
mod disk;
mod feed;
mod join;
mod resolve;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use penstock_reactor::mailbox::MailSender;
use tokio::sync::{mpsc, watch};

use crate::core::{Node, Report};
use crate::counters::Counters;
use crate::upstream_tls::UpstreamTlsConfigs;

pub(crate) use certificates::CallersTls;
pub(crate) use clock::ClockStep;
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
    /// The system has no thread left.
    pub(crate) fn start(parts: Parts, callers: Option<CallersTls>) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("sync".to_owned()).spawn(move || {
            let keep = certificates::keep(Arc::clone(&parts.node), callers);
            runtime.block_on(async {
                tokio::select! {
                    () = feed::run(parts, stopped) => {}
                    () = keep => {}
                }
            });
        })?;
        Ok(Self { thread, stop })
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.thread.join();
    }
}
