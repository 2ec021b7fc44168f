//! What an analyser is asked about the texts of one exchange, and what it answered.
//!
//! Names of persons, places and organisations have no shape that a rule could know. Where a mask
//! names an analyser, each event of a stream, and each whole body, is gone through twice: first
//! only to find out what must be asked, then, once that was answered, to mask it with the answers.
//! A text is cut into sentences by itself, whatever the pieces in which it comes; nothing behind
//! the last whole sentence goes on before it ends, or its text does.

mod cut;
mod question;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use penstock_config::documents::Unavailable;

use crate::channel::named::Name;
use crate::fold::seen;
use crate::profile::{Masking, Names, Scratch, number};
use crate::text::Channel;

pub(crate) use cut::Cut;
pub(crate) use question::is_word;
pub use question::{Found, Question, Unusable};
use question::{Key, has_letters, key, may_name};

/// Most questions that wait for their answers at a time.
const OPEN_MAX: usize = 16;

/// Most questions about one event, or about one whole body.
pub const QUESTIONS_MAX: usize = 2_048;

/// Most texts whose answers are remembered, and most names in them. A text that comes again in the
/// same exchange is not asked about again, and is masked as it was.
pub const KNOWN_MAX: usize = 8 * QUESTIONS_MAX;
const NAMES_MAX: usize = 32 << 10;

/// How much of that may be in use when an event begins; else all of it is forgotten.
const KNOWN_AT_START_MAX: usize = KNOWN_MAX / 2;

/// What is asked in one exchange.
pub struct Analysis {
    entities: Arc<[Arc<str>]>,
    unavailable: Unavailable,
    cut: Cut,
    /// Answers, by the digests of texts; none while the question is open.
    known: HashMap<Key, Option<Box<[Name]>>>,
    names: usize,
    open: VecDeque<Question>,
    /// Questions since this event, or body, began.
    asked: usize,
    /// Whether a text is only gone through to find out what to ask.
    is_rehearsing: bool,
    /// Whether text could not be asked about where the mask says that the answer ends then.
    is_refused: bool,
    /// Names of the sentence that is masked.
    here: Vec<Name>,
}

impl Analysis {
    /// For an exchange under a mask; none where the mask names no analyser.
    pub(crate) fn new(masking: &Masking, cut: Cut) -> Option<Box<Self>> {
        let Names { entities, unavailable, .. } = masking.profile.names.as_ref()?;
        Some(Box::new(Self {
            entities: Arc::clone(entities),
            unavailable: *unavailable,
            cut,
            known: HashMap::new(),
            names: 0,
            open: VecDeque::new(),
            asked: 0,
            is_rehearsing: false,
            is_refused: false,
            here: Vec::new(),
        }))
    }

    /// The names of what is asked for, as the analyser calls them.
    pub fn entities(&self) -> &[Arc<str>] {
        &self.entities
    }

    /// The question that is to be answered next.
    pub fn question(&self) -> Option<&Question> {
        self.open.front()
    }

    /// Takes the answer to it.
    ///
    /// # Errors
    ///
    /// The answer can't be used, and the question is still open.
    pub fn answer(&mut self, found: &[Found]) -> Result<(), Unusable> {
        let question = self.open.front().ok_or(Unusable::Void)?;
        if found.iter().any(|one| one.entity >= self.entities.len()) {
            return Err(Unusable::Void);
        }
        let placed = question.placed(found, NAMES_MAX.saturating_sub(self.names))?;
        let count: usize = placed.iter().map(Vec::len).sum();
        self.names = self.names.saturating_add(count);
        for (key, names) in question.keys().zip(placed) {
            let name = |(range, entity)| Name { range, number: number(entity) };
            self.known.insert(*key, Some(names.into_iter().map(name).collect()));
        }
        self.open.pop_front();
        Ok(())
    }

    /// It can't be answered: what is done with its texts is what the mask says.
    pub fn give_up(&mut self) {
        self.close(self.unavailable != Unavailable::Pass);
    }

    /// Its answer is more than can be used: its texts are full of names, and are not passed on
    /// whatever the mask says.
    pub fn withhold(&mut self) {
        self.close(true);
    }

    fn close(&mut self, is_redacted: bool) {
        let Some(question) = self.open.pop_front() else { return };
        let names: Box<[Name]> = if is_redacted { Box::new([whole()]) } else { Box::default() };
        self.is_refused |= self.unavailable == Unavailable::Refuse;
        for key in question.keys() {
            self.known.insert(*key, Some(names.clone()));
        }
    }

    /// Another event begins.
    pub(crate) fn begin(&mut self) {
        self.asked = 0;
        if !self.open.is_empty() {
            self.open.clear();
            self.known.retain(|_, names| names.is_some());
        }
        if self.known.len() > KNOWN_AT_START_MAX || self.names > NAMES_MAX / 2 {
            self.known.clear();
            self.names = 0;
        }
    }

    /// From now on texts are only gone through, or not any more.
    pub(crate) fn rehearse(&mut self, is_rehearsing: bool) {
        self.is_rehearsing = is_rehearsing;
    }

    /// Whether texts are only gone through.
    pub(crate) fn is_rehearsing(&self) -> bool {
        self.is_rehearsing
    }

    /// Whether enough questions are open.
    pub(crate) fn is_full(&self) -> bool {
        self.open.len() >= OPEN_MAX
    }

    /// Whether questions are open.
    pub(crate) fn is_asking(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether the answer must end: text could not be asked about.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// A further piece of a text; how many bytes were looked through for values.
    pub(crate) fn push(
        &mut self,
        channel: &mut Channel,
        (masking, scratch): (&Masking, &mut Scratch),
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> usize {
        let escapes = channel.has_escapes();
        channel.waiting().extend_from_slice(piece);
        let mut waiting = std::mem::take(channel.waiting());
        let (mut from, mut scanned) = (0_usize, 0_usize);
        while let Some(rest) = waiting.get(from..)
            && let Some(end) = self.cut.end(rest, escapes)
        {
            let sentence = rest.get(..end).unwrap_or_default();
            let held = channel.held_bytes();
            scanned = scanned.saturating_add(end).saturating_add(held);
            self.sentence(channel, (masking, &mut *scratch), sentence, out);
            from = from.saturating_add(end.max(1));
        }
        waiting.drain(..from.min(waiting.len()));
        *channel.waiting() = waiting;
        scanned
    }

    /// The end of a text, or of a member's name.
    pub(crate) fn finish(
        &mut self,
        channel: &mut Channel,
        (masking, scratch): (&Masking, &mut Scratch),
        is_name: bool,
        out: &mut Vec<u8>,
    ) {
        let rest = std::mem::take(channel.waiting());
        if !(is_name && is_word(&rest)) {
            self.sentence(channel, (masking, &mut *scratch), &rest, out);
        } else if !self.is_rehearsing {
            channel.push(masking, scratch, &rest, out);
        }
        if !self.is_rehearsing {
            channel.finish(masking, scratch, out);
        }
        channel.end_names();
    }

    /// Nothing came for too long: a sentence is taken for whole. Its last word may still grow, and
    /// is redacted where it is not part of a name, or goes on as it is.
    pub(crate) fn stalled(
        &mut self,
        channel: &mut Channel,
        (masking, scratch): (&Masking, &mut Scratch),
        release: bool,
        out: &mut Vec<u8>,
    ) {
        let rest = std::mem::take(channel.waiting());
        if self.is_rehearsing {
            self.ask(&rest, channel.has_escapes());
            return;
        }
        let mut here = self.told(&rest, channel.has_escapes());
        let words = rest.iter().rposition(u8::is_ascii_whitespace);
        let word = words.map_or(0, |space| space.saturating_add(1));
        let is_named = here.iter().any(|name| name.range.end >= rest.len());
        if !release && !is_named && word < rest.len() {
            here.push(Name { range: word..rest.len(), number: usize::MAX });
        }
        channel.push_named(masking, scratch, &rest, &here, out);
        channel.stalled(masking, scratch, release, out);
        self.here = here;
    }

    fn sentence(
        &mut self,
        channel: &mut Channel,
        (masking, scratch): (&Masking, &mut Scratch),
        text: &[u8],
        out: &mut Vec<u8>,
    ) {
        let escapes = channel.has_escapes();
        if self.is_rehearsing {
            self.ask(text, escapes);
            return;
        }
        let here = self.told(text, escapes);
        channel.push_named(masking, scratch, text, &here, out);
        self.here = here;
    }

    /// Asks about a text, if nothing is known of it.
    fn ask(&mut self, text: &[u8], escapes: bool) {
        if !may_name(text) {
            return;
        }
        let key = key(text, escapes);
        if self.known.len() >= KNOWN_MAX || self.known.contains_key(&key) {
            return;
        }
        let folded = seen(text, escapes);
        // An analyser may take a question without a letter for a mistake.
        if !has_letters(&folded.bytes) {
            self.known.insert(key, Some(Box::default()));
            return;
        }
        if self.cut == Cut::Passage
            && let Some(last) = self.open.back_mut()
            && last.text().len().saturating_add(text.len()) <= cut::PASSAGE_BYTES_MAX
        {
            last.add(key, text, folded);
            self.known.insert(key, None);
            return;
        }
        if self.asked < QUESTIONS_MAX {
            self.asked = self.asked.saturating_add(1);
            let mut question = Question::default();
            question.add(key, text, folded);
            self.open.push_back(question);
            self.known.insert(key, None);
        }
    }

    /// The names of a text. What was not asked about, or not answered, is treated as the mask says.
    fn told(&mut self, text: &[u8], escapes: bool) -> Vec<Name> {
        let mut here = std::mem::take(&mut self.here);
        here.clear();
        if !may_name(text) {
            return here;
        }
        match self.known.get(&key(text, escapes)).and_then(Option::as_ref) {
            Some(names) => here.extend_from_slice(names),
            None if self.unavailable == Unavailable::Pass => {}
            None => {
                self.is_refused |= self.unavailable == Unavailable::Refuse;
                here.push(whole());
            }
        }
        for name in here.iter_mut().filter(|name| name.number == usize::MAX) {
            name.range = words(text);
        }
        here
    }
}

/// All of a text, redacted.
fn whole() -> Name {
    Name { range: 0..usize::MAX, number: usize::MAX }
}

/// A text without the white space around it.
fn words(text: &[u8]) -> std::ops::Range<usize> {
    let start = text.len().saturating_sub(text.trim_ascii_start().len());
    start..text.trim_ascii_end().len().max(start)
}
