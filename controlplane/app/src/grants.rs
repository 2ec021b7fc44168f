//! Grants: approved, time-boxed, counted, revocable. A use is reserved here, durably, before a node
//! sends the first byte, and given back only where nothing was sent.

mod end;
mod ends;
mod reserve;

use penstock_config::documents::ExactIdentity;
use penstock_config::hold::EndOutcome;
use serde::{Deserialize, Serialize};

use crate::approvals::Ended;

pub(crate) use end::{GrantEnding, end_grant, end_with, expire};
pub(crate) use ends::{close_use, ends};
pub(crate) use reserve::{Chosen, Wanted, choose, go_again, reserve};

/// Most grants that may be used, in all.
pub const LIVE_MAX: usize = 20_000;
/// Grants in force of one identity from which on conditions and broken glass give it no more.
pub const LIVE_OF_IDENTITY_MAX: usize = 200;
/// Most exchanges that run under grants.
pub const RUNNING_MAX: usize = 200_000;
/// How long a session that is over is remembered, in milliseconds: late and repeated messages of a
/// node find it so.
pub const ENDED_USE_MS_MAX: u64 = 3_600_000;
/// Most sessions that are over and still remembered.
pub const ENDED_USES_MAX: usize = 100_000;
/// A use whose node says nothing is closed this long after the end of its grant, in milliseconds.
pub const LOST_USE_MS: u64 = 60_000;

/// A permission that an approval gave.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// `grt-` and the 20 characters of its approval's id.
    pub id: String,
    /// The approval that gave it.
    pub approval: String,
    /// Whose it is.
    pub owner: ExactIdentity,
    /// What rules call `user`.
    pub user: String,
    /// Name of the connection.
    pub connection: String,
    /// Names of the operations: a request must do nothing else.
    pub operations: Vec<String>,
    /// Which models.
    pub models: GrantedModels,
    /// The one request that it is good for, hex; any that fits when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Names of the rules that it satisfies.
    pub rules: Vec<String>,
    /// How many exchanges may run under it, in all.
    pub uses_max: u64,
    /// How many uses are taken.
    pub uses: u64,
    /// Time from the first use, in minutes.
    pub minutes: u64,
    /// When it was given, milliseconds since the Unix epoch.
    pub granted_ms: u64,
    /// How long it waits for its first use, in milliseconds.
    pub answer_ms: u64,
    /// From then on it can't be used for the first time, milliseconds since the Unix epoch.
    pub use_by_ms: u64,
    /// When it was first used, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_used_ms: Option<u64>,
    /// When it ends, milliseconds since the Unix epoch; none before its first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<u64>,
    /// Where it stands, as recorded.
    pub state: GrantState,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// Whether somebody went ahead at once.
    pub is_break_glass: bool,
    /// The grant that it extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
}

/// Models that a grant is good for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GrantedModels {
    /// Names, or, where `are_globs`, names and globs.
    pub names: Vec<String>,
    /// Names that came with a request are taken by their bytes, whatever they hold.
    pub are_globs: bool,
    /// Whether it is good for requests that concern a model without naming it, or none at all.
    pub or_unnamed: bool,
}

/// Where a grant stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantState {
    /// Not used.
    Approved,
    /// Used, with uses left.
    Active,
    /// Every use is taken. What runs under it runs on, and can be cut.
    Spent,
    /// Not used in time, or its time is over.
    Expired,
    /// Ended by somebody, or by a change of the rules.
    Revoked,
}

/// A session that asked for a grant's use, or that is over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// Its id.
    pub session: String,
    /// On which node.
    pub node: String,
    /// One use of each of these is taken; empty where none was.
    pub grants: Vec<String>,
    /// The rules that they satisfy.
    pub rules: Vec<String>,
    /// The approval that it waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// When the use was taken, or the session ended, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// When the first of the grants ends, milliseconds since the Unix epoch.
    pub ends_ms: u64,
    /// How the exchange ended; none while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<EndOutcome>,
}

impl Grant {
    /// When it ends if nobody ends it, milliseconds since the Unix epoch: before its first use the
    /// latest time that this can be.
    pub fn ends_at_latest_ms(&self) -> u64 {
        let span_ms = self.minutes.saturating_mul(60_000);
        self.ends_ms.unwrap_or_else(|| self.use_by_ms.saturating_add(span_ms))
    }

    /// Whether a request may still use it, as recorded; see [`Grant::is_usable`].
    pub fn is_live(&self) -> bool {
        matches!(self.state, GrantState::Approved | GrantState::Active)
    }

    /// Whether a request may use it now: expiry is a comparison, not a job.
    pub fn is_usable(&self, now_ms: u64) -> bool {
        self.is_live() && self.uses < self.uses_max && !self.is_over(now_ms)
    }

    /// Whether its time is over, or lies further ahead than it can be: then the clock was set back,
    /// and nobody knows how much of it is left.
    pub fn is_over(&self, now_ms: u64) -> bool {
        match self.ends_ms {
            Some(ends_ms) => {
                crate::clock::is_over(ends_ms, self.minutes.saturating_mul(60_000), now_ms)
            }
            None => crate::clock::is_over(self.use_by_ms, self.answer_ms, now_ms),
        }
    }
}
