//! Programs that the journeys use and that are not built here: Python with clients and llama.cpp,
//! Node with clients and the OpenID provider, proxies. `make deps` installs them, `make test` names
//! them in the environment.

use std::path::{Path, PathBuf};

/// The interpreter with the packages of `tests/python/requirements.txt`.
#[must_use]
#[track_caller]
pub fn python() -> PathBuf {
    installed("PENSTOCK_PYTHON")
}

/// Node.
#[must_use]
#[track_caller]
pub fn node() -> PathBuf {
    installed("PENSTOCK_NODE")
}

/// The packages of `tests/node/package.json`.
#[must_use]
#[track_caller]
pub fn node_modules() -> PathBuf {
    installed("PENSTOCK_NODE_MODULES")
}

/// A program of the system: nginx, haproxy. They lie where not every user's `PATH` leads.
#[must_use]
#[track_caller]
pub fn system_program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: run `make deps`"))
}

/// A file of the repository.
#[must_use]
#[track_caller]
pub fn repository_file(path: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    file.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[track_caller]
fn installed(variable: &str) -> PathBuf {
    let Some(path) = std::env::var_os(variable).map(PathBuf::from) else {
        panic!(
            "{variable} is not set: run `make test`, or `. tests/tools/environment.sh` before \
             this test"
        );
    };
    assert!(
        path.exists(),
        "{variable} names {}, which is missing: run `make deps`",
        path.display()
    );
    path
}
