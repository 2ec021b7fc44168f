//! The real reactor at the limits of the machine: more completions than a ring holds, no
//! descriptors, no locked memory, no rings. Each test that changes the process runs in a process of
//! its own, which this file starts again for it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::rc::Rc;
use std::time::Duration;

use crossbeam_channel::{Receiver as Mails, Sender as Mailer, unbounded};
use penstock_reactor::cores::{Core, CoreSettings, Cores, StartError, start};
use penstock_reactor::network::{
    Network, NetworkError, Outgoing, Received, Receiver, Sender, Stream,
};
use penstock_reactor::process::raise_descriptor_limit;
use penstock_reactor::sockets::{GlommioNetwork, SocketStream};

const PATIENCE: Duration = Duration::from_secs(30);

/// Names the role that a process started by this file plays.
const ROLE: &str = "PENSTOCK_TEST_ROLE";

/// Echoes. A `G` blocks the whole core until the gate opens.
struct Echo {
    network: GlommioNetwork,
    gate: Mails<()>,
    failures: Mailer<NetworkError>,
    started: RefCell<Option<Mailer<()>>>,
}

impl Core for Echo {
    async fn serve(self: Rc<Self>, stream: SocketStream) {
        let (mut receiver, mut sender) = stream.split();
        while let Ok(Received::Data(buffer)) = receiver.receive().await {
            if buffer.contains(&b'G') {
                if let Some(started) = self.started.take() {
                    started.send(()).unwrap();
                }
                self.gate.recv_timeout(PATIENCE).unwrap();
            }
            let mut outgoing = Outgoing::default();
            outgoing.push(buffer);
            if sender.send(&mut outgoing).await.is_err() {
                return;
            }
        }
    }

    async fn drain(self: Rc<Self>) {
        while self.network.connections() > 0 {
            self.network.sleep(Duration::from_millis(1)).await;
        }
    }

    fn accept_failed(&self, error: NetworkError) {
        let _ = self.failures.send(error);
    }
}

struct Fixture {
    cores: Cores,
    open_gate: Mailer<()>,
    gate_reached: Mails<()>,
    failures: Mails<NetworkError>,
}

fn fixture(cores: usize) -> Result<Fixture, StartError> {
    let settings = CoreSettings {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        cores,
        backlog: 4096,
        connections_per_core_max: 10_000,
        buffer_bytes_per_core_max: 64 << 20,
    };
    let ((open_gate, gate), (started, gate_reached)) = (unbounded(), unbounded());
    let (failed, failures) = unbounded();
    let make = move |network: GlommioNetwork| {
        let started = RefCell::new(Some(started.clone()));
        Rc::new(Echo { network, gate: gate.clone(), failures: failed.clone(), started })
    };
    Ok(Fixture { cores: start(&settings, make)?, open_gate, gate_reached, failures })
}

impl Fixture {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.cores.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn end(self) {
        self.cores.stop().stop();
        self.cores.join().unwrap();
    }
}

fn expect_byte(stream: &mut TcpStream, expected: u8) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [expected]);
}

#[test]
fn a_burst_of_more_completions_than_a_ring_holds_reaches_every_connection() {
    let limit = usize::try_from(raise_descriptor_limit().unwrap()).unwrap();
    // A completion ring holds 1024; each connection takes two descriptors here.
    let count = 3_000.min((limit - 100) / 2);
    let fixture = fixture(1).unwrap();
    let mut streams: Vec<TcpStream> = (0..count).map(|_| fixture.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"a").unwrap();
        expect_byte(stream, b'a');
    }
    let mut gate = fixture.connect();
    gate.write_all(b"G").unwrap();
    fixture.gate_reached.recv_timeout(PATIENCE).unwrap();
    for stream in &mut streams {
        stream.write_all(b"b").unwrap();
    }
    fixture.open_gate.send(()).unwrap();
    for stream in &mut streams {
        expect_byte(stream, b'b');
    }
    // And the core works on as before.
    for stream in &mut streams {
        stream.write_all(b"c").unwrap();
        expect_byte(stream, b'c');
    }
    drop((streams, gate));
    fixture.end();
}

/// Runs one test of this file again, in its role: as an unprivileged user, if it can be, and under
/// the given shell limit.
fn play(test: &str, limit: &str) -> Output {
    let directory = std::env::temp_dir().join(format!("penstock-limits-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let binary = directory.join("test");
    // The user may not be allowed to read the place of the original.
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]);
    command.arg(&binary).args(["--exact", test, "--nocapture"]).env(ROLE, test);
    command.current_dir(&directory);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        std::os::unix::fs::chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    output
}

const NOBODY: u32 = 65_534;

fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

fn assert_success(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "the role was not played"
    );
}

#[test]
fn a_core_starts_with_the_locked_memory_that_is_promised() {
    const NAME: &str = "a_core_starts_with_the_locked_memory_that_is_promised";
    if role().as_deref() == Some(NAME) {
        let fixture = fixture(1).unwrap();
        let mut stream = fixture.connect();
        stream.write_all(b"a").unwrap();
        expect_byte(&mut stream, b'a');
        drop(stream);
        return fixture.end();
    }
    assert_success(&play(NAME, "-l 512"));
}

#[test]
fn too_little_locked_memory_is_one_sentence_with_the_need() {
    const NAME: &str = "too_little_locked_memory_is_one_sentence_with_the_need";
    if role().as_deref() == Some(NAME) {
        let error = fixture(1).err().unwrap();
        let expected =
            StartError::LockedMemory { needed_bytes: 512 * 1024, limit_bytes: 256 * 1024 };
        return assert_eq!(error, expected);
    }
    assert_success(&play(NAME, "-l 256"));
}

#[test]
fn a_filter_that_forbids_rings_is_one_sentence() {
    const NAME: &str = "a_filter_that_forbids_rings_is_one_sentence";
    if role().as_deref() == Some(NAME) {
        forbid_rings();
        return assert_eq!(fixture(1).err().unwrap(), StartError::RingsForbidden);
    }
    assert_success(&play(NAME, "-n 256"));
}

/// Installs a seccomp filter that answers `io_uring_setup` with EPERM, as containers do.
fn forbid_rings() {
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut program = [
        // Load the number of the system call; is it this one? Then EPERM, else allow.
        statement((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0),
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 0,
            jf: 1,
            k: libc::SYS_io_uring_setup as u32,
        },
        statement(
            (libc::BPF_RET | libc::BPF_K) as u16,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        ),
        statement((libc::BPF_RET | libc::BPF_K) as u16, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    penstock_reactor::process::harden().unwrap();
    #[expect(unsafe_code, reason = "the standard library installs no filters")]
    // SAFETY: the kernel copies the program, which lives until the call returns.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) };
    assert_eq!(result, 0);
}

#[test]
fn without_descriptors_a_core_pauses_and_goes_on_by_itself() {
    const NAME: &str = "without_descriptors_a_core_pauses_and_goes_on_by_itself";
    if role().as_deref() != Some(NAME) {
        return assert_success(&play(NAME, "-n 256"));
    }
    let fixture = fixture(1).unwrap();
    let mut first = fixture.connect();
    first.write_all(b"a").unwrap();
    expect_byte(&mut first, b'a');
    let mut hogs = Vec::new();
    while let Ok(hog) = std::fs::File::open("/dev/null") {
        hogs.push(hog);
    }
    hogs.pop();
    let mut second = fixture.connect();
    let failure = fixture.failures.recv_timeout(PATIENCE).unwrap();
    assert_eq!(failure, NetworkError::System(libc::EMFILE));
    first.write_all(b"b").unwrap();
    expect_byte(&mut first, b'b');
    drop(hogs);
    second.write_all(b"c").unwrap();
    expect_byte(&mut second, b'c');
    drop((first, second));
    fixture.end();
}
