//! When an approval is satisfied, and who may do what about it. Pure: identities are as they were
//! when each of them answered, and whoever is one person is told by [`Persons`].

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::decision::subject_matches;
use crate::documents::{Approval, ExactIdentity, Person, Subject};
use crate::hours::any_holds;
use crate::identity::Identity;

/// Most people that a rule can ask for.
pub const QUORUM_MAX: u32 = 16;

/// Most entries of `one_from_each`.
pub const ONE_FROM_EACH_MAX: usize = 8;

/// Longest pattern for tickets, in bytes.
pub const TICKET_PATTERN_BYTES_MAX: usize = 512;

/// What a compiled pattern for tickets may take, in bytes.
const TICKET_REGEX_BYTES_MAX: usize = 1 << 18;

/// Who counts as one.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonKey {
    /// All identities of a person document, by its name.
    Person(String),
    /// An identity that no document links to another.
    Identity(ExactIdentity),
}

/// The person documents in force, found by identity.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Persons {
    by_identity: HashMap<ExactIdentity, String>,
}

impl Persons {
    /// From documents that [`crate::documents::check_references`] accepted.
    pub fn new<'d>(documents: impl IntoIterator<Item = &'d Person>) -> Self {
        let linked = documents.into_iter().flat_map(|person| {
            person.identities.iter().map(|identity| (identity.clone(), person.name.clone()))
        });
        Self { by_identity: linked.collect() }
    }

    /// Who an identity is.
    pub fn key(&self, issuer: &str, subject: &str) -> PersonKey {
        let identity = ExactIdentity { issuer: issuer.to_owned(), subject: subject.to_owned() };
        match self.by_identity.get(&identity) {
            Some(name) => PersonKey::Person(name.clone()),
            None => PersonKey::Identity(identity),
        }
    }

    /// [`Self::key`] of a verified identity.
    pub fn key_of(&self, identity: &Identity) -> PersonKey {
        self.key(&identity.issuer, &identity.subject)
    }
}

/// Somebody who said yes.
#[derive(Clone, Copy, Debug)]
pub struct Approver<'a> {
    /// The identity with its groups, as it was at the vote.
    pub identity: &'a Identity,
    /// Who that is.
    pub person: &'a PersonKey,
}

/// A person who said yes, under one identity or several.
struct Voter<'a> {
    person: &'a PersonKey,
    /// Whether they count towards the quorum.
    is_counted: bool,
    /// Which entries of `one_from_each` they match.
    entries: Vec<bool>,
}

/// Whether these answers satisfy an approval: as many distinct people as its quorum among its
/// reviewers (among those who match an entry of `one_from_each`, where it names no reviewers), and
/// for each entry of `one_from_each` somebody of its own. The requester counts nowhere, under none
/// of their identities.
pub fn satisfied(approval: &Approval, requester: &PersonKey, approvers: &[Approver<'_>]) -> bool {
    let voters = voters(approval, requester, approvers);
    let counted = voters.iter().filter(|voter| voter.is_counted).count();
    let quorum = usize::try_from(approval.quorum.max(1)).unwrap_or(usize::MAX);
    counted >= quorum && each_has_its_own(approval.one_from_each.len(), &voters)
}

/// Whether an identity's answer to this approval is one, but for being the requester's.
pub fn may_answer(approval: &Approval, identity: &Identity) -> bool {
    matches_any(&approval.reviewers, identity) || matches_any(&approval.one_from_each, identity)
}

/// Whether the approval answers itself for this requester, at a time in milliseconds since the Unix
/// epoch.
pub fn auto_approved(approval: &Approval, requester: &Identity, now_ms: u64) -> bool {
    approval.auto_approve.iter().any(|entry| {
        let says_something = !entry.subjects.is_empty() || !entry.when.is_empty();
        says_something
            && (entry.subjects.is_empty() || matches_any(&entry.subjects, requester))
            && (entry.when.is_empty() || any_holds(&entry.when, now_ms))
    })
}

/// Whether the requester may go ahead at once and justify afterwards.
pub fn may_break_glass(approval: &Approval, requester: &Identity) -> bool {
    let break_glass = approval.break_glass.as_ref();
    break_glass.is_some_and(|break_glass| matches_any(&break_glass.subjects, requester))
}

/// Whether a ticket is what the approval asks for; anything, and nothing, where it asks for none.
pub fn ticket_matches(approval: &Approval, ticket: Option<&str>) -> bool {
    let Some(pattern) = &approval.ticket else { return true };
    let matches = |ticket| ticket_pattern(pattern).is_ok_and(|regex| regex.is_match(ticket));
    ticket.is_some_and(matches)
}

/// A pattern for tickets, to match as a whole.
///
/// # Errors
/// What is wrong with it, in one line without a word of it.
pub(crate) fn ticket_pattern(pattern: &str) -> Result<Regex, &'static str> {
    if pattern.len() > TICKET_PATTERN_BYTES_MAX {
        return Err("longer than 512 bytes");
    }
    let compiled = |pattern: &str| {
        let regex = RegexBuilder::new(pattern).size_limit(TICKET_REGEX_BYTES_MAX).build();
        regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "a pattern that takes too much memory",
            _ => "not a regular expression",
        })
    };
    // By itself first: `a)|(b` is none, and would become one in the parentheses.
    compiled(pattern)?;
    compiled(&format!(r"\A(?:{pattern})\z"))
}

/// What documents hold is checked once more where a policy is compiled.
///
/// # Errors
/// What does not hold.
pub(crate) fn check(approval: &Approval) -> Result<(), String> {
    if approval.reviewers.is_empty() && approval.one_from_each.is_empty() {
        return Err("an approval needs reviewers".to_owned());
    }
    if !(1..=QUORUM_MAX).contains(&approval.quorum) {
        return Err("a quorum is 1 to 16 people".to_owned());
    }
    if approval.one_from_each.len() > ONE_FROM_EACH_MAX {
        return Err("more than 8 entries of one_from_each".to_owned());
    }
    if approval.grant.uses_max == 0 || approval.grant.minutes_max == 0 {
        return Err("a grant of nothing".to_owned());
    }
    if let Some(pattern) = &approval.ticket {
        ticket_pattern(pattern)?;
    }
    Ok(())
}

fn matches_any(subjects: &[Subject], identity: &Identity) -> bool {
    subjects.iter().any(|subject| subject_matches(subject, identity))
}

/// The people behind the answers, each once, without the requester and those who may not answer.
fn voters<'a>(
    approval: &Approval,
    requester: &PersonKey,
    approvers: &[Approver<'a>],
) -> Vec<Voter<'a>> {
    let mut voters: Vec<Voter<'a>> = Vec::new();
    for approver in approvers.iter().filter(|approver| approver.person != requester) {
        let identity = approver.identity;
        let of_entry = |entry: &Subject| subject_matches(entry, identity);
        let entries: Vec<bool> = approval.one_from_each.iter().map(of_entry).collect();
        let is_counted = if approval.reviewers.is_empty() {
            entries.contains(&true)
        } else {
            matches_any(&approval.reviewers, identity)
        };
        match voters.iter_mut().find(|voter| voter.person == approver.person) {
            Some(known) => {
                known.is_counted |= is_counted;
                known.entries.iter_mut().zip(entries).for_each(|(known, new)| *known |= new);
            }
            None => voters.push(Voter { person: approver.person, is_counted, entries }),
        }
    }
    voters
}

/// Whether each entry can have somebody of its own: a matching of entries and people that leaves no
/// entry out, found by augmenting paths.
fn each_has_its_own(entries: usize, voters: &[Voter<'_>]) -> bool {
    let mut stands_for: Vec<Option<usize>> = vec![None; voters.len()];
    (0..entries).all(|entry| {
        let mut tried = vec![false; voters.len()];
        finds_somebody(entry, voters, &mut stands_for, &mut tried)
    })
}

/// Gives the entry somebody, where need be by finding another for who stood for somebody else. No
/// deeper than there are entries, since nobody is tried twice.
fn finds_somebody(
    entry: usize,
    voters: &[Voter<'_>],
    stands_for: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for (index, voter) in voters.iter().enumerate() {
        let fits = voter.entries.get(entry).copied().unwrap_or(false);
        let is_new = tried.get(index) == Some(&false);
        if !fits || !is_new {
            continue;
        }
        if let Some(tried) = tried.get_mut(index) {
            *tried = true;
        }
        let held = stands_for.get(index).copied().flatten();
        let is_free = match held {
            None => true,
            Some(other) => finds_somebody(other, voters, stands_for, tried),
        };
        if is_free {
            if let Some(place) = stands_for.get_mut(index) {
                *place = Some(entry);
            }
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
