//! Files and folders that only their owner may read.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use rustix::process::geteuid;
use zeroize::Zeroizing;

/// Makes a folder with its parents, or closes an existing one of ours to others; the new ones are
/// readable by their owner alone.
pub(crate) fn make_folder(path: &Path) -> Result<(), String> {
    let unusable = |error| format!("folder {} can't be made: {error}", path.display());
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
    let metadata = fs::metadata(path).map_err(unusable)?;
    if metadata.uid() != geteuid().as_raw() {
        return Err(format!("folder {} belongs to another user", path.display()));
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(unusable)
}

/// Refuses a file that another user owns, or that others may read or write.
pub(crate) fn check_private(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path)
        .map_err(|error| format!("file {} can't be read: {error}", path.display()))?;
    if metadata.uid() != geteuid().as_raw() {
        return Err(format!("file {} belongs to another user", path.display()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(format!(
            "file {} is open to others: `chmod 600` it, and replace what is in it if they had \
             access",
            path.display()
        ));
    }
    Ok(())
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
            write_private(path, &make()?)?;
            // Read back: another process may have been faster.
            read_key(path)?.ok_or_else(|| format!("key file {} is gone", path.display()))
        }
        Err(error) => Err(error),
    }
}

/// Reads a file with a key in it; none where there is no such file.
pub(crate) fn read_key(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let unreadable = |error| format!("key file {} can't be read: {error}", path.display());
    if !path.try_exists().map_err(unreadable)? {
        return Ok(None);
    }
    check_private(path)?;
    fs::read(path).map(|bytes| Some(Zeroizing::new(bytes))).map_err(unreadable)
}

/// Writes a new file that only its owner may read, whole or not at all, and on the disk. One that
/// is there already stays as it is.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let unwritable = |error| format!("file {} can't be written: {error}", path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = path.with_file_name(name);
    remove_left_over(&new)?;
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(&new).map_err(unwritable)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(unwritable)?;
    // A link never replaces a file, as a rename would.
    let published = fs::hard_link(&new, path);
    fs::remove_file(&new).map_err(unwritable)?;
    match published {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(unwritable(error)),
        Ok(()) | Err(_) => {}
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)
}

/// Removes what a start that was cut short may have left behind.
pub(crate) fn remove_left_over(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("file {} can't be removed: {error}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
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
    fn a_key_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        fs::write(&path, [1]).unwrap();
        for mode in [0o644, 0o640, 0o620] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(read_key(&path).unwrap_err().contains("chmod 600"), "{mode:o}");
        }
    }

    #[test]
    fn a_key_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        let faster = || {
            write_private(&path, &[1])?;
            Ok(Zeroizing::new(vec![2]))
        };
        assert_eq!(read_or_make_key(&path, faster).unwrap().as_slice(), [1]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_open_to_others_is_closed() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("state");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        make_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
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
