//! Requests of one core that wait for an approval: a cell and a waker each, no thread and no task
//! of their own. What wakes one is an answer, word that its approval was decided, or a policy under
//! which something else holds for it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use penstock_config::hold::{EndOutcome, HoldAnswer};

use crate::grants::Ends;
use crate::letters::{Question, Unanswered};
use crate::session::SessionId;
use crate::shares::{Account, Most, Who};

/// What a waiting request hears.
#[derive(Debug)]
pub(crate) enum News {
    /// The control plane answered.
    Answer(Box<Answered>),
    /// What it said last may be true no more.
    AskAgain,
    /// A policy is in force under which something else may hold.
    Policy,
}

/// An answer, and the boot time at which it came.
#[derive(Debug)]
pub(crate) struct Answered {
    /// What it says.
    pub(crate) answer: Result<HoldAnswer, Unanswered>,
    /// When it came.
    pub(crate) at: Duration,
}

/// One request that waits, as everything else sees it.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    rules: RefCell<Vec<Arc<str>>>,
    approval: RefCell<Option<Rc<str>>>,
    answer: RefCell<Option<Box<Answered>>>,
    asks_again: Cell<bool>,
    policy: Cell<bool>,
    wants_policy: Cell<bool>,
    is_out: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Waiting {
    /// One that needs these rules satisfied.
    pub(crate) fn new(rules: Vec<Arc<str>>) -> Self {
        Self { rules: RefCell::new(rules), ..Self::default() }
    }

    /// The rules that are to be satisfied.
    pub(crate) fn rules(&self) -> Vec<Arc<str>> {
        self.rules.borrow().clone()
    }

    /// Whether they are exactly these.
    pub(crate) fn has_rules(&self, rules: &[Arc<str>]) -> bool {
        *self.rules.borrow() == rules
    }

    /// Other rules from now on.
    pub(crate) fn set_rules(&self, rules: Vec<Arc<str>>) {
        *self.rules.borrow_mut() = rules;
    }

    /// The approval that it waits for.
    pub(crate) fn approval(&self) -> Option<Rc<str>> {
        self.approval.borrow().clone()
    }

    /// It waits for this one from now on.
    pub(crate) fn set_approval(&self, id: &str) {
        let same = self.approval.borrow().as_deref() == Some(id);
        if !same {
            *self.approval.borrow_mut() = Some(Rc::from(id));
        }
    }

    /// Whether its question is out.
    pub(crate) fn is_out(&self) -> bool {
        self.is_out.get()
    }

    /// Its question goes out: what was to be asked again is asked now.
    pub(crate) fn goes_out(&self) {
        self.is_out.set(true);
        self.asks_again.set(false);
    }

    /// The answer came.
    pub(crate) fn answer(&self, answered: Answered) {
        self.is_out.set(false);
        *self.answer.borrow_mut() = Some(Box::new(answered));
        self.wake();
    }

    /// It is to ask again, once its question is not out any more.
    pub(crate) fn ask_again(&self) {
        self.asks_again.set(true);
        self.wake();
    }

    /// It waits for a newer policy; or not any more.
    pub(crate) fn wants_policy(&self, wants: bool) {
        self.wants_policy.set(wants);
    }

    /// A policy came into force; `other`: one under which something else holds for it.
    pub(crate) fn policy(&self, other: bool) {
        if other || self.wants_policy.get() {
            self.policy.set(true);
            self.wake();
        }
    }

    /// The next thing that it hears.
    pub(crate) fn poll_news(&self, cx: &Context<'_>) -> Poll<News> {
        if let Some(answered) = self.take_answer() {
            return Poll::Ready(News::Answer(answered));
        }
        if self.policy.take() {
            return Poll::Ready(News::Policy);
        }
        if !self.is_out.get() && self.asks_again.take() {
            return Poll::Ready(News::AskAgain);
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn take_answer(&self) -> Option<Box<Answered>> {
        self.answer.borrow_mut().take()
    }

    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// All of a core.
#[derive(Debug, Default)]
pub(crate) struct Waitings(Rc<Table>);

#[derive(Debug, Default)]
struct Table {
    next: Cell<u64>,
    open: RefCell<HashMap<u64, Rc<Waiting>>>,
    places: Account,
}

impl Waitings {
    /// A place among them; none where there are as many as there may be, of all or of this
    /// identity.
    pub(crate) fn enter(
        &self,
        most: Most,
        who: Who,
        waiting: &Rc<Waiting>,
        session: SessionId,
        ends: &Rc<Ends>,
    ) -> Option<Place> {
        if !self.0.places.take(&who, 1, most) {
            return None;
        }
        let mut open = self.0.open.borrow_mut();
        let ticket = self.0.next.get();
        self.0.next.set(ticket.wrapping_add(1));
        open.insert(ticket, Rc::clone(waiting));
        Some(Place {
            table: Rc::clone(&self.0),
            ticket,
            who,
            waiting: Rc::clone(waiting),
            session,
            ends: Rc::clone(ends),
            question: None,
            is_known: false,
            outcome: EndOutcome::HoldOver,
        })
    }

    /// The one of that number, if it still waits.
    pub(crate) fn get(&self, ticket: u64) -> Option<Rc<Waiting>> {
        self.0.open.borrow().get(&ticket).cloned()
    }
}

/// A request's place among those that wait. Dropping it leaves, and tells the control plane.
#[derive(Debug)]
pub(crate) struct Place {
    table: Rc<Table>,
    ticket: u64,
    who: Who,
    waiting: Rc<Waiting>,
    session: SessionId,
    ends: Rc<Ends>,
    question: Option<Arc<Question>>,
    /// Whether the control plane counts it among those that wait.
    is_known: bool,
    outcome: EndOutcome,
}

impl Place {
    /// Its number.
    pub(crate) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// The cell.
    pub(crate) fn waiting(&self) -> &Rc<Waiting> {
        &self.waiting
    }

    /// Its question goes out.
    pub(crate) fn asked(&mut self, question: Arc<Question>) {
        self.question = Some(question);
        self.waiting.goes_out();
    }

    /// Its question was answered; whether the control plane counts it among those that wait.
    pub(crate) fn answered(&mut self, is_known: bool) {
        self.is_known = is_known;
        self.question = None;
    }

    /// How it leaves, if nothing else comes.
    pub(crate) fn leaves_as(&mut self, outcome: EndOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.open.borrow_mut().remove(&self.ticket);
        self.table.places.give_back(&self.who, 1);
        // An answer that nobody read may have reserved a use.
        if let Some(unread) = self.waiting.take_answer()
            && let Ok(answer) = unread.answer
        {
            if let Some(end) = Question::end_after(&answer, self.outcome) {
                self.ends.push(self.session, end);
            }
            return;
        }
        match &self.question {
            Some(question) if self.waiting.is_out() => question.leave(self.outcome),
            _ if self.is_known => self.ends.push(self.session, self.outcome),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use penstock_config::hold::{Go, Pending};
    use tokio::sync::mpsc;

    use super::*;
    use crate::letters::DeskMail;

    fn pending() -> Answered {
        let pending = Pending {
            approval: "apr-1".into(),
            url: String::new(),
            hold_ms: 1,
            commit: false,
            server_ms: 0,
        };
        Answered { answer: Ok(HoldAnswer::Pending(pending)), at: Duration::ZERO }
    }

    fn news(waiting: &Waiting) -> Option<News> {
        std::future::poll_fn(|cx| waiting.poll_news(cx)).now_or_never()
    }

    fn question(ticket: u64) -> Arc<Question> {
        Arc::new(Question::new(0, ticket, SessionId::default(), Vec::new()))
    }

    #[test]
    fn word_of_a_decision_is_kept_until_the_question_that_is_out_is_answered() {
        let waiting = Waiting::default();
        waiting.goes_out();
        waiting.ask_again();
        assert!(news(&waiting).is_none());
        waiting.answer(pending());
        assert!(matches!(news(&waiting), Some(News::Answer(_))));
        assert!(matches!(news(&waiting), Some(News::AskAgain)));
        assert!(news(&waiting).is_none());
    }

    #[test]
    fn who_leaves_tells_it_unless_the_question_is_out_and_then_its_answer_does() {
        let (desk, mut mail) = mpsc::channel(4);
        let ends = Rc::new(Ends::new(desk));
        let waitings = Waitings::default();
        let enter = || {
            let waiting = Rc::new(Waiting::default());
            waitings
                .enter(Most::places(2), Who::of(&[1; 32]), &waiting, SessionId::default(), &ends)
                .unwrap()
        };
        drop(enter());
        assert!(mail.try_recv().is_err(), "the control plane knows nothing of it");

        let mut place = enter();
        let asked = question(place.ticket());
        place.asked(Arc::clone(&asked));
        place.leaves_as(EndOutcome::Withdrawn);
        drop(place);
        assert_eq!(asked.left(), Some(EndOutcome::Withdrawn));
        assert!(mail.try_recv().is_err());

        let mut place = enter();
        place.asked(question(place.ticket()));
        place.waiting().answer(pending());
        assert!(matches!(news(place.waiting()), Some(News::Answer(_))));
        place.answered(true);
        drop(place);
        let told = mail.try_recv();
        assert!(matches!(told, Ok(DeskMail::End(_, EndOutcome::HoldOver))), "{told:?}");
        assert!(waitings.0.open.borrow().is_empty());
    }

    #[test]
    fn a_use_whose_reservation_nobody_read_is_given_back() {
        let (desk, mut mail) = mpsc::channel(4);
        let ends = Rc::new(Ends::new(desk));
        let waiting = Rc::new(Waiting::default());
        let waitings = Waitings::default();
        let place = waitings.enter(
            Most::places(1),
            Who::of(&[1; 32]),
            &waiting,
            SessionId::default(),
            &ends,
        );
        let mut place = place.unwrap();
        place.asked(question(place.ticket()));
        let go = Go {
            grants: Vec::new(),
            rules: Vec::new(),
            approval: None,
            ends_ms: 0,
            left_ms: 0,
            server_ms: 0,
        };
        waiting.answer(Answered { answer: Ok(HoldAnswer::Go(go)), at: Duration::ZERO });
        drop(place);
        let told = mail.try_recv();
        assert!(matches!(told, Ok(DeskMail::End(_, EndOutcome::NothingSent))), "{told:?}");
    }

    #[test]
    fn no_more_wait_than_may() {
        let (desk, _mail) = mpsc::channel(4);
        let ends = Rc::new(Ends::new(desk));
        let waitings = Waitings::default();
        let waiting = Rc::new(Waiting::default());
        let most = Most::places(1);
        let enter =
            || waitings.enter(most, Who::of(&[1; 32]), &waiting, SessionId::default(), &ends);
        let first = enter();
        assert!(first.is_some() && enter().is_none());
        drop(first);
        assert!(enter().is_some());
    }
}
