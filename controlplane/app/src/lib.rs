//! What the control plane may do. In: the state, one event, the time. Out: the next state, the rows
//! to persist with their act, a snapshot to sign, keys to fetch. Never: I/O, a clock, randomness of
//! its own, or a secret's value outside of [`vault`].

pub mod acts;
pub mod approvals;
mod certificates;
mod clock;
mod documents;
mod draft;
mod durable;
pub mod event;
pub mod exchange;
pub mod explain;
pub mod grants;
mod hex;
mod index;
pub mod jwks;
mod keys;
pub mod leases;
pub mod live;
pub mod mask_cuts;
mod masks;
mod nodes;
pub mod notify;
pub mod outbox;
mod publish;
mod refusal;
pub mod revocations;
pub mod roles;
mod secrets;
pub mod sessions;
mod sight;
pub mod state;
pub mod surface;
pub mod vault;

pub use acts::Act;
pub use event::{Answer, Change, Effect, Event, Outcome, Refusal, Requester};
pub use hex::{hex, sha256_hex};
pub use roles::{Action, authorise, roles_of};
pub use state::{Durable, State, Tuning};

impl State {
    /// Answers one event. Nothing happens to `self`: what the event makes of it is in the outcome,
    /// and is in force only once its changes are persisted.
    ///
    /// # Errors
    /// A [`Refusal`]: nothing changes.
    pub fn apply(&self, event: Event, now_ms: u64) -> Result<Outcome, Refusal> {
        match event {
            Event::Started { keys } => Ok(publish::started(self, keys, now_ms)),
            Event::FirstRun { documents } => documents::first_run(self, documents, now_ms),
            Event::ApplyDocuments(apply) => documents::apply(self, apply, now_ms),
            Event::DeleteDocument { by, key } => documents::delete(self, &by, &key, now_ms),
            Event::RollBack { by, version, documents } => {
                documents::roll_back(self, &by, version, documents, now_ms)
            }
            Event::SetSecret { by, name, sealed, client_certificate } => {
                secrets::set(self, &by, name, sealed, client_certificate, now_ms)
            }
            Event::MaskKeyMade { sealed } => secrets::mask_key(self, sealed, now_ms),
            Event::DeleteSecret { by, name } => secrets::delete(self, &by, &name, now_ms),
            Event::KeysFetched { issuer, source, keys } => {
                Ok(keys::fetched(self, &issuer, &source, keys, now_ms))
            }
            Event::KeysFailed { issuer, source, problem, jitter } => {
                Ok(keys::failed(self, &issuer, &source, problem, jitter, now_ms))
            }
            Event::UnknownKey { issuer, kid } => Ok(keys::unknown(self, &issuer, &kid, now_ms)),
            Event::JoinFileIssued { by, token_sha256 } => {
                nodes::join_file(self, &by, token_sha256, now_ms)
            }
            Event::NodeJoined(joined) => nodes::joined(self, joined, now_ms),
            Event::RemoveNode { by, node } => nodes::remove(self, &by, &node, now_ms),
            Event::NodeStatus { node, status } => nodes::status(self, &node, status, now_ms),
            Event::Hold { node, request, fresh } => {
                approvals::hold(self, &node, &request, &fresh, now_ms)
            }
            Event::Ends { node, ends } => grants::ends(self, &node, ends, now_ms),
            Event::OpenSessions { node, sessions } => sessions::said(self, node, sessions, now_ms),
            Event::Vote { by, approval, vote, channel } => {
                approvals::vote(self, &by, &approval, vote, channel, now_ms)
            }
            Event::Withdraw { by, approval } => approvals::withdraw(self, &by, &approval, now_ms),
            Event::Justify { by, approval, text } => {
                approvals::justify(self, &by, &approval, text, now_ms)
            }
            Event::CloseReview { by, approval } => {
                approvals::close_review(self, &by, &approval, now_ms)
            }
            Event::RequestAccess { by, access, fresh } => {
                approvals::request_access(self, &by, access, &fresh, now_ms)
            }
            Event::EndGrant { by, grant, how, reason } => {
                grants::end_grant(self, &by, &grant, how, reason, now_ms)
            }
            Event::RevokeIdentity { by, issuer, subject, reason } => {
                revocations::identity(self, &by, issuer, subject, reason, now_ms)
            }
            Event::RevokeToken { by, token, reason } => {
                revocations::token(self, &by, token, reason, now_ms)
            }
            Event::KillSession { by, session, reason } => {
                revocations::session(self, &by, session, reason, now_ms)
            }
            Event::Exchange(event) => exchange::happened(self, *event, now_ms),
            Event::RetryNotification { by, id } => outbox::retry(self, &by, &id, now_ms),
            Event::Tick => Ok(publish::tick(self, now_ms)),
        }
    }
}
