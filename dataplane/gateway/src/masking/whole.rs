//! A whole body under its mask: gathered, decoded, masked step by step.

use std::rc::Rc;
use std::time::Duration;

use super::engine::{Direction, Media, WholeMask};
use super::engine::{Refused, Step};
use penstock_config::documents::MaskSide;
use penstock_reactor::buffer::{Buffer, Pool, Reservation};
use penstock_reactor::network::Network;
use serde::de::IgnoredAny;

use super::Unmaskable;
use super::applied::Applied;
use super::coding::{Coding, DECODER_BYTES, Decoder, Undecodable};
use super::events::Progress;
use super::gathered::Gathered;
use crate::core::Core;
use crate::counters::Counters;
use crate::guard::Guard;
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
    /// What it says that it is.
    media: Media,
    /// Until when the analyser may be asked about it.
    asked_until: Option<Duration>,
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

/// Most of a text that is read to tell whether several JSON texts stand in it, in bytes.
const FIRST_BYTES_MAX: usize = 256 * 1024;

fn begins_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Whether a text begins as server-sent events do: by a field or a comment.
fn begins_like_events(text: &[u8]) -> bool {
    const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    FIELDS.iter().any(|field| text.starts_with(field))
}

/// Whether a text that begins like JSON, and is not one JSON text, is a part of one, or several. A
/// value may lie across their strings, each of which is a delta.
fn is_stream_of_json(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let head = text.get(..FIRST_BYTES_MAX).unwrap_or(text);
    let mut texts = serde_json::Deserializer::from_slice(head).into_iter::<IgnoredAny>();
    match texts.next() {
        // One without its end, or too long for what prose could begin with; or one that this reader
        // does not take, with others behind it.
        Some(Err(error)) => return error.is_eof() || has_object_behind(text),
        Some(Ok(IgnoredAny)) => {}
        None => return false,
    }
    let (first, rest) = text.split_at_checked(texts.byte_offset()).unwrap_or((text, b""));
    let mut lines = rest.split(|byte| matches!(byte, b'\n' | b'\r'));
    let begins = |line: &[u8]| begins_like_json(behind_separators(line));
    if first.starts_with(b"{") || first.contains(&b'"') {
        return lines.any(begins);
    }
    // A reference, `[1]`, begins lines of prose too, and others may stand beside it.
    let Some(behind) = lines.next() else { return false };
    let next = lines.find(|line| !line.trim_ascii().is_empty());
    behind.trim_ascii_start().starts_with(b"{")
        || (behind.trim_ascii().is_empty() && next.is_some_and(begins))
}

/// Whether an object with members begins a line but the first, or stands behind the end of another.
fn has_object_behind(text: &[u8]) -> bool {
    let begins = |rest: &[u8]| {
        let object = behind_separators(rest).strip_prefix(b"{");
        object.is_some_and(|members| members.trim_ascii_start().starts_with(b"\""))
    };
    text.split(|byte| matches!(byte, b'\n' | b'\r' | b'}')).skip(1).any(begins)
}

/// A text from where what may stand between several JSON texts ends (RFC 7464, JSON lines).
fn behind_separators(text: &[u8]) -> &[u8] {
    let is_separator = |byte: &u8| byte.is_ascii_whitespace() || b",\x1e".contains(byte);
    let start = text.iter().position(|byte| !is_separator(byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
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
        let said = media;
        let media = if is_json { Media::Json } else { Media::Text };
        let mask = applied.whole(path, media, direction);
        Self {
            applied,
            mask,
            body,
            masked: Gathered::default(),
            is_changed: false,
            or_text,
            media: said,
            asked_until: None,
        }
    }

    /// Asks the analyser what must be asked before more is masked, if anything.
    ///
    /// # Errors
    /// The exchange ends.
    pub(crate) async fn answer<N: Network>(
        &mut self,
        core: &Core<N>,
        guard: &Guard<N>,
    ) -> Result<(), Reason> {
        let Some(analysis) = self.mask.analysis() else { return Ok(()) };
        if analysis.question().is_none() {
            return Ok(());
        }
        let (limit, now) = (self.applied.analyzer_limit(), core.network.now());
        let until = *self.asked_until.get_or_insert_with(|| now.saturating_add(limit));
        self.applied.answer(core, guard, until, analysis).await
    }

    /// Masks a part of it.
    ///
    /// # Errors
    /// It can't be masked, or the core's buffers are used up.
    pub(crate) fn work(&mut self, pool: &Pool, counters: &Counters) -> Result<Progress, Reason> {
        if self.media == Media::Text && begins_like_events(self.body.bytes()) {
            return self.refuse(Unmaskable::MediaType);
        }
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
            (Refused::Json(_), Some(_))
                if self.media == Media::Text && is_stream_of_json(self.body.bytes()) =>
            {
                self.refuse(Unmaskable::MediaType)
            }
            (Refused::Json(_), Some(text)) => {
                self.mask = text;
                Ok(Progress::More)
            }
            (Refused::Unanswered, _) => Err(Reason::Unmaskable(Unmaskable::Analyzer)),
            (_, _) => self.refuse(Unmaskable::Content),
        }
    }

    /// What can't be read goes as it is, where the mask says so.
    fn refuse(&self, why: Unmaskable) -> Result<Progress, Reason> {
        if self.applied.mask.enforced.passes_unreadable() {
            Ok(Progress::Done)
        } else {
            Err(Reason::Unmaskable(why))
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
