//! A whole answer under a mask: collected, decoded, masked, and only then begun. So a value is
//! found wherever it lies, the length is known, and what can't be masked is refused before a byte
//! of it was sent.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use penstock_config::documents::MaskSide;
use penstock_http::body::BodyDecoder;
use penstock_http::head::{ResponseFraming, ResponseHead};
use penstock_reactor::buffer::{BLOCK_BYTES, Buffer};
use penstock_reactor::network::{Network, Receiver, Sender};

use super::events::count_masked;
use super::{Cut, Downlink};
use crate::input::Input;
use crate::masking::{
    Applied, Coding, Gathered, Masked, Progress, Unmaskable, Whole, WholeDecoding, WholeMasking,
};
use crate::output::Output;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::reply_head::{self, Framed};
use crate::session::Session;

/// What is sent of a masked answer at a time: each part has its own time to be taken.
const PART_BYTES: usize = 4 * BLOCK_BYTES;

impl<N: Network> Downlink<'_, N> {
    /// Passes a whole answer on through its mask.
    pub(super) async fn pass_whole<R: Receiver, S: Sender>(
        &mut self,
        whole: Whole,
        head: Buffer,
        reply: &ResponseHead,
        input: &mut Input<R>,
        output: &mut Output<S>,
        session: &mut Session,
    ) -> Result<(), Ending> {
        let Masked::By(applied) = &self.outbound.masked else {
            return Err(Reason::Internal.into());
        };
        let applied = Rc::clone(applied);
        let body = self.collect(&applied, reply.framing, input).await?;
        let body = self.decode(&applied, whole.coding, body).await?;
        let path = &session.path;
        let mut masking = WholeMasking::new(applied, path, whole.media, MaskSide::Response, body);
        let pool = self.core.network.pool();
        while masking.work(pool, &self.core.counters)? == Progress::More {
            masking.answer(self.core, self.guard).await?;
            self.turn().await?;
        }
        let values = masking.masked();
        let body = masking.into_buffer(pool)?;
        count_masked(values, session);
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let framed = Framed::Masked { length, values };
        let answer = reply_head::write(self, reply, &head, session, framed)?;
        drop(head);
        session.status = reply.status;
        output.outgoing.push(answer.bytes);
        *self.conversation.cut.borrow_mut() = Some(Cut::Abort);
        *self.answering = true;
        self.send_whole(body, output, session).await?;
        self.conversation.cut.borrow_mut().take();
        Ok(())
    }

    async fn send_whole<S: Sender>(
        &self,
        mut body: Buffer,
        output: &mut Output<S>,
        session: &mut Session,
    ) -> Result<(), Ending> {
        loop {
            let part = body.split_to(PART_BYTES);
            let bytes = u64::try_from(part.len()).unwrap_or(u64::MAX);
            output.outgoing.push(part);
            self.flush(output).await?;
            self.count_down(bytes, session);
            if body.is_empty() {
                return Ok(());
            }
        }
    }

    /// Gathers the body, as it came.
    async fn collect<R: Receiver>(
        &self,
        applied: &Applied,
        framing: ResponseFraming,
        input: &mut Input<R>,
    ) -> Result<Gathered, Ending> {
        let bytes_max = applied.masked_bytes_max();
        let too_long = || Ending::from(Reason::Unmaskable(Unmaskable::TooLong));
        if let ResponseFraming::Length(length) = framing
            && usize::try_from(length).map_or(true, |length| length > bytes_max)
        {
            return Err(too_long());
        }
        let gap = Duration::from_millis(self.core.limits().stream_gap_ms_max);
        let mut decoder = BodyDecoder::response(framing);
        let mut body = Gathered::default();
        while !decoder.is_done() {
            let next = self.guard.within(gap, pin!(input.next())).await;
            let Some(mut buffer) = self.received(next)? else {
                decoder.finish().map_err(|_| self.ending(Reason::UpstreamReset))?;
                break;
            };
            while let Some(piece) = self.piece(&mut decoder, &mut buffer)? {
                if body.len().saturating_add(piece.len()) > bytes_max {
                    return Err(too_long());
                }
                body.push(self.core.network.pool(), &piece).map_err(|_| Reason::NO_BUFFERS)?;
            }
            input.put_back(buffer);
        }
        Ok(body)
    }

    async fn decode(
        &self,
        applied: &Applied,
        coding: Coding,
        body: Gathered,
    ) -> Result<Gathered, Ending> {
        if coding == Coding::Identity {
            return Ok(body);
        }
        let pool = self.core.network.pool();
        let bytes_max = applied.masked_bytes_max();
        let mut decoding = WholeDecoding::new(coding, body.bytes(), bytes_max, pool)?;
        while decoding.work(pool)? == Progress::More {
            self.turn().await?;
        }
        Ok(decoding.into_decoded())
    }
}
