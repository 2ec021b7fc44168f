//! One data plane as a process of its own, joined to a scripted control plane.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use penstock_harness::{Output, PATIENCE, Process, RawClient, Response, eventually, program, run};
use serde_json::Value;
use tempfile::TempDir;

use crate::ControlPlane;

/// The node. Dropping it kills it and removes its state.
pub struct Node {
    process: Process,
    gateway: String,
    operations: String,
    folder: TempDir,
}

impl Node {
    /// Joins and serves, with these further lines of settings.
    #[must_use]
    #[track_caller]
    pub fn start(control: &ControlPlane, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("join.json"), control.join_file()).unwrap();
        write_settings(folder.path(), settings);
        let process = spawn(folder.path());
        let (gateway, operations) = ready(&process);
        let node = Self { process, gateway, operations, folder };
        node.until_ready();
        node
    }

    /// Starts it by a command of the test's own, made from the folder of its files and its program,
    /// and expects that it ends by itself.
    #[track_caller]
    pub fn refused(
        control: &ControlPlane,
        command: impl FnOnce(&Path, &Path) -> Command,
    ) -> Output {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("join.json"), control.join_file()).unwrap();
        write_settings(folder.path(), "");
        let mut command = command(folder.path(), &program("penstock-dataplane"));
        command.arg("--config").arg(folder.path().join("settings.yaml"));
        run(command, "", PATIENCE)
    }

    /// Kills it: SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
        let _ = self.process.wait(PATIENCE);
    }

    /// Starts it again on the same state, once it has ended, with these further lines of settings;
    /// at other addresses, since another program may have taken the old ones.
    #[track_caller]
    pub fn restart(&mut self, settings: &str) {
        write_settings(self.folder.path(), settings);
        self.process = spawn(self.folder.path());
        (self.gateway, self.operations) = ready(&self.process);
        self.until_ready();
    }

    /// Waits until every core enforces a policy that is confirmed.
    #[track_caller]
    fn until_ready(&self) {
        eventually("a node that is ready", || {
            (self.operations("/readyz").status == 200).then_some(())
        });
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where callers connect.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// What it wrote to standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// The access log's file.
    #[must_use]
    pub fn access_log(&self) -> PathBuf {
        self.folder.path().join("access.jsonl")
    }

    /// Its state's folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("node")
    }

    /// A caller.
    #[must_use]
    #[track_caller]
    pub fn client(&self) -> RawClient {
        RawClient::connect(&self.gateway)
    }

    /// One exchange on a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: &str) -> Response {
        self.client().exchange(request)
    }

    /// A GET on the operations address.
    #[track_caller]
    pub fn operations(&self, path: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        RawClient::connect(&self.operations).exchange(request)
    }

    /// Sum of a metric over the series that carry `label` (all, if it is empty).
    #[must_use]
    #[track_caller]
    pub fn metric(&self, name: &str, label: &str) -> u64 {
        let text = self.operations("/metrics").text();
        let mut values = text
            .lines()
            .filter(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && line.contains(label)
            })
            .map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()))
            .peekable();
        assert!(values.peek().is_some(), "no metric {name} {label}: {text}");
        values.map(|value| value.unwrap_or_else(|| panic!("no number: {name}: {text}"))).sum()
    }

    /// How many exchanges ended for that reason.
    #[must_use]
    #[track_caller]
    pub fn ended(&self, reason: &str) -> u64 {
        self.metric("penstock_exchange_ended_total", &format!("reason=\"{reason}\""))
    }

    /// Waits until that many exchanges ended for that reason: an answer is read before its end is
    /// counted.
    #[track_caller]
    pub fn expect_ended(&self, reason: &str, count: u64) {
        eventually("an end that is counted", || (self.ended(reason) >= count).then_some(()));
        assert_eq!(self.ended(reason), count, "{reason}");
    }

    /// Waits until that snapshot is the one on disk.
    #[track_caller]
    pub fn expect_kept(&self, signed: &[u8]) {
        let file = self.state().join("snapshot.signed");
        eventually("a snapshot on disk", || {
            fs::read(&file).is_ok_and(|kept| kept == signed).then_some(())
        });
    }

    /// Waits until every core enforces that version.
    #[track_caller]
    pub fn expect_version(&self, version: u64) {
        eventually("a version that is enforced", || {
            (self.metric("penstock_sync_policy_version", "") == version).then_some(())
        });
    }
}

fn spawn(folder: &Path) -> Process {
    // A write beyond a limit on the size of files shall fail and not kill: SIGXFSZ is ignored.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' 25 && exec \"$0\" \"$@\""]).arg(program("penstock-dataplane"));
    command.arg("--config").arg(folder.join("settings.yaml"));
    Process::spawn(command, &folder.join("stderr.log"))
}

/// Where a node listens that says that it is ready.
#[track_caller]
fn ready(process: &Process) -> (String, String) {
    let line = process.json_line();
    let text = |field: &str| line.get(field).and_then(Value::as_str).unwrap().to_owned();
    (text("listen"), text("operations"))
}

fn write_settings(folder: &Path, more: &str) {
    let path = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "listen: 127.0.0.1:0\noperations_listen: 127.0.0.1:0\nstate_dir: {}\njoin_file: {}\n\
         access_log: {}\ncores: 1\n{more}",
        path("node"),
        path("join.json"),
        path("access.jsonl"),
    );
    fs::write(folder.join("settings.yaml"), text).unwrap();
}
