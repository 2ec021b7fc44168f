//! Planes that a killed `penstock dev` left behind: they are ending, and have to be waited for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::failure::Failure;
use crate::state::{Record, State};

/// How long they may take; longer than a plane is given after Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until no plane of an earlier run has the state open.
///
/// # Errors
/// One goes on.
pub(crate) async fn wait(state: &State, record: &Record) -> Result<(), Failure> {
    let began = Instant::now();
    for pid in [record.pids.controlplane, record.pids.dataplane] {
        while runs_on(pid, state.folder()) {
            if began.elapsed() > PATIENCE {
                return Err(Failure::machine(format!("process {pid} of an earlier run goes on"))
                    .hint(format!("end it: kill {pid}")));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Whether a process was started with a settings file in that folder. The id alone says nothing: it
/// may belong to another process by now.
fn runs_on(pid: u32, folder: &Path) -> bool {
    let Ok(command_line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let folder = folder.as_os_str().as_encoded_bytes();
    command_line
        .split(|&byte| byte == 0)
        .any(|argument| argument.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/")))
}
