//! What a core does with letters of the sync thread, and what it looks at each second so that
//! nothing goes on that rests on a control plane which is not heard any more.

use std::time::Duration;

use penstock_config::hold::SESSIONS_MAX;
use penstock_reactor::network::Network;

use crate::core::Core;
use crate::letters::{DeskMail, Letter, Question, Unanswered};
use crate::live::LiveChange;
use crate::reason::Reason;
use crate::waiting::Answered;

/// Exchanges that are looked at between two yields.
const SLICE: usize = 64;

impl<N: Network> Core<N> {
    /// Reads one letter.
    pub(crate) async fn receive(&self, letter: Letter) {
        match letter {
            Letter::Answer { question, answer, at } => self.answered(&question, answer, at),
            Letter::Live(change) => self.act_on(&change).await,
            Letter::Sessions => self.report_sessions().await,
        }
    }

    /// Hands an answer to the request that waits for it. If that has left meanwhile, what was
    /// reserved for it is given back.
    fn answered(
        &self,
        question: &Question,
        answer: Result<penstock_config::hold::HoldAnswer, Unanswered>,
        at: Duration,
    ) {
        if let Some(waiting) = self.waitings.get(question.ticket) {
            waiting.answer(Answered { answer, at });
            return;
        }
        let end = question.left().zip(answer.ok());
        if let Some(end) = end.and_then(|(left, answer)| Question::end_after(&answer, left)) {
            self.ends.push(question.session, end);
        }
    }

    /// Acts on what is in force: nothing that was revoked begins any more, and what runs under it
    /// is cut. Then it says so.
    pub(crate) async fn act_on(&self, change: &LiveChange) {
        self.live.take(change, self.network.now());
        let revocations = u64::try_from(self.live.revocations()).unwrap_or(u64::MAX);
        self.counters.live_revocations.set(revocations);
        if change.concerns_exchanges() {
            let open = self.registry.open();
            for slice in open.chunks(SLICE) {
                for exchange in slice {
                    if let Some(reason) = exchange.ended_by(change)
                        && exchange.cancel(reason)
                    {
                        self.counters.live_cuts.add(1);
                    }
                }
                self.network.yield_now().await;
            }
        }
        self.counters.set_live_acted(change.number);
    }

    /// Whether anything may be held, or go under a grant: not while the control plane is not heard.
    pub(crate) fn may_hold(&self) -> Result<(), Reason> {
        let silence_max = Duration::from_millis(self.node.settings.revocation_silence_ms_max);
        if self.live.is_fresh(self.boot(), silence_max) {
            Ok(())
        } else {
            Err(Reason::ApprovalUnavailable)
        }
    }

    /// Cuts what is over by clocks that timers do not follow, and, while the control plane is not
    /// heard, everything that rests on its word. Passes ends on that had no room before.
    pub(crate) fn look_at_grants(&self) {
        let (wall_ms, boot) = (self.wall_ms(), self.boot());
        let silent = self.may_hold().err();
        self.registry.any(|exchange| {
            let unheard = silent.clone().filter(|_| exchange.rests_on_live());
            if let Some(reason) = unheard.or_else(|| exchange.is_over(wall_ms, boot))
                && exchange.cancel(reason)
            {
                self.counters.live_cuts.add(1);
            }
            false
        });
        self.ends.pass_on();
    }

    /// Ends everything that waits for an approval.
    pub(crate) fn end_holds(&self, reason: &Reason) {
        self.registry.any(|exchange| {
            if exchange.is_held() {
                exchange.cancel(reason.clone());
            }
            false
        });
    }

    /// Says what is open, if that changed since it was said last.
    async fn report_sessions(&self) {
        let changes = self.registry.changes();
        if self.sessions_told.get() == Some(changes) {
            return;
        }
        let (newest, open) = self.registry.newest(SESSIONS_MAX);
        let mut sessions = Vec::with_capacity(newest.len());
        for slice in newest.chunks(SLICE) {
            sessions.extend(slice.iter().map(|exchange| exchange.summary()));
            self.network.yield_now().await;
        }
        let open = u64::try_from(open).unwrap_or(u64::MAX);
        let mail = DeskMail::Sessions { core: self.seat, sessions, open };
        // Without room it is said with the next question.
        if self.desk.try_send(mail).is_ok() {
            self.sessions_told.set(Some(changes));
        }
    }
}
