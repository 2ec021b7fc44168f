//! Access that is asked for ahead of time: an approval without a request, a grant that begins with
//! its first use.

use axum::Json;
use axum::extract::State;
use penstock_app::Event;
use penstock_app::approvals::AccessRequest;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::approvals::{ApprovalView, answered};
use crate::backend::Api;
use crate::body::Body;
use crate::caller::Caller;
use crate::problem::Problem;

/// Access for the caller.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessRequestBody {
    /// Name of the connection.
    connection: String,
    /// Names or globs of operations; a glob reaches no operation of critical risk, nor `unknown`.
    operations: Vec<String>,
    /// Names or globs of models; everything where it is absent.
    #[serde(default)]
    models: Option<Vec<String>>,
    /// Minutes from the first use.
    minutes: u64,
    /// Uses; as many as the rules give where it is absent.
    #[serde(default)]
    uses: Option<u64>,
    /// Why, at most 1,024 bytes.
    #[serde(default)]
    reason: Option<String>,
    /// A ticket, at most 1,024 bytes.
    #[serde(default)]
    ticket: Option<String>,
    /// Id of a grant of the caller's on the same connection that this extends.
    #[serde(default)]
    extends: Option<String>,
}

/// Asks for access ahead of time.
#[utoipa::path(post, path = "/api/v1/access-requests", tag = "approvals",
    request_body = AccessRequestBody,
    responses((status = 200, body = ApprovalView),
        (status = 403, description = "`denied`: the rules do not let the caller have it",
            body = Problem),
        (status = 409, description = "`not_needed`: the rules allow it as it is", body = Problem),
        (status = 422, description = "`reason_required`, `ticket_required`, `too_wide`, \
            `out_of_bounds`", body = Problem)))]
pub(crate) async fn request(
    State(api): State<Api>,
    Caller(by): Caller,
    Body(body): Body<AccessRequestBody>,
) -> Result<Json<ApprovalView>, Problem> {
    let AccessRequestBody { connection, operations, models, minutes, uses, .. } = body;
    let AccessRequestBody { reason, ticket, extends, .. } = body;
    let access =
        AccessRequest { connection, operations, models, minutes, uses, reason, ticket, extends };
    let event = Event::RequestAccess { by: by.clone(), access, fresh: api.fresh()? };
    answered(&api, &by, event).await
}
