//! Which grants a request may use, and the use itself.

use std::sync::Arc;

use penstock_config::catalogue::Classified;
use penstock_config::glob;
use penstock_config::hold::{Go, LiveEvent};
use penstock_config::identity::Identity;
use serde_json::json;

use super::{Grant, GrantState, GrantedModels, Use};
use crate::approvals::exact;
use crate::draft::Draft;
use crate::event::Actor;
use crate::state::State;

/// A request that looks for grants.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) connection: &'a str,
    pub(crate) request: &'a Classified,
    pub(crate) digest: &'a str,
}

/// Grants that a request would use, and the rules that they leave.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) grants: Vec<String>,
    pub(crate) missing: Vec<Arc<str>>,
}

impl GrantedModels {
    /// Whether all models of a request are among these.
    pub(crate) fn cover(&self, request: &Classified) -> bool {
        let is_named = |name: &String| {
            let matches = |known: &String| match self.are_globs {
                true => glob::matches(known, name),
                false => known == name,
            };
            self.names.iter().any(matches)
        };
        let names_all = request.model.iter().chain(&request.other_models).all(is_named);
        let needs_more = request.model.is_none() || request.unnamed_model;
        names_all && (!needs_more || self.or_unnamed)
    }
}

impl Grant {
    /// Whether it is for a request like this: the same connection and owner, no other operation, no
    /// other model, and, where it is for one request, that very one.
    pub(crate) fn covers(&self, wanted: &Wanted<'_>) -> bool {
        let is_named = |name: &str| self.operations.iter().any(|known| known == name);
        self.owner == exact(wanted.identity)
            && self.connection == wanted.connection
            && self.digest.as_ref().is_none_or(|digest| digest == wanted.digest)
            && !wanted.request.operations.is_empty()
            && wanted.request.operations.iter().all(|one| is_named(one.name()))
            && self.models.cover(wanted.request)
    }
}

/// Chooses grants for the rules that a request needs: those for this very request first, then those
/// that end first, and none that adds nothing.
pub(crate) fn choose(
    state: &State,
    wanted: &Wanted<'_>,
    rules: &[Arc<str>],
    now_ms: u64,
) -> Chosen {
    let owner = exact(wanted.identity);
    let usable = state.index.usable(&owner, wanted.connection);
    let usable = usable.filter_map(|id| state.durable.grants.get(id));
    let mut covering: Vec<&Arc<Grant>> =
        usable.filter(|grant| grant.is_usable(now_ms) && grant.covers(wanted)).collect();
    covering.sort_by_key(|grant| (grant.digest.is_none(), grant.ends_at_latest_ms()));
    let mut chosen = Chosen { grants: Vec::new(), missing: rules.to_vec() };
    for grant in covering {
        if chosen.missing.is_empty() {
            break;
        }
        let left = chosen.missing.len();
        chosen.missing.retain(|rule| {
            let is_listed = grant.rules.iter().any(|listed| **listed == **rule);
            !is_listed || !state.still_satisfies(grant, rule, wanted.identity)
        });
        if chosen.missing.len() < left {
            chosen.grants.push(grant.id.clone());
        }
    }
    chosen
}

/// Takes one use of each grant for a session: the compare-and-set without which nothing is sent.
pub(crate) fn reserve(
    draft: &mut Draft,
    session: &str,
    node: &str,
    grants: &[String],
    rules: &[Arc<str>],
    approval: Option<String>,
) -> Go {
    let now_ms = draft.now_ms();
    let mut ends_ms = u64::MAX;
    for id in grants {
        let Some(grant) = draft.state.durable.grants.get(id).cloned() else { continue };
        let mut grant = (*grant).clone();
        let is_first = grant.first_used_ms.is_none();
        let end_ms = now_ms.saturating_add(grant.minutes.saturating_mul(60_000));
        grant.first_used_ms.get_or_insert(now_ms);
        ends_ms = ends_ms.min(*grant.ends_ms.get_or_insert(end_ms));
        grant.uses = grant.uses.saturating_add(1);
        let is_spent = grant.uses >= grant.uses_max;
        grant.state = if is_spent { GrantState::Spent } else { GrantState::Active };
        let before = json!({"uses": grant.uses.saturating_sub(1)});
        let after = json!({
            "session": session,
            "node": node,
            "uses": grant.uses,
            "uses_max": grant.uses_max,
            "state": grant.state,
            "ends_ms": grant.ends_ms,
        });
        let actor =
            Actor { issuer: grant.owner.issuer.clone(), subject: grant.owner.subject.clone() };
        draft.put_grant(grant.clone());
        draft.act(actor, "grant.use", format!("grant/{id}"), &before, &after);
        if is_first {
            draft.tell_live(&grant);
        }
        if is_spent {
            // Other copies of the request wait in vain.
            draft.tell(LiveEvent::Approval { id: grant.approval.clone() });
        }
    }
    let one = Use {
        session: session.to_owned(),
        node: node.to_owned(),
        grants: grants.to_vec(),
        rules: rules.iter().map(ToString::to_string).collect(),
        approval,
        at_ms: now_ms,
        ends_ms,
        outcome: None,
    };
    let go = go(&one, now_ms);
    draft.put_use(one);
    go
}

/// The same use once more, if nothing ended it meanwhile.
pub(crate) fn go_again(state: &State, one: &Use, now_ms: u64) -> Option<Go> {
    let grants = one.grants.iter().map(|id| state.durable.grants.get(id));
    let runs_on = |grant: Option<&Arc<Grant>>| {
        grant.is_some_and(|grant| {
            let may_run = match grant.state {
                GrantState::Approved | GrantState::Active | GrantState::Spent => true,
                GrantState::Expired | GrantState::Revoked => false,
            };
            may_run && !grant.is_over(now_ms)
        })
    };
    let holds = one.outcome.is_none() && !one.grants.is_empty() && grants.into_iter().all(runs_on);
    holds.then(|| go(one, now_ms))
}

fn go(one: &Use, now_ms: u64) -> Go {
    Go {
        grants: one.grants.clone(),
        rules: one.rules.clone(),
        approval: one.approval.clone(),
        ends_ms: one.ends_ms,
        left_ms: one.ends_ms.saturating_sub(now_ms),
        server_ms: now_ms,
    }
}
