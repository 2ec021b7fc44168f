//! What people do: callers, reviewers, operators.

use penstock_app::approvals::{AccessRequest, Channel, Vote};
use penstock_app::event::{GrantEnd, TokenRef};
use penstock_app::{Event, Requester, State};
use penstock_config::catalogue::Risk;
use penstock_config::hold::{Facts, HoldRequest};
use penstock_config::identity::Identity;
use penstock_config::node::Position;

use crate::policies::admin;
use crate::random::Random;

/// Who asks.
const CALLERS: [(&str, &[&str]); 3] =
    [("eve", &["engineers"]), ("eve-root", &["engineers", "leads"]), ("zoe", &["engineers"])];
/// Who answers, eve's other identity among them.
const REVIEWERS: [(&str, &[&str]); 7] = [
    ("lea", &["leads"]),
    ("lea-two", &["leads", "security"]),
    ("max", &["leads", "security"]),
    ("sam", &["security"]),
    ("eve-root", &["engineers", "leads", "security", "admins"]),
    ("eve", &["engineers", "leads"]),
    ("ivy", &["interns"]),
];
const OPERATIONS: [&[&str]; 4] =
    [&["adapter.load"], &["adapter.unload"], &["adapter.load", "adapter.unload"], &["model.load"]];
const MODELS: [&str; 2] = ["m1", "m2"];

fn identity((user, groups): (&str, &[&str])) -> Identity {
    Identity {
        issuer: "dev".to_owned(),
        subject: user.to_owned(),
        user: user.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Identity::default()
    }
}

fn somebody(random: &mut Random, from: &[(&str, &[&str])]) -> Identity {
    random.of(from).map(|one| identity(*one)).unwrap_or_default()
}

fn requester(random: &mut Random, from: &[(&str, &[&str])]) -> Requester {
    Requester::Identity(Box::new(somebody(random, from)))
}

/// A request, one of few, so that copies meet. Its digest stands for all of it.
pub(crate) fn request(random: &mut Random, session: u64, now_ms: u64) -> HoldRequest {
    let caller = random.below(CALLERS.len());
    let (operation, model, body) =
        (random.below(OPERATIONS.len()), random.below(MODELS.len()), random.below(2));
    let identity = CALLERS.get(caller).map(|one| identity(*one)).unwrap_or_default();
    let operations = OPERATIONS.get(operation).copied().unwrap_or_default();
    let model = MODELS.get(model).copied().unwrap_or_default();
    let break_glass = random.one_in(8);
    HoldRequest {
        session: format!("{session:032x}"),
        token_sha256: format!("{caller:064x}"),
        token_issued_ms: now_ms,
        token_expires_ms: now_ms + 600_000,
        connection: "llama".to_owned(),
        facts: Facts {
            operations: operations.iter().map(|name| ((*name).to_owned(), Risk::High)).collect(),
            model: Some(model.to_owned()),
            other_models: Vec::new(),
            spellings: Vec::new(),
            unnamed_model: false,
        },
        method: "POST".to_owned(),
        target: "/adapters".to_owned(),
        digest: format!("{:064x}", operation * 100 + body * 10 + usize::from(model == "m1")),
        body_bytes: 1,
        body_sha256: format!("{body:064x}"),
        shown: Vec::new(),
        reason: (break_glass || random.one_in(2)).then(|| "because".to_owned()),
        ticket: None,
        break_glass,
        position: Position::default(),
        peer: "192.0.2.1".to_owned(),
        agent: None,
        identity,
    }
}

fn any_id<'a, T: 'a>(
    random: &mut Random,
    ids: impl ExactSizeIterator<Item = (&'a String, &'a T)>,
) -> Option<String> {
    // The newest ones have the greatest ids: what people look at.
    let skipped = ids.len().saturating_sub(3);
    let ids: Vec<&String> = ids.skip(skipped).map(|(id, _)| id).collect();
    random.of(&ids).map(|id| (*id).clone())
}

/// Somebody answers.
pub(crate) fn vote(random: &mut Random, state: &State) -> Option<Event> {
    let approval = any_id(random, state.durable.approvals.iter())?;
    // Mostly somebody who may.
    let some = if random.one_in(3) { REVIEWERS.len() } else { 4 };
    let by = requester(random, REVIEWERS.get(..some).unwrap_or_default());
    let vote = match random.below(12) {
        0 => Vote::Deny { reason: "no".to_owned() },
        1 => Vote::Approve { minutes: Some(2), uses: None, operations: None },
        2 => Vote::Approve { minutes: Some(1), uses: Some(2), operations: None },
        3 => Vote::Approve { minutes: Some(9), uses: Some(9), operations: None },
        4 => {
            let operations = Some(vec!["adapter.load".to_owned()]);
            Vote::Approve { minutes: None, uses: Some(1), operations }
        }
        _ => Vote::YES,
    };
    let channel = Channel::Api;
    Some(Event::Vote { by, approval, vote, channel })
}

/// An administrator revokes a grant.
pub(crate) fn revoke(random: &mut Random, state: &State) -> Option<Event> {
    let grant = any_id(random, state.durable.grants.iter())?;
    Some(Event::EndGrant { by: admin(), grant, how: GrantEnd::Revoke, reason: None })
}

/// Somebody does something rarer.
pub(crate) fn act(random: &mut Random, state: &State, fresh: &str) -> Option<Event> {
    let approval = |random: &mut Random| any_id(random, state.durable.approvals.iter());
    match random.below(10) {
        0 => {
            let by = requester(random, &CALLERS);
            Some(Event::Withdraw { by, approval: approval(random)? })
        }
        1 => {
            let by = requester(random, &CALLERS);
            let text = "it was needed".to_owned();
            Some(Event::Justify { by, approval: approval(random)?, text })
        }
        2 => {
            let by = requester(random, &REVIEWERS);
            Some(Event::CloseReview { by, approval: approval(random)? })
        }
        3 => Some(Event::RequestAccess {
            by: requester(random, &CALLERS),
            access: access(random),
            fresh: fresh.to_owned(),
        }),
        4..=6 => {
            let grant = any_id(random, state.durable.grants.iter())?;
            let how = if random.one_in(2) { GrantEnd::Revoke } else { GrantEnd::GiveBack };
            let by = match how {
                GrantEnd::Revoke => admin(),
                GrantEnd::GiveBack => requester(random, &CALLERS),
            };
            Some(Event::EndGrant { by, grant, how, reason: None })
        }
        7 => {
            let whom = if random.one_in(2) { &CALLERS[..] } else { &REVIEWERS };
            let (issuer, subject) = ("dev".to_owned(), somebody(random, whom).subject);
            Some(Event::RevokeIdentity { by: admin(), issuer, subject, reason: None })
        }
        8 => {
            let token = TokenRef::Sha256(format!("{:064x}", random.below(40)));
            Some(Event::RevokeToken { by: admin(), token, reason: None })
        }
        _ => {
            let session = any_id(random, state.durable.uses.iter())?;
            Some(Event::KillSession { by: admin(), session, reason: None })
        }
    }
}

fn access(random: &mut Random) -> AccessRequest {
    let operations = random.of(&OPERATIONS).copied().unwrap_or_default();
    AccessRequest {
        connection: "llama".to_owned(),
        operations: operations.iter().map(|name| (*name).to_owned()).collect(),
        models: random.one_in(2).then(|| vec!["m1".to_owned()]),
        minutes: 2,
        uses: random.one_in(2).then_some(1),
        reason: None,
        ticket: None,
        extends: None,
    }
}

/// The rules that a request needs under a policy.
pub(crate) fn needed(
    policy: usize,
    request: &HoldRequest,
) -> std::collections::BTreeSet<&'static str> {
    let loads = request.facts.operations.iter().any(|(name, _)| name == "adapter.load");
    let is_m1 = request.facts.model.as_deref() == Some("m1");
    let mut rules = std::collections::BTreeSet::new();
    rules.insert(if policy == 5 { "other" } else { "adapters" });
    if policy == 3 && loads && is_m1 {
        rules.insert("models");
    }
    rules
}

/// Whether a policy denies a request.
pub(crate) fn is_denied(policy: usize, request: &HoldRequest) -> bool {
    let loads = request.facts.operations.iter().any(|(name, _)| name == "adapter.load");
    policy == 4 && loads && request.facts.model.as_deref() == Some("m2")
}
