//! The mask that is tried: found in files or in force, and compiled as a gateway compiles it.

use std::path::PathBuf;
use std::sync::Arc;

use penstock_config::documents::{self, Document, Mask, MaskAction};
use penstock_config::glob;
use penstock_mask::channel::{Finding, findings, mask_text};
use penstock_mask::profile::{Action, HashKey, Masking, Problem, Profile};
use serde::Deserialize;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::sources;

/// The mask in force of that name.
pub(super) async fn in_force(client: &Client, name: &str) -> Result<Mask, Failure> {
    let row = client.get(&format!("/api/v1/documents/mask/{name}")).await;
    let row = row.map_err(|failure| match failure.exit {
        Exit::NotFound => Failure::new(Exit::NotFound, format!("no mask {name} is in force"))
            .hint("-f FILE tries one that is not"),
        Exit::Failed | Exit::Usage | Exit::Denied | Exit::Conflict | Exit::Machine => failure,
    })?;
    let document = Document::deserialize(row.get("document").unwrap_or(&row))
        .map_err(|error| Failure::failed(format!("the answer can't be understood: {error}")))?;
    let mask = document.as_mask().cloned();
    mask.ok_or_else(|| Failure::failed("the answer is another kind of document"))
}

/// The mask of that name in these files, or the only one.
pub(super) fn of_files(paths: &[PathBuf], name: Option<&str>) -> Result<Mask, Failure> {
    let placed = documents::parse(&sources::read(paths)?).map_err(|problems| {
        let message = match problems.len() {
            1 => "1 problem in the documents".to_owned(),
            count => format!("{count} problems in the documents"),
        };
        Failure::failed(message).details(problems.iter().map(ToString::to_string).collect())
    })?;
    let mut masks: Vec<Mask> =
        placed.iter().filter_map(|placed| placed.document.as_mask().cloned()).collect();
    let names = masks.iter().map(|mask| mask.name.clone()).collect::<Vec<_>>().join(", ");
    masks.retain(|mask| name.is_none_or(|name| mask.name == name));
    match (masks.pop(), masks.is_empty(), name) {
        (Some(mask), true, _) => Ok(mask),
        (None, _, Some(name)) if !names.is_empty() => {
            let failure = Failure::new(Exit::NotFound, format!("there is no mask {name}"));
            Err(failure.hint(format!("the masks are: {names}")))
        }
        (None, _, _) => Err(Failure::new(Exit::NotFound, "there is no mask in the documents")),
        (Some(_), false, _) => {
            let failure = Failure::usage("there is more than one mask: say which with --mask");
            Err(failure.hint(format!("the masks are: {names}")))
        }
    }
}

/// A mask ready to be tried.
pub(super) struct Tried<'m> {
    /// Its document.
    pub(super) mask: &'m Mask,
    /// Profile and actions, as for somebody whom no override names.
    pub(super) masking: Masking,
}

impl<'m> Tried<'m> {
    /// Compiles it; overrides count where they concern everybody on that connection, or on all of
    /// them if none is named.
    ///
    /// # Errors
    /// Every problem of the mask.
    pub(super) fn new(mask: &'m Mask, connection: Option<&str>) -> Result<Self, Failure> {
        let profile = Profile::compile(mask).map_err(|problems| {
            let details = problems.iter().map(told).collect();
            Failure::failed(format!("the mask {} can't be used", mask.name)).details(details)
        })?;
        let actions = actions(mask, profile.detectors(), connection);
        // The gateway's key is a secret of its own: the same value has another tag there.
        let key = Some(Arc::new(HashKey::new(&[0; 32])));
        Ok(Self { mask, masking: Masking { profile: Arc::new(profile), actions, key } })
    }

    /// What would be masked, in order.
    pub(super) fn findings(&self, text: &str) -> Vec<Finding> {
        findings(&self.masking, &mut self.masking.profile.scratch(), text)
    }

    /// The text as a caller would get it.
    pub(super) fn masked(&self, text: &str) -> String {
        mask_text(&self.masking, &mut self.masking.profile.scratch(), text)
    }

    /// What this trial leaves out.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let Mask { action, overrides, fields, analyzer, .. } = self.mask;
        if overrides.iter().any(|one| !one.subjects.is_empty()) {
            notes.push("overrides for some people are left out".to_owned());
        }
        if !fields.is_empty() {
            notes.push("fields are of whole JSON answers: here the text is plain".to_owned());
        }
        if analyzer.is_some() {
            notes.push("its analyser is not asked: names are not looked for here".to_owned());
        }
        let all = overrides.iter().filter_map(|one| one.action).chain([*action]);
        if all.into_iter().any(|one| matches!(one, MaskAction::Hash | MaskAction::Surrogate)) {
            notes.push(
                "hashes and surrogates differ from the gateway's, whose key is secret".into(),
            );
        }
        notes
    }
}

/// A problem at its key, with what would be right.
fn told(problem: &Problem) -> String {
    let Problem { key, text, hint } = problem;
    let place = if key.is_empty() { String::new() } else { format!("{key}: ") };
    let hint = if hint.is_empty() { String::new() } else { format!("\n  hint: {hint}") };
    format!("{place}{text}{hint}")
}

fn actions(mask: &Mask, detectors: &[Arc<str>], connection: Option<&str>) -> Arc<[Action]> {
    let mut actions = vec![action(mask.action); detectors.len()];
    for one in &mask.overrides {
        let is_here = |name: &String| match connection {
            Some(connection) => glob::matches(name, connection),
            None => glob::Glob::new(name).is_any(),
        };
        let (Some(chosen), true) = (one.action, one.subjects.is_empty()) else { continue };
        if !one.connections.iter().any(is_here) {
            continue;
        }
        for (place, detector) in actions.iter_mut().zip(detectors) {
            if one.detectors.iter().any(|name| glob::matches(name, detector)) {
                *place = action(chosen);
            }
        }
    }
    actions.into()
}

fn action(action: MaskAction) -> Action {
    match action {
        MaskAction::Replace => Action::Replace,
        MaskAction::Redact => Action::Redact,
        MaskAction::KeepLast(count) => Action::KeepLast(count),
        MaskAction::Hash => Action::Hash,
        MaskAction::Surrogate => Action::Surrogate,
    }
}
