//! Parser events to a tree. Iterative: the depth of a text costs no stack.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use super::{DEPTH_MAX, Entry, NODES_MAX, Node, Value, scalar};
use crate::diagnostics::{Position, Problems, quoted};

/// Why a text yields no tree at all.
pub(super) struct Fatal {
    pub(super) position: Position,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// A list or mapping whose end has not come yet.
enum Open {
    Sequence { position: Position, items: Vec<Node> },
    Mapping { position: Position, entries: Entries, key: Option<Key> },
}

/// A key that waits for its value.
enum Key {
    Taken(String, Position),
    Refused,
}

/// The entries of a mapping, and where each key stands first.
#[derive(Default)]
struct Entries {
    list: Vec<Entry>,
    first: HashMap<String, Position>,
}

struct Builder<'p, 's> {
    open: Vec<Open>,
    documents: Vec<Node>,
    nodes: usize,
    problems: &'p Problems<'s>,
}

/// Builds the trees of all documents that are not empty.
pub(super) fn build(
    mut parser: Parser<'_, StrInput<'_>>,
    end: Position,
    problems: &Problems<'_>,
) -> Result<Vec<Node>, Fatal> {
    let mut builder = Builder { open: Vec::new(), documents: Vec::new(), nodes: 0, problems };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| syntax(&error, end))?;
        builder.on_event(event, position(span.start, end))?;
    }
    Ok(builder.documents)
}

impl Builder<'_, '_> {
    fn on_event(&mut self, event: Event<'_>, at: Position) -> Result<(), Fatal> {
        match event {
            Event::Alias(_) => {
                self.refuse(at, "aliases are not accepted", "write the value out");
                self.complete(Node { position: at, value: Value::Refused })
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                let plain = style == ScalarStyle::Plain;
                let value = Value::Scalar { text: text.into_owned(), plain };
                self.complete(Node { position: at, value })
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                self.begin(at, Open::Sequence { position: at, items: Vec::new() })
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                let entries = Entries::default();
                self.begin(at, Open::Mapping { position: at, entries, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence { position, items }) => {
                    self.complete(Node { position, value: Value::Sequence(items) })
                }
                Some(Open::Mapping { position, entries, .. }) => {
                    self.complete(Node { position, value: Value::Mapping(entries.list) })
                }
                None => Ok(()),
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, at: Position, open: Open) -> Result<(), Fatal> {
        if self.open.len() == DEPTH_MAX {
            return Err(too_deep(at));
        }
        self.open.push(open);
        Ok(())
    }

    /// Puts a whole node where it belongs: a document, an item, a key or a key's value.
    fn complete(&mut self, node: Node) -> Result<(), Fatal> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} keys and values");
            let hint = Some("split it into several files".into());
            return Err(Fatal { position: node.position, message, hint });
        }
        let problems = self.problems;
        match self.open.last_mut() {
            None if is_empty(&node) => {}
            None => self.documents.push(node),
            Some(Open::Sequence { items, .. }) => items.push(node),
            Some(Open::Mapping { entries, key, .. }) => match key.take() {
                None => *key = Some(read_key(node, problems)),
                Some(Key::Taken(key, position)) => entries.add(key, position, node, problems),
                Some(Key::Refused) => {}
            },
        }
        Ok(())
    }

    fn refuse_properties(&self, at: Position, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.refuse(at, "anchors are not accepted", "remove `&` and its name");
        }
        if tagged {
            self.refuse(at, "tags are not accepted", "remove `!` and its name; quote what is text");
        }
    }

    fn refuse(&self, at: Position, message: &str, hint: &str) {
        self.problems.add::<()>(at, message, Some(hint.into()));
    }
}

impl Entries {
    /// The first of two equal keys stands; the second is reported.
    fn add(&mut self, key: String, position: Position, value: Node, problems: &Problems<'_>) {
        if let Some(first) = self.first.get(&key) {
            let message = format!("duplicate key {}", quoted(&key));
            let hint = format!("it stands first at line {}, column {}", first.line, first.column);
            problems.add::<()>(position, message, Some(hint));
            return;
        }
        self.first.insert(key.clone(), position);
        self.list.push(Entry { key, position, value });
    }
}

fn read_key(node: Node, problems: &Problems<'_>) -> Key {
    let at = node.position;
    let (text, plain) = match node.value {
        Value::Scalar { text, plain } => (text, plain),
        Value::Sequence(_) | Value::Mapping(_) => {
            problems.add::<()>(at, "a key must be text", None);
            return Key::Refused;
        }
        Value::Refused => return Key::Refused,
    };
    if plain && text == "<<" {
        problems.add::<()>(at, "merge keys are not accepted", Some("write the keys out".into()));
        return Key::Refused;
    }
    if plain && !matches!(scalar::resolve(&text), scalar::Resolved::Text(_)) {
        problems.add::<()>(at, "a key must be text", Some("put it in quotes".into()));
        return Key::Refused;
    }
    Key::Taken(text, at)
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, plain: true } if text.is_empty())
}

fn too_deep(position: Position) -> Fatal {
    let message = format!("nested deeper than {DEPTH_MAX} levels");
    Fatal { position, message, hint: None }
}

/// The scanner's own words for what is not YAML; what it stops at but this reader refuses anyway is
/// said as the reader says it.
fn syntax(error: &ScanError, end: Position) -> Fatal {
    let position = position(*error.marker(), end);
    let refused = |message: &str, hint: &str| Fatal {
        position,
        message: message.into(),
        hint: Some(hint.into()),
    };
    match error.info() {
        "while parsing node, found unknown anchor" => {
            refused("aliases are not accepted", "write the value out, or put it in quotes")
        }
        "the handle wasn't declared" => refused("tags are not accepted", "put it in quotes"),
        "recursion limit exceeded" => too_deep(position),
        "mapping values are not allowed in this context" => refused(
            "not YAML: a second `: ` where a value stands",
            "put the value in quotes, or check the indentation",
        ),
        info => Fatal { position, message: format!("not YAML: {info}"), hint: None },
    }
}

/// The scanner counts columns from 0, and puts the end of a text on a line of its own.
fn position(marker: Marker, end: Position) -> Position {
    let from_one = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    let column = from_one(marker.col().saturating_add(1));
    Position { line: from_one(marker.line()), column }.min(end)
}
