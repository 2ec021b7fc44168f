//! Versions of the documents.

use axum::Json;
use axum::extract::{Path, State};
use penstock_app::Action;
use penstock_app::event::Actor;
use penstock_app::state::Version;
use serde::Serialize;
use utoipa::ToSchema;

use crate::backend::Api;
use crate::caller::Caller;
use crate::documents::{DocumentView, VersionAnswer, version_answer};
use crate::problem::Problem;

/// Who did something.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActorView {
    /// Name of the issuer document; empty for the control plane itself and for nodes.
    issuer: String,
    /// The token's subject, `control plane`, or a node's id.
    subject: String,
}

/// One version.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionView {
    /// Its number.
    version: u64,
    /// When it was put in force, milliseconds since the Unix epoch.
    at_ms: u64,
    /// By whom.
    actor: ActorView,
    /// What changed, in words.
    summary: String,
}

/// One version with its documents.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionContent {
    /// Its number.
    version: u64,
    /// When it was put in force, milliseconds since the Unix epoch.
    at_ms: u64,
    /// By whom.
    actor: ActorView,
    /// What changed, in words.
    summary: String,
    /// All documents.
    documents: Vec<DocumentView>,
}

impl From<Actor> for ActorView {
    fn from(actor: Actor) -> Self {
        Self { issuer: actor.issuer, subject: actor.subject }
    }
}

impl From<Version> for VersionView {
    fn from(version: Version) -> Self {
        let Version { number, at_ms, actor, summary } = version;
        Self { version: number, at_ms, actor: actor.into(), summary }
    }
}

/// The number of a version; what is no number is no version.
fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::not_found("version"))
}

/// Lists the newest 1,000 versions, newest first.
#[utoipa::path(get, path = "/api/v1/versions", tag = "versions",
    responses((status = 200, body = Vec<VersionView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<Vec<VersionView>>, Problem> {
    caller.may(&api.state(), Action::ReadDocuments)?;
    let versions = api.versions().await?;
    Ok(Json(versions.into_iter().map(VersionView::from).collect()))
}

/// Shows one version with its documents.
#[utoipa::path(get, path = "/api/v1/versions/{version}", tag = "versions",
    params(("version" = u64, Path)),
    responses((status = 200, body = VersionContent), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path(version): Path<String>,
) -> Result<Json<VersionContent>, Problem> {
    caller.may(&api.state(), Action::ReadDocuments)?;
    let found = api.version(number(&version)?).await?;
    let (version, documents) = found.ok_or_else(|| Problem::not_found("version"))?;
    let Version { number, at_ms, actor, summary } = version;
    Ok(Json(VersionContent {
        version: number,
        at_ms,
        actor: actor.into(),
        summary,
        documents: documents.iter().map(DocumentView::from).collect(),
    }))
}

/// Puts the content of an old version in force, as a new version.
#[utoipa::path(post, path = "/api/v1/versions/{version}/rollback", tag = "versions",
    params(("version" = u64, Path)),
    responses((status = 200, body = VersionAnswer), (status = 404, body = Problem)))]
pub(crate) async fn roll_back(
    State(api): State<Api>,
    Caller(by): Caller,
    Path(version): Path<String>,
) -> Result<Json<VersionAnswer>, Problem> {
    let answer = api.roll_back(by, number(&version)?).await?;
    Ok(version_answer(&answer))
}
