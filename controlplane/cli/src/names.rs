//! Names of documents and secrets, and kinds of documents.

use clap::ValueEnum;

/// Kinds of documents in this version.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    /// Who may vouch for people and workloads
    #[value(alias = "issuers")]
    Issuer,
    /// A model server
    #[value(alias = "connections")]
    Connection,
    /// Who may do what, on which connection and model
    #[value(alias = "rules")]
    Rule,
    /// Who may do what in the control plane
    #[value(alias = "roles")]
    Role,
    /// Identities that are one person
    #[value(alias = "persons", alias = "people")]
    Person,
    /// A system that is told, and that may answer
    #[value(alias = "webhooks")]
    Webhook,
    /// People who are told by e-mail
    #[value(alias = "mails")]
    Mail,
    /// Whose tokens are exchanged
    #[value(alias = "workloads")]
    Workload,
    /// Which values are masked in what models say
    #[value(alias = "masks")]
    Mask,
}

impl Kind {
    /// As it stands in documents and in the API's paths.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Connection => "connection",
            Self::Rule => "rule",
            Self::Role => "role",
            Self::Person => "person",
            Self::Webhook => "webhook",
            Self::Mail => "mail",
            Self::Workload => "workload",
            Self::Mask => "mask",
        }
    }
}

/// Reads a name: `[a-z0-9][a-z0-9-]{0,62}`.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let lower_or_digit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let well_formed =
        text.starts_with(lower_or_digit) && text.chars().all(|c| lower_or_digit(c) || c == '-');
    if well_formed && text.len() <= 63 {
        Ok(text.to_owned())
    } else {
        Err("a name is 1 to 63 of a-z, 0-9 and -, and does not begin with -".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_change_a_path_is_refused() {
        assert!(parse("llama-key2").is_ok());
        assert!(parse(&"a".repeat(63)).is_ok());
        for text in ["", "-a", "A", "a_b", "a/b", "..", "a%2f", "ä", &"a".repeat(64)] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
