//! Limits of the process.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the number of files and connections that the process may have open to what the machine
/// allows it.
///
/// # Errors
/// The system refused; the process goes on with the lower number.
pub fn raise_open_files() -> Result<(), String> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| format!("the limit of open files can't be raised: {error}"))
}
