//! Masks, held against the engine that nodes run: what would not compile there is never published.

use std::sync::Arc;

use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::{Document, Mask, Placed, Source, place_of};
use penstock_mask::profile::{Problem, Profile};

use crate::state::StoredDocument;

/// Where what is in force already stands.
const IN_FORCE: &str = "<in force>";

/// What is wrong with written masks, each at its place, and what their authors should know.
pub(crate) fn check_written(
    sources: &[Source],
    placed: &[Placed],
) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for placed in placed {
        let Document::Mask(mask) = &placed.document else { continue };
        let source = sources.get(placed.source);
        let at = |key: &str| {
            let path: Vec<&str> =
                key.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
            source.map_or((placed.line, 1), |source| place_of(source, placed, &path))
        };
        let file = source.map_or("", |source| source.name.as_str());
        let diagnostic = |key: &str, message: String, hint: Option<String>| {
            let (line, column) = at(key);
            let message = format!("mask `{}`: {message}", mask.name);
            Diagnostic { file: file.to_owned(), line, column, message, hint }
        };
        match compiled(mask) {
            Ok(profile) => warnings
                .extend(profile.warnings().iter().map(|text| diagnostic("", text.clone(), None))),
            Err(found) => problems.extend(
                found
                    .into_iter()
                    .map(|problem| diagnostic(&problem.key, problem.text, Some(problem.hint))),
            ),
        }
    }
    (problems, warnings)
}

/// The same problems of masks that come back into force.
pub(crate) fn unfit_stored<'d>(
    documents: impl Iterator<Item = &'d StoredDocument>,
) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for stored in documents {
        let Document::Mask(mask) = &stored.document else { continue };
        let Err(found) = Profile::compile(mask) else { continue };
        problems.extend(found.into_iter().map(|problem| Diagnostic {
            file: IN_FORCE.to_owned(),
            line: 1,
            column: 1,
            message: format!("mask `{}`: {}", mask.name, problem.text),
            hint: Some(problem.hint),
        }));
    }
    problems
}

/// A mask's rules, once they have found what they are for.
fn compiled(mask: &Mask) -> Result<Arc<Profile>, Vec<Problem>> {
    let profile = Arc::new(Profile::compile(mask)?);
    profile.self_test().map_err(|text| {
        let hint = "leave that detector out, and report it".to_owned();
        vec![Problem { key: "detectors".to_owned(), text, hint }]
    })?;
    Ok(profile)
}
