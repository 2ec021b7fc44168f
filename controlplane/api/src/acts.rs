//! Acts: who changed what.

use axum::Json;
use axum::extract::State;
use penstock_app::acts::verify;
use penstock_app::{Act, Action};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::backend::Api;
use crate::body::Arguments;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::versions::ActorView;

/// Which acts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    /// Only acts behind this sequence.
    #[serde(default)]
    after: u64,
}

/// One act.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActView {
    /// Counted from 1 without a gap.
    sequence: u64,
    /// When, milliseconds since the Unix epoch.
    at_ms: u64,
    /// Who.
    actor: ActorView,
    /// What.
    action: String,
    /// On what.
    object: String,
    /// What was there before.
    #[schema(value_type = Object)]
    before: Value,
    /// What is there now.
    #[schema(value_type = Object)]
    after: Value,
    /// Hash of the row before, hex; empty for the first.
    previous: String,
    /// Hash of the row, hex.
    hash: String,
    /// Whether the row is as it was written and follows from the one before.
    intact: bool,
}

/// Lists acts, oldest first, at most 1,000 and about 4 MiB at a time; each one is verified on the
/// way.
#[utoipa::path(get, path = "/api/v1/acts", tag = "acts", params(After),
    responses((status = 200, body = Vec<ActView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Arguments(After { after }): Arguments<After>,
) -> Result<Json<Vec<ActView>>, Problem> {
    caller.may(&api.state(), Action::ReadActs)?;
    let (mut head, acts) = api.acts(after).await?;
    let rows = acts.into_iter().map(|act| {
        let intact = head.as_ref().is_some_and(|head| verify(head, [&act]).is_ok());
        head = Some(act.head());
        view(act, intact)
    });
    Ok(Json(rows.collect()))
}

fn view(act: Act, intact: bool) -> ActView {
    let json = |text: &str| serde_json::from_str(text).unwrap_or_default();
    ActView {
        sequence: act.sequence,
        at_ms: act.at_ms,
        before: json(&act.before),
        after: json(&act.after),
        actor: act.actor.into(),
        action: act.action,
        object: act.object,
        previous: act.previous,
        hash: act.hash,
        intact,
    }
}
