//! One pass over a parsed body: answers the reads, and finds keys that stand twice.

use simd_json::{Node, StaticNode};

use super::duration::{self, Time};
use super::{Answer, Body, DEPTH_MAX, JsonError, Read, Step, Test, is_name};

/// Objects with up to this many keys are searched for duplicates pair by pair.
const PAIRWISE_KEYS_MAX: usize = 16;

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
    body: Body,
}

/// Answers `reads` from a body's tape: nodes in the order of the text, keys before their values.
pub(super) fn walk(tape: &[Node<'_>], reads: &[Read]) -> Result<Body, JsonError> {
    let answers = vec![Answer::default(); reads.len()];
    let mut walk = Walk { reads, body: Body { answers, ambiguous: None } };
    let mut keys: Vec<&str> = Vec::new();
    let mut frames: Vec<Frame> = Vec::with_capacity(DEPTH_MAX);
    let mut nodes = tape.iter();
    let mut leading = (0..reads.len()).fold(0, |bits, index| bits | bit(index));
    loop {
        let node = nodes.next().ok_or(JsonError::Syntax)?;
        let reads = walk.value(node, frames.len(), leading);
        if let Node::Object { len, .. } | Node::Array { len, .. } = node {
            let is_object = matches!(node, Node::Object { .. });
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
                }
                break;
            }
            check_keys(keys.get_mut(frame.keys_from..).unwrap_or_default(), frame.is_read)?;
            keys.truncate(frame.keys_from);
            frames.pop();
        }
    }
}

impl Walk<'_> {
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
                Some(Step::KeyPrefix(prefix)) => {
                    let head: String = key.chars().take(prefix.chars().count()).collect();
                    folds_to(&head, prefix)
                }
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

/// Whether Go's decoder would take `key` for `wanted`: it folds ASCII letters, and the two letters
/// beyond ASCII that fold to one (the Kelvin sign and the long s).
fn folds_to(key: &str, wanted: &str) -> bool {
    let fold = |letter: char| match letter {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        _ => letter.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(wanted.chars().map(fold))
}

/// Refuses keys of one object that are equal, with `fold` also those equal but for case.
fn check_keys(keys: &mut [&str], fold: bool) -> Result<(), JsonError> {
    if keys.len() <= PAIRWISE_KEYS_MAX {
        let equal = |a: &str, b: &str| if fold { folds_to(a, b) } else { a == b };
        let mut rest = &*keys;
        while let Some((key, behind)) = rest.split_first() {
            if behind.iter().any(|other| equal(key, other)) {
                return Err(JsonError::DuplicateKey);
            }
            rest = behind;
        }
        return Ok(());
    }
    let twice = if fold {
        let mut folded: Vec<String> = keys.iter().map(|key| key.to_ascii_lowercase()).collect();
        folded.sort_unstable();
        folded.windows(2).any(|pair| pair.first() == pair.last())
    } else {
        keys.sort_unstable();
        keys.windows(2).any(|pair| pair.first() == pair.last())
    };
    if twice { Err(JsonError::DuplicateKey) } else { Ok(()) }
}
