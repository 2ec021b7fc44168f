//! The API's backend: the writer, the store and the keys behind one face.

use std::sync::Arc;

use futures_util::FutureExt as _;
use penstock_api::backend::{ActPage, Later, NodeHeard, VersionContent};
use penstock_api::{Backend, Failure};
use penstock_app::state::Version;
use penstock_app::{Answer, Event, Requester, State, hex, sha256_hex};
use penstock_config::identity::Identity;
use penstock_config::node::{JoinFile, SnapshotKey};
use penstock_store::{PAGE_ROWS_MAX, Store};
use zeroize::Zeroizing;

use crate::correspondence::Mailroom;
use crate::live::Heard;
use crate::log::{self, Level, now_ms};
use crate::presence::Presence;
use crate::random;
use crate::tokens::{Tokens, Unidentified, is_revoked};
use crate::worker::{Command, Handle, unavailable};

/// Most versions of one listing.
const VERSIONS_MAX: u32 = 1_000;

/// What a join file says beside its token.
#[derive(Clone)]
pub(crate) struct JoinTemplate {
    pub(crate) url: String,
    pub(crate) ca_sha256: String,
    pub(crate) ca_pem: String,
    pub(crate) snapshot_keys: Vec<SnapshotKey>,
}

pub(crate) struct ServerBackend {
    pub(crate) handle: Handle,
    pub(crate) store: Store,
    pub(crate) tokens: Tokens,
    pub(crate) presence: Presence,
    pub(crate) heard: Heard,
    pub(crate) mailroom: Mailroom,
    pub(crate) join: JoinTemplate,
}

impl ServerBackend {
    async fn issue_join_file(&self, by: Requester) -> Result<JoinFile, Failure> {
        let random = random::bytes::<32>().map_err(|error| {
            log::line(Level::Error, "random", &error);
            Failure::Unavailable
        })?;
        let token = hex(&*random);
        let token_sha256 = sha256_hex(token.as_bytes());
        self.handle.submit(Event::JoinFileIssued { by, token_sha256 }).await?;
        let JoinTemplate { url, ca_sha256, ca_pem, snapshot_keys } = self.join.clone();
        let cluster = self.handle.state().durable.cluster.clone();
        Ok(JoinFile { url, ca_sha256, ca_pem, snapshot_keys, token, cluster })
    }
}

impl Backend for ServerBackend {
    fn state(&self) -> Arc<State> {
        self.handle.state()
    }

    fn identify(&self, token: &[u8]) -> Option<Identity> {
        match self.tokens.identify(token, now_ms()) {
            Ok(identity) => {
                let revoked = is_revoked(&self.handle.state(), &identity, token);
                (!revoked).then_some(identity)
            }
            Err(Unidentified::Refused) => None,
            Err(Unidentified::UnknownKey { issuer, kid }) => {
                if self.handle.state().is_worth_fetching(&issuer, &kid, now_ms()) {
                    self.handle.mention(Event::UnknownKey { issuer, kid });
                }
                None
            }
        }
    }

    fn submit(&self, event: Event) -> Later<'_, Answer> {
        self.handle.submit(event).boxed()
    }

    fn roll_back(&self, by: Requester, version: u64) -> Later<'_, Answer> {
        self.handle.ask(move |reply| Command::RollBack(by, version, reply)).boxed()
    }

    fn set_secret(
        &self,
        by: Requester,
        name: String,
        value: Zeroizing<String>,
    ) -> Later<'_, Answer> {
        self.handle.ask(move |reply| Command::SetSecret(by, name, value, reply)).boxed()
    }

    fn join_file(&self, by: Requester) -> Later<'_, JoinFile> {
        self.issue_join_file(by).boxed()
    }

    fn versions(&self) -> Later<'_, Vec<Version>> {
        async { self.store.versions(VERSIONS_MAX).await.map_err(|error| unavailable(&error)) }
            .boxed()
    }

    fn version(&self, number: u64) -> Later<'_, Option<VersionContent>> {
        async move { self.store.version(number).await.map_err(|error| unavailable(&error)) }.boxed()
    }

    fn acts(&self, after: u64) -> Later<'_, ActPage> {
        async move {
            let head = self.store.act_head_at(after).await.map_err(|error| unavailable(&error))?;
            let acts = self.store.acts(after, PAGE_ROWS_MAX).await;
            Ok((head, acts.map_err(|error| unavailable(&error))?))
        }
        .boxed()
    }

    fn fresh(&self) -> Result<String, Failure> {
        random::fresh().map_err(|error| {
            log::line(Level::Error, "random", &error);
            Failure::Unavailable
        })
    }

    fn is_working(&self) -> bool {
        self.handle.is_working()
    }

    fn is_connected(&self, node: &str) -> bool {
        self.presence.has(node)
    }

    fn heard(&self, node: &str) -> Option<NodeHeard> {
        self.heard.of(node)
    }
}
