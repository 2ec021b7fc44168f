//! Nodes: join files, joining, and what nodes say of themselves.

use std::sync::Arc;

use penstock_config::node::NodeStatus;
use serde_json::{Value, json};

use crate::draft::Draft;
use crate::event::{Actor, Answer, Change, Joined, Outcome, Refusal, Requester};
use crate::publish::is_due;
use crate::roles::{Action, authorise};
use crate::state::{JOIN_TOKENS_MAX, JoinToken, NODES_MAX, Node, Seen, State};

const NAME_BYTES_MAX: usize = 253;
const CORES_MAX: usize = 1_024;
const UPSTREAMS_MAX: usize = 10_000;
const TEXT_BYTES_MAX: usize = 1_024;

/// Remembers a join file's token by its hash. Expired ones are forgotten on the way.
pub(crate) fn join_file(
    state: &State,
    by: &Requester,
    token_sha256: String,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    authorise(state, by, Action::IssueJoinFiles)?;
    let mut draft = Draft::new(state, now_ms);
    let held = state.durable.join_tokens.iter();
    let lifetime_ms = state.tuning.join_file_lifetime_ms;
    let expired = held
        .filter(|(_, token)| is_due(token.expires_ms, lifetime_ms, now_ms))
        .map(|(hash, _)| hash);
    for hash in expired {
        Arc::make_mut(&mut draft.state.durable.join_tokens).remove(hash);
        draft.change(Change::JoinTokenDeleted(hash.clone()));
    }
    if draft.state.durable.join_tokens.len() >= JOIN_TOKENS_MAX {
        return Err(Refusal::Full { what: "unused join files", limit: JOIN_TOKENS_MAX });
    }
    let token = JoinToken { expires_ms: now_ms.saturating_add(state.tuning.join_file_lifetime_ms) };
    let object = join_object(&token_sha256);
    let after = json!({"expires_ms": token.expires_ms});
    Arc::make_mut(&mut draft.state.durable.join_tokens).insert(token_sha256.clone(), token.clone());
    draft.change(Change::JoinTokenSet(token_sha256, token));
    draft.act(by.actor(), "node.join-file", object, &Value::Null, &after);
    Ok(draft.finish(Answer::Done))
}

/// A join file is named by the start of its token's hash, which gives nothing away.
fn join_object(token_sha256: &str) -> String {
    format!("join-file/{}", token_sha256.get(..16).unwrap_or_default())
}

impl State {
    /// Whether a join token may be used now.
    pub fn join_token_holds(&self, token_sha256: &str, now_ms: u64) -> bool {
        let token = self.durable.join_tokens.get(token_sha256);
        let lifetime_ms = self.tuning.join_file_lifetime_ms;
        token.is_some_and(|token| !is_due(token.expires_ms, lifetime_ms, now_ms))
    }

    /// The node that holds this certificate: SHA-256 of its DER, hex.
    pub fn node_with_certificate(&self, certificate_sha256: &str) -> Option<&str> {
        let mut nodes = self.durable.nodes.iter();
        let found = nodes.find(|(_, node)| node.certificate_sha256 == certificate_sha256);
        found.map(|(id, _)| id.as_str())
    }
}

/// Spends a join token for a node.
pub(crate) fn joined(state: &State, joined: Joined, now_ms: u64) -> Result<Outcome, Refusal> {
    let Joined { token_sha256, node, name, certificate_sha256 } = joined;
    if !state.join_token_holds(&token_sha256, now_ms) {
        return Err(Refusal::JoinToken);
    }
    if !is_host_name(&name) {
        return Err(Refusal::Bounds);
    }
    if state.durable.nodes.len() >= NODES_MAX {
        return Err(Refusal::Full { what: "nodes", limit: NODES_MAX });
    }
    let mut draft = Draft::new(state, now_ms);
    Arc::make_mut(&mut draft.state.durable.join_tokens).remove(&token_sha256);
    let after = json!({"name": name, "certificate_sha256": certificate_sha256});
    let row = Node { name, certificate_sha256, joined_ms: now_ms };
    Arc::make_mut(&mut draft.state.durable.nodes).insert(node.clone(), row.clone());
    let before = json!({"join_file": join_object(&token_sha256)});
    draft.change(Change::JoinTokenDeleted(token_sha256));
    draft.change(Change::NodeSet(node.clone(), row));
    let actor = Actor { issuer: String::new(), subject: node.clone() };
    draft.act(actor, "node.join", format!("node/{node}"), &before, &after);
    Ok(draft.finish(Answer::Done))
}

/// Removes a node: its certificate is nobody's from then on.
pub(crate) fn remove(
    state: &State,
    by: &Requester,
    node: &str,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    authorise(state, by, Action::RemoveNodes)?;
    let mut draft = Draft::new(state, now_ms);
    let nodes = Arc::make_mut(&mut draft.state.durable.nodes);
    let removed = nodes.remove(node).ok_or(Refusal::NotFound("node"))?;
    Arc::make_mut(&mut draft.state.statuses).remove(node);
    draft.state.sessions.remove(node);
    let before = json!({"name": removed.name, "certificate_sha256": removed.certificate_sha256});
    draft.change(Change::NodeDeleted(node.to_owned()));
    draft.act(by.actor(), "node.remove", format!("node/{node}"), &before, &Value::Null);
    Ok(draft.finish(Answer::Done))
}

fn is_host_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain)
}

/// Keeps what a node says, in memory only.
pub(crate) fn status(
    state: &State,
    node: &str,
    status: NodeStatus,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    if !state.durable.nodes.contains_key(node) {
        return Err(Refusal::NotFound("node"));
    }
    if !is_bounded(&status) {
        return Err(Refusal::Bounds);
    }
    let mut draft = Draft::new(state, now_ms);
    let seen = Seen { at_ms: now_ms, status: Arc::new(status) };
    Arc::make_mut(&mut draft.state.statuses).insert(node.to_owned(), seen);
    Ok(draft.finish(Answer::Done))
}

fn is_bounded(status: &NodeStatus) -> bool {
    let short = |text: &str| text.len() <= TEXT_BYTES_MAX;
    status.cores.len() <= CORES_MAX
        && status.upstreams.len() <= UPSTREAMS_MAX
        && short(&status.program)
        && short(&status.listen)
        && status.refused.as_deref().is_none_or(short)
        && status
            .upstreams
            .iter()
            .all(|u| short(&u.connection) && short(&u.endpoint) && short(&u.state))
}
