//! What a granted exchange runs under, and how its end is told. A use that was reserved is given
//! back only where no byte went up; every other end, a panic too, says that it was used.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use penstock_config::hold::{EndOutcome, Go};
use tokio::sync::mpsc;

use crate::letters::DeskMail;
use crate::session::SessionId;

/// Ends that wait to be told, a core, and again on the sync thread.
pub(crate) const ENDS_KEPT_MAX: usize = 100_000;

/// The grants of one exchange: one use of each is reserved for it.
#[derive(Debug)]
pub(crate) struct Granted {
    /// Their ids.
    pub(crate) grants: Box<[String]>,
    /// The approve rules that they satisfy.
    pub(crate) rules: Box<[String]>,
    /// The approval that it waited for.
    pub(crate) approval: Option<String>,
    /// When the first of them ends: wall clock, milliseconds since the Unix epoch.
    pub(crate) ends_ms: u64,
    /// The same as boot time; the earlier one counts.
    pub(crate) ends_boot: Duration,
    /// The control plane's clock when they were live.
    pub(crate) server_ms: u64,
}

impl Granted {
    /// From an answer that came at this boot time.
    pub(crate) fn new(go: Go, at: Duration) -> Self {
        Self {
            grants: go.grants.into(),
            rules: go.rules.into(),
            approval: go.approval,
            ends_ms: go.ends_ms,
            ends_boot: at.saturating_add(Duration::from_millis(go.left_ms)),
            server_ms: go.server_ms,
        }
    }

    /// Whether all of these rules are satisfied.
    pub(crate) fn covers(&self, rules: &[Arc<str>]) -> bool {
        rules.iter().all(|rule| self.rules.iter().any(|one| **one == **rule))
    }

    /// Time that is left by both clocks.
    pub(crate) fn left(&self, wall_ms: u64, boot: Duration) -> Duration {
        let by_wall = Duration::from_millis(self.ends_ms.saturating_sub(wall_ms));
        by_wall.min(self.ends_boot.saturating_sub(boot))
    }
}

/// The reserved use of one exchange. Dropping it tells how it ended.
#[derive(Debug)]
pub(crate) struct Use {
    ends: Rc<Ends>,
    session: SessionId,
    sent: Cell<bool>,
}

impl Use {
    /// One was reserved.
    pub(crate) fn new(ends: &Rc<Ends>, session: SessionId) -> Self {
        Self { ends: Rc::clone(ends), session, sent: Cell::new(false) }
    }

    /// Whether a byte may have gone to a model server.
    pub(crate) fn is_sent(&self) -> bool {
        self.sent.get()
    }

    /// A byte may go up from now on; or none did, as the socket says.
    pub(crate) fn set_sent(&self, sent: bool) {
        self.sent.set(sent);
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let outcome = if self.sent.get() { EndOutcome::Ended } else { EndOutcome::NothingSent };
        self.ends.push(self.session, outcome);
    }
}

/// Ends of one core on their way to the sync thread. What its channel does not take waits here.
#[derive(Debug)]
pub(crate) struct Ends {
    waiting: RefCell<EndQueue>,
    desk: mpsc::Sender<DeskMail>,
}

impl Ends {
    /// None yet.
    pub(crate) fn new(desk: mpsc::Sender<DeskMail>) -> Self {
        Self { waiting: RefCell::default(), desk }
    }

    /// Tells one, now or as soon as there is room.
    pub(crate) fn push(&self, session: SessionId, outcome: EndOutcome) {
        self.waiting.borrow_mut().push(session, outcome);
        self.pass_on();
    }

    /// Passes on what the channel takes.
    pub(crate) fn pass_on(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while !waiting.is_empty() {
            let Ok(place) = self.desk.try_reserve() else { return };
            if let Some((session, outcome)) = waiting.pop() {
                place.send(DeskMail::End(session, outcome));
            }
        }
    }
}

/// Ends in memory, bounded. When it is full the oldest of those that give nothing back go first: a
/// grant that looks as if it ran on is cut by its time; a use that is not given back is lost.
#[derive(Debug, Default)]
pub(crate) struct EndQueue {
    ended: VecDeque<SessionId>,
    others: VecDeque<(SessionId, EndOutcome)>,
}

impl EndQueue {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.ended.len().saturating_add(self.others.len())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one.
    pub(crate) fn push(&mut self, session: SessionId, outcome: EndOutcome) {
        if self.len() >= ENDS_KEPT_MAX && self.ended.pop_front().is_none() {
            self.others.pop_front();
        }
        match outcome {
            EndOutcome::Ended => self.ended.push_back(session),
            EndOutcome::NothingSent | EndOutcome::Withdrawn | EndOutcome::HoldOver => {
                self.others.push_back((session, outcome));
            }
        }
    }

    /// Takes one: those that change what may happen next before the others.
    pub(crate) fn pop(&mut self) -> Option<(SessionId, EndOutcome)> {
        let ended = || self.ended.pop_front().map(|session| (session, EndOutcome::Ended));
        self.others.pop_front().or_else(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: usize) -> SessionId {
        SessionId::parse(&format!("{number:032x}")).unwrap()
    }

    #[test]
    fn ends_that_give_nothing_back_go_first_when_there_are_too_many() {
        let mut queue = EndQueue::default();
        queue.push(session(1), EndOutcome::Ended);
        queue.push(session(2), EndOutcome::NothingSent);
        for number in 3..=ENDS_KEPT_MAX + 1 {
            queue.push(session(number), EndOutcome::Ended);
        }
        assert_eq!(queue.len(), ENDS_KEPT_MAX);
        assert_eq!(queue.pop(), Some((session(2), EndOutcome::NothingSent)));
        assert_eq!(queue.pop(), Some((session(3), EndOutcome::Ended)));
    }

    #[test]
    fn an_end_that_the_channel_does_not_take_waits_and_goes_later() {
        let (desk, mut mail) = mpsc::channel(1);
        let ends = Ends::new(desk);
        ends.push(session(1), EndOutcome::Withdrawn);
        ends.push(session(2), EndOutcome::HoldOver);
        let told = |mail: Option<DeskMail>| match mail {
            Some(DeskMail::End(session, outcome)) => (session, outcome),
            _ => panic!("no end"),
        };
        assert_eq!(told(mail.try_recv().ok()), (session(1), EndOutcome::Withdrawn));
        assert!(mail.try_recv().is_err());
        ends.pass_on();
        assert_eq!(told(mail.try_recv().ok()), (session(2), EndOutcome::HoldOver));
    }

    #[test]
    fn a_use_is_given_back_only_where_nothing_was_sent() {
        let (desk, mut mail) = mpsc::channel(4);
        let ends = Rc::new(Ends::new(desk));
        drop(Use::new(&ends, session(1)));
        let used = Use::new(&ends, session(2));
        used.set_sent(true);
        drop(used);
        let mut outcomes = Vec::new();
        while let Ok(DeskMail::End(_, outcome)) = mail.try_recv() {
            outcomes.push(outcome);
        }
        assert_eq!(outcomes, [EndOutcome::NothingSent, EndOutcome::Ended]);
    }

    #[test]
    fn of_two_clocks_the_earlier_end_of_a_grant_counts() {
        let go = |ends_ms, left_ms| Go {
            grants: vec!["grt-1".to_owned()],
            rules: Vec::new(),
            approval: None,
            ends_ms,
            left_ms,
            server_ms: 0,
        };
        let boot = Duration::from_secs(100);
        let left = |granted: Granted| granted.left(1_000, boot).as_millis();
        assert_eq!(left(Granted::new(go(61_000, 9_000), boot)), 9_000);
        assert_eq!(left(Granted::new(go(5_000, 60_000), boot)), 4_000);
        assert_eq!(left(Granted::new(go(500, 60_000), boot)), 0);
    }
}
