//! Listings that may be long: newest first, a page at a time.

use penstock_app::approvals::ShownState;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

/// Rows of a page where nobody says how many.
const ROWS: usize = 200;
/// Most rows of a page.
const ROWS_MAX: usize = 1_000;

/// Which rows, of things that have a state.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByState {
    /// Only those in this state: `pending`, `approved`, `active`, `denied`, `spent`, `expired`,
    /// `withdrawn` or `revoked`.
    state: Option<String>,
    /// Most rows: 200 where it is absent, never more than 1,000.
    limit: Option<usize>,
    /// Only those behind the one with this id, the last of the page before.
    after: Option<String>,
}

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paged {
    /// Most rows: 200 where it is absent, never more than 1,000.
    limit: Option<usize>,
}

impl ByState {
    /// The state, where one is asked for.
    pub(crate) fn state(&self) -> Result<Option<ShownState>, Problem> {
        let named = |name| ShownState::named(name).ok_or_else(no_state);
        self.state.as_deref().map(named).transpose()
    }

    /// The row that the page follows.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Rows of the page.
    pub(crate) fn rows(&self) -> usize {
        rows(self.limit)
    }
}

impl Paged {
    /// Rows of the page.
    pub(crate) fn rows(&self) -> usize {
        rows(self.limit)
    }
}

fn rows(limit: Option<usize>) -> usize {
    limit.unwrap_or(ROWS).min(ROWS_MAX)
}

fn no_state() -> Problem {
    let names: Vec<&str> = ShownState::ALL.into_iter().map(ShownState::name).collect();
    Problem::bad_request(format!("`state` is one of {}", names.join(", ")))
}
