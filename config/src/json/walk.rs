//! One pass over a parsed body: answers the reads, and finds keys that stand twice.

use simd_json::{Node, StaticNode};

use super::duration::{self, Time};
use super::keys::{KeyCheck, begins_folded, folds_to};
use super::{Answer, Body, DEPTH_MAX, JsonError, KEYS_MAX, Read, Step, Test, is_name};
use crate::glob::Glob;

/// An object or array that is open. `reads` has a bit for each read whose steps lead here.
struct Frame {
    is_object: bool,
    values_left: usize,
    /// Index of its first key among the keys of all open objects.
    keys_from: usize,
    reads: u64,
    /// A decision reads a key of this object.
    is_read: bool,
}

struct Walk<'w> {
    reads: &'w [Read],
    below: Vec<Below<'w>>,
    body: Body,
}

/// A read of [`Test::Below`].
struct Below<'w> {
    index: usize,
    key: &'w str,
    globs: &'w [Glob],
}

/// Answers `reads` from a body's tape: nodes in the order of the text, keys before their values.
pub(super) fn walk(tape: &[Node<'_>], reads: &[Read]) -> Result<Body, JsonError> {
    let mut walk = Walk::new(reads);
    let mut check = KeyCheck::default();
    let mut keys: Vec<&str> = Vec::new();
    let mut frames: Vec<Frame> = Vec::with_capacity(DEPTH_MAX);
    let mut nodes = tape.iter();
    let mut leading = (0..reads.len()).fold(0, |bits, index| bits | bit(index));
    loop {
        let node = nodes.next().ok_or(JsonError::Syntax)?;
        let reads = walk.value(node, frames.len(), leading);
        if let Node::Object { len, .. } | Node::Array { len, .. } = node {
            let is_object = matches!(node, Node::Object { .. });
            if is_object && *len > KEYS_MAX {
                return Err(JsonError::TooMany);
            }
            let is_read = is_object && reads != 0;
            let keys_from = keys.len();
            frames.push(Frame { is_object, values_left: *len, keys_from, reads, is_read });
        }
        loop {
            let depth = frames.len();
            let Some(frame) = frames.last_mut() else { return Ok(walk.body) };
            if let Some(left) = frame.values_left.checked_sub(1) {
                frame.values_left = left;
                leading = frame.reads;
                if frame.is_object {
                    let Some(Node::String(key)) = nodes.next() else {
                        return Err(JsonError::Syntax);
                    };
                    keys.push(key);
                    leading = walk.key(key, depth, frame.reads);
                    walk.below(key, nodes.as_slice().first());
                }
                break;
            }
            check.check(keys.get(frame.keys_from..).unwrap_or_default(), frame.is_read)?;
            keys.truncate(frame.keys_from);
            frames.pop();
        }
    }
}

impl<'w> Walk<'w> {
    fn new(reads: &'w [Read]) -> Self {
        let answers = vec![Answer::default(); reads.len()];
        let below = reads.iter().enumerate().filter_map(|(index, read)| match &read.test {
            Test::Below { key, globs } => Some(Below { index, key, globs }),
            Test::Present
            | Test::Filled
            | Test::True
            | Test::Text { .. }
            | Test::OtherText { .. }
            | Test::ZeroTime
            | Test::NegativeTime
            | Test::Name => None,
        });
        Self { reads, below: below.collect(), body: Body { answers, ambiguous: None } }
    }

    /// Answers the reads that look for this key anywhere.
    fn below(&mut self, key: &str, value: Option<&Node<'_>>) {
        for below in self.below.iter().filter(|below| below.key == key) {
            let holds = match value {
                None | Some(Node::Static(StaticNode::Null)) => false,
                Some(Node::String(text)) => {
                    below.globs.is_empty() || below.globs.iter().any(|glob| glob.matches(text))
                }
                Some(Node::Object { .. } | Node::Array { .. } | Node::Static(_)) => {
                    below.globs.is_empty()
                }
            };
            if let Some(answer) = self.body.answers.get_mut(below.index) {
                answer.holds |= holds;
            }
        }
    }

    /// Answers the reads that end at this value; returns those that lead on into it.
    fn value(&mut self, node: &Node<'_>, depth: usize, leading: u64) -> u64 {
        let mut inside = 0;
        if leading == 0 {
            return inside;
        }
        for (index, (read, answer)) in self.reads.iter().zip(&mut self.body.answers).enumerate() {
            if leading & bit(index) == 0 {
                continue;
            }
            match (read.steps.get(depth), node) {
                (None, _) => ask(&read.test, node, answer),
                (Some(Step::Key(_) | Step::KeyPrefix(_)), Node::Object { .. })
                | (Some(Step::Each), Node::Array { .. }) => inside |= bit(index),
                (Some(_), Node::Static(StaticNode::Null)) if depth > 0 => {}
                (Some(_), _) => answer.wrong_type = true,
            }
        }
        inside
    }

    /// Of the reads that lead into an object, those that lead on into the member of this key.
    fn key(&mut self, key: &str, depth: usize, reads: u64) -> u64 {
        let mut inside = 0;
        if reads == 0 {
            return inside;
        }
        for (index, read) in self.reads.iter().enumerate() {
            if reads & bit(index) == 0 {
                continue;
            }
            let is_ambiguous = match read.steps.get(depth.saturating_sub(1)) {
                Some(Step::Key(wanted)) if key == wanted => {
                    inside |= bit(index);
                    false
                }
                Some(Step::Key(wanted)) => folds_to(key, wanted),
                Some(Step::KeyPrefix(prefix)) if key.starts_with(prefix.as_str()) => {
                    inside |= bit(index);
                    false
                }
                Some(Step::KeyPrefix(prefix)) => begins_folded(key, prefix),
                Some(Step::Each) | None => false,
            };
            if is_ambiguous {
                self.body.ambiguous.get_or_insert_with(|| read.name.clone());
            }
        }
        inside
    }
}

fn bit(index: usize) -> u64 {
    u32::try_from(index).ok().and_then(|shift| 1_u64.checked_shl(shift)).unwrap_or(0)
}

/// Asks one value at the end of a read's path.
fn ask(test: &Test, node: &Node<'_>, answer: &mut Answer) {
    if matches!(node, Node::Static(StaticNode::Null)) {
        return;
    }
    match (test, node) {
        // Answered where its key stands.
        (Test::Below { .. }, _) => {}
        (Test::Present, _) => answer.holds = true,
        (Test::Filled, Node::String(text)) => answer.holds |= !text.is_empty(),
        (Test::Filled, Node::Array { len, .. }) => answer.holds |= *len > 0,
        (Test::Filled, _) => answer.holds = true,
        (Test::True, Node::Static(StaticNode::Bool(value))) => answer.holds |= *value,
        (Test::Text { globs, ignore_case: false }, Node::String(text)) => {
            answer.holds |= globs.iter().any(|glob| glob.matches(text));
        }
        (Test::Text { globs, ignore_case: true }, Node::String(text)) => {
            let text = text.to_ascii_lowercase();
            answer.holds |= globs.iter().any(|glob| glob.matches(&text));
        }
        (Test::OtherText { globs }, Node::String(text)) => {
            answer.holds |= !globs.iter().any(|glob| glob.matches(text));
        }
        (Test::ZeroTime | Test::NegativeTime, _) => match time(node) {
            Some(Time::Zero) => answer.holds |= *test == Test::ZeroTime,
            Some(Time::Negative) => answer.holds |= *test == Test::NegativeTime,
            Some(Time::Positive) => {}
            None => answer.wrong_type = true,
        },
        (Test::Name, Node::String("")) => {}
        (Test::Name, Node::String(text)) if is_name(text) && answer.name.is_none() => {
            answer.name = Some((*text).to_owned());
        }
        (Test::True | Test::Text { .. } | Test::OtherText { .. } | Test::Name, _) => {
            answer.wrong_type = true;
        }
    }
}

fn time(node: &Node<'_>) -> Option<Time> {
    match node {
        Node::String(text) => duration::of_text(text),
        Node::Static(StaticNode::I64(value)) => Some(duration::of_seconds(*value as f64)),
        Node::Static(StaticNode::U64(value)) => Some(duration::of_seconds(*value as f64)),
        Node::Static(StaticNode::F64(value)) => Some(duration::of_seconds(*value)),
        Node::Static(StaticNode::Bool(_) | StaticNode::Null)
        | Node::Object { .. }
        | Node::Array { .. } => None,
    }
}
