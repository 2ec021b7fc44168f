//! The law of the top level: the listing tells the story, so nothing else stands there.

use std::io;
use std::path::Path;

use crate::Breach;

const TOP_LEVEL: [&str; 12] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "bench",
    "config",
    "controlplane",
    "dataplane",
    "loadtest",
    "rust-toolchain.toml",
    "tests",
];

/// Names at the top of the repository, without what tools make there.
///
/// # Errors
/// A folder that cannot be read.
pub fn top_level_names(root: &Path) -> io::Result<Vec<String>> {
    let names = std::fs::read_dir(root)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<String>>>()?;
    Ok(names.into_iter().filter(|name| name != "target").collect())
}

/// Only the agreed names stand at the top, and settings of tools that begin with a dot.
pub fn top_level(names: &[String]) -> Vec<Breach> {
    names
        .iter()
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .map(|name| Breach::new(name, 0, "does not belong at the top of the repository"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::top_level;

    #[test]
    fn a_name_that_is_not_agreed_is_seen() {
        assert_eq!(top_level(&["utils".to_owned()]).len(), 1);
        assert_eq!(top_level(&["config".to_owned(), ".ci".to_owned()]), []);
    }
}
