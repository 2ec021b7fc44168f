//! What a plan says, done: values are masked in their order, and what is not changed is copied as
//! it stands.

use penstock_config::documents::Unreadable;

use crate::analysis::is_word;
use crate::event::json_text::{JsonText, scalar};
use crate::event::plan::{Act, Assign, Basis, Mode, Plan, Verb};
use crate::event::turn::{Reading, Turn};
use crate::event::{Source, Text, Unmaskable};
use crate::json::{Kind, Node, Read, Tree, encode};
use crate::surface::Compiled;

/// Bytes of JSON that are read in one turn.
const TURN_JSON_BYTES: usize = 64 << 10;

/// What stands in the place of a field.
const FIELD: &[u8] = b"\"***\"";

/// A text that is being masked in pieces.
#[derive(Clone, Copy, Debug)]
struct Doing {
    /// Where the next piece begins in the string.
    from: usize,
    pieces: usize,
    /// Whether all that was written is what was read.
    is_same: bool,
    /// Values masked before it.
    masked: u64,
    /// What had been written before it, and copied.
    written: usize,
    copied: usize,
}

/// How a text of the stream takes part in an event.
pub(crate) struct Part<'l> {
    pub(crate) text: &'l mut Text,
    /// Whether it ends here.
    pub(crate) ends: bool,
    /// Whether it begins here, and so holds nothing of other events.
    pub(crate) is_whole: bool,
}

/// The stream's texts, as an event needs them.
pub(crate) trait Parts {
    /// A piece is about to be masked: `raw` is all of it, as it stands in its string.
    fn part(&mut self, slot: u16, act: u32, is_first: bool, raw: &[u8]) -> Part<'_>;
    /// A piece has been masked.
    fn done(
        &mut self,
        slot: u16,
        node: u32,
        rewrite: &Rewrite,
        source: &Source<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Unmaskable>;
}

/// No texts: whole answers.
pub(crate) struct NoParts {
    pub(crate) text: Text,
}

impl Parts for NoParts {
    fn part(&mut self, _: u16, _: u32, _: bool, _: &[u8]) -> Part<'_> {
        Part { text: &mut self.text, ends: true, is_whole: true }
    }

    fn done(
        &mut self,
        _: u16,
        _: u32,
        _: &Rewrite,
        _: &Source<'_>,
        _: &mut Turn<'_>,
    ) -> Result<(), Unmaskable> {
        Ok(())
    }
}

/// The rewriting of one JSON text at a time; its memory is used again.
pub(crate) struct Rewrite {
    pub(crate) table: &'static Compiled,
    pub(crate) mode: Mode,
    pub(crate) unreadable: Unreadable,
    pub(crate) tree: Tree,
    pub(crate) plan: Plan,
    /// The act that comes next.
    next: usize,
    doing: Option<Doing>,
    /// Up to where the source has been copied.
    copied: usize,
    pub(crate) is_changed: bool,
    plain: Text,
    json: Text,
    piece: Vec<u8>,
    masked: Vec<u8>,
    /// Whether the text is only gone through, so that nothing is copied.
    is_rehearsing: bool,
}

impl Rewrite {
    pub(crate) fn new(table: &'static Compiled, mode: Mode, unreadable: Unreadable) -> Self {
        Self {
            table,
            mode,
            unreadable,
            tree: Tree::default(),
            plan: Plan::default(),
            next: 0,
            doing: None,
            copied: 0,
            is_changed: false,
            plain: Text::plain(),
            json: Text::Json(JsonText::new()),
            piece: Vec::new(),
            masked: Vec::new(),
            is_rehearsing: false,
        }
    }

    /// Ready to do all of it again: what was done was only to find out what to ask.
    pub(crate) fn rewind(&mut self) {
        (self.next, self.copied) = (0, 0);
        self.doing = None;
        self.is_changed = false;
    }

    /// Ready for another text.
    pub(crate) fn clear(&mut self) {
        self.tree.clear();
        self.plan.clear();
        (self.next, self.copied) = (0, 0);
        self.doing = None;
        self.is_changed = false;
    }

    /// Reads on.
    pub(crate) fn read(&mut self, json: &[u8]) -> Result<Read, Unmaskable> {
        Ok(self.tree.read(json, TURN_JSON_BYTES)?)
    }

    /// Goes on with the plan.
    pub(crate) fn plan(&mut self, json: &[u8], assign: Assign<'_>) -> Result<Read, Unmaskable> {
        let Self { table, mode, unreadable, .. } = *self;
        let basis = Basis { tree: &self.tree, json, table, mode, unreadable };
        self.plan.advance(&basis, assign)
    }

    /// What the plan was made from.
    pub(crate) fn basis<'b>(&'b self, json: &'b [u8]) -> Basis<'b> {
        let Self { table, mode, unreadable, .. } = *self;
        Basis { tree: &self.tree, json, table, mode, unreadable }
    }

    /// Goes on with what is to be done.
    pub(crate) fn act(
        &mut self,
        source: &Source<'_>,
        parts: &mut impl Parts,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Read, Unmaskable> {
        self.is_rehearsing = turn.is_rehearsing();
        while let Some(act) = self.plan.acts.get(self.next).copied() {
            if turn.is_over() {
                return Ok(Read::More);
            }
            let Some(node) = self.tree.node(act.node).copied() else { break };
            let is_done = match act.verb {
                Verb::Word if turn.is_rehearsing() => true,
                Verb::Whole | Verb::Word | Verb::WholeJson => {
                    let mut text = self.take(act.verb);
                    let (raw, place) = inside(source, &node);
                    let reading = Reading { raw, is_escaped: node.is_escaped };
                    let part = Part { text: &mut text, ends: true, is_whole: true };
                    let analysis = turn.mute(act.verb == Verb::Word);
                    let is_done = self.text(source, place, reading, part, turn, out);
                    turn.restore(analysis);
                    self.put_back(act.verb, text);
                    is_done
                }
                Verb::Name => self.name(source, &node, turn, out),
                Verb::Scalar => self.number(source, &node, turn, out),
                Verb::Field => self.replace(source, &node, FIELD, out),
                Verb::Strip => self.replace(source, &node, nothing(node.kind), out),
                Verb::Delta(slot) => self.delta(source, &act, &node, slot, parts, turn, out)?,
            };
            if is_done {
                self.next = self.next.saturating_add(1);
            }
        }
        Ok(Read::Done)
    }

    /// Copies what is left of the source, if anything was changed.
    pub(crate) fn copy_rest(&mut self, source: &Source<'_>, out: &mut Vec<u8>) {
        self.copy_to(source, source.all.len(), out);
    }

    fn take(&mut self, verb: Verb) -> Text {
        let text = if verb == Verb::WholeJson { &mut self.json } else { &mut self.plain };
        std::mem::replace(text, Text::plain())
    }

    fn put_back(&mut self, verb: Verb, text: Text) {
        if verb == Verb::WholeJson {
            self.json = text;
        } else {
            self.plain = text;
        }
    }

    fn name(
        &mut self,
        source: &Source<'_>,
        node: &Node,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let (start, end) = node.name_place();
        let place = source.place(start.saturating_add(1), end.saturating_sub(1));
        let raw = node.raw_name(source.json());
        let is_unasked = is_word(raw);
        if is_unasked && turn.is_rehearsing() {
            return true;
        }
        let reading = Reading { raw, is_escaped: node.has_escaped_name() };
        let mut text = self.take(Verb::Name);
        let part = Part { text: &mut text, ends: true, is_whole: true };
        let analysis = turn.mute(is_unasked);
        let is_done = self.text(source, place, reading, part, turn, out);
        turn.restore(analysis);
        self.put_back(Verb::Name, text);
        is_done
    }

    #[expect(clippy::too_many_arguments, reason = "one call, from one place")]
    fn delta(
        &mut self,
        source: &Source<'_>,
        act: &Act,
        node: &Node,
        slot: u16,
        parts: &mut impl Parts,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Unmaskable> {
        let (raw, place) = inside(source, node);
        let reading = Reading { raw, is_escaped: node.is_escaped };
        let number = u32::try_from(self.next).unwrap_or(u32::MAX);
        let part = parts.part(slot, number, self.doing.is_none(), raw);
        if !self.text(source, place, reading, part, turn, out) {
            return Ok(false);
        }
        parts.done(slot, act.node, self, source, turn)?;
        Ok(true)
    }

    /// Masks a string piece by piece; whether it is done.
    fn text(
        &mut self,
        source: &Source<'_>,
        place: std::ops::Range<usize>,
        reading: Reading<'_>,
        part: Part<'_>,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let mut doing = match self.doing.take() {
            Some(doing) => doing,
            None => self.begin(source, place.start, turn, out),
        };
        loop {
            let (piece, end) = reading.piece(doing.from, turn.piece_bytes(), &mut self.piece);
            self.masked.clear();
            part.text.push(turn, piece, &mut self.masked);
            let is_last = end >= reading.raw.len();
            if is_last && part.ends {
                part.text.finish(turn, &mut self.masked);
                part.text.renew();
            }
            doing.is_same &= self.masked == piece;
            doing.from = end;
            doing.pieces = doing.pieces.saturating_add(1);
            encode(&self.masked, out);
            if is_last {
                break;
            }
            if turn.is_over() {
                self.doing = Some(doing);
                return false;
            }
        }
        let is_all_there = part.is_whole && part.text.held_bytes() == 0 && doing.pieces > 1;
        if doing.is_same || (is_all_there && turn.masked() == doing.masked) {
            out.truncate(doing.written);
            self.copied = doing.copied;
        } else {
            self.copied = place.end;
            self.is_changed = true;
        }
        true
    }

    fn begin(
        &mut self,
        source: &Source<'_>,
        start: usize,
        turn: &Turn<'_>,
        out: &mut Vec<u8>,
    ) -> Doing {
        let doing = Doing {
            from: 0,
            pieces: 0,
            is_same: true,
            masked: turn.masked(),
            written: out.len(),
            copied: self.copied,
        };
        self.copy_to(source, start, out);
        doing
    }

    fn number(
        &mut self,
        source: &Source<'_>,
        node: &Node,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        self.masked.clear();
        let mut masked = std::mem::take(&mut self.masked);
        if scalar(turn, node.raw(source.json()), &mut masked) {
            self.replace(source, node, &masked, out);
        }
        self.masked = masked;
        true
    }

    fn replace(
        &mut self,
        source: &Source<'_>,
        node: &Node,
        with: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let place = source.place(node.start as usize, node.end as usize);
        self.copy_to(source, place.start, out);
        out.extend_from_slice(with);
        self.copied = place.end;
        self.is_changed = true;
        true
    }

    fn copy_to(&mut self, source: &Source<'_>, to: usize, out: &mut Vec<u8>) {
        if self.is_rehearsing {
            return;
        }
        out.extend_from_slice(source.all.get(self.copied..to).unwrap_or_default());
        self.copied = to;
    }
}

fn inside<'s>(source: &Source<'s>, node: &Node) -> (&'s [u8], std::ops::Range<usize>) {
    let place = source.place((node.start as usize).saturating_add(1), node.end as usize);
    (node.inside(source.json()), place.start..place.end.saturating_sub(1))
}

/// What stands in the place of what is left out: its kind stays.
fn nothing(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Array => b"[]",
        Kind::Number => b"0",
        Kind::Object | Kind::String | Kind::True | Kind::False | Kind::Null => b"null",
    }
}
