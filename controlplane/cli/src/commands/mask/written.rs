//! What stands in the place of each value of a masked text.

use penstock_mask::channel::Finding;
use penstock_mask::fold::seen;
use penstock_mask::profile::Action;

use super::document::Tried;

/// Bytes of a hash in a tag, and of the colon before it.
const HASH_BYTES: usize = 13;
const REDACTED: &str = "***";

/// What each value becomes, taken from the masked text: between two values it is the text itself.
pub(super) fn each(tried: &Tried<'_>, findings: &[Finding], text: &str) -> Vec<String> {
    let masked = tried.masked(text);
    let mut rest = masked.as_str();
    let mut behind = 0;
    let mut all = Vec::with_capacity(findings.len());
    for (index, finding) in findings.iter().enumerate() {
        let between = text.get(behind..finding.range.start).unwrap_or_default();
        rest = rest.strip_prefix(between).unwrap_or(rest);
        behind = finding.range.end;
        let next = findings.get(index + 1).map_or(text.len(), |next| next.range.start);
        let follows = text.get(behind..next).unwrap_or_default();
        let length = length(tried, finding, text, rest, follows);
        let (written, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        all.push(written.to_owned());
        rest = after;
    }
    all
}

/// How much of `rest` stands for a value behind which `follows` comes.
fn length(tried: &Tried<'_>, finding: &Finding, text: &str, rest: &str, follows: &str) -> usize {
    let tag = finding.detector.len() + 2;
    let value = text.get(finding.range.clone()).unwrap_or_default();
    let expected = match action(tried, &finding.detector) {
        Action::Replace | Action::Off => tag,
        Action::Redact => REDACTED.len(),
        Action::Hash => tag + HASH_BYTES,
        Action::KeepLast(_) | Action::Surrogate => seen(value.as_bytes(), false).bytes.len(),
    };
    // A value that has no end yet when its place is written gets a plain tag, whatever its action.
    let fits = |length: &usize| rest.get(*length..).is_some_and(|rest| rest.starts_with(follows));
    let known = [expected, tag, REDACTED.len()].into_iter().find(fits);
    known.or_else(|| rest.find(follows)).unwrap_or(rest.len())
}

fn action(tried: &Tried<'_>, detector: &str) -> Action {
    let names = tried.masking.profile.detectors();
    let index = names.iter().position(|name| &**name == detector);
    index.and_then(|index| tried.masking.actions.get(index)).copied().unwrap_or(Action::Replace)
}
