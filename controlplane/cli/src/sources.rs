//! Documents from files, folders and standard input, as sources of one set.

use std::fs;
use std::io::{Read, Take};
use std::path::{Path, PathBuf};

use penstock_config::documents::Source;

use crate::failure::Failure;
use crate::private_files::cannot;

/// Largest source, in bytes.
const SOURCE_BYTES_MAX: u64 = 16 << 20;

/// Reads what `-f` names, in that order; the files of a folder in the order of their names.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            for file in documents_in(path)? {
                sources.push(open(&file)?);
            }
        } else {
            sources.push(open(path)?);
        }
    }
    Ok(sources)
}

/// The text of one file; `-` is standard input.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    open(path).map(|source| source.text)
}

/// The `.yaml`, `.yml` and `.json` files of a folder, not of those below it.
fn documents_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        let named_so = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if named_so && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        let folder = folder.display();
        return Err(Failure::failed(format!("{folder} holds no .yaml, .yml or .json file")));
    }
    files.sort();
    Ok(files)
}

fn open(path: &Path) -> Result<Source, Failure> {
    if path.as_os_str() == "-" {
        return source("-".to_owned(), std::io::stdin().lock().take(SOURCE_BYTES_MAX + 1));
    }
    let file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    source(path.display().to_string(), file.take(SOURCE_BYTES_MAX + 1))
}

/// Reads a text; `reader` is limited to one byte more than is accepted.
fn source(name: String, mut reader: Take<impl Read>) -> Result<Source, Failure> {
    let mut content = Vec::new();
    reader.read_to_end(&mut content).map_err(|error| unreadable(Path::new(&name), &error))?;
    if content.len() as u64 > SOURCE_BYTES_MAX {
        return Err(Failure::failed(format!("{name} is larger than 16 MiB")));
    }
    match String::from_utf8(content) {
        Ok(text) => Ok(Source { name, text }),
        Err(_) => Err(Failure::failed(format!("{name} is not UTF-8"))),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(cannot("read", path, error).message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_names_and_only_its_documents() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yaml", "c.json", "README.md", "a.yaml.swp"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("below.yaml")).unwrap();
        let sources = read(&[folder.path().to_owned()]).unwrap();
        let texts: Vec<_> = sources.iter().map(|source| source.text.as_str()).collect();
        assert_eq!(texts, ["a.yaml", "b.yml", "c.json"]);
        assert_eq!(sources[0].name, folder.path().join("a.yaml").display().to_string());
    }

    #[test]
    fn an_empty_folder_a_missing_file_and_text_that_is_not_utf_8_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&[folder.path().to_owned()]).is_err());
        assert!(read(&[folder.path().join("missing.yaml")]).is_err());
        let latin = folder.path().join("latin.yaml");
        fs::write(&latin, b"name: caf\xe9").unwrap();
        assert!(read(&[latin]).is_err());
    }
}
