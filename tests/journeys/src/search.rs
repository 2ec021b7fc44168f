//! Looks for secrets where none may be: in every file below a folder, in any bytes.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem::Finder;

/// Something that must not be found, in every shape in which it could stand.
pub struct Needle {
    what: String,
    finders: Vec<Finder<'static>>,
}

impl Needle {
    /// A text as it is.
    #[must_use]
    pub fn exact(what: &str, text: &str) -> Self {
        Self { what: what.to_owned(), finders: vec![Finder::new(text).into_owned()] }
    }

    /// A text as it is, and as base64 of anything that holds it.
    #[must_use]
    pub fn secret(what: &str, secret: &str) -> Self {
        let mut shapes = vec![secret.as_bytes().to_vec()];
        for offset in 0..3 {
            let shifted = [&[0; 3][..offset], secret.as_bytes()].concat();
            let encoded = STANDARD.encode(shifted).into_bytes();
            // The first and last digits also depend on what stands around the secret.
            let begin = if offset == 0 { 0 } else { 4 };
            shapes.extend(encoded.get(begin..encoded.len() - 4).map(<[u8]>::to_vec));
        }
        let finders = shapes.iter().map(|shape| Finder::new(shape).into_owned()).collect();
        Self { what: what.to_owned(), finders }
    }

    /// A token: whole, and its signature alone, without which the rest is worth nothing.
    #[must_use]
    pub fn token(what: &str, token: &str) -> Vec<Self> {
        let signature = token.rsplit('.').next().unwrap_or(token);
        vec![
            Self::secret(&format!("the token of {what}"), token),
            Self::secret(&format!("the signature of the token of {what}"), signature),
        ]
    }

    /// What it is.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Whether it stands in these bytes.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.finders.iter().any(|finder| finder.find(bytes).is_some())
    }
}

/// What a search through a folder came to.
#[derive(Debug, Default)]
pub struct Found {
    /// Files that were read.
    pub files: usize,
    /// What was found, and in which file.
    pub hits: Vec<String>,
}

/// Reads every file below a folder.
#[must_use]
#[track_caller]
pub fn search(folder: &Path, needles: &[Needle]) -> Found {
    let mut found = Found::default();
    for file in files(folder) {
        // A file that is gone meanwhile holds nothing.
        let Ok(content) = fs::read(&file) else { continue };
        found.files += 1;
        for needle in needles.iter().filter(|needle| needle.is_in(&content)) {
            found.hits.push(format!("{}: {}", file.display(), needle.what()));
        }
    }
    found
}

#[track_caller]
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{} can't be read: {error}", folder.display()));
    let mut all = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => all.push(entry.path()),
            Ok(_) | Err(_) => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const SECRET: &str = "a-secret-of-32-characters-or-more";

    #[test]
    fn a_secret_is_found_as_it_is_and_inside_of_base64() {
        let needle = Needle::secret("it", SECRET);
        assert!(needle.is_in(format!("key={SECRET}\n").as_bytes()));
        for before in ["", "x", "xy", "xyz"] {
            let encoded = URL_SAFE_NO_PAD.encode(format!("{before}{SECRET} and more"));
            assert!(needle.is_in(encoded.as_bytes()), "{encoded}");
        }
        assert!(!needle.is_in(b"a-secret-of-32-characters"));
    }

    #[test]
    fn a_file_that_holds_a_signature_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        let file = folder.path().join("inner/log");
        fs::write(&file, "hidden: c2lnbmF0dXJlLW9mLWEtdG9rZW4").unwrap();
        let token = "header.payload.c2lnbmF0dXJlLW9mLWEtdG9rZW4";
        let found = search(folder.path(), &Needle::token("ada", token));
        assert_eq!(found.files, 1);
        let hit = format!("{}: the signature of the token of ada", file.display());
        assert_eq!(found.hits, [hit]);
    }
}
