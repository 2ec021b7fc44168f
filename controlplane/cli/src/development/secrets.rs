//! Secrets of the documents, from the environment of `penstock dev` to the control plane's pipe.

use std::ffi::OsString;

use zeroize::Zeroizing;

use crate::commands::secret::{check_value, write_json_text};
use crate::failure::Failure;
use crate::names;

const PREFIX: &str = "PENSTOCK_SECRET_";
/// The line of a control plane that is started again: it has its secrets.
pub(crate) const NO_SECRETS: &[u8] = b"{\"secrets\":{}}\n";

/// Names and values, without `Debug`.
#[derive(Default)]
pub(crate) struct Secrets {
    values: Vec<(String, Zeroizing<String>)>,
}

impl Secrets {
    /// Takes every `PENSTOCK_SECRET_<NAME>` of an environment.
    ///
    /// # Errors
    /// A name or a value that no secret may have. The value is never said.
    pub(crate) fn of_environment(
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Failure> {
        let mut secrets = Self::default();
        for (variable, value) in variables {
            let Some(variable) = variable.to_str() else { continue };
            let Some(upper) = variable.strip_prefix(PREFIX) else { continue };
            let name = secret_name(upper).ok_or_else(|| {
                Failure::usage(format!("{variable} does not name a secret"))
                    .hint("PENSTOCK_SECRET_LLAMA_KEY is the secret llama-key")
            })?;
            let value = value
                .into_string()
                .map(Zeroizing::new)
                .map_err(|_| Failure::usage(format!("the value of {variable} is not UTF-8")))?;
            check_value(&value)
                .map_err(|why| Failure::usage(format!("the value of {variable} {why}")))?;
            secrets.values.push((name, value));
        }
        Ok(secrets)
    }

    /// `{"secrets":{…}}` and a line end, in memory that is wiped.
    pub(crate) fn line(&self) -> Zeroizing<Vec<u8>> {
        // Six bytes at most for one, so that the buffer never grows and leaves copies behind.
        let size = self.values.iter().map(|(name, value)| name.len() + value.len() * 6 + 8);
        let mut line = Zeroizing::new(Vec::with_capacity(size.sum::<usize>() + 32));
        line.extend_from_slice(b"{\"secrets\":{");
        for (index, (name, value)) in self.values.iter().enumerate() {
            if index > 0 {
                line.push(b',');
            }
            write_json_text(name, &mut line);
            line.push(b':');
            write_json_text(value, &mut line);
        }
        line.extend_from_slice(b"}}\n");
        line
    }
}

/// `LLAMA_KEY` is `llama-key`.
fn secret_name(upper: &str) -> Option<String> {
    if upper.contains(|c: char| c.is_ascii_lowercase() || c == '-') {
        return None;
    }
    names::parse(&upper.to_ascii_lowercase().replace('_', "-")).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Secrets, Failure> {
        Secrets::of_environment(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn only_secrets_are_taken_and_their_names_become_those_of_documents() {
        let secrets = of(&[
            ("PENSTOCK_SECRET_LLAMA_KEY", "k\"1"),
            ("PATH", "/bin"),
            ("PENSTOCK_SECRET_A2", "\\"),
        ]);
        let line = secrets.unwrap().line();
        assert_eq!(line.last(), Some(&b'\n'));
        let read: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(read, json!({"secrets": {"llama-key": "k\"1", "a2": "\\"}}));
        assert_eq!(of(&[]).unwrap().line().as_slice(), NO_SECRETS);
    }

    #[test]
    fn a_bad_name_or_value_is_refused_and_the_value_is_not_said() {
        for (name, value) in [
            ("PENSTOCK_SECRET_llama", "hunter2"),
            ("PENSTOCK_SECRET_", "hunter2"),
            ("PENSTOCK_SECRET__A", "hunter2"),
            ("PENSTOCK_SECRET_A", "hunter2\n"),
            ("PENSTOCK_SECRET_A", ""),
        ] {
            let failure = of(&[(name, value)]).err().unwrap();
            assert!(!failure.message.contains("hunter2"), "{}", failure.message);
            assert!(failure.message.contains(name), "{}", failure.message);
        }
    }
}
