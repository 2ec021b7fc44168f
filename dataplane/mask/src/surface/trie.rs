//! Rows by the names on their paths: a value finds its row with one step from its parent's.

use super::{Role, Row};

/// The rows of a table.
pub(crate) struct Trie {
    spots: Vec<TrieNode>,
    unknown: Role,
}

#[derive(Default)]
struct TrieNode {
    names: Vec<(&'static str, u16)>,
    item: Option<u16>,
    role: Option<Role>,
}

/// Where a value stands in a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    node: Option<u16>,
    pub(crate) role: Role,
    /// Whether its name stands in the table.
    pub(crate) is_known: bool,
}

impl Trie {
    /// Of rows; of two with the same path the first counts.
    pub(crate) fn new(rows: &[&[Row]], unknown: Role) -> Self {
        let mut trie = Self { spots: vec![TrieNode::default()], unknown };
        for (path, role) in rows.iter().flat_map(|rows| rows.iter()) {
            let spot = trie.spot(path);
            if let Some(node) = trie.spots.get_mut(usize::from(spot)) {
                node.role.get_or_insert(*role);
            }
        }
        trie
    }

    fn spot(&mut self, path: &'static str) -> u16 {
        let mut at = 0;
        for part in path.split('.') {
            let name = part.trim_end_matches("[]");
            at = self.named(at, name);
            for _ in 0..part.len().saturating_sub(name.len()) / 2 {
                at = self.item(at);
            }
        }
        at
    }

    fn named(&mut self, at: u16, name: &'static str) -> u16 {
        let next = u16::try_from(self.spots.len()).unwrap_or(u16::MAX);
        let Some(node) = self.spots.get_mut(usize::from(at)) else { return at };
        if let Some((_, known)) = node.names.iter().find(|(known, _)| *known == name) {
            return *known;
        }
        node.names.push((name, next));
        self.spots.push(TrieNode::default());
        next
    }

    fn item(&mut self, at: u16) -> u16 {
        let next = u16::try_from(self.spots.len()).unwrap_or(u16::MAX);
        let Some(node) = self.spots.get_mut(usize::from(at)) else { return at };
        if let Some(known) = node.item {
            return known;
        }
        node.item = Some(next);
        self.spots.push(TrieNode::default());
        next
    }

    /// Of the text as a whole.
    pub(crate) fn root(&self) -> Spot {
        Spot { node: Some(0), role: self.unknown, is_known: true }
    }

    /// Of a member.
    #[inline]
    pub(crate) fn member(&self, parent: Spot, name: &[u8]) -> Spot {
        let names = self.node(parent).map_or(&[][..], |node| &node.names);
        let known = names.iter().find(|(known, _)| known.as_bytes() == name);
        self.inside(parent, known.map(|(_, node)| *node))
    }

    /// Of an item. Answers of several at once are arrays of answers.
    #[inline]
    pub(crate) fn item_of(&self, parent: Spot) -> Spot {
        if parent.node == Some(0) {
            return parent;
        }
        let item = self.node(parent).and_then(|node| node.item);
        Spot { is_known: true, ..self.inside(parent, item) }
    }

    fn node(&self, spot: Spot) -> Option<&TrieNode> {
        self.spots.get(usize::from(spot.node?))
    }

    fn inside(&self, parent: Spot, node: Option<u16>) -> Spot {
        let spot = Spot { node, role: parent.role, is_known: node.is_some() };
        let own = self.node(spot).and_then(|node| node.role);
        Spot { role: own.unwrap_or(parent.role), ..spot }
    }
}
