//! Secrets of a development state: one line of JSON on standard input, `{"secrets":{name: value}}`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use serde::Deserialize;
use zeroize::Zeroizing;

/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    secrets: BTreeMap<String, String>,
}

/// Reads the line without a buffer of the library's in between, which nobody would zeroise. The end
/// of the input before any byte means that there are none.
///
/// # Errors
/// One sentence, without a word of the input.
pub fn read(input: impl AsFd) -> Result<Vec<(String, Zeroizing<String>)>, String> {
    let unreadable = |error| format!("standard input can't be read: {error}");
    let file = input.as_fd().try_clone_to_owned().map_err(unreadable)?;
    read_line(File::from(file))
}

/// Ends when the input does: the process that held the other end is gone. Blocks its thread.
pub fn wait_for_end(input: impl AsFd) {
    let Ok(file) = input.as_fd().try_clone_to_owned() else { return };
    let _ = std::io::copy(&mut File::from(file), &mut std::io::sink());
}

fn read_line(mut input: impl Read) -> Result<Vec<(String, Zeroizing<String>)>, String> {
    let mut line = Zeroizing::new(vec![0; LINE_BYTES_MAX]);
    let mut length = 0;
    while !line.get(..length).unwrap_or_default().contains(&b'\n') {
        let room = line.get_mut(length..).unwrap_or_default();
        if room.is_empty() {
            return Err("the secrets on standard input are longer than 1 MiB".to_owned());
        }
        match input.read(room) {
            Ok(0) => break,
            Ok(read) => length = length.saturating_add(read),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("standard input can't be read: {error}")),
        }
    }
    let line = line.get(..length).unwrap_or_default();
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let parsed: Line = serde_json::from_slice(line)
        .map_err(|_| "standard input is not one line {\"secrets\":{…}}".to_owned())?;
    let secrets = parsed.secrets.into_iter();
    Ok(secrets.map(|(name, value)| (name, Zeroizing::new(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_gives_its_secrets_and_the_input_may_stay_open() {
        struct Open(&'static [u8]);
        impl Read for Open {
            fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
                assert!(!self.0.is_empty(), "read behind the line");
                self.0.read(&mut room[..5])
            }
        }
        let secrets = read_line(Open(b"{\"secrets\":{\"llama-key\":\"sk\"}}\n")).unwrap();
        assert_eq!(secrets, [("llama-key".to_owned(), Zeroizing::new("sk".to_owned()))]);
    }

    #[test]
    fn an_empty_input_has_no_secrets() {
        assert_eq!(read_line(&b""[..]), Ok(Vec::new()));
    }

    #[test]
    fn an_error_repeats_nothing_of_the_input() {
        let error = read_line(&b"{\"secrets\":\"sk-very-secret\"}\n"[..]).unwrap_err();
        assert!(!error.contains("sk-very"));
    }
}
