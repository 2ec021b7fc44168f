//! The analyser of a mask, asked over HTTP by the core that needs it: one question at a time for an
//! exchange, within one time for an event or a whole body. What comes back is not trusted: it is
//! bounded, and counts only where it names what was asked for and places that are there.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use penstock_config::documents::{MaskAnalyzer, Unavailable};
use penstock_http::body::{BodyDecoder, Step};
use penstock_http::head::{ResponseFraming, ResponseHead, parse_response};
use penstock_http::writer::{RequestWriter, WriteError};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::Network;
use serde::{Deserialize, Serialize};

use super::Unmaskable;
use super::engine::{Analysis, Found, Question, Unusable};
use super::gathered::Gathered;
use crate::core::{Core, Report};
use crate::enforced::Target;
use crate::guard::{Guard, Interrupt};
use crate::input::HeadFailure;
use crate::limits::Limit;
use crate::output::HeadBlock;
use crate::pool::{Route, UpstreamConnection};
use crate::reach::{connect, reuse};
use crate::reason::Reason;
use crate::relay::{INTERIM_MAX, REPLY_LIMITS};

/// Longest answer, in bytes: 256 for each name. Its memory counts as buffers of the core do.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Most names in one answer: as many as 8 KiB of initials hold, which is the longest question.
const NAMES_MAX: usize = 4 << 10;

/// Questions that are out at a time, a core.
const ASKING_MAX: usize = 256;

/// Failures in a row (no connection, one that ended, no answer in time) after which an analyser is
/// left alone, and for how long: what is done without it is done at once then.
const FAILURES_MAX: u32 = 5;
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// That an analyser is away is told at most this often, a core.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What came of a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AnalyzerOutcome {
    /// An answer.
    Answered,
    /// None in time.
    Timeout,
    /// No connection, or one that ended.
    Unreachable,
    /// Another status than 200.
    Refused,
    /// Not what an analyser answers.
    Invalid,
    /// It was left alone, since it had failed.
    LeftAlone,
    /// Too many questions were out.
    Busy,
    /// More than is taken. That may be up to the text.
    TooMuch,
}

impl AnalyzerOutcome {
    /// Their labels, in order.
    pub(crate) const LABELS: [&'static str; 8] = [
        "answered",
        "timeout",
        "unreachable",
        "refused",
        "invalid",
        "left_alone",
        "busy",
        "too_much",
    ];

    /// Its label.
    pub(crate) fn label(self) -> &'static str {
        Self::LABELS.get(self as usize).copied().unwrap_or("invalid")
    }
}

/// The analyser of a mask, as one core uses it.
pub(crate) struct CoreAnalyzer {
    mask: String,
    document: MaskAnalyzer,
    target: Target,
    state: Rc<AnalyzerState>,
}

/// How an analyser does, seen from one core; it outlives a policy.
#[derive(Debug)]
pub(crate) struct AnalyzerState {
    url: String,
    failures: Cell<u32>,
    alone_until: Cell<Duration>,
    asking: Cell<usize>,
    told_at: Cell<Option<Duration>>,
}

/// The states of all analysers of a core.
#[derive(Debug, Default)]
pub(crate) struct AnalyzerStates(RefCell<Vec<Weak<AnalyzerState>>>);

impl AnalyzerStates {
    /// That of one: the same for as long as somebody uses it.
    pub(super) fn of(&self, url: &str) -> Rc<AnalyzerState> {
        let mut known = self.0.borrow_mut();
        known.retain(|one| one.strong_count() > 0);
        if let Some(state) = known.iter().filter_map(Weak::upgrade).find(|one| one.url == url) {
            return state;
        }
        let state = Rc::new(AnalyzerState {
            url: url.to_owned(),
            failures: Cell::new(0),
            alone_until: Cell::new(Duration::ZERO),
            asking: Cell::new(0),
            told_at: Cell::new(None),
        });
        known.push(Rc::downgrade(&state));
        state
    }
}

/// One question that is out.
struct Out<'s>(&'s AnalyzerState);

impl Drop for Out<'_> {
    fn drop(&mut self) {
        self.0.asking.set(self.0.asking.get().saturating_sub(1));
    }
}

/// What is sent.
#[derive(Serialize)]
struct Asked<'a> {
    text: &'a str,
    language: &'a str,
    entities: &'a [String],
    score_threshold: f64,
}

/// One name of an answer; other members count for nothing.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    entity_type: std::borrow::Cow<'a, str>,
    start: usize,
    end: usize,
    score: f64,
}

impl CoreAnalyzer {
    /// The analyser of a mask that is reached so.
    pub(super) fn new(
        mask: &str,
        document: &MaskAnalyzer,
        target: &Target,
        states: &AnalyzerStates,
    ) -> Self {
        Self {
            mask: mask.to_owned(),
            document: document.clone(),
            target: target.clone(),
            state: states.of(&document.url),
        }
    }

    /// How long it may take for one event, or for one whole body.
    pub(super) fn limit(&self) -> Duration {
        Duration::from_millis(self.document.timeout_ms)
    }

    /// Asks what is open, until then; what gets no answer is given up, or ends the exchange where
    /// the mask says so.
    ///
    /// # Errors
    /// The exchange ends.
    pub(super) async fn answer<N: Network>(
        &self,
        core: &Core<N>,
        guard: &Guard<N>,
        until: Duration,
        analysis: &mut Analysis,
    ) -> Result<(), Reason> {
        while let Some(question) = analysis.question() {
            let begun = core.network.now();
            let outcome = match self.ask(core, guard, until, question).await? {
                Ok(found) => match analysis.answer(&found) {
                    Ok(()) => AnalyzerOutcome::Answered,
                    Err(Unusable::Void) => AnalyzerOutcome::Invalid,
                    Err(Unusable::TooMuch) => AnalyzerOutcome::TooMuch,
                },
                Err(outcome) => outcome,
            };
            let now = core.network.now();
            let took = now.saturating_sub(begun);
            core.counters.analyzer_asked(outcome, took);
            self.learn(core, outcome, took);
            if outcome == AnalyzerOutcome::Answered {
                continue;
            }
            if self.document.unavailable == Unavailable::Refuse {
                return Err(Reason::Unmaskable(Unmaskable::Analyzer));
            }
            if outcome == AnalyzerOutcome::TooMuch {
                analysis.withhold();
            } else {
                analysis.give_up();
            }
        }
        Ok(())
    }

    /// What an outcome says about the analyser. How long many questions take together, how much
    /// there is to answer, and what it can not answer well, is up to the text: one caller could
    /// have it left alone. An answer in time, of whatever kind, makes nobody wait.
    fn learn<N: Network>(&self, core: &Core<N>, outcome: AnalyzerOutcome, took: Duration) {
        let (state, now) = (&self.state, core.network.now());
        let failed = match outcome {
            AnalyzerOutcome::Answered => {
                state.failures.set(0);
                return;
            }
            AnalyzerOutcome::Timeout => took >= self.limit(),
            AnalyzerOutcome::Unreachable => true,
            AnalyzerOutcome::TooMuch => {
                state.failures.set(0);
                return;
            }
            AnalyzerOutcome::Refused | AnalyzerOutcome::Invalid => {
                state.failures.set(0);
                false
            }
            AnalyzerOutcome::LeftAlone | AnalyzerOutcome::Busy => false,
        };
        if failed {
            state.failures.set(state.failures.get().saturating_add(1));
            if state.failures.get() >= FAILURES_MAX {
                state.alone_until.set(now.saturating_add(LEFT_ALONE));
            }
        }
        let is_due = state.told_at.get().is_none_or(|at| now.saturating_sub(at) >= TELL_EVERY);
        if is_due {
            let report = Report::AnalyzerAway { mask: self.mask.clone(), outcome };
            if core.reports.try_send(report).is_ok() {
                state.told_at.set(Some(now));
            }
        }
    }

    /// One question. The outer error ends the exchange.
    async fn ask<N: Network>(
        &self,
        core: &Core<N>,
        guard: &Guard<N>,
        until: Duration,
        question: &Question,
    ) -> Result<Result<Vec<Found>, AnalyzerOutcome>, Reason> {
        let state = &self.state;
        let now = core.network.now();
        if now < state.alone_until.get() {
            return Ok(Err(AnalyzerOutcome::LeftAlone));
        }
        if now >= until {
            return Ok(Err(AnalyzerOutcome::Timeout));
        }
        if state.asking.get() >= ASKING_MAX {
            return Ok(Err(AnalyzerOutcome::Busy));
        }
        state.asking.set(state.asking.get().saturating_add(1));
        let _out = Out(state);
        let asked = Asked {
            text: question.text(),
            language: &self.document.language,
            entities: &self.document.entities,
            score_threshold: self.document.score_min,
        };
        let body = serde_json::to_vec(&asked).map_err(|_| Reason::Internal)?;
        let body = core.network.pool().keep(&body).map_err(|_| Reason::NO_BUFFERS)?;
        let asking = Box::pin(self.converse(core, guard, &body));
        let answered = guard.within(until.saturating_sub(now), asking).await;
        match answered {
            Err(Interrupt::Cancelled(reason)) => Err(reason),
            _ if guard.is_over() => Err(guard.over()),
            Err(Interrupt::Elapsed) => Ok(Err(AnalyzerOutcome::Timeout)),
            Ok(Err(outcome)) => Ok(Err(outcome)),
            Ok(Ok(answer)) => Ok(self.found(answer.bytes())),
        }
    }

    /// On a kept connection, and where that had been closed under us on a new one.
    async fn converse<N: Network>(
        &self,
        core: &Core<N>,
        guard: &Guard<N>,
        body: &Buffer,
    ) -> Result<Gathered, AnalyzerOutcome> {
        let mut outcome = AnalyzerOutcome::Unreachable;
        for address in core.node.addresses.load().addresses(&self.target.endpoint) {
            let route = Route { address, tls: self.target.security.id() };
            if let Some(kept) = reuse(core, route) {
                match self.exchange(core, kept, body).await {
                    Err(AnalyzerOutcome::Unreachable) => {}
                    result => return result,
                }
            }
            if let Ok(connection) = connect(core, guard, &self.target, address).await {
                match self.exchange(core, connection, body).await {
                    Err(failed @ AnalyzerOutcome::Unreachable) => outcome = failed,
                    result => return result,
                }
            }
        }
        Err(outcome)
    }

    async fn exchange<N: Network>(
        &self,
        core: &Core<N>,
        mut connection: UpstreamConnection<N>,
        body: &Buffer,
    ) -> Result<Gathered, AnalyzerOutcome> {
        let pool = core.network.pool();
        let head = self.head(core, body.len()).map_err(|_| AnalyzerOutcome::Busy)?;
        connection.output.outgoing.push(head);
        connection.output.outgoing.push(body.clone());
        let sent = connection.output.flush().await;
        sent.map_err(|_| AnalyzerOutcome::Unreachable)?;
        let mut reply = ResponseHead::new();
        let mut interim = 0;
        loop {
            let parse = |bytes: &[u8]| parse_response(bytes, &REPLY_LIMITS, false, &mut reply);
            let read = connection.input.head(pool, parse).await;
            read.map_err(|failure| match failure {
                HeadFailure::Refused(_) | HeadFailure::TooLarge => AnalyzerOutcome::Invalid,
                HeadFailure::Ended { .. } | HeadFailure::Network { .. } => {
                    AnalyzerOutcome::Unreachable
                }
            })?;
            if reply.status >= 200 {
                break;
            }
            interim += 1;
            if interim > INTERIM_MAX {
                return Err(AnalyzerOutcome::Invalid);
            }
        }
        if reply.status != 200 {
            return Err(AnalyzerOutcome::Refused);
        }
        let answer = self.collect(core, &mut connection, reply.framing).await?;
        let is_clean = connection.input.unused_bytes() == 0;
        let is_kept = reply.keep_alive && reply.framing != ResponseFraming::UntilClose && is_clean;
        if is_kept && !core.pool.keep(connection) {
            core.counters.reached(Limit::UpstreamIdle);
        }
        Ok(answer)
    }

    fn head<N: Network>(&self, core: &Core<N>, length: usize) -> Result<Buffer, WriteError> {
        let mut block = HeadBlock::new(core.network.pool()).map_err(|_| WriteError::Full)?;
        let Target { endpoint, authority, .. } = &self.target;
        let path = &endpoint.base_path;
        let mut writer = RequestWriter::start(&mut block, "POST", path, "/analyze", authority)?;
        writer.header(b"accept", b"application/json")?;
        writer.header(b"accept-encoding", b"identity")?;
        writer.header(b"content-type", b"application/json")?;
        writer.finish_length(u64::try_from(length).unwrap_or(u64::MAX))?;
        Ok(block.freeze())
    }

    async fn collect<N: Network>(
        &self,
        core: &Core<N>,
        connection: &mut UpstreamConnection<N>,
        framing: ResponseFraming,
    ) -> Result<Gathered, AnalyzerOutcome> {
        let mut decoder = BodyDecoder::response(framing);
        let mut answer = Gathered::default();
        while !decoder.is_done() {
            let next = connection.input.next().await;
            let Some(mut buffer) = next.map_err(|_| AnalyzerOutcome::Unreachable)? else {
                decoder.finish().map_err(|_| AnalyzerOutcome::Invalid)?;
                break;
            };
            while !buffer.is_empty() && !decoder.is_done() {
                match decoder.decode(&buffer).map_err(|_| AnalyzerOutcome::Invalid)? {
                    Step::Skip(count) => drop(buffer.split_to(count)),
                    Step::Data(count) => {
                        let piece = buffer.split_to(count);
                        if answer.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
                            return Err(AnalyzerOutcome::TooMuch);
                        }
                        let kept = answer.push(core.network.pool(), &piece);
                        kept.map_err(|_| AnalyzerOutcome::Busy)?;
                    }
                    Step::Done => break,
                    Step::NeedMore => drop(buffer.split_to(buffer.len())),
                }
            }
            connection.input.put_back(buffer);
        }
        Ok(answer)
    }

    /// What of an answer counts: what was asked for, with the score that it needs.
    fn found(&self, answer: &[u8]) -> Result<Vec<Found>, AnalyzerOutcome> {
        let named: Vec<Named<'_>> =
            serde_json::from_slice(answer).map_err(|_| AnalyzerOutcome::Invalid)?;
        let MaskAnalyzer { entities, score_min, .. } = &self.document;
        let mut found = Vec::new();
        for one in named.iter().filter(|one| one.score >= *score_min) {
            let entity = entities.iter().position(|entity| *entity == one.entity_type);
            if let Some(entity) = entity {
                if found.len() >= NAMES_MAX {
                    return Err(AnalyzerOutcome::TooMuch);
                }
                found.push(Found { entity, start: one.start, end: one.end });
            }
        }
        Ok(found)
    }
}
