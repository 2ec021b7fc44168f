//! Why an event changes nothing: the words that its requester reads.

use penstock_config::certificates::PemError;
use penstock_config::diagnostics::Diagnostic;

use crate::approvals::ShownState;
use crate::roles::Action;

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
    /// A workload gets no token.
    #[error(transparent)]
    Exchange(#[from] crate::exchange::ExchangeRefusal),
    /// The join token is unknown, used or expired.
    #[error("the join token is unknown, used or expired")]
    JoinToken,
    /// The node's report, or a text, is out of its bounds.
    #[error("a value is out of its bounds")]
    Bounds,
    /// Nobody answers what they asked for themselves, under whichever of their identities.
    #[error("this is your own request: somebody else must answer it")]
    OwnRequest,
    /// The rules do not name the requester among those who may answer.
    #[error("the rule does not name you among its reviewers")]
    NotAReviewer,
    /// A system answers by a signature, which is older than no revocation.
    #[error("the identity that this webhook answers as was revoked: give its document another one")]
    IdentityRevoked,
    /// Somebody answers a second time, under whichever of their identities.
    #[error("you have answered already: an answer is not changed")]
    AlreadyVoted,
    /// The approval, the review or the grant is over.
    #[error("it is {0} already")]
    Ended(ShownState),
    /// More than the rules give, or than was asked for.
    #[error("at most {limit} {what} can be given")]
    TooWide {
        /// Of what: `minutes`, `uses`, or `of the operations that were asked for`.
        what: &'static str,
        /// How many.
        limit: u64,
    },
    /// A rule wants a reason.
    #[error("rule {rule} wants a reason")]
    ReasonRequired {
        /// The rule.
        rule: String,
    },
    /// A rule wants a ticket of a certain form.
    #[error("rule {rule} wants a ticket that matches `{pattern}`")]
    TicketRequired {
        /// The rule.
        rule: String,
        /// The regular expression.
        pattern: String,
    },
    /// Rules deny what is asked for.
    #[error("{}", denied_text(.rule.as_deref()))]
    Denied {
        /// The rule that denies; none where no rule allows.
        rule: Option<String>,
    },
    /// No rule wants approval for what is asked for.
    #[error("no approval is needed for this")]
    NotNeeded,
    /// A review is closed only once it was justified, or the time for that is over.
    #[error("it is not justified yet")]
    NotJustified,
    /// Nobody went ahead at once.
    #[error("nobody broke the glass here")]
    NoReview,
    /// Only whoever asked, under whichever of their identities, may do this.
    #[error("only whoever asked for it may do this")]
    NotYours,
}

fn denied_text(rule: Option<&str>) -> String {
    rule.map_or_else(|| "no rule allows this".to_owned(), |rule| format!("rule {rule} denies this"))
}
