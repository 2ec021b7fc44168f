//! The state folder of `penstock dev`: what lies where, and who may use it.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::private_files;
use crate::signer::Signer;

/// Longer than a command looks whether a state is taken.
const LOOK_MAX: Duration = Duration::from_millis(300);
const MARKER: &str = "development";
const MARKER_TEXT: &str = "\
A state of `penstock dev`: its tokens are signed with a key that lies beside it. The daemons refuse
to open it except with --development.
";

/// A state folder. The path is absolute.
#[derive(Clone, Debug)]
pub(crate) struct State {
    folder: PathBuf,
}

/// `dev.json`: the addresses and processes of the last run.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Record {
    /// URL of the development issuer; it never changes in the life of a state.
    pub(crate) issuer: String,
    /// Id of its key.
    pub(crate) key: String,
    /// URL of the control plane's API.
    pub(crate) api: String,
    /// URL that nodes use.
    pub(crate) nodes: String,
    /// URL of the gateway.
    pub(crate) gateway: String,
    /// URL of the data plane's operations address.
    pub(crate) operations: String,
    /// The `nodes` that the data plane has joined at.
    #[serde(default)]
    pub(crate) joined: Option<String>,
    /// Process ids of the planes.
    pub(crate) pids: Pids,
}

/// Process ids of the planes; 0 before the first start.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Pids {
    /// Of `penstock-dataplane`.
    pub(crate) dataplane: u32,
    /// Of `penstock-controlplane`.
    pub(crate) controlplane: u32,
}

/// What the data plane wrote when it joined, as far as it matters here.
#[derive(Deserialize)]
struct Membership {
    node: String,
}

impl State {
    /// The state that was named, or the default one, whether it exists or not.
    pub(crate) fn locate(named: Option<&Path>) -> Result<Self, Failure> {
        let folder = match named {
            Some(folder) => folder.to_owned(),
            None => Self::default_folder().ok_or_else(|| {
                Failure::machine("neither XDG_STATE_HOME nor HOME is set").hint("use --state DIR")
            })?,
        };
        let folder = std::path::absolute(&folder)
            .map_err(|error| private_files::cannot("found", &folder, &error))?;
        Ok(Self { folder })
    }

    /// The default state, if `penstock dev` has run on it.
    pub(crate) fn default_existing() -> Option<Self> {
        let state = Self { folder: Self::default_folder()? };
        state.record_file().exists().then_some(state)
    }

    /// Whether this is the state that is used when none is named.
    pub(crate) fn is_default(&self) -> bool {
        Self::default_folder().as_ref() == Some(&self.folder)
    }

    fn default_folder() -> Option<PathBuf> {
        let absolute =
            |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let states = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
        Some(states.join("penstock/dev"))
    }

    /// Makes the folders, the markers and the signing key, as far as they are missing, and takes
    /// the state for this process until the file is closed.
    ///
    /// # Errors
    /// A folder with other things in it is left alone. Another `penstock dev` has it.
    pub(crate) fn make(&self) -> Result<File, Failure> {
        self.make_folders()?;
        let lock = self.lock()?;
        if !self.key_file().exists() {
            private_files::write(&self.key_file(), &Signer::generate()?)?;
        }
        Ok(lock)
    }

    /// Makes the folders and the markers, as far as they are missing.
    ///
    /// # Errors
    /// A folder with other things in it is left alone.
    pub(crate) fn make_folders(&self) -> Result<(), Failure> {
        let in_use = fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.next().is_some());
        if in_use && !self.folder.join(MARKER).exists() {
            let folder = self.folder.display();
            return Err(Failure::machine(format!("{folder} is not a development state"))
                .hint("use an empty or a new folder"));
        }
        for folder in [self.folder.clone(), self.controlplane(), self.dataplane()] {
            private_files::make_folder(&folder)?;
            private_files::write(&folder.join(MARKER), MARKER_TEXT.as_bytes())?;
        }
        Ok(())
    }

    fn lock(&self) -> Result<File, Failure> {
        let path = self.lock_file();
        let file = private_files::open_for_append(&path)?;
        let began = Instant::now();
        let mut locked = file.try_lock();
        // A command that looks whether the state is taken holds the lock for a moment.
        while matches!(locked, Err(TryLockError::WouldBlock)) && began.elapsed() < LOOK_MAX {
            std::thread::sleep(Duration::from_millis(10));
            locked = file.try_lock();
        }
        match locked {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Failure::machine(format!(
                "another `penstock dev` runs on {}",
                self.folder.display()
            ))
            .hint("end it, or use another --state")),
            Err(TryLockError::Error(error)) => Err(private_files::cannot("locked", &path, &error)),
        }
    }

    /// Refuses a state that no `penstock dev` has taken.
    ///
    /// # Errors
    /// None has, or it can't be told.
    pub(crate) fn check_running(&self) -> Result<(), Failure> {
        let path = self.lock_file();
        let taken = match File::open(&path) {
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => false,
                Err(TryLockError::WouldBlock) => true,
                Err(TryLockError::Error(error)) => {
                    return Err(private_files::cannot("locked", &path, &error));
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(private_files::cannot("opened", &path, &error)),
        };
        if taken {
            return Ok(());
        }
        let shown = self.folder.display();
        Err(Failure::machine("`penstock dev` is not running on this state")
            .hint(format!("start it: `penstock dev --state {shown}`")))
    }

    /// What the last run wrote, if there was one.
    pub(crate) fn record(&self) -> Result<Option<Record>, Failure> {
        let path = self.record_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(private_files::cannot("read", &path, &error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            Failure::machine(format!("{} can't be understood: {error}", path.display()))
        })
    }

    /// What the last run wrote.
    ///
    /// # Errors
    /// There was none: this is no state of `penstock dev`.
    pub(crate) fn existing_record(&self) -> Result<Record, Failure> {
        let shown = self.folder.display();
        self.record()?.ok_or_else(|| {
            Failure::machine(format!("{shown} is not a development state"))
                .hint(format!("`penstock dev --state {shown}` makes one"))
        })
    }

    /// Replaces `dev.json`.
    pub(crate) fn write_record(&self, record: &Record) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(record)
            .map_err(|error| Failure::failed(format!("dev.json can't be written: {error}")))?;
        private_files::write(&self.record_file(), &text)
    }

    /// Signs as the issuer with that URL.
    pub(crate) fn signer(&self, issuer: &str) -> Result<Signer, Failure> {
        let path = self.key_file();
        private_files::check_private(&path)?;
        let key = fs::read(&path).map_err(|error| private_files::cannot("read", &path, &error))?;
        Signer::new(&Zeroizing::new(key), issuer)
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// State of the control plane.
    pub(crate) fn controlplane(&self) -> PathBuf {
        self.folder.join("controlplane")
    }

    /// State of the data plane.
    pub(crate) fn dataplane(&self) -> PathBuf {
        self.folder.join("dataplane")
    }

    /// Where the data plane logs accesses.
    pub(crate) fn access_log(&self) -> PathBuf {
        self.dataplane().join("access.jsonl")
    }

    /// Id of the node that the data plane is; none before it joined.
    pub(crate) fn node(&self) -> Option<String> {
        let membership = fs::read(self.dataplane().join("membership.json")).ok()?;
        let membership: Membership = serde_json::from_slice(&membership).ok()?;
        Some(membership.node)
    }

    /// With what the data plane joins.
    pub(crate) fn join_file(&self) -> PathBuf {
        self.folder.join("join.json")
    }

    fn lock_file(&self) -> PathBuf {
        self.folder.join("dev.lock")
    }

    fn record_file(&self) -> PathBuf {
        self.folder.join("dev.json")
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("issuer.key")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::failure::Exit;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_state_is_marked_everywhere_and_closed_to_others() {
        let parent = tempfile::tempdir().unwrap();
        let state = State::locate(Some(&parent.path().join("a/b"))).unwrap();
        state.make().unwrap();
        for folder in [state.folder().to_owned(), state.controlplane(), state.dataplane()] {
            assert_eq!(mode(&folder), 0o700);
            assert!(folder.join("development").is_file());
        }
        assert_eq!(mode(&state.key_file()), 0o600);
        let key = fs::read(state.key_file()).unwrap();
        state.make().unwrap();
        assert_eq!(fs::read(state.key_file()).unwrap(), key, "the key was replaced");
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let failure = State::locate(Some(folder.path())).unwrap().make().unwrap_err();
        assert_eq!(failure.exit, Exit::Machine);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_state_is_locked_by_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::locate(Some(folder.path())).unwrap();
        assert_eq!(state.check_running().unwrap_err().exit, Exit::Machine);
        let held = state.make().unwrap();
        assert_eq!(state.make().unwrap_err().exit, Exit::Machine);
        state.check_running().unwrap();
        drop(held);
        assert_eq!(state.check_running().unwrap_err().exit, Exit::Machine);
        state.make().unwrap();
    }
}
