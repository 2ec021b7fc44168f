//! JSON read in place: a flat list of values with their places in the text. Strict (RFC 8259), so
//! that no two readers can differ on what is masked: valid UTF-8, no lone surrogate, no member
//! twice in one object, bounded depth and number of values. Nothing is copied, and no memory is
//! taken for a text that is no larger than one before it.

mod text;

#[cfg(test)]
mod tests;

pub(crate) use text::{decode, encode, whole_characters};
use text::{scalar_length, string_length};

/// Deepest nesting of objects and arrays.
pub const DEPTH_MAX: usize = 64;

/// Most values in one text, objects and arrays among them.
pub const VALUES_MAX: usize = 1 << 20;

/// Names of one object that are compared one by one.
const FEW: usize = 16;

/// Why a text is not taken for JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("not JSON")]
    Syntax,
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("JSON nested too deeply")]
    TooDeep,
    /// More than [`VALUES_MAX`] values.
    #[error("JSON with too many values")]
    TooMany,
    /// A member stands twice in one object.
    #[error("a JSON object with a member twice")]
    Duplicate,
    /// Half of a surrogate pair.
    #[error("a JSON string with half a character")]
    Surrogate,
    /// Not UTF-8.
    #[error("JSON that is not UTF-8")]
    Encoding,
}

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// No value.
pub(crate) const NONE: u32 = u32::MAX;

/// One value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// A string with a backslash in it.
    pub(crate) is_escaped: bool,
    /// Its name has a backslash in it.
    name_is_escaped: bool,
    /// Where it begins, its quote or bracket included.
    pub(crate) start: u32,
    /// Just behind its end.
    pub(crate) end: u32,
    /// Its name without the quotes; empty, at 0, where it has none.
    name_start: u32,
    name_end: u32,
    /// The object or array that holds it, or [`NONE`].
    pub(crate) parent: u32,
    /// The value that follows it and all that it holds.
    pub(crate) next: u32,
    /// Its place in the array that holds it.
    pub(crate) position: u32,
    /// Of its decoded name; 0 where it has none.
    pub(crate) name_hash: u64,
}

impl Node {
    /// Whether it holds others.
    pub(crate) fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Object | Kind::Array)
    }

    /// Its bytes, quotes included.
    pub(crate) fn raw<'s>(&self, source: &'s [u8]) -> &'s [u8] {
        slice(source, self.start, self.end)
    }

    /// A string's bytes without the quotes.
    pub(crate) fn inside<'s>(&self, source: &'s [u8]) -> &'s [u8] {
        slice(source, self.start.saturating_add(1), self.end.saturating_sub(1))
    }

    /// Its name as it stands, without the quotes.
    pub(crate) fn raw_name<'s>(&self, source: &'s [u8]) -> &'s [u8] {
        slice(source, self.name_start, self.name_end)
    }

    /// Its name, decoded into `buffer` if need be.
    pub(crate) fn name<'n>(&self, source: &'n [u8], buffer: &'n mut Vec<u8>) -> &'n [u8] {
        let raw = self.raw_name(source);
        if !self.name_is_escaped {
            return raw;
        }
        buffer.clear();
        decode(raw, 0, usize::MAX, buffer);
        buffer
    }

    /// Whether its name has a backslash in it.
    pub(crate) fn has_escaped_name(&self) -> bool {
        self.name_is_escaped
    }

    /// Where its name stands, quotes included.
    pub(crate) fn name_place(&self) -> (usize, usize) {
        let start = self.name_start.saturating_sub(1);
        (start as usize, self.name_end.saturating_add(1) as usize)
    }
}

fn slice(source: &[u8], start: u32, end: u32) -> &[u8] {
    source.get(start as usize..end as usize).unwrap_or_default()
}

/// What may come next.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Expect {
    #[default]
    Value,
    FirstItem,
    FirstName,
    Name,
    Behind,
}

/// Whether a text has been read to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Read {
    Done,
    More,
}

/// An object or array that is still open.
#[derive(Clone, Copy, Debug)]
struct Open {
    node: u32,
    count: u32,
}

/// A name on its way to its value.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    start: u32,
    end: u32,
    is_escaped: bool,
    hash: u64,
}

/// The values of one text, in the order in which they begin.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    open: Vec<Open>,
    hashes: Vec<u64>,
    decoded: Vec<u8>,
    expect: Expect,
    name: Name,
    at: usize,
}

impl Tree {
    /// Ready for another text; keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
        self.open.clear();
        self.expect = Expect::Value;
        self.name = Name::default();
        self.at = 0;
    }

    /// All values; the first holds the others.
    #[cfg(test)]
    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One value.
    pub(crate) fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(index as usize)
    }

    /// The values directly inside one, first to last.
    pub(crate) fn children(&self, parent: u32) -> impl Iterator<Item = (u32, &Node)> {
        let end = self.node(parent).map_or(0, |node| node.next);
        let mut at = parent.saturating_add(1);
        std::iter::from_fn(move || {
            let node = self.node(at).filter(|_| at < end)?;
            let index = at;
            at = node.next;
            Some((index, node))
        })
    }

    /// A member of an object by its name, which has no backslash in it.
    pub(crate) fn member(&self, source: &[u8], object: u32, name: &str) -> Option<(u32, &Node)> {
        self.node(object).filter(|node| node.kind == Kind::Object)?;
        let hash = name_hash(name.as_bytes());
        self.children(object)
            .find(|(_, node)| node.name_hash == hash && node.is_named(source, name))
    }

    /// Reads on, for about `budget` bytes; strings are read to their end.
    pub(crate) fn read(&mut self, source: &[u8], budget: usize) -> Result<Read, JsonError> {
        let pause = self.at.saturating_add(budget);
        loop {
            self.skip_space(source);
            if self.expect == Expect::Behind && self.open.is_empty() {
                let is_end = self.at >= source.len();
                return if is_end { Ok(Read::Done) } else { Err(JsonError::Syntax) };
            }
            if self.at >= pause {
                return Ok(Read::More);
            }
            let byte = *source.get(self.at).ok_or(JsonError::Syntax)?;
            match (self.expect, byte) {
                (Expect::FirstItem, b']') | (Expect::FirstName, b'}') => self.close(byte)?,
                (Expect::Behind, b'}' | b']') => self.close(byte)?,
                (Expect::Behind, b',') => self.comma()?,
                (Expect::FirstName | Expect::Name, b'"') => self.take_name(source)?,
                (Expect::Value | Expect::FirstItem, _) => self.value(source, byte)?,
                (Expect::Behind | Expect::FirstName | Expect::Name, _) => {
                    return Err(JsonError::Syntax);
                }
            }
        }
    }

    fn skip_space(&mut self, source: &[u8]) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = source.get(self.at) {
            self.at = self.at.saturating_add(1);
        }
    }

    fn comma(&mut self) -> Result<(), JsonError> {
        let open = self.open.last().ok_or(JsonError::Syntax)?;
        let is_object = self.node(open.node).is_some_and(|node| node.kind == Kind::Object);
        self.expect = if is_object { Expect::Name } else { Expect::Value };
        self.at = self.at.saturating_add(1);
        Ok(())
    }

    fn close(&mut self, byte: u8) -> Result<(), JsonError> {
        let open = self.open.pop().ok_or(JsonError::Syntax)?;
        self.at = self.at.saturating_add(1);
        let (end, next) = (offset(self.at)?, offset(self.nodes.len())?);
        let wanted = if byte == b'}' { Kind::Object } else { Kind::Array };
        let node = self.nodes.get_mut(open.node as usize).ok_or(JsonError::Syntax)?;
        if node.kind != wanted {
            return Err(JsonError::Syntax);
        }
        (node.end, node.next) = (end, next);
        self.expect = Expect::Behind;
        if wanted == Kind::Object { self.check_names(open) } else { Ok(()) }
    }

    /// Names are told apart by a hash: two names with the same hash are refused as one name twice.
    fn check_names(&mut self, open: Open) -> Result<(), JsonError> {
        if open.count < 2 {
            return Ok(());
        }
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.clear();
        let mut is_twice = false;
        for (_, node) in self.children(open.node) {
            is_twice |= hashes.len() < FEW && hashes.contains(&node.name_hash);
            hashes.push(node.name_hash);
        }
        if hashes.len() > FEW {
            hashes.sort_unstable();
            is_twice = hashes.windows(2).any(|pair| pair.first() == pair.last());
        }
        self.hashes = hashes;
        if is_twice { Err(JsonError::Duplicate) } else { Ok(()) }
    }

    fn take_name(&mut self, source: &[u8]) -> Result<(), JsonError> {
        let rest = source.get(self.at..).unwrap_or_default();
        let (length, is_escaped) = string_length(rest)?;
        let (start, end) = (self.at.saturating_add(1), self.at.saturating_add(length));
        self.name.start = offset(start)?;
        self.name.end = offset(end.saturating_sub(1))?;
        self.name.is_escaped = is_escaped;
        let raw = source.get(start..end.saturating_sub(1)).unwrap_or_default();
        self.name.hash = if is_escaped {
            self.decoded.clear();
            decode(raw, 0, usize::MAX, &mut self.decoded);
            name_hash(&self.decoded)
        } else {
            name_hash(raw)
        };
        self.at = end;
        self.skip_space(source);
        if source.get(self.at) != Some(&b':') {
            return Err(JsonError::Syntax);
        }
        self.at = self.at.saturating_add(1);
        self.expect = Expect::Value;
        Ok(())
    }

    fn value(&mut self, source: &[u8], byte: u8) -> Result<(), JsonError> {
        let rest = source.get(self.at..).unwrap_or_default();
        let (kind, length, is_escaped) = match byte {
            b'{' => (Kind::Object, 1, false),
            b'[' => (Kind::Array, 1, false),
            b'"' => {
                let (length, is_escaped) = string_length(rest)?;
                (Kind::String, length, is_escaped)
            }
            _ => {
                let (kind, length) = scalar_length(rest)?;
                (kind, length, false)
            }
        };
        let index = offset(self.nodes.len())?;
        if self.nodes.len() >= VALUES_MAX {
            return Err(JsonError::TooMany);
        }
        let start = offset(self.at)?;
        self.at = self.at.saturating_add(length);
        let end = offset(self.at)?;
        let (parent, position) = match self.open.last_mut() {
            Some(open) => {
                let position = open.count;
                open.count = open.count.saturating_add(1);
                (open.node, position)
            }
            None => (NONE, 0),
        };
        let name = std::mem::take(&mut self.name);
        self.nodes.push(Node {
            kind,
            is_escaped,
            name_is_escaped: name.is_escaped,
            start,
            end,
            name_start: name.start,
            name_end: name.end,
            parent,
            next: index.saturating_add(1),
            position,
            name_hash: name.hash,
        });
        self.expect = match kind {
            Kind::Object => Expect::FirstName,
            Kind::Array => Expect::FirstItem,
            Kind::String | Kind::Number | Kind::True | Kind::False | Kind::Null => Expect::Behind,
        };
        if matches!(kind, Kind::Object | Kind::Array) {
            if self.open.len() >= DEPTH_MAX {
                return Err(JsonError::TooDeep);
            }
            self.open.push(Open { node: index, count: 0 });
        }
        Ok(())
    }
}

impl Node {
    /// Whether it has this name, however it is written. `name` has no backslash in it.
    pub(crate) fn is_named(&self, source: &[u8], name: &str) -> bool {
        if self.name_is_escaped {
            self.name_hash == name_hash(name.as_bytes())
        } else {
            self.raw_name(source) == name.as_bytes()
        }
    }
}

fn offset(at: usize) -> Result<u32, JsonError> {
    u32::try_from(at).ok().filter(|at| *at != NONE).ok_or(JsonError::TooMany)
}

/// Odd, with its bits well spread.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Of eight bytes at a time. Two names of one object that were made to collide are refused as one
/// name twice; nothing else depends on it.
pub(crate) fn name_hash(name: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word).wrapping_mul(u128::from(FACTOR));
        (product as u64) ^ (product >> 64) as u64
    };
    let (words, rest) = name.as_chunks::<8>();
    let hash =
        words.iter().fold(0x243f_6a88_85a3_08d3, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let last = rest.iter().fold(1, |word: u64, byte| word << 8 | u64::from(*byte));
    mix(hash, last)
}

/// Whether a text is one number, `true`, `false` or `null`.
pub(crate) fn is_scalar(text: &[u8]) -> bool {
    scalar_length(text).is_ok_and(|(_, length)| length == text.len())
}
