//! What does not hold any more before its time: identities, tokens, sessions. Durable, so that a
//! node which was away, and a control plane that was, hear of it all the same.

use std::sync::Arc;

use penstock_config::documents::ExactIdentity;
use penstock_config::hold::{EndOutcome, LiveEvent};
use penstock_config::identity::{Identity, TokenSource};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::approvals::{
    EndCause, is_reason, is_session, leave_by, recount_votes, withdraw_of_identity,
};
use crate::draft::Draft;
use crate::event::{Actor, Answer, Outcome, Refusal, Requester, TokenRef};
use crate::grants::{GrantEnding, end_with};
use crate::roles::{Action, authorise};
use crate::state::State;

/// Most revocations that are kept.
pub const REVOCATIONS_MAX: usize = 100_000;
/// How long a killed session is remembered, in milliseconds: an hour.
pub const KILL_MS: u64 = 3_600_000;
/// A revocation is kept at least this long, in milliseconds: a day.
const KEPT_MS_MIN: u64 = 86_400_000;
/// A revocation of an identity is kept at least this long, in milliseconds: its votes count for
/// nothing for as long as something may rest on them, a question of 30 days, an answer of 30 days,
/// a grant of 7 days, by the bounds of rules.
const VOTES_MS_MAX: u64 = 67 * KEPT_MS_MIN;
/// Clocks of issuers and nodes may be this far off, in milliseconds, besides an issuer's leeway.
const SLACK_MS: u64 = 60_000;
/// Most bytes of a name in a revocation.
const NAME_BYTES_MAX: usize = 1_024;

/// What is revoked.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum RevocationKey {
    /// Tokens of an identity.
    Identity {
        /// Name of the issuer document.
        issuer: String,
        /// The token's subject.
        subject: String,
    },
    /// One token, by its SHA-256, hex.
    Token {
        /// The hash.
        sha256: String,
    },
    /// One token, by its id.
    TokenId {
        /// Name of the issuer document.
        issuer: String,
        /// Its `jti`.
        id: String,
    },
    /// A session.
    Session {
        /// Its id.
        session: String,
    },
}

/// A revocation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// When, milliseconds since the Unix epoch. Of an identity it concerns tokens that were issued
    /// up to then.
    pub at_ms: u64,
    /// By whom.
    pub by: Actor,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From then on nothing lives that it is about, milliseconds since the Unix epoch.
    pub forget_ms: u64,
}

impl RevocationKey {
    /// As nodes hear of it.
    pub(crate) fn event(&self, one: &Revocation) -> LiveEvent {
        match self.clone() {
            Self::Identity { issuer, subject } => {
                LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max: one.at_ms }
            }
            Self::Token { sha256 } => LiveEvent::TokenRevoked { sha256: Some(sha256), id: None },
            Self::TokenId { issuer, id } => {
                LiveEvent::TokenRevoked { sha256: None, id: Some((issuer, id)) }
            }
            Self::Session { session } => LiveEvent::SessionKilled { session },
        }
    }

    fn object(&self) -> String {
        match self {
            Self::Identity { issuer, subject } => format!("identity/{issuer}/{subject}"),
            Self::Token { sha256 } => format!("token/{sha256}"),
            Self::TokenId { issuer, id } => format!("token/{issuer}/{id}"),
            Self::Session { session } => format!("session/{session}"),
        }
    }
}

impl State {
    /// Whether a token does not hold any more: it was revoked, or its identity was after it had
    /// been issued. One without a time of issue (0) counts as issued before.
    pub fn is_token_revoked(
        &self,
        issuer: &str,
        subject: &str,
        issued_ms: u64,
        sha256: &str,
        token_id: Option<&str>,
    ) -> bool {
        let revoked = |key: RevocationKey| self.durable.revocations.get(&key);
        let issuer_of = || issuer.to_owned();
        let identity = RevocationKey::Identity { issuer: issuer_of(), subject: subject.to_owned() };
        let by_id = token_id.and_then(|id| {
            revoked(RevocationKey::TokenId { issuer: issuer_of(), id: id.to_owned() })
        });
        revoked(identity).is_some_and(|one| issued_ms <= one.at_ms)
            || revoked(RevocationKey::Token { sha256: sha256.to_owned() }).is_some()
            || by_id.is_some()
    }

    /// Whether the token that speaks for an identity does not hold any more: by itself, or because
    /// the one that it was exchanged for does not.
    pub fn is_revoked(&self, identity: &Identity, issued_ms: u64, sha256: &str) -> bool {
        let id = identity.claims.get("jti").and_then(Value::as_str);
        let Identity { issuer, subject, .. } = identity;
        self.is_token_revoked(issuer, subject, issued_ms, sha256, id)
            || identity.source().is_some_and(|source| {
                let TokenSource { issuer, subject, sha256, id } = source;
                self.is_token_revoked(issuer, subject, issued_ms, sha256, id)
            })
    }

    /// When an identity was revoked last, milliseconds since the Unix epoch, as far as it is kept.
    pub(crate) fn identity_revoked_ms(&self, issuer: &str, subject: &str) -> Option<u64> {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        let key = RevocationKey::Identity { issuer, subject };
        self.durable.revocations.get(&key).map(|one| one.at_ms)
    }

    /// Whether a webhook in force answers as the identity of a revocation.
    fn answers_as(&self, key: &RevocationKey) -> bool {
        let RevocationKey::Identity { issuer, subject } = key else { return false };
        let webhooks =
            self.durable.documents.values().filter_map(|stored| stored.document.as_webhook());
        webhooks
            .filter_map(|webhook| webhook.answers_as.as_ref())
            .any(|one| one.issuer == *issuer && one.subject == *subject)
    }

    /// Whether somebody killed a session.
    pub(crate) fn is_killed(&self, session: &str) -> bool {
        let key = RevocationKey::Session { session: session.to_owned() };
        self.durable.revocations.contains_key(&key)
    }

    /// Until when a revocation of `at_ms` is needed, by the longest life that a token may have now.
    fn needed_until_ms(&self, key: &RevocationKey, at_ms: u64) -> u64 {
        let longest_ms =
            self.issuers().map(|one| one.lifetime_ms_max.saturating_add(one.leeway_ms));
        let longest_ms = longest_ms.max().unwrap_or_default();
        let kept_ms = match key {
            RevocationKey::Session { .. } => KILL_MS,
            RevocationKey::Identity { .. } => longest_ms.max(VOTES_MS_MAX).saturating_add(SLACK_MS),
            RevocationKey::Token { .. } | RevocationKey::TokenId { .. } => {
                longest_ms.max(KEPT_MS_MIN).saturating_add(SLACK_MS)
            }
        };
        at_ms.saturating_add(kept_ms)
    }
}

/// Revokes an identity: its tokens of until now, its votes, its grants, and what it asks for; and
/// all of that of what its tokens may have been exchanged for.
pub(crate) fn identity(
    state: &State,
    by: &Requester,
    issuer: String,
    subject: String,
    reason: Option<String>,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    authorise(state, by, Action::Revoke)?;
    let mut draft = Draft::new(state, now_ms);
    let exchanged = state.exchanged_identity(&issuer, &subject);
    end_identity(&mut draft, by, issuer, subject, reason.clone())?;
    if let Some((issuer, subject)) = exchanged {
        end_identity(&mut draft, by, issuer, subject, reason)?;
    }
    recount_votes(&mut draft);
    Ok(draft.finish(Answer::Done))
}

fn end_identity(
    draft: &mut Draft,
    by: &Requester,
    issuer: String,
    subject: String,
    reason: Option<String>,
) -> Result<(), Refusal> {
    let key = RevocationKey::Identity { issuer: issuer.clone(), subject: subject.clone() };
    revoke(draft, by, key, "identity.revoke", reason)?;
    let owner = ExactIdentity { issuer: issuer.clone(), subject: subject.clone() };
    let in_force = draft.state.index.live_grants_of(&owner);
    let grants: Vec<_> =
        in_force.filter_map(|id| draft.state.durable.grants.get(id).cloned()).collect();
    for grant in grants {
        let cause = EndCause::IdentityRevoked;
        end_with(draft, &grant, GrantEnding { cause, by: by.actor(), note: String::new() });
    }
    withdraw_of_identity(draft, &issuer, &subject, &by.actor());
    Ok(())
}

/// Revokes one token.
pub(crate) fn token(
    state: &State,
    by: &Requester,
    token: TokenRef,
    reason: Option<String>,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    authorise(state, by, Action::Revoke)?;
    let key = match token {
        TokenRef::Sha256(sha256) => RevocationKey::Token { sha256 },
        TokenRef::Id { issuer, id } => RevocationKey::TokenId { issuer, id },
    };
    let mut draft = Draft::new(state, now_ms);
    revoke(&mut draft, by, key, "token.revoke", reason)?;
    Ok(draft.finish(Answer::Done))
}

/// Kills a session that is open, or that waits or runs as far as is known here.
pub(crate) fn session(
    state: &State,
    by: &Requester,
    session: String,
    reason: Option<String>,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    authorise(state, by, Action::KillSessions)?;
    let runs = state.durable.uses.get(&session).is_some_and(|one| one.outcome.is_none());
    let waits = state.index.waits_for(&session).is_some();
    if !runs && !waits && state.open_session(&session).is_none() {
        return Err(Refusal::NotFound("session"));
    }
    let mut draft = Draft::new(state, now_ms);
    let key = RevocationKey::Session { session: session.clone() };
    revoke(&mut draft, by, key, "session.kill", reason)?;
    // Nobody answers any more what nobody waits for.
    leave_by(&mut draft, &session, EndOutcome::Withdrawn, Some(by.actor()));
    Ok(draft.finish(Answer::Done))
}

fn revoke(
    draft: &mut Draft,
    by: &Requester,
    key: RevocationKey,
    action: &'static str,
    reason: Option<String>,
) -> Result<(), Refusal> {
    if !is_bounded(&key) || !reason.as_deref().is_none_or(is_reason) {
        return Err(Refusal::Bounds);
    }
    let known = draft.state.durable.revocations.get(&key).cloned();
    if known.is_none() && draft.state.durable.revocations.len() >= REVOCATIONS_MAX {
        return Err(Refusal::Full { what: "revocations", limit: REVOCATIONS_MAX });
    }
    // A clock that was set back takes nothing back.
    let at_ms = draft.now_ms().max(known.as_ref().map_or(0, |one| one.at_ms));
    let forget_ms = draft.state.needed_until_ms(&key, at_ms);
    let before = known.map_or(Value::Null, |one| json!({"at_ms": one.at_ms}));
    let after = json!({"at_ms": at_ms, "reason": reason});
    let one = Revocation { at_ms, by: by.actor(), reason, forget_ms };
    draft.tell(key.event(&one));
    draft.put_revocation(key.clone(), one);
    draft.act(by.actor(), action, key.object(), &before, &after);
    Ok(())
}

fn is_bounded(key: &RevocationKey) -> bool {
    let named = |text: &String| !text.is_empty() && text.len() <= NAME_BYTES_MAX;
    match key {
        RevocationKey::Identity { issuer, subject } => named(issuer) && named(subject),
        RevocationKey::Token { sha256 } => {
            sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        RevocationKey::TokenId { issuer, id } => named(issuer) && named(id),
        RevocationKey::Session { session } => is_session(session),
    }
}

/// Forgets a revocation that nothing lives for any more, or keeps it for longer where tokens may
/// live longer now.
pub(crate) fn forget(draft: &mut Draft, key: &RevocationKey) {
    let Some(one) = draft.state.durable.revocations.get(key).map(Arc::clone) else { return };
    let mut until_ms = draft.state.needed_until_ms(key, one.at_ms);
    // Its signature is no older than it, and no younger.
    if draft.state.answers_as(key) {
        until_ms = until_ms.max(draft.now_ms().saturating_add(KEPT_MS_MIN));
    }
    if until_ms <= draft.now_ms() {
        draft.delete_revocation(key);
    } else if until_ms != one.forget_ms {
        draft.put_revocation(key.clone(), Revocation { forget_ms: until_ms, ..(*one).clone() });
    }
}
