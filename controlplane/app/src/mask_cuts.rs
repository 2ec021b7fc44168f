//! Masks that change under exchanges that run. In: documents before and after. Out: marks of when
//! the masks of a connection changed, and up to where its exchanges are cut for it. A changed mask
//! is for exchanges that begin later; only who applies with `cut_open` ends those that run.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_config::documents::{Connection, Mask};
use penstock_config::glob;
use penstock_config::node::Position;
use serde::{Deserialize, Serialize};

use crate::draft::Draft;
use crate::event::Change;
use crate::state::{DOCUMENTS_MAX, DocumentKey, State, StoredDocument};

type Documents = BTreeMap<DocumentKey, StoredDocument>;

/// Most marks of connections that are gone; beyond it the oldest are forgotten.
pub const GONE_MAX: usize = DOCUMENTS_MAX;

/// What is known of a connection whose masks have changed since it is there, or that is or was
/// gone. There is none for any other connection, so there are at most as many as connections, and
/// [`GONE_MAX`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MaskMark {
    /// The first position under which exchanges begin with the masks that it has now.
    pub changed: Position,
    /// Exchanges that began under an earlier position are cut; none was asked for yet.
    pub cut: Option<Position>,
}

impl MaskMark {
    /// Whether exchanges with earlier masks may go on.
    fn is_open(&self) -> bool {
        self.cut < Some(self.changed)
    }
}

/// What became of connections by their masks; names, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Remasked {
    /// Their masks changed.
    pub(crate) changed: Vec<String>,
    /// Exchanges on them that began under earlier masks end.
    pub(crate) cut: Vec<String>,
}

impl State {
    /// Up to where exchanges are cut, by name of their connection; those that are gone need none.
    pub(crate) fn mask_cuts(&self) -> BTreeMap<String, Position> {
        let is_there = |name: &String| is_there(&self.durable.documents, name);
        let marks = self.durable.mask_marks.iter().filter(|(name, _)| is_there(name));
        marks.filter_map(|(name, mark)| Some((name.clone(), mark.cut?))).collect()
    }

    /// Names of connections of which exchanges may run that began under earlier masks.
    pub(crate) fn open_masks(&self) -> Vec<String> {
        let marks = self.durable.mask_marks.iter();
        marks.filter(|(_, mark)| mark.is_open()).map(|(name, _)| name.clone()).collect()
    }
}

/// Other documents are in force, at a position of their own.
pub(crate) fn follow_documents(draft: &mut Draft, before: &Documents, cut_open: bool) -> Remasked {
    cut_gone(draft, before);
    let changed = changed(before, &draft.state.durable.documents);
    let position = draft.state.durable.position;
    for name in &changed {
        let cut = draft.state.durable.mask_marks.get(name).and_then(|mark| mark.cut);
        set(draft, name, MaskMark { changed: position, cut });
    }
    let cut = if cut_open { cut_all(draft) } else { Vec::new() };
    Remasked { changed, cut }
}

/// Cuts whatever runs under earlier masks; returns the names of those connections.
pub(crate) fn cut_all(draft: &mut Draft) -> Vec<String> {
    let open = draft.state.open_masks();
    for name in &open {
        let Some(mark) = draft.state.durable.mask_marks.get(name).copied() else { continue };
        set(draft, name, MaskMark { cut: Some(mark.changed), ..mark });
    }
    open
}

fn set(draft: &mut Draft, name: &str, mark: MaskMark) {
    Arc::make_mut(&mut draft.state.durable.mask_marks).insert(name.to_owned(), mark);
    draft.change(Change::MaskMarkSet(name.to_owned(), mark));
}

/// Exchanges on connections that are gone end for that. A core may see the next snapshot only in
/// which a connection of the same name is there again: what began before is cut by a mark that
/// stays.
fn cut_gone(draft: &mut Draft, before: &Documents) {
    let documents = Arc::clone(&draft.state.durable.documents);
    let position = draft.state.durable.position;
    let connections = before.values().filter_map(|stored| stored.document.as_connection());
    for gone in connections.filter(|one| !is_there(&documents, &one.name)) {
        set(draft, &gone.name, MaskMark { changed: position, cut: Some(position) });
    }
    let marks = draft.state.durable.mask_marks.iter();
    let gone = marks.filter(|(name, _)| !is_there(&documents, name));
    let mut gone: Vec<_> = gone.map(|(name, mark)| (mark.changed, name.clone())).collect();
    let many = gone.len().saturating_sub(GONE_MAX);
    if many == 0 {
        return;
    }
    gone.sort_unstable();
    for (_, name) in gone.into_iter().take(many) {
        Arc::make_mut(&mut draft.state.durable.mask_marks).remove(&name);
        draft.change(Change::MaskMarkDeleted(name));
    }
}

fn is_there(documents: &Documents, connection: &str) -> bool {
    documents.contains_key(&key("connection", connection))
}

/// Names of connections in both sets that are masked otherwise in the second one.
fn changed(before: &Documents, after: &Documents) -> Vec<String> {
    let old = |connection: &Connection| {
        before.get(&key("connection", &connection.name))?.document.as_connection()
    };
    let connections = after.values().filter_map(|stored| stored.document.as_connection());
    let pairs = connections.filter_map(|new| Some((old(new)?, new)));
    pairs
        .filter(|(old, new)| {
            let (was, is) = (mask_of(before, old), mask_of(after, new));
            was != is && applied(was, &old.name) != applied(is, &new.name)
        })
        .map(|(_, new)| new.name.clone())
        .collect()
}

fn mask_of<'d>(documents: &'d Documents, connection: &Connection) -> Option<&'d Mask> {
    documents.get(&key("mask", connection.mask.as_ref()?))?.document.as_mask()
}

/// A mask as far as it concerns one connection: neither its name nor what it does elsewhere counts.
fn applied(mask: Option<&Mask>, connection: &str) -> Option<Mask> {
    let mut mask = mask?.clone();
    mask.name.clear();
    mask.overrides.retain(|one| one.connections.iter().any(|glob| glob::matches(glob, connection)));
    for one in &mut mask.overrides {
        one.connections.clear();
    }
    Some(mask)
}

fn key(kind: &'static str, name: &str) -> DocumentKey {
    DocumentKey { kind, name: name.to_owned() }
}
