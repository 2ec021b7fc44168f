//! Who calls: a verified token, or the call ends here.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use penstock_app::{Action, Requester, State, authorise};

use crate::backend::Api;
use crate::problem::Problem;

/// Longest token, in bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Somebody with a valid token; what they may do is still to be asked.
pub(crate) struct Caller(pub(crate) Requester);

impl Caller {
    /// Whether a role of the caller allows this.
    pub(crate) fn may(&self, state: &State, action: Action) -> Result<(), Problem> {
        authorise(state, &self.0, action).map_err(Problem::from)
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let mut fields = parts.headers.get_all(AUTHORIZATION).iter();
        let field = fields.next().ok_or_else(Problem::unauthenticated)?;
        if fields.next().is_some() {
            return Err(Problem::bad_request("two authorization headers"));
        }
        let token = bearer(field.as_bytes()).ok_or_else(Problem::unauthenticated)?;
        let identity = api.identify(token).ok_or_else(Problem::unauthenticated)?;
        Ok(Self(Requester::Identity(Box::new(identity))))
    }
}

/// The token behind `Bearer`, whose case does not count (RFC 9110 section 11.1), and one space.
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = field.split_at_checked(7)?;
    let fits = scheme.eq_ignore_ascii_case(b"bearer ") && token.len() <= TOKEN_BYTES_MAX;
    fits.then_some(token)
}
