//! Documents in force.

use axum::Json;
use axum::extract::{Path, State};
use penstock_app::event::{Apply, ApplyReport, ChangeKind};
use penstock_app::state::{DocumentKey, Origin, StoredDocument};
use penstock_app::{Action, Answer, Event, surface};
use penstock_config::documents::{Source, to_yaml};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::backend::{Api, Failure};
use crate::body::{Arguments, Body};
use crate::caller::Caller;
use crate::problem::{Place, Problem};

/// A named text with documents in it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceText {
    /// Name for diagnostics: a file's path, `-` for standard input.
    name: String,
    /// YAML 1.2, several documents separated by `---`.
    text: String,
}

/// Documents to put in force as one version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyRequest {
    /// The documents' text.
    sources: Vec<SourceText>,
    /// Remove what is in force and not in the sources, but for what the first run put in force.
    #[serde(default)]
    prune: bool,
    /// Say what would happen, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Refuse unless this version is in force.
    #[serde(default)]
    expect_version: Option<u64>,
    /// End running exchanges that began under other masks than their connections have now: those
    /// that these documents change, and those that a version before left open.
    #[serde(default)]
    cut_open: bool,
}

/// A document's kind and name.
#[derive(Serialize, ToSchema)]
pub(crate) struct DocumentName {
    /// `issuer`, `connection`, `rule`, `role`, `person`, `webhook`, `mail`, `workload` or `mask`.
    kind: &'static str,
    /// Its name.
    name: String,
}

/// What became of a document.
#[derive(Serialize, ToSchema)]
pub(crate) struct DocumentChange {
    /// Its kind.
    kind: &'static str,
    /// Its name.
    name: String,
    /// What became of it.
    #[schema(value_type = ChangeName)]
    change: ChangeKind,
}

/// What becomes of a document.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the core's own type in the OpenAPI document")]
pub(crate) enum ChangeName {
    /// It is new.
    Created,
    /// It has other content.
    Updated,
    /// It is gone.
    Deleted,
    /// It stays as it was.
    Unchanged,
}

/// What became of applied documents.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApplyAnswer {
    /// The version in force afterwards; in a dry run the one in force now.
    version: u64,
    /// The revision of its newest snapshot: nodes that enforce both enforce all of this.
    revision: u64,
    /// Each document of the sources, and each one that was pruned.
    changed: Vec<DocumentChange>,
    /// In force, not in the sources, not pruned, and not of the first run.
    absent: Vec<DocumentName>,
    /// What is worth a look.
    warnings: Vec<Place>,
    /// Names of connections whose masks are others than before. Without `cut_open` their running
    /// exchanges keep the masks that they began under.
    masks_changed: Vec<String>,
    /// Names of connections whose exchanges end that began under earlier masks; in a dry run, would
    /// end.
    cut: Vec<String>,
    /// Nothing was changed.
    dry_run: bool,
}

/// A document in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct DocumentView {
    /// `issuer`, `connection`, `rule`, `role`, `person`, `webhook`, `mail`, `workload` or `mask`.
    kind: &'static str,
    /// Its name.
    name: String,
    /// `first-run` or `applied`.
    #[schema(value_type = String)]
    origin: Origin,
    /// The document as JSON.
    #[schema(value_type = Object)]
    document: Value,
    /// The document as YAML.
    yaml: String,
}

/// Which version is in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionAnswer {
    /// Its number.
    version: u64,
}

/// Which documents.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct KindFilter {
    /// Only documents of this kind.
    kind: Option<String>,
}

impl From<DocumentKey> for DocumentName {
    fn from(key: DocumentKey) -> Self {
        Self { kind: key.kind, name: key.name }
    }
}

impl From<&StoredDocument> for DocumentView {
    fn from(stored: &StoredDocument) -> Self {
        let document = &stored.document;
        Self {
            kind: document.kind(),
            name: document.name().to_owned(),
            origin: stored.origin,
            document: surface::value(document),
            yaml: to_yaml(document),
        }
    }
}

impl From<ApplyReport> for ApplyAnswer {
    fn from(report: ApplyReport) -> Self {
        let change = |(key, change): (DocumentKey, ChangeKind)| DocumentChange {
            kind: key.kind,
            name: key.name,
            change,
        };
        Self {
            version: report.version,
            revision: report.revision,
            changed: report.changed.into_iter().map(change).collect(),
            absent: report.absent.into_iter().map(DocumentName::from).collect(),
            warnings: report.warnings.into_iter().map(Place::from).collect(),
            masks_changed: report.masks_changed,
            cut: report.cut,
            dry_run: report.dry_run,
        }
    }
}

/// The version that a change put in force.
pub(crate) fn version_answer(answer: &Answer) -> Json<VersionAnswer> {
    let version = if let Answer::Version(version) = answer { *version } else { 0 };
    Json(VersionAnswer { version })
}

/// Puts documents in force as one version, or says every problem and changes nothing.
#[utoipa::path(post, path = "/api/v1/documents/apply", tag = "documents",
    request_body = ApplyRequest,
    responses((status = 200, body = ApplyAnswer),
        (status = 409, description = "another version is in force, or the change would lock the \
            caller out", body = Problem),
        (status = 422, description = "every problem of the documents", body = Problem)))]
pub(crate) async fn apply(
    State(api): State<Api>,
    Caller(by): Caller,
    Body(request): Body<ApplyRequest>,
) -> Result<Json<ApplyAnswer>, Problem> {
    let ApplyRequest { sources, prune, dry_run, expect_version, cut_open } = request;
    let source = |source: SourceText| Source { name: source.name, text: source.text };
    let sources = sources.into_iter().map(source).collect();
    let apply = Apply { by, sources, prune, dry_run, expect_version, cut_open };
    let answer = api.submit(Event::ApplyDocuments(apply)).await?;
    let Answer::Applied(report) = answer else { return Err(Failure::Unavailable.into()) };
    Ok(Json(report.into()))
}

/// Lists documents in force.
#[utoipa::path(get, path = "/api/v1/documents", tag = "documents", params(KindFilter),
    responses((status = 200, body = Vec<DocumentView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Arguments(filter): Arguments<KindFilter>,
) -> Result<Json<Vec<DocumentView>>, Problem> {
    let state = api.state();
    caller.may(&state, Action::ReadDocuments)?;
    if filter.kind.as_ref().is_some_and(|kind| DocumentKey::new(kind, "").is_none()) {
        return Err(Problem::not_found("kind of document"));
    }
    let documents = state.durable.documents.iter();
    let asked = documents.filter(|(key, _)| filter.kind.as_ref().is_none_or(|k| k == key.kind));
    Ok(Json(asked.map(|(_, stored)| stored.into()).collect()))
}

/// Shows one document in force.
#[utoipa::path(get, path = "/api/v1/documents/{kind}/{name}", tag = "documents",
    params(("kind" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = DocumentView), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<DocumentView>, Problem> {
    let state = api.state();
    caller.may(&state, Action::ReadDocuments)?;
    let found = DocumentKey::new(&kind, &name).and_then(|key| state.durable.documents.get(&key));
    found.map(|stored| Json(stored.into())).ok_or_else(|| Problem::not_found("document"))
}

/// Deletes one document; that is a new version.
#[utoipa::path(delete, path = "/api/v1/documents/{kind}/{name}", tag = "documents",
    params(("kind" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = VersionAnswer), (status = 404, body = Problem),
        (status = 422, description = "another document needs it", body = Problem)))]
pub(crate) async fn delete(
    State(api): State<Api>,
    Caller(by): Caller,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<VersionAnswer>, Problem> {
    let key = DocumentKey::new(&kind, &name).ok_or_else(|| Problem::not_found("document"))?;
    let answer = api.submit(Event::DeleteDocument { by, key }).await?;
    Ok(version_answer(&answer))
}
