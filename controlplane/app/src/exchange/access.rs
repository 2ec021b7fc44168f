//! What an exchanged token is good for: what the workload's document allows, narrowed by what its
//! own token was asked for, narrowed by what the call asks for. Lists of names and globs are
//! compared as sets, and the result never holds what one of them does not.

use std::collections::BTreeSet;

use penstock_config::documents::Workload;
use penstock_config::glob;
use penstock_config::hold::REASON_BYTES_MAX;
use penstock_config::identity::{Access, Intent};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// The type of our details (RFC 9396 section 2).
const TYPE: &str = "penstock_access";
/// The glob that stands for everything.
const ANY: &str = "*";
/// Most entries that a call asks for, and that a token holds.
const ENTRIES_MAX: usize = 16;
/// Most names and globs of one list.
const PATTERNS_MAX: usize = 64;
/// Longest name or glob, in bytes.
const PATTERN_BYTES_MAX: usize = 256;

/// Why details are none: RFC 9396 section 5 wants those refused that are not of a known type, or
/// not as their type has them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DetailsError {
    /// Not a JSON array of objects with known members, each once.
    #[error(
        "not a JSON array of objects of type penstock_access with connections, operations, models, \
         reason, ticket"
    )]
    Malformed,
    /// An entry of another type.
    #[error("an entry whose type is not penstock_access")]
    Type,
    /// Too many entries or patterns, too long a text, or an empty list.
    #[error(
        "1 to 16 entries, 1 to 64 names or globs a list of 1 to 256 bytes each, reason and ticket \
         of 1,024 bytes"
    )]
    Bounds,
}

/// One entry as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "present")]
    connections: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    operations: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    models: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    reason: Option<String>,
    #[serde(default, deserialize_with = "present")]
    ticket: Option<String>,
}

/// A member that is there has a value: `null` is not the same as absent.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Reads `authorization_details` of a call (RFC 9396).
///
/// # Errors
/// See [`DetailsError`].
pub fn details(text: &str) -> Result<Vec<Access>, DetailsError> {
    // The type first: what another type's members mean is not for us to say.
    let entries: Vec<Value> = serde_json::from_str(text).map_err(|_| DetailsError::Malformed)?;
    for entry in &entries {
        match entry.get("type").and_then(Value::as_str) {
            Some(TYPE) => {}
            Some(_) => return Err(DetailsError::Type),
            None => return Err(DetailsError::Malformed),
        }
    }
    // From the text once more: a value no longer shows a member that stood twice.
    let entries: Vec<Written> = serde_json::from_str(text).map_err(|_| DetailsError::Malformed)?;
    if entries.is_empty() || entries.len() > ENTRIES_MAX {
        return Err(DetailsError::Bounds);
    }
    entries.into_iter().map(access).collect()
}

fn access(written: Written) -> Result<Access, DetailsError> {
    let Written { kind, connections, operations, models, reason, ticket } = written;
    let lists = [&connections, &operations, &models];
    let fits = kind == TYPE
        && lists.into_iter().flatten().all(|patterns| are_bounded(patterns))
        && [&reason, &ticket].into_iter().flatten().all(|text| is_bounded(text, REASON_BYTES_MAX));
    if fits {
        Ok(Access { connections, operations, models, reason, ticket })
    } else {
        Err(DetailsError::Bounds)
    }
}

fn are_bounded(patterns: &[String]) -> bool {
    (1..=PATTERNS_MAX).contains(&patterns.len())
        && patterns.iter().all(|pattern| is_bounded(pattern, PATTERN_BYTES_MAX))
}

fn is_bounded(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What is granted; none where one of the entries that are asked for leaves nothing. Every list of
/// what is granted is there, none is empty.
pub(super) fn granted(
    workload: &Workload,
    own: Option<&Intent>,
    asked: Option<&[Access]>,
) -> Option<Vec<Access>> {
    let mut granted = vec![Access {
        connections: Some(workload.connections.clone()),
        operations: Some(workload.operations.clone()),
        models: Some(workload.models.clone()),
        reason: None,
        ticket: None,
    }];
    if let Some(own) = own {
        // The token's issuer may have narrowed it already; some of that may not concern us.
        granted = own.accesses.iter().flat_map(|own| each_narrowed(&granted, own)).collect();
    }
    if let Some(asked) = asked {
        let narrowed = asked.iter().map(|asked| each_narrowed(&granted, asked));
        let narrowed: Option<Vec<Vec<Access>>> =
            narrowed.map(|entries| (!entries.is_empty()).then_some(entries)).collect();
        granted = narrowed?.concat();
    }
    (1..=ENTRIES_MAX).contains(&granted.len()).then_some(granted)
}

/// Each of these, narrowed by one more; those of which nothing is left are not in it.
fn each_narrowed(granted: &[Access], by: &Access) -> Vec<Access> {
    granted.iter().filter_map(|granted| narrowed(granted, by)).collect()
}

fn narrowed(granted: &Access, by: &Access) -> Option<Access> {
    Some(Access {
        connections: Some(common(granted.connections.as_deref(), by.connections.as_deref())?),
        operations: Some(common(granted.operations.as_deref(), by.operations.as_deref())?),
        models: Some(common(granted.models.as_deref(), by.models.as_deref())?),
        reason: by.reason.clone().or_else(|| granted.reason.clone()),
        ticket: by.ticket.clone().or_else(|| granted.ticket.clone()),
    })
}

/// What two lists of globs both cover, as far as one of their globs covers another wholly; none
/// where that is nothing. Where two globs merely overlap, what they share is left out: the result
/// may be narrower than both, never wider than either. A list that is absent covers everything.
pub(super) fn common(one: Option<&[String]>, other: Option<&[String]>) -> Option<Vec<String>> {
    let common: BTreeSet<&String> = match (one, other) {
        (Some(one), Some(other)) => {
            let within = |glob: &&String, of: &[String]| of.iter().any(|wide| covers(wide, glob));
            let ones = one.iter().filter(|glob| within(glob, other));
            ones.chain(other.iter().filter(|glob| within(glob, one))).collect()
        }
        (Some(list), None) | (None, Some(list)) => list.iter().collect(),
        (None, None) => return Some(vec![ANY.to_owned()]),
    };
    (!common.is_empty()).then(|| common.into_iter().cloned().collect())
}

/// Whether everything that one glob matches is matched by the other. The narrow one's `*` can only
/// be taken by a `*` of the wide one, whose own characters never match it: so whatever stands in
/// its place is taken there too. `*` alone means more than any other glob where it stands for
/// models, namely requests that name none as well: only itself covers it.
fn covers(wide: &str, narrow: &str) -> bool {
    if narrow == ANY { wide == ANY } else { glob::matches(wide, narrow) }
}

/// Details as a token has them.
pub(super) fn written(granted: &[Access]) -> Value {
    let entries = granted.iter().map(|access| {
        let Access { connections, operations, models, reason, ticket } = access;
        let mut entry = json!({
            "type": TYPE,
            "connections": connections,
            "operations": operations,
            "models": models,
        });
        if let Some(reason) = reason {
            entry["reason"] = reason.as_str().into();
        }
        if let Some(ticket) = ticket {
            entry["ticket"] = ticket.as_str().into();
        }
        entry
    });
    Value::Array(entries.collect())
}

#[cfg(test)]
mod tests;
