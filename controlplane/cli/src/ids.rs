//! Ids on the command line: whole, or a beginning that only one has.

use serde_json::Value;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::listing::{self, PAGE_ROWS_MAX};
use crate::output;

/// Fewest characters of a beginning.
const BEGINNING_MIN: usize = 6;
/// Longest id.
const LENGTH_MAX: usize = 64;
/// Most candidates that are shown.
const CANDIDATES_MAX: usize = 10;

/// What an id is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// `apr-` and 20 characters.
    Approval,
    /// `grt-` and 20 characters.
    Grant,
    /// 32 hex digits.
    Session,
}

impl Kind {
    /// Path of its listing.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Approval => "/api/v1/approvals",
            Self::Grant => "/api/v1/grants",
            Self::Session => "/api/v1/sessions",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Approval => "apr-",
            Self::Grant => "grt-",
            Self::Session => "",
        }
    }

    /// Characters behind the prefix.
    fn length(self) -> usize {
        match self {
            Self::Approval | Self::Grant => 20,
            Self::Session => 32,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Grant => "grant",
            Self::Session => "session",
        }
    }

    fn is_whole(self, text: &str) -> bool {
        text.strip_prefix(self.prefix()).is_some_and(|rest| rest.len() >= self.length())
    }
}

/// Reads an id or its beginning. With nothing but these characters it can't change a path.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.len() > LENGTH_MAX || !text.chars().all(plain) || text.starts_with('-') {
        Err("an id is made of a-z, 0-9 and -".to_owned())
    } else if text.len() < BEGINNING_MIN {
        Err(format!("the beginning of an id has at least {BEGINNING_MIN} characters"))
    } else {
        Ok(text.to_owned())
    }
}

/// The path of what an id, or its beginning, stands for.
///
/// # Errors
/// Nothing begins so, or more than one thing does.
pub(crate) async fn path(client: &Client, kind: Kind, text: &str) -> Result<String, Failure> {
    Ok(format!("{}/{}", kind.path(), resolve(client, kind, text).await?))
}

/// The id that a text stands for. A whole one is believed: the control plane knows best.
///
/// # Errors
/// Nothing begins so, or more than one thing does.
pub(crate) async fn resolve(client: &Client, kind: Kind, text: &str) -> Result<String, Failure> {
    if kind.is_whole(text) {
        return Ok(text.to_owned());
    }
    // Of what runs there is one page; of the rest, everything that is kept.
    let rows_max = match kind {
        Kind::Session => Some(PAGE_ROWS_MAX),
        Kind::Approval | Kind::Grant => None,
    };
    chosen(kind, text, &listing::newest(client, kind.path(), None, rows_max).await?)
}

fn chosen(kind: Kind, text: &str, rows: &[Value]) -> Result<String, Failure> {
    let begins = |id: &&str| {
        parse(id).is_ok()
            && (id.starts_with(text)
                || id.strip_prefix(kind.prefix()).is_some_and(|rest| rest.starts_with(text)))
    };
    let found: Vec<&str> =
        rows.iter().filter_map(|row| row.get("id")?.as_str()).filter(begins).collect();
    match found[..] {
        [id] => Ok(id.to_owned()),
        [] => Err(Failure::new(Exit::NotFound, format!("no {} begins with {text}", kind.noun()))),
        _ if found.contains(&text) => Ok(text.to_owned()),
        _ => {
            let noun = kind.noun();
            let rows = rows.iter().filter(|row| {
                row.get("id").and_then(Value::as_str).is_some_and(|id| found.contains(&id))
            });
            let mut lines: Vec<String> = rows.take(CANDIDATES_MAX).map(candidate).collect();
            if found.len() > CANDIDATES_MAX {
                lines.push(format!("and {} more", found.len() - CANDIDATES_MAX));
            }
            let message = format!("{} {noun}s begin with {text}: type more of it", found.len());
            Err(Failure::new(Exit::Conflict, message).details(lines))
        }
    }
}

fn candidate(row: &Value) -> String {
    let cells = ["id", "state", "user", "connection"].map(|field| output::cell(row, field));
    output::printable(&cells.join("  "), false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "apr-00112233445566778899";

    fn rows() -> Vec<Value> {
        vec![
            json!({"id": ID, "state": "pending", "user": "ada\u{1b}[2J"}),
            json!({"id": "apr-0011223344ffffffffff", "state": "spent", "user": "bob"}),
            json!({"id": "apr-aaaaaaaaaaaaaaaaaaaa"}),
            json!({"id": "apr-aaaaaaaaaaaaaaaaaaaa/../../x"}),
        ]
    }

    #[test]
    fn a_beginning_with_or_without_the_prefix_is_enough_where_one_id_has_it() {
        for text in ["apr-00112233445", "00112233445", ID] {
            assert_eq!(chosen(Kind::Approval, text, &rows()).unwrap(), ID, "{text}");
        }
        let found = chosen(Kind::Approval, "apr-aaaa", &rows()).unwrap();
        assert_eq!(found, "apr-aaaaaaaaaaaaaaaaaaaa", "an id that would change the path counted");
        let failure = chosen(Kind::Approval, "apr-bb", &rows()).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
    }

    #[test]
    fn a_beginning_of_several_is_a_conflict_that_shows_them_safely() {
        let failure = chosen(Kind::Approval, "apr-0011", &rows()).unwrap_err();
        assert_eq!(failure.exit, Exit::Conflict);
        assert_eq!(failure.details.len(), 2);
        assert!(failure.details[0].starts_with(ID) && !failure.details[0].contains('\u{1b}'));
    }

    #[test]
    fn an_id_that_could_change_a_path_or_is_too_short_is_refused() {
        for text in ["", "apr-1", "../../x", "apr-1/2", "APR-001122", "-apr-0011", "apr%2f0011"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse("apr-00").is_ok());
        assert!(Kind::Approval.is_whole(ID) && !Kind::Approval.is_whole("apr-0011223344"));
        assert!(Kind::Session.is_whole("00112233445566778899aabbccddeeff"));
        assert!(!Kind::Grant.is_whole(ID));
    }
}
