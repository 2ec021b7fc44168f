//! What happens to the control plane, and what follows from it.

use std::fmt;

use penstock_config::certificates::PemError;
use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::{Document, Source};
use penstock_config::identity::Identity;
use penstock_config::node::{NodeStatus, Position, SnapshotKey};
use penstock_config::snapshot::Snapshot;
use serde::Serialize;

use crate::acts::Act;
use crate::roles::Action;
use crate::state::{
    DocumentKey, IssuerKeys, JoinToken, KeySet, KeySource, Node, Sealed, SignedSnapshot, State,
    StoredDocument, StoredSecret, Version,
};

/// Who asks for a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Requester {
    /// The control plane itself: the first-run file, development secrets, fetched keys.
    System,
    /// Somebody with a verified token.
    Identity(Box<Identity>),
}

/// Documents to put in force as one version.
#[derive(Clone, Debug)]
pub struct Apply {
    /// Who.
    pub by: Requester,
    /// The documents' text.
    pub sources: Vec<Source>,
    /// Remove what is in force and not in the sources.
    pub prune: bool,
    /// Say what would happen, and change nothing.
    pub dry_run: bool,
    /// Refuse unless this is the version in force.
    pub expect_version: Option<u64>,
}

/// A node that used its join file.
#[derive(Clone, Debug)]
pub struct Joined {
    /// SHA-256 of its token, hex.
    pub token_sha256: String,
    /// The id that it gets.
    pub node: String,
    /// The name that it asked for.
    pub name: String,
    /// SHA-256 of the DER of its certificate, hex.
    pub certificate_sha256: String,
}

/// One event.
#[derive(Clone, Debug)]
pub enum Event {
    /// The process started with these snapshot keys.
    Started {
        /// The key that snapshots are signed with, then the one that replaces it, if there is one.
        keys: Vec<SnapshotKey>,
    },
    /// The documents of the first-run file.
    FirstRun {
        /// All of them.
        documents: Vec<Document>,
    },
    /// Somebody applies documents.
    ApplyDocuments(Apply),
    /// Somebody deletes a document.
    DeleteDocument {
        /// Who.
        by: Requester,
        /// Which.
        key: DocumentKey,
    },
    /// Somebody puts the content of an old version in force.
    RollBack {
        /// Who.
        by: Requester,
        /// Which version.
        version: u64,
        /// Its content, from the store.
        documents: Vec<StoredDocument>,
    },
    /// Somebody sets a secret.
    SetSecret {
        /// Who.
        by: Requester,
        /// Its name.
        name: String,
        /// Its value, sealed for the next generation.
        sealed: Sealed,
        /// What the value lacks to be a client certificate.
        client_certificate: Result<(), PemError>,
    },
    /// Somebody deletes a secret.
    DeleteSecret {
        /// Who.
        by: Requester,
        /// Its name.
        name: String,
    },
    /// An issuer's keys arrived.
    KeysFetched {
        /// Name of the issuer document.
        issuer: String,
        /// Where they came from.
        source: KeySource,
        /// At least one key; each one passed every check.
        keys: KeySet,
    },
    /// An issuer's keys could not be fetched, or are no good.
    KeysFailed {
        /// Name of the issuer document.
        issuer: String,
        /// Where they should have come from.
        source: KeySource,
        /// What went wrong, without anything that the other side sent.
        problem: String,
        /// Random, spreads the next try over the second half of its wait: 0 to 1,000.
        jitter: u16,
    },
    /// A node met a key id that it has no key for.
    UnknownKey {
        /// Name of the issuer document.
        issuer: String,
        /// The key id.
        kid: String,
    },
    /// Somebody gets a join file.
    JoinFileIssued {
        /// Who.
        by: Requester,
        /// SHA-256 of its token, hex.
        token_sha256: String,
    },
    /// A node joined.
    NodeJoined(Joined),
    /// Somebody removes a node: it is a stranger from then on.
    RemoveNode {
        /// Who.
        by: Requester,
        /// Its id.
        node: String,
    },
    /// A node said how it is.
    NodeStatus {
        /// Its id.
        node: String,
        /// What it said.
        status: NodeStatus,
    },
    /// Time passed.
    Tick,
}

/// A row to write. All changes of one event go into one transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Where the newest snapshot stands, and the generation of the secrets.
    Position {
        /// The position.
        position: Position,
        /// The generation.
        credentials_generation: u64,
    },
    /// A new version of the documents; it is in force from now on.
    Version {
        /// Which, when, by whom.
        version: Version,
        /// The whole set.
        documents: Vec<StoredDocument>,
    },
    /// A secret was set.
    SecretSet(String, StoredSecret),
    /// A secret was deleted.
    SecretDeleted(String),
    /// An issuer has other keys.
    KeysSet(String, IssuerKeys),
    /// An issuer's keys count no more.
    KeysDeleted(String),
    /// A join file was issued; the SHA-256 of its token, hex.
    JoinTokenSet(String, JoinToken),
    /// A join file was used or has expired.
    JoinTokenDeleted(String),
    /// A node joined.
    NodeSet(String, Node),
    /// A node was removed.
    NodeDeleted(String),
    /// A snapshot was signed.
    Signed(SignedSnapshot),
    /// The act that all of this is.
    Act(Act),
}

/// What is to be done about an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write these rows in one transaction. Without it the outcome's state is nothing.
    Persist(Vec<Change>),
    /// Sign this, hand it to [`State::signed`], persist it with the rest, then publish it.
    Publish(Box<Snapshot>),
    /// Fetch an issuer's keys.
    FetchKeys {
        /// Name of the issuer document.
        issuer: String,
        /// Where from.
        source: KeySource,
    },
}

/// What follows from an event.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The next state.
    pub state: State,
    /// What is to be done.
    pub effects: Vec<Effect>,
    /// What the requester is told.
    pub answer: Answer,
}

/// What the requester is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done.
    Done,
    /// Documents were applied, or would be.
    Applied(ApplyReport),
    /// Done, and this version is in force.
    Version(u64),
}

/// What became of applied documents.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplyReport {
    /// The version in force afterwards; in a dry run the one in force now.
    pub version: u64,
    /// Each document of the sources, and each one that was pruned.
    pub changed: Vec<(DocumentKey, ChangeKind)>,
    /// In force, not in the sources, and not pruned.
    pub absent: Vec<DocumentKey>,
    /// What is worth a look.
    pub warnings: Vec<Diagnostic>,
    /// Nothing was changed.
    pub dry_run: bool,
}

/// What became of one document.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// It has other content.
    Updated,
    /// It is gone.
    Deleted,
    /// It stays as it was.
    Unchanged,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Unchanged => "unchanged",
        })
    }
}

/// Who did something, as acts and versions keep it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Actor {
    /// Name of the issuer document; empty for the control plane itself and for nodes.
    pub issuer: String,
    /// The token's subject, `control plane`, or a node's id.
    pub subject: String,
}

impl Actor {
    /// The control plane itself.
    pub fn system() -> Self {
        Self { issuer: String::new(), subject: "control plane".to_owned() }
    }
}

impl Requester {
    /// The requester as acts keep it.
    pub fn actor(&self) -> Actor {
        match self {
            Self::System => Actor::system(),
            Self::Identity(identity) => {
                Actor { issuer: identity.issuer.clone(), subject: identity.subject.clone() }
            }
        }
    }
}

/// Why an event changes nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The documents have problems; all of them.
    #[error("the documents have problems")]
    Invalid(Vec<Diagnostic>),
    /// No role of the requester allows it.
    #[error("no role of yours allows to {0}")]
    Forbidden(Action),
    /// Another version is in force than the requester expected.
    #[error("version {current} is in force, not {expected}")]
    VersionConflict {
        /// What the requester expected.
        expected: u64,
        /// What is in force.
        current: u64,
    },
    /// The requester would lose the role admin, or be vouched for in another way.
    #[error(
        "this would take the role admin away from you, or change the issuer that vouches for you: \
         let an administrator of another issuer do it"
    )]
    LockOut,
    /// The question does not say which issuer it is about.
    #[error("there is more than one issuer: name the one that is meant")]
    IssuerNeeded,
    /// Nodes take no snapshot of this size.
    #[error("the documents are too many for one snapshot, which has 64 MiB at most")]
    SnapshotTooLarge,
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A limit is reached.
    #[error("there are already {limit} {what}")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// Not a name: `[a-z0-9][a-z0-9-]{0,62}`.
    #[error("not a name: lower-case letters, digits and hyphens, at most 63")]
    Name,
    /// A connection in force shows the secret to its servers as the gateway's certificate.
    #[error(
        "connection {connection} shows this secret as its client certificate, and the value is \
         none: {error}"
    )]
    ClientCertificate {
        /// The connection.
        connection: String,
        /// What is wrong with the value.
        error: PemError,
    },
    /// A connection in force sends the secret to its servers in a header.
    #[error(
        "connection {connection} sends this secret in a header, and the value is a client \
         certificate with its private key: keep it under another name, for \
         `tls: {{client_certificate: {{secret: NAME}}}}`"
    )]
    SentInHeader {
        /// The connection.
        connection: String,
    },
    /// The secret was sealed for another generation: seal it again.
    #[error("the secret was sealed for another generation")]
    Generation,
    /// The join token is unknown, used or expired.
    #[error("the join token is unknown, used or expired")]
    JoinToken,
    /// The node's report is out of its bounds.
    #[error("the report is out of its bounds")]
    Bounds,
}
