//! The desk: what cores ask the control plane about approvals goes out here, answers come back, and
//! what the control plane says of its own goes to every core. All of it is tasks of one thread; a
//! hold costs a question while it is out, and nothing here while it waits.

mod keep;
mod live;
mod open;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use penstock_config::hold::{ENDS_MAX, End, EndOutcome, Ends, HoldAnswer, Live, OpenSessions};
use penstock_reactor::mailbox::{MailSender, SendError};
use penstock_reactor::process::boot_time;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};

use self::keep::Keeper;
use self::open::OpenBook;
use super::Disk;
use super::control::{Control, ControlError};
use super::feed::{later, tell};
use crate::core::Node;
use crate::counters::Counters;
use crate::grants::EndQueue;
use crate::letters::{DeskMail, Letter, Question, Unanswered};
use crate::session::SessionId;

/// Questions that are out at a time.
const ASKING_MAX: usize = 64;

/// Longest call.
const CALL_MAX: Duration = Duration::from_secs(10);

/// Longest pause before a call that failed is made again.
const BACK_OFF_MAX: Duration = Duration::from_secs(2);

/// How soon a letter is tried again for which a core has no room.
const ROOM_EVERY: Duration = Duration::from_millis(5);

/// How long what is left may take at the end of the process.
const LAST_CALLS: Duration = Duration::from_secs(3);

/// The calls that the desk makes.
pub(super) trait Plane {
    /// `POST /node/v1/holds`.
    async fn hold(&self, question: &[u8]) -> Result<HoldAnswer, ControlError>;
    /// `POST /node/v1/ends`.
    async fn ends(&self, ends: &Ends) -> Result<(), ControlError>;
    /// `GET /node/v1/live`.
    async fn live(&self, run: &str, after: u64, wait_ms: u64) -> Result<Live, ControlError>;
    /// `POST /node/v1/sessions`.
    async fn sessions(&self, open: &OpenSessions) -> Result<(), ControlError>;
}

impl Plane for Control {
    async fn hold(&self, question: &[u8]) -> Result<HoldAnswer, ControlError> {
        Self::hold(self, question).await
    }

    async fn ends(&self, ends: &Ends) -> Result<(), ControlError> {
        Self::ends(self, ends).await
    }

    async fn live(&self, run: &str, after: u64, wait_ms: u64) -> Result<Live, ControlError> {
        Self::live(self, run, after, wait_ms).await
    }

    async fn sessions(&self, open: &OpenSessions) -> Result<(), ControlError> {
        Self::sessions(self, open).await
    }
}

/// What others on this thread want to know of.
pub(super) enum Heard<'l> {
    /// An answer that counts.
    Live(&'l Live),
    /// The control plane knows that granted exchanges are over.
    UseEnded,
}

/// What the desk is set up with.
pub(crate) struct DeskParts {
    /// One mailbox a core.
    pub(crate) letters: Vec<MailSender<Letter>>,
    /// What cores write.
    pub(crate) mail: mpsc::Receiver<DeskMail>,
    /// What all threads see.
    pub(crate) node: Arc<Node>,
    /// Counters of the cores: how far each has acted.
    pub(crate) counters: Arc<[Arc<Counters>]>,
    /// State on disk.
    pub(crate) disk: Disk,
}

/// The desk.
pub(super) struct Desk<P> {
    plane: P,
    letters: Vec<MailSender<Letter>>,
    node: Arc<Node>,
    counters: Arc<[Arc<Counters>]>,
    ends: RefCell<EndQueue>,
    ended: Notify,
    open: RefCell<OpenBook>,
    keeper: Keeper,
}

/// Runs until it is told to stop, then tells what is left.
pub(super) async fn run<P: Plane + 'static>(
    plane: P,
    parts: DeskParts,
    heed: impl Fn(Heard<'_>),
    mut stopped: watch::Receiver<bool>,
) {
    let DeskParts { letters, mut mail, node, counters, disk } = parts;
    let is_known = !node.revocations_unknown.load(Ordering::Acquire);
    let keeper = Keeper::new(disk, is_known.then_some(&node.revocations));
    let open = RefCell::new(OpenBook::new(letters.len()));
    let (ends, ended) = (RefCell::default(), Notify::new());
    let desk = Rc::new(Desk { plane, letters, node, counters, ends, ended, open, keeper });
    let mut asking = Asking::default();
    tokio::select! {
        _ = stopped.wait_for(|stopped| *stopped) => {}
        () = asking.run(&desk, &mut mail) => {}
        () = desk.tell_ends(&heed) => {}
        () = desk.follow_live(&heed) => {}
        () = desk.tell_sessions() => {}
        () = desk.keeper.run() => {}
    }
    desk.keeper.finish();
    // The cores have ended: every request that was held has left.
    let _ = timeout(LAST_CALLS, asking.finish(&desk, &mut mail)).await;
    let _ = timeout(LAST_CALLS, desk.tell_last_ends()).await;
}

/// Questions on their way. A request has one at most, so that there are no more of them than may be
/// held.
#[derive(Default)]
struct Asking {
    waiting: VecDeque<Arc<Question>>,
    out: FuturesUnordered<LocalBoxFuture<'static, ()>>,
}

impl Asking {
    /// Reads mail and asks, until every core has ended.
    async fn run<P: Plane + 'static>(
        &mut self,
        desk: &Rc<Desk<P>>,
        mail: &mut mpsc::Receiver<DeskMail>,
    ) {
        loop {
            self.begin(desk);
            tokio::select! {
                mail = mail.recv() => match mail {
                    Some(mail) => self.waiting.extend(desk.read(mail)),
                    None => return std::future::pending().await,
                },
                Some(()) = self.out.next() => {}
            }
        }
    }

    /// Lets as many out as may be.
    fn begin<P: Plane + 'static>(&mut self, desk: &Rc<Desk<P>>) {
        while self.out.len() < ASKING_MAX {
            let Some(question) = self.waiting.pop_front() else { return };
            self.out.push(Box::pin(Rc::clone(desk).ask(question)));
        }
    }

    /// Reads what is left, and waits for what is out.
    async fn finish<P: Plane + 'static>(
        &mut self,
        desk: &Rc<Desk<P>>,
        mail: &mut mpsc::Receiver<DeskMail>,
    ) {
        while let Ok(mail) = mail.try_recv() {
            // Nobody waits for an answer any more.
            let _ = desk.read(mail);
        }
        while self.out.next().await.is_some() {}
    }
}

impl<P: Plane> Desk<P> {
    /// Asks one question until it is answered, or the request has left.
    async fn ask(self: Rc<Self>, question: Arc<Question>) {
        let mut back_off = Duration::ZERO;
        let mut was_asked = false;
        loop {
            if let Some(left) = question.left() {
                if was_asked {
                    // Nobody knows what came of it: a use may be reserved, or it may wait there.
                    self.end(question.session, EndOutcome::NothingSent);
                    self.end(question.session, left);
                }
                return;
            }
            was_asked = true;
            match timeout(CALL_MAX, self.plane.hold(&question.body)).await {
                Ok(Ok(answer)) => return self.deliver(question, Ok(answer)).await,
                Ok(Err(error)) if !may_pass(&error) => {
                    return self.deliver(question, Err(Unanswered)).await;
                }
                Ok(Err(_)) | Err(_) => {
                    back_off = later(back_off).min(BACK_OFF_MAX);
                    sleep(back_off).await;
                }
            }
        }
    }

    /// Hands an answer to the core that asked.
    async fn deliver(&self, question: Arc<Question>, answer: Result<HoldAnswer, Unanswered>) {
        let at = boot_time();
        let mut letter = Letter::Answer { question: Arc::clone(&question), answer, at };
        let gone = loop {
            if let Some(left) = question.left() {
                break left;
            }
            let Some(core) = self.letters.get(question.core) else { break EndOutcome::HoldOver };
            match core.try_send(letter) {
                Ok(()) => return,
                Err(SendError::Full(returned)) => letter = returned,
                Err(SendError::Closed(returned)) => {
                    letter = returned;
                    break EndOutcome::HoldOver;
                }
            }
            sleep(ROOM_EVERY).await;
        };
        if let Letter::Answer { answer: Ok(answer), .. } = &letter
            && let Some(end) = Question::end_after(answer, gone)
        {
            self.end(question.session, end);
        }
    }

    fn end(&self, session: SessionId, outcome: EndOutcome) {
        self.ends.borrow_mut().push(session, outcome);
        self.ended.notify_one();
    }

    /// Tells ends as they come; what could not be told is told again.
    async fn tell_ends(&self, heed: impl Fn(Heard<'_>)) {
        let mut back_off = Duration::ZERO;
        loop {
            if self.ends.borrow().is_empty() {
                self.ended.notified().await;
            }
            if let Some(used) = self.tell_some_ends().await {
                back_off = Duration::ZERO;
                if used {
                    heed(Heard::UseEnded);
                }
            } else {
                back_off = later(back_off).min(BACK_OFF_MAX);
                sleep(back_off).await;
            }
        }
    }

    async fn tell_last_ends(&self) {
        while !self.ends.borrow().is_empty() {
            if self.tell_some_ends().await.is_none() {
                sleep(ROOM_EVERY).await;
            }
        }
    }

    /// Tells as many as go into one call, and says whether uses are among them; none: it failed,
    /// and they are kept.
    async fn tell_some_ends(&self) -> Option<bool> {
        let batch: Vec<(SessionId, EndOutcome)> = {
            let mut ends = self.ends.borrow_mut();
            std::iter::from_fn(|| ends.pop()).take(ENDS_MAX).collect()
        };
        if batch.is_empty() {
            return Some(false);
        }
        let used = batch.iter().any(|(_, outcome)| *outcome == EndOutcome::Ended);
        let named = |(session, outcome): &(SessionId, EndOutcome)| End {
            session: session.as_str().to_owned(),
            outcome: *outcome,
        };
        let ends = Ends { ends: batch.iter().map(named).collect() };
        match timeout(CALL_MAX, self.plane.ends(&ends)).await {
            Ok(Ok(())) => Some(used),
            Ok(Err(error)) if !may_pass(&error) => {
                tell(&format!("{} ends of exchanges are lost: {error}", batch.len()));
                Some(used)
            }
            Ok(Err(_)) | Err(_) => {
                let mut ends = self.ends.borrow_mut();
                batch.into_iter().for_each(|(session, outcome)| ends.push(session, outcome));
                None
            }
        }
    }

    fn read(&self, mail: DeskMail) -> Option<Arc<Question>> {
        match mail {
            DeskMail::Ask(question) => return Some(question),
            DeskMail::End(session, outcome) => self.end(session, outcome),
            DeskMail::Sessions { core, sessions, open } => {
                self.open.borrow_mut().take(core, sessions, open);
            }
        }
        None
    }
}

/// Whether the same call may be answered another time.
fn may_pass(error: &ControlError) -> bool {
    match error {
        ControlError::Unreachable => true,
        ControlError::Refused(status) => *status >= 500 || matches!(*status, 408 | 409 | 425 | 429),
        ControlError::Credentials | ControlError::Answer | ControlError::TooLarge => false,
    }
}

#[cfg(test)]
mod tests;
