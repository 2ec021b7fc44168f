//! Why an exchange ended as it did: one exhaustive enum that feeds the status, the body, the
//! metric's label and the access log.

use std::borrow::Cow;
use std::sync::Arc;

use penstock_tls::Failure;

use crate::limits::Limit;
use crate::masking::Unmaskable;

/// Every way in which an exchange can end. Nothing here carries a byte of the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    /// The answer was relayed to its end.
    Served,
    /// Two readings of one request are possible.
    Ambiguous(Cow<'static, str>),
    /// A reviewer said no, or the approval was withdrawn.
    ApprovalDenied(Box<Notice>),
    /// Nobody answered in time.
    ApprovalExpired(Box<Notice>),
    /// Nobody has decided while the request waited; the approval stays.
    ApprovalPending(Box<Notice>),
    /// Another copy of the request went through, or every use is spent.
    ApprovalSpent(Box<Notice>),
    /// Approvals can't be had, or not be trusted, now: the control plane is away, or the clocks
    /// differ.
    ApprovalUnavailable,
    /// Not understood.
    BadRequest(Cow<'static, str>),
    /// The caller went away before the end.
    ClientGone,
    /// The caller did not read for too long.
    ClientStalled,
    /// The connection's document or credential changed before anything was sent.
    ConnectionChanged,
    /// The model's credential is not on this node (yet).
    CredentialUnavailable,
    /// No rule allows it, or a rule denies it.
    Denied(Denial),
    /// A body beyond what a decision reads needs approval, and its digest was not declared.
    DigestRequired,
    /// The process is about to end.
    Draining,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// A grant that the exchange runs under has ended.
    GrantEnded,
    /// A limit on the head was reached.
    HeadTooLarge(Limit),
    /// A fault of our own: a panic in this exchange.
    Internal,
    /// The masks of its connection changed, and what began under other ones was to end.
    MaskChanged,
    /// The path is known, this method is not.
    Method,
    /// The connection does not exist, or must not be known to this identity.
    NoConnection,
    /// A method, coding or feature that is not spoken here.
    NotImplemented,
    /// A limit shared by all callers was reached.
    Overloaded(Limit),
    /// A policy that now denies it, or an identity that is no longer trusted, cut a running answer.
    PolicyChanged(Denial),
    /// The control plane has not confirmed the policy for too long.
    PolicyStale,
    /// Too many tokens of this address failed.
    RateLimited,
    /// The rule wants a reason, or a ticket of a certain form.
    Unexplained(Box<Notice>),
    /// The identity or the token was revoked while the exchange ran.
    Revoked,
    /// Somebody killed the session.
    SessionKilled,
    /// The exchange took longer than its connection allows.
    StreamTooLong,
    /// The target is too long.
    TargetTooLong,
    /// The caller was too slow with its head or body.
    Timeout(Limit),
    /// The caller's token has ended, and the rule says that the exchange ends with it.
    TokenEnded,
    /// The body is larger than its limit.
    TooLarge(Limit),
    /// No token, or one that does not hold; the label says why, to us only.
    Unauthenticated(&'static str),
    /// A mask applies, and the answer can't be masked.
    Unmaskable(Unmaskable),
    /// A mask applies, and this of the request asks for what can't be masked, or can't be masked
    /// itself.
    UnmaskableRequest(&'static str),
    /// A body that must be read but can't.
    UnsupportedEncoding,
    /// The model server gave this status, or no stream of events, after the caller had been told
    /// 200.
    UpstreamAnswer(u16),
    /// The model server could not be reached in time.
    UpstreamConnectTimeout(Limit),
    /// The model server can't be reached.
    UpstreamUnreachable,
    /// The model server answered nonsense.
    UpstreamProtocol,
    /// The model server sends its caller elsewhere.
    UpstreamRedirect,
    /// The model server closed or reset the connection.
    UpstreamReset,
    /// The model server was silent for too long.
    UpstreamTimeout(Limit),
    /// TLS with the model server can't be had: its certificate does not hold, or it refuses ours;
    /// none where TLS can't be set up on this node.
    UpstreamTls(Option<Failure>),
    /// The model server refused our credential.
    UpstreamUnauthorized,
    /// A version of HTTP that is not spoken here.
    Version,
}

/// What a denied caller is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Denial {
    /// The rule that denies; none where no rule allows.
    pub(crate) rule: Option<Arc<str>>,
    /// The operation that is not allowed.
    pub(crate) operation: &'static str,
    /// Whether the token's own intent is what does not cover it.
    pub(crate) by_intent: bool,
    /// Whether the rule does not deny, but wants an approval that is not there.
    pub(crate) wants_approval: bool,
}

/// What a caller is told of an approval.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Notice {
    /// Its id.
    pub(crate) approval: Option<String>,
    /// Where people look at it.
    pub(crate) url: Option<String>,
    /// The rule that decided.
    pub(crate) rule: Option<String>,
    /// What to do, in words.
    pub(crate) message: String,
}

impl Reason {
    /// Not understood, and what.
    pub(crate) fn bad(what: impl Into<Cow<'static, str>>) -> Self {
        Self::BadRequest(what.into())
    }

    /// The core's buffers are used up.
    pub(crate) const NO_BUFFERS: Self = Self::Overloaded(Limit::Buffers);

    /// The limit that was reached, where it was one.
    pub(crate) fn limit(&self) -> Option<Limit> {
        match self {
            Self::HeadTooLarge(limit)
            | Self::Overloaded(limit)
            | Self::Timeout(limit)
            | Self::TooLarge(limit)
            | Self::UpstreamConnectTimeout(limit)
            | Self::UpstreamTimeout(limit) => Some(*limit),
            Self::ClientStalled => Some(Limit::SendStall),
            Self::DigestRequired => Some(Limit::DecisionBytes),
            Self::StreamTooLong => Some(Limit::Stream),
            Self::TargetTooLong => Some(Limit::TargetBytes),
            Self::Unmaskable(Unmaskable::TooLong) => Some(Limit::MaskedBytes),
            Self::Served
            | Self::Ambiguous(_)
            | Self::ApprovalDenied(_)
            | Self::ApprovalExpired(_)
            | Self::ApprovalPending(_)
            | Self::ApprovalSpent(_)
            | Self::ApprovalUnavailable
            | Self::BadRequest(_)
            | Self::ClientGone
            | Self::ConnectionChanged
            | Self::CredentialUnavailable
            | Self::Denied(_)
            | Self::Draining
            | Self::Expectation
            | Self::GrantEnded
            | Self::Internal
            | Self::MaskChanged
            | Self::Method
            | Self::NoConnection
            | Self::NotImplemented
            | Self::PolicyChanged(_)
            | Self::PolicyStale
            | Self::RateLimited
            | Self::Unexplained(_)
            | Self::Revoked
            | Self::SessionKilled
            | Self::TokenEnded
            | Self::Unauthenticated(_)
            | Self::Unmaskable(_)
            | Self::UnmaskableRequest(_)
            | Self::UnsupportedEncoding
            | Self::UpstreamAnswer(_)
            | Self::UpstreamUnreachable
            | Self::UpstreamProtocol
            | Self::UpstreamRedirect
            | Self::UpstreamReset
            | Self::UpstreamTls(_)
            | Self::UpstreamUnauthorized
            | Self::Version => None,
        }
    }

    /// Two readings, and of what.
    pub(crate) fn ambiguous(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Ambiguous(what.into())
    }

    /// How many labels there are: the length of a counter table.
    pub(crate) const LABELS: [&'static str; 49] = [
        "served",
        "ambiguous_request",
        "bad_request",
        "client_gone",
        "client_stalled",
        "credential_unavailable",
        "denied",
        "draining",
        "expectation_failed",
        "head_too_large",
        "internal",
        "method",
        "no_connection",
        "not_implemented",
        "overloaded",
        "policy_changed",
        "policy_stale",
        "stream_too_long",
        "target_too_long",
        "timeout",
        "too_large",
        "unauthenticated",
        "unsupported_encoding",
        "upstream_connect_timeout",
        "upstream_unreachable",
        "upstream_protocol",
        "upstream_redirect",
        "upstream_reset",
        "upstream_timeout",
        "upstream_unauthorized",
        "version",
        "rate_limited",
        "upstream_tls",
        "connection_changed",
        "approval_denied",
        "approval_expired",
        "approval_pending",
        "approval_spent",
        "approval_unavailable",
        "digest_required",
        "grant_ended",
        "reason_required",
        "revoked",
        "session_killed",
        "token_ended",
        "upstream_answer",
        "unmaskable",
        "unmaskable_request",
        "mask_changed",
    ];

    /// Position of its label in [`Self::LABELS`].
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Served => 0,
            Self::Ambiguous(_) => 1,
            Self::BadRequest(_) => 2,
            Self::ClientGone => 3,
            Self::ClientStalled => 4,
            Self::CredentialUnavailable => 5,
            Self::Denied(_) => 6,
            Self::Draining => 7,
            Self::Expectation => 8,
            Self::HeadTooLarge(_) => 9,
            Self::Internal => 10,
            Self::Method => 11,
            Self::NoConnection => 12,
            Self::NotImplemented => 13,
            Self::Overloaded(_) => 14,
            Self::PolicyChanged(_) => 15,
            Self::PolicyStale => 16,
            Self::StreamTooLong => 17,
            Self::TargetTooLong => 18,
            Self::Timeout(_) => 19,
            Self::TooLarge(_) => 20,
            Self::Unauthenticated(_) => 21,
            Self::UnsupportedEncoding => 22,
            Self::UpstreamConnectTimeout(_) => 23,
            Self::UpstreamUnreachable => 24,
            Self::UpstreamProtocol => 25,
            Self::UpstreamRedirect => 26,
            Self::UpstreamReset => 27,
            Self::UpstreamTimeout(_) => 28,
            Self::UpstreamUnauthorized => 29,
            Self::Version => 30,
            Self::RateLimited => 31,
            Self::UpstreamTls(_) => 32,
            Self::ConnectionChanged => 33,
            Self::ApprovalDenied(_) => 34,
            Self::ApprovalExpired(_) => 35,
            Self::ApprovalPending(_) => 36,
            Self::ApprovalSpent(_) => 37,
            Self::ApprovalUnavailable => 38,
            Self::DigestRequired => 39,
            Self::GrantEnded => 40,
            Self::Unexplained(_) => 41,
            Self::Revoked => 42,
            Self::SessionKilled => 43,
            Self::TokenEnded => 44,
            Self::UpstreamAnswer(_) => 45,
            Self::Unmaskable(_) => 46,
            Self::UnmaskableRequest(_) => 47,
            Self::MaskChanged => 48,
        }
    }

    /// The word for metrics and the access log.
    pub(crate) fn label(&self) -> &'static str {
        Self::LABELS.get(self.index()).copied().unwrap_or("internal")
    }

    /// The status of the answer, if one can still be given.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Served => 200,
            Self::Ambiguous(_) | Self::BadRequest(_) | Self::UnmaskableRequest(_) => 400,
            Self::Revoked | Self::TokenEnded | Self::Unauthenticated(_) => 401,
            Self::ApprovalDenied(_)
            | Self::ApprovalExpired(_)
            | Self::ApprovalPending(_)
            | Self::ApprovalSpent(_)
            | Self::Denied(_)
            | Self::GrantEnded
            | Self::PolicyChanged(_)
            | Self::Unexplained(_)
            | Self::SessionKilled => 403,
            Self::NoConnection => 404,
            Self::Method => 405,
            Self::Timeout(_) | Self::ClientGone | Self::ClientStalled => 408,
            Self::DigestRequired | Self::TooLarge(_) => 413,
            Self::TargetTooLong => 414,
            Self::UnsupportedEncoding => 415,
            Self::Expectation => 417,
            Self::RateLimited => 429,
            Self::HeadTooLarge(_) => 431,
            Self::Internal => 500,
            Self::NotImplemented => 501,
            Self::Unmaskable(_)
            | Self::UpstreamAnswer(_)
            | Self::UpstreamUnreachable
            | Self::UpstreamProtocol
            | Self::UpstreamRedirect
            | Self::UpstreamReset
            | Self::UpstreamTls(_)
            | Self::UpstreamUnauthorized => 502,
            Self::ApprovalUnavailable
            | Self::ConnectionChanged
            | Self::CredentialUnavailable
            | Self::Draining
            | Self::MaskChanged
            | Self::Overloaded(_)
            | Self::PolicyStale => 503,
            Self::StreamTooLong | Self::UpstreamConnectTimeout(_) | Self::UpstreamTimeout(_) => 504,
            Self::Version => 505,
        }
    }

    /// The `code` that callers see.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::PolicyChanged(_) => "denied",
            Self::ApprovalExpired(_) => "approval_denied",
            Self::Revoked | Self::TokenEnded => "unauthenticated",
            Self::ConnectionChanged => "policy_stale",
            Self::DigestRequired | Self::HeadTooLarge(_) | Self::TargetTooLong => "too_large",
            Self::StreamTooLong | Self::ClientStalled => "timeout",
            Self::UnmaskableRequest(_) => "unmaskable",
            Self::UpstreamConnectTimeout(_) => "upstream_timeout",
            other => other.label(),
        }
    }

    /// Whether the caller's connection can't go on after this answer: what was not understood is
    /// not read any further.
    pub(crate) fn closes(&self) -> bool {
        match self {
            Self::Ambiguous(_)
            | Self::BadRequest(_)
            | Self::ClientGone
            | Self::ClientStalled
            | Self::DigestRequired
            | Self::Draining
            | Self::Expectation
            | Self::GrantEnded
            | Self::HeadTooLarge(_)
            | Self::Internal
            | Self::MaskChanged
            | Self::NotImplemented
            | Self::Overloaded(_)
            | Self::PolicyChanged(_)
            | Self::Revoked
            | Self::SessionKilled
            | Self::StreamTooLong
            | Self::TargetTooLong
            | Self::Timeout(_)
            | Self::TokenEnded
            | Self::TooLarge(_)
            | Self::Version => true,
            Self::Served
            | Self::ApprovalDenied(_)
            | Self::ApprovalExpired(_)
            | Self::ApprovalPending(_)
            | Self::ApprovalSpent(_)
            | Self::ApprovalUnavailable
            | Self::ConnectionChanged
            | Self::CredentialUnavailable
            | Self::Denied(_)
            | Self::Method
            | Self::NoConnection
            | Self::PolicyStale
            | Self::RateLimited
            | Self::Unexplained(_)
            | Self::Unauthenticated(_)
            | Self::Unmaskable(_)
            | Self::UnmaskableRequest(_)
            | Self::UnsupportedEncoding
            | Self::UpstreamAnswer(_)
            | Self::UpstreamConnectTimeout(_)
            | Self::UpstreamUnreachable
            | Self::UpstreamProtocol
            | Self::UpstreamRedirect
            | Self::UpstreamReset
            | Self::UpstreamTimeout(_)
            | Self::UpstreamTls(_)
            | Self::UpstreamUnauthorized => false,
        }
    }

    /// Seconds for `Retry-After`, where waiting helps: what a whole crowd is told is spread over
    /// 1 to 3 s, by any number.
    pub(crate) fn retry_after_seconds(&self, spread: usize) -> Option<usize> {
        match self.status() {
            429 => Some(1),
            503 => Some(1 + spread % 3),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_stands_once() {
        let mut labels = Reason::LABELS.to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Reason::LABELS.len());
    }

    #[test]
    fn a_crowd_that_is_refused_is_told_to_come_back_apart() {
        let mut seconds: Vec<_> =
            (0..9).filter_map(|spread| Reason::NO_BUFFERS.retry_after_seconds(spread)).collect();
        seconds.sort_unstable();
        assert_eq!(seconds, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
        assert_eq!(Reason::Method.retry_after_seconds(1), None);
    }

    #[test]
    fn a_refused_request_closes_and_a_denied_one_does_not() {
        assert!(Reason::bad("x").closes());
        assert!(!Reason::NoConnection.closes());
        assert_eq!(Reason::NoConnection.status(), 404);
        assert_eq!(Reason::HeadTooLarge(Limit::HeadBytes).code(), "too_large");
    }
}
