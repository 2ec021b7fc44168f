//! Members of answers by their path: `$.user.ssn`, `$.rows[*].iban` (of RFC 9535: names, indices
//! and wildcards).

use crate::json::{Kind, Tree, name_hash};

/// Most steps of a path.
const STEPS_MAX: usize = 32;

/// One path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    Member(String),
    Item(u32),
    Each,
}

impl Field {
    /// Reads a path; none where it is no path of names, indices and wildcards.
    pub fn parse(path: &str) -> Option<Self> {
        let mut rest = path.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, behind) = step(rest)?;
            steps.push(step);
            rest = behind;
        }
        let is_bounded = !steps.is_empty() && steps.len() <= STEPS_MAX;
        is_bounded.then_some(Self { steps })
    }
}

fn step(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at_checked(end)?;
        let step = match name {
            "" => return None,
            "*" => Step::Each,
            _ => Step::Member(name.to_owned()),
        };
        return Some((step, behind));
    }
    let rest = text.strip_prefix('[')?;
    for quote in ['\'', '"'] {
        if let Some(rest) = rest.strip_prefix(quote) {
            let (name, behind) = rest.split_once(quote)?;
            return Some((Step::Member(name.to_owned()), behind.strip_prefix(']')?));
        }
    }
    let (inside, behind) = rest.split_once(']')?;
    let step = if inside == "*" { Step::Each } else { Step::Item(inside.parse().ok()?) };
    Some((step, behind))
}

/// Finds the values that paths name, first to last.
pub(super) fn find(fields: &[Field], tree: &Tree, json: &[u8], found: &mut Vec<u32>) {
    for field in fields {
        visit(&field.steps, tree, json, 0, found);
    }
    found.sort_unstable();
    found.dedup();
}

/// Recursion is as deep as a path is long.
fn visit(steps: &[Step], tree: &Tree, json: &[u8], at: u32, found: &mut Vec<u32>) {
    let Some((step, rest)) = steps.split_first() else {
        found.push(at);
        return;
    };
    let kind = tree.node(at).map(|node| node.kind);
    match step {
        Step::Member(name) if kind == Some(Kind::Object) => {
            let hash = name_hash(name.as_bytes());
            for (index, node) in tree.children(at) {
                if node.name_hash == hash && node.is_named(json, name) {
                    visit(rest, tree, json, index, found);
                }
            }
        }
        Step::Item(position) if kind == Some(Kind::Array) => {
            for (index, node) in tree.children(at) {
                if node.position == *position {
                    visit(rest, tree, json, index, found);
                }
            }
        }
        Step::Each => {
            for (index, _) in tree.children(at) {
                visit(rest, tree, json, index, found);
            }
        }
        Step::Member(_) | Step::Item(_) => {}
    }
}
