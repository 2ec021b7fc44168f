//! A whole body under its mask: gathered, decoded, masked step by step.

use std::rc::Rc;

use super::engine::{Direction, Media, WholeMask};
use super::engine::{Refused, Step};
use penstock_config::documents::MaskSide;
use penstock_reactor::buffer::{Buffer, Pool, Reservation};

use super::Unmaskable;
use super::applied::Applied;
use super::coding::{Coding, DECODER_BYTES, Decoder, Undecodable};
use super::events::Progress;
use super::gathered::Gathered;
use crate::counters::Counters;
use crate::reason::Reason;

/// How a whole answer is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Whole {
    /// How it is encoded.
    pub(crate) coding: Coding,
    /// What it is.
    pub(crate) media: Media,
}

/// Decodes a gathered body.
pub(crate) struct WholeDecoding<'b> {
    decoder: Decoder<'b>,
    decoded: Gathered,
    bytes_max: usize,
    _counted: Reservation,
}

/// One whole body under its mask.
pub(crate) struct WholeMasking {
    applied: Rc<Applied>,
    mask: WholeMask,
    body: Gathered,
    masked: Gathered,
    is_changed: bool,
    /// What it is taken for where it turns out to be no JSON.
    or_text: Option<WholeMask>,
}

impl<'b> WholeDecoding<'b> {
    /// A body that is encoded.
    ///
    /// # Errors
    /// It is not, or the core's buffers are used up.
    pub(crate) fn new(
        coding: Coding,
        body: &'b [u8],
        bytes_max: usize,
        pool: &Pool,
    ) -> Result<Self, Reason> {
        let counted = pool.reserve(DECODER_BYTES).map_err(|_| Reason::NO_BUFFERS)?;
        let decoder = Decoder::new(coding, body).map_err(undecodable)?;
        Ok(Self { decoder, decoded: Gathered::default(), bytes_max, _counted: counted })
    }

    /// Decodes a part of it.
    ///
    /// # Errors
    /// It can't be decoded, or is too long.
    pub(crate) fn work(&mut self, pool: &Pool) -> Result<Progress, Reason> {
        let Self { decoder, decoded, bytes_max, .. } = self;
        let done = decoder.step(pool, decoded, *bytes_max).map_err(undecodable)?;
        Ok(if done { Progress::Done } else { Progress::More })
    }

    /// What came out.
    pub(crate) fn into_decoded(self) -> Gathered {
        self.decoded
    }
}

fn begins_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn undecodable(why: Undecodable) -> Reason {
    match why {
        Undecodable::Broken => Reason::Unmaskable(Unmaskable::Coding),
        Undecodable::TooLong => Reason::Unmaskable(Unmaskable::TooLong),
        Undecodable::Exhausted => Reason::NO_BUFFERS,
    }
}

impl WholeMasking {
    /// A body of this side of an exchange.
    pub(crate) fn new(
        applied: Rc<Applied>,
        path: &str,
        media: Media,
        side: MaskSide,
        body: Gathered,
    ) -> Self {
        let direction = match side {
            MaskSide::Request => Direction::Request,
            MaskSide::Response => Direction::Response,
        };
        // A text that looks like JSON is read as its callers do.
        let is_json = media == Media::Json || begins_like_json(body.bytes());
        let may_be_text = media == Media::Text || applied.mask.enforced.passes_unreadable();
        let or_text = is_json && may_be_text;
        let or_text = or_text.then(|| applied.whole(path, Media::Text, direction));
        let media = if is_json { Media::Json } else { Media::Text };
        let mask = applied.whole(path, media, direction);
        Self { applied, mask, body, masked: Gathered::default(), is_changed: false, or_text }
    }

    /// Masks a part of it.
    ///
    /// # Errors
    /// It can't be masked, or the core's buffers are used up.
    pub(crate) fn work(&mut self, pool: &Pool, counters: &Counters) -> Result<Progress, Reason> {
        let Self { applied, mask, body, masked, .. } = self;
        let write = |out: &mut Vec<u8>| {
            applied.work(counters, |scratch| mask.step(scratch, body.bytes(), out))
        };
        match masked.write(pool, write).map_err(|_| Reason::NO_BUFFERS)? {
            Ok(Step::More) => Ok(Progress::More),
            Ok(Step::Unchanged) => Ok(Progress::Done),
            Ok(Step::Written) => {
                self.is_changed = true;
                Ok(Progress::Done)
            }
            Err(refused) => self.otherwise(&refused),
        }
    }

    /// What is done with a body that was not taken for what it is.
    fn otherwise(&mut self, refused: &Refused) -> Result<Progress, Reason> {
        self.masked.clear();
        match (refused, self.or_text.take()) {
            (Refused::Json(_), Some(text)) => {
                self.mask = text;
                Ok(Progress::More)
            }
            (_, _) if self.applied.mask.enforced.passes_unreadable() => Ok(Progress::Done),
            (_, _) => Err(Reason::Unmaskable(Unmaskable::Content)),
        }
    }

    /// Values that were masked.
    pub(crate) fn masked(&self) -> u64 {
        self.mask.masked()
    }

    /// What goes in its place.
    ///
    /// # Errors
    /// The core's buffers are used up.
    pub(crate) fn into_buffer(self, pool: &Pool) -> Result<Buffer, Reason> {
        let goes = if self.is_changed { self.masked } else { self.body };
        goes.into_buffer(pool).map_err(|_| Reason::NO_BUFFERS)
    }
}
