//! Runs a program under a filter that answers `io_uring_setup` with EPERM, as the default profile
//! of containers does: `penstock-without-rings PROGRAM ARGUMENT…`.

use std::collections::BTreeMap;
use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Its number is the same on every architecture.
const IO_URING_SETUP: i64 = 425;

/// `EPERM`.
const NOT_PERMITTED: u32 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().ok_or("no program")?;
    let filter = SeccompFilter::new(
        BTreeMap::from([(IO_URING_SETUP, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(NOT_PERMITTED),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program_text: BpfProgram = filter.try_into()?;
    apply_filter(&program_text)?;
    Err(Command::new(program).args(arguments).exec().into())
}
