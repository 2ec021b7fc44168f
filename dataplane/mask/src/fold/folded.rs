//! A folded text, with where each of its bytes comes from.

use std::ops::Range;

/// A folded text and where each of its bytes comes from.
#[derive(Clone, Debug, Default)]
pub struct Folded {
    /// The folded text: bytes, mostly ASCII; characters that stay are UTF-8.
    pub bytes: Vec<u8>,
    /// Where the original of the first byte begins, as long as no edit stands before it.
    base: u32,
    /// Where the texts differ, in order. Between two edits, and before the first, they are the
    /// same.
    edits: Vec<Edit>,
}

/// Characters that stand for others, or the place where the original goes on behind some that were
/// dropped.
#[derive(Clone, Copy, Debug)]
struct Edit {
    /// In the folded text.
    at: u32,
    /// In the original.
    start: u32,
    /// Bytes of each in the folded text; 0: only the place.
    folded: u8,
    /// Bytes of each in the original.
    original: u8,
    /// How many there are; more than one only where each is one byte in the folded text.
    times: u16,
}

impl Edit {
    fn folded_end(&self) -> usize {
        let folded = usize::from(self.folded).saturating_mul(usize::from(self.times));
        (self.at as usize).saturating_add(folded)
    }

    fn original_end(&self) -> usize {
        self.original_start(usize::from(self.times))
    }

    /// Where one of them begins in the original.
    fn original_start(&self, index: usize) -> usize {
        (self.start as usize).saturating_add(usize::from(self.original).saturating_mul(index))
    }

    /// The original of a byte of it.
    fn original_of(&self, index: usize) -> Range<usize> {
        let within = index.saturating_sub(self.at as usize);
        let one = if self.times > 1 { within } else { 0 };
        self.original_start(one)..self.original_start(one.saturating_add(1))
    }

    /// Lets go of what stands before a place in it.
    fn cut(&mut self, index: usize) {
        let gone = index.saturating_sub(self.at as usize);
        if self.times > 1 {
            self.start = offset(self.original_start(gone));
            self.times = self.times.saturating_sub(u16::try_from(gone).unwrap_or(u16::MAX));
        } else {
            // The rest still stands for the whole.
            self.folded = length(usize::from(self.folded).saturating_sub(gone));
        }
        self.at = offset(index);
    }
}

impl Folded {
    /// Empties it.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.edits.clear();
        self.base = 0;
    }

    /// Gives memory back that no text of so many bytes needs.
    pub fn shrink_to(&mut self, count: usize) {
        self.bytes.shrink_to(count);
        self.edits.shrink_to(count.div_euclid(size_of::<Edit>()));
    }

    /// Bytes of memory.
    pub fn kept_bytes(&self) -> usize {
        let edits = self.edits.capacity().saturating_mul(size_of::<Edit>());
        self.bytes.capacity().saturating_add(edits)
    }

    /// Whether the folded text is the original, byte by byte.
    pub fn is_identity(&self) -> bool {
        self.base == 0 && self.edits.is_empty()
    }

    /// Where the character of a folded byte begins in the original; of the length: where the last
    /// one ends.
    pub fn start_of(&self, index: usize) -> usize {
        if index >= self.bytes.len() {
            return index.checked_sub(1).map_or(0, |last| self.end_of(last));
        }
        self.original_of(index).start
    }

    /// Where the character of a folded byte ends in the original.
    pub fn end_of(&self, index: usize) -> usize {
        if self.bytes.is_empty() {
            return self.base as usize;
        }
        self.original_of(index.min(self.bytes.len().saturating_sub(1))).end
    }

    /// What a part of the folded text is in the original, with what was dropped inside it.
    pub fn span(&self, part: Range<usize>) -> Range<usize> {
        let start = self.start_of(part.start);
        start..part.end.checked_sub(1).map_or(start, |last| self.end_of(last).max(start))
    }

    /// Forgets so many bytes of the folded text, and of the original that it comes from.
    pub fn drain_front(&mut self, folded_count: usize, original_count: usize) {
        let folded_count = folded_count.min(self.bytes.len());
        let known = self.edits_until(folded_count);
        let mut gone = known;
        if let Some(last) = known.checked_sub(1).and_then(|index| self.edits.get_mut(index))
            && folded_count < last.folded_end()
        {
            last.cut(folded_count);
            gone = known.saturating_sub(1);
        }
        self.base = offset(self.plain(folded_count).saturating_sub(original_count));
        self.edits.drain(..gone);
        for edit in &mut self.edits {
            edit.at = edit.at.saturating_sub(offset(folded_count));
            edit.start = edit.start.saturating_sub(offset(original_count));
        }
        self.bytes.drain(..folded_count);
    }

    pub(super) fn begin(&mut self, base: usize) {
        if self.bytes.is_empty() {
            self.clear();
            self.base = offset(base);
        }
    }

    /// Characters that stay, which stand at an offset of the original.
    pub(super) fn copy(&mut self, characters: &[u8], base: usize) {
        if characters.is_empty() {
            return;
        }
        let at = self.bytes.len();
        if self.plain(at) != base {
            let (at, start) = (offset(at), offset(base));
            self.edits.push(Edit { at, start, folded: 0, original: 0, times: 1 });
        }
        self.bytes.extend_from_slice(characters);
    }

    /// What is written for a part of the original.
    pub(super) fn push(&mut self, bytes: &[u8], original: Range<usize>) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let (folded, length) = (length(bytes.len()), length(original.len()));
        if let Some(last) = self.edits.last_mut()
            && (last.folded, last.original, folded) == (1, length, 1)
            && (last.folded_end(), last.original_end()) == (at, original.start)
            && last.times < u16::MAX
        {
            last.times = last.times.saturating_add(1);
            return;
        }
        let (at, start) = (offset(at), offset(original.start));
        self.edits.push(Edit { at, start, folded, original: length, times: 1 });
    }

    /// How many edits begin at a place of the folded text or before it.
    fn edits_until(&self, index: usize) -> usize {
        self.edits.partition_point(|edit| edit.at as usize <= index)
    }

    /// Where a byte that is no edit's stands in the original.
    fn plain(&self, index: usize) -> usize {
        match self.edits_until(index).checked_sub(1).and_then(|last| self.edits.get(last)) {
            Some(edit) => {
                edit.original_end().saturating_add(index.saturating_sub(edit.folded_end()))
            }
            None => (self.base as usize).saturating_add(index),
        }
    }

    /// The original of the character that holds a byte.
    fn original_of(&self, index: usize) -> Range<usize> {
        let edit = self.edits_until(index).checked_sub(1).and_then(|last| self.edits.get(last));
        if let Some(edit) = edit
            && index < edit.folded_end()
        {
            return edit.original_of(index);
        }
        let character = self.character_around(index);
        let start = self.plain(index).saturating_sub(index.saturating_sub(character.start));
        start..start.saturating_add(character.len())
    }

    /// The character that holds a byte.
    fn character_around(&self, index: usize) -> Range<usize> {
        let front = self.bytes.get(..=index).unwrap_or_default();
        if front.last().is_some_and(u8::is_ascii) {
            return index..index.saturating_add(1);
        }
        let back = front.iter().rev().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
        let start = index.saturating_sub(back);
        let behind = self.bytes.get(start.saturating_add(1)..).unwrap_or_default();
        let more = behind.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
        let end = match self.bytes.get(start) {
            Some(0xc0..) => start.saturating_add(1).saturating_add(more),
            Some(_) | None => start.saturating_add(1),
        };
        if end > index { start..end } else { index..index.saturating_add(1) }
    }
}

/// Texts of a channel are far below 4 GiB.
fn offset(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// A character, and what stands for it, are at most [`super::UNDECIDED_BYTES_MAX`] bytes.
fn length(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}
