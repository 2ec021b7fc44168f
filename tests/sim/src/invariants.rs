//! What must hold after every step, found out in another way than the core does it.

use std::collections::BTreeSet;

use penstock_app::approvals::{Approval, ApprovalState, CastVote, EndCause, Requirement, Vote};
use penstock_app::grants::{Grant, GrantState, Use};
use penstock_app::revocations::RevocationKey;
use penstock_app::{Change, Durable, State};
use penstock_config::documents::Subject;
use penstock_config::hold::{EndOutcome, Go, HoldRequest};
use penstock_config::identity::Identity;

use crate::truth::Truth;

/// An invariant that broke.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken(pub String);

fn hold(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(what())) }
}

/// Who somebody really is, whatever documents say.
fn person(identity: &Identity) -> &str {
    match identity.subject.as_str() {
        "eve-root" => "eve",
        "lea-two" => "lea",
        other => other,
    }
}

/// One row that is written.
pub(crate) fn of_change(before: &Durable, next: &State, change: &Change) -> Result<(), Broken> {
    match change {
        Change::ApprovalSet(approval) => {
            of_votes(approval)?;
            match before.approvals.get(&approval.id) {
                Some(old) => of_approval(old, approval)?,
                None => hold(approval.votes.is_empty(), || format!("{approval:?} has votes"))?,
            }
            let was_decided =
                before.approvals.get(&approval.id).is_some_and(|old| !old.is_pending());
            if approval.state == ApprovalState::Approved && !was_decided {
                of_approved(next, approval)?;
            }
            Ok(())
        }
        Change::GrantSet(grant) => {
            of_uses(next, grant)?;
            match before.grants.get(&grant.id) {
                Some(old) => of_grant(old, grant),
                None => of_new_grant(grant),
            }
        }
        Change::UseSet(one) => match before.uses.get(&one.session) {
            Some(old) => of_use(old, one),
            None => Ok(()),
        },
        Change::ApprovalDeleted(_)
        | Change::GrantDeleted(_)
        | Change::UseDeleted(_)
        | Change::Revoked(..)
        | Change::RevocationDeleted(_)
        | Change::Position { .. }
        | Change::Version { .. }
        | Change::SecretSet(..)
        | Change::SecretDeleted(_)
        | Change::KeysSet(..)
        | Change::KeysDeleted(_)
        | Change::JoinTokenSet(..)
        | Change::JoinTokenDeleted(_)
        | Change::NodeSet(..)
        | Change::NodeDeleted(_)
        | Change::MaskMarkSet(..)
        | Change::MaskMarkDeleted(_)
        | Change::Signed(_)
        | Change::Act(_) => Ok(()),
    }
}

/// Nobody answers their own request, and nobody twice.
fn of_votes(approval: &Approval) -> Result<(), Broken> {
    let mut people = BTreeSet::new();
    for vote in &approval.votes {
        let who = person(&vote.by);
        hold(who != person(&approval.requester), || {
            format!("{} counts its requester {who}", approval.id)
        })?;
        hold(people.insert(who), || format!("{} counts {who} twice", approval.id))?;
    }
    Ok(())
}

/// The first end counts, and there is no way back.
fn of_approval(old: &Approval, new: &Approval) -> Result<(), Broken> {
    let kept = new.votes.iter().zip(&old.votes).all(|(new, old)| new.at_ms == old.at_ms);
    hold(new.votes.len() >= old.votes.len() && kept, || format!("{} lost a vote", new.id))?;
    let is_same = new.state == old.state && new.ended == old.ended && new.grant == old.grant;
    hold(old.is_pending() || is_same, || {
        format!("{} left {:?} for {:?}", new.id, old.state, new.state)
    })
}

/// Every rule's people have agreed, or what else makes an approval.
fn of_approved(next: &State, approval: &Approval) -> Result<(), Broken> {
    let ended = approval.ended.as_ref();
    let is_good = match ended.map(|ended| ended.cause) {
        Some(EndCause::Answered) => {
            approval.requirements.iter().all(|one| is_met(next, approval, one))
        }
        Some(EndCause::BreakGlass) => person(&approval.requester) == "zoe",
        Some(EndCause::Automatic) => approval.requirements.iter().all(|one| one.is_automatic),
        Some(
            EndCause::Time
            | EndCause::Requester
            | EndCause::CallersLeft
            | EndCause::Superseded
            | EndCause::Revoked
            | EndCause::GivenBack
            | EndCause::IdentityRevoked
            | EndCause::Orphaned
            | EndCause::Used,
        )
        | None => false,
    };
    hold(is_good, || format!("{} is approved without enough people: {approval:?}", approval.id))
}

/// Whoever was revoked when they voted, or since, agreed to nothing.
fn is_revoked(next: &State, vote: &CastVote) -> bool {
    let Identity { issuer, subject, .. } = vote.by.clone();
    let key = RevocationKey::Identity { issuer, subject };
    next.durable.revocations.get(&key).is_some_and(|one| vote.at_ms <= one.at_ms)
}

fn is_met(next: &State, approval: &Approval, requirement: &Requirement) -> bool {
    let yes = |vote: &&CastVote| {
        !vote.is_late
            && matches!(vote.vote, Vote::Approve { .. })
            && person(&vote.by) != person(&approval.requester)
            && !is_revoked(next, vote)
    };
    let yes: Vec<&Identity> = approval.votes.iter().filter(yes).map(|vote| &vote.by).collect();
    let asks = &requirement.asks;
    let among = if asks.reviewers.is_empty() { &asks.one_from_each } else { &asks.reviewers };
    let counted = yes.iter().filter(|one| among.iter().any(|subject| is(subject, one)));
    let people: BTreeSet<&str> = counted.map(|one| person(one)).collect();
    people.len() >= usize::try_from(asks.quorum).unwrap_or(usize::MAX)
        && each_has_somebody(&asks.one_from_each, &yes, &BTreeSet::new())
}

/// Every way of giving each entry somebody of its own, tried one after the other.
fn each_has_somebody<'a>(
    entries: &[Subject],
    people: &[&'a Identity],
    taken: &BTreeSet<&'a str>,
) -> bool {
    let Some((first, rest)) = entries.split_first() else { return true };
    people.iter().any(|one| {
        let is_free = !taken.contains(person(one));
        let mut taken = taken.clone();
        taken.insert(person(one));
        is_free && is(first, one) && each_has_somebody(rest, people, &taken)
    })
}

fn is(subject: &Subject, identity: &Identity) -> bool {
    let groups = subject.groups.iter().flatten();
    let users = subject.users.iter().flatten();
    groups.chain(users).any(|name| identity.groups.contains(name) || identity.user == *name)
}

fn of_new_grant(grant: &Grant) -> Result<(), Broken> {
    let is_bounded = grant.uses_max <= 3 && grant.minutes <= 5;
    let is_single = grant.digest.is_none() || grant.uses_max == 1;
    hold(is_bounded && is_single && grant.uses_max > 0, || format!("{grant:?} gives too much"))
}

/// A grant that is over stays over; what it is for never changes.
fn of_grant(old: &Grant, new: &Grant) -> Result<(), Broken> {
    let is_same = new.state == old.state && new.ended == old.ended;
    hold(old.ended.is_none() || is_same, || {
        format!("{} left {:?} for {:?}", new.id, old.state, new.state)
    })?;
    let what = |grant: &Grant| {
        let Grant { owner, operations, models, digest, rules, .. } = grant.clone();
        (owner, operations, models, digest, rules, grant.uses_max, grant.minutes, grant.use_by_ms)
    };
    hold(what(old) == what(new), || format!("{} is for something else now", new.id))
}

/// Uses never exceed what was given, and are as many as sessions took.
fn of_uses(next: &State, grant: &Grant) -> Result<(), Broken> {
    let Some(grant) = next.durable.grants.get(&grant.id) else { return Ok(()) };
    hold(grant.uses <= grant.uses_max, || format!("{} was used too often", grant.id))?;
    let taken = next.durable.uses.values().filter(|one| {
        one.grants.contains(&grant.id) && one.outcome != Some(EndOutcome::NothingSent)
    });
    let taken = u64::try_from(taken.count()).unwrap_or(u64::MAX);
    // Sessions are forgotten after an hour, their uses are not.
    hold(taken <= grant.uses, || format!("{} forgot a use", grant.id))?;
    let is_spent = grant.state == GrantState::Spent;
    hold(!is_spent || grant.uses == grant.uses_max, || format!("{} is spent early", grant.id))
}

/// A session that is over stays over.
fn of_use(old: &Use, new: &Use) -> Result<(), Broken> {
    let is_same = new.outcome == old.outcome && new.grants == old.grants;
    hold(old.outcome.is_none() || is_same, || format!("session {} began again", new.session))
}

/// The control plane lets a request go: each grant is live, is for this request, and together they
/// are for every rule that the policy of now has for it.
pub(crate) fn of_go(
    state: &State,
    request: &HoldRequest,
    go: &Go,
    needed: &BTreeSet<&str>,
    clock_ms: u64,
) -> Result<(), Broken> {
    let mut satisfied = BTreeSet::new();
    for id in &go.grants {
        let Some(grant) = state.durable.grants.get(id) else {
            return Err(Broken(format!("{id} is no grant")));
        };
        let may_run =
            matches!(grant.state, GrantState::Active | GrantState::Spent | GrantState::Approved);
        hold(may_run && grant.ends_ms.is_some_and(|ends_ms| ends_ms > clock_ms), || {
            format!("{id} is not live: {grant:?} at {clock_ms}")
        })?;
        let names: Vec<&String> = request.facts.operations.iter().map(|(name, _)| name).collect();
        let is_for_it = grant.owner.subject == request.identity.subject
            && grant.connection == request.connection
            && names.iter().all(|name| grant.operations.contains(name))
            && grant.digest.as_ref().is_none_or(|digest| *digest == request.digest);
        hold(is_for_it, || format!("{id} is for something else than {request:?}"))?;
        let is_model = |name: &String| {
            grant.models.names.contains(name) || grant.models.names.iter().any(|one| one == "*")
        };
        hold(request.facts.model.iter().all(is_model), || format!("{id} is for another model"))?;
        satisfied.extend(grant.rules.iter().map(String::as_str));
    }
    hold(needed.iter().all(|rule| satisfied.contains(rule)), || {
        format!("{needed:?} are needed and {satisfied:?} are satisfied")
    })
}

/// A request went up: no grant was used more often than it was given for, and none was revoked
/// longer ago than a node may be without word.
pub(crate) fn of_forward(
    state: &State,
    truth: &Truth,
    grants: &[String],
    now_ms: u64,
) -> Result<(), Broken> {
    hold(!grants.is_empty(), || "a request went up without a grant".to_owned())?;
    for id in grants {
        let forwards = truth.forwards.get(id).map(Vec::as_slice).unwrap_or_default();
        let sessions: BTreeSet<&str> = forwards.iter().map(|one| one.session.as_str()).collect();
        hold(sessions.len() == forwards.len(), || format!("a session went up twice under {id}"))?;
        if let Some(grant) = state.durable.grants.get(id) {
            let used = u64::try_from(forwards.len()).unwrap_or(u64::MAX);
            hold(used <= grant.uses_max, || {
                format!("{id} is for {} uses and {used} went up", grant.uses_max)
            })?;
            let first_ms = forwards.first().map_or(now_ms, |one| one.at_ms);
            let span_ms = grant.minutes.saturating_mul(60_000);
            hold(now_ms <= first_ms.saturating_add(span_ms), || format!("{id} outlived its time"))?;
        }
        of_revoked(truth, id, now_ms)?;
    }
    Ok(())
}

/// Nothing begins or runs under a grant that was revoked longer ago than a node may be without
/// word.
pub(crate) fn of_revoked(truth: &Truth, grant: &str, now_ms: u64) -> Result<(), Broken> {
    let Some(revoked_ms) = truth.revoked_ms.get(grant) else { return Ok(()) };
    let since_ms = now_ms.saturating_sub(*revoked_ms);
    hold(since_ms <= crate::node::SILENCE_MS_MAX, || {
        format!("{grant} was revoked {since_ms} ms ago and something runs under it")
    })
}
