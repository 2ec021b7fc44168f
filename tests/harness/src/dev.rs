//! The whole product on this machine: `penstock dev`, and its command line.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use crate::process::{Output, Process, run, signal};

/// How long the product gets to end by itself before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// How long a command may take: `apply --wait` waits for every core.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);

/// A program of this workspace, built by the same profile as the test that asks.
#[must_use]
#[track_caller]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("no own path: {error}"));
    // target/<profile>/deps/<test>, or target/<profile>/<program> when run by hand.
    let found = test.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    match found.into_iter().find(|path| path.is_file()) {
        Some(path) => path,
        None => panic!("{name} is not built: cargo build --workspace --bins"),
    }
}

/// The line that `penstock dev --json` prints when all is ready.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    /// URL that callers use.
    pub gateway: String,
    /// URL of health and metrics.
    pub operations: String,
    /// URL of the control plane's API.
    pub api: String,
    /// URL of the development identity provider.
    pub issuer: String,
    /// The state's folder.
    pub state: String,
    /// Process ids.
    pub pids: Pids,
}

/// Process ids of the two planes at the start.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Pids {
    /// The data plane's.
    pub dataplane: u32,
    /// The control plane's.
    pub controlplane: u32,
}

/// What the state says of the run that uses it.
#[derive(Deserialize)]
struct Record {
    pids: Pids,
}

/// What the product is started with.
#[derive(Clone, Debug, Default)]
pub struct DevOptions {
    /// YAML texts, each applied as a file.
    pub documents: Vec<String>,
    /// Environment: `PENSTOCK_SECRET_…`.
    pub environment: Vec<(String, String)>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// The program; this workspace's `penstock` if there is none.
    pub program: Option<PathBuf>,
}

/// The running product. Dropping it ends every process of it and removes its state.
pub struct Dev {
    process: Process,
    ready: Ready,
    program: PathBuf,
    folder: TempDir,
}

impl Dev {
    /// Starts with these documents in force.
    #[must_use]
    #[track_caller]
    pub fn start(documents: &str) -> Self {
        Self::start_with(DevOptions {
            documents: vec![documents.to_owned()],
            ..DevOptions::default()
        })
    }

    /// Starts in a new state; returns when all is ready.
    #[must_use]
    #[track_caller]
    pub fn start_with(options: DevOptions) -> Self {
        let folder = TempDir::new().unwrap_or_else(|error| panic!("no folder: {error}"));
        let program = options.program.unwrap_or_else(|| program("penstock"));
        let mut flags = vec!["--listen".into(), "127.0.0.1:0".into(), "--json".into()];
        for (index, text) in options.documents.iter().enumerate() {
            let file = folder.path().join(format!("documents-{index}.yaml"));
            write(&file, text);
            flags.extend(["--apply".into(), file.into_os_string()]);
        }
        flags.extend(options.arguments.into_iter().map(Into::into));
        let mut command = Command::new(&program);
        command.arg("dev").arg("--state").arg(folder.path().join("state")).args(flags);
        command.envs(options.environment.iter().map(|(key, value)| (key, value)));
        let process = Process::spawn(command, &folder.path().join("stderr.log"));
        let line = process.try_json_line();
        let line = line.unwrap_or_else(|| panic!("dev did not start: {}", process.stderr()));
        let ready = serde_json::from_value(line.clone())
            .unwrap_or_else(|error| panic!("not what dev promises to print: {error}: {line}"));
        Self { process, ready, program, folder }
    }

    /// Where everything is.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The state's folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        PathBuf::from(&self.ready.state)
    }

    /// Process ids of the two planes as they are now: a plane that died was started again.
    #[must_use]
    pub fn pids(&self) -> Pids {
        let record = std::fs::read(self.state().join("dev.json")).unwrap_or_default();
        let record: Record =
            serde_json::from_slice(&record).unwrap_or(Record { pids: self.ready.pids });
        record.pids
    }

    /// Asks everything to end: SIGTERM. The exit status, if it came in time.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.process.terminate();
        self.process.wait(END_PATIENCE)
    }

    /// Process id of `penstock dev` itself.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The terminal's process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A folder of the test's own, removed at the end.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the product wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// A token of the development provider.
    #[must_use]
    #[track_caller]
    pub fn token(&self, user: &str, groups: &[&str], arguments: &[&str]) -> String {
        let groups = groups.join(",");
        let mut all = vec!["token", "--user", user];
        if !groups.is_empty() {
            all.extend(["--groups", &groups]);
        }
        all.extend(arguments);
        let output = self.penstock(&all);
        assert_eq!(output.code, 0, "no token: {}", output.stderr);
        output.stdout.trim().to_owned()
    }

    /// Runs `penstock` on this state.
    #[track_caller]
    pub fn penstock(&self, arguments: &[&str]) -> Output {
        self.penstock_with_input(arguments, "")
    }

    /// The same with something on standard input.
    #[track_caller]
    pub fn penstock_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("PENSTOCK_STATE", &self.ready.state)
            .env_remove("PENSTOCK_URL")
            .env_remove("PENSTOCK_TOKEN");
        run(command, input, COMMAND_PATIENCE)
    }

    /// Applies documents and waits until every core enforces them.
    #[track_caller]
    pub fn apply(&self, documents: &str) -> Output {
        let file = self.folder.path().join("applied.yaml");
        write(&file, documents);
        self.penstock(&["apply", "--wait", "-f", &file.to_string_lossy()])
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let pids = self.pids();
        if self.stop().is_none() {
            self.process.kill();
        }
        // Planes that outlived their terminal: each has a process group of its own.
        for id in [pids.dataplane, pids.controlplane] {
            let name = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
            if name.starts_with("penstock") {
                signal(id, Signal::KILL);
            }
        }
    }
}

#[track_caller]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
