//! The texts of one stream that are under way, and the event in which each can be told what is held
//! of it.

use std::sync::Arc;

use penstock_http::stream::StreamKind;

use crate::event::json_text::JsonText;
use crate::event::turn::{Reading, Turn};
use crate::event::{Key, Part, Parts, Plan, Rewrite, Source, Text, Unmaskable, select};
use crate::json::{DEPTH_MAX, Kind, NONE, Node, encode};
use crate::stream::TEXTS_MAX;
use crate::surface::{Role, Spot, Trie};

/// Longest event of our own without its text, in bytes.
const EVENT_BYTES_MAX: usize = 2 << 10;

/// Members that are looked at for an event of our own, of each object.
const MEMBERS_MAX: usize = 64;

/// Longest member that is copied into an event of our own, in bytes.
const MEMBER_BYTES_MAX: usize = 256;

/// How a text comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Growth {
    /// Piece by piece.
    Pieces,
    /// Not told yet: so far each event may be a piece or all.
    Open,
    /// All of it in each event.
    All,
}

/// One text.
#[derive(Clone)]
struct Live {
    key: Key,
    role: Role,
    text: Text,
    growth: Growth,
    /// What came last, as it stood in its string, where it may come again. Copies of a text share
    /// it.
    previous: Arc<[u8]>,
    /// An event with an empty text, and where the text goes.
    saved: Vec<u8>,
    split: usize,
    is_open: bool,
    /// Whether this event ends it.
    ends: bool,
    /// Whether its next piece is the last.
    is_ending: bool,
    /// The last event, and its act, in which it has a part.
    event: u64,
    act: u32,
}

/// All texts of a stream.
#[derive(Clone)]
pub(super) struct Lives {
    list: Vec<Live>,
    kind: StreamKind,
    is_numbered: bool,
    event: u64,
    /// The text that is told next in an event of our own, and how far it came.
    next: usize,
    from: Option<usize>,
    masked: Vec<u8>,
    piece: Vec<u8>,
    decoded: Vec<u8>,
}

impl Lives {
    pub(super) fn new(kind: StreamKind, is_numbered: bool) -> Self {
        Self {
            list: Vec::new(),
            kind,
            is_numbered,
            event: 0,
            next: 0,
            from: None,
            masked: Vec::new(),
            piece: Vec::new(),
            decoded: Vec::new(),
        }
    }

    /// Another event begins.
    pub(super) fn begin(&mut self) {
        self.event = self.event.wrapping_add(1);
        self.next = 0;
        self.from = None;
    }

    /// Whether text is held.
    pub(super) fn hold_text(&self) -> bool {
        self.list.iter().any(|live| live.is_open && live.text.held_bytes() > 0)
    }

    /// Bytes of text that are held.
    pub(super) fn held_bytes(&self) -> usize {
        let open = self.list.iter().filter(|live| live.is_open);
        open.fold(0, |sum, live| sum.saturating_add(live.text.held_bytes()))
    }

    /// Bytes of text that may come again.
    pub(super) fn previous_bytes(&self) -> usize {
        self.list.iter().fold(0, |sum, live| sum.saturating_add(live.previous.len()))
    }

    /// Bytes that a copy of it takes, beside a fixed part of each text.
    pub(super) fn copy_bytes(&self) -> usize {
        let bytes = |live: &Live| live.text.held_bytes().saturating_add(live.saved.len());
        self.list.iter().fold(0, |sum, live| sum.saturating_add(bytes(live)))
    }

    /// The text that a piece belongs to.
    pub(super) fn assign(&mut self, key: Key, role: Role, act: u32) -> Result<u16, Unmaskable> {
        let known = self.list.iter().position(|live| live.is_open && live.key == key);
        let slot = match known {
            Some(slot) => slot,
            None => self.open(key, role)?,
        };
        if let Some(live) = self.list.get_mut(slot) {
            (live.event, live.act) = (self.event, act);
        }
        u16::try_from(slot).map_err(|_| Unmaskable::TooManyTexts)
    }

    fn open(&mut self, key: Key, role: Role) -> Result<usize, Unmaskable> {
        let is_json = role == Role::DeltaJson;
        let text = if is_json { Text::Json(JsonText::new()) } else { Text::plain() };
        let growth = if role == Role::Growing { Growth::Open } else { Growth::Pieces };
        let free = self.list.iter().position(|live| !live.is_open);
        if let Some((slot, live)) = free.and_then(|slot| Some((slot, self.list.get_mut(slot)?))) {
            (live.key, live.role, live.growth) = (key, role, growth);
            if matches!(live.text, Text::Json(_)) != is_json {
                live.text = text;
            }
            live.is_open = true;
            return Ok(slot);
        }
        if self.list.len() >= TEXTS_MAX {
            return Err(Unmaskable::TooManyTexts);
        }
        self.list.push(Live {
            key,
            role,
            text,
            growth,
            previous: Arc::default(),
            saved: Vec::new(),
            split: 0,
            is_open: true,
            ends: false,
            is_ending: false,
            event: 0,
            act: 0,
        });
        Ok(self.list.len().saturating_sub(1))
    }

    /// Finds the texts that this event ends.
    pub(super) fn mark(&mut self, plan: &Plan) {
        for live in self.list.iter_mut().filter(|live| live.is_open) {
            live.ends = plan.ends(&live.key);
        }
    }

    /// Tells what is held of texts that end with this event and have no part in it, each in an
    /// event of its own; whether all are told.
    pub(super) fn tell(&mut self, turn: &mut Turn<'_>, out: &mut Vec<u8>) -> bool {
        while let Some(live) = self.list.get_mut(self.next) {
            let has_part = live.event == self.event;
            if live.is_open && !has_part && live.ends {
                if turn.is_over() {
                    return false;
                }
                let (masked, piece) = (&mut self.masked, &mut self.piece);
                if live.growth == Growth::All && (live.holds() || self.from.is_some()) {
                    if !live.tell_all(&mut self.from, turn, masked, piece, out) {
                        return false;
                    }
                } else {
                    masked.clear();
                    live.text.finish(turn, masked);
                    live.tell(masked, out);
                }
                live.close();
            }
            self.next = self.next.saturating_add(1);
        }
        true
    }

    /// No progress in time.
    pub(super) fn stalled(&mut self, release: bool, turn: &mut Turn<'_>, out: &mut Vec<u8>) {
        for live in self.list.iter_mut().filter(|live| live.is_open && live.holds()) {
            // A text that comes whole again must not be shown otherwise than it will be.
            if live.growth == Growth::Pieces {
                self.masked.clear();
                live.text.stalled(turn, release, &mut self.masked);
                live.tell(&self.masked, out);
            }
        }
    }
}

impl Live {
    fn holds(&self) -> bool {
        self.text.held_bytes() > 0
    }

    fn tell(&self, masked: &[u8], out: &mut Vec<u8>) {
        if masked.is_empty() || self.saved.is_empty() {
            return;
        }
        out.extend_from_slice(self.saved.get(..self.split).unwrap_or_default());
        encode(masked, out);
        out.extend_from_slice(self.saved.get(self.split..).unwrap_or_default());
    }

    /// A text that comes whole each time, once more, to its end.
    fn tell_all(
        &mut self,
        from: &mut Option<usize>,
        turn: &mut Turn<'_>,
        masked: &mut Vec<u8>,
        piece: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> bool {
        let mut at = from.unwrap_or_else(|| {
            self.text.renew();
            out.extend_from_slice(self.saved.get(..self.split).unwrap_or_default());
            0
        });
        let reading = Reading { raw: &self.previous, is_escaped: true };
        while at < self.previous.len() {
            if turn.is_over() {
                *from = Some(at);
                return false;
            }
            let (text, end) = reading.piece(at, turn.piece_bytes(), piece);
            masked.clear();
            self.text.push(turn, text, masked);
            encode(masked, out);
            at = end;
        }
        masked.clear();
        self.text.finish(turn, masked);
        encode(masked, out);
        out.extend_from_slice(self.saved.get(self.split..).unwrap_or_default());
        *from = None;
        true
    }

    fn close(&mut self) {
        self.text.renew();
        self.previous = Arc::default();
        self.saved.clear();
        (self.is_open, self.ends) = (false, false);
    }

    /// Finds out how the text comes; whether what it holds of other events counts no more.
    fn grow(&mut self, raw: &[u8]) -> bool {
        if raw.is_empty() && !self.is_ending {
            return false;
        }
        let is_longer = raw.len() > self.previous.len();
        let is_more = raw.starts_with(&self.previous) && !self.previous.is_empty();
        let is_less = self.is_ending && self.previous.starts_with(raw);
        self.growth = match self.growth {
            Growth::Pieces => Growth::Pieces,
            Growth::Open if self.previous.is_empty() => Growth::Open,
            Growth::Open if is_more && (is_longer || self.is_ending) => Growth::All,
            Growth::Open if is_more => Growth::Open,
            Growth::All if is_more || is_less => Growth::All,
            Growth::Open | Growth::All => Growth::Pieces,
        };
        if self.growth == Growth::Pieces {
            self.previous = Arc::default();
        } else if *self.previous != *raw {
            self.previous = Arc::from(raw);
        }
        let is_all = self.growth == Growth::All;
        if is_all {
            self.text.renew();
        }
        is_all
    }
}

/// The texts that have a part in one event.
pub(super) struct EventParts<'p> {
    pub(super) lives: &'p mut Lives,
    /// What an event of our own begins with.
    pub(super) head: &'p [u8],
    /// Where a part belongs that has no text.
    pub(super) nowhere: &'p mut Text,
}

impl Parts for EventParts<'_> {
    fn part(&mut self, slot: u16, act: u32, is_first: bool, raw: &[u8]) -> Part<'_> {
        let Some(live) = self.lives.list.get_mut(usize::from(slot)) else {
            return Part { text: self.nowhere, ends: true, is_whole: true };
        };
        live.is_ending = live.ends && live.act == act;
        if is_first && live.role == Role::Growing {
            live.grow(raw);
        }
        let is_whole = live.growth == Growth::All;
        Part { text: &mut live.text, ends: live.is_ending, is_whole }
    }

    fn done(
        &mut self,
        slot: u16,
        node: u32,
        rewrite: &Rewrite,
        source: &Source<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Unmaskable> {
        let Lives { list, decoded, kind, is_numbered, .. } = &mut *self.lives;
        let Some(live) = list.get_mut(usize::from(slot)) else { return Ok(()) };
        if live.is_ending {
            live.close();
            return Ok(());
        }
        let may_hold = live.text.held_bytes() > 0 || turn.is_rehearsing();
        if !may_hold || !(live.saved.is_empty() || *is_numbered) {
            return Ok(());
        }
        live.saved.clear();
        live.saved.extend_from_slice(self.head);
        let basis = rewrite.basis(source.json());
        let (trie, _, _) = select(&basis, decoded);
        let (json, out) = (source.json(), &mut live.saved);
        let mut reduction = Reduction { rewrite, json, trie, out, decoded };
        live.split = reduction.write(node, turn)?;
        live.saved.extend_from_slice(match kind {
            StreamKind::Sse => b"\n\n",
            StreamKind::Ndjson => b"\n",
        });
        Ok(())
    }
}

/// An event with one empty text and what says whose it is.
struct Reduction<'r> {
    rewrite: &'r Rewrite,
    json: &'r [u8],
    trie: &'static Trie,
    out: &'r mut Vec<u8>,
    decoded: &'r mut Vec<u8>,
}

impl Reduction<'_> {
    /// Writes it; where the text goes.
    fn write(&mut self, node: u32, turn: &mut Turn<'_>) -> Result<usize, Unmaskable> {
        let mut path = [NONE; DEPTH_MAX + 1];
        let mut length: usize = 0;
        let mut at = node;
        while at != NONE {
            *path.get_mut(length).ok_or(Unmaskable::Members)? = at;
            length = length.saturating_add(1);
            at = self.rewrite.tree.node(at).map_or(NONE, |node| node.parent);
        }
        let path = path.get(..length).unwrap_or_default();
        let mut spot = self.trie.root();
        for pair in path.windows(2).rev() {
            let &[child, parent] = pair else { continue };
            spot = self.enter(parent, child, spot, turn);
        }
        self.out.push(b'"');
        let split = self.out.len();
        self.out.push(b'"');
        for parent in path.iter().skip(1) {
            let kind = self.rewrite.tree.node(*parent).map(|node| node.kind);
            self.out.push(if kind == Some(Kind::Object) { b'}' } else { b']' });
        }
        if self.out.len() > EVENT_BYTES_MAX { Err(Unmaskable::Members) } else { Ok(split) }
    }

    fn enter(&mut self, parent: u32, child: u32, spot: Spot, turn: &mut Turn<'_>) -> Spot {
        let rewrite = self.rewrite;
        let tree = &rewrite.tree;
        let (Some(node), Some(inner)) = (tree.node(parent), tree.node(child)) else { return spot };
        if node.kind != Kind::Object {
            self.out.push(b'[');
            return self.trie.item_of(spot);
        }
        self.out.push(b'{');
        for (index, member) in tree.children(parent).take(MEMBERS_MAX) {
            if index != child && self.is_kept(member, spot) {
                let (start, _) = member.name_place();
                let bytes = self.json.get(start..member.end as usize).unwrap_or_default();
                self.out.extend_from_slice(bytes);
                self.out.push(b',');
            }
        }
        let spot = self.trie.member(spot, inner.name(self.json, self.decoded));
        let name = inner.raw_name(self.json);
        self.out.push(b'"');
        if spot.is_known {
            self.out.extend_from_slice(name);
        } else {
            self.name(name, turn);
        }
        self.out.extend_from_slice(b"\":");
        spot
    }

    /// A name that no table has is text.
    fn name(&mut self, name: &[u8], turn: &mut Turn<'_>) {
        let (mut text, mut piece, mut masked) = (Text::plain(), Vec::new(), Vec::new());
        let length = name.len().min(EVENT_BYTES_MAX);
        let reading = Reading { raw: name, is_escaped: true };
        let (decoded, _) = reading.piece(0, length, &mut piece);
        text.push(turn, decoded, &mut masked);
        text.finish(turn, &mut masked);
        encode(&masked, self.out);
    }

    /// Identifiers and indices say whose text it is; what else there is has been told.
    fn is_kept(&mut self, member: &Node, spot: Spot) -> bool {
        let size = member.raw_name(self.json).len().saturating_add(member.raw(self.json).len());
        if member.is_container() || size > MEMBER_BYTES_MAX {
            return false;
        }
        let spot = self.trie.member(spot, member.name(self.json, self.decoded));
        let is_open = matches!(member.kind, Kind::Null | Kind::False);
        spot.is_known && (spot.role == Role::Pass || (spot.role == Role::Finish && is_open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Run;
    use crate::surface::Surface;

    #[test]
    fn copies_share_what_came_last_and_no_memory_of_it_is_kept() {
        let mut run = Run::sse(Surface::Tensors);
        let event = |text: &str| format!("{{\"text_output\":\"{text}\"}}");
        let long = "x".repeat(100_000);
        run.data(&event(&long));
        let lives = &run.mask.work.lives;
        let copy = lives.clone();
        assert_eq!((lives.previous_bytes(), lives.copy_bytes()), (100_000, 0));
        assert!(Arc::ptr_eq(&copy.list[0].previous, &lives.list[0].previous));
        // It comes piece by piece after all.
        run.data(&event("y"));
        assert_eq!(run.mask.work.lives.previous_bytes(), 0);
        assert_eq!(Arc::strong_count(&copy.list[0].previous), 1);
        assert_eq!(copy.previous_bytes(), 100_000);
    }
}
