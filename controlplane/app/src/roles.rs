//! Who may do what in the control plane: a table, and the subjects of role documents.
//!
//! | action | admin | operator | auditor | approver | user |
//! |---|---|---|---|---|---|
//! | read documents and versions | yes | yes | yes | yes | |
//! | write connections and rules, roll back | yes | yes | | | |
//! | write issuers and roles | yes | | | | |
//! | list secrets' names | yes | yes | yes | | |
//! | set and delete secrets | yes | yes | | | |
//! | explain a decision about oneself | yes | yes | yes | yes | yes |
//! | explain a decision about anybody | yes | yes | yes | yes | |
//! | read nodes | yes | yes | yes | yes | |
//! | issue join files | yes | | | | |
//! | remove nodes | yes | | | | |
//! | read acts | yes | | yes | | |
//! | see all approvals and grants | yes | yes | yes | yes | |
//! | see all sessions | yes | yes | yes | yes | |
//! | revoke grants | yes | yes | | | |
//! | revoke identities and tokens | yes | | | | |
//! | kill sessions | yes | yes | | | |
//! | read what channels were told | yes | yes | yes | | |
//! | tell channels again | yes | yes | | | |
//!
//! No role answers approvals: who may is what a rule's reviewers say, and nobody answers their own.
//! Nor does one ask for access: rules say who may. Without any role everybody sees what they asked
//! for, what they were given, what they may answer and their own sessions, may give their grants
//! back, and may revoke grants of rules that they review.
//!
//! Issuers and roles say who is trusted and who governs: an operator who could write them could
//! make themselves an administrator. Nobody reads a secret's value over the API, and a join file,
//! which makes a node that gets secrets, is an administrator's. But who may write connections can
//! point one at a server of their own, which is then sent the credential that the connection names:
//! operators are trusted with the credentials of model servers.

use std::fmt;

use penstock_config::decision::subject_matches;
use penstock_config::documents::RoleName;
use penstock_config::identity::Identity;

use crate::event::{Refusal, Requester};
use crate::state::State;

/// What somebody may want to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Read documents and versions.
    ReadDocuments,
    /// Write connections and rules.
    WriteDocuments,
    /// Write issuers and roles.
    WriteTrust,
    /// See which secrets there are.
    ReadSecretNames,
    /// Set and delete secrets.
    WriteSecrets,
    /// Explain a decision about oneself.
    ExplainSelf,
    /// Explain a decision about anybody.
    ExplainOthers,
    /// Read nodes.
    ReadNodes,
    /// Issue join files.
    IssueJoinFiles,
    /// Remove nodes.
    RemoveNodes,
    /// Read acts.
    ReadActs,
    /// See all approvals and grants.
    ReadApprovals,
    /// See all sessions.
    ReadSessions,
    /// Revoke grants of others.
    RevokeGrants,
    /// Revoke identities and tokens.
    Revoke,
    /// Kill sessions.
    KillSessions,
    /// Read what channels were told.
    ReadNotifications,
    /// Tell channels again.
    RetryNotifications,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 18] = [
        Self::ReadDocuments,
        Self::WriteDocuments,
        Self::WriteTrust,
        Self::ReadSecretNames,
        Self::WriteSecrets,
        Self::ExplainSelf,
        Self::ExplainOthers,
        Self::ReadNodes,
        Self::IssueJoinFiles,
        Self::RemoveNodes,
        Self::ReadActs,
        Self::ReadApprovals,
        Self::ReadSessions,
        Self::RevokeGrants,
        Self::Revoke,
        Self::KillSessions,
        Self::ReadNotifications,
        Self::RetryNotifications,
    ];
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadDocuments => "read documents",
            Self::WriteDocuments => "write connections and rules",
            Self::WriteTrust => "write issuers and roles",
            Self::ReadSecretNames => "list secrets",
            Self::WriteSecrets => "set or delete secrets",
            Self::ExplainSelf => "explain a decision",
            Self::ExplainOthers => "explain a decision about somebody else",
            Self::ReadNodes => "read nodes",
            Self::IssueJoinFiles => "issue join files",
            Self::RemoveNodes => "remove nodes",
            Self::ReadActs => "read acts",
            Self::ReadApprovals => "see all approvals and grants",
            Self::ReadSessions => "see all sessions",
            Self::RevokeGrants => "revoke grants of others",
            Self::Revoke => "revoke identities and tokens",
            Self::KillSessions => "kill sessions",
            Self::ReadNotifications => "read what channels were told",
            Self::RetryNotifications => "tell channels again",
        })
    }
}

/// Whether a role allows an action: the table above.
pub fn allows(role: RoleName, action: Action) -> bool {
    use Action::{
        ExplainOthers, ExplainSelf, IssueJoinFiles, KillSessions, ReadActs, ReadApprovals,
        ReadDocuments, ReadNodes, ReadNotifications, ReadSecretNames, ReadSessions, RemoveNodes,
        RetryNotifications, Revoke, RevokeGrants, WriteDocuments, WriteSecrets, WriteTrust,
    };
    match role {
        RoleName::Admin => true,
        RoleName::Operator => match action {
            ReadDocuments | WriteDocuments | ReadSecretNames | WriteSecrets | ExplainSelf
            | ExplainOthers | ReadNodes | ReadApprovals | ReadSessions | RevokeGrants
            | KillSessions | ReadNotifications | RetryNotifications => true,
            WriteTrust | IssueJoinFiles | RemoveNodes | ReadActs | Revoke => false,
        },
        RoleName::Auditor => match action {
            ReadDocuments | ReadSecretNames | ExplainSelf | ExplainOthers | ReadNodes
            | ReadActs | ReadApprovals | ReadSessions | ReadNotifications => true,
            WriteDocuments | WriteTrust | WriteSecrets | IssueJoinFiles | RemoveNodes
            | RevokeGrants | Revoke | KillSessions | RetryNotifications => false,
        },
        RoleName::Approver => match action {
            ReadDocuments | ExplainSelf | ExplainOthers | ReadNodes | ReadApprovals
            | ReadSessions => true,
            WriteDocuments | WriteTrust | ReadSecretNames | WriteSecrets | IssueJoinFiles
            | RemoveNodes | ReadActs | RevokeGrants | Revoke | KillSessions | ReadNotifications
            | RetryNotifications => false,
        },
        RoleName::User => match action {
            ExplainSelf => true,
            ReadDocuments | WriteDocuments | WriteTrust | ReadSecretNames | WriteSecrets
            | ExplainOthers | ReadNodes | IssueJoinFiles | RemoveNodes | ReadActs
            | ReadApprovals | ReadSessions | RevokeGrants | Revoke | KillSessions
            | ReadNotifications | RetryNotifications => false,
        },
    }
}

/// The roles that documents in force give an identity. An issuer that is no longer in force
/// vouches for nobody.
pub fn roles_of(state: &State, identity: &Identity) -> Vec<RoleName> {
    if !state.issuers().any(|issuer| issuer.name == identity.issuer) {
        return Vec::new();
    }
    let matching = state
        .roles()
        .filter(|role| role.subjects.iter().any(|subject| subject_matches(subject, identity)));
    let mut roles: Vec<RoleName> = matching.map(|role| role.role).collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// Whether the requester may do this.
///
/// # Errors
/// [`Refusal::Forbidden`] where no role allows it.
pub fn authorise(state: &State, by: &Requester, action: Action) -> Result<(), Refusal> {
    let allowed = match by {
        Requester::System => true,
        Requester::Identity(identity) => {
            roles_of(state, identity).into_iter().any(|role| allows(role, action))
        }
    };
    if allowed { Ok(()) } else { Err(Refusal::Forbidden(action)) }
}
