//! Access ahead of time: the same question, asked before there is a request.

use penstock_config::catalogue::{Operation, Risk};
use penstock_config::glob;
use penstock_config::identity::Identity;

use super::bounds::{check_access, fresh_id};
use super::need::Need;
use super::open::{NotAsked, Question, open};
use super::terms::Limits;
use super::{AccessRequest, Asked, AskedAccess};
use crate::draft::Draft;
use crate::event::{Answer, Outcome, Refusal, Requester};
use crate::state::State;

/// Somebody asks for access ahead of time, for themselves. The rules say whether they may: no role
/// does.
pub(crate) fn request(
    state: &State,
    by: &Requester,
    access: AccessRequest,
    fresh: &str,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    let Requester::Identity(identity) = by else { return Err(Refusal::Denied { rule: None }) };
    check_access(identity, &access)?;
    let id = fresh_id(state, fresh)?;
    check_extended(state, identity, &access)?;
    let mut asked = AskedAccess {
        operations: operations(&access.operations)?,
        models: access.models.clone().unwrap_or_else(|| vec!["*".to_owned()]),
        minutes: access.minutes,
        uses: access.uses.unwrap_or(1),
        extends: access.extends.clone(),
    };
    let rules = match state.need_of_access(identity, &access.connection, &asked, now_ms) {
        Need::Rules(rules) => rules,
        Need::Nothing => return Err(Refusal::NotNeeded),
        Need::Denied(rule) => {
            return Err(Refusal::Denied { rule: rule.map(|rule| rule.to_string()) });
        }
    };
    let limits = Limits::of(rules.iter().filter_map(|rule| state.asks_of(rule)));
    asked.uses = within("uses", access.uses.unwrap_or(limits.uses), limits.uses)?;
    asked.minutes = within("minutes", access.minutes, limits.minutes)?;
    let mut draft = Draft::new(state, now_ms);
    let question = Question {
        id: id.clone(),
        identity,
        connection: &access.connection,
        asked: Asked::Access(asked),
        rules: &rules,
        reason: access.reason,
        ticket: access.ticket,
        break_glass: false,
        waiter: None,
    };
    open(&mut draft, question).map_err(NotAsked::refusal)?;
    Ok(draft.finish(Answer::Approval(id)))
}

/// What is extended is a grant of the same person on the same connection; the old one stays as it
/// is, and the new one is linked to it.
fn check_extended(
    state: &State,
    identity: &Identity,
    access: &AccessRequest,
) -> Result<(), Refusal> {
    let Some(extends) = &access.extends else { return Ok(()) };
    let grant = state.durable.grants.get(extends);
    let is_own = grant.is_some_and(|grant| {
        state.person(identity) == state.person_of(&grant.owner.issuer, &grant.owner.subject)
            && grant.connection == access.connection
    });
    if is_own { Ok(()) } else { Err(Refusal::NotFound("grant of yours on this connection")) }
}

/// Operations by name. As in an allow rule a glob reaches neither `unknown` nor what is critical.
fn operations(patterns: &[String]) -> Result<Vec<String>, Refusal> {
    let mut names: Vec<String> = Vec::new();
    for pattern in patterns {
        let reached = |one: &Operation| match glob::is_exact(pattern) {
            true => one.name() == pattern,
            false => {
                glob::matches(pattern, one.name())
                    && *one != Operation::UNKNOWN
                    && one.default_risk() < Risk::Critical
            }
        };
        let found = Operation::all().filter(reached).map(|one| one.name().to_owned());
        let found: Vec<String> = found.collect();
        if found.is_empty() {
            return Err(Refusal::NotFound("operation"));
        }
        let new = found.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>();
        names.extend(new);
    }
    Ok(names)
}

fn within(what: &'static str, wanted: u64, limit: u64) -> Result<u64, Refusal> {
    if wanted > limit { Err(Refusal::TooWide { what, limit }) } else { Ok(wanted) }
}
