//! Errors as callers see them: RFC 9457, with a code and, for documents, every problem. A total
//! mapping from refusals.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use penstock_app::Refusal;
use penstock_app::approvals::ShownState;
use penstock_config::diagnostics::Diagnostic;
use serde::Serialize;
use utoipa::ToSchema;

use crate::backend::Failure;

/// One problem or warning in a document, at its place.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Place {
    /// Name of the source.
    pub file: String,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<Diagnostic> for Place {
    fn from(diagnostic: Diagnostic) -> Self {
        let Diagnostic { file, line, column, message, hint } = diagnostic;
        Self { file, line, column, message, hint }
    }
}

/// The body of every error: `application/problem+json`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The status.
    pub status: u16,
    /// What happened, for people.
    pub detail: String,
    /// What happened, for programs.
    pub code: &'static str,
    /// Every problem of the documents, where they are the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub problems: Vec<Place>,
}

impl Problem {
    /// A problem without places.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            problems: Vec::new(),
        }
    }

    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    /// 405.
    pub fn method() -> Self {
        let detail = "this address does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail)
    }

    /// 400.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 409: the approval, the review or the grant is over.
    pub fn approval_ended(state: ShownState) -> Self {
        Self::new(StatusCode::CONFLICT, "approval_ended", format!("it is {state} already"))
    }

    /// 401; the answer never says what is wrong with a token.
    pub fn unauthenticated() -> Self {
        let detail = "a valid token for audience penstock-api is needed";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Unavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the store is not available, nothing was changed",
            ),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let (status, code) = match &refusal {
            Refusal::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_documents"),
            Refusal::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Refusal::VersionConflict { .. } => (StatusCode::CONFLICT, "version_conflict"),
            Refusal::LockOut => (StatusCode::CONFLICT, "lock_out"),
            Refusal::IssuerNeeded => (StatusCode::BAD_REQUEST, "issuer_needed"),
            Refusal::SnapshotTooLarge => (StatusCode::UNPROCESSABLE_ENTITY, "snapshot_too_large"),
            Refusal::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Refusal::Full { .. } => (StatusCode::CONFLICT, "full"),
            Refusal::Name => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_name"),
            Refusal::ClientCertificate { .. } | Refusal::SentInHeader { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_secret")
            }
            Refusal::Generation => (StatusCode::CONFLICT, "generation"),
            Refusal::JoinToken => (StatusCode::FORBIDDEN, "join_token"),
            Refusal::Exchange(_) => (StatusCode::FORBIDDEN, "exchange"),
            Refusal::Bounds => (StatusCode::UNPROCESSABLE_ENTITY, "out_of_bounds"),
            Refusal::OwnRequest => (StatusCode::FORBIDDEN, "own_request"),
            Refusal::NotAReviewer => (StatusCode::FORBIDDEN, "not_a_reviewer"),
            Refusal::IdentityRevoked => (StatusCode::FORBIDDEN, "identity_revoked"),
            Refusal::AlreadyVoted => (StatusCode::CONFLICT, "already_answered"),
            Refusal::Ended(_) => (StatusCode::CONFLICT, "approval_ended"),
            Refusal::TooWide { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "too_wide"),
            Refusal::ReasonRequired { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "reason_required"),
            Refusal::TicketRequired { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "ticket_required"),
            Refusal::Denied { .. } => (StatusCode::FORBIDDEN, "denied"),
            Refusal::NotNeeded => (StatusCode::CONFLICT, "not_needed"),
            Refusal::NotJustified => (StatusCode::CONFLICT, "not_justified"),
            Refusal::NoReview => (StatusCode::CONFLICT, "no_review"),
            Refusal::NotYours => (StatusCode::FORBIDDEN, "not_yours"),
        };
        let mut problem = Self::new(status, code, detail);
        if let Refusal::Invalid(problems) = refusal {
            problem.problems = problems.into_iter().map(Place::from).collect();
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
