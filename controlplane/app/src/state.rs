//! Everything the control plane knows: what the store keeps, and what it learns after each start.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use penstock_config::documents::{Connection, Document, Issuer, Mask, Role, Rule};
use penstock_config::node::{NodeStatus, Position, SnapshotKey};
use serde::{Deserialize, Serialize};

use crate::approvals::{Approval, Compiled, Rates, Sweep};
use crate::grants::{Grant, Use};
use crate::index::Index;
use crate::live::LiveLog;
use crate::mask_cuts::MaskMark;
use crate::revocations::{Revocation, RevocationKey};
use crate::sessions::NodeSessions;

/// A set of public keys as JWK members (RFC 7517).
pub type KeySet = Vec<serde_json::Map<String, serde_json::Value>>;

/// Most documents in force.
pub const DOCUMENTS_MAX: usize = 10_000;
/// Most secrets.
pub const SECRETS_MAX: usize = 10_000;
/// Most nodes.
pub const NODES_MAX: usize = 10_000;
/// Most join files that were issued and neither used nor expired.
pub const JOIN_TOKENS_MAX: usize = 1_000;

/// The whole state. Parts are shared, so a copy is cheap and readers keep a consistent one.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// What the store keeps.
    pub durable: Durable,
    /// Times and intervals from the settings.
    pub tuning: Tuning,
    /// When each issuer's keys are fetched next, by name of the issuer document.
    pub fetches: Arc<BTreeMap<String, Fetch>>,
    /// What nodes said of themselves, by node id.
    pub statuses: Arc<BTreeMap<String, Seen>>,
    /// Keys that snapshots are signed with: the one in use, then the one that replaces it.
    pub snapshot_keys: Arc<[SnapshotKey]>,
    /// As whom exchanged tokens are signed; none before the process said so.
    pub token_issuer: Option<Arc<crate::exchange::TokenIssuer>>,
    /// What is open on nodes, by node id.
    pub sessions: OrdMap<String, NodeSessions>,
    /// What nodes act on at once.
    pub live: LiveLog,
    /// The documents in the form in which decisions are made.
    pub(crate) compiled: Compiled,
    /// What is looked up on every hold.
    pub(crate) index: Index,
    /// How fast identities ask.
    pub(crate) rates: Rates,
    /// What is to be looked at anew.
    pub(crate) sweep: Sweep,
    /// When time last passed here, milliseconds since the Unix epoch.
    pub(crate) ticked_ms: u64,
}

/// What the store keeps: a reload gives exactly this back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Durable {
    /// The cluster's id: nodes of another one refuse its snapshots.
    pub cluster: String,
    /// Where the newest snapshot stands; version 0 before the first documents.
    pub position: Position,
    /// Raised by each change of a secret.
    pub credentials_generation: u64,
    /// Documents in force.
    pub documents: Arc<BTreeMap<DocumentKey, StoredDocument>>,
    /// Sealed secrets by name.
    pub secrets: Arc<BTreeMap<String, StoredSecret>>,
    /// Last good keys by name of the issuer document.
    pub keys: Arc<BTreeMap<String, IssuerKeys>>,
    /// Join files that may still be used, by the SHA-256 of their token, hex.
    pub join_tokens: Arc<BTreeMap<String, JoinToken>>,
    /// Nodes by id.
    pub nodes: Arc<BTreeMap<String, Node>>,
    /// Approvals by id.
    pub approvals: OrdMap<String, Arc<Approval>>,
    /// Grants by id.
    pub grants: OrdMap<String, Arc<Grant>>,
    /// Sessions that took a use or are over, by id.
    pub uses: OrdMap<String, Arc<Use>>,
    /// What does not hold any more.
    pub revocations: OrdMap<RevocationKey, Arc<Revocation>>,
    /// When the masks of connections changed, or these were gone, by name of the connection.
    pub mask_marks: Arc<BTreeMap<String, MaskMark>>,
    /// The last act.
    pub act_head: ActHead,
    /// The last signed snapshot.
    pub snapshot: Option<SignedSnapshot>,
}

/// Times, in milliseconds, and limits from the settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tuning {
    /// `expires` - `issued` of a snapshot; it is issued again at half of that.
    pub snapshot_lifetime_ms: u64,
    /// Between two fetches of an issuer's keys.
    pub jwks_refresh_ms: u64,
    /// Between two fetches of an issuer's keys because of unknown key ids.
    pub unknown_key_interval_ms: u64,
    /// First wait after a failed fetch; doubled by each further one.
    pub backoff_ms_min: u64,
    /// Longest wait after a failed fetch.
    pub backoff_ms_max: u64,
    /// How long a join file may be used.
    pub join_file_lifetime_ms: u64,
    /// A development state: its first-run documents follow the development environment, also
    /// through a roll-back.
    pub development: bool,
    /// Where people look at approvals: what comes before `/approvals/ID`.
    pub approval_url: String,
    /// Most approvals that are pending.
    pub approvals_pending_max: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            snapshot_lifetime_ms: 604_800_000,
            jwks_refresh_ms: 300_000,
            unknown_key_interval_ms: 30_000,
            backoff_ms_min: 1_000,
            backoff_ms_max: 300_000,
            join_file_lifetime_ms: 3_600_000,
            development: false,
            approval_url: String::new(),
            approvals_pending_max: 20_000,
        }
    }
}

/// A document's kind and name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct DocumentKey {
    /// One of [`Document::KINDS`].
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

impl DocumentKey {
    /// The key of that kind and name; none for a kind that there is not.
    pub fn new(kind: &str, name: &str) -> Option<Self> {
        let kind = Document::KINDS.into_iter().find(|k| *k == kind)?;
        Some(Self { kind, name: name.to_owned() })
    }

    /// The key of a document.
    pub fn of(document: &Document) -> Self {
        Self { kind: document.kind(), name: document.name().to_owned() }
    }

    /// Whether the document says who is trusted, who governs, who is one person, or who is told and
    /// may answer: only an administrator changes it.
    pub fn is_trust(&self) -> bool {
        !matches!(self.kind, "connection" | "rule" | "mask")
    }
}

/// Where a document in force comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The first-run file: never pruned.
    FirstRun,
    /// Somebody applied it.
    Applied,
}

/// A document in force.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StoredDocument {
    /// Where it comes from.
    pub origin: Origin,
    /// The document.
    pub document: Document,
}

/// One version of the documents, without them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    /// Its number, from 1.
    pub number: u64,
    /// When it was put in force, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// By whom.
    pub actor: crate::event::Actor,
    /// What changed, in words.
    pub summary: String,
}

/// A secret under its own data key, which is under the master key. All text is base64.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sealed {
    /// Generation of the secrets that this value came with; bound into both ciphertexts.
    pub generation: u64,
    /// Nonce and ciphertext of the data key.
    pub wrapped_key: String,
    /// Nonce and ciphertext of the value.
    pub ciphertext: String,
}

/// A secret at rest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredSecret {
    /// Its ciphertext.
    pub sealed: Sealed,
    /// Whether the value is one that `client_certificate` of a connection can name: a certificate
    /// chain with its private key. Found out when it was set.
    pub is_client_certificate: bool,
    /// When it was set, milliseconds since the Unix epoch.
    pub updated_ms: u64,
}

/// Where an issuer's keys come from; keys of another place never count.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeySource {
    /// The issuer's URL.
    pub issuer: String,
    /// Its `jwks_uri`, if not by discovery.
    pub jwks_uri: Option<String>,
}

impl KeySource {
    /// Where the keys of this issuer come from.
    pub fn of(issuer: &Issuer) -> Self {
        Self { issuer: issuer.issuer.clone(), jwks_uri: issuer.jwks_uri.clone() }
    }
}

/// The last good keys of an issuer.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerKeys {
    /// Where they came from.
    pub source: KeySource,
    /// The keys.
    pub keys: Arc<KeySet>,
    /// When the set changed last, milliseconds since the Unix epoch.
    pub changed_ms: u64,
}

/// When an issuer's keys are fetched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fetch {
    /// Where they come from.
    pub source: KeySource,
    /// When the fetch that is under way began.
    pub in_flight_ms: Option<u64>,
    /// When the next one is due.
    pub next_ms: u64,
    /// When the last good one ended.
    pub fetched_ms: Option<u64>,
    /// When an unknown key id last caused one.
    pub unknown_ms: Option<u64>,
    /// Failures since the last good one.
    pub failures: u32,
    /// What went wrong last.
    pub problem: Option<String>,
}

impl Fetch {
    /// Never fetched, and due at once.
    pub(crate) fn due(source: KeySource) -> Self {
        Self {
            source,
            in_flight_ms: None,
            next_ms: 0,
            fetched_ms: None,
            unknown_ms: None,
            failures: 0,
            problem: None,
        }
    }
}

/// A join file that may still be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JoinToken {
    /// After this it is refused, milliseconds since the Unix epoch.
    pub expires_ms: u64,
}

/// A data plane that joined.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// The name that it asked for.
    pub name: String,
    /// SHA-256 of the DER of its certificate, hex.
    pub certificate_sha256: String,
    /// When it joined, milliseconds since the Unix epoch.
    pub joined_ms: u64,
}

/// What a node last said.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What.
    pub status: Arc<NodeStatus>,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        self.at_ms == other.at_ms && Arc::ptr_eq(&self.status, &other.status)
    }
}

/// The end of the chain of acts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ActHead {
    /// Sequence of the last act; 0 before the first.
    pub sequence: u64,
    /// Its hash, hex; empty before the first.
    pub hash: String,
}

/// A signed snapshot as nodes get it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedSnapshot {
    /// Where it stands.
    pub position: Position,
    /// When it was signed, milliseconds since the Unix epoch.
    pub issued_ms: u64,
    /// After this it is not to be loaded, milliseconds since the Unix epoch.
    pub expires_ms: u64,
    /// SHA-256 of its payload, hex: the next one's `previous`.
    pub sha256: String,
    /// Id of the key that signed it.
    pub signer: String,
    /// The signed bytes.
    pub bytes: Arc<[u8]>,
}

impl State {
    /// The state as a store gave it back, with nothing known yet of fetches and nodes.
    pub fn new(durable: Durable, tuning: Tuning) -> Self {
        let mut state = Self {
            compiled: Compiled::new(&durable),
            index: Index::new(&durable),
            durable,
            tuning,
            fetches: Arc::default(),
            statuses: Arc::default(),
            snapshot_keys: Arc::default(),
            token_issuer: None,
            sessions: OrdMap::new(),
            live: LiveLog::default(),
            rates: Rates::default(),
            sweep: Sweep::all(),
            ticked_ms: 0,
        };
        crate::keys::reconcile(&mut state);
        state
    }

    /// Issuers in force, by name.
    pub fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.durable.documents.values().filter_map(|stored| stored.document.as_issuer())
    }

    /// Connections in force, by name.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.durable.documents.values().filter_map(|stored| stored.document.as_connection())
    }

    /// Rules in force, by name.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.durable.documents.values().filter_map(|stored| stored.document.as_rule())
    }

    /// Roles in force, by name.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.durable.documents.values().filter_map(|stored| stored.document.as_role())
    }

    /// Masks in force, by name.
    pub fn masks(&self) -> impl Iterator<Item = &Mask> {
        self.durable.documents.values().filter_map(|stored| stored.document.as_mask())
    }

    /// Names of connections in force that need a secret.
    pub fn connections_with_secret<'a>(
        &'a self,
        secret: &'a str,
    ) -> impl Iterator<Item = &'a str> + 'a {
        self.connections()
            .filter(move |connection| connection.secrets().any(|needed| needed == secret))
            .map(|c| c.name.as_str())
    }

    /// The last good keys of an issuer, if they came from where its document says.
    pub fn keys_of(&self, issuer: &Issuer) -> Arc<KeySet> {
        self.durable
            .keys
            .get(&issuer.name)
            .filter(|held| held.source == KeySource::of(issuer))
            .map(|held| held.keys.clone())
            .unwrap_or_default()
    }
}
