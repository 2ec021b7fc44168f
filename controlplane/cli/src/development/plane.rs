//! One plane as a process of its own: started, awaited, ended.

use std::env;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};

use crate::failure::{Exit, Failure};
use crate::private_files;

/// From the start to the ready line.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// From SIGTERM to SIGKILL.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest ready line, in bytes.
const READY_BYTES_MAX: u64 = 64 << 10;
/// How much of a log is shown when a plane does not start.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 16 << 10;
/// What both planes say of an address that another process listens on.
const ADDRESS_IN_USE: &str = "in use";

/// A plane. Its standard input stays open as long as it is wanted: a plane in development ends when
/// that ends, so it never outlives this process.
pub(crate) struct Plane {
    name: &'static str,
    program: PathBuf,
    settings: PathBuf,
    log: PathBuf,
    running: Option<Running>,
    started: Instant,
    lacks_address: bool,
}

struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Plane {
    /// A plane that is not started: `penstock-<name>` beside this executable.
    pub(crate) fn new(name: &'static str, settings: &Path, log: &Path) -> Result<Self, Failure> {
        let own = env::current_exe()
            .map_err(|error| Failure::machine(format!("this program can't be found: {error}")))?;
        let program = own.with_file_name(format!("penstock-{name}"));
        if !program.is_file() {
            return Err(Failure::machine(format!("{} is missing", program.display())).hint(
                "penstock, penstock-controlplane and penstock-dataplane belong into one folder",
            ));
        }
        Ok(Self {
            name,
            program,
            settings: settings.to_owned(),
            log: log.to_owned(),
            running: None,
            started: Instant::now(),
            lacks_address: false,
        })
    }

    /// `controlplane` or `dataplane`.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the last start failed because an address was in use.
    pub(crate) fn lacks_address(&self) -> bool {
        self.lacks_address
    }

    /// Process id; 0 while it does not run.
    fn pid(&self) -> u32 {
        self.running.as_ref().and_then(|running| running.child.id()).unwrap_or(0)
    }

    /// Since the last start.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Starts it, tells `started` its process id, hands it `first_line` on standard input, and
    /// returns its ready line.
    ///
    /// # Errors
    /// It ended or said nothing in time; the end of its log comes along. Or `started` failed.
    pub(crate) async fn start(
        &mut self,
        first_line: &[u8],
        started: impl FnOnce(u32) -> Result<(), Failure>,
    ) -> Result<Value, Failure> {
        let log = private_files::open_for_append(&self.log)?;
        let log_begin = log.metadata().map_or(0, |metadata| metadata.len());
        self.started = Instant::now();
        self.lacks_address = false;
        let stdout = self.spawn(log)?;
        started(self.pid())?;
        let ready = timeout(READY_TIMEOUT, self.handshake(stdout, first_line)).await;
        let (exit, why) = match ready {
            Ok(Some(ready)) => return Ok(ready),
            Ok(None) => match timeout(END_TIMEOUT, self.ended()).await {
                Ok(Some(status)) => (exit_of(status), format!("ended while it started, {status}")),
                Ok(None) | Err(_) => {
                    (Exit::Failed, "closed its output while it started".to_owned())
                }
            },
            Err(_) => (Exit::Failed, "did not become ready in a minute".to_owned()),
        };
        self.kill().await;
        let said = tail(&self.log, log_begin);
        self.lacks_address =
            exit == Exit::Machine && said.iter().any(|line| line.contains(ADDRESS_IN_USE));
        Err(Failure::new(exit, format!("the {} {why}", self.name))
            .hint(format!("its log is {}", self.log.display()))
            .details(said))
    }

    fn spawn(&mut self, log: File) -> Result<ChildStdout, Failure> {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.settings).arg("--development");
        // Secrets and addresses of this process are not the plane's business.
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PENSTOCK_") {
                command.env_remove(name);
            }
        }
        // A process group of its own: Ctrl-C reaches this process alone, which ends the planes.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(log));
        let mut child = command.spawn().map_err(|error| {
            Failure::machine(format!("{} can't be started: {error}", self.program.display()))
        })?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        self.running = Some(Running { child, stdin });
        stdout.ok_or_else(|| Failure::failed(format!("the {} has no output", self.name)))
    }

    /// Writes the first line and reads the ready line; nothing when the plane gave up.
    async fn handshake(&mut self, stdout: ChildStdout, first_line: &[u8]) -> Option<Value> {
        if let Some(stdin) = self.running.as_mut().and_then(|running| running.stdin.as_mut()) {
            stdin.write_all(first_line).await.ok()?;
            stdin.flush().await.ok()?;
        }
        let mut reader = BufReader::new(stdout).take(READY_BYTES_MAX);
        let mut line = String::new();
        reader.read_line(&mut line).await.ok()?;
        let ready: Value = serde_json::from_str(&line).ok()?;
        // Whatever it says later has a reader, so that it never gets stuck on a full pipe.
        let mut rest = reader.into_inner();
        tokio::spawn(async move { tokio::io::copy(&mut rest, &mut tokio::io::sink()).await });
        (ready.get("ready")? == true).then_some(ready)
    }

    /// Waits until it ends by itself; at once when it does not run.
    pub(crate) async fn ended(&mut self) -> Option<ExitStatus> {
        let running = self.running.as_mut()?;
        let status = running.child.wait().await.ok();
        self.running = None;
        status
    }

    /// Ends it: SIGTERM and the end of its standard input, and SIGKILL where that is not enough.
    pub(crate) async fn stop(&mut self) {
        let Some(running) = self.running.as_mut() else { return };
        let pid = running.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        running.stdin = None;
        if timeout(END_TIMEOUT, running.child.wait()).await.is_err() {
            self.kill().await;
        }
        self.running = None;
    }

    async fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill().await;
        }
    }
}

/// A plane says itself when the machine or the settings are to blame.
fn exit_of(status: ExitStatus) -> Exit {
    if status.code() == Some(Exit::Machine as i32) { Exit::Machine } else { Exit::Failed }
}

/// The last lines of a log, none from before `begin`.
fn tail(log: &Path, begin: u64) -> Vec<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(begin.max(size.saturating_sub(TAIL_BYTES))))?;
        let mut content = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut content)?;
        Ok(content)
    };
    let content = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| format!("  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_since_the_start_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "old\nnew 1\nnew 2\n").unwrap();
        assert_eq!(tail(&log, 4), ["  new 1", "  new 2"]);
        let long: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&log, long).unwrap();
        let lines = tail(&log, 0);
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.last().unwrap(), "  line 9999");
        assert!(tail(&folder.path().join("missing"), 0).is_empty());
    }
}
