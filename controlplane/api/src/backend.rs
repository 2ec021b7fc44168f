//! What the interface needs behind it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use penstock_app::state::{ActHead, StoredDocument, Version};
use penstock_app::{Act, Answer, Event, Refusal, Requester, State};
use penstock_config::identity::Identity;
use penstock_config::node::JoinFile;
use zeroize::Zeroizing;

use crate::correspondence::Correspondence;
use crate::sign_in::SignIn;

/// The backend as handlers hold it.
pub type Api = Arc<dyn Backend>;

/// Why a call fails.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The core refused.
    #[error("refused")]
    Refused(#[from] Refusal),
    /// The store did not answer, or the process is ending. The log says more.
    #[error("the store is not available")]
    Unavailable,
}

/// What comes later: an answer or a failure.
pub type Later<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// One version with its documents.
pub type VersionContent = (Version, Vec<StoredDocument>);

/// Acts, and the end of the chain before them.
pub type ActPage = (Option<ActHead>, Vec<Act>);

/// How far a node has acted on what nodes act on at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NodeHeard {
    /// The last sequence that every core of it has acted on; none before it has everything that was
    /// in force when this run of the control plane began.
    pub sequence: Option<u64>,
    /// When it last asked, milliseconds since the Unix epoch.
    pub seen_ms: u64,
}

/// State, events, store: everything that handlers ask for.
pub trait Backend: Correspondence + SignIn + Send + Sync + 'static {
    /// The state in force.
    fn state(&self) -> Arc<State>;

    /// Who a token speaks for; none where it does not hold for audience `penstock-api`.
    fn identify(&self, token: &[u8]) -> Option<Identity>;

    /// Hands an event to the core; answered once it is persisted.
    fn submit(&self, event: Event) -> Later<'_, Answer>;

    /// Puts the content of an old version in force.
    fn roll_back(&self, by: Requester, version: u64) -> Later<'_, Answer>;

    /// Seals a value, which passed [`penstock_app::vault::check_value`], and keeps it.
    fn set_secret(
        &self,
        by: Requester,
        name: String,
        value: Zeroizing<String>,
    ) -> Later<'_, Answer>;

    /// Issues a join file.
    fn join_file(&self, by: Requester) -> Later<'_, JoinFile>;

    /// Versions, newest first.
    fn versions(&self) -> Later<'_, Vec<Version>>;

    /// One version with its documents.
    fn version(&self, number: u64) -> Later<'_, Option<VersionContent>>;

    /// Acts behind a sequence, oldest first, and the end of the chain before them; none where there
    /// is no act of that sequence.
    fn acts(&self, after: u64) -> Later<'_, ActPage>;

    /// 20 random lower-case letters and digits, for the ids of what an event makes.
    ///
    /// # Errors
    /// The machine gives none.
    fn fresh(&self) -> Result<String, Failure>;

    /// Whether the writer lives.
    fn is_working(&self) -> bool;

    /// Whether a node has a connection open.
    fn is_connected(&self, node: &str) -> bool;

    /// How far a node has acted on what is live; none before it first asked in this run.
    fn heard(&self, node: &str) -> Option<NodeHeard>;
}
