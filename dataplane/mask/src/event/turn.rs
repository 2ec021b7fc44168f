//! What one call may use: the mask, this core's scratch, and how much text it may still scan.

use crate::analysis::Analysis;
use crate::json;
use crate::text::{Channel, Masking, Scratch};

/// Most text that is given to the mask between two returns, held text that is scanned again
/// included: less than 16 KiB, so that the last piece of a turn keeps it below.
pub(crate) const TURN_BYTES: usize = 12 << 10;

/// Longest piece of a text that is given to the mask at once.
const PIECE_BYTES_MAX: usize = 4 << 10;

/// One call.
pub(crate) struct Turn<'t> {
    masking: &'t Masking,
    scratch: &'t mut Scratch,
    analysis: Option<&'t mut Analysis>,
    left: usize,
}

impl<'t> Turn<'t> {
    pub(crate) fn new(masking: &'t Masking, scratch: &'t mut Scratch) -> Self {
        Self { masking, scratch, analysis: None, left: TURN_BYTES }
    }

    /// With what an analyser is asked.
    pub(crate) fn asking(mut self, analysis: Option<&'t mut Analysis>) -> Self {
        self.analysis = analysis;
        self
    }

    /// Whether texts are only gone through to find out what to ask.
    pub(crate) fn is_rehearsing(&self) -> bool {
        self.analysis.as_ref().is_some_and(|analysis| analysis.is_rehearsing())
    }

    /// Whether an analyser is asked about texts.
    pub(crate) fn asks(&self) -> bool {
        self.analysis.is_some()
    }

    /// From now on texts are only gone through, or not any more.
    pub(crate) fn rehearse(&mut self, is_rehearsing: bool) {
        if let Some(analysis) = &mut self.analysis {
            analysis.rehearse(is_rehearsing);
        }
    }

    /// Nobody is asked until what this returns is given back.
    pub(crate) fn mute(&mut self, is_muted: bool) -> Option<&'t mut Analysis> {
        if is_muted { self.analysis.take() } else { None }
    }

    /// Gives back what [`Self::mute`] returned.
    pub(crate) fn restore(&mut self, analysis: Option<&'t mut Analysis>) {
        if analysis.is_some() {
            self.analysis = analysis;
        }
    }

    /// Whether questions wait for their answers.
    pub(crate) fn is_asking(&self) -> bool {
        self.analysis.as_ref().is_some_and(|analysis| analysis.is_asking())
    }

    /// Whether nothing more may be scanned.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0 || self.analysis.as_ref().is_some_and(|analysis| analysis.is_full())
    }

    /// Length of the next piece.
    pub(crate) fn piece_bytes(&self) -> usize {
        self.left.min(PIECE_BYTES_MAX)
    }

    /// Bytes that were scanned for something else than text.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Values masked so far by this core.
    pub(crate) fn masked(&self) -> u64 {
        self.scratch.masked()
    }

    pub(crate) fn push(&mut self, channel: &mut Channel, piece: &[u8], out: &mut Vec<u8>) {
        if let Some(analysis) = &mut self.analysis {
            let with = (self.masking, &mut *self.scratch);
            let scanned = analysis.push(channel, with, piece, out);
            self.spend(scanned.max(piece.len()).saturating_add(1));
            return;
        }
        self.push_unasked(channel, piece, out);
    }

    /// As [`Self::push`]; nobody is asked about it.
    pub(crate) fn push_unasked(&mut self, channel: &mut Channel, piece: &[u8], out: &mut Vec<u8>) {
        self.spend(channel.held_bytes().saturating_add(piece.len()).saturating_add(1));
        channel.push(self.masking, self.scratch, piece, out);
    }

    pub(crate) fn finish(&mut self, channel: &mut Channel, out: &mut Vec<u8>) {
        self.finish_one(channel, false, out);
    }

    /// The end of a text, or of a member's name.
    pub(crate) fn finish_one(&mut self, channel: &mut Channel, is_name: bool, out: &mut Vec<u8>) {
        self.spend(channel.held_bytes());
        if let Some(analysis) = &mut self.analysis {
            analysis.finish(channel, (self.masking, &mut *self.scratch), is_name, out);
            return;
        }
        channel.finish(self.masking, self.scratch, out);
    }

    pub(crate) fn stalled(&mut self, channel: &mut Channel, release: bool, out: &mut Vec<u8>) {
        if let Some(analysis) = &mut self.analysis {
            analysis.stalled(channel, (self.masking, &mut *self.scratch), release, out);
            return;
        }
        channel.stalled(self.masking, self.scratch, release, out);
    }
}

/// A string that is read in pieces.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'s> {
    /// Its inside, as it stands.
    pub(crate) raw: &'s [u8],
    pub(crate) is_escaped: bool,
}

impl<'s> Reading<'s> {
    /// The next piece from `from` on, decoded, and where it ends.
    pub(crate) fn piece<'p>(
        &self,
        from: usize,
        bytes_max: usize,
        buffer: &'p mut Vec<u8>,
    ) -> (&'p [u8], usize)
    where
        's: 'p,
    {
        let rest = self.raw.get(from..).unwrap_or_default();
        if !self.is_escaped {
            let length = json::whole_characters(rest, bytes_max);
            return (rest.get(..length).unwrap_or_default(), from.saturating_add(length));
        }
        buffer.clear();
        let end = json::decode(self.raw, from, bytes_max, buffer);
        (buffer, end)
    }
}
