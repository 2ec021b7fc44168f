//! What each value of a JSON text is, and what is to be done with it.

use penstock_config::documents::Unreadable;

use crate::analysis::is_word;
use crate::event::Unmaskable;
use crate::json::{Kind, Node, Read, Tree, decode, name_hash};
use crate::surface::{Compiled, Ends, Role, Spot, Trie};

/// Values that are looked at in one turn.
const TURN_VALUES: usize = 4096;

/// Indices that tell the texts of one path apart; deeper ones are mixed into the last.
const CAPTURES_MAX: usize = 6;

/// Most ends of texts that one event may tell.
const FINISHES_MAX: usize = 4096;

/// What stands for `[]` in the hash of a path.
const ITEM: u64 = 0x9e37_79b9_7f4a_7c15;

/// Indices on the way to a value: of choices, of tools, of blocks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Captures {
    values: [u32; CAPTURES_MAX],
    count: usize,
}

impl Captures {
    fn push(&mut self, value: u32) {
        if let Some(slot) = self.values.get_mut(self.count) {
            *slot = value;
            self.count = self.count.saturating_add(1);
        } else if let Some(last) = self.values.last_mut() {
            *last = last.rotate_left(5) ^ value;
        }
    }

    /// Whether the others are these, or these with more behind them.
    pub(crate) fn contain(&self, others: &Self) -> bool {
        others.values.starts_with(self.values.get(..self.count).unwrap_or_default())
            && others.count >= self.count
    }
}

/// Which text of a stream a piece belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Key {
    /// Hash of the names on its path.
    path: u64,
    pub(crate) captures: Captures,
}

/// How values are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Texts come in pieces.
    Stream,
    /// Every text is whole.
    Whole,
}

/// What is done with a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verb {
    /// Masked by itself.
    Whole,
    /// A word that says why a text ended: masked by itself, and nobody is asked about it.
    Word,
    /// Masked by itself, as JSON.
    WholeJson,
    /// Its name is masked.
    Name,
    /// A number, masked by itself.
    Scalar,
    /// Replaced, whatever it is.
    Field,
    /// Left out: it can't be read.
    Strip,
    /// A piece of this text of the stream.
    Delta(u16),
}

/// What is done with which value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    pub(super) node: u32,
    pub(super) verb: Verb,
}

/// An object or array above the value that is looked at.
#[derive(Clone, Copy)]
struct Level {
    end: u32,
    is_object: bool,
    spot: Spot,
    path: u64,
    captures: Captures,
}

/// Finds the text that a piece belongs to: `(key, role, number of the act)`.
pub(crate) type Assign<'a> = &'a mut dyn FnMut(Key, Role, u32) -> Result<u16, Unmaskable>;

/// What is to be done with one JSON text.
#[derive(Default)]
pub(crate) struct Plan {
    pub(super) acts: Vec<Act>,
    finishes: Vec<Captures>,
    ends_all: bool,
    levels: Vec<Level>,
    begun: Option<(&'static Trie, Level)>,
    decoded: Vec<u8>,
    next: u32,
    /// Values that are replaced whatever they are, in their order.
    pub(crate) fields: Vec<u32>,
}

/// What a plan is made from.
#[derive(Clone, Copy)]
pub(crate) struct Basis<'b> {
    pub(crate) tree: &'b Tree,
    pub(crate) json: &'b [u8],
    pub(crate) table: &'static Compiled,
    pub(crate) mode: Mode,
    pub(crate) unreadable: Unreadable,
}

impl Plan {
    pub(crate) fn clear(&mut self) {
        self.acts.clear();
        self.finishes.clear();
        self.ends_all = false;
        self.levels.clear();
        self.begun = None;
        self.next = 0;
        self.fields.clear();
    }

    /// Whether the text with these indices ends with this event.
    pub(crate) fn ends(&self, key: &Key) -> bool {
        self.ends_all || self.finishes.iter().any(|finish| finish.contain(&key.captures))
    }

    /// All texts end.
    pub(crate) fn end_all(&mut self) {
        self.ends_all = true;
    }

    /// Goes on with the plan.
    pub(crate) fn advance(
        &mut self,
        basis: &Basis<'_>,
        assign: Assign<'_>,
    ) -> Result<Read, Unmaskable> {
        let (trie, root) = self.begin(basis);
        for _ in 0..TURN_VALUES {
            let Some(node) = basis.tree.node(self.next) else { return Ok(Read::Done) };
            let index = self.next;
            while self.levels.last().is_some_and(|level| level.end <= index) {
                self.levels.pop();
            }
            let level = self.level(basis, trie, &root, index, node);
            let name = node.raw_name(basis.json);
            let is_said = !matches!(level.spot.role, Role::Pass | Role::Once);
            if !level.spot.is_known && !name.is_empty() && is_said {
                self.acts.push(Act { node: index, verb: Verb::Name });
            }
            self.next = if self.fields.binary_search(&index).is_ok() {
                self.acts.push(Act { node: index, verb: Verb::Field });
                node.next
            } else if node.is_container() {
                self.container(basis, level, index, node)?
            } else {
                self.leaf(basis, &level, index, node, assign)?;
                node.next
            };
        }
        Ok(Read::More)
    }

    /// What holds for the text as a whole, found once.
    fn begin(&mut self, basis: &Basis<'_>) -> (&'static Trie, Level) {
        if let Some(begun) = self.begun {
            return begun;
        }
        let (trie, ends, seed) = select(basis, &mut self.decoded);
        let mut captures = Captures::default();
        if basis.mode == Mode::Stream {
            captures = root_captures(basis);
        }
        match ends {
            Ends::Told => {}
            Ends::Captured => self.finishes.push(captures),
            Ends::All => self.ends_all = true,
        }
        let spot = trie.root();
        let root = Level { end: u32::MAX, is_object: false, spot, path: seed, captures };
        self.begun = Some((trie, root));
        (trie, root)
    }

    /// An end of texts; one that was told just before counts once.
    fn finish(&mut self, captures: Captures) -> Result<(), Unmaskable> {
        if self.finishes.last() == Some(&captures) {
            return Ok(());
        }
        if self.finishes.len() >= FINISHES_MAX {
            return Err(Unmaskable::TooManyTexts);
        }
        self.finishes.push(captures);
        Ok(())
    }

    fn level(
        &mut self,
        basis: &Basis<'_>,
        trie: &Trie,
        root: &Level,
        index: u32,
        node: &Node,
    ) -> Level {
        let is_object = node.kind == Kind::Object;
        let Some(parent) = self.levels.last() else {
            let mut level = Level { end: node.next, is_object, ..*root };
            // A stream of bare strings is one text.
            if node.kind == Kind::String && level.spot.role == Role::Whole {
                level.spot.role = Role::Delta;
            }
            return level;
        };
        let mut level = Level { end: node.next, is_object, ..*parent };
        if parent.is_object {
            let name = node.name(basis.json, &mut self.decoded);
            level.spot = trie.member(parent.spot, name);
            level.path = mix(parent.path, node.name_hash);
        } else {
            level.spot = trie.item_of(parent.spot);
            level.path = mix(parent.path, ITEM);
            if basis.mode == Mode::Stream {
                level.captures.push(item_index(basis, index, node));
            }
        }
        level
    }

    /// The value to look at next.
    fn container(
        &mut self,
        basis: &Basis<'_>,
        mut level: Level,
        index: u32,
        node: &Node,
    ) -> Result<u32, Unmaskable> {
        let is_empty = node.next == index.saturating_add(1);
        if level.spot.role.is_unreadable() {
            if !is_empty {
                self.unreadable(basis, level.spot.role, index)?;
            }
            return Ok(node.next);
        }
        match level.spot.role {
            Role::Finish | Role::Final => {
                self.finish(level.captures)?;
                level.spot.role = Role::Whole;
            }
            Role::DeltaJson | Role::WholeJson => level.spot.role = Role::Data,
            Role::Pass
            | Role::Once
            | Role::Whole
            | Role::Delta
            | Role::Growing
            | Role::Data
            | Role::Prompt
            | Role::Address
            | Role::Ids
            | Role::Tokens
            | Role::Opaque => {}
        }
        self.levels.push(level);
        Ok(index.saturating_add(1))
    }

    fn leaf(
        &mut self,
        basis: &Basis<'_>,
        level: &Level,
        index: u32,
        node: &Node,
        assign: Assign<'_>,
    ) -> Result<(), Unmaskable> {
        let role = level.spot.role;
        if node.kind != Kind::String {
            return self.scalar(basis, level, index, node);
        }
        let is_empty = node.inside(basis.json).is_empty();
        let verb = match role {
            Role::Pass | Role::Once => return Ok(()),
            Role::Finish if is_empty => return Ok(()),
            Role::Finish | Role::Final => {
                self.finish(level.captures)?;
                let is_word = role == Role::Finish && is_word(node.inside(basis.json));
                if is_word { Verb::Word } else { Verb::Whole }
            }
            Role::Ids | Role::Tokens | Role::Opaque if is_empty => return Ok(()),
            Role::Ids | Role::Tokens | Role::Opaque => {
                return self.unreadable(basis, role, index);
            }
            Role::Address if self.holds_bytes(basis, node) => {
                return self.unreadable(basis, Role::Opaque, index);
            }
            Role::Address | Role::Whole | Role::Data | Role::Prompt => Verb::Whole,
            Role::WholeJson => Verb::WholeJson,
            Role::Delta | Role::DeltaJson | Role::Growing => match basis.mode {
                Mode::Whole if role == Role::DeltaJson => Verb::WholeJson,
                Mode::Whole => Verb::Whole,
                Mode::Stream => {
                    let act = u32::try_from(self.acts.len()).unwrap_or(u32::MAX);
                    let key = Key { path: level.path, captures: level.captures };
                    Verb::Delta(assign(key, role, act)?)
                }
            },
        };
        if !is_empty || matches!(verb, Verb::Delta(_)) {
            self.acts.push(Act { node: index, verb });
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        basis: &Basis<'_>,
        level: &Level,
        index: u32,
        node: &Node,
    ) -> Result<(), Unmaskable> {
        let role = level.spot.role;
        if node.kind == Kind::True && role == Role::Finish {
            self.finish(level.captures)?;
        }
        if node.kind != Kind::Number {
            return Ok(());
        }
        if role == Role::Data {
            self.acts.push(Act { node: index, verb: Verb::Scalar });
        }
        let role = if role == Role::Prompt { Role::Ids } else { role };
        if role.is_unreadable() { self.unreadable(basis, role, index) } else { Ok(()) }
    }

    fn holds_bytes(&mut self, basis: &Basis<'_>, node: &Node) -> bool {
        self.decoded.clear();
        decode(node.inside(basis.json), 0, 5, &mut self.decoded);
        let start = self.decoded.get(..5).unwrap_or_default();
        start.eq_ignore_ascii_case(b"data:") || !self.looks_like_address()
    }

    /// An address has a scheme; what has none may be bytes in base64.
    fn looks_like_address(&self) -> bool {
        [b"http".as_slice(), b"HTTP", b"file", b"gs:/", b"s3:/", b"ftp:"]
            .iter()
            .any(|scheme| self.decoded.starts_with(scheme))
    }

    fn unreadable(&mut self, basis: &Basis<'_>, role: Role, index: u32) -> Result<(), Unmaskable> {
        match basis.unreadable {
            Unreadable::Pass => {}
            Unreadable::Strip => self.acts.push(Act { node: index, verb: Verb::Strip }),
            Unreadable::Refuse => {
                let is_ids = role == Role::Ids;
                let other = if role == Role::Tokens {
                    Unmaskable::LogProbabilities
                } else {
                    Unmaskable::Opaque
                };
                return Err(if is_ids { Unmaskable::TokenIds } else { other });
            }
        }
        Ok(())
    }
}

/// The rows for this text, which texts it ends, and what its paths begin with.
pub(crate) fn select(basis: &Basis<'_>, decoded: &mut Vec<u8>) -> (&'static Trie, Ends, u64) {
    let Basis { tree, json, table, .. } = *basis;
    let kind = tree.member(json, 0, "type").filter(|(_, node)| node.kind == Kind::String);
    let Some((_, node)) = kind else {
        let (trie, ends) = table.select(None);
        return (trie, ends, 0);
    };
    decoded.clear();
    decode(node.inside(json), 0, 256, decoded);
    let (trie, ends) = table.select(Some(decoded));
    let seed = if table.table.splits_by_type { name_hash(decoded) } else { 0 };
    (trie, ends, seed)
}

fn mix(path: u64, name: u64) -> u64 {
    (path ^ name).wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(23)
}

/// An item's place is what it says, or where it stands.
fn item_index(basis: &Basis<'_>, index: u32, node: &Node) -> u32 {
    let told = basis.tree.member(basis.json, index, "index");
    told.and_then(|(_, node)| whole_number(node, basis.json)).unwrap_or(node.position)
}

/// What a member says, in whatever form a client takes for that number; all that are no whole
/// numbers have one together. `None`: it is null.
fn whole_number(node: &Node, json: &[u8]) -> Option<u32> {
    let raw = if node.kind == Kind::String { node.inside(json) } else { node.raw(json) };
    let text = std::str::from_utf8(raw).unwrap_or_default().trim_matches(' ');
    if text == "null" {
        return None;
    }
    let number = text.parse().or_else(|_| text.parse::<f64>().map_err(|_| ()).and_then(whole));
    Some(number.unwrap_or(u32::MAX))
}

/// A number without a fraction.
fn whole(number: f64) -> Result<u32, ()> {
    let is_whole = number.fract() == 0.0 && (0.0..f64::from(u32::MAX)).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at before")]
    if is_whole { Ok(number as u32) } else { Err(()) }
}

/// Members of the text that tell its texts apart.
fn root_captures(basis: &Basis<'_>) -> Captures {
    let mut captures = Captures::default();
    for alternatives in basis.table.table.captures {
        let found = alternatives.iter().find_map(|path| {
            let value = path.iter().try_fold(0, |at, name| {
                basis.tree.member(basis.json, at, name).map(|(index, _)| index)
            })?;
            let node = basis.tree.node(value)?;
            if node.kind == Kind::String {
                let hash = name_hash(node.inside(basis.json));
                return Some((hash ^ hash >> 32) as u32);
            }
            whole_number(node, basis.json)
        });
        if let Some(value) = found {
            captures.push(value);
        }
    }
    captures
}
