//! The access log: one JSON line an exchange, written by a thread of its own. A line is made on the
//! core, handed over through a bounded queue, and counted when the queue is full.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use penstock_reactor::network::Network;
use serde::Serialize;

use crate::client::Client;
use crate::core::Core;
use crate::reason::Reason;
use crate::session::Session;

/// Where a core hands its lines over.
pub(crate) type LogQueue = Sender<Entry>;

/// What goes through the queue.
#[derive(Debug)]
pub(crate) enum Entry {
    /// One line, with its end.
    Line(Vec<u8>),
    /// Nothing comes after it.
    End,
}

/// Lines that wait for the writer, all cores together.
const QUEUE_LINES: usize = 16_384;

/// Characters of a path that a line holds.
const PATH_MAX: usize = 256;

/// How often the writer looks whether its file was moved away.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(5);

/// How long the end of a process waits for a place in the queue.
const FINISH_MAX: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Line<'l> {
    at_ms: u64,
    session: &'l str,
    peer: std::net::SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'l str>,
    method: &'l str,
    path: &'l str,
    operations: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<penstock_config::catalogue::Risk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'l str>,
    decision: &'static str,
    rule: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'l str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    grants: &'l [String],
    status: u16,
    /// What the caller was told, where that was before the status was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<u16>,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'l str>,
    bytes_up: u64,
    bytes_down: u64,
    /// How many values were masked; absent where no mask applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    masked: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte_us: Option<u128>,
    duration_us: u128,
}

/// Hands one line over.
pub(crate) fn write<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    session: &Session,
    reason: &Reason,
) {
    let identity = session.identity.as_deref();
    let classified = session.classified.as_ref();
    let detail = detail(reason);
    let line = Line {
        at_ms: u64::try_from(session.begun_wall.as_millis()).unwrap_or(0),
        session: session.id.as_str(),
        peer: client.peer,
        issuer: identity.map(|one| one.issuer.as_str()),
        subject: identity.map(|one| one.subject.as_str()),
        user: identity.map(|one| one.user.as_str()),
        connection: session.connection.as_deref(),
        method: session.method,
        path: cut(&session.path),
        operations: classified
            .map(|one| one.operations.iter().map(|operation| operation.name()).collect())
            .unwrap_or_default(),
        risk: session.risk(),
        model: classified.and_then(|one| one.model.as_deref()),
        decision: decision(session, reason),
        rule: session.rule.as_deref(),
        approval: session.approval.as_deref(),
        grants: session.granted.as_ref().map_or(&[], |granted| &granted.grants),
        status: session.status,
        told: session.told,
        reason: reason.label(),
        detail: detail.as_deref(),
        bytes_up: session.bytes_up,
        bytes_down: session.bytes_down,
        masked: session.masked,
        endpoint: session.endpoint.as_deref(),
        first_byte_us: session.first_byte.map(|time| time.as_micros()),
        duration_us: core.network.now().saturating_sub(session.begun).as_micros(),
    };
    let mut bytes = Vec::with_capacity(512);
    if serde_json::to_writer(&mut bytes, &line).is_err() {
        return;
    }
    bytes.push(b'\n');
    if core.log.try_send(Entry::Line(bytes)).is_err() {
        core.counters.log_dropped.add(1);
    }
}

/// A path is the caller's text: a target has ASCII characters only, so any place is a boundary.
fn cut(path: &str) -> &str {
    path.get(..PATH_MAX).unwrap_or(path)
}

/// `none` where nothing was decided: the request was refused before. `approve` where it needed an
/// approval that it did not get.
fn decision(session: &Session, reason: &Reason) -> &'static str {
    match (session.allowed, matches!(reason, Reason::Denied(_))) {
        (true, _) => "allow",
        (false, true) => "deny",
        (false, false) if session.held => "approve",
        (false, false) => "none",
    }
}

/// What the caller is not told.
fn detail(reason: &Reason) -> Option<Cow<'_, str>> {
    match reason {
        Reason::Unauthenticated(why) => Some(Cow::Borrowed(why)),
        Reason::BadRequest(why) | Reason::Ambiguous(why) => Some(Cow::Borrowed(why)),
        Reason::UpstreamTls(Some(failure)) => Some(Cow::Owned(failure.to_string())),
        Reason::UpstreamTls(None) => Some(Cow::Borrowed("TLS can't be set up on this node")),
        Reason::Unmaskable(why) => Some(Cow::Borrowed(why.text())),
        Reason::UnmaskableRequest(what) => Some(Cow::Borrowed(what)),
        Reason::UpstreamAnswer(status) => Some(Cow::Owned(format!("status {status}"))),
        _ => None,
    }
}

/// The writer's thread.
pub(crate) struct LogWriter {
    thread: JoinHandle<()>,
    queue: LogQueue,
}

impl LogWriter {
    /// Opens the log (`-`: standard output) and starts writing. Lines that could not be written are
    /// counted in `lost`.
    ///
    /// # Errors
    /// The file can't be opened.
    pub(crate) fn start(path: &Path, lost: Arc<AtomicU64>) -> io::Result<(LogQueue, Self)> {
        let (sender, receiver) = bounded(QUEUE_LINES);
        let output = Output::open(path)?;
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_lines(&receiver, output, &lost))?;
        Ok((sender.clone(), Self { thread, queue: sender }))
    }

    /// Writes what is queued and ends.
    pub(crate) fn finish(self) {
        let ends = std::time::Instant::now() + FINISH_MAX;
        if self.queue.send_timeout(Entry::End, FINISH_MAX).is_err() {
            return;
        }
        // A reader of standard output that is stuck must not keep the process.
        while !self.thread.is_finished() && std::time::Instant::now() < ends {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

struct Output {
    writer: Box<dyn Write + Send>,
    file: Option<(PathBuf, u64)>,
}

impl Output {
    fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { writer: Box::new(BufWriter::new(io::stdout())), file: None });
        }
        let file = open(path)?;
        let inode = inode(&file);
        Ok(Self { writer: Box::new(BufWriter::new(file)), file: Some((path.to_owned(), inode)) })
    }

    /// Opens the file again where it was moved away by rotation.
    fn follow_rotation(&mut self) {
        let Some((path, inode_now)) = &mut self.file else { return };
        let moved = std::fs::metadata(&*path)
            .map_or(true, |found| std::os::unix::fs::MetadataExt::ino(&found) != *inode_now);
        if moved && let Ok(file) = open(path) {
            let _ = self.writer.flush();
            *inode_now = inode(&file);
            self.writer = Box::new(BufWriter::new(file));
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn inode(file: &File) -> u64 {
    file.metadata().map_or(0, |found| std::os::unix::fs::MetadataExt::ino(&found))
}

/// Lines are flushed when the queue is empty: at once when there is little to do.
fn write_lines(lines: &Receiver<Entry>, mut output: Output, lost: &AtomicU64) {
    let mut looked = std::time::Instant::now();
    loop {
        if looked.elapsed() >= LOOK_EVERY {
            output.follow_rotation();
            looked = std::time::Instant::now();
        }
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(Entry::Line(line)) => {
                // Who waits costs every sender a wake-up: so lines are let gather for a moment.
                std::thread::sleep(GATHER);
                if !write_gathered(lines, line, &mut output, lost) {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Entry::End) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
}

/// Writes a line and those that came after it, in as few system calls as it takes; `false` at the
/// end.
fn write_gathered(
    lines: &Receiver<Entry>,
    first: Vec<u8>,
    output: &mut Output,
    lost: &AtomicU64,
) -> bool {
    let mut count = 1;
    let mut written = output.writer.write_all(&first);
    let mut goes_on = true;
    while count < QUEUE_LINES as u64 {
        match lines.try_recv() {
            Ok(Entry::Line(line)) => {
                written = written.and(output.writer.write_all(&line));
                count += 1;
            }
            Ok(Entry::End) => {
                goes_on = false;
                break;
            }
            Err(_empty) => break,
        }
    }
    if written.and(output.writer.flush()).is_err() {
        lost.fetch_add(count, Ordering::Relaxed);
    }
    goes_on
}
