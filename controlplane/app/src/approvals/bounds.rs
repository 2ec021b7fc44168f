//! What nodes and people send is bounded and of the form that it must have.

use penstock_config::catalogue::Classified;
use penstock_config::hold::{
    Facts, HoldRequest, REASON_BYTES_MAX, SHOWN_CHARACTERS_MAX, SHOWN_MAX,
};
use penstock_config::identity::Identity;

use super::{AccessRequest, IDENTITY_BYTES_MAX, JUSTIFICATION_BYTES_MAX};
use crate::event::Refusal;
use crate::state::State;

const SESSION_DIGITS: usize = 32;
const SHA256_DIGITS: usize = 64;
const FRESH_CHARACTERS: usize = 20;
const METHOD_BYTES_MAX: usize = 32;
const TARGET_BYTES_MAX: usize = 16_384;
const NAME_BYTES_MAX: usize = 1_024;
const PEER_BYTES_MAX: usize = 64;
const AGENT_BYTES_MAX: usize = 256;
const OPERATIONS_MAX: usize = 64;
const MODELS_MAX: usize = 64;
/// Most operations and models of one request for access, globs among them.
const ASKED_MAX: usize = 64;

/// An id of a session: 32 hex digits.
pub(crate) fn is_session(text: &str) -> bool {
    text.len() == SESSION_DIGITS && is_hex(text)
}

/// A reason, a ticket or a note: something, and no control characters but line ends.
pub(crate) fn is_reason(text: &str) -> bool {
    is_text(text, REASON_BYTES_MAX)
}

/// A justification.
pub(crate) fn is_justification(text: &str) -> bool {
    is_text(text, JUSTIFICATION_BYTES_MAX)
}

fn is_text(text: &str, bytes_max: usize) -> bool {
    let is_control = |one: char| one.is_control() && one != '\n';
    !text.trim().is_empty() && text.len() <= bytes_max && !text.contains(is_control)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_sha256(text: &str) -> bool {
    text.len() == SHA256_DIGITS && is_hex(text)
}

/// Whether who somebody is fits into a record.
pub(crate) fn is_bounded_identity(identity: &Identity) -> bool {
    let named = |text: &String| !text.is_empty() && text.len() <= NAME_BYTES_MAX;
    named(&identity.issuer)
        && named(&identity.subject)
        && serde_json::to_string(identity).is_ok_and(|text| text.len() <= IDENTITY_BYTES_MAX)
}

/// The characters that new ids end with: random, and of no approval that there is.
pub(crate) fn fresh_id(state: &State, fresh: &str) -> Result<String, Refusal> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let id = format!("apr-{fresh}");
    let is_good = fresh.len() == FRESH_CHARACTERS && fresh.bytes().all(plain);
    if is_good && !state.durable.approvals.contains_key(&id) {
        Ok(id)
    } else {
        Err(Refusal::Bounds)
    }
}

/// Checks a node's request, and returns what it does.
pub(crate) fn check_hold(
    state: &State,
    node: &str,
    request: &HoldRequest,
) -> Result<Classified, Refusal> {
    if !state.durable.nodes.contains_key(node) {
        return Err(Refusal::NotFound("node"));
    }
    let optional = |text: &Option<String>| text.as_deref().is_none_or(is_reason);
    let is_good = is_session(&request.session)
        && is_sha256(&request.token_sha256)
        && is_sha256(&request.digest)
        && is_sha256(&request.body_sha256)
        && is_bounded_identity(&request.identity)
        && request.connection.len() <= NAME_BYTES_MAX
        && request.method.len() <= METHOD_BYTES_MAX
        && request.target.len() <= TARGET_BYTES_MAX
        && request.peer.len() <= PEER_BYTES_MAX
        && request.agent.as_ref().is_none_or(|agent| agent.len() <= AGENT_BYTES_MAX)
        && optional(&request.reason)
        && optional(&request.ticket)
        && is_shown(&request.shown)
        && are_facts(&request.facts);
    if !is_good {
        return Err(Refusal::Bounds);
    }
    request.facts.classified().ok_or(Refusal::Bounds)
}

fn is_shown(shown: &[(String, String)]) -> bool {
    let short = |text: &String| text.chars().count() <= SHOWN_CHARACTERS_MAX;
    shown.len() <= SHOWN_MAX && shown.iter().all(|(name, value)| short(name) && short(value))
}

fn are_facts(facts: &Facts) -> bool {
    let named = |text: &String| text.len() <= NAME_BYTES_MAX;
    facts.operations.len() <= OPERATIONS_MAX
        && facts.other_models.len() <= MODELS_MAX
        && facts.spellings.len() <= MODELS_MAX
        && facts.model.iter().chain(&facts.other_models).chain(&facts.spellings).all(named)
}

/// Checks what somebody asks for ahead of time.
pub(crate) fn check_access(by: &Identity, access: &AccessRequest) -> Result<(), Refusal> {
    let optional = |text: &Option<String>| text.as_deref().is_none_or(is_reason);
    let named = |text: &String| !text.is_empty() && text.len() <= NAME_BYTES_MAX;
    let listed =
        |texts: &[String]| !texts.is_empty() && texts.len() <= ASKED_MAX && texts.iter().all(named);
    let is_good = is_bounded_identity(by)
        && named(&access.connection)
        && listed(&access.operations)
        && access.models.as_deref().is_none_or(listed)
        && access.minutes >= 1
        && access.uses.is_none_or(|uses| uses >= 1)
        && access.extends.as_ref().is_none_or(named)
        && optional(&access.reason)
        && optional(&access.ticket);
    if is_good { Ok(()) } else { Err(Refusal::Bounds) }
}
