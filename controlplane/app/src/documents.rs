//! Documents: applied, deleted and rolled back as whole versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::{Document, Issuer, Placed, RoleName, check_references, parse};
use serde_json::{Value, json};

use crate::draft::Draft;
use crate::event::{Answer, Apply, ApplyReport, Change, ChangeKind, Outcome, Refusal, Requester};
use crate::mask_cuts::{self, Remasked};
use crate::roles::{Action, authorise, roles_of};
use crate::state::{DOCUMENTS_MAX, DocumentKey, Origin, State, StoredDocument, Version};
use crate::{approvals, certificates, keys, masks, surface};

type Documents = BTreeMap<DocumentKey, StoredDocument>;

/// Puts documents in force as one version, or says every problem.
pub(crate) fn apply(state: &State, apply: Apply, now_ms: u64) -> Result<Outcome, Refusal> {
    authorise(state, &apply.by, Action::WriteDocuments)?;
    expect_version(state, apply.expect_version)?;
    let placed = parse(&apply.sources).map_err(Refusal::Invalid)?;
    if apply.prune && placed.is_empty() {
        return Err(Refusal::Invalid(vec![nothing_to_keep(&apply)]));
    }
    let in_force = &state.durable.documents;
    let (next, absent) = merged(in_force, &placed, apply.prune);
    let mut set: Vec<Document> = placed.iter().map(|p| p.document.clone()).collect();
    let written: Vec<DocumentKey> = set.iter().map(DocumentKey::of).collect();
    let kept = next.iter().filter(|(key, _)| !written.contains(key));
    set.extend(kept.map(|(_, stored)| stored.document.clone()));
    let mut warnings = check_references(&set, &apply.sources, &placed).map_err(Refusal::Invalid)?;
    refuse_any(certificates::unfit_written(state, &apply.sources, &placed))?;
    let (unfit, worth_a_look) = masks::check_written(&apply.sources, &placed);
    refuse_any(unfit)?;
    warnings.extend(worth_a_look);
    warnings.extend(certificates::warnings(state, &apply.sources, &placed, now_ms));
    if next.len() > DOCUMENTS_MAX {
        return Err(Refusal::Full { what: "documents", limit: DOCUMENTS_MAX });
    }
    let differences = differences(in_force, &next);
    authorise_changes(state, &apply.by, &differences)?;
    let changed = reported(&written, &differences);
    let mut draft = Draft::new(state, now_ms);
    let remasked = if differences.is_empty() {
        cut_what_was_left_open(&mut draft, &apply)
    } else {
        let (by, action) = (&apply.by, "documents.apply");
        let new = NewVersion { by, action, summary: None, cut_open: apply.cut_open };
        put_in_force(&mut draft, next, &differences, &new, now_ms)
    };
    keep_administrator(state, &draft.state, &apply.by)?;
    if apply.dry_run {
        draft = Draft::new(state, now_ms);
    }
    let position = draft.state.durable.position;
    let report = ApplyReport {
        version: position.version,
        revision: position.revision,
        changed,
        absent,
        warnings,
        masks_changed: remasked.changed,
        cut: remasked.cut,
        dry_run: apply.dry_run,
    };
    Ok(draft.finish(Answer::Applied(report)))
}

/// The documents stay as they are: what runs under earlier masks may still be cut.
fn cut_what_was_left_open(draft: &mut Draft, apply: &Apply) -> Remasked {
    if !apply.cut_open {
        return Remasked::default();
    }
    let cut = mask_cuts::cut_all(draft);
    if !cut.is_empty() {
        draft.publish_revision();
        let version = draft.state.durable.position.version;
        let after = json!({"version": version, "cut_open": cut});
        let (actor, object) = (apply.by.actor(), format!("version/{version}"));
        draft.act(actor, "documents.cut-open", object, &Value::Null, &after);
    }
    Remasked { changed: Vec::new(), cut }
}

/// A generator that failed writes an empty file: taken at its word it would remove everything.
fn nothing_to_keep(apply: &Apply) -> Diagnostic {
    Diagnostic {
        file: apply.sources.first().map_or_else(|| "-".to_owned(), |source| source.name.clone()),
        line: 1,
        column: 1,
        message: "no document: pruning would remove all that is in force".to_owned(),
        hint: Some("delete documents by name, or apply what is to stay".to_owned()),
    }
}

/// Deletes one document.
pub(crate) fn delete(
    state: &State,
    by: &Requester,
    key: &DocumentKey,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    authorise(state, by, Action::WriteDocuments)?;
    let mut next = (*state.durable.documents).clone();
    next.remove(key).ok_or(Refusal::NotFound("document"))?;
    replace(state, by, next, "documents.delete", None, now_ms)
}

/// Puts the content of an old version in force as a new one. In a development state the
/// environment's own documents stay as they are now: its issuer listens where it listens.
pub(crate) fn roll_back(
    state: &State,
    by: &Requester,
    version: u64,
    documents: Vec<StoredDocument>,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    authorise(state, by, Action::WriteDocuments)?;
    let mut next = keyed(documents);
    if state.tuning.development {
        next.retain(|_, stored| stored.origin != Origin::FirstRun);
        let own = state.durable.documents.iter().filter(|(_, s)| s.origin == Origin::FirstRun);
        next.extend(own.map(|(key, stored)| (key.clone(), stored.clone())));
    }
    let summary = Some(format!("rolled back to version {version}"));
    replace(state, by, next, "documents.roll-back", summary, now_ms)
}

/// Puts the first-run documents in force: where nothing is, and in a development state whenever
/// they differ.
pub(crate) fn first_run(
    state: &State,
    documents: Vec<Document>,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    let empty = state.durable.position.version == 0;
    if !empty && !state.tuning.development {
        return Ok(Draft::new(state, now_ms).finish(Answer::Done));
    }
    let mut next = (*state.durable.documents).clone();
    next.retain(|_, stored| stored.origin != Origin::FirstRun);
    let own =
        documents.into_iter().map(|document| StoredDocument { origin: Origin::FirstRun, document });
    next.extend(keyed(own.collect()));
    let summary = Some("first run".to_owned());
    replace(state, &Requester::System, next, "documents.first-run", summary, now_ms)
}

/// Replaces the whole set as one version; without a difference nothing happens.
fn replace(
    state: &State,
    by: &Requester,
    next: Documents,
    action: &'static str,
    summary: Option<String>,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    let differences = differences(&state.durable.documents, &next);
    authorise_changes(state, by, &differences)?;
    let set: Vec<Document> = next.values().map(|stored| stored.document.clone()).collect();
    check_references(&set, &[], &[]).map_err(Refusal::Invalid)?;
    refuse_any(certificates::unfit_stored(state, next.values()))?;
    refuse_any(masks::unfit_stored(next.values()))?;
    let mut draft = Draft::new(state, now_ms);
    if !differences.is_empty() {
        let new = NewVersion { by, action, summary, cut_open: false };
        put_in_force(&mut draft, next, &differences, &new, now_ms);
        keep_administrator(state, &draft.state, by)?;
    }
    let version = draft.state.durable.position.version;
    Ok(draft.finish(Answer::Version(version)))
}

fn refuse_any(problems: Vec<Diagnostic>) -> Result<(), Refusal> {
    if problems.is_empty() { Ok(()) } else { Err(Refusal::Invalid(problems)) }
}

fn expect_version(state: &State, expected: Option<u64>) -> Result<(), Refusal> {
    let current = state.durable.position.version;
    match expected {
        Some(expected) if expected != current => {
            Err(Refusal::VersionConflict { expected, current })
        }
        Some(_) | None => Ok(()),
    }
}

/// The set as it would be in force, and what of it the written documents lack.
fn merged(in_force: &Documents, placed: &[Placed], prune: bool) -> (Documents, Vec<DocumentKey>) {
    let mut next = in_force.clone();
    let mut absent: Vec<DocumentKey> = in_force
        .iter()
        .filter(|(_, stored)| stored.origin == Origin::Applied)
        .map(|(key, _)| key.clone())
        .collect();
    for Placed { document, .. } in placed {
        let key = DocumentKey::of(document);
        absent.retain(|other| *other != key);
        let origin = in_force.get(&key).map_or(Origin::Applied, |stored| stored.origin);
        next.insert(key, StoredDocument { origin, document: document.clone() });
    }
    if prune {
        for key in absent.drain(..) {
            next.remove(&key);
        }
    }
    (next, absent)
}

fn keyed(documents: Vec<StoredDocument>) -> Documents {
    documents.into_iter().map(|stored| (DocumentKey::of(&stored.document), stored)).collect()
}

/// What differs between two sets.
fn differences(before: &Documents, after: &Documents) -> Vec<(DocumentKey, ChangeKind)> {
    let mut found: Vec<(DocumentKey, ChangeKind)> = before
        .keys()
        .filter(|key| !after.contains_key(*key))
        .map(|key| (key.clone(), ChangeKind::Deleted))
        .collect();
    found.extend(after.iter().filter_map(|(key, stored)| match before.get(key) {
        None => Some((key.clone(), ChangeKind::Created)),
        Some(old) if old.document != stored.document || old.origin != stored.origin => {
            Some((key.clone(), ChangeKind::Updated))
        }
        Some(_) => None,
    }));
    found
}

/// Each written document with what becomes of it, then those that go.
fn reported(
    written: &[DocumentKey],
    differences: &[(DocumentKey, ChangeKind)],
) -> Vec<(DocumentKey, ChangeKind)> {
    let kind_of = |key: &DocumentKey| {
        let found = differences.iter().find(|(other, _)| other == key);
        found.map_or(ChangeKind::Unchanged, |(_, kind)| *kind)
    };
    let gone = differences.iter().filter(|(_, kind)| *kind == ChangeKind::Deleted).cloned();
    written.iter().map(|key| (key.clone(), kind_of(key))).chain(gone).collect()
}

fn authorise_changes(
    state: &State,
    by: &Requester,
    differences: &[(DocumentKey, ChangeKind)],
) -> Result<(), Refusal> {
    if differences.iter().any(|(key, _)| key.is_trust()) {
        authorise(state, by, Action::WriteTrust)?;
    }
    Ok(())
}

/// An administrator cannot lock themselves out: somebody must be left who can undo a change. That
/// goes for their role, and for how the issuer that vouches for them is trusted.
fn keep_administrator(before: &State, after: &State, by: &Requester) -> Result<(), Refusal> {
    let Requester::Identity(identity) = by else { return Ok(()) };
    let admin = |state| roles_of(state, identity).contains(&RoleName::Admin);
    // Audiences are callers' of the gateway: tokens for the API have one of their own.
    let trust = |state: &State| {
        let issuer = state.issuers().find(|issuer| issuer.name == identity.issuer);
        // With which client people sign in gives nobody trust.
        issuer.map(|issuer| Issuer { audiences: Vec::new(), client_id: None, ..issuer.clone() })
    };
    let kept = admin(after) && trust(before) == trust(after);
    if admin(before) && !kept { Err(Refusal::LockOut) } else { Ok(()) }
}

/// How a version comes about.
struct NewVersion<'a> {
    by: &'a Requester,
    action: &'static str,
    summary: Option<String>,
    /// Exchanges that run under earlier masks end.
    cut_open: bool,
}

fn put_in_force(
    draft: &mut Draft,
    next: Documents,
    differences: &[(DocumentKey, ChangeKind)],
    new: &NewVersion<'_>,
    now_ms: u64,
) -> Remasked {
    let version_before = draft.state.durable.position.version;
    let before = shown(version_before, &draft.state.durable.documents, differences);
    let documents_before = std::mem::replace(&mut draft.state.durable.documents, Arc::new(next));
    draft.publish_version();
    let version = draft.state.durable.position.version;
    let remasked = mask_cuts::follow_documents(draft, &documents_before, new.cut_open);
    let mut after = shown(version, &draft.state.durable.documents, differences);
    if let (false, Some(after)) = (remasked.cut.is_empty(), after.as_object_mut()) {
        after.insert("cut_open".to_owned(), json!(remasked.cut));
    }
    let row = Version {
        number: version,
        at_ms: now_ms,
        actor: new.by.actor(),
        summary: new.summary.clone().unwrap_or_else(|| summary(differences)),
    };
    draft.change(Change::Version {
        version: row,
        documents: draft.state.durable.documents.values().cloned().collect(),
    });
    draft.act(new.by.actor(), new.action, format!("version/{version}"), &before, &after);
    keys::follow_documents(draft, now_ms);
    draft.state.compiled = approvals::Compiled::new(&draft.state.durable);
    approvals::follow_documents(draft);
    remasked
}

/// The version and those documents that differ, as an act keeps them.
fn shown(version: u64, documents: &Documents, differences: &[(DocumentKey, ChangeKind)]) -> Value {
    let found = differences.iter().filter_map(|(key, _)| documents.get(key));
    let shown: Vec<Value> = found.map(|stored| surface::value(&stored.document)).collect();
    json!({"version": version, "documents": shown})
}

fn summary(differences: &[(DocumentKey, ChangeKind)]) -> String {
    let count = |kind| differences.iter().filter(|(_, other)| *other == kind).count();
    let kinds = [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Deleted];
    let parts = kinds.into_iter().map(|kind| (kind, count(kind))).filter(|(_, count)| *count > 0);
    parts.map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}
