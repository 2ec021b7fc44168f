//! Machines that do not allow what a node needs: it does not start, and says in one sentence why.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use penstock_faults::{ControlPlane, Node, issuer_document};
use penstock_harness::{Output, SigningAlgorithm, TestIssuer};
use rustix::process::geteuid;

/// The exit status that says so.
const NOT_ALLOWED: i32 = 78;

/// Nobody in particular: the user of that number has no rights.
const NOBODY: u32 = 65_534;

fn control_plane() -> ControlPlane {
    let issuer = TestIssuer::new("https://id.example.com", "k1", SigningAlgorithm::Ed25519);
    ControlPlane::start(&issuer_document(), &issuer)
}

/// The node's program as an unprivileged user, for whom limits hold, if this user has privileges.
fn as_nobody(folder: &Path, program: &Path, limit: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]);
    // That user may not be allowed to read the place of the original.
    let copy = folder.join("program");
    fs::copy(program, &copy).unwrap();
    command.arg(&copy);
    if geteuid().is_root() {
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for path in entries.chain([folder.to_owned()]) {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// One sentence, whatever was warned of before.
fn assert_one_error(output: &Output) {
    let errors = output.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{}", output.stderr);
}

#[test]
fn memlock_too_low_does_not_start_and_exits_78_with_the_number_needed() {
    let control = control_plane();
    let output = Node::refused(&control, |folder, program| as_nobody(folder, program, "-l 64"));
    assert_eq!(output.code, NOT_ALLOWED, "{}", output.stderr);
    for part in ["524288 bytes are needed", "the limit is 65536", "LimitMEMLOCK="] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    assert_one_error(&output);
}

#[test]
fn io_uring_disabled_does_not_start_and_exits_78_with_sysctl_and_seccomp_named() {
    let control = control_plane();
    let output = Node::refused(&control, |_, program| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_penstock-without-rings"));
        command.arg(program);
        command
    });
    assert_eq!(output.code, NOT_ALLOWED, "{}", output.stderr);
    for part in ["kernel.io_uring_disabled", "seccomp"] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    assert_one_error(&output);
}
