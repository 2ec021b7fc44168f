//! Files and folders that only their owner may read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

/// Makes a folder with its parents; the new ones are readable by their owner alone.
pub(crate) fn make_folder(path: &Path) -> Result<(), String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| format!("folder {} can't be made: {error}", path.display()))
}

/// Reads a file with a key in it, or makes it with what `make` gives.
///
/// # Errors
/// One sentence: the file can't be read or made, or everybody may read it.
pub(crate) fn read_or_make_key(
    path: &Path,
    make: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, String>,
) -> Result<Zeroizing<Vec<u8>>, String> {
    match read_key(path) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            let bytes = make()?;
            write_private(path, &bytes)?;
            Ok(bytes)
        }
        Err(error) => Err(error),
    }
}

/// Reads a file with a key in it; none where there is no such file.
pub(crate) fn read_key(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let unreadable = |error| format!("key file {} can't be read: {error}", path.display());
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if metadata.mode() & 0o007 != 0 {
        return Err(format!(
            "key file {} is open to everybody: `chmod 600` it, and replace the key if others had \
             access",
            path.display()
        ));
    }
    fs::read(path).map(|bytes| Some(Zeroizing::new(bytes))).map_err(unreadable)
}

/// Writes a file that only its owner may read, whole or not at all, and on the disk.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let unwritable = |error| format!("file {} can't be written: {error}", path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(unwritable(error)),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(&new).map_err(unwritable)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(unwritable)?;
    fs::rename(&new, path).map_err(unwritable)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)
}

/// Locks a state folder for this process; the lock ends with the returned file.
///
/// # Errors
/// Another process holds it.
pub(crate) fn lock(folder: &Path) -> Result<File, String> {
    let path = folder.join("lock");
    let unusable = |error| format!("file {} can't be used: {error}", path.display());
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(unusable)?;
    file.try_lock()
        .map_err(|_| format!("another control plane runs on the state in {}", folder.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        let made = read_or_make_key(&path, || Ok(Zeroizing::new(vec![1]))).unwrap();
        let again = read_or_make_key(&path, || Ok(Zeroizing::new(vec![2]))).unwrap();
        assert_eq!((made.as_slice(), again.as_slice()), (&[1][..], &[1][..]));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_file_that_everybody_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        fs::write(&path, [1]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read_key(&path).unwrap_err().contains("chmod 600"));
    }

    #[test]
    fn a_state_is_locked_for_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        assert!(lock(folder.path()).is_err());
        drop(held);
        assert!(lock(folder.path()).is_ok());
    }
}
