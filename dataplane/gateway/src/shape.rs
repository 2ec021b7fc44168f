//! The shapes in which callers' SDKs understand an error.

use penstock_config::documents::Protocol;
use penstock_http::stream::StreamKind;
use serde_json::{Value, json};

use crate::masking::Unmaskable;
use crate::reason::{Denial, Notice, Reason};
use crate::session::Session;

/// Whose shape.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// `{"type": "error", "error": {...}}`.
    Anthropic,
    /// `{"error": "text"}`.
    Ollama,
    /// `{"error": {...}}`.
    OpenAi,
    /// OpenAI's `error` event of a response stream.
    OpenAiResponses,
}

impl Shape {
    /// The shape for an exchange: by what its path speaks. Ollama's own API stands outside `/v1`,
    /// below `/api`: that must do where the connection is not known yet, or not to the caller.
    pub(crate) fn of(session: &Session) -> Self {
        let in_ollamas_api = match session.protocol {
            Some(protocol) => protocol == Protocol::Ollama && !session.path.starts_with("/v1/"),
            None => session.path.starts_with("/api/"),
        };
        if session.path.ends_with("/v1/messages") {
            Self::Anthropic
        } else if session.path.ends_with("/responses") {
            Self::OpenAiResponses
        } else if in_ollamas_api {
            Self::Ollama
        } else {
            Self::OpenAi
        }
    }

    /// The body of an error answer.
    pub(crate) fn body(self, reason: &Reason, session: &Session) -> Vec<u8> {
        let message = message(reason, session);
        let extension = extension(reason, session);
        let kind = error_type(reason.status());
        let value = match self {
            Self::Anthropic => json!({
                "type": "error",
                "error": {"type": kind, "message": message, "code": reason.code(),
                          "penstock": extension},
            }),
            Self::Ollama => {
                json!({"error": message, "code": reason.code(), "penstock": extension})
            }
            Self::OpenAi | Self::OpenAiResponses => json!({
                "error": {"message": message, "type": kind, "code": reason.code(),
                          "param": Value::Null, "penstock": extension},
            }),
        };
        value.to_string().into_bytes()
    }

    /// An error event of a stream that is cut. `within`: part of another event was sent, so that
    /// one is ended first.
    pub(crate) fn event(
        self,
        kind: StreamKind,
        within: bool,
        reason: &Reason,
        session: &Session,
    ) -> Vec<u8> {
        let mut event = Vec::new();
        match kind {
            StreamKind::Ndjson => {
                if within {
                    event.push(b'\n');
                }
                let shape = if self == Self::OpenAi { Self::OpenAi } else { Self::Ollama };
                event.extend_from_slice(&shape.body(reason, session));
                event.push(b'\n');
            }
            StreamKind::Sse => {
                if within {
                    event.extend_from_slice(b"\n\n");
                }
                if matches!(self, Self::Anthropic | Self::OpenAiResponses) {
                    event.extend_from_slice(b"event: error\n");
                }
                event.extend_from_slice(b"data: ");
                event.extend_from_slice(&self.event_data(reason, session));
                event.extend_from_slice(b"\n\n");
            }
        }
        event
    }

    fn event_data(self, reason: &Reason, session: &Session) -> Vec<u8> {
        match self {
            Self::OpenAiResponses => json!({
                "type": "error", "code": reason.code(), "message": message(reason, session),
                "param": Value::Null, "penstock": extension(reason, session),
            })
            .to_string()
            .into_bytes(),
            Self::Anthropic | Self::Ollama | Self::OpenAi => self.body(reason, session),
        }
    }
}

fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

fn extension(reason: &Reason, session: &Session) -> Value {
    let (rule, operation) = match reason {
        Reason::Denied(denial) | Reason::PolicyChanged(denial) => {
            (denial.rule.as_deref(), Some(denial.operation))
        }
        Reason::ApprovalDenied(notice)
        | Reason::ApprovalExpired(notice)
        | Reason::ApprovalPending(notice)
        | Reason::ApprovalSpent(notice)
        | Reason::Unexplained(notice) => return approval(notice, session),
        Reason::Served
        | Reason::Ambiguous(_)
        | Reason::ApprovalUnavailable
        | Reason::BadRequest(_)
        | Reason::ClientGone
        | Reason::ClientStalled
        | Reason::ConnectionChanged
        | Reason::CredentialUnavailable
        | Reason::DigestRequired
        | Reason::Draining
        | Reason::Expectation
        | Reason::GrantEnded
        | Reason::HeadTooLarge(_)
        | Reason::Internal
        | Reason::MaskChanged
        | Reason::Method
        | Reason::NoConnection
        | Reason::NotImplemented
        | Reason::Overloaded(_)
        | Reason::PolicyStale
        | Reason::RateLimited
        | Reason::Revoked
        | Reason::SessionKilled
        | Reason::StreamTooLong
        | Reason::TargetTooLong
        | Reason::Timeout(_)
        | Reason::TokenEnded
        | Reason::TooLarge(_)
        | Reason::Unauthenticated(_)
        | Reason::Unmaskable(_)
        | Reason::UnmaskableRequest(_)
        | Reason::UnsupportedEncoding
        | Reason::UpstreamAnswer(_)
        | Reason::UpstreamConnectTimeout(_)
        | Reason::UpstreamUnreachable
        | Reason::UpstreamProtocol
        | Reason::UpstreamRedirect
        | Reason::UpstreamReset
        | Reason::UpstreamTimeout(_)
        | Reason::UpstreamTls(_)
        | Reason::UpstreamUnauthorized
        | Reason::Version => (None, session.classified.as_ref().map(|_| session.operation())),
    };
    json!({"session": session.id.as_str(), "rule": rule, "operation": operation})
}

/// The same of an answer that is about an approval.
fn approval(notice: &Notice, session: &Session) -> Value {
    let mut value = json!({
        "session": session.id.as_str(),
        "rule": notice.rule.as_deref().or(session.rule.as_deref()),
        "operation": session.operation(),
    });
    for (name, text) in [("approval", &notice.approval), ("url", &notice.url)] {
        if let Some(text) = text {
            value[name] = Value::from(text.as_str());
        }
    }
    value
}

const DIGEST_REQUIRED: &str = "a body of this size needs approval before it is read: declare its \
                               digest (`Content-Digest: sha-256=:…:`) and its length";

/// What callers are told where an analyser is away.
const UNANSWERED: &str = "the analyser that names are looked for with did not answer";

/// What the caller is told. Never a byte of the request, a token's fault, or an address behind us.
fn message(reason: &Reason, session: &Session) -> String {
    let connection = session.connection.as_deref().unwrap_or("this connection");
    let server = |does: &str| format!("the model server of {connection} {does}");
    match reason {
        Reason::Served => String::new(),
        Reason::Ambiguous(what) => format!("the request has two readings: {what}"),
        Reason::ApprovalDenied(notice)
        | Reason::ApprovalExpired(notice)
        | Reason::ApprovalPending(notice)
        | Reason::ApprovalSpent(notice)
        | Reason::Unexplained(notice) => notice.message.clone(),
        Reason::ApprovalUnavailable => "approvals can't be had on this node now".to_owned(),
        Reason::BadRequest(what) => format!("the request was not understood: {what}"),
        Reason::ClientGone => "the caller left".to_owned(),
        Reason::ClientStalled => "the caller did not read for too long".to_owned(),
        Reason::CredentialUnavailable => {
            format!("the credential of {connection} is not available on this node")
        }
        Reason::Denied(denial) | Reason::PolicyChanged(denial) => {
            denied(denial, session, connection)
        }
        Reason::DigestRequired => DIGEST_REQUIRED.to_owned(),
        Reason::Draining => "this node is about to stop".to_owned(),
        Reason::Expectation => "only `Expect: 100-continue` is understood".to_owned(),
        Reason::GrantEnded => "the grant of this exchange has ended".to_owned(),
        Reason::HeadTooLarge(_) => "the head of the request is too large".to_owned(),
        Reason::Internal => "the gateway failed".to_owned(),
        Reason::MaskChanged => format!("what is masked on {connection} was changed: ask again"),
        Reason::Method => "this path does not take this method".to_owned(),
        Reason::NoConnection => "no such connection".to_owned(),
        Reason::NotImplemented => "this method or coding is not spoken here".to_owned(),
        Reason::Overloaded(_) => "this node is overloaded".to_owned(),
        Reason::ConnectionChanged => format!("{connection} was changed, and nothing was sent"),
        Reason::PolicyStale => "this node has no confirmed policy".to_owned(),
        Reason::RateLimited => "too many tokens of this address were not valid".to_owned(),
        Reason::Revoked => "this access was revoked".to_owned(),
        Reason::SessionKilled => "this session was ended by an operator".to_owned(),
        Reason::StreamTooLong => format!("the exchange took longer than {connection} allows"),
        Reason::TargetTooLong => "the target of the request is too long".to_owned(),
        Reason::Timeout(_) => "the request did not come in time".to_owned(),
        Reason::TokenEnded => "the token has ended".to_owned(),
        Reason::TooLarge(_) => "the body of the request is too large".to_owned(),
        Reason::Unauthenticated("none") => {
            "a token is needed: `Authorization: Bearer …` or `x-api-key`".to_owned()
        }
        Reason::Unauthenticated(_) => "the token is not valid".to_owned(),
        Reason::Unmaskable(Unmaskable::Analyzer) => UNANSWERED.to_owned(),
        Reason::Unmaskable(_) => server("gave an answer that can't be masked"),
        Reason::UnmaskableRequest(what) => {
            format!("answers of {connection} are masked, and this can't be: {what}")
        }
        Reason::UnsupportedEncoding => {
            "the body must be plain JSON: `Content-Type: application/json`, no coding".to_owned()
        }
        Reason::UpstreamAnswer(status) => server(&format!("answered with status {status}")),
        Reason::UpstreamConnectTimeout(_) => server("did not take a connection in time"),
        Reason::UpstreamUnreachable => server("can't be reached"),
        Reason::UpstreamProtocol => server("gave an answer that is not valid"),
        Reason::UpstreamRedirect => server("redirects to another place"),
        Reason::UpstreamReset => server("closed the connection early"),
        Reason::UpstreamTimeout(_) => server("was silent for too long"),
        Reason::UpstreamTls(failure) => no_tls(failure.is_some(), connection),
        Reason::UpstreamUnauthorized => server("refused the gateway's credential"),
        Reason::Version => "only HTTP/1.1 and HTTP/1.0 are spoken here".to_owned(),
    }
}

/// What a caller is told where there is no TLS to a model server: whether it was tried.
fn no_tls(was_tried: bool, connection: &str) -> String {
    if was_tried {
        format!("no TLS that holds can be had with the model server of {connection}")
    } else {
        format!("TLS with the model server of {connection} can't be set up on this node")
    }
}

fn denied(denial: &Denial, session: &Session, connection: &str) -> String {
    let user = session.identity.as_ref().map_or("the caller", |identity| identity.user.as_str());
    let operation = denial.operation;
    match &denial.rule {
        Some(rule) if denial.wants_approval => {
            format!("rule {rule} wants an approval for {user} to {operation} on {connection}")
        }
        Some(rule) => format!("rule {rule} denies {user} to {operation} on {connection}"),
        None if denial.by_intent => {
            format!("the token's own intent does not cover {operation} on {connection}")
        }
        None => format!("no rule allows {user} to {operation} on {connection}"),
    }
}
