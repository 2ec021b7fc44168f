//! What cores and the sync thread write to each other about approvals. A core asks, and says what
//! ended; the sync thread brings answers, and what the control plane says of its own. Both ways are
//! bounded, and neither side ever waits for the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use penstock_config::hold::{EndOutcome, HoldAnswer, OpenSession};

use crate::live::LiveChange;
use crate::session::SessionId;

/// Mail that waits for the sync thread, all cores together.
pub(crate) const DESK_MAX: usize = 4_096;

/// Letters that wait for a core.
pub(crate) const LETTERS_MAX: usize = 1_024;

/// To the sync thread.
#[derive(Debug)]
pub(crate) enum DeskMail {
    /// Ask the control plane.
    Ask(Arc<Question>),
    /// A held or granted exchange is over.
    End(SessionId, EndOutcome),
    /// What is open on a core now, where it changed.
    Sessions {
        /// Index of the core that says so.
        core: usize,
        /// The newest ones.
        sessions: Vec<OpenSession>,
        /// How many there are in all.
        open: u64,
    },
}

/// To a core.
#[derive(Debug)]
pub(crate) enum Letter {
    /// What the control plane answered, or that it gave no answer that counts.
    Answer {
        /// The question.
        question: Arc<Question>,
        /// The answer.
        answer: Result<HoldAnswer, Unanswered>,
        /// Boot time at which it came.
        at: Duration,
    },
    /// What is in force.
    Live(Arc<LiveChange>),
    /// Say what is open, if that changed.
    Sessions,
}

/// The control plane refused the question itself: to ask it again is of no use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unanswered;

/// One question of one request that waits, as it goes to the control plane each time.
#[derive(Debug)]
pub(crate) struct Question {
    /// Index of the core that asks.
    pub(crate) core: usize,
    /// Which of its waiting requests.
    pub(crate) ticket: u64,
    /// The session.
    pub(crate) session: SessionId,
    /// `penstock_config::hold::HoldRequest` as JSON.
    pub(crate) body: Box<[u8]>,
    /// How the request left, as a number; 0 while it waits.
    left: AtomicU8,
}

/// Numbers of [`Question::left`]; 0 is none of them.
const OUTCOMES: [EndOutcome; 4] =
    [EndOutcome::Withdrawn, EndOutcome::HoldOver, EndOutcome::NothingSent, EndOutcome::Ended];

impl Question {
    /// A question that nobody has been asked.
    pub(crate) fn new(core: usize, ticket: u64, session: SessionId, body: Vec<u8>) -> Self {
        Self { core, ticket, session, body: body.into(), left: AtomicU8::new(0) }
    }

    /// The request has left while the question is out: whoever has the answer tells it.
    pub(crate) fn leave(&self, outcome: EndOutcome) {
        let number = OUTCOMES.iter().position(|one| *one == outcome).unwrap_or(0);
        self.left.store(u8::try_from(number).unwrap_or(0).saturating_add(1), Ordering::Release);
    }

    /// How the request left, if it has.
    pub(crate) fn left(&self) -> Option<EndOutcome> {
        let number = self.left.load(Ordering::Acquire).checked_sub(1)?;
        OUTCOMES.get(usize::from(number)).copied()
    }

    /// What is to be told after an answer to a request that has left: a use that was reserved for
    /// it is given back.
    pub(crate) fn end_after(answer: &HoldAnswer, left: EndOutcome) -> Option<EndOutcome> {
        match answer {
            HoldAnswer::Go(_) => Some(EndOutcome::NothingSent),
            HoldAnswer::Pending(_) => Some(left),
            HoldAnswer::Refused(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_how_its_request_left() {
        for outcome in OUTCOMES {
            let question = Question::new(0, 1, SessionId::default(), Vec::new());
            assert_eq!(question.left(), None);
            question.leave(outcome);
            assert_eq!(question.left(), Some(outcome));
        }
    }
}
