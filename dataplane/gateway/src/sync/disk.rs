//! What a node keeps on disk: its key and certificate, what it knows of its control plane, the last
//! good snapshot, the highest position that it has enforced, and what was revoked. Never a
//! credential of a model, and of tokens only hashes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use penstock_config::node::{Position, SnapshotKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::live::Revocations;

/// The state directory.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
}

/// What a node knows of its control plane.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Membership {
    /// Where the control plane's node address is.
    pub(crate) url: String,
    /// Its certificate authority, PEM.
    pub(crate) ca_pem: String,
    /// Keys that snapshots may be signed with.
    pub(crate) snapshot_keys: Vec<SnapshotKey>,
    /// The cluster.
    pub(crate) cluster: String,
    /// This node's id.
    pub(crate) node: String,
    /// This node's certificate, PEM.
    pub(crate) certificate_pem: String,
}

/// How far the node has come; it never goes back.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// The highest position that was enforced.
    pub(crate) position: Position,
    /// When the control plane last confirmed it: wall clock, milliseconds.
    pub(crate) confirmed_ms: u64,
}

const MEMBERSHIP: &str = "membership.json";
const KEY: &str = "node.key";
const SNAPSHOT: &str = "snapshot.signed";
const PROGRESS: &str = "progress.json";
const REVOCATIONS: &str = "revocations.json";

/// Largest file of revocations that is read: twice what as many as a core keeps come to.
const REVOCATIONS_BYTES_MAX: u64 = 32 << 20;

impl Disk {
    /// Makes the directory if it is missing.
    ///
    /// # Errors
    /// It can't be made.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Whether `penstock dev` made this state.
    pub(crate) fn is_development(&self) -> bool {
        self.directory.join("development").exists()
    }

    /// What the node knows of its control plane; `None` before it joined.
    ///
    /// # Errors
    /// The file can't be read or is not what it should be.
    pub(crate) fn membership(&self) -> io::Result<Option<Membership>> {
        self.read_json(MEMBERSHIP)
    }

    /// The node's private key, PEM.
    ///
    /// # Errors
    /// The file can't be read.
    pub(crate) fn key(&self) -> io::Result<Zeroizing<String>> {
        fs::read_to_string(self.directory.join(KEY)).map(Zeroizing::new)
    }

    /// Keeps key and membership, in that order: a membership without a key can't be.
    ///
    /// # Errors
    /// They can't be written.
    pub(crate) fn keep_membership(&self, key_pem: &str, membership: &Membership) -> io::Result<()> {
        self.write(KEY, key_pem.as_bytes())?;
        self.write_json(PROGRESS, &Progress::default())?;
        self.write_json(MEMBERSHIP, membership)
    }

    /// Keeps what the node now knows of its control plane.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn keep_trust(&self, membership: &Membership) -> io::Result<()> {
        self.write_json(MEMBERSHIP, membership)
    }

    /// How far the node had come.
    ///
    /// # Errors
    /// The file can't be read or is not what it should be: a node that can't tell how far it was
    /// does not start over.
    pub(crate) fn progress(&self) -> io::Result<Progress> {
        match self.read_json(PROGRESS)? {
            Some(progress) => Ok(progress),
            None if self.directory.join(MEMBERSHIP).exists() => {
                Err(io::Error::new(io::ErrorKind::NotFound, "it is missing"))
            }
            None => Ok(Progress::default()),
        }
    }

    /// Keeps how far the node has come.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn keep_progress(&self, progress: &Progress) -> io::Result<()> {
        self.write_json(PROGRESS, progress)
    }

    /// The last good snapshot, still signed.
    ///
    /// # Errors
    /// The file can't be read.
    pub(crate) fn snapshot(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.directory.join(SNAPSHOT)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps a good snapshot.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn keep_snapshot(&self, signed: &[u8]) -> io::Result<()> {
        self.write(SNAPSHOT, signed)
    }

    /// What was revoked when the node last ran; nothing where nothing was kept.
    ///
    /// # Errors
    /// The file can't be read or is not what it should be: what was revoked must not be passed
    /// over.
    pub(crate) fn revocations(&self) -> io::Result<Revocations> {
        match fs::metadata(self.directory.join(REVOCATIONS)) {
            Ok(file) if file.len() > REVOCATIONS_BYTES_MAX => {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(self.read_json(REVOCATIONS)?.unwrap_or_default())
    }

    /// Keeps what is revoked.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn keep_revocations(&self, revocations: &Revocations) -> io::Result<()> {
        self.write_json(REVOCATIONS, revocations)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match fs::read(self.directory.join(name)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        let bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
        self.write(name, &bytes)
    }

    /// Whole or not at all, also through power loss: a new file, flushed, renamed, its directory
    /// flushed.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let target = self.directory.join(name);
        let draft = self.directory.join(format!("{name}.new"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &target)?;
        File::open(&self.directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{HexMark, REVOCATIONS_MAX};

    #[test]
    fn a_node_that_never_ran_starts_at_the_lowest_position() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(&directory.path().join("node")).unwrap();
        assert_eq!(disk.progress().unwrap(), Progress::default());
        assert!(disk.snapshot().unwrap().is_none());
        assert!(disk.membership().unwrap().is_none());
    }

    #[test]
    fn damaged_progress_is_an_error_and_not_a_fresh_start() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        fs::write(directory.path().join(PROGRESS), b"{\"position\":").unwrap();
        assert!(disk.progress().is_err());
    }

    #[test]
    fn a_member_whose_progress_is_missing_does_not_start_over() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        fs::write(directory.path().join(MEMBERSHIP), b"{}").unwrap();
        assert!(disk.progress().is_err());
    }

    #[test]
    fn revocations_survive_as_marks_alone_and_their_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        assert_eq!(disk.revocations().unwrap(), Revocations::default());
        let kept = Revocations {
            identities: vec![(HexMark([1; 32]), 5_000)],
            tokens: vec![HexMark([2; 32])],
        };
        disk.keep_revocations(&kept).unwrap();
        assert_eq!(disk.revocations().unwrap(), kept);
        let file = directory.path().join(REVOCATIONS);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn damaged_or_oversized_revocations_are_an_error_and_not_none() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        let file = directory.path().join(REVOCATIONS);
        for text in ["", "{\"identities\":[[\"ff\",1]],\"tokens\":[]}", "{\"identities\":[]"] {
            fs::write(&file, text).unwrap();
            assert!(disk.revocations().is_err(), "{text}");
        }
        File::create(&file).unwrap().set_len(REVOCATIONS_BYTES_MAX + 1).unwrap();
        assert!(disk.revocations().is_err());
    }

    #[test]
    fn as_many_revocations_as_a_core_keeps_can_be_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        let one = HexMark([255; 32]);
        let kept = Revocations {
            identities: vec![(one, u64::MAX); REVOCATIONS_MAX],
            tokens: vec![one; REVOCATIONS_MAX],
        };
        disk.keep_revocations(&kept).unwrap();
        assert_eq!(disk.revocations().unwrap().tokens.len(), REVOCATIONS_MAX);
    }

    #[test]
    fn progress_survives_and_its_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        let position = Position { epoch: 1, version: 7, revision: 2 };
        disk.keep_progress(&Progress { position, confirmed_ms: 5 }).unwrap();
        assert_eq!(disk.progress().unwrap().position, position);
        let mode = fs::metadata(directory.path().join(PROGRESS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
