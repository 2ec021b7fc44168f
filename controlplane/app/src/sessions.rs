//! What is open on nodes now, in memory only.

use std::sync::Arc;

use penstock_config::hold::{OpenSession, OpenSessions, SESSIONS_MAX};

use crate::approvals::is_session;
use crate::draft::Draft;
use crate::event::{Answer, Outcome, Refusal};
use crate::state::State;

const TEXT_BYTES_MAX: usize = 1_024;
const OPERATIONS_MAX: usize = 64;
const GRANTS_MAX: usize = 64;

/// What one node last said.
#[derive(Clone, Debug)]
pub struct NodeSessions {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What.
    pub sessions: Arc<OpenSessions>,
}

impl PartialEq for NodeSessions {
    fn eq(&self, other: &Self) -> bool {
        self.at_ms == other.at_ms && Arc::ptr_eq(&self.sessions, &other.sessions)
    }
}

impl State {
    /// A session that some node said is open, with the node's id.
    pub fn open_session(&self, session: &str) -> Option<(&str, &OpenSession)> {
        self.open_sessions().find(|(_, open)| open.session == session)
    }

    /// Sessions that nodes said are open, with the node's id.
    pub fn open_sessions(&self) -> impl Iterator<Item = (&str, &OpenSession)> {
        self.sessions.iter().flat_map(|(node, said)| {
            said.sessions.sessions.iter().map(|session| (node.as_str(), session))
        })
    }
}

/// Keeps what a node says.
pub(crate) fn said(
    state: &State,
    node: String,
    sessions: OpenSessions,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    if !state.durable.nodes.contains_key(&node) {
        return Err(Refusal::NotFound("node"));
    }
    if sessions.sessions.len() > SESSIONS_MAX || !sessions.sessions.iter().all(is_bounded) {
        return Err(Refusal::Bounds);
    }
    let mut draft = Draft::new(state, now_ms);
    let said = NodeSessions { at_ms: now_ms, sessions: Arc::new(sessions) };
    draft.state.sessions.insert(node, said);
    Ok(draft.finish(Answer::Done))
}

fn is_bounded(open: &OpenSession) -> bool {
    let short = |text: &String| text.len() <= TEXT_BYTES_MAX;
    let texts = [&open.issuer, &open.subject, &open.user, &open.connection, &open.peer];
    let optional = [&open.model, &open.rule, &open.approval];
    is_session(&open.session)
        && texts.into_iter().all(short)
        && optional.into_iter().flatten().all(short)
        && open.operations.len() <= OPERATIONS_MAX
        && open.operations.iter().all(short)
        && open.grants.len() <= GRANTS_MAX
        && open.grants.iter().all(short)
}
