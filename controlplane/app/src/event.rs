//! What happens to the control plane, and what follows from it.

use std::fmt;
use std::sync::Arc;

use penstock_config::certificates::PemError;
use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::{Document, Source};
use penstock_config::hold::{End, HoldAnswer, HoldRequest, OpenSessions};
use penstock_config::identity::Identity;
use penstock_config::node::{NodeStatus, Position, SnapshotKey};
use penstock_config::snapshot::Snapshot;
use serde::{Deserialize, Serialize};

use crate::acts::Act;
use crate::approvals::{AccessRequest, Approval, Channel, ShownState, Vote};
use crate::grants::{Grant, Use};
use crate::mask_cuts::MaskMark;
use crate::notify::Notification;
pub use crate::refusal::Refusal;
use crate::revocations::{Revocation, RevocationKey};
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
    /// End running exchanges that began under other masks than their connections have now.
    pub cut_open: bool,
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

/// How a grant is ended by somebody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GrantEnd {
    /// Somebody takes it away.
    Revoke,
    /// Its owner gives it back.
    GiveBack,
}

/// Which token is revoked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TokenRef {
    /// SHA-256 of the token, hex.
    Sha256(String),
    /// Its `jti`.
    Id {
        /// Name of the issuer document.
        issuer: String,
        /// The `jti`.
        id: String,
    },
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
    /// The cluster's mask key was made: some documents need it.
    MaskKeyMade {
        /// 32 random bytes in base64, sealed for the next generation.
        sealed: Sealed,
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
    /// A node has a request that needs approval.
    Hold {
        /// Its id.
        node: String,
        /// The request.
        request: Box<HoldRequest>,
        /// 20 random lower-case letters and digits: ids of what may become of it end with them.
        fresh: String,
    },
    /// Exchanges on a node are over.
    Ends {
        /// Its id.
        node: String,
        /// At most [`penstock_config::hold::ENDS_MAX`].
        ends: Vec<End>,
    },
    /// A node said what is open on it.
    OpenSessions {
        /// Its id.
        node: String,
        /// What it said.
        sessions: OpenSessions,
    },
    /// Somebody answers an approval.
    Vote {
        /// Who.
        by: Requester,
        /// Id of the approval.
        approval: String,
        /// What they say.
        vote: Vote,
        /// How it came.
        channel: Channel,
    },
    /// Somebody withdraws what they asked for.
    Withdraw {
        /// Who.
        by: Requester,
        /// Id of the approval.
        approval: String,
    },
    /// Somebody justifies that they went ahead at once.
    Justify {
        /// Who.
        by: Requester,
        /// Id of the approval.
        approval: String,
        /// In their words.
        text: String,
    },
    /// A reviewer closes the review of somebody who went ahead at once.
    CloseReview {
        /// Who.
        by: Requester,
        /// Id of the approval.
        approval: String,
    },
    /// Somebody asks for access ahead of time.
    RequestAccess {
        /// Who, and for whom.
        by: Requester,
        /// To what.
        access: AccessRequest,
        /// As in [`Event::Hold`].
        fresh: String,
    },
    /// Somebody ends a grant.
    EndGrant {
        /// Who.
        by: Requester,
        /// Its id.
        grant: String,
        /// How.
        how: GrantEnd,
        /// Why.
        reason: Option<String>,
    },
    /// Somebody revokes an identity: its tokens of until now, its grants, what it asks for.
    RevokeIdentity {
        /// Who.
        by: Requester,
        /// Name of the issuer document.
        issuer: String,
        /// The token's subject.
        subject: String,
        /// Why.
        reason: Option<String>,
    },
    /// Somebody revokes one token.
    RevokeToken {
        /// Who.
        by: Requester,
        /// Which.
        token: TokenRef,
        /// Why.
        reason: Option<String>,
    },
    /// Somebody kills a session.
    KillSession {
        /// Who.
        by: Requester,
        /// Its id.
        session: String,
        /// Why.
        reason: Option<String>,
    },
    /// Workloads' tokens.
    Exchange(Box<crate::exchange::ExchangeEvent>),
    /// Somebody has a message sent again that was given up.
    RetryNotification {
        /// Who.
        by: Requester,
        /// Its id.
        id: String,
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
    /// The masks of a connection changed, or it is gone, or its exchanges under earlier ones are
    /// cut.
    MaskMarkSet(String, MaskMark),
    /// A connection was gone for so long that its mark is forgotten.
    MaskMarkDeleted(String),
    /// An approval is new, or changed.
    ApprovalSet(Arc<Approval>),
    /// An approval is not kept any more.
    ApprovalDeleted(String),
    /// A grant is new, or changed.
    GrantSet(Arc<Grant>),
    /// A grant is not kept any more.
    GrantDeleted(String),
    /// A use was taken, or a session is over.
    UseSet(Arc<Use>),
    /// A session is not remembered any more.
    UseDeleted(String),
    /// Something was revoked.
    Revoked(RevocationKey, Arc<Revocation>),
    /// A revocation is not needed any more.
    RevocationDeleted(RevocationKey),
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
    /// Tell channels. What is lost of these is not told twice.
    Notify(Box<Notification>),
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
    /// What is true of a held request now.
    Hold(HoldAnswer),
    /// Done; the id of the approval.
    Approval(String),
    /// The vote is stored and changes nothing: the approval is over.
    ApprovalEnded(ShownState),
    /// Done; the id of the grant.
    Grant(String),
    /// What a workload's new token says.
    Exchanged(Box<crate::exchange::Exchanged>),
}

/// What became of applied documents.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplyReport {
    /// The version in force afterwards; in a dry run the one in force now.
    pub version: u64,
    /// The revision of its newest snapshot.
    pub revision: u64,
    /// Each document of the sources, and each one that was pruned.
    pub changed: Vec<(DocumentKey, ChangeKind)>,
    /// In force, not in the sources, and not pruned.
    pub absent: Vec<DocumentKey>,
    /// What is worth a look.
    pub warnings: Vec<Diagnostic>,
    /// Names of connections whose masks are others than before.
    pub masks_changed: Vec<String>,
    /// Names of connections whose exchanges end that began under earlier masks: these changes', and
    /// those of versions before that left them open.
    pub cut: Vec<String>,
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
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
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
