//! Programs that a test starts: their lines, their end, and that they never outlive the test.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::{PATIENCE, wait_until};

/// A running program, leader of a process group of its own. Dropping it kills the group.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    name: String,
    lines: Receiver<String>,
    stderr: PathBuf,
}

impl Process {
    /// Starts a program. Its standard output is read line by line, its standard error goes to the
    /// file `stderr`, its standard input is empty.
    #[must_use]
    #[track_caller]
    pub fn spawn(command: Command, stderr: &Path) -> Self {
        Self::spawn_on(command, Stdio::null(), stderr)
    }

    /// The same with a standard input that stays open until [`Self::close_input`].
    #[must_use]
    #[track_caller]
    pub fn spawn_with_input(command: Command, stderr: &Path) -> Self {
        Self::spawn_on(command, Stdio::piped(), stderr)
    }

    #[track_caller]
    fn spawn_on(mut command: Command, stdin: Stdio, stderr: &Path) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::create(stderr)
            .unwrap_or_else(|error| panic!("no file {}: {error}", stderr.display()));
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} did not start: {error}"));
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let input = child.stdin.take();
        Self { child, input, name, lines, stderr: stderr.to_owned() }
    }

    /// Writes a line to its standard input. One that has ended is no failure here: what it said
    /// tells why.
    pub fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = input.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard output.
    #[must_use]
    pub fn line(&self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok()
    }

    /// The next line of its standard output that is a JSON object, within [`PATIENCE`].
    #[must_use]
    #[track_caller]
    pub fn json_line(&self) -> Value {
        self.try_json_line().unwrap_or_else(|| {
            panic!("{} printed no line of JSON; on standard error: {}", self.name, self.stderr())
        })
    }

    /// The same, if it comes.
    #[must_use]
    pub fn try_json_line(&self) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(line) = self.line(deadline.saturating_duration_since(Instant::now())) {
            if let Ok(value @ Value::Object(_)) = serde_json::from_str(&line) {
                return Some(value);
            }
        }
        None
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        let bytes = std::fs::read(&self.stderr).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks it to end: SIGTERM.
    pub fn terminate(&self) {
        signal(self.id(), Signal::TERM);
    }

    /// Kills it alone: SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for its end; `None` if it still runs.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let mut status = None;
        let ended = wait_until(Instant::now() + patience, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        status.filter(|_| ended)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its children are in the group too, also when it has ended and left them behind.
        if let Some(group) = pid(self.id()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// What a program gave that has ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("no JSON: {error}: {}{}", self.stdout, self.stderr),
        }
    }
}

/// Runs a program to its end, with `input` on its standard input. Fails the test, and kills the
/// program, if that takes longer than `patience`.
#[track_caller]
pub fn run(mut command: Command, input: &str, patience: Duration) -> Output {
    // Files, not pipes: however much is written, nobody has to read it meanwhile.
    let file = || tempfile::tempfile().unwrap_or_else(|error| panic!("no file: {error}"));
    let clone = |file: &File| file.try_clone().unwrap_or_else(|error| panic!("no file: {error}"));
    let (mut stdin, stdout, stderr) = (file(), file(), file());
    let written = stdin.write_all(input.as_bytes()).and_then(|()| stdin.rewind());
    written.unwrap_or_else(|error| panic!("no input: {error}"));
    let mut child = command
        .stdin(stdin)
        .stdout(clone(&stdout))
        .stderr(clone(&stderr))
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
    let mut status = None;
    let ended = wait_until(Instant::now() + patience, || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} did not end; on standard error: {}", content(stderr));
    }
    Output {
        code: status.and_then(|status| status.code()).unwrap_or(-1),
        stdout: content(stdout),
        stderr: content(stderr),
    }
}

fn content(mut file: File) -> String {
    let mut bytes = Vec::new();
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a signal to one process that the test knows by its id.
pub fn signal(id: u32, signal: Signal) {
    if let Some(pid) = pid(id) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process runs; one that has ended and that nobody has asked for is no more.
#[must_use]
pub fn is_running(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}
