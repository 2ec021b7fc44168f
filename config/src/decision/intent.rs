//! What a token was asked for: it narrows what rules give, and never gives anything itself.

use crate::catalogue::Classified;
use crate::glob;
use crate::identity::{Access, Intent};

/// Whether a request fits into one of the accesses, wholly. A token without intent covers all.
pub(super) fn covers(intent: Option<&Intent>, connection: &str, request: &Classified) -> bool {
    intent
        .is_none_or(|intent| intent.accesses.iter().any(|access| fits(access, connection, request)))
}

fn fits(access: &Access, connection: &str, request: &Classified) -> bool {
    allows(access.connections.as_deref(), connection)
        && request.operations.iter().all(|one| allows(access.operations.as_deref(), one.name()))
        && models(access.models.as_deref(), request)
}

/// A field that is absent does not narrow.
fn allows(patterns: Option<&[String]>, text: &str) -> bool {
    patterns.is_none_or(|patterns| patterns.iter().any(|pattern| glob::matches(pattern, text)))
}

/// As in allow rules: all models match, and a request that names none fits only `*`.
pub(super) fn models(patterns: Option<&[String]>, request: &Classified) -> bool {
    let Some(patterns) = patterns else { return true };
    if patterns.iter().any(|pattern| pattern == "*") {
        return true;
    }
    let mut names = request.model.iter().chain(&request.other_models);
    request.model.is_some()
        && !request.unnamed_model
        && names.all(|name| allows(Some(patterns), name))
}
