//! Tokens of workloads, exchanged for ones of the control plane's own (RFC 8693). In: an identity
//! that its issuer vouches for, what was asked for, the time. Out: the claims of the new token,
//! with the act that says so. Never: a token.
//!
//! Nobody gets anything by default. A `kind: workload` document names whose tokens are exchanged,
//! by issuer and claims, and what for; the new token is good for that at most, narrowed by what the
//! workload's own token was asked for and by what the call asks for, and ends no later than the
//! workload's own.

mod access;

use std::sync::Arc;

use penstock_config::decision::subject_matches;
use penstock_config::documents::{
    EXCHANGE_ISSUER, EXCHANGED_AUDIENCE, Issuer, Subject, Workload, exchange_issuer,
};
use penstock_config::identity::{Access, Identity};
use penstock_config::snapshot::{TrustedIssuer, verify};
use serde_json::{Map, Value, json};

pub use self::access::{DetailsError, details};
use crate::draft::Draft;
use crate::event::{Actor, Answer, Outcome, Refusal};
use crate::state::State;

/// The audience of tokens for the control plane's API.
const API_AUDIENCE: &str = "penstock-api";
/// Longest life of an exchanged token, in minutes.
const MINUTES_MAX: u64 = 60;
/// Longest subject of a token that nodes take, in bytes (OpenID Connect Core section 2).
const SUBJECT_BYTES_MAX: usize = 255;
/// Most bytes of the claims as JSON: with header and signature, in base64, a token of less than the
/// 8 KiB that nodes take.
const CLAIMS_BYTES_MAX: usize = 5_800;
/// Claims that say what made a job run, by provider, and what a value begins with where that was a
/// proposal of somebody who may not be trusted: a pull request (GitHub), a merge request (GitLab).
/// Their jobs run other people's code, and name the repository that they are proposed to. So may a
/// child pipeline, and one that another project's started: both only say that a pipeline did it.
const PROPOSALS: [(&str, &[&str]); 2] = [
    ("event_name", &["pull_request"]),
    ("pipeline_source", &["merge_request", "external_pull_request", "parent_pipeline", "pipeline"]),
];

/// What happens about workloads' tokens.
#[derive(Clone, Debug)]
pub enum ExchangeEvent {
    /// The process started, and signs tokens as this issuer.
    Started(TokenIssuer),
    /// A workload asks for a token.
    Asked(Exchange),
}

/// As whom the control plane signs exchanged tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenIssuer {
    /// `iss` of the tokens: the control plane's URL.
    pub url: String,
    /// The public key, as JWK members (RFC 7517).
    pub key: Map<String, Value>,
}

/// What a workload asks for, with its own token verified.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Who the workload's own token speaks for, with all of its claims.
    pub identity: Identity,
    /// SHA-256 of that token, hex.
    pub token_sha256: String,
    /// Name of the workload document, where the call names one.
    pub workload: Option<String>,
    /// What the new token is to be good for; all that the document allows when absent.
    pub details: Option<Vec<Access>>,
    /// The new token's id, from the system's randomness.
    pub id: String,
}

/// What the new token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchanged {
    /// Its claims, to be signed.
    pub claims: Map<String, Value>,
    /// How long it lives, in seconds.
    pub expires_in_s: u64,
}

/// Why a workload gets no token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExchangeRefusal {
    /// No document is for it.
    #[error("no workload document is for this token")]
    NoWorkload,
    /// More than one document is for it, and adding them up would give more than each of them says.
    #[error("several workload documents are for this token: name one of them as client_id")]
    Ambiguous,
    /// A proposal's job.
    #[error(
        "the token is of a pull or merge request, and no subject of the workload document says so"
    )]
    Proposal,
    /// It ends now, or has ended within its issuer's leeway.
    #[error("the token has ended")]
    Ended,
    /// Its subject and the name of its issuer are no subject together.
    #[error("the token's subject is too long")]
    Subject,
    /// Of what is asked for, the document and the token's own details allow nothing; or what they
    /// allow of it comes to more entries than a token holds.
    #[error("nothing of what is asked for is allowed, or it comes to more than 16 entries")]
    Nothing,
    /// The new token would be larger than nodes take.
    #[error("what is asked for makes the token too large")]
    Size,
    /// The token, or all of its identity's until now, were revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The process has no key for it.
    #[error("no token can be signed")]
    NotReady,
}

impl State {
    /// Workload documents in force, by name.
    pub fn workloads(&self) -> impl Iterator<Item = &Workload> {
        self.durable.documents.values().filter_map(|stored| stored.document.as_workload())
    }

    /// Audiences that tokens to be exchanged may have, each once. Never those of the gateway and of
    /// the API: a token that opens something itself is not one to be exchanged.
    pub fn exchange_audiences(&self) -> Vec<&str> {
        let mut audiences: Vec<&str> = self
            .workloads()
            .map(|workload| workload.audience.as_str())
            .filter(|audience| !opens_something(audience))
            .collect();
        audiences.sort_unstable();
        audiences.dedup();
        audiences
    }

    /// The identity that tokens of this one are exchanged for, where there is a workload of its
    /// issuer.
    pub(crate) fn exchanged_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Option<(String, String)> {
        let mut entries = self.workloads().flat_map(|workload| &workload.subjects);
        let exchanged = entries.any(|entry| entry.issuer.as_deref() == Some(issuer));
        exchanged.then(|| (EXCHANGE_ISSUER.to_owned(), subject_of(issuer, subject)))
    }

    /// Issuers as rules name them: those of documents in force, and the control plane itself while
    /// there is a workload.
    pub(crate) fn policy_issuers(&self) -> Vec<Issuer> {
        let url = self.token_issuer.as_ref().map_or("", |issuer| issuer.url.as_str());
        let own = self.workloads().next().map(|_| exchange_issuer(url));
        self.issuers().cloned().chain(own).collect()
    }

    /// What nodes trust exchanged tokens by, while there is a workload.
    pub(crate) fn exchange_issuer(&self) -> Option<TrustedIssuer> {
        let TokenIssuer { url, key } = &**self.token_issuer.as_ref()?;
        self.workloads().next()?;
        let document = exchange_issuer(url);
        Some(TrustedIssuer { document, keys: vec![key.clone()] })
    }
}

pub(crate) fn happened(
    state: &State,
    event: ExchangeEvent,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    match event {
        ExchangeEvent::Started(issuer) => Ok(started(state, issuer, now_ms)),
        ExchangeEvent::Asked(asked) => exchange(state, &asked, now_ms),
    }
}

/// The process signs as this issuer. Nodes that were told of another one are told anew.
fn started(state: &State, issuer: TokenIssuer, now_ms: u64) -> Outcome {
    let mut draft = Draft::new(state, now_ms);
    draft.state.token_issuer = Some(Arc::new(issuer));
    let last = state.durable.snapshot.as_ref();
    let told = last.and_then(|last| verify(&state.snapshot_keys, &last.bytes).ok());
    let told = told.and_then(|(snapshot, _)| {
        snapshot.issuers.into_iter().find(|issuer| issuer.document.name == EXCHANGE_ISSUER)
    });
    if state.durable.position.version > 0 && told != draft.state.exchange_issuer() {
        draft.publish_revision();
    }
    draft.finish(Answer::Done)
}

/// Exchanges a workload's token.
fn exchange(state: &State, asked: &Exchange, now_ms: u64) -> Result<Outcome, Refusal> {
    let Exchange { identity, token_sha256, workload: named, details, id } = asked;
    let issuer = state.token_issuer.as_ref().ok_or(ExchangeRefusal::NotReady)?;
    let workload = workload_of(state, identity, named.as_deref())?;
    let granted = access::granted(workload, identity.intent.as_ref(), details.as_deref())
        .ok_or(ExchangeRefusal::Nothing)?;
    let subject = subject_of(&identity.issuer, &identity.subject);
    if subject.len() > SUBJECT_BYTES_MAX {
        return Err(ExchangeRefusal::Subject.into());
    }
    if is_revoked(state, asked, &subject) {
        return Err(ExchangeRefusal::Revoked.into());
    }
    let issued_s = now_ms / 1_000;
    let expires_s = expires_s(workload, identity, now_ms).ok_or(ExchangeRefusal::Ended)?;
    let details = access::written(&granted);
    let claims = json!({
        "iss": issuer.url,
        "sub": subject,
        "aud": EXCHANGED_AUDIENCE,
        "iat": issued_s,
        "exp": expires_s,
        "jti": id,
        "client_id": workload.name,
        "groups": workload.groups,
        "authorization_details": details,
        "workload": identifying_claims(workload, identity),
        // What is revoked of it ends the new token too: see `Identity::source`.
        "source": source_claim(identity, token_sha256),
    });
    if claims.to_string().len() > CLAIMS_BYTES_MAX {
        return Err(ExchangeRefusal::Size.into());
    }
    let Value::Object(claims) = claims else { return Err(ExchangeRefusal::NotReady.into()) };
    let mut draft = Draft::new(state, now_ms);
    let actor = Actor { issuer: identity.issuer.clone(), subject: identity.subject.clone() };
    let before = json!({"jti": own_id(identity), "sha256": token_sha256});
    let after = json!({
        "jti": id,
        "sub": subject,
        "expires_ms": expires_s.saturating_mul(1_000),
        "authorization_details": details,
    });
    draft.act(actor, "token.exchange", format!("workload/{}", workload.name), &before, &after);
    let expires_in_s = expires_s.saturating_sub(issued_s);
    Ok(draft.finish(Answer::Exchanged(Box::new(Exchanged { claims, expires_in_s }))))
}

/// The subject of an exchanged token. Names of issuers hold no colon, so no two have the same.
fn subject_of(issuer: &str, subject: &str) -> String {
    format!("{issuer}:{subject}")
}

/// The one document that is for an identity.
fn workload_of<'a>(
    state: &'a State,
    identity: &Identity,
    named: Option<&str>,
) -> Result<&'a Workload, ExchangeRefusal> {
    let fitting = || {
        state
            .workloads()
            .filter(|workload| named.is_none_or(|name| workload.name == name))
            .filter(|workload| has_audience(identity, &workload.audience))
    };
    let mut found = fitting().filter(|workload| entries(workload, identity).next().is_some());
    match (found.next(), found.next()) {
        (Some(workload), None) => Ok(workload),
        (Some(_), Some(_)) => Err(ExchangeRefusal::Ambiguous),
        (None, _) => {
            let proposal = fitting()
                .flat_map(|workload| &workload.subjects)
                .any(|entry| names_whom(entry, identity));
            Err(if proposal { ExchangeRefusal::Proposal } else { ExchangeRefusal::NoWorkload })
        }
    }
}

/// The entries of a document that an identity fits into.
fn entries<'a>(
    workload: &'a Workload,
    identity: &'a Identity,
) -> impl Iterator<Item = &'a Subject> {
    let entries = workload.subjects.iter().filter(|entry| names_whom(entry, identity));
    entries.filter(|entry| takes_proposals(entry, identity))
}

/// Whether an entry names this identity. One without issuer or claim names nobody: documents with
/// such an entry are refused, and one that came here all the same gives nothing.
fn names_whom(entry: &Subject, identity: &Identity) -> bool {
    entry.issuer.is_some()
        && entry.claims.as_ref().is_some_and(|claims| !claims.is_empty())
        && subject_matches(entry, identity)
}

/// Whether the identity's job was made to run by nobody's proposal, or the entry says that it may
/// have been.
fn takes_proposals(entry: &Subject, identity: &Identity) -> bool {
    PROPOSALS.iter().all(|(claim, beginnings)| {
        let said = entry.claims.as_ref().is_some_and(|claims| claims.contains_key(*claim));
        let proposal = match identity.claims.get(*claim) {
            None => false,
            Some(Value::String(text)) => {
                beginnings.iter().any(|beginning| text.starts_with(beginning))
            }
            // Not what these providers write: nothing is known of it.
            Some(_) => true,
        };
        said || !proposal
    })
}

/// Whether the workload's own token was revoked, or its identity after it was issued: as its issuer
/// knows it, or as nodes know it, since revoking what came of a token is to end it for good.
fn is_revoked(state: &State, asked: &Exchange, subject: &str) -> bool {
    let Exchange { identity, token_sha256, .. } = asked;
    let issued_s = identity.claims.get("iat").and_then(Value::as_u64).unwrap_or_default();
    let issued_ms = issued_s.saturating_mul(1_000);
    let own_id = identity.claims.get("jti").and_then(Value::as_str);
    let (issuer, own) = (identity.issuer.as_str(), identity.subject.as_str());
    state.is_token_revoked(issuer, own, issued_ms, token_sha256, own_id)
        || state.is_token_revoked(EXCHANGE_ISSUER, subject, issued_ms, token_sha256, None)
}

fn opens_something(audience: &str) -> bool {
    audience == EXCHANGED_AUDIENCE || audience == API_AUDIENCE
}

/// Whether a token is for this audience, and for neither the gateway nor the API besides.
fn has_audience(identity: &Identity, audience: &str) -> bool {
    let audiences: Vec<&str> = match identity.claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    audiences.contains(&audience) && !audiences.iter().any(|audience| opens_something(audience))
}

/// When the new token ends, in seconds since the Unix epoch: with the workload's own at the latest,
/// by that token's word and not with its issuer's leeway on top.
fn expires_s(workload: &Workload, identity: &Identity, now_ms: u64) -> Option<u64> {
    let own_s = identity.claims.get("exp")?.as_u64()?;
    let longest_ms = workload.minutes_max.min(MINUTES_MAX).saturating_mul(60_000);
    let expires_s = own_s.min(now_ms.saturating_add(longest_ms) / 1_000);
    (expires_s > now_ms / 1_000).then_some(expires_s)
}

/// The id of the workload's own token; `null` where it has none.
fn own_id(identity: &Identity) -> Value {
    identity.claims.get("jti").filter(|id| id.is_string()).cloned().unwrap_or_default()
}

/// The workload's own token, for whom a revocation may name.
fn source_claim(identity: &Identity, token_sha256: &str) -> Value {
    let mut claim = json!({
        "iss": identity.issuer,
        "sub": identity.subject,
        "sha256": token_sha256,
    });
    let id = own_id(identity);
    if let (Value::Object(members), false) = (&mut claim, id.is_null()) {
        members.insert("jti".to_owned(), id);
    }
    claim
}

/// The claims that the document knows the workload by. They hold, since each equals what an entry
/// that matches says; a path becomes objects, so that rules find it again below `workload`.
fn identifying_claims(workload: &Workload, identity: &Identity) -> Map<String, Value> {
    let mut found = Map::new();
    let claims = entries(workload, identity).filter_map(|entry| entry.claims.as_ref()).flatten();
    for (path, text) in claims {
        put(&mut found, path, text);
    }
    found
}

fn put(members: &mut Map<String, Value>, path: &str, text: &str) {
    match path.split_once('.') {
        None => {
            members.insert(path.to_owned(), text.into());
        }
        Some((first, rest)) => {
            let inner = members.entry(first).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, rest, text);
            }
        }
    }
}
