//! What an approval gives: never more than was asked for or than every rule gives, and of several
//! answers what all of them give.

use penstock_config::documents::Approval as Asks;

use super::{Approval, Asked, Vote};
use crate::event::Refusal;
use crate::grants::GrantedModels;

/// What a grant gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Terms {
    pub(crate) minutes: u64,
    pub(crate) uses: u64,
    pub(crate) operations: Vec<String>,
    /// For the one request that was held.
    pub(crate) is_bound: bool,
}

/// What the rules give at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Limits {
    pub(crate) minutes: u64,
    pub(crate) uses: u64,
    /// How long a question and its answer stand, in milliseconds.
    pub(crate) answer_ms: u64,
}

impl Limits {
    /// The least of what rules give.
    pub(crate) fn of<'a>(asks: impl IntoIterator<Item = &'a Asks>) -> Self {
        let most = Self { minutes: u64::MAX, uses: u64::MAX, answer_ms: u64::MAX };
        asks.into_iter().fold(most, |least, one| Self {
            minutes: least.minutes.min(one.grant.minutes_max),
            uses: least.uses.min(one.grant.uses_max),
            answer_ms: least.answer_ms.min(one.answer_ms_max),
        })
    }
}

impl Approval {
    /// What it asks for where nobody says otherwise: this request, once, or access as it was asked.
    pub(crate) fn terms_asked(&self, limits: Limits) -> Terms {
        let operations = self.operations().map(str::to_owned).collect();
        match &self.asked {
            Asked::Request(_) => {
                Terms { minutes: limits.minutes, uses: 1, operations, is_bound: true }
            }
            Asked::Access(access) => Terms {
                minutes: access.minutes.min(limits.minutes),
                uses: access.uses.min(limits.uses),
                operations,
                is_bound: false,
            },
        }
    }

    /// What somebody gives who goes ahead at once.
    pub(crate) fn terms_of_break_glass(&self, limits: Limits, minutes_max: u64) -> Terms {
        let asked = self.terms_asked(limits);
        let uses = limits.uses;
        Terms { minutes: minutes_max, uses, is_bound: uses == 1, ..asked }
    }

    /// What one yes gives.
    ///
    /// # Errors
    /// More than the rules give, or than was asked for, or nothing at all.
    pub(crate) fn terms_of_vote(&self, vote: &Vote, limits: Limits) -> Result<Terms, Refusal> {
        let asked = self.terms_asked(limits);
        let Vote::Approve { minutes, uses, operations } = vote else { return Ok(asked) };
        let operations = operations.as_ref().filter(|some| !is_all(some, &asked.operations));
        if minutes.is_none() && uses.is_none() && operations.is_none() {
            return Ok(asked);
        }
        let (minutes_max, uses_max) = match self.asked {
            Asked::Request(_) => (limits.minutes, limits.uses),
            Asked::Access(_) => (asked.minutes, asked.uses),
        };
        // Time without a number of uses is time for as many as the rules give.
        let uses_default = if minutes.is_some() { uses_max } else { asked.uses };
        let terms = Terms {
            minutes: within("minutes", minutes.unwrap_or(minutes_max), minutes_max)?,
            uses: within("uses", uses.unwrap_or(uses_default), uses_max)?,
            operations: operations.cloned().unwrap_or_else(|| asked.operations.clone()),
            is_bound: false,
        };
        let is_asked = |one: &String| asked.operations.contains(one);
        if terms.operations.is_empty() || !terms.operations.iter().all(is_asked) {
            let limit = u64::try_from(asked.operations.len()).unwrap_or(u64::MAX);
            return Err(Refusal::TooWide { what: "of the operations asked for", limit });
        }
        Ok(terms)
    }

    /// What all who said yes give.
    ///
    /// # Errors
    /// Together they give nothing.
    pub(crate) fn terms_of_votes(&self, limits: Limits) -> Result<Terms, Refusal> {
        let mut terms: Option<Terms> = None;
        let votes = self.votes.iter().filter(|vote| !vote.is_late);
        for vote in votes.filter(|vote| matches!(vote.vote, Vote::Approve { .. })) {
            // A rule that gives less since somebody voted gives less.
            let given = self.terms_of_vote(&vote.vote, Limits::of([]))?.cut(limits);
            terms = Some(match terms {
                Some(known) => known.and(given),
                None => given,
            });
        }
        let terms = terms.unwrap_or_else(|| self.terms_asked(limits));
        if terms.operations.is_empty() {
            let what = "operations that all reviewers give";
            return Err(Refusal::TooWide { what, limit: 0 });
        }
        Ok(terms)
    }

    /// The models that a grant is for.
    pub(crate) fn granted_models(&self) -> GrantedModels {
        match &self.asked {
            Asked::Request(request) => {
                let facts = &request.facts;
                GrantedModels {
                    names: facts.model.iter().chain(&facts.other_models).cloned().collect(),
                    are_globs: false,
                    or_unnamed: facts.model.is_none() || facts.unnamed_model,
                }
            }
            Asked::Access(access) => GrantedModels {
                names: access.models.clone(),
                are_globs: true,
                or_unnamed: access.models.iter().any(|model| model == "*"),
            },
        }
    }
}

impl Terms {
    fn cut(self, limits: Limits) -> Self {
        Self { minutes: self.minutes.min(limits.minutes), uses: self.uses.min(limits.uses), ..self }
    }

    /// What both give.
    fn and(self, other: Self) -> Self {
        let both = |one: &String| other.operations.contains(one);
        Self {
            minutes: self.minutes.min(other.minutes),
            uses: self.uses.min(other.uses),
            operations: self.operations.into_iter().filter(both).collect(),
            is_bound: self.is_bound || other.is_bound,
        }
    }
}

fn is_all(some: &[String], all: &[String]) -> bool {
    some.len() >= all.len()
        && all.iter().all(|one| some.contains(one))
        && some.iter().all(|one| all.contains(one))
}

fn within(what: &'static str, wanted: u64, limit: u64) -> Result<u64, Refusal> {
    match wanted {
        0 => Err(Refusal::Bounds),
        wanted if wanted > limit => Err(Refusal::TooWide { what, limit }),
        wanted => Ok(wanted),
    }
}
