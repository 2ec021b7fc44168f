//! nginx and HAProxy around the gateway, as `config/examples` recommends them: one process that
//! stands both in front of it and behind it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use penstock_harness::{Process, eventually};
use tempfile::TempDir;

use crate::tools;

/// Which proxy.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// nginx, by `config/examples/nginx.conf`.
    Nginx,
    /// HAProxy, by `config/examples/haproxy.cfg`.
    HaProxy,
}

/// The addresses of the two places around the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// Where callers connect.
    pub front: SocketAddr,
    /// Where the gateway finds the model server.
    pub behind: SocketAddr,
}

impl Places {
    /// Two free places. The gateway is told of the one behind it before the proxy is started, so
    /// they can't be left to the system; they lie where it gives none to others meanwhile.
    #[must_use]
    #[track_caller]
    pub fn choose() -> Self {
        static CHOSEN: AtomicU32 = AtomicU32::new(0);
        // Tests of other processes, and of other threads of this one, choose at the same time.
        let own = std::process::id().wrapping_add(CHOSEN.fetch_add(617, Ordering::Relaxed));
        let first = u16::try_from(10_000 + own % 1_250 * 16).unwrap_or(10_000);
        let mut free = (first..first.saturating_add(16))
            .filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()?.local_addr().ok());
        match (free.next(), free.next()) {
            (Some(front), Some(behind)) => Self { front, behind },
            (_, _) => panic!("no two free ports from {first} on"),
        }
    }
}

/// The running proxy. Dropping it ends it.
pub struct Proxy {
    kind: Kind,
    places: Places,
    folder: TempDir,
    process: Option<Process>,
}

impl Proxy {
    /// Starts it between callers, the gateway and the model server. `changes` replace words of the
    /// recommended configuration.
    #[must_use]
    #[track_caller]
    pub fn start(
        kind: Kind,
        places: Places,
        gateway: &str,
        model: SocketAddr,
        changes: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let mut text = fs::read_to_string(tools::repository_file(kind.example()))
            .unwrap_or_else(|error| panic!("no configuration: {error}"));
        let addresses = [
            ("127.0.0.1:8442", places.front.to_string()),
            ("127.0.0.1:8443", gateway.trim_start_matches("http://").to_owned()),
            ("127.0.0.1:8001", places.behind.to_string()),
            ("127.0.0.1:8000", model.to_string()),
        ];
        let changes = changes.iter().map(|(from, to)| (*from, (*to).to_owned()));
        for (from, to) in addresses.into_iter().chain(changes) {
            assert!(text.contains(from), "{} does not say {from}", kind.example());
            text = text.replace(from, &to);
        }
        write(&folder.path().join("example"), &text);
        write(&folder.path().join("main"), &nginx_around(folder.path()));
        let mut proxy = Self { kind, places, folder, process: None };
        proxy.run();
        proxy
    }

    /// Ends it, and with it all its connections, and starts it anew in the same places.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process = None;
        self.run();
    }

    #[track_caller]
    fn run(&mut self) {
        let file = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(self.kind.program());
        match self.kind {
            Kind::Nginx => command.args(["-e", "stderr", "-c"]).arg(file("main")),
            Kind::HaProxy => command.args(["-db", "-f"]).arg(file("example")),
        };
        let mut process = Process::spawn(command, &file("proxy.log"));
        for place in [self.places.front, self.places.behind] {
            eventually("a proxy that takes connections", || {
                let ended = process.wait(std::time::Duration::ZERO);
                assert!(ended.is_none(), "{:?} ended: {}", self.kind, process.stderr());
                TcpStream::connect(place).ok()
            });
        }
        self.process = Some(process);
    }
}

impl Kind {
    fn example(self) -> &'static str {
        match self {
            Self::Nginx => "config/examples/nginx.conf",
            Self::HaProxy => "config/examples/haproxy.cfg",
        }
    }

    fn program(self) -> PathBuf {
        match self {
            Self::Nginx => tools::system_program("nginx"),
            Self::HaProxy => tools::system_program("haproxy"),
        }
    }
}

/// What an nginx has around such a file, with everything that it writes in one folder.
fn nginx_around(folder: &Path) -> String {
    let folder = folder.display();
    let parts: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|part| format!("{part}_temp_path {folder}/{part};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log stderr warn;\n\
         events {{}}\nhttp {{\naccess_log off;\n{parts}include {folder}/example;\n}}\n"
    )
}

#[track_caller]
fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
